"""A search whose children inherit weights: the same run on workers, interrupted and resumed, and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.app.export import export_pair, score_export
from codesign.app.run import begin, reopen
from codesign.estimate import inheritance
from codesign.report.summary import summarise
from codesign.run_rows import TrainedNetwork
from codesign.store import RunStore
from codesign.two_level.loop import Event
from tests.codesign.test_executor_search import content, rows

CONFIG = {
    "seed": 5,
    "generations": 3,
    "architecture": {
        "space": "chain", "stages": 2, "kernel": [3], "width": [4, 6, 8], "depth": [1, 2], "stride": [2],
        "bits": [4, 8],
    },
    "hardware": {"device": "rpi4"},
    "objectives": ["latency_s"],
    "strategy": {"name": "evolution", "population": 8, "sample": 3},
    "fast": {"pairs": 24},
    "slow": {"trainings": 3},
    "estimator": {"name": "inheriting", "draws": 1, "recipe": {"epochs": 2, "batch_size": 256}},
    "executor": {"name": "serial", "portable": False},
}  # fmt: skip


class Stopped(Exception):
    """An interruption at a place of choice."""


def searched(folder: Path, *, stop: Event | None = None, **changes: object) -> RunStore:
    def report(event: Event) -> None:
        if stop is not None and event[:3] == stop[:3]:
            raise Stopped

    run = begin(parse_config({**CONFIG, **changes}), folder)
    try:
        run.go(report)
    except Stopped:
        run = reopen(folder)
        run.go()
    return run.store


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return searched(tmp_path_factory.mktemp("inheriting") / "run")


def test_children_of_trained_networks_have_their_parents(whole: RunStore) -> None:
    parents = whole.parents()
    assert parents
    generation = {}
    for number, pair, _ in whole.pairs():
        generation.setdefault(pair.genotype[: len(next(iter(parents)).architecture)], number)
    for child, parent in parents.items():
        assert child.architecture != parent.architecture
        assert generation[parent.architecture] < generation[child.architecture]


@pytest.mark.parametrize(("generation", "done"), [(1, 0), (1, 1), (2, 2)])
def test_an_interrupted_run_ends_as_the_whole_one(whole: RunStore, tmp_path: Path, generation: int, done: int) -> None:
    store = searched(tmp_path / "run", stop=Event(generation, "slow", done, 0))
    assert content(store) == content(whole)
    assert store.parents() == whole.parents()


def test_workers_are_given_the_parents_weights(whole: RunStore, tmp_path: Path) -> None:
    executor = {"name": "process", "workers": 2, "portable": False}
    store = searched(tmp_path / "run", executor=executor)
    assert content(store) == content(whole)


def test_no_training_is_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is given the weights of the parent: what leads there is not trained again."""
    made, train = [], inheritance.train

    def counted(*arguments: Any, **keywords: Any) -> Any:
        made.append(arguments[0].name)
        return train(*arguments, **keywords)

    monkeypatch.setattr(inheritance, "train", counted)
    store = searched(tmp_path / "run")
    assert store.parents()
    assert len(made) == len(rows(store, "key", "weights"))


def test_lost_weights_are_trained_again(whole: RunStore, tmp_path: Path) -> None:
    """The lineage is whole without them, so the answers are those of the run."""
    run = begin(parse_config(CONFIG), tmp_path / "run")

    def report(event: Event) -> None:
        if event[:3] == (1, "slow", 0):
            run.store._execute("DELETE FROM weights")

    run.go(report)
    by_key = dict(rows(whole, "key, payload", "weights"))
    kept = dict(rows(run.store, "key, payload", "weights"))
    assert 0 < len(kept) < len(by_key)
    assert all(by_key[key] == payload for key, payload in kept.items())


def test_a_network_that_inherited_is_exported_with_its_score(whole: RunStore, tmp_path: Path) -> None:
    inherited = {child.architecture for child in whole.parents()}
    exported = 0
    for number in range(1, len(summarise(whole).front) + 1):
        export = export_pair(whole.folder, number, tmp_path / str(number))
        exported += tuple(export.record["genotype"])[: len(min(inherited))] in inherited
        found = score_export(tmp_path / str(number))
        assert found.metrics == found.archived
    assert exported


def test_a_strategy_without_parents_trains_from_new_weights(tmp_path: Path) -> None:
    inheriting = searched(tmp_path / "one", strategy={"name": "random"}, generations=2)
    estimator = {**CONFIG["estimator"], "name": "training"}  # type: ignore[dict-item]
    plain = searched(tmp_path / "other", strategy={"name": "random"}, generations=2, estimator=estimator)
    assert content(inheriting) == content(plain)
    assert inheriting.parents() == {}


def test_parents_are_kept_as_they_are_told(tmp_path: Path) -> None:
    store = RunStore.create(tmp_path / "run", {})
    child, parent = TrainedNetwork((1, 2), 0.5), TrainedNetwork((0, 2), 1.0)
    store.keep_parent(child, parent)
    assert RunStore.open(tmp_path / "run").parents() == {child: parent}
    store._execute("UPDATE parents SET parent = 'broken'")
    tolerant = RunStore.open(tmp_path / "run", tolerant=True)
    assert tolerant.parents() == {}
    assert len(tolerant.damage) == 1
    assert np.isfinite(child.fidelity)
