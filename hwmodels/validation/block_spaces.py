"""The spaces of blocks in slots, FBNet and once-for-all, as rows and counts; see `spaces`.

FBNet [Wu et al., CVPR 2019]: 22 slots of nine choices. In the published latency table a skip may stand where channels
or size change, and is a strided 1x1 convolution there. Once-for-all [Cai et al., ICLR 2020]: subnets of the
MobileNetV3-shaped supernet at 25 resolutions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwmodels.validation.spaces import FP32, Counted, RowCounts, joined
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, ActivationName, Conv2d, Norm, Pool2d, Rearrange, Row, Shape
from hwmodels.workload.rewrite import RUNTIMES, rewrite
from hwmodels.workload.zoo.mobilenet import classify, divisible, inverted_residual

__all__ = ["fbnet_space", "ofa_space"]

# (kernel, expansion, groups) by the code in the published table; code 8 is the skip
_FBNET_BLOCKS = ((3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1))
# (channels, blocks, stride of the first at 224 and at 32 pixels) [Wu'19, table 1; HW-NAS-Bench for CIFAR]
_FBNET_STAGES = (
    (16, 1, 1, 1), (24, 4, 2, 1), (32, 4, 2, 2), (64, 4, 2, 2), (112, 4, 1, 1), (184, 4, 2, 2), (352, 1, 1, 1),
)  # fmt: skip
# (channels, squeeze-and-excitation, activation, stride) [once-for-all's OFAMobileNetV3]
_OFA_STAGES: tuple[tuple[int, bool, ActivationName, int], ...] = (
    (24, False, "relu", 2), (40, True, "relu", 2), (80, False, "hardswish", 2), (112, True, "hardswish", 1),
    (160, True, "hardswish", 2),
)  # fmt: skip


def _rows(net: Builder, output: str, runtime: str) -> Workload:
    return rewrite(net.finish(output), RUNTIMES[runtime])


def _fbnet_block(entering: Shape, code: int, channels: int, stride: int, runtime: str) -> list[Row]:
    net = Builder("block", entering, precision=FP32)
    x, width = net.input, entering[1]
    stays = stride == 1 and width == channels
    if code == len(_FBNET_BLOCKS):
        return [] if stays else joined(_rows(net, net.conv_norm_act(x, channels, 1, stride=stride), runtime))
    kernel, expansion, groups = _FBNET_BLOCKS[code]
    hidden = width * expansion
    y = net.conv_norm_act(x, hidden, 1, groups=groups)
    if groups > 1:
        y = net.add(Rearrange("channel shuffle", net.shape(y)), y)
    y = net.conv_norm_act(y, hidden, kernel, stride=stride, groups=hidden)
    y = net.add(Norm("batch"), net.add(Conv2d.square(channels, 1, groups=groups), y))
    return joined(_rows(net, net.residual(x, y) if stays else y, runtime))


def fbnet_space(architectures: npt.NDArray[np.integer], runtime: str, *, size: int = 32, classes: int = 100) -> Counted:
    """Networks of the published table at `size` pixels, 32 or 224.

    architectures : (N, 22), the code of each slot.
    """
    found, is_small = RowCounts(len(architectures)), size == 32
    net = Builder("stem", (1, 3, size, size), precision=FP32)
    x = net.conv_norm_act(net.input, 16, 3, stride=1 if is_small else 2)
    found.add((row._replace(output_offchip=0) for _, row in _rows(net, x, runtime).rows()), 1.0)
    shape, slot = net.shape(x), 0
    for channels, blocks, large, small in _FBNET_STAGES:
        for index in range(blocks):
            stride = (small if is_small else large) if index == 0 else 1
            for code in range(len(_FBNET_BLOCKS) + 1):
                rows = _fbnet_block(shape, code, channels, stride, runtime)
                found.add(rows, architectures[:, slot] == code)
            shape, slot = (1, channels, -(-shape[2] // stride), -(-shape[3] // stride)), slot + 1
    head = Builder("head", shape, precision=FP32)
    y = classify(head, head.conv_norm_act(head.input, 1504 if is_small else 1984, 1), classes)
    found.add((row._replace(input_offchip=0) for _, row in _rows(head, y, runtime).rows()), 1.0)
    return found.counted()


def ofa_space(
    kernels: npt.NDArray[np.integer], expansions: npt.NDArray[np.integer], depths: npt.NDArray[np.integer],
    resolutions: npt.NDArray[np.integer], runtime: str,
) -> Counted:  # fmt: skip
    """Subnets of the MobileNetV3-shaped supernet at width one.

    kernels, expansions : (N, 20) of the slots, four a stage. depths : (N, 5) slots in use. resolutions : (N,) pixels.
    """
    found = RowCounts(len(resolutions))
    for resolution in np.unique(resolutions):
        here = resolutions == resolution
        net = Builder("stem", (1, 3, int(resolution), int(resolution)), precision=FP32)
        x = net.conv_norm_act(net.input, 16, 3, stride=2, activation="hardswish")
        x = inverted_residual(net, x, 16, hidden=16, activation="relu")
        found.add((row._replace(output_offchip=0) for _, row in _rows(net, x, runtime).rows()), here)
        shape = net.shape(x)
        for stage, (channels, *_, stride) in enumerate(_OFA_STAGES):
            for index in range(4):
                slot, in_use = 4 * stage + index, here & (depths[:, stage] > index)
                choices = np.stack([kernels[in_use, slot], expansions[in_use, slot]], axis=1)
                for kernel, expansion in np.unique(choices, axis=0).tolist():
                    rows = _ofa_block(shape, stage, index, kernel, expansion, runtime)
                    found.add(rows, in_use & (kernels[:, slot] == kernel) & (expansions[:, slot] == expansion))
                step = stride if index == 0 else 1
                shape = (1, channels, -(-shape[2] // step), -(-shape[3] // step))
        found.add(_ofa_head(shape, runtime), here)
    return found.counted()


def _ofa_block(entering: Shape, stage: int, index: int, kernel: int, expansion: int, runtime: str) -> list[Row]:
    channels, squeezes, activation, stride = _OFA_STAGES[stage]
    hidden = divisible(expansion * entering[1])
    net = Builder("block", entering, precision=FP32)
    y = inverted_residual(
        net, net.input, channels, hidden=hidden, kernel=kernel, stride=stride if index == 0 else 1,
        activation=activation, squeeze=divisible(hidden / 4) if squeezes else 0, gate="hardsigmoid",
    )  # fmt: skip
    return joined(_rows(net, y, runtime))


def _ofa_head(entering: Shape, runtime: str) -> list[Row]:
    net = Builder("head", entering, precision=FP32)
    x = net.conv_norm_act(net.input, 960, 1, activation="hardswish")
    x = net.add(Conv2d.square(1280, 1), net.add(Pool2d("avg"), x))
    y = net.linear(net.flatten(net.add(Activation("hardswish"), x)), 1000)
    return [row._replace(input_offchip=0) for _, row in _rows(net, y, runtime).rows()]
