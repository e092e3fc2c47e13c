"""A slice of benchmarks/tables/strategies.py: its rows are registered strategies, and duplicates are paid."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from codesign.estimate.published_cells import CELLS_FILE
from codesign.estimate.table import AccuracyTable, digits_cells, read_nasbench201
from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.strategy.base import Results
from codesign.strategy.nsga2 import NSGA2
from hwmodels.numerics import FLOAT

REFERENCE = os.environ.get("CODESIGN_REFERENCE")
needs_reference = pytest.mark.skipif(not REFERENCE, reason="CODESIGN_REFERENCE names no reference files")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "tables" / "strategies.py"
    spec = importlib.util.spec_from_file_location("strategies_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_row_is_a_strategy_with_valid_settings(script: ModuleType) -> None:
    for section in script.SETTINGS.values():
        assert STRATEGIES.parse(section, "strategy").name == section["name"]
    assert set(script.RECORDED) <= set(script.SETTINGS)


def test_a_search_is_paid_by_the_proposal(script: ModuleType) -> None:
    """Random search over the cells of one table: best after each of 40, as by a plain loop with the same generator."""
    table: AccuracyTable = digits_cells()
    found = script.searched(table, {"name": "random"}, 3, 40)
    rng, best, plain = np.random.default_rng([3]), 0.0, []
    for _ in range(40):
        best = max(best, 100 * float(table.accuracy(FLOAT)[table.rows(table.space.sample(1, rng))[0]]))
        plain.append(best)
    assert found == pytest.approx(plain)


@needs_reference
def test_learning_beats_random_on_published_cells(script: ModuleType) -> None:
    """Gain at 100 networks .38 and .48 points with deviation .30 over 200 seeds: 10 seeds are 4 deviations above 0."""
    table = read_nasbench201(Path(str(REFERENCE)) / CELLS_FILE)
    seeds = range(10)
    random = np.array([script.searched(table, script.SETTINGS["random"], seed, 100)[-1] for seed in seeds])
    for name in ("regularised_evolution", "local_search"):
        ours = np.array([script.searched(table, script.SETTINGS[name], seed, 100)[-1] for seed in seeds])
        assert (ours - random).mean() > 0


def test_a_problem_on_a_grid_is_pymoos(script: ModuleType) -> None:
    from pymoo.problems import get_problem

    space, objectives, reference = script.grid_problem("zdt1")
    points = space.sample(5, np.random.default_rng(0))
    assert np.array_equal(objectives(points), get_problem("zdt1", n_var=30).evaluate(points / 100))
    assert reference.tolist() == pytest.approx([1.1, 1.1])
    assert script.pymoo_population(script.NSGA3, "dtlz2") == 91  # directions of 12 parts [Deb and Jain, 2014]


def test_survival_of_nsga2_is_pymoos() -> None:
    """The hypervolume of what stays of one batch equals that of pymoo's survival of the same points, exactly."""
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    from codesign.pareto import hypervolume

    space = Space([Gene(str(i), tuple(range(50))) for i in range(8)])
    strategy, rng = NSGA2(space, population=20), np.random.default_rng(0)
    proposal = strategy.ask(60, rng)
    objectives = rng.random((60, 3))
    strategy.tell(proposal, Results.exact(objectives))
    theirs = RankAndCrowding().do(
        Problem(n_var=8, n_obj=3), Population.new(X=proposal.genotypes, F=objectives), n_survive=20,
        random_state=np.random.default_rng(0),
    ).get("F")  # fmt: skip
    corner = np.full(3, 1.1)
    assert hypervolume(strategy.state()["objectives"], corner) == hypervolume(theirs, corner)
