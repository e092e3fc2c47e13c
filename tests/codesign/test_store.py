"""The run store: durable at once, generations all or nothing, never overwrites."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from codesign.estimate.base import Estimate
from codesign.store import EvaluatedPair, RunStore
from codesign.two_level.ledger import Ledger
from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics

ESTIMATE = Estimate(0.1, 0.1, {"accuracy": 0.9, "accuracy_test": 0.8}, 1.0, "training", (0.85, 0.95), True, 2.5)
NUMERICS = (*Numerics(8, 8, conductance_sigma=0.05),)
PAIR = EvaluatedPair((1, 2), NUMERICS, "k", {"energy_j": 1 / 3})


def test_weights_and_estimates_survive_a_reader_that_never_closed(tmp_path: Path):
    store = RunStore.create(tmp_path / "run", {"seed": 1})
    store.put("w", b"\x00\x01", 1.5)
    store.keep_estimate("k", ESTIMATE)
    other = RunStore.open(tmp_path / "run")
    assert other.get("w") == b"\x00\x01"
    assert other.get("none") is None
    assert other.estimate("k") == ESTIMATE
    assert other.estimate("none") is None


def test_a_generation_is_there_whole_or_not_at_all(tmp_path: Path):
    store = RunStore.create(tmp_path / "run", {})
    store.keep_estimate("k", ESTIMATE)
    state = {"genotypes": np.arange(4).reshape(2, 2), "objectives": np.array([[0.1, np.nan]])}
    store.commit(0, [PAIR], state, Ledger(considered=5, pruned={"duplicate": 2}))
    with pytest.raises(sqlite3.IntegrityError):
        store.commit(0, [PAIR], state, Ledger())
    store.commit(1, [], state, Ledger())
    with pytest.raises(sqlite3.IntegrityError):
        # The pairs go in and the generation is refused: none of the pairs may stay.
        store.commit(1, [PAIR], state, Ledger())
    assert [pair for _, pair, _ in store.pairs()] == [PAIR]
    generation = store.generations()[0]
    assert generation.ledger.pruned == {"duplicate": 2}
    assert np.array_equal(generation.strategy["objectives"], state["objectives"], equal_nan=True)
    assert generation.strategy["genotypes"].dtype == np.int64


def test_numbers_come_back_to_the_bit(tmp_path: Path):
    store = RunStore.create(tmp_path / "run", {})
    odd = Estimate(0.1 + 0.2, 1e-300, {"perplexity": 1 / 3}, 1.0, "t", (2 / 3,))
    store.keep_estimate("k", odd)
    store.commit(0, [PAIR], {}, Ledger())
    (_, pair, estimate), *_ = RunStore.open(tmp_path / "run").pairs()
    assert estimate == odd
    assert pair == PAIR


def test_numerics_of_an_earlier_version_are_ideal_where_it_knew_nothing(tmp_path: Path):
    store = RunStore.create(tmp_path / "run", {})
    store.keep_estimate("k", ESTIMATE)
    store.commit(0, [PAIR._replace(numerics=NUMERICS[:9])], {}, Ledger())
    (_, pair, _), *_ = store.pairs()
    assert pair.numerics == NUMERICS


def test_fast_pairs_of_unfinished_generations_are_not_read(tmp_path: Path):
    store = RunStore.create(tmp_path / "run", {})
    genotypes, reason = np.array([[0, 1], [2, 3]]), np.array([0, 4], np.int8)
    for number in (0, 1):
        store.write_fast(number, genotypes, reason, {"energy_j": np.array([1.0, np.nan])})
    store.commit(0, [], {}, Ledger())
    found = store.read_fast(["reason", "gene_1", "energy_j"])
    assert found["reason"].tolist() == [0, 4]
    assert found["gene_1"].tolist() == [1, 3]
    assert RunStore.create(tmp_path / "empty", {}).read_fast(["reason"])["reason"].size == 0


def test_an_occupied_folder_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(SpecError, match="a new or empty folder"):
        RunStore.create(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(SpecError, match=r"manifest\.json"):
        RunStore.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
