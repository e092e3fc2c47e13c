"""The NAS-Bench-201 space against its published counts, and what `canonical` promises.

Convention: the published MACs add the bias of the classifier (650 instead of 640), so ours are 10 less.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from codesign.space.cell import EDGES, OPERATIONS, CellSpace
from hwmodels.errors import SpecError
from hwmodels.workload.rewrite import COMPILED, EAGER, Semantics

SPACE = CellSpace()
CLASSIFIER_BIAS = 10


@cache
def points() -> npt.NDArray[np.int64]:
    return SPACE.enumerate()


@cache
def totals(semantics: Semantics) -> dict[str, npt.NDArray[np.int64]]:
    """Parameters and MACs of every point."""
    table, network = SPACE.lower(points(), semantics)
    return {column: table.totals(column)[network] for column in ("parameters", "macs")}


def code(genotypes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return genotypes @ 5 ** np.arange(5, -1, -1)


def test_sizes() -> None:
    """15,625 cells [Dong and Yang, ICLR 2020], 341 of them disconnected."""
    assert SPACE.size == 5**6 == len(points())
    assert int((~SPACE.valid(points())).sum()) == 341


def test_the_heaviest_cell_is_the_published_one() -> None:
    heaviest = np.full((1, 6), OPERATIONS.index("nor_conv_3x3"))
    workload = SPACE.workload(heaviest[0])
    assert workload.parameters == 1_531_546
    assert workload.macs + CLASSIFIER_BIAS == 220_119_690
    assert totals(EAGER)["parameters"].max() == 1_531_546
    assert SPACE.lower(heaviest, EAGER).table.totals("macs")[0] == workload.macs


def test_the_first_published_cell() -> None:
    """Index 0: |avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|."""
    genotype = np.array([4, 2, 1, 2, 1, 1])
    workload = SPACE.workload(genotype)
    assert workload.parameters == 129_306
    assert workload.macs + CLASSIFIER_BIAS == 15_647_370
    assert SPACE.describe(genotype) == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    )


def test_parameters_by_hand() -> None:
    """Stem, two reductions, last norm, classifier; a convolution edge stands in 5 cells of 16, 32 and 64 channels."""
    stem = 3 * 16 * 9 + 2 * 16
    reductions = sum(c * 2 * c * 9 + 4 * c + (2 * c) ** 2 * 9 + 4 * c + 2 * c * c for c in (16, 32))
    frame = stem + reductions + 2 * 64 + 64 * 10 + 10
    edge = {k: 5 * sum(c * c * k * k + 2 * c for c in (16, 32, 64)) for k in (1, 3)}
    ones, threes = ((points() == OPERATIONS.index(name)).sum(axis=1) for name in ("nor_conv_1x1", "nor_conv_3x3"))
    assert np.array_equal(totals(EAGER)["parameters"], frame + ones * edge[1] + threes * edge[3])


def connected(genotype: npt.NDArray[np.int64]) -> bool:
    reached = {0}
    for operation, (source, target) in sorted(zip(genotype.tolist(), EDGES, strict=True), key=lambda item: item[1]):
        if OPERATIONS[operation] != "none" and source in reached:
            reached.add(target)
    return 3 in reached


def test_valid_cells_are_the_connected_ones() -> None:
    assert SPACE.valid(points()).tolist() == [connected(genotype) for genotype in points()]
    assert SPACE.valid(np.array([[9, 0, 0, 0, 0, 0], [-1, 3, 3, 3, 3, 3]])).tolist() == [False, False]


def test_canonical_is_idempotent_and_keeps_validity() -> None:
    canonical = SPACE.canonical(points())
    assert np.array_equal(SPACE.canonical(canonical), canonical)
    assert np.array_equal(SPACE.valid(canonical), SPACE.valid(points()))
    assert (code(canonical) <= code(points())).all()  # the first of its class
    disconnected = ~SPACE.valid(points())
    assert np.array_equal(canonical[disconnected], points()[disconnected])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("skip_connect none none none nor_conv_3x3 none", "none none none nor_conv_3x3 none none"),
        ("none skip_connect none none none nor_conv_1x1", "none none none nor_conv_1x1 none none"),
        ("none none nor_conv_3x3 skip_connect none none", "none none none skip_connect none none"),
    ],
    ids=["skip first", "through another node", "dead branch"],
)
def test_cells_of_one_function_have_one_representative(left: str, right: str) -> None:
    pair = np.array([[OPERATIONS.index(word) for word in text.split()] for text in (left, right)])
    first, second = SPACE.canonical(pair)
    assert np.array_equal(first, second)


def values() -> npt.NDArray[np.float64]:
    """Every cell as a number: operations as fixed functions that keep zero, equal operations with equal weights."""
    functions = (
        np.zeros_like,
        lambda x: x,
        lambda x: np.tanh(1.7 * x) + 0.3 * x * x,
        lambda x: np.sin(2.3 * x) - x / 3,
    )
    functions = (*functions, lambda x: 1.9 * x / (1 + np.abs(x)))
    nodes = [np.full(SPACE.size, 0.7123)] + [np.zeros(SPACE.size) for _ in range(3)]
    for edge, (source, target) in sorted(enumerate(EDGES), key=lambda item: item[1][1]):
        results = np.stack([function(nodes[source]) for function in functions])
        nodes[target] += results[points()[:, edge], np.arange(SPACE.size)]
    return nodes[3].round(9)


def test_cells_of_one_representative_compute_the_same_with_tied_weights() -> None:
    representative, valid = code(SPACE.canonical(points())), SPACE.valid(points())
    assert np.array_equal(values()[valid], values()[representative][valid])


def test_a_representative_has_the_same_parameters_and_macs_when_compiled() -> None:
    canonical, valid = SPACE.canonical(points()), SPACE.valid(points())
    for column in totals(COMPILED).values():
        assert np.array_equal(column[valid], column[code(canonical)][valid])


def test_small_operation_sets_and_their_errors() -> None:
    small = CellSpace(operations=("none", "nor_conv_3x3"))
    assert small.size == 64
    assert small.workload(np.ones(6, np.int64)).parameters == 1_531_546
    with pytest.raises(SpecError, match="did you mean nor_conv_3x3"):
        CellSpace(operations=("nor_conv_3x",))


@cache
def published() -> dict[str, npt.NDArray[np.int64]]:
    folder = os.environ.get("CODESIGN_REFERENCE")
    if not folder:
        pytest.skip("CODESIGN_REFERENCE is not set: the reference tables are not here")
    path = Path(folder) / "nas/nb201_arch.npz"
    if not path.is_file():
        pytest.skip("nas/nb201_arch.npz is not in CODESIGN_REFERENCE")
    with np.load(path) as arrays:
        return {name: arrays[name].astype(np.int64) for name in ("ops", "params", "macs", "rep_idx")}


def test_every_published_row() -> None:
    rows = published()
    assert np.array_equal(np.sort(code(rows["ops"])), np.arange(SPACE.size))  # every cell once
    at = code(rows["ops"])
    assert np.array_equal(totals(EAGER)["parameters"][at], rows["params"])
    assert np.array_equal(totals(EAGER)["macs"][at] + CLASSIFIER_BIAS, rows["macs"])
