"""A first generation that is carried over: which pairs it proposes, and runs that begin with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.app.warm_start import carried_points
from codesign.report.summary import Summary, space_of, summarise
from codesign.two_level.loop import Event
from codesign.two_level.warm_start import first_proposal
from hwmodels.errors import SpecError

CELLS = {
    "space": "cell", "channels": 4, "cells": 1, "stages": 3,
    "operations": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"],
}  # fmt: skip
KNOBS = {"threads": [1, 2, 4], "l2_bytes": [262144, 1048576]}


def run_file(**changes: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "generations": 2,
        "data": {"name": "noisy-digits"},
        "architecture": CELLS,
        "hardware": {"device": "rpi4", "knobs": KNOBS},
        "objectives": ["latency_s", "energy_j"],
        "strategy": {"name": "nsga2"},
        "fast": {"pairs": 60},
        "estimator": "table",
        "executor": "serial",
        **changes,
    }


def searched(folder: Path, **changes: Any) -> Summary:
    run = begin(parse_config(run_file(**changes)), folder)
    run.go()
    run.store.close()
    return summarise(folder)


def networks_of(folder: Path, **changes: Any) -> set[tuple[int, ...]]:
    """Networks that the first generation proposed."""
    run = begin(parse_config(run_file(**{"generations": 1, **changes})), folder)
    run.go()
    genes = [f"gene_{i}" for i in range(run.space.architecture.n_genes)]
    columns = run.store.read_fast(genes)
    run.store.close()
    return set(zip(*(columns[name].tolist() for name in genes), strict=True))


def test_the_points_come_first_then_their_networks_on_other_designs() -> None:
    joint = space_of(parse_config(run_file()))
    points = joint.sample(3, np.random.default_rng(0))
    points[:2, -2:] = [[0, 0], [-1, -1]]
    found = first_proposal(joint, joint, points, 20, np.random.default_rng(1)).genotypes
    assert found.shape == (20, joint.n_genes)
    assert joint.valid(found).all()
    assert np.array_equal(found[[0, 2]], points[[0, 2]])
    networks, designs = joint.split(found)
    assert np.array_equal(networks, joint.split(points)[0][np.arange(20) % 3])
    assert len(np.unique(designs, axis=0)) > 3
    assert len(first_proposal(joint, joint, points, 2, np.random.default_rng(1)).genotypes) == 2


def test_networks_alone_are_proposed_once_each() -> None:
    joint = space_of(parse_config(run_file()))
    points = joint.sample(4, np.random.default_rng(0))
    points = np.concatenate([points, points])
    found = first_proposal(joint.architecture, joint, points, 20, np.random.default_rng(1)).genotypes
    assert len(found) == len(np.unique(joint.architecture.canonical(joint.split(points)[0]), axis=0))
    assert len(first_proposal(joint.architecture, joint, points, 2, np.random.default_rng(1)).genotypes) == 2


def test_networks_on_hardware_without_a_knob_are_proposed_once() -> None:
    joint = space_of(parse_config(run_file(hardware={"device": "rpi4"})))
    points = joint.sample(4, np.random.default_rng(0))
    found = first_proposal(joint, joint, points, 20, np.random.default_rng(1)).genotypes
    assert np.array_equal(found, points)


def test_a_front_is_carried_to_another_device_and_family(tmp_path: Path) -> None:
    front = searched(tmp_path / "first").front
    known = {tuple(pair.genotype[: len(pair.genotype) - 2]) for pair in front}
    warm = {"warm_start": {"run": str(tmp_path / "first")}}
    assert networks_of(tmp_path / "again", **warm) == known
    chip = {"device": "systolic_edge", "knobs": {"array_rows": [8, 16]}}
    assert networks_of(tmp_path / "chip", **warm, hardware=chip) == known
    inner = {"device": "rpi4", "knobs": KNOBS, "search": "front"}
    assert networks_of(tmp_path / "inner", **warm, hardware=inner) == known
    assert networks_of(tmp_path / "cold") != known


def test_knobs_are_carried_over_by_name_and_value(tmp_path: Path) -> None:
    searched(tmp_path / "first")
    other = {"device": "rpi4", "knobs": {"layout": ["nhwc", "blocked"], "threads": [4, 2, 1]}}
    space = space_of(parse_config(run_file(hardware=other)))
    layouts, threads = carried_points(tmp_path / "first", space, most=100)[:, -2:].T
    assert (layouts == -1).all()
    fronts = {pair.hardware["threads"] for pair in summarise(tmp_path / "first").front}
    assert {(4, 2, 1)[i] for i in threads} == fronts


def test_no_more_than_asked_for(tmp_path: Path) -> None:
    front = searched(tmp_path / "first").front
    space = space_of(parse_config(run_file()))
    assert len(front) > 1
    assert len(carried_points(tmp_path / "first", space, most=1)) == 1


def test_a_run_goes_on_without_the_one_that_it_began_with(tmp_path: Path) -> None:
    searched(tmp_path / "first")
    warm = {"warm_start": {"run": str(tmp_path / "first")}, "generations": 3}
    whole = searched(tmp_path / "whole", **warm)

    class Stop(Exception):
        pass

    def stop(event: Event) -> None:
        if event.generation == 1:
            raise Stop

    run = begin(parse_config(run_file(**warm)), tmp_path / "parts")
    with pytest.raises(Stop):
        run.go(stop)
    run.store.close()
    shutil.rmtree(tmp_path / "first")
    again = reopen(tmp_path / "parts")
    again.go()
    again.store.close()
    assert [pair.genotype for pair in summarise(tmp_path / "parts").evaluated] == [
        pair.genotype for pair in whole.evaluated
    ]


@pytest.mark.parametrize(
    ("warm", "said"),
    [
        ({}, "warm_start: neither run nor points"),
        ({"run": "nowhere"}, "a folder with a manifest.json"),
        ({"points": [[0, 0]]}, "warm_start.points: 2 genes is not points of"),
        ({"points": [[99] * 7]}, "warm_start.points"),
    ],
)
def test_what_cannot_begin_a_run_is_refused_and_nothing_is_made(
    tmp_path: Path, warm: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=said):
        begin(parse_config(run_file(warm_start=warm)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_of_other_networks_is_refused(tmp_path: Path) -> None:
    searched(tmp_path / "first")
    warm = {"run": str(tmp_path / "first")}
    pooled = {**CELLS, "operations": ["avg_pool_3x3"]}
    with pytest.raises(SpecError, match=r"no network of .* is not one of this space"):
        begin(parse_config(run_file(warm_start=warm, architecture=pooled, estimator="none")), tmp_path / "run")
    chain = {"space": "chain", "stages": 2, "width": [4, 8], "depth": [1], "bits": [8]}
    with pytest.raises(SpecError, match="a run without the gene"):
        begin(parse_config(run_file(warm_start=warm, architecture=chain, estimator="none")), tmp_path / "run")
