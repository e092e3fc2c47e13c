"""Runs with next to nothing in them: no pair, one, equal ones; pages and pictures say why, or show what is there."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from codesign.app.assemble import dataset_of, joint_space, manifest
from codesign.app.config import parse_config
from codesign.estimate.base import Estimate
from codesign.report.html import read_report, write_report
from codesign.report.summary import Summary
from codesign.store import EvaluatedPair, RunStore
from codesign.strategy.base import Proposal
from codesign.two_level.fast import FastLevel, Known
from codesign.two_level.ledger import Ledger
from hwmodels.numerics import Numerics
from hwmodels.workload.rewrite import COMPILED

CONFIG = {
    "generations": 1,
    "architecture": {"space": "chain", "stages": 2, "kernel": [1, 3], "width": [8, 16], "depth": [1], "bits": [8]},
    "hardware": {"device": "rram_edge", "knobs": {"adc_bits": [4, 6], "array_rows": [64, 128]}},
    "objectives": ["energy_j", "latency_s"],
    "fast": {"pairs": 60},
}


def make_run(folder: Path, accuracies: list[float], *, same_costs: bool = False, zero: str = "", **keys) -> RunStore:
    """One generation with real costs, and an accuracy for as many survivors as are given."""
    config = parse_config({**CONFIG, **keys})
    data = dataset_of(config.data)
    space = joint_space(config, data)
    store = RunStore.create(folder, manifest(config, data, space))
    fast = FastLevel(space, COMPILED, objectives=tuple(config.objectives), constraints=config.constraints)
    nothing = Known(
        np.zeros((0, len(config.objectives))), np.zeros(0), np.zeros((0, space.architecture.n_genes), np.int64),
        np.zeros((0, len(Numerics._fields))), np.zeros(0), np.zeros(0),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    found = fast.evaluate(Proposal.full(space.sample(60, rng)), nothing, rng)
    pairs = []
    for i, (row, accuracy) in enumerate(zip(found.survivors, accuracies, strict=False)):
        made = Estimate.of_accuracy(accuracy, accuracy, spread=0.0, draws=(accuracy,), fidelity=1.0, key="k")
        store.keep_estimate(f"{i}", made)
        source = found.survivors[0] if same_costs else row
        costs = {name: 0.0 if name == zero else float(values[source]) for name, values in found.costs.items()}
        numerics = tuple(found.numerics[found.numerics_id[row]].tolist())
        pairs.append(EvaluatedPair(tuple(found.genotypes[row].tolist()), numerics, f"{i}", costs))
    store.write_fast(0, found.genotypes, found.reason, found.costs)
    ledger = Ledger(
        considered=60, pruned=fast.reasons.counts(found.reason), evaluated=len(pairs),
        deferred=len(found.survivors) - len(pairs), trained=len(pairs), seconds={"fast": 0.1, "slow": 0.1},
    )  # fmt: skip
    store.commit(0, pairs, {"x": np.zeros(1)}, ledger)
    return store


def reported(store: RunStore) -> Summary:
    """Write everything, twice, with warnings as errors."""
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            report = read_report(store)
            paths = write_report(report, store.folder)
    assert {"report.html", "pareto.png", "progress.png", "front.json"} <= {path.name for path in paths}
    json.dumps(report.summary.as_dict(), allow_nan=False)
    return report.summary


def test_where_every_pair_is_over_a_limit_the_report_says_by_how_much(tmp_path: Path) -> None:
    summary = reported(make_run(tmp_path / "run", [], constraints={"latency_s": "1 ns"}))
    (sentence,) = summary.shortfall
    assert sentence.startswith("no pair meets latency_s <= 1 ns: the smallest seen is ")
    assert "array_rows = " in sentence
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "No pair meets latency_s &lt;= 1 ns" in page
    assert "No pair has all its costs on record" in page


def test_the_area_of_the_smallest_design_and_the_knob_that_shrinks_it_are_named(tmp_path: Path) -> None:
    summary = reported(make_run(tmp_path / "run", [], constraints={"area_mm2": 0.01}))
    (sentence,) = summary.shortfall
    assert "no pair meets area_mm2 <= 0.01 mm²: the smallest seen is " in sentence
    assert "tiles = " in sentence
    assert "tiles below " in sentence


def test_where_all_pairs_are_below_the_least_accuracy_the_best_is_named(tmp_path: Path) -> None:
    summary = reported(make_run(tmp_path / "run", [0.3, 0.62, 0.5], least_accuracy=0.9))
    (sentence,) = summary.shortfall
    assert sentence.startswith("no evaluated pair meets accuracy >= 0.9: the largest of 3 is 0.62 (network ")


def test_where_no_pair_runs_the_reasons_are_counted(tmp_path: Path) -> None:
    chip = {"device": "rram_edge", "knobs": {"tiles": [1], "imas_per_tile": [1], "arrays_per_ima": [1]}}
    summary = reported(make_run(tmp_path / "run", [], hardware=chip))
    if not any(reason.startswith("infeasible") for reason in summary.ledger.pruned):
        pytest.fail(str(summary.ledger.pruned))
    assert summary.shortfall[0].startswith("no pair runs: all ")


@pytest.mark.parametrize(
    ("accuracies", "options"),
    [
        ([0.5], {}),
        ([0.5] * 4, {}),
        ([0.5] * 4, {"same_costs": True}),
        ([0.0, 0.0], {}),
        ([0.2, 0.8], {"objectives": ["energy_j"]}),
        ([0.2, 0.8], {"zero": "energy_j"}),
        ([0.5], {"hardware": {"device": "rram_edge"}}),
        ([0.5, 0.7], {"hardware": None, "objectives": ["macs"]}),
    ],
    ids=[
        "one",
        "equal accuracy",
        "duplicates",
        "nothing right",
        "one objective",
        "zero cost",
        "fixed hardware",
        "none",
    ],
)
def test_next_to_nothing_is_drawn_as_it_is(tmp_path: Path, accuracies: list[float], options: dict) -> None:
    summary = reported(make_run(tmp_path / "run", accuracies, **options))
    assert summary.front
    assert summary.shortfall == ()
    assert np.isfinite(summary.progress.hypervolume).all()
