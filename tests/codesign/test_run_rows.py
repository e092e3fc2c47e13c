"""Rows of a run's database as records: whole ones come back, damaged ones are a ValueError that names the field."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from codesign.estimate.base import Estimate
from codesign.run_rows import estimate_of, ledger_of, pair_of, seconds_of
from codesign.two_level.ledger import Ledger
from hwmodels.numerics import Numerics

ESTIMATE = Estimate.of_accuracy(0.9, 0.8, spread=0.01, draws=(0.89, 0.91), fidelity=1.0, key="k", images=360)
ROW = (3, "[0, 1]", "[8.0, 8.0]", "k", '{"energy_j": 1e-6}', 0.5)


def test_rows_come_back_as_they_were() -> None:
    assert estimate_of(json.dumps(asdict(ESTIMATE))) == ESTIMATE
    ledger = Ledger(considered=5, pruned={"duplicate": 2}, evaluated=3, seconds={"fast": 0.5})
    assert ledger_of(json.dumps(asdict(ledger))) == ledger
    generation, pair = pair_of(ROW)
    assert (generation, pair.genotype, pair.costs, pair.fidelity) == (3, (0, 1), {"energy_j": 1e-6}, 0.5)


def test_numerics_of_an_earlier_version_are_ideal_where_it_knew_less() -> None:
    assert pair_of(ROW)[1].numerics == (8.0, 8.0, *(0.0,) * (len(Numerics._fields) - 2))


def test_an_estimate_of_an_earlier_version_has_accuracies_alone() -> None:
    record = {**asdict(ESTIMATE), "accuracy": 0.9, "accuracy_test": 0.8}
    for key in ("error", "metrics", "trained", "seconds"):
        record.pop(key)
    assert estimate_of(json.dumps(record)) == ESTIMATE


@pytest.mark.parametrize(
    ("position", "value", "told"),
    [
        (0, "three", "the generation"),
        (0, True, "the generation"),
        (1, "{}", "the genotype is no list"),
        (1, "[0.5]", "a gene"),
        (1, "[4611686018427387905]", "a gene"),
        (2, '["8"]', "the numerics"),
        (2, json.dumps([0.0] * 100), "100 numerics"),
        (4, "[]", "the costs is no mapping"),
        (4, '{"energy_j": "1"}', "energy_j is no number"),
        (5, float("nan"), "the fidelity"),
        (1, "[0", "delimiter|Expecting"),
    ],
)
def test_a_damaged_pair_names_its_field(position: int, value: Any, told: str) -> None:
    row = [*ROW]
    row[position] = value
    with pytest.raises(ValueError, match=told):
        pair_of(row)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("metrics", [1], "no mapping"),
        ("metrics", {"accuracy": "high"}, "accuracy is no number"),
        ("error", float("inf"), "error is no finite number"),
        ("spread", None, "spread is no number"),
        ("draws", [None], "a draw is no number"),
    ],
)
def test_a_damaged_estimate_names_its_field(key: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        estimate_of(json.dumps({**asdict(ESTIMATE), key: value}))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("considered", 1.5, "considered is no whole number"),
        ("pruned", 3, "pruned of the ledger is of another kind"),
        ("trained", {"a": 1}, "trained of the ledger is of another kind"),
        ("pruned", {"duplicate": "2"}, "pruned is no whole number"),
        ("seconds", {"fast": float("nan")}, "seconds is no finite number"),
    ],
)
def test_a_damaged_ledger_names_its_field(key: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ledger_of(json.dumps({**asdict(Ledger()), key: value}))


@pytest.mark.parametrize(
    ("field", "value"), [("seconds", [1.0]), ("seconds", float("inf")), ("diverged", "no"), ("trained", 1)]
)
def test_a_damaged_time_or_flag_of_an_estimate_names_itself(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        estimate_of(json.dumps({**asdict(ESTIMATE), field: value}))


def test_a_time_is_finite_and_never_below_zero() -> None:
    assert (seconds_of(1.5), seconds_of(-2.0)) == (1.5, 0.0)
    for damaged in (None, "1", float("nan")):
        with pytest.raises(ValueError, match="the seconds"):
            seconds_of(damaged)
