"""Object detection: RetinaNet [Lin et al., ICCV 2017] on a ResNet-50 with a feature pyramid [Lin et al., CVPR 2017].

Its class and box heads run on five scales with the same weights, which are counted once. 91 classes, 9 anchors.
Published totals leave out the backbone's norms, whose scale and shift are frozen. Not modelled: anchors, decoding and
non-maximum suppression, which depend on the data.
"""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Shared, Upsample
from hwmodels.workload.zoo.record import Entry
from hwmodels.workload.zoo.resnet import residual_stages

__all__ = ["ENTRIES"]

_FEATURES = 256
_ANCHORS, _CLASSES = 9, 91


def _pyramid(net: Builder, stages: tuple[str, ...]) -> list[str]:
    """Five scales: three of the backbone, each added to the coarser one, and two more by strided convolutions."""
    laterals = [net.add(Conv2d(_FEATURES), stage) for stage in stages]
    merged = [laterals.pop()]
    while laterals:
        finer = laterals.pop()
        above = net.add(Upsample(size=net.shape(finer)[2:]), merged[0])  # type: ignore[arg-type]
        merged.insert(0, net.residual(finer, above))
    levels = [net.add(Conv2d.square(_FEATURES, 3, bias=True), x) for x in merged]
    sixth = net.add(Conv2d.square(_FEATURES, 3, stride=2, bias=True), levels[-1])
    seventh = net.add(Conv2d.square(_FEATURES, 3, stride=2, bias=True), net.add(Activation("relu"), sixth))
    return [*levels, sixth, seventh]


def _head(net: Builder, x: str, out_channels: int, *, tied: bool) -> str:
    """Four 3x3 convolutions with activation, and one that predicts for every anchor."""
    for _ in range(4):
        conv = Conv2d.square(_FEATURES, 3, bias=True)
        x = net.add(Activation("relu"), net.add(Shared(conv) if tied else conv, x))
    conv = Conv2d.square(_ANCHORS * out_channels, 3, bias=True)
    return net.add(Shared(conv) if tied else conv, x)


def _retinanet(net: Builder) -> tuple[str, ...]:
    levels = _pyramid(net, residual_stages(net, 50)[1:])
    heads = [_head(net, level, size, tied=index > 0) for size in (_CLASSES, 4) for index, level in enumerate(levels)]
    return tuple(heads)


_SOURCE = "Lin et al. 2017 (focal loss); torchvision model metadata"

ENTRIES = (
    Entry("retinanet_resnet50_fpn", _retinanet, (3, 800, 800), _SOURCE),
    Entry("retinanet_resnet50_fpn_driving", _retinanet, (3, 384, 1280), f"{_SOURCE}; images of 1280 x 384"),
)
