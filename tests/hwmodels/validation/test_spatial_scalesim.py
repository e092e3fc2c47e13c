"""SCALE-Sim's cycles under `rules="compat"`, and what `correct` does differently."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hwmodels.families.base import family
from hwmodels.families.spatial.spec import SpatialSpec
from hwmodels.validate import REFERENCE_VARIABLE, ReferenceTables
from hwmodels.validation.spatial import validate
from hwmodels.workload.ops import Conv2d, Row
from hwmodels.workload.table import Layers

MODEL = family("spatial")
CYCLES = MODEL.layer_metrics.index("array_cycles")

REFERENCE = os.environ.get(REFERENCE_VARIABLE)
needs_reference = pytest.mark.skipif(not REFERENCE, reason=f"{REFERENCE_VARIABLE} is not set")

# SCALE-Sim 3.0.0's shipped topologies: (height, width, filter height and width, channels, filters, stride),
# (rows, columns), dataflow, "Total Cycles". Its own closed form less one; published rows of its simulator among them.
ROWS = [
    ((224, 224, 11, 11, 3, 96, 4), (32, 32), "os", 121124),
    ((224, 224, 11, 11, 3, 96, 4), (32, 32), "ws", 112283),
    ((224, 224, 11, 11, 3, 96, 4), (32, 32), "is", 216599),
    ((224, 224, 11, 11, 3, 96, 4), (128, 128), "os", 14807),
    ((27, 27, 5, 5, 96, 256, 1), (32, 32), "os", 334831),
    ((224, 224, 7, 7, 3, 64, 2), (32, 32), "os", 158421),
    ((56, 56, 1, 1, 64, 128, 2), (32, 32), "os", 13607),
    ((14, 14, 1, 1, 256, 512, 2), (32, 32), "os", 10175),
    ((14, 14, 1, 1, 256, 512, 2), (32, 32), "is", 9695),
    ((1, 1, 1, 1, 512, 1000, 1), (32, 32), "os", 18367),
    ((112, 112, 3, 3, 64, 1, 2), (32, 32), "os", 62523),
    ((7, 7, 3, 3, 1024, 1, 2), (32, 32), "os", 9277),
    ((7, 7, 3, 3, 1024, 1, 2), (32, 32), "ws", 29663),
]


def cycles(row: Row, **knobs: object) -> float:
    out, choice = np.empty((1, 1, len(MODEL.layer_metrics))), np.empty((1, 1), np.int16)
    MODEL.layerwise.cost(Layers.of([row]), SpatialSpec.to_table([SpatialSpec(**knobs)]), np.zeros(1), out, choice)
    return float(out[0, 0, CYCLES])


def convolution(height: int, width: int, fh: int, fw: int, channels: int, filters: int, stride: int) -> Row:
    operator = Conv2d(filters, (fh, fw), (stride, stride), bias=False)
    shape = (1, channels, height, width)
    return operator.row((shape,), operator.infer(shape))


@pytest.mark.parametrize(("dims", "array", "dataflow", "published"), ROWS)
def test_compat_gives_scalesims_cycles(dims, array, dataflow, published) -> None:
    found = cycles(convolution(*dims), rules="compat", dataflow=dataflow, array_rows=array[0], array_cols=array[1])
    assert found == published


@needs_reference
def test_compat_gives_all_rows_of_the_reference_exactly() -> None:
    scores = [s for s in validate(ReferenceTables(Path(REFERENCE))) if s.set == "scalesim_closed_form"]
    exact = {s.group: s for s in scores if s.metric == "exact_fraction"}
    assert exact["all"].rows == exact["all"].rows_in_file == 636
    assert exact["all"].value == 1.0
    assert all(s.value == 0.0 for s in scores if s.metric == "max_error")


@needs_reference
def test_simulated_cycles_and_operand_reads_are_exact() -> None:
    scores = [s for s in validate(ReferenceTables(Path(REFERENCE))) if s.set == "scalesim_simulated"]
    exact = {s.group: s.value for s in scores if s.metric == "exact_fraction"}
    assert {group: exact[group] for group in ("cycles", "ifmap reads", "filter reads")} == {
        "cycles": 1.0,
        "ifmap reads": 1.0,
        "filter reads": 1.0,
    }


def test_no_reference_no_scores() -> None:
    assert validate(ReferenceTables(None)) == []


def test_a_strided_pointwise_layer_has_49_pixels_and_not_64() -> None:
    """14 x 14, 1 x 1, stride 2: the output is 7 x 7; SCALE-Sim's ceil((H - fh + s)/s) makes it 8 x 8."""
    row = convolution(14, 14, 1, 1, 256, 512, 2)
    assert (row.out_h, row.out_w) == (7, 7)
    array = {"array_rows": 1, "array_cols": 512, "dataflow": "os"}
    assert cycles(row, rules="correct", **array) == 49 * (256 + 1 + 512 - 2)
    assert cycles(row, rules="compat", **array) == 64 * (256 + 1 + 512 - 2) - 1


def test_padding_counts_in_correct_only() -> None:
    """3 x 3, padding 1 on 7 x 7 keeps 7 x 7; SCALE-Sim knows no padding and computes 5 x 5."""
    operator = Conv2d.square(512, 3)
    shape = (1, 512, 7, 7)
    row = operator.row((shape,), operator.infer(shape))
    array = {"array_rows": 1, "array_cols": 512, "dataflow": "os"}
    assert cycles(row, rules="correct", **array) == 49 * (4608 + 511)
    assert cycles(row, rules="compat", **array) == 25 * (4608 + 511) - 1


def test_depthwise_folds_every_group_one_after_the_other() -> None:
    operator = Conv2d.square(512, 3, groups=512)
    shape = (1, 512, 14, 14)
    row = operator.row((shape,), operator.infer(shape))
    one_group = 1 * 1 * (2 * 32 + 32 + 196 - 2)
    assert cycles(row, rules="correct", dataflow="ws") == 512 * one_group
    # SCALE-Sim's shipped MobileNet: one dense filter over all channels, 12 x 12 outputs.
    assert cycles(row, rules="compat", dataflow="ws") == 144 * (2 * 32 + 32 + 144 - 2) - 1


def test_hidden_weight_loads_save_the_load_of_every_fold_but_the_first() -> None:
    row = convolution(14, 14, 1, 1, 64, 64, 1)
    folds = 2 * 2
    shown = cycles(row, dataflow="ws", fold_overlap="none")
    assert shown - cycles(row, dataflow="ws", fold_overlap="load") == (folds - 1) * 32
    assert cycles(row, dataflow="os", fold_overlap="load") == cycles(row, dataflow="os", fold_overlap="none")
    assert cycles(row, dataflow="ws", fold_overlap="full") == 32 + folds * 196 + 32 + 32 - 2
