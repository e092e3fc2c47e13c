"""Plug-ins by name: built in, of a real third-party package, passed as objects; every mistake is told in one line."""

from __future__ import annotations

import json
import sys
from importlib import invalidate_caches
from pathlib import Path

import numpy as np
import pytest

import codesign
from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.estimate.table import digits_cells
from codesign.registry import REGISTRIES, STRATEGIES, Plugin, Settings
from codesign.space.chain import ChainSpace
from codesign.store import RunStore
from codesign.strategy.random import RandomSearch
from hwmodels.errors import SpecError
from tests.codesign.toys import FormulaEstimator

SHIPPED = (
    "bayesian", "bohb", "co_exploration", "darts", "edgenas", "enas", "evolution", "fbnet", "fnas", "grid", "hardcore",
    "hybrid", "hyperband", "la_dnas", "latin_hypercube", "local_search", "moga", "neat", "netadapt", "nsga2", "nsga3",
    "pc_darts", "proxyless", "random", "regularised_evolution", "reinforce", "successive_halving", "surrogate",
)  # fmt: skip
"""Strategies of the package."""

PACKAGE = '''
"""A package of another party: one plug-in of each kind."""

from codesign.estimate.base import Estimate
from codesign.executor.serial import SerialExecutor
from codesign.registry import Plugin, Settings
from codesign.space.chain import ChainSpace
from codesign.strategy.base import Proposal
from pydantic import BaseModel, Field


class Lazy:
    """Proposes the first valid points that it draws, over and over."""

    def __init__(self, space, points):
        self.space, self.points = space, points

    def ask(self, n, rng):
        return Proposal.full(self.space.sample(max(self.points, 1), rng).repeat(n // self.points + 1, axis=0)[:n])

    def tell(self, proposal, results):
        pass

    def state(self):
        return {}

    def restore(self, state):
        pass


class LazySettings(BaseModel):  # a plain model: unknown keys are errors all the same
    points: int = Field(4, ge=1, le=9, description="points that are drawn")


class ByWidth:
    """An error that falls with the parameters."""

    metrics = {"accuracy": "more"}

    def __init__(self, scale):
        self.scale = scale

    def key(self, request):
        return f"{request.workload.parameters} {tuple(request.numerics)} {self.scale}"

    def estimate(self, requests):
        for position, request in enumerate(requests):
            error = self.scale / (self.scale + request.workload.parameters)
            yield position, Estimate(error, 0.0, {"accuracy": 1 - error}, request.fidelity, self.key(request))


class ByWidthSettings(Settings):
    scale: float = Field(1e4, gt=0, description="parameters at which half is wrong")


class Nothing(Settings):
    pass


class Counting(SerialExecutor):
    items = 0

    def stream(self, task, items):
        for position, part in super().stream(task, items):
            Counting.items += 1
            yield position, part


LAZY = Plugin(LazySettings, lambda settings, problem: Lazy(problem.space, settings.points), "few points, often")
WIDE = Plugin(ByWidthSettings, lambda settings, problem: ByWidth(settings.scale), "error by parameters")
THIN = Plugin(
    Nothing,
    lambda settings, data: ChainSpace(stages=1, width=(4, 8), bits=(8,), input_shape=data.shape, classes=data.classes),
    "one thin stage",
)
COUNTING = Plugin(Nothing, lambda settings, problem: Counting(), "counts what it hands on")
'''
ENTRY_POINTS = """
[codesign.strategies]
lazy = third_party_kit:LAZY
broken = third_party_kit:NOTHING_OF_THE_KIND
wrong = third_party_kit:Lazy
random = third_party_kit:LAZY

[codesign.estimators]
wide = third_party_kit:WIDE

[codesign.spaces]
thin = third_party_kit:THIN

[codesign.executors]
counting = third_party_kit:COUNTING
"""
RUN = """
seed: 3
generations: 2
architecture: {space: thin}
hardware: {device: rram_edge, knobs: {array_rows: [32, 64], tiles: [1, 2]}}
objectives: [energy_j, area_mm2]
strategy: {name: lazy, points: 3}
estimator: {name: wide, scale: 500}
executor: {name: counting}
fast: {pairs: 40}
slow: {trainings: 2, classes: 1}
"""


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a module and its metadata, as an installation leaves them."""
    folder = tmp_path / "site"
    metadata = folder / "third_party_kit-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "third_party_kit.py").write_text(PACKAGE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party-kit\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder)
    invalidate_caches()
    yield folder
    sys.modules.pop("third_party_kit", None)


def told(section: dict, kind: str = "strategy") -> str:
    with pytest.raises(SpecError) as caught:
        parse_config({"architecture": {"space": "cell"}, "hardware": {"device": "rram_edge"}, kind: section})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_package_brings_one_of_each_kind(kit: Path, tmp_path: Path, run) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    code, out, err = run("search", tmp_path / "run.yaml", "-o", tmp_path / "run", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert summary["considered"] == 80
    assert summary["front"]
    accuracies = {pair["objectives"]["accuracy"] for pair in summary["front"]}
    assert all(0 < accuracy < 1 for accuracy in accuracies)
    import third_party_kit

    assert third_party_kit.Counting.items == summary["estimates"] > 0
    manifest = RunStore.open(tmp_path / "run").manifest
    assert manifest["config"]["strategy"] == {"name": "lazy", "points": 3}
    assert manifest["config"]["estimator"] == {"name": "wide", "scale": 500.0}
    assert manifest["executor"] == {"name": "counting"}


def test_a_package_is_listed_with_its_settings(kit: Path, run) -> None:
    (kit / "third_party_kit-1.0.dist-info/entry_points.txt").write_text(
        "[codesign.strategies]\nlazy = third_party_kit:LAZY\n"
    )
    code, out, _ = run("strategies", "--json")
    assert code == 0
    listed = {record["name"]: record for record in json.loads(out)}
    assert list(listed) == sorted(["lazy", *SHIPPED])
    assert listed["lazy"]["meaning"] == "few points, often"
    assert listed["lazy"]["settings"] == [
        {"name": "points", "type": "integer", "default": 4, "bounds": ">= 1, <= 9", "meaning": "points that are drawn"}
    ]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"name": "lasy"}, ["strategy.name", "lasy", "did you mean lazy?"]),
        ({"name": "lazy", "point": 2}, ["strategy", "point", "name, points", "did you mean points?"]),
        ({"name": "lazy", "points": 0}, ["strategy.points", "0", ">= 1"]),
        ({"name": "lazy", "points": "many"}, ["strategy.points", "many", "a whole number"]),
        ({"name": "broken"}, ["third_party_kit:NOTHING_OF_THE_KIND", "importable", "AttributeError"]),
        ({"name": "wrong"}, ["third_party_kit:Lazy", "a codesign.registry.Plugin"]),
        ({"name": "random"}, ["random", "registered twice"]),
        (3, ["strategy", "3", "a mapping"]),
    ],
)
def test_mistakes_are_told_whichever_plugin_they_belong_to(kit: Path, section, words: list[str]) -> None:
    line = told(section)
    for word in words:
        assert word in line


def test_every_registered_setting_has_a_meaning_and_every_name_loads() -> None:
    from codesign.app.listing import plugin_records

    for registry in REGISTRIES.values():
        records = plugin_records(registry)
        assert [record["name"] for record in records] == list(registry.names())
        for record in records:
            assert record["meaning"]
            for setting in record["settings"]:
                assert setting["meaning"], f"{record['name']}.{setting['name']}"


@pytest.mark.parametrize("kind", [*REGISTRIES, "families"])
def test_the_command_line_lists_what_is_registered(kind: str, run) -> None:
    code, out, _ = run(kind, "--json")
    assert code == 0
    names = [record["name"] for record in json.loads(out)]
    if kind in REGISTRIES:
        assert names == list(REGISTRIES[kind].names())
    else:
        assert set(names) >= {"cpu", "crossbar", "spatial"}
    code, text, _ = run(kind)
    assert code == 0
    assert all(name in text for name in names)


def test_settings_in_lists_have_their_bounds(run) -> None:
    _, out, _ = run("spaces", "--json")
    chain = next(record for record in json.loads(out) if record["name"] == "chain")
    bits = next(setting for setting in chain["settings"] if setting["name"] == "bits")
    assert bits["bounds"] == "items >= 1, each >= 2, <= 16"
    _, out, _ = run("estimators", "--json")
    training = next(record for record in json.loads(out) if record["name"] == "training")
    by_name = {setting["name"]: setting for setting in training["settings"]}
    assert by_name["recipe.noise.adc_bits"]["bounds"] == ">= 2, <= 14"
    assert by_name["recipe.optimiser"]["bounds"] == "one of adamw, sgd"


# Objects from Python.

CONFIG = {
    "seed": 3,
    "generations": 1,
    "hardware": {"device": "rram_edge", "knobs": {"array_rows": [32, 64], "tiles": [1, 2]}},
    "objectives": ["energy_j", "area_mm2"],
    "executor": {"name": "serial", "portable": False},
    "fast": {"pairs": 40},
    "slow": {"trainings": 2, "classes": 1},
}


class First(RandomSearch):
    """Random search under a name of its own."""


def small_space() -> ChainSpace:
    return ChainSpace(stages=1, width=(4, 8), bits=(8,), input_shape=(1, 8, 8))


def test_objects_take_the_place_of_names(tmp_path: Path) -> None:
    space = small_space()
    summary = codesign.search(CONFIG, tmp_path / "run", strategy="random", estimator=FormulaEstimator(), space=space)
    assert summary.front
    store = RunStore.open(tmp_path / "run")
    config = store.manifest["config"]
    assert config["strategy"] == {"name": "random"}
    assert config["estimator"]["object"].endswith("toys.FormulaEstimator")
    assert config["architecture"] == {"object": "codesign.space.chain.ChainSpace"}


def test_a_run_with_objects_goes_on_only_with_them(tmp_path: Path) -> None:
    space = small_space()
    parts = {"architecture": space, "estimator": FormulaEstimator()}
    joint = begin(parse_config(CONFIG, objects=parts), tmp_path / "spaces").space
    parts["strategy"] = First(joint)
    run = begin(parse_config(CONFIG, objects=parts), tmp_path / "run")
    run.store.close()
    with pytest.raises(SpecError, match=r"codesign\.spaces: .*ChainSpace is not there: pass the object again"):
        reopen(tmp_path / "run")
    with pytest.raises(SpecError, match=r"First is not there: pass the object again"):
        reopen(tmp_path / "run", space=space, estimator=FormulaEstimator())
    with pytest.raises(SpecError, match=r"strategy: .*RandomSearch.* is not as the run began.*First"):
        reopen(tmp_path / "run", space=space, estimator=FormulaEstimator(), strategy=RandomSearch(joint))
    again = reopen(tmp_path / "run", space=space, estimator=FormulaEstimator(), strategy=First(joint))
    again.go()
    assert len(again.store.generations()) == 1


def test_a_table_is_an_estimator_of_a_run_file(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODESIGN_REFERENCE", raising=False)
    path = tmp_path / "run.yaml"
    path.write_text(
        """
