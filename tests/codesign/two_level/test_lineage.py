"""From whose weights a new training starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.run_rows import TrainedNetwork
from codesign.space.base import Gene, Space
from codesign.strategy.base import Proposal
from codesign.two_level.lineage import parents_of
from codesign.two_level.slow import AccuracyClass

A, B, C, D = (0, 0), (0, 1), (1, 0), (1, 1)
SPACE = Space([Gene("a", (0, 1)), Gene("b", (0, 1))])


def decided(
    proposed: list[tuple[tuple[int, ...], tuple[int, ...] | None, float]],
    trained: list[tuple[tuple[int, ...], float]],
    wanted: list[tuple[tuple[int, ...], float]],
) -> dict[TrainedNetwork, TrainedNetwork]:
    """`parents_of`, for pairs (network, parent, fidelity) that are listed twice each, with a gene of hardware."""
    points = np.array([[*network, 7] for network, _, _ in proposed])
    parents = np.array([[-1, -1, -1] if parent is None else [*parent, 9] for _, parent, _ in proposed])
    fidelity = np.array([value for *_, value in proposed])
    source = np.repeat(np.arange(len(proposed)), 2)
    architectures, of_network = np.unique(points[:, :2], axis=0, return_inverse=True)
    levels, of_level = np.unique(fidelity, return_inverse=True)
    verdicts: Any = SimpleNamespace(
        architectures=architectures, architecture_id=of_network.reshape(-1)[source], source=source,
        fidelity_levels=levels, fidelity_id=of_level.reshape(-1)[source],
    )  # fmt: skip
    classes = {AccuracyClass(network, (8.0,), value): None for network, value in trained}
    archive: Any = SimpleNamespace(space=SimpleNamespace(architecture=SPACE), classes=classes)
    asked = [AccuracyClass(network, (bits,), value) for network, value in wanted for bits in (8.0, 4.0)]
    return parents_of(archive, Proposal(points, fidelity, parents), verdicts, asked)


def test_a_child_of_a_trained_network_has_it_as_parent() -> None:
    found = decided([(B, A, 1.0), (C, A, 1.0), (D, None, 1.0)], [(A, 1.0)], [(B, 1.0), (D, 1.0)])
    assert found == {TrainedNetwork(B): TrainedNetwork(A)}


@pytest.mark.parametrize(
    ("proposed", "trained"),
    [
        ([(B, C, 1.0)], [(A, 1.0)]),  # the parent was pruned
        ([(B, B, 1.0)], [(B, 0.5)]),  # a child like its parent
        ([(B, A, 0.5)], [(A, 1.0)]),  # proposed at another fidelity than is wanted
        ([(B, A, 1.0)], [(A, 1.0), (B, 1.0)]),  # trained before
    ],
)
def test_else_it_has_none(proposed: Any, trained: Any) -> None:
    assert decided([*proposed, (D, None, 1.0), (B, None, 1.0)], trained, [(B, 1.0)]) == {}


def test_the_first_pair_with_a_trained_parent_decides() -> None:
    proposed = [(B, None, 1.0), (B, C, 1.0), (B, D, 1.0), (B, A, 1.0)]
    assert decided(proposed, [(A, 1.0), (D, 1.0)], [(B, 1.0)]) == {TrainedNetwork(B): TrainedNetwork(D)}


@pytest.mark.parametrize(("own", "known", "chosen"), [(0.5, [1.0, 0.5], 0.5), (1.0, [0.25, 0.5], 0.5)])
def test_the_parents_training_of_the_childs_fidelity_comes_first(own: float, known: list[float], chosen: float) -> None:
    found = decided([(B, A, own)], [(A, value) for value in known], [(B, own)])
    assert found == {TrainedNetwork(B, own): TrainedNetwork(A, chosen)}


def test_a_proposal_without_parents_decides_nothing() -> None:
    nobody: Any = None
    assert parents_of(nobody, Proposal.full(np.zeros((2, 3), np.int64)), nobody, []) == {}
