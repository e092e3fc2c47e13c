"""The inner hardware optimiser: exact against evaluating every design, evolution close to it."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.exact.listing import list_designs
from codesign.hardware_search.best import EnumeratedDesigns, EvolvedDesigns, best_design
from codesign.space.hardware import HardwareSpace
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

TABLE = layer_table([network("mobilenet_v2"), network("resnet18")])


def grid(name: str) -> HardwareSpace:
    chip = device(name)
    knobs = {
        "systolic_edge": {
            "array_rows": [8, 16, 32, 64, 128, 256],
            "array_cols": [8, 16, 32, 64, 128],
            "ifmap_sram_bytes": [256, 65536, 524288],
            "ofmap_sram_bytes": [65536, 524288],
            "dram_bytes_per_s": [3.2e9, 12.8e9, 51.2e9],
        },
        "rram_edge": {
            "array_rows": [64, 128, 256],
            "array_cols": [64, 128, 256],
            "tiles": [8, 48, 200],
            "duplication": [1, 4, 16],
            "columns_per_adc": [8, 32],
        },
    }[name]
    return HardwareSpace(chip.model, chip.spec, knobs)


def everything(space: HardwareSpace, which: int):
    designs = list_designs(space)
    place = np.arange(space.size)
    return evaluate_pairs(space.model, TABLE, designs.configs, network=np.full(space.size, which), config=place)


CASES = [
    ("systolic_edge", "latency_s", {}),
    ("systolic_edge", "latency_s", {"area_mm2": 1.5}),
    ("systolic_edge", "energy_j", {"latency_s": 5e-3, "area_mm2": 3.0}),
    ("systolic_edge", "area_mm2", {"latency_s": 5e-3}),
    ("systolic_edge", "utilisation", {"latency_s": 2e-3}),
    ("rram_edge", "energy_j", {"latency_s": 2e-3}),
    ("rram_edge", "interval_s", {"area_mm2": 100.0}),
]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(("name", "objective", "constraints"), CASES)
def test_the_best_designs_are_those_of_all(name: str, objective: str, constraints: dict, which: int) -> None:
    space = grid(name)
    costs = everything(space, which)
    allowed = costs.infeasible == 0
    for metric, limit in constraints.items():
        allowed &= costs.columns[metric] <= limit
    found = best_design(space, TABLE, objective=objective, constraints=constraints, network=which)
    assert found.exact
    assert found.designs == space.size
    if not allowed.any():
        assert found.value == np.inf
        assert len(found.genotypes) == 0
        return
    values = costs.columns[objective]
    least = values[allowed].max() if objective == "utilisation" else values[allowed].min()
    best = np.flatnonzero(allowed & (values == least))
    assert found.value == least
    assert np.array_equal(found.genotypes, space.enumerate()[best])
    assert np.array_equal(found.columns["energy_j"], costs.columns["energy_j"][best])


def test_the_cases_are_neither_all_possible_nor_all_impossible() -> None:
    assert len(best_design(grid("systolic_edge"), TABLE, objective="latency_s").genotypes) > 0
    assert (everything(grid("rram_edge"), 1).infeasible > 0).any()
    assert (everything(grid("systolic_edge"), 1).infeasible > 0).any()


def test_bounds_drop_designs_before_they_are_costed_whole() -> None:
    found = best_design(grid("systolic_edge"), TABLE, objective="latency_s", network=1)
    assert found.met < 0.7 * found.designs
    space = grid("systolic_edge")
    small = (list_designs(space).columns["area_mm2"] <= 1.0).sum()
    assert best_design(space, TABLE, objective="utilisation", constraints={"area_mm2": 1.0}).met <= small + 256


def test_limits_that_nothing_meets() -> None:
    found = best_design(grid("systolic_edge"), TABLE, objective="energy_j", constraints={"area_mm2": 1e-9})
    assert len(found.genotypes) == 0
    assert found.value == np.inf


def test_evolution_comes_close_and_keeps_the_limits() -> None:
    space, limits = grid("systolic_edge"), {"area_mm2": 1.5}
    exact = EnumeratedDesigns(space, "latency_s", limits)(TABLE, 1, np.random.default_rng(0))
    found = EvolvedDesigns(space, "latency_s", limits, population=40, generations=25)(
        TABLE, 1, np.random.default_rng(0)
    )
    assert not found.exact
    assert exact.value <= found.value <= 1.1 * exact.value
    assert (found.columns["area_mm2"] <= 1.5).all()
    again = EvolvedDesigns(space, "latency_s", limits, population=40, generations=25)(
        TABLE, 1, np.random.default_rng(0)
    )
    assert np.array_equal(found.genotypes, again.genotypes)


def test_a_grid_beyond_the_limit_is_evolved() -> None:
    found = best_design(grid("systolic_edge"), TABLE, objective="latency_s", largest_grid=100)
    assert not found.exact
    assert np.isfinite(found.value)


def test_unknown_metrics_are_told() -> None:
    with pytest.raises(SpecError, match="did you mean latency_s"):
        best_design(grid("systolic_edge"), TABLE, objective="latency")
    with pytest.raises(SpecError, match="did you mean area_mm2"):
        best_design(grid("systolic_edge"), TABLE, objective="latency_s", constraints={"area": 1.0})