generations: 2
data: {name: noisy-digits}
architecture:
  {space: cell, channels: 4, cells: 1, stages: 3, operations: [none, skip_connect, nor_conv_1x1, nor_conv_3x3]}
hardware: {device: systolic_edge, knobs: {array_rows: [8, 16]}}
objectives: [energy_j]
estimator: {name: table}
executor: {name: serial, portable: false}
fast: {pairs: 300}
"""
    )
    code, out, err = run("search", path, "-o", tmp_path / "run", "--json")
    assert code == 0, err
    table = digits_cells()
    for _, pair, estimate in RunStore.open(tmp_path / "run").pairs():
        row = table.rows(np.array([pair.genotype[:6]]))[0]
        assert estimate.metrics["accuracy"] == table.validation[row, :, 0, 0].mean()
        assert estimate.error == 1 - estimate.metrics["accuracy"]
    assert json.loads(out)["front"]
    for change, word in (
        ("data.name=digits", "noisy-digits"),
        ("architecture.channels=8", "cells of 4 channels, 1 a stage, 3 stages"),
        ("estimator.path=x.npz", "estimator.path"),
        ("estimator.table=nasbench201", "--reference FOLDER, $CODESIGN_REFERENCE"),
    ):
        code, _, err = run("search", path, "-o", tmp_path / "other", "--set", change)
        assert (code, err.count("\n")) == (2, 1)
        assert word in err
        assert not (tmp_path / "other").exists()


def test_a_registry_shows_what_it_has() -> None:
    assert repr(STRATEGIES) == f"Registry(codesign.strategies: {', '.join(SHIPPED)})"
    chosen = STRATEGIES.parse("nsga2", "strategy")
    assert chosen.section() == {
        "name": "nsga2",
        "population": 64,
        "crossover": 0.9,
        "immigrants": 0.2,
        "operators": "space",
    }
    assert issubclass(STRATEGIES["random"].settings, Settings)
    assert isinstance(STRATEGIES["random"], Plugin)
