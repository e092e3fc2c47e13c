"""A slice of benchmarks/tables/hybrid.py: arms are run sections, children are told apart, scores by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from codesign.estimate.table import digits_cells
from codesign.registry import STRATEGIES
from hwmodels.numerics import FLOAT

FOLDER = Path(__file__).parents[3] / "benchmarks" / "tables"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        return loaded("hybrid")
    finally:
        sys.path.remove(str(FOLDER))


def test_every_arm_is_a_section_and_gains_are_of_arms(script: ModuleType) -> None:
    arms = {**script.CELL_ARMS, **script.ALONE_ARMS, **script.STAGE_ARMS}
    for arm in arms.values():
        assert STRATEGIES.parse(arm.section, "strategy").name == arm.section["name"]
    paired = sys.modules["hybrid_arms"].PAIRED
    assert {name for pair in paired for name in pair} <= set(arms)


@pytest.mark.parametrize("ascends", [True, False])
def test_a_search_pays_its_budget_and_knows_its_children(script: ModuleType, ascends: bool) -> None:
    """The first 20 are random; then a batch holds refined points, mutants, and random ones."""
    harness, table = sys.modules["hybrid_arms"], digits_cells()
    accuracy = table.accuracy(FLOAT)
    ground = harness.Ground(table.space, "rpi4", lambda points: 1.0 - accuracy[table.rows(points)])
    arm = script.ALONE_ARMS["+ hardware-aware" if ascends else "+ hardware-aware, model alone"]
    found = harness.searched(ground, arm, 0, 50, 10)
    assert len(found.genotypes) == 50
    assert found.points[:, 0] == pytest.approx(1.0 - accuracy[table.rows(found.genotypes)])
    assert (found.kind[:20] == harness.OTHER).all()
    counts = np.bincount(found.kind[20:], minlength=3)
    assert 10 <= counts[harness.REFINED] <= 18  # half of each batch, but where a climb met nothing new
    assert counts[harness.BRED] >= 9
    assert found.leads[0]


def test_scores_are_those_of_points(script: ModuleType) -> None:
    harness = sys.modules["hybrid_arms"]
    points = np.array([[0.1, 4.0, 1.0], [0.3, 2.0, 1.0], [0.5, 1.0, 1.0], [0.6, 3.0, 2.0]])
    front, limit = harness.front_of(points)
    assert limit == 2.0
    assert harness.judged(points, front, limit) == pytest.approx((90.0, 1.0, 70.0))
    assert harness.judged(points[:1], front, limit).within == 10.0
    assert 0 < harness.judged(points[:1], front, limit).share < 1
