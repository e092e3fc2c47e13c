"""Every registered strategy in the two-level loop on a small joint space: a search, and one that is cut and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.registry import STRATEGIES
from codesign.store import RunStore
from codesign.two_level.loop import Search, run_search
from tests.codesign.toys import FormulaEstimator, toy_search


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_a_run_finds_a_front_and_a_resumed_one_the_same(name: str, tmp_path: Path) -> None:
    def search(estimator: FormulaEstimator) -> Search:
        return toy_search(
            strategy=lambda problem: STRATEGIES.parse(name, "strategy").make(problem),
            estimator=estimator, pairs=100, generations=3,
        )  # fmt: skip

    healthy = FormulaEstimator()
    whole = run_search(search(healthy), RunStore.create(tmp_path / "whole", {}))
    assert len(whole.archive.front()) > 0 or name in LOW_FIDELITY
    assert whole.ledger.evaluated > 0
    store = RunStore.create(tmp_path / "cut", {})
    with pytest.raises(KeyboardInterrupt):
        run_search(search(FormulaEstimator(fail_after=healthy.calls * 2 // 3)), store)
    store.close()
    again = run_search(search(FormulaEstimator()), RunStore.open(tmp_path / "cut"))
    assert [m.genotype for m in again.archive.members] == [m.genotype for m in whole.archive.members]
    assert [m.costs for m in again.archive.front()] == [m.costs for m in whole.archive.front()]


LOW_FIDELITY = frozenset({"bohb", "hyperband", "successive_halving"})
"""Strategies whose first pairs are of low fidelity, which a front does not hold."""
