"""Rows of a run's database as records. A disk may have changed them: what has another type or shape is a ValueError.

Runs of earlier versions are read as they are: what they did not know has the value that it had then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

from codesign.estimate.base import Estimate
from codesign.two_level.ledger import Ledger
from hwmodels.numerics import Numerics

__all__ = ["EvaluatedPair", "TrainedNetwork", "estimate_of", "ledger_of", "pair_of", "parent_of", "seconds_of"]

_LARGEST = 2**62


class EvaluatedPair(NamedTuple):
    """One pair with an estimate: genotype as costed, numerics, key of the estimate, cost by metric, fidelity."""

    genotype: tuple[int, ...]
    numerics: tuple[float, ...]
    estimate: str
    costs: dict[str, float]
    fidelity: float = 1.0


class TrainedNetwork(NamedTuple):
    """What a training is of: a canonical architecture, at a fidelity relative to the run's."""

    architecture: tuple[int, ...]
    fidelity: float = 1.0


def parent_of(row: Sequence[Any]) -> tuple[TrainedNetwork, TrainedNetwork]:
    """A training and the one that it starts from, of a row: network, fidelity, parent, its fidelity."""
    child, parent = (
        TrainedNetwork(
            tuple(_whole(gene, "a gene") for gene in _listed(network, "the network")), _finite(fidelity, "the fidelity")
        )
        for network, fidelity in (row[:2], row[2:])
    )
    return child, parent


def pair_of(row: Sequence[Any]) -> tuple[int, EvaluatedPair]:
    """Generation and pair of a row: generation, genotype, numerics, estimate, costs, fidelity."""
    generation, genotype, numerics, key, costs, fidelity = row
    found = tuple(_whole(gene, "a gene") for gene in _listed(genotype, "the genotype"))
    known = tuple(_number(value, "the numerics") for value in _listed(numerics, "the numerics"))
    if len(known) > len(Numerics._fields):
        raise ValueError(f"{len(known)} numerics, where {len(Numerics._fields)} are known")
    # Fields that a run of an earlier version did not know yet are 0: ideal.
    ideal = (0.0,) * (len(Numerics._fields) - len(known))
    by_name = {name: _number(value, name) for name, value in _mapped(costs, "the costs").items()}
    pair = EvaluatedPair(found, (*known, *ideal), key, by_name, _finite(fidelity, "the fidelity"))
    return _whole(generation, "the generation"), pair


def estimate_of(record: str) -> Estimate:
    """An estimate from its JSON."""
    fields = _mapped(record, "the estimate")
    fields["draws"] = tuple(_number(value, "a draw") for value in fields["draws"])
    if "metrics" not in fields:  # an earlier version knew accuracies alone
        return Estimate.of_accuracy(fields.pop("accuracy"), fields.pop("accuracy_test"), **fields)
    if not isinstance(fields["metrics"], dict):
        raise ValueError("metrics of the estimate that are no mapping")
    for name, value in fields["metrics"].items():
        _number(value, name)
    for name in ("error", "spread", "fidelity", "images", "seconds"):
        if name in fields:
            _finite(fields[name], name)
    for name in ("trained", "diverged"):
        if not isinstance(fields.get(name, False), bool):
            raise ValueError(f"{name} of the estimate is neither true nor false")
    return Estimate(**fields)


def seconds_of(value: Any) -> float:
    """The core-seconds of a training; a clock that was set back counts as none."""
    return max(_finite(value, "the seconds"), 0.0)


def ledger_of(record: str) -> Ledger:
    """The ledger of a generation from its JSON."""
    fields = _mapped(record, "the ledger")
    for name, value in fields.items():
        for number in value.values() if isinstance(value, dict) else (value,):
            (_finite if name == "seconds" else _whole)(number, name)
        if isinstance(value, dict) != (name in ("pruned", "seconds")):
            raise ValueError(f"{name} of the ledger is of another kind")
    return Ledger(**fields)


def _listed(text: str, what: str) -> list[Any]:
    found = json.loads(text)
    if not isinstance(found, list):
        raise ValueError(f"{what} is no list")
    return found


def _mapped(text: str, what: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{what} is no mapping")
    return found


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        raise ValueError(f"{what} is no whole number: {str(value)[:40]}")
    return value


def _number(value: Any, what: str) -> float:
    """A number, which may be none where a run says so: a metric without a value is NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is no number: {str(value)[:40]}")
    return value


def _finite(value: Any, what: str) -> float:
    if not isfinite(_number(value, what)):
        raise ValueError(f"{what} is no finite number: {value}")
    return value  # type: ignore[no-any-return]
