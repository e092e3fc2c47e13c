"""The archive: every pair with an estimate, and the front among those that meet the constraints at full fidelity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate
from codesign.objectives import Limit, objectives_of
from codesign.pareto import non_dominated
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.store import EvaluatedPair
from codesign.two_level.fast import Known
from codesign.two_level.slow import AccuracyClass, KeyedEstimate
from hwmodels.numerics import Numerics

__all__ = ["Archive", "Member", "class_arrays"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Member:
    """One evaluated pair: genotype as costed, numerics, costs, the estimate of its class and the fidelity of both."""

    genotype: tuple[int, ...]
    numerics: tuple[float, ...]
    costs: Mapping[str, float]
    key: str
    estimate: Estimate
    generation: int
    fidelity: float = 1.0

    @property
    def stored(self) -> EvaluatedPair:
        """As the run store keeps it."""
        return EvaluatedPair(self.genotype, self.numerics, self.key, dict(self.costs), self.fidelity)


class Archive:
    """Evaluated pairs by genotype and fidelity, in the order told.

    Parameters
    ----------
    objectives : names of the minimised cost metrics; the error of the estimates is always an objective too.
    limits : on the task's metrics; pairs that break one are kept, but never on the front. cost_limits : where FAST lets
        pairs through that break a limit on a cost, these; such pairs are kept likewise, and prove nothing.
    """

    def __init__(
        self, space: JointSpace, objectives: Sequence[str], *, limits: Sequence[Limit] = (),
        cost_limits: Sequence[Limit] = (),
    ) -> None:  # fmt: skip
        self.space, self.limits, self.cost_limits = space, tuple(limits), tuple(cost_limits)
        self.goals = objectives_of(space.hardware.model, objectives)
        self.objectives = tuple(goal.metric for goal in self.goals)
        self._members: dict[tuple[tuple[int, ...], float], Member] = {}
        self.classes: dict[AccuracyClass, KeyedEstimate] = {}

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> list[Member]:
        return list(self._members.values())

    def add(self, member: Member) -> None:
        """Keep a pair; one told again at the same fidelity is the same pair."""
        self._members.setdefault((member.genotype, member.fidelity), member)
        self.classes.setdefault(self.class_of(member), KeyedEstimate(member.key, member.estimate))

    def misfit(self, pair: EvaluatedPair, estimate: Estimate) -> str | None:
        """Why a stored pair is none of this space, or lacks what its objectives and limits need; None where it fits."""
        sizes = self.space.cardinalities.tolist()
        if len(pair.genotype) != len(sizes) or not all(0 <= g < n for g, n in zip(pair.genotype, sizes, strict=True)):
            return "a genotype outside the space"
        for name in self.objectives:
            if not isfinite(pair.costs.get(name, nan)):
                return f"a pair without a finite {name}"
        for limit in self.limits:
            if limit.metric not in estimate.metrics:
                return f"an estimate without {limit.metric}"
        for limit in self.cost_limits:
            if not isfinite(pair.costs.get(limit.metric, nan)):
                return f"a pair without a finite {limit.metric}"
        return None

    def class_of(self, member: Member) -> AccuracyClass:
        """The canonical network of a member under its numerics, at its fidelity."""
        network = np.array([member.genotype[: self.space.architecture.n_genes]], np.int64)
        canonical = tuple(self.space.architecture.canonical(network)[0].tolist())
        return AccuracyClass(canonical, member.numerics, member.fidelity)

    def points(self, members: Sequence[Member]) -> F64:
        """(error, costs) of members, minimised, (A, 1 + K)."""
        error = np.array([m.estimate.error for m in members], np.float64)
        costs = [goal.minimised(np.array([m.costs[goal.metric] for m in members], np.float64)) for goal in self.goals]
        return np.column_stack([error, *costs]).reshape(len(members), 1 + len(self.goals))

    def excess(self, members: Sequence[Member]) -> F64:
        """By how much members break each limit on the task's metrics, relative to it, (A, T); <= 0 where kept."""
        columns = [limit.excess(np.array([m.estimate.metrics[limit.metric] for m in members])) for limit in self.limits]
        return np.array(columns, np.float64).reshape(len(self.limits), len(members)).T

    def feasible(self) -> list[Member]:
        """Members of full fidelity that keep every limit, in the order told."""
        full = self._within(member for member in self.members if member.fidelity == 1.0)
        kept: npt.NDArray[np.bool_] = np.all(self.excess(full) <= 0, axis=1)
        return [member for member, keeps in zip(full, kept, strict=True) if keeps]

    def _within(self, members: Iterable[Member]) -> list[Member]:
        """Those that keep the limits on costs."""
        kept = list(members)
        for limit in self.cost_limits:
            keeps = limit.keeps(np.array([m.costs[limit.metric] for m in kept], np.float64))
            kept = [m for m, one in zip(kept, keeps, strict=True) if one]
        return kept

    def front(self) -> list[Member]:
        """Feasible members that no other one dominates, by rising error."""
        feasible = self.feasible()
        if not feasible:
            return []
        points = self.points(feasible)
        chosen = [m for m, kept in zip(feasible, non_dominated(points), strict=True) if kept]
        return sorted(chosen, key=lambda m: (m.estimate.error, *(m.costs[name] for name in self.objectives)))

    def known(self) -> Known:
        """What the FAST level may use in its proofs: pairs of full fidelity, and the exact error of each class."""
        points = self.points(self._within(member for member in self.members if member.fidelity == 1.0))
        architectures, numerics, fidelity = class_arrays(list(self.classes), self.space.architecture.n_genes)
        return Known(
            costs=points[:, 1:],
            error=points[:, 0],
            class_architecture=architectures,
            class_numerics=numerics,
            class_fidelity=fidelity,
            class_error=np.array([known.estimate.error for known in self.classes.values()], np.float64),
        )


def class_arrays(classes: Sequence[AccuracyClass], n_genes: int) -> tuple[Genotypes, F64, F64]:
    """Accuracy classes as arrays: architectures (B, Ga), numerics (B, F) and fidelities (B,)."""
    architectures = np.array([wanted.architecture for wanted in classes], np.int64).reshape(len(classes), n_genes)
    numerics = np.array([wanted.numerics for wanted in classes], np.float64)
    fidelity = np.array([wanted.fidelity for wanted in classes], np.float64)
    return architectures, numerics.reshape(len(classes), len(Numerics._fields)), fidelity
