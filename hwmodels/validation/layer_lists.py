"""Networks given as lists of layers, as the ncnn benchmark's are published, turned into rows.

Activations are folded into the convolution before them as the list says; dropped are no operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from hwmodels.validation.spaces import Counted
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.ops.pointwise import ACTIVATION_OPS
from hwmodels.workload.table import RowBank

__all__ = ["count_networks", "rows_of"]

_FP32 = {"weight_bits": 32, "activation_bits": 32}
# Elementary operations an element and operands of operators on one shape; swish is silu, the products broadcast.
_POINTWISE = {
    "relu": (Kind.ACTIVATION, ACTIVATION_OPS["relu"]), "swish": (Kind.ACTIVATION, ACTIVATION_OPS["silu"]),
    "hardsigmoid": (Kind.ACTIVATION, ACTIVATION_OPS["hardsigmoid"]),
    "hardswish": (Kind.ACTIVATION, ACTIVATION_OPS["hardswish"]), "softmax": (Kind.SOFTMAX, 5), "lrn": (Kind.NORM, 9),
    "concat": (Kind.COPY, 0), "shuffle": (Kind.COPY, 0), "upsample": (Kind.RESAMPLE, 0),
}  # fmt: skip


def rows_of(layers: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows of one network's list, the last marked as the network's output.

    Raises
    ------
    KeyError : an operator that is not known.
    """
    rows = [_row(layer) for layer in layers]
    return [*rows[:-1], rows[-1]._replace(output_offchip=1)]


def _row(layer: Mapping[str, Any]) -> Row:
    kind = layer["op"]
    if kind in ("conv", "dwconv", "gconv"):
        return _convolution(layer)
    if kind == "linear":
        m, k, n = int(layer["m"]), int(layer["cin"]), int(layer["cout"])
        return Row(
            kind=Kind.LINEAR, in_channels=k, out_channels=n, in_h=m, out_h=m, m=m, n=n, k=k, macs=m * n * k,
            weight_elements=n * k, input_elements=m * k, output_elements=m * n, parameters=n * k + n, **_FP32,
        )  # fmt: skip
    if kind in ("pool", "gpool"):
        return _pool(layer)
    elements = prod(int(extent) for extent in layer["shape"])
    if kind in ("add", "mul"):
        operands = 2 * elements if kind == "add" else elements
        return _plain(Kind.ELEMENTWISE, layer["shape"], ops=elements, read=operands)
    code, ops = _POINTWISE[kind]
    return _plain(code, layer["shape"], ops=ops * elements, read=elements)


def _plain(kind: Kind, shape: Sequence[int], *, ops: int, read: int) -> Row:
    channels, height, width = (*map(int, shape), 1, 1)[:3]
    return Row(
        kind=kind, in_channels=channels, out_channels=channels, in_h=height, in_w=width, out_h=height, out_w=width,
        vector_ops=ops, input_elements=read, output_elements=prod(map(int, shape)), **_FP32,
    )  # fmt: skip


def _convolution(layer: Mapping[str, Any]) -> Row:
    groups, (kernel_h, kernel_w) = int(layer["g"]), (int(extent) for extent in layer["k"])
    channels, filters = int(layer["cin"]), int(layer["cout"])
    m, k, n = int(layer["oh"]) * int(layer["ow"]), channels // groups * kernel_h * kernel_w, filters // groups
    return Row(
        kind=Kind.CONV, groups=groups, in_channels=channels, out_channels=filters, in_h=int(layer["h"]),
        in_w=int(layer["w"]), out_h=int(layer["oh"]), out_w=int(layer["ow"]), kernel_h=kernel_h, kernel_w=kernel_w,
        stride_h=int(layer["s"]), stride_w=int(layer["s"]), m=m, n=n, k=k, macs=m * n * k * groups,
        weight_elements=groups * n * k, input_elements=channels * int(layer["h"]) * int(layer["w"]),
        output_elements=m * filters, parameters=groups * n * k + filters, **_FP32,
    )  # fmt: skip


def _pool(layer: Mapping[str, Any]) -> Row:
    channels, height, width = (int(layer[key]) for key in ("cin", "h", "w"))
    whole = layer["op"] == "gpool"
    kernel_h, kernel_w = (height, width) if whole else (int(extent) for extent in layer["k"])
    out_h, out_w, stride = (1, 1, 1) if whole else (int(layer["oh"]), int(layer["ow"]), int(layer["s"]))
    outputs = channels * out_h * out_w
    return Row(
        kind=Kind.POOL, in_channels=channels, out_channels=channels, in_h=height, in_w=width, out_h=out_h, out_w=out_w,
        kernel_h=kernel_h, kernel_w=kernel_w, stride_h=stride, stride_w=stride,
        vector_ops=outputs * kernel_h * kernel_w,
        input_elements=channels * height * width, output_elements=outputs, **_FP32,
    )  # fmt: skip


def count_networks(lists: Sequence[Sequence[Row]]) -> Counted:
    """Networks given as rows, counted; equal rows are one."""
    bank = RowBank()
    ids = [[bank.id(row) for row in rows] for rows in lists]
    counts = np.zeros((len(lists), len(bank)))
    for index, row_ids in enumerate(ids):
        np.add.at(counts[index], row_ids, 1.0)
    return Counted(bank.layers(), counts)
