"""Efficiency of in-memory macros over ADC bits and node: what the cost model predicts at best, beside published chips.

All figures are of 1-bit operands, two operations to a MAC, as surveys normalise. The front takes, at each resolution
and node, the best of all analogue ways of summing and lengths of a dot product, of single-bit cells and inputs at
nominal supply. A sum may lose at most `LOST_BITS` to its converter, or ever longer sums would make any converter free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.families.crossbar.macro import macro, macro_spec
from hwmodels.families.crossbar.macro_constants import CONSTANTS, ENERGY_SPREAD
from hwmodels.families.crossbar.macro_cost import macro_cost, operation_j
from hwmodels.validation.crossbar.survey import chips

__all__ = ["LOST_BITS", "FrontPoint", "PublishedPoint", "macro_front", "published_points", "table_rows"]

LOST_BITS = 3
"""Bits of a lossless sum that a converter leaves out: the median of published binary macros [SURVEY]."""

_MODELS = ({"Compute Model": "QR"}, {"Compute Model": "QS"}, {"Compute Model": "IS"},
           {"Compute Model": "IS", "Architecture": "eNVM"})  # fmt: skip
_SUMMED = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
_CONVERTERS = 64


class FrontPoint(NamedTuple):
    """The most efficient macro at a node and resolution, TOPS/W; the ends hold 80 % of published chips of its kind."""

    node_nm: float
    adc_bits: int
    tops_per_w: float
    low: float
    high: float
    kind: str
    summed: int


class PublishedPoint(NamedTuple):
    """A published macro, TOPS/W as printed and as predicted from its row."""

    paper: str
    year: int
    kind: str
    node_nm: float
    adc_bits: int
    tops_per_w: float
    predicted: float
    low: float
    high: float


def macro_front(nodes_nm: Sequence[float], adc_bits: Sequence[int]) -> list[FrontPoint]:
    """The best macro of every node and resolution, in their order.

    Raises
    ------
    SpecError : a node or a resolution out of bounds.

    >>> [point.kind for point in macro_front([28.0], [2])]
    ['charge']
    """
    return [_best(node, bits) for node in nodes_nm for bits in adc_bits]


def _best(node_nm: float, adc_bits: int) -> FrontPoint:
    lengths = [length for length in _SUMMED if length <= 2 ** (adc_bits + LOST_BITS)]
    macros = [
        macro({"Tech (nm)": node_nm, "N": summed, "N_ADC": _CONVERTERS, "B_x": 1, "B_w": 1, "B_ADC": adc_bits, **model})
        for model in _MODELS
        for summed in lengths
    ]
    found = 1e-12 / operation_j(macros, [macro_spec(of, CONSTANTS) for of in macros])
    best = int(np.argmax(found))
    low, high = ENERGY_SPREAD[macros[best].kind]
    tops_per_w = float(found[best])
    return FrontPoint(
        node_nm, adc_bits, tops_per_w, tops_per_w / high, tops_per_w / low, macros[best].kind, macros[best].summed
    )


def published_points(rows: Sequence[Mapping[str, str]]) -> list[PublishedPoint]:
    """The analogue macros of a survey's rows that state an efficiency.

    Raises
    ------
    SpecError : none of the rows does.
    """
    found = []
    for chip in chips(rows)[0]:
        if chip.macro.kind != "digital":
            expected = macro_cost(chip.row).tops_per_w
            found.append(
                PublishedPoint(
                    chip.paper, int(chip.row.get("Year") or 0), chip.macro.kind, chip.macro.node_nm,
                    chip.macro.adc_bits, chip.tops_per_w, expected.expected, expected.low, expected.high,
                )
            )  # fmt: skip
    if not found:
        raise SpecError("--macros", f"{len(rows)} rows", "rows of analogue macros with an efficiency")
    return found


def table_rows(front: Sequence[FrontPoint], published: Sequence[PublishedPoint]) -> list[dict[str, Any]]:
    """Both as rows of one table: published ones have a paper, predicted ones the rows that they sum."""
    blank: dict[str, Any] = {**dict.fromkeys(PublishedPoint._fields, ""), "summed": ""}
    predicted = [{**blank, **point._asdict(), "tops_per_w": "", "predicted": point.tops_per_w} for point in front]
    return [{**blank, **point._asdict()} for point in published] + predicted
