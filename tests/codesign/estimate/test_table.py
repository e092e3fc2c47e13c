"""Accuracy tables: equals share a row or a column, what was not measured is refused, the shipped one is whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.data import load
from codesign.estimate.table import DIGITS_CELLS, digits_cells, read_nasbench201, write_table
from codesign.estimate.tabulate import Tabulate, Training, trainings
from codesign.space.cell import CellSpace
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics

ANALOG = DIGITS_CELLS.numerics[-1]


def test_the_shipped_table_is_complete_and_says_how_it_was_made() -> None:
    table = digits_cells()
    assert table.cells.tolist() == DIGITS_CELLS.space().representatives.tolist()
    assert len(table.cells) == 1010
    assert not np.isnan(table.validation[:, :, 0]).any()
    assert not np.isnan(table.seconds).any()
    folder = Path(__import__("codesign").__file__).parent / "estimate" / "tables"
    manifest = json.loads((folder / "digits-cells.json").read_text())
    assert manifest["trainings"] == 1010 * 3 * 2
    assert manifest["data"] == load("noisy-digits").fingerprint
    stated = {key: value for key, value in manifest.items() if key in DIGITS_CELLS.as_dict()}
    expected = json.loads(json.dumps(DIGITS_CELLS.as_dict()))
    # Fields that a record has gained since are ideal where the manifest does not state them.
    written = [numerics._asdict() for numerics in (Numerics(**row) for row in stated.pop("numerics"))]
    assert written == expected.pop("numerics")
    assert stated == expected


def test_the_table_separates_networks_and_arithmetics() -> None:
    """The spread between networks is well above that between seeds; fewer ADC bits cost accuracy."""
    table = digits_cells()
    values = table.validation[:, :, 0, 0]
    assert values.mean(axis=1).std() > 1.5 * values.std(axis=1, ddof=1).mean() / np.sqrt(3)
    means = [table.accuracy(numerics).mean() for numerics in DIGITS_CELLS.numerics]
    assert means[1] == pytest.approx(means[0], abs=0.01)  # 8 bits lose next to nothing
    assert means[3] < means[4] < means[5] < means[6] <= means[1] + 0.005
    assert table.accuracy(Numerics(8, 8), fidelity=1 / 3).mean() < means[0]


def test_equal_networks_share_a_row_and_disconnected_ones_have_none() -> None:
    table, space = digits_cells(), digits_cells().space
    every = np.stack(np.unravel_index(np.arange(space.size), space.cardinalities.tolist()), axis=1)
    rows = table.rows(every)
    assert (rows >= 0).tolist() == space.valid(every).tolist()
    assert np.array_equal(rows, table.rows(space.canonical(every)))
    assert len(np.unique(rows[rows >= 0])) == len(table.cells)


def test_a_lossless_crossbar_has_the_integer_result_and_others_are_refused() -> None:
    table = digits_cells()
    lossless = ANALOG._replace(adc_bits=10)  # 64 rows of 3 x 3 levels: 577 values
    assert table.column(lossless) == table.column(Numerics(8, 8)) == 0
    for other in (ANALOG._replace(adc_bits=9), lossless._replace(conductance_sigma=0.1), Numerics(6, 6)):
        with pytest.raises(SpecError, match="numerics"):
            table.column(other)


def test_an_estimate_is_the_mean_over_seeds_of_the_cell() -> None:
    table = digits_cells()
    genotype = table.space.genotype_of(int(table.cells[7]))
    estimate = table.lookup(genotype, ANALOG)
    assert estimate.draws == tuple(table.validation[7, :, 0, -1])
    assert estimate.accuracy == pytest.approx(np.mean(estimate.draws))
    assert estimate.accuracy_test == pytest.approx(table.test[7, :, 0, -1].mean())
    with pytest.raises(SpecError, match="fidelity"):
        table.lookup(genotype, FLOAT, 0.5)
    with pytest.raises(SpecError, match="measured"):
        table.lookup(genotype, ANALOG, 1 / 3)
    with pytest.raises(SpecError, match="connected"):
        table.lookup(np.zeros(6, np.int64), FLOAT)


def test_a_row_of_the_table_is_what_training_gives_again() -> None:
    """The same training here and now: equal where torch is the same, a few images apart elsewhere."""
    table, cell = digits_cells(), int(digits_cells().cells[3])
    small = replace(DIGITS_CELLS, numerics=DIGITS_CELLS.numerics[:2])
    (line,) = Tabulate(small)(Training(cell, 1, 1.0))
    assert line["parameters"] == table.parameters[3]
    assert abs(line["validation"][1] / 599 - table.validation[3, 1, 0, 1]) < 0.05


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    small = replace(DIGITS_CELLS, name="small", operations=("none", "skip_connect"), seeds=1, fidelities=(1.0,))
    asked = trainings(small)
    assert len(asked) == len(small.space().representatives) == len(set(asked))
    lines = [
        {**training._asdict(), "parameters": 5, "seconds": 0.5, "validation": [training.cell] * 7, "test": [1] * 7}
        for training in asked
    ]
    path = write_table(small, lines, tmp_path)
    with np.load(path, allow_pickle=False) as archive:
        assert archive["validation"][:, 0, 0, 0].tolist() == archive["cells"].tolist()
        assert archive["seconds"].sum() == 0.5 * len(asked)


def write_published(path: Path, **changed: np.ndarray) -> Path:
    space = CellSpace()
    numbers = np.random.default_rng(0).permutation(space.size)
    ops = np.stack([space.genotype_of(int(number)) for number in numbers]).astype(np.int8)
    columns = {"ops": ops, "params": numbers, "acc200_cifar10_test": numbers / 200, "acc12_cifar10_test": numbers / 400}
    np.savez(path, **{**columns, **changed})
    return path


def test_the_published_table_is_read_by_operations_whatever_its_order(tmp_path: Path) -> None:
    table = read_nasbench201(write_published(tmp_path / "t.npz"))
    assert len(table.cells) == 5424
    assert np.allclose(table.accuracy(FLOAT), table.cells / 20_000)
    assert np.allclose(table.accuracy(Numerics(8, 8), fidelity=0.06), table.cells / 40_000)
    assert table.parameters.tolist() == table.cells.tolist()
    with pytest.raises(SpecError, match="numerics"):
        table.column(Numerics(4, 4))


def test_a_published_table_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the file"):
        read_nasbench201(tmp_path / "none.npz")
    with pytest.raises(SpecError, match="each of the 15625"):
        read_nasbench201(write_published(tmp_path / "t.npz", ops=np.zeros((15625, 6), np.int8)))
    with pytest.raises(SpecError, match="acc200_cifar100_test"):
        read_nasbench201(write_published(tmp_path / "u.npz"), "cifar100")
    (tmp_path / "v.npz").write_text("no")
    with pytest.raises(SpecError, match="npz"):
        read_nasbench201(tmp_path / "v.npz")
