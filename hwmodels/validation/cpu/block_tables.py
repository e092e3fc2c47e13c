"""Published look-up tables of single blocks as counted networks: MBConv blocks, first and last layers.

mobile_op_lut (once-for-all's tables for phones): `expand` is the number of channels between the two 1x1
convolutions, but a ratio on pixel1. tfnas_block_lut (TF-NAS): blocks over the channels between, squeeze-and-excitation
of `se_ch` channels or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from hwmodels.validation.layer_lists import count_networks
from hwmodels.validation.spaces import FP32, Counted, joined
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import ActivationName, Conv2d, Pool2d, Row
from hwmodels.workload.rewrite import RUNTIMES, rewrite
from hwmodels.workload.zoo.mobilenet import divisible, inverted_residual

__all__ = ["count_blocks", "mobile_rows", "tfnas_rows"]


def mobile_rows(entry: Mapping[str, str], runtime: str) -> tuple[Row, ...] | None:
    """Rows of one line of mobile_op_lut, or None where the operator is not known."""
    size, entering, leaving = (int(float(entry[key])) for key in ("h_in", "c_in", "c_out"))
    operator = entry["op"]
    if operator == "expanded_conv":
        # The line's own numbers: absent is no squeeze-and-excitation and ReLU6.
        hidden = float(entry["expand"]) * (entering if entry["device"] == "pixel1" else 1)
        squeezes, is_hard = (float(entry[key] or 0) > 0 for key in ("se", "hs"))
        activation: ActivationName = "hardswish" if is_hard else "relu6"
        kernel, stride = (int(float(entry[key])) for key in ("kernel", "stride"))
        squeeze, skip = divisible(int(hidden) / 4) if squeezes else 0, float(entry["id_skip"] or 0) > 0
        return _block(size, entering, leaving, int(hidden), kernel, stride, activation, squeeze, skip, runtime)
    stride = max(size // int(float(entry["h_out"])), 1)
    if operator == "Conv":
        return _plain(entering, leaving, size, 3, stride, runtime)
    if operator in ("Conv_1", "Conv_2"):
        return _plain(entering, leaving, size, 1, 1, runtime)
    if operator == "AvgPool2D":
        net = Builder("pool", (1, entering, size, size), precision=FP32)
        return tuple(joined(net.finish(net.add(Pool2d("avg"), net.input))))
    if operator == "Logits":
        net = Builder("logits", (1, entering), precision=FP32)
        return tuple(joined(net.finish(net.linear(net.input, leaving))))
    return None


def tfnas_rows(entry: Mapping[str, str], runtime: str) -> tuple[Row, ...]:
    """Rows of one line of tfnas_block_lut."""
    size, entering, squeeze, leaving, kernel, stride, hidden = (
        int(entry[key]) for key in ("h_in", "c_in", "se_ch", "c_out", "kernel", "stride", "mid")
    )
    activation: ActivationName = "relu" if entry["act"] == "relu" else "silu"
    return _block(size, entering, leaving, hidden, kernel, stride, activation, squeeze, True, runtime)


@cache
def _block(
    size: int, entering: int, leaving: int, hidden: int, kernel: int, stride: int, activation: ActivationName,
    squeeze: int, skip: bool, runtime: str,
) -> tuple[Row, ...]:  # fmt: skip
    net = Builder("block", (1, entering, size, size), precision=FP32)
    y = inverted_residual(
        net, net.input, leaving, hidden=hidden, kernel=kernel, stride=stride, activation=activation, squeeze=squeeze,
        gate="hardsigmoid" if activation == "hardswish" else "sigmoid", skip=skip,
    )  # fmt: skip
    return tuple(joined(rewrite(net.finish(y), RUNTIMES[runtime])))


@cache
def _plain(entering: int, leaving: int, size: int, kernel: int, stride: int, runtime: str) -> tuple[Row, ...]:
    net = Builder("conv", (1, entering, size, size), precision=FP32)
    y = net.add(Conv2d.square(leaving, kernel, stride=stride, bias=True), net.input)
    return tuple(joined(rewrite(net.finish(y), RUNTIMES[runtime])))


def count_blocks(blocks: Sequence[tuple[Row, ...]]) -> Counted:
    """Each block a network of its own."""
    return count_networks(blocks)
