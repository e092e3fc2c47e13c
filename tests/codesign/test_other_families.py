"""Families whose layers do not add up, and one that holds another's Spec, from the command line to the report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.exact.listing import enumerate_space, list_designs, list_networks
from codesign.hardware_search.best import best_design
from codesign.pareto import non_dominated
from codesign.space.chain import ChainSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families import base
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table
from tests.hwmodels.toy_families import PIPELINE, PLACEMENT, TWO_ARRAYS, PairSpec, StageSpec

TOYS = {"toy_pipeline": "PIPELINE", "toy_placement": "PLACEMENT", "toy_two_arrays": "TWO_ARRAYS"}
KNOBS = {
    "toy_pipeline": {"cut": [1, 2, 4], "rate": [1e8, 1e9]},
    "toy_placement": {"cut": [1, 2, 4], "rate": [1e8, 1e9]},
    "toy_two_arrays": {"array.array_rows": [8, 32], "link_bytes_per_s": [1e8, 1e9]},
}
OBJECTIVES = {
    "toy_pipeline": ["energy_j", "throughput_items_per_s"],
    "toy_placement": ["energy_j", "latency_s"],
    "toy_two_arrays": ["latency_s", "area_mm2"],
}
every_toy = pytest.mark.parametrize("family", TOYS)


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """The toy families as registered ones, with a device file each."""
    places = {name: f"tests.hwmodels.toy_families:{model}" for name, model in TOYS.items()}
    monkeypatch.setattr(base, "_BUILT_IN", {**base._BUILT_IN, **places})
    for name in TOYS:
        knob = next(iter(KNOBS[name]))
        text = f"name: {name}\nfamily: {name}\nsummary: a toy\nknobs:\n"
        (tmp_path / f"{name}.yaml").write_text(f"{text}  {knob}: {{value: {KNOBS[name][knob][0]}, source: a toy}}\n")
    return tmp_path


def small_networks() -> ChainSpace:
    return ChainSpace(
        stages=2, kernel=(1, 3), width=(4, 8), depth=(1, 2), stride=(1,), bits=(8,), input_shape=(1, 8, 8)
    )


def run_file(toys, family: str, **changes):
    content = {
        "generations": 2,
        "architecture": {"space": "chain", "stages": 2, "width": [4, 8], "kernel": [1, 3], "bits": [8]},
        "hardware": {"device": str(toys / f"{family}.yaml"), "knobs": KNOBS[family]},
        "objectives": OBJECTIVES[family],
        "fast": {"pairs": 200},
        "slow": {"trainings": 1, "classes": 1},
        "estimator": {"name": "training", "draws": 1, "recipe": {"epochs": 1}},
        "executor": {"name": "serial", "portable": False},
        **changes,
    }
    path = toys / "run.yaml"
    path.write_text(json.dumps(content))
    return path


@every_toy
def test_one_network_and_a_grid_from_the_command_line(run, toys, family: str) -> None:
    code, out, err = run("estimate", "lenet5", "--device", toys / f"{family}.yaml", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["totals"]["latency_s"] > 0
    assert record["groups"] == []
    code, out, _ = run("estimate", "lenet5", "--device", toys / f"{family}.yaml")
    assert code == 0
    assert "throughput" in out
    axes = [
        part for knob, values in KNOBS[family].items() for part in ("--set", f"{knob}={','.join(map(str, values))}")
    ]
    code, out, err = run("sweep", "lenet5", "--family", family, *axes, "--json")
    assert (code, err) == (0, "")
    assert len(json.loads(out)) == np.prod([len(values) for values in KNOBS[family].values()])
    assert run("sweep", "lenet5", "--family", family, *axes)[0] == 0


def test_each_model_of_a_folder_is_listed_and_the_folder_is_validated_once(run, monkeypatch) -> None:
    place = "tests.hwmodels.toy_folder.model"
    names = {"toy_folder": "MODEL", "toy_folder_streaming": "STREAMING"}
    places = {name: f"{place}:{model}" for name, model in names.items()}
    monkeypatch.setattr(base, "_BUILT_IN", {**base._BUILT_IN, **places})
    records = {record["name"]: record for record in json.loads(run("families", "--json")[1])}
    assert set(names) <= set(records)
    assert records["toy_folder_streaming"]["meaning"] == "two engines in a row, layer by layer"
    listed = [(record["family"], record["name"]) for record in json.loads(run("assumptions", "--json")[1])]
    assert ("toy_folder", "engines") in listed
    assert ("toy_folder_streaming", "queue") in listed
    assert ("toy_folder", "queue") not in listed
    scores = json.loads(run("validate", *names, "--json")[1])
    assert [record["family"] for record in scores] == list(names)


@every_toy
def test_a_search_and_its_report(run, toys, family: str) -> None:
    assert run("search", run_file(toys, family), "-o", toys / "out")[0] == 0
    front = json.loads((toys / "out/front.json").read_text())
    assert front
    assert set(OBJECTIVES[family]) <= set(front[0]["objectives"])
    assert f"Layers of the family {family} have no costs of their own." in (toys / "out/report.html").read_text()
    assert run("report", toys / "out")[0] == 0


@every_toy
def test_an_enumeration_equals_every_pair_one_by_one(run, toys, family: str) -> None:
    model, spec = {
        "toy_pipeline": (PIPELINE, StageSpec()), "toy_placement": (PLACEMENT, StageSpec()),
        "toy_two_arrays": (TWO_ARRAYS, PairSpec()),
    }[family]  # fmt: skip
    space = JointSpace(small_networks(), HardwareSpace(model, spec, KNOBS[family]))
    networks, designs = list_networks(space.architecture, COMPILED), list_designs(space.hardware)
    limits = {"latency_s": "<= 0.004"} if family == "toy_pipeline" else {"throughput_items_per_s": 100.0}
    found = enumerate_space(
        space, networks, designs, objectives=tuple(OBJECTIVES[family]), constraints=limits
    ).enumeration
    points = []
    for genotype in networks.genotypes:
        workload = rewrite(space.architecture.workload(genotype), COMPILED)
        for design in designs.genotypes:
            report = evaluate(workload, model, space.hardware.spec(design))
            kept = report.totals["latency_s"] <= 0.004 if "latency_s" in limits else report.items_per_s >= 100.0
            signs = [-1 if name == "throughput_items_per_s" else 1 for name in OBJECTIVES[family]]
            values = [sign * report.totals[name] for sign, name in zip(signs, OBJECTIVES[family], strict=True)]
            points.append(values if kept and report.infeasible is None else [np.inf] * len(values))
    points = np.array(points)
    possible = np.isfinite(points[:, 0])
    assert possible.sum() > 0
    front = np.flatnonzero(possible)[non_dominated(points[possible])]
    pairs = sorted(divmod(int(i), len(designs.genotypes)) for i in front)
    assert sorted(zip(found.network.tolist(), found.design.tolist(), strict=True)) == pairs
    assert run("enumerate", run_file(toys, family), "-o", toys / "whole")[0] == 0
    assert json.loads((toys / "whole/front.json").read_text())
    code, _, err = run("enumerate", run_file(toys, family), "-o", toys / "all", "--all-pairs")
    assert code == 2
    assert "of layers that add up" in err
    assert not (toys / "all").exists()


def test_hardware_search_without_layer_sums(run, toys) -> None:
    """The inner search meets every design; the whole grid is refused before anything is written."""
    space = HardwareSpace(PLACEMENT, StageSpec(), KNOBS["toy_placement"])
    table = layer_table([rewrite(small_networks().workload(np.array([1, 1, 0, 0, 0, 0, 0, 1, 0, 0])), COMPILED)])
    found = best_design(space, table, objective="throughput_items_per_s")
    assert space.decode(found.genotypes[0]) == {"cut": 4, "rate": 1e9}
    file = run_file(toys, "toy_placement", hardware={
        "device": str(toys / "toy_placement.yaml"), "knobs": KNOBS["toy_placement"], "search": "front",
    })  # fmt: skip
    code, _, err = run("search", file, "-o", toys / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "hardware.search: front: family toy_placement is not of layers that add up" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": ["cut"]}, "objectives: cut is not a metric of which less or more is better"),
        ({"constraints": {"latency_s": ">= 2 J"}}, "constraints: latency_s:"),
        ({"constraints": {"latency": 2}}, "did you mean latency_s"),
    ],
)
def test_wrong_directions_and_bounds_are_told_in_one_line(run, toys, change, message: str) -> None:
    code, _, err = run("search", run_file(toys, "toy_pipeline", **change), "-o", toys / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (toys / "out").exists()


def test_limits_in_a_file_go_both_ways(toys) -> None:
    limits = {"throughput_items_per_s": ">= 30", "latency_s": "<= 2 ms", "energy_j": "1 uJ", "interval_s": 2}
    config = parse_config({**json.loads(run_file(toys, "toy_pipeline").read_text()), "constraints": limits})
    assert config.constraints == {
        "throughput_items_per_s": ">= 30.0", "latency_s": "<= 0.002", "energy_j": 1e-6, "interval_s": 2.0
    }  # fmt: skip
    again = parse_config(json.loads(config.model_dump_json()))
    assert again.constraints == config.constraints
    with pytest.raises(SpecError, match="interval_s"):
        parse_config({**json.loads(run_file(toys, "toy_pipeline").read_text()), "constraints": {"interval_s": ">= -1"}})
