"""The FPGA families in joint spaces: the best design of a network, benchmarks of all pairs, the example run."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from codesign.app.assemble import dataset_of, joint_space
from codesign.app.config import load_config
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import Fronts
from codesign.estimate.table import digits_cells
from codesign.hardware_search.best import best_design
from codesign.space.hardware import HardwareSpace
from hwmodels.catalog import device
from hwmodels.evaluate import evaluate, evaluate_pairs
from hwmodels.families.base import family
from hwmodels.families.spec import numerics_of
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network


def test_the_best_engine_of_a_network_under_a_board_is_that_of_all() -> None:
    chip = device("zcu104")
    axes = {"tile_m": [16, 32, 64], "tile_n": [4, 8, 12], "tile_rows": [7, 14], "tile_cols": [7, 14],
            "loop_order": ["outputs", "inputs", "weights"], "input_port": [4, 8]}  # fmt: skip
    grid = HardwareSpace(chip.model, chip.spec, axes)
    workload = rewrite(network("resnet18"), COMPILED)
    found = best_design(grid, layer_table([workload]), objective="latency_s", constraints={"binding_share": 1.0})
    assert found.exact
    assert found.met < grid.size
    best, refused = np.inf, 0
    for values in product(*axes.values()):
        spec = chip.spec.revised(dict(zip(axes, values, strict=True)), where="test")
        report = evaluate(workload, chip.model, spec)
        refused += report.infeasible is not None
        if report.infeasible is None:
            best = min(best, report.total("latency_s"))
    assert 0 < refused < grid.size
    assert found.value == best


def test_a_large_grid_is_searched_exactly_and_whole_networks_are_costed_by_the_thousand() -> None:
    chip = device("zcu102")
    axes = {"tile_m": list(range(8, 168, 8)), "tile_n": list(range(4, 44, 4)), "tile_rows": [7, 8, 14, 28],
            "tile_cols": [7, 8, 14, 28], "input_port": [8, 16, 32], "weight_port": [16, 32, 64]}  # fmt: skip
    grid = HardwareSpace(chip.model, chip.spec, axes)
    assert grid.size == 28_800
    table = layer_table([rewrite(network("alexnet"), COMPILED)])
    found = best_design(grid, table, objective="latency_s", constraints={"binding_share": 1.0})
    every = grid.enumerate()
    costs = evaluate_pairs(
        chip.model, table, grid.table(every), network=np.zeros(grid.size, np.int64), config=np.arange(grid.size)
    )
    assert found.exact
    assert found.value == costs.columns["latency_s"][costs.infeasible == 0].min()


def test_bits_change_accuracy_and_packing_on_the_front_of_all_pairs() -> None:
    """pairs-digits on the Ultra96: both widths are on the front, and the points are those of brute force."""
    knobs = {"tile_m": [4, 16], "tile_n": [4, 8], "tile_rows": [4], "tile_cols": [4], "weight_bits": [4, 8],
             "input_port": [4], "weight_port": [8], "loop_order": ["outputs"]}  # fmt: skip
    small = replace(benchmark("pairs-digits", "fpga"), knobs=knobs)
    fronts = Fronts(small, digits_cells())
    space = fronts.space.hardware
    designs = space.enumerate()
    used = space.model.config_metrics(space.table(designs))["dsps_used"]
    bits = np.array([space.decode(one)["weight_bits"] for one in designs])
    for tile in {tuple(one) for one in designs[:, :2].tolist()}:
        at = (designs[:, :2] == tile).all(axis=1)
        assert used[at & (bits == 8)] == 2 * used[at & (bits == 4)]
    numerics = [numerics_of(row) for row in space.numerics(designs)]
    assert {(one.weight_bits, one.activation_bits) for one in numerics} == {(4, 4), (8, 8)}
    narrow, wide = (fronts.table.accuracy(next(one for one in numerics if one.weight_bits == b)) for b in (4, 8))
    assert narrow.mean() < wide.mean()
    table, place = fronts.space.architecture.lower(
        np.stack([fronts.table.space.genotype_of(int(cell)) for cell in fronts.table.cells]), COMPILED
    )
    n, c = len(fronts.table.cells), len(designs)
    costs = evaluate_pairs(
        space.model, table, space.table(designs), network=place[np.repeat(np.arange(n), c)],
        config=np.tile(np.arange(c), n),
    )  # fmt: skip
    allowed = (costs.infeasible == 0) & (costs.columns["latency_s"] <= small.constraints["latency_s"])
    least = costs.columns["energy_j"][allowed].min()
    assert fronts.true.points[:, 1].min() == pytest.approx(least, rel=1e-12)
    assert fronts.true.pairs == n * c


def test_the_example_names_a_board_and_knobs_of_the_family() -> None:
    config = load_config(Path(__file__).parents[4] / "examples" / "fpga_search.yaml")
    space = joint_space(config, dataset_of(config.data))
    assert space.hardware.model is family("fpga")
    assert space.hardware.size == 2 * 5 * 5 * 3 * 3 * 3 * 3 * 3
    pairs = space.sample(40, np.random.default_rng(0))
    networks, designs = space.split(pairs)
    table, place = space.architecture.lower(networks, COMPILED)
    costs = evaluate_pairs(
        space.hardware.model, table, space.hardware.table(designs), network=place, config=np.arange(len(pairs))
    )
    within = (costs.infeasible == 0) & (costs.columns["latency_s"] <= 100e-6)
    assert within.any()
    assert not within.all()


def test_an_estimate_says_what_is_taken_of_the_board_and_what_binds(capsys: pytest.CaptureFixture[str]) -> None:
    from codesign.cli.estimate import _print_resources

    chip = device("zcu102")
    _print_resources(evaluate(network("alexnet"), chip.model, chip.spec))
    told = capsys.readouterr().out
    assert told.startswith("  resources   dsps 1,152 (46%), luts ")
    assert told.endswith("bram18s bind\n")
    cpu = device("rpi4")
    _print_resources(evaluate(network("alexnet"), cpu.model, cpu.spec))
    assert capsys.readouterr().out == ""
