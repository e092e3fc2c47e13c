"""Grids of designs: the same tables as Specs one by one, ties, slices, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import sweep, sweep_parts
from hwmodels.families.spec import Spec, columns_of
from hwmodels.grid import Grid
from hwmodels.workload.zoo import network

AXES = {"array_rows": [16, 32], "dataflow": ["os", "ws", "is"], "clock_hz": ["500 MHz", 1e9]}


def one_by_one(base: Spec) -> list[Spec]:
    """The plain twin: a checked Spec for each combination, the last knob fastest."""
    return [base.revised(dict(zip(AXES, values, strict=True)), where="x") for values in product(*AXES.values())]


def test_a_grid_is_its_specs_one_by_one() -> None:
    base = device("systolic_edge").spec
    grid, specs = Grid(base, AXES), one_by_one(base)
    assert len(grid) == len(specs) == 12
    assert [grid.spec(i) for i in range(12)] == specs
    whole, listed = columns_of(grid.table(0, 12)), columns_of(type(base).to_table(specs))
    for name, column in listed.items():
        assert np.array_equal(whole[name], column), name
        assert whole[name].dtype == column.dtype, name
    part = columns_of(grid.table(5, 9))
    assert all(np.array_equal(part[name], column[5:9]) for name, column in listed.items())


def test_tied_knobs_move_together_and_a_knob_of_one_value_is_no_column() -> None:
    grid = Grid(device("systolic_edge").spec, {("array_rows", "array_cols"): [8, 64], "max_bits": [8]})
    assert grid.varying == ("array_rows", "array_cols")
    columns = grid.columns(0, 2)
    assert columns["array_rows"].tolist() == columns["array_cols"].tolist() == [8, 64]


@pytest.mark.parametrize("pairs", [1, 5, 12, 30, 1000])
def test_parts_of_a_sweep_are_the_sweep(pairs: int) -> None:
    import pandas as pd

    chosen, networks = device("systolic_edge"), [network("lenet5"), network("resnet8")]
    grid = Grid(chosen.spec, AXES)
    whole = sweep(networks, chosen.model, one_by_one(chosen.spec))
    parts = list(sweep_parts(networks, chosen.model, grid, pairs=pairs))
    assert max(map(len, parts)) <= max(pairs, 1) or len(grid) <= pairs
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, check_dtype=False, check_like=True)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"array_row": [8]}, "did you mean array_rows"),
        ({"array_rows": []}, "at least one value"),
        ({"array_rows": [8, 0]}, "array_rows: 0 is not >= 1"),
        ({"clock_hz": ["2 s"]}, "2 s is not a number in Hz"),
        ({("array_rows", "array_cols"): [8], "array_cols": [16]}, "set twice"),
        (
            {"array_rows": range(1, 2000), "array_cols": range(1, 2000), "vector_lanes": range(1, 2000)},
            "designs is not",
        ),
    ],
)
def test_bad_axes_are_one_line(axes, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Grid(device("systolic_edge").spec, axes)
