"""Detectors of one stage: YOLOv3 [Redmon and Farhadi, 2018] and SSD [Liu et al., ECCV 2016] on MobileNetV1.

YOLOv3 is that of darknet, for the 80 classes of COCO and the 20 of VOC. The SSD is that of TensorFlow's detection
models: 90 classes and the background, three anchors on the finest scale and six on the others, 1x1 predictors. Not
modelled: anchors, decoding and non-maximum suppression, which depend on the data.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Concat, Conv2d, Upsample
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_YOLO_STAGES = ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4))  # [Redmon'18, table 1]: channels, residual units
_YOLO_ANCHORS = 3


def _leaky(net: Builder, x: str, channels: int, kernel: int, stride: int = 1) -> str:
    return net.conv_norm_act(x, channels, kernel, stride=stride, activation="leaky_relu")


def _darknet53(net: Builder) -> list[str]:
    """The outputs of the five stages."""
    x = _leaky(net, net.input, 32, 3)
    stages = []
    for channels, units in _YOLO_STAGES:
        x = _leaky(net, x, channels, 3, 2)
        for _ in range(units):
            x = net.residual(x, _leaky(net, _leaky(net, x, channels // 2, 1), channels, 3))
        stages.append(x)
    return stages


def _yolov3(net: Builder, *, classes: int) -> tuple[str, ...]:
    """Three scales; each but the coarsest joins what the one before it has learnt, at twice the size."""
    stages, outputs, above = _darknet53(net), [], ""
    for index, width in enumerate((512, 256, 128)):
        x = stages[-1 - index]
        if above:
            x = net.add(Concat(), net.add(Upsample(2), _leaky(net, above, width, 1)), x)
        for side in (1, 3, 1, 3, 1):
            x = _leaky(net, x, width if side == 1 else 2 * width, side)
        above = x
        outputs.append(net.add(Conv2d(_YOLO_ANCHORS * (5 + classes), bias=True), _leaky(net, x, 2 * width, 3)))
    return tuple(outputs)


_SSD_CLASSES = 91
_SSD_EXTRA = ((256, 512), (128, 256), (128, 256), (64, 128))  # 1x1, and 3x3 with stride 2


def _ssd(net: Builder, scales: list[str]) -> tuple[str, ...]:
    """Four coarser scales, then boxes and classes of every anchor on all six."""
    for reduced, channels in _SSD_EXTRA:
        x = net.conv_norm_act(scales[-1], reduced, 1, activation="relu6")
        scales.append(net.conv_norm_act(x, channels, 3, stride=2, activation="relu6"))
    return tuple(
        net.add(Conv2d((6 if index else 3) * size, bias=True), x)
        for index, x in enumerate(scales)
        for size in (4, _SSD_CLASSES)
    )


def _ssd_mobilenet_v1(net: Builder) -> tuple[str, ...]:
    x, scales = net.conv_norm_act(net.input, 32, 3, stride=2, activation="relu6"), []
    layers = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), *((512, 2 if i == 0 else 1) for i in range(6)),
              (1024, 2), (1024, 1))  # fmt: skip
    for index, (channels, stride) in enumerate(layers):
        hidden = net.shape(x)[1]
        x = net.conv_norm_act(x, hidden, 3, stride=stride, groups=hidden, activation="relu6")
        x = net.conv_norm_act(x, channels, 1, activation="relu6")
        if index in (10, 12):  # 19 x 19 and 10 x 10
            scales.append(x)
    return _ssd(net, scales)


_YOLO = "Redmon and Farhadi 2018, darknet"
_TENSORFLOW = "Liu et al. 2016 as in TensorFlow's detection models; Vitis AI model zoo"

ENTRIES = (
    Entry("yolov3", partial(_yolov3, classes=80), (3, 416, 416), f"{_YOLO}; COCO", ("yolov3_coco",)),
    Entry("yolov3_voc", partial(_yolov3, classes=20), (3, 416, 416), f"{_YOLO}; VOC"),
    Entry("ssd_mobilenet_v1", _ssd_mobilenet_v1, (3, 300, 300), f"{_TENSORFLOW} (2.47 G operations)"),
)
