"""What decisions did: effects and frequencies by hand, importances of what matters, the command and the page."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codesign.report.effects import _effect, _importance, _pruned, choices_table, effects_of, importance_table
from codesign.report.html import page, read_report
from codesign.report.summary import Pair
from codesign.store import RunStore
from tests.codesign.report.test_report_run import make_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("effects") / "run"
    make_run(made).close()
    return made


def test_marginal_effects_of_a_whole_table_are_those_of_least_squares() -> None:
    """On a full factorial the marginal means are the main effects of a linear model, as decisions are orthogonal."""
    points = np.array(list(itertools.product(range(3), range(4), range(2))))
    rng = np.random.default_rng(0)
    values = rng.random(len(points))
    for gene in range(3):
        for choice in range(points[:, gene].max() + 1):
            columns = np.column_stack([np.eye(k)[points[:, g]] for g, k in enumerate((3, 4, 2))])
            fitted, *_ = np.linalg.lstsq(columns, values - values.mean(), rcond=None)
            start = (0, 3, 7)[gene]
            block = fitted[start : start + (3, 4, 2)[gene]]
            expected = block[choice] - block.mean()
            assert _effect(values, points[:, gene] == choice, True) == pytest.approx(expected)


def test_costs_are_told_as_ratios_of_geometric_means() -> None:
    values, chosen = np.array([1.0, 4.0, 16.0, np.nan]), np.array([False, False, True, True])
    assert _effect(values, chosen, False) == pytest.approx(16 / 4 - 1)
    assert np.isnan(_effect(values, np.zeros(4, bool), False))
    assert _effect(np.array([-1.0, 3.0]), np.array([True, False]), False) == pytest.approx(-2.0)


def test_the_decision_that_matters_is_the_important_one() -> None:
    """Values follow the second decision alone: shuffling it costs nearly everything, the others nearly nothing."""
    rng = np.random.default_rng(0)
    genotypes = rng.integers(0, 4, size=(300, 3))
    lost, explained = _importance(genotypes, np.exp(genotypes[:, 1]), True)
    assert explained > 0.95
    assert lost[1] > 1.0
    assert np.abs(lost[[0, 2]]).max() < 0.05


def test_reasons_are_counted_and_the_most_frequent_told() -> None:
    assert _pruned(np.array([0, 2, 2, 1]), ["kept", "a", "b"]) == (0.75, "b")
    assert _pruned(np.array([0, 0]), ["kept", "a"]) == (0.0, "")
    assert np.isnan(_pruned(np.empty(0, np.int64), ["kept", "a"])[0])


def test_counts_of_a_run_add_up(folder: Path) -> None:
    report = read_report(folder)
    effects = report.effects
    assert effects is not None
    pairs, ledger = len(report.summary.evaluated), report.summary.ledger
    by_decision: dict[str, list] = {}
    for row in effects.choices:
        by_decision.setdefault(row.decision, []).append(row)
    assert set(by_decision) == {g.name for g in report.space.genes if len(g.choices) > 1}
    for rows in by_decision.values():
        assert sum(row.pairs for row in rows) == pairs
        assert sum(row.front for row in rows) == len(report.summary.front) == effects.front
        assert sum(row.considered for row in rows) == effects.considered
        dropped = sum(round(row.pruned * row.considered) for row in rows if row.considered)
        assert dropped == sum(ledger.pruned.values()) - ledger.pruned.get("duplicate", 0)
    assert effects.importance == {}  # too few pairs
    assert "Too few pairs" in page(report)
    assert "decision" in choices_table(effects).headers


def test_importances_stand_where_enough_pairs_are_known(folder: Path) -> None:
    """Pairs made up of the run's space: the accuracy is its second decision."""
    report = read_report(folder)
    rng, space = np.random.default_rng(0), report.space
    genotypes = space.sample(120, rng)
    template: Pair = report.summary.evaluated[0]
    pairs = tuple(
        replace(template, genotype=tuple(g), on_front=False, objectives={**template.objectives, "accuracy": g[1] / 2})
        for g in genotypes.tolist()
    )
    effects = effects_of(RunStore.open(folder), replace(report.summary, evaluated=pairs), space)
    assert effects.explained["accuracy"] > 0.9
    named = effects.importance["accuracy"]
    assert max(named, key=lambda name: named[name]) == space.genes[1].name
    table = importance_table(effects)
    assert table.rows[0][0] == space.genes[1].name
    assert "accuracy" in table.headers[1]
    assert list(effects.importance) == ["accuracy"]  # the costs of the made-up pairs are equal


def test_the_command(run, folder: Path) -> None:
    code, out, err = run("effects", folder)
    assert (code, err) == (0, "")
    assert "too few pairs" in out
    code, out, _ = run("effects", folder, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["choices"][0].keys() >= {"decision", "choice", "effects", "pruned", "reason"}
    assert len(told["choices"]) == len(read_report(folder).effects.choices)
    code, out, err = run("effects", folder / "none")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
