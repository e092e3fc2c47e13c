"""The MLPerf Tiny networks [Banbury et al., NeurIPS 2021] but visual wake words, which `mobilenet` has.

DS-CNN for keyword spotting [Zhang et al., 2017], ResNet-8 for CIFAR-10, an auto-encoder for anomalous sounds.
Convolutions have biases beside their batch norm. Published totals count four numbers a batch-norm channel; ours are
two (scale and shift).
"""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


def _conv(net: Builder, x: str, operator: Conv2d, *, is_active: bool = True) -> str:
    x = net.add(Norm("batch"), net.add(operator, x))
    return net.add(Activation("relu"), x) if is_active else x


def _ds_cnn(net: Builder) -> str:
    """One 10x4 convolution and four depthwise separable ones over 49 frames of 10 cepstral features."""
    x = _conv(net, net.input, Conv2d(64, (10, 4), (2, 2), (5, 1)))
    for _ in range(4):
        x = _conv(net, x, Conv2d.square(64, 3, groups=64, bias=True))
        x = _conv(net, x, Conv2d(64))
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 12)


def _resnet8(net: Builder) -> str:
    """Three stages of one block each; projections have a bias and no norm."""
    x = _conv(net, net.input, Conv2d.square(16, 3, bias=True))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(net, x, Conv2d.square(channels, 3, stride=stride, bias=True))
        y = _conv(net, y, Conv2d.square(channels, 3, bias=True), is_active=False)
        if stride > 1:
            x = net.add(Conv2d.square(channels, 1, stride=stride, bias=True), x)
        x = net.add(Activation("relu"), net.residual(x, y))
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10)


def _auto_encoder(net: Builder) -> str:
    """Dense layers of 128 around a bottleneck of 8, over 5 frames of 128 mel bands."""
    x = net.input
    for features in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = net.add(Activation("relu"), net.add(Norm("batch"), net.linear(x, features)))
    return net.linear(x, 640)


_SOURCE = "Banbury et al. 2021, MLPerf Tiny 1.0"

ENTRIES = (
    Entry(
        "ds_cnn",
        _ds_cnn,
        (1, 49, 10),
        f"Zhang et al. 2017; {_SOURCE}, keyword spotting",
        ("MLPerf-Tiny DS-CNN", "mlperf_tiny_kws"),
    ),
    Entry("resnet8", _resnet8, (3, 32, 32), f"{_SOURCE}, image classification", ("MLPerf-Tiny ResNet-8",)),
    Entry(
        "fc_autoencoder",
        _auto_encoder,
        (640,),
        f"{_SOURCE}, anomaly detection",
        ("MLPerf-Tiny FC-AE", "mlperf_tiny_ad"),
        axis="features",
    ),
)
