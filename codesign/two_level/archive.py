"""The archive: every pair with an accuracy, and the front among those that meet the constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate
from codesign.pareto import non_dominated
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.store import EvaluatedPair
from codesign.two_level.fast import Known
from codesign.two_level.slow import AccuracyClass
from hwmodels.numerics import Numerics

__all__ = ["Archive", "Member", "class_arrays"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Member:
    """One evaluated pair: genotype as costed, numerics, costs, and the estimate of its class under its key."""

    genotype: tuple[int, ...]
    numerics: tuple[float, ...]
    costs: Mapping[str, float]
    key: str
    estimate: Estimate
    generation: int

    @property
    def stored(self) -> EvaluatedPair:
        """As the run store keeps it."""
        return EvaluatedPair(self.genotype, self.numerics, self.key, dict(self.costs))


class Archive:
    """Evaluated pairs by genotype, in the order told.

    Parameters
    ----------
    objectives : names of the minimised cost metrics; the error (1 - validation accuracy) is always an objective too.
    least_accuracy : pairs below it are kept, but never on the front.
    """

    def __init__(self, space: JointSpace, objectives: Sequence[str], *, least_accuracy: float = 0.0) -> None:
        self.space, self.objectives, self.least_accuracy = space, tuple(objectives), least_accuracy
        self._members: dict[tuple[int, ...], Member] = {}
        self.classes: dict[AccuracyClass, tuple[str, Estimate]] = {}

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> list[Member]:
        return list(self._members.values())

    def add(self, member: Member) -> None:
        """Keep a pair; one told again is the same pair."""
        self._members.setdefault(member.genotype, member)
        self.classes.setdefault(self.class_of(member), (member.key, member.estimate))

    def class_of(self, member: Member) -> AccuracyClass:
        """The canonical network of a member under its numerics."""
        network = np.array([member.genotype[: self.space.architecture.n_genes]], np.int64)
        return AccuracyClass(tuple(self.space.architecture.canonical(network)[0].tolist()), member.numerics)

    def points(self, members: Sequence[Member]) -> F64:
        """(error, costs) of members, minimised, (A, 1 + K)."""
        rows = [[1.0 - m.estimate.accuracy, *(m.costs[name] for name in self.objectives)] for m in members]
        return np.array(rows).reshape(len(members), 1 + len(self.objectives))

    def front(self) -> list[Member]:
        """Members that no other feasible member dominates, by rising error."""
        feasible = [m for m in self.members if m.estimate.accuracy >= self.least_accuracy]
        if not feasible:
            return []
        points = self.points(feasible)
        chosen = [m for m, kept in zip(feasible, non_dominated(points), strict=True) if kept]
        return sorted(chosen, key=lambda m: (-m.estimate.accuracy, *(m.costs[name] for name in self.objectives)))

    def known(self) -> Known:
        """What the FAST level may use in its proofs: evaluated pairs, and the exact error of their classes."""
        points = self.points(self.members)
        architectures, numerics = class_arrays(list(self.classes), self.space.architecture.n_genes)
        return Known(
            costs=points[:, 1:],
            error=points[:, 0],
            class_architecture=architectures,
            class_numerics=numerics,
            class_error=np.array([1.0 - estimate.accuracy for _, estimate in self.classes.values()], np.float64),
        )


def class_arrays(classes: Sequence[AccuracyClass], n_genes: int) -> tuple[Genotypes, F64]:
    """Accuracy classes as arrays, (B, Ga) and (B, F)."""
    architectures = np.array([wanted.architecture for wanted in classes], np.int64).reshape(len(classes), n_genes)
    numerics = np.array([wanted.numerics for wanted in classes], np.float64)
    return architectures, numerics.reshape(len(classes), len(Numerics._fields))
