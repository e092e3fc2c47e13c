"""The summary of a run, read from its store: the ledger, the front with its knee, and the generations that led to both.

Hypervolume is given as the share of a reference box: the box from the origin to the reference point, which is error 1
and `REFERENCE_MARGIN` times the worst evaluated value of each cost objective. The rule is fixed, the point depends on
the run: compare hypervolumes of different runs only after setting one common reference.

Not here: pairs that were never evaluated (see `cloud`) and the layers of a design (see `design`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.app.assemble import archive_of, cost_constraints, dataset_of, joint_space, least_accuracy
from codesign.app.config import RunConfig, parse_config
from codesign.estimate.base import Estimate
from codesign.estimate.interval import wilson
from codesign.objectives import Limit, limits_of, positive
from codesign.pareto import hypervolume, knee, non_dominated
from codesign.report.search_cost import SearchCost, search_cost
from codesign.space.joint import JointSpace
from codesign.store import RunStore, checked_manifest
from codesign.two_level.archive import Archive, Member
from codesign.two_level.ledger import Ledger
from codesign.two_level.shortfall import MOST_PAIRS, cost_shortfall, even_sample, task_shortfall
from hwmodels.errors import SpecError
from hwmodels.files import finite_or_null
from hwmodels.workload.rewrite import RUNTIMES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "REFERENCE_MARGIN",
    "Direction",
    "Pair",
    "Progress",
    "Summary",
    "config_of",
    "open_store",
    "space_of",
    "summarise",
]

F64 = npt.NDArray[np.float64]
Direction = Literal["higher", "lower"]
REFERENCE_MARGIN = 1.1


@dataclass(frozen=True)
class Pair:
    """One evaluated pair.

    architecture : its description. hardware : knob -> value, of the searched knobs.
    objectives : the cost objectives, then what the networks are judged by: accuracy (validation) with the ends of its
    95 % interval, accuracy_test and spread (fractions), NaN where the number of images is not known, and where one draw
    has no spread, then what else they are judged by; or the metrics of an estimator that has no accuracy, which may be
    none, with the spread of the error where there are draws.
    costs : every stored cost. on_front : no evaluated pair that meets the constraints dominates it.
    """

    architecture: str
    hardware: dict[str, Any]
    objectives: dict[str, float]
    costs: dict[str, float]
    genotype: tuple[int, ...]
    generation: int
    on_front: bool

    def value(self, name: str) -> float:
        """A cost or a metric of the task; NaN where the pair has none of that name."""
        return self.objectives.get(name, self.costs.get(name, np.nan))

    def as_dict(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "hardware": self.hardware,
            "objectives": finite_or_null(self.objectives),
            "genotype": list(self.genotype),
        }


class Progress(NamedTuple):
    """State after each generation, (T,) each: trainings so far, best accuracy (NaN before the first), hypervolume.

    judged_by : what stands for the accuracy, None where nothing does (it is 1 then). better : which of its values are.
    """

    trainings: npt.NDArray[np.int64]
    accuracy: F64
    hypervolume: F64
    judged_by: str | None = "accuracy"
    better: Direction = "higher"

    @property
    def effort(self) -> tuple[npt.NDArray[np.int64], str]:
        """What a picture of the progress has across, and its label: trainings, or generations where nothing trains."""
        if self.trainings.any():
            return self.trainings, "networks trained (count), fewer is better"
        return np.arange(1, len(self.trainings) + 1), "generations (count), fewer is better"


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """What came out of a run.

    evaluated : pairs with an accuracy, in the order of evaluation. front : those on the front, by falling accuracy.
    knee : position in `front`, None where it is empty. reference : objective -> reference value of the hypervolume.
    shortfall : sentences that say how far off the nearest pairs are, where the front is empty.
    judged_by : the metric that stands for the error: accuracy, or what the estimator has in its place; None where pairs
    are compared by their costs alone. better : which values of it are. cost : what the search itself took.
    """

    ledger: Ledger
    generations: tuple[Ledger, ...]
    objectives: tuple[str, ...]
    least_accuracy: float
    evaluated: tuple[Pair, ...]
    front: tuple[Pair, ...]
    knee: int | None
    reference: dict[str, float]
    progress: Progress
    shortfall: tuple[str, ...] = ()
    judged_by: str | None = "accuracy"
    cost: SearchCost | None = None
    better: Direction = "higher"

    @property
    def knee_pair(self) -> Pair | None:
        return None if self.knee is None else self.front[self.knee]

    def to_frame(self) -> pd.DataFrame:
        """One row a pair of the front, by falling accuracy: network, knobs, and every objective in SI units."""
        import pandas as pd

        return pd.DataFrame([{"network": p.architecture, **p.hardware, **p.objectives} for p in self.front])

    def __repr__(self) -> str:
        ledger, over = self.ledger, (*(["error"] if self.judged_by else []), *self.objectives)
        return (
            f"Summary({len(self.generations)} generations: {ledger.considered:,} pairs considered, "
            f"{ledger.trained} networks trained, a front of {len(self.front)} over {', '.join(over)})"
        )

    def _repr_html_(self) -> str:
        """The counts and the front, for notebooks."""
        front: str = self.to_frame().to_html(index=False, max_rows=30)
        return f"<p>{escape(repr(self))}</p>{front}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: counts, times, the front, the hypervolume and its reference."""
        ledger = self.ledger
        judged = self.judged_by is not None and len(self.progress.accuracy) > 0
        reached = self.progress.accuracy[-1] if judged else np.nan
        return {
            "generations": len(self.generations),
            "considered": ledger.considered,
            "pruned": ledger.pruned,
            "deferred": ledger.deferred,
            "evaluated": ledger.evaluated,
            "violating": ledger.violating,
            "audited": ledger.audited,
            "misjudged": ledger.misjudged,
            "trained": ledger.trained,
            "estimates": ledger.estimates,
            "diverged": ledger.diverged,
            "seconds": ledger.seconds,
            "best_accuracy": None if np.isnan(reached) else float(reached),
            "hypervolume": self.progress.hypervolume.tolist(),
            "hypervolume_reference": self.reference,
            "front": [pair.as_dict() for pair in self.front],
            "knee": self.knee,
            "shortfall": list(self.shortfall),
            "search_cost": None if self.cost is None else self.cost.as_dict(),
        }


def summarise(source: RunStore | Path, *, space: JointSpace | None = None) -> Summary:
    """Read a run, finished or not; `space` is rebuilt from the manifest unless it is given.

    Raises
    ------
    SpecError : no run there, a configuration that no longer parses, or genotypes of another space.
    """
    store = open_store(source)
    config = config_of(store)
    space = space or space_of(config)
    _check_space(store, space)
    archive = archive_of(config, space)
    for generation, pair, estimate in store.pairs():
        if (wrong := archive.misfit(pair, estimate)) is not None:
            store.lose(f"a row of it: {wrong}")
            continue
        member = Member(pair.genotype, pair.numerics, pair.costs, pair.estimate, estimate, generation, pair.fidelity)
        archive.add(member)
    ledgers = tuple(generation.ledger for generation in store.generations())
    front = archive.front()
    reference = _reference(archive)
    shown = [1.0 / value if goal.more else value for goal, value in zip(archive.goals, reference[1:], strict=True)]
    on_front = {(member.genotype, member.fidelity) for member in front}
    better = _better(store, archive)
    return Summary(
        ledger=Ledger.total(ledgers),
        generations=ledgers,
        objectives=archive.objectives,
        least_accuracy=least_accuracy(archive.limits),
        evaluated=tuple(
            _pair(member, archive, on_front=(member.genotype, member.fidelity) in on_front)
            for member in archive.members
        ),
        front=tuple(_pair(member, archive, on_front=True) for member in front),
        knee=knee(archive.points(front)) if front else None,
        reference=_named_reference(archive, shown),
        progress=_progress(archive, ledgers, reference)._replace(better=better),
        shortfall=() if front or not ledgers else _shortfall(store, config, space, archive),
        judged_by=_judged_by(archive),
        cost=search_cost(store, Ledger.total(ledgers), config.host),
        better=better,
    )


def _named_reference(archive: Archive, shown: Sequence[float]) -> dict[str, float]:
    """The reference point by objective; the error is one where something judges the networks."""
    error = {"error": 1.0} if _judged_by(archive) else {}
    return error | dict(zip(archive.objectives, map(float, shown), strict=True))


def _judged_by(archive: Archive) -> str | None:
    """The first metric that the estimates have; accuracy where there is no estimate yet."""
    for member in archive.members:
        metrics = member.estimate.metrics
        return "accuracy" if "accuracy" in metrics else next(iter(metrics), None)
    return "accuracy"


def _better(store: RunStore, archive: Archive) -> Direction:
    """Which values of the metric that judges are better, as its estimator said when the run began."""
    metrics = checked_manifest(store).get("metrics", {})
    return "lower" if metrics.get(_judged_by(archive)) == "less" else "higher"


def _shortfall(store: RunStore, config: RunConfig, space: JointSpace, archive: Archive) -> tuple[str, ...]:
    """Why the front is empty: of the evaluated pairs, or of all pairs where none was evaluated."""
    full = [member for member in archive.members if member.fidelity == 1.0]
    if full:
        shown = [_pair(member, archive, on_front=False) for member in full]
        places = [", ".join(f"{name} = {value}" for name, value in pair.hardware.items()) for pair in shown]
        named = [
            f"network {pair.architecture}" + (f", {place}" if place else "")
            for pair, place in zip(shown, places, strict=True)
        ]
        return task_shortfall(archive.limits, [member.estimate.metrics for member in full], named)
    if archive.members:
        return (f"no pair is evaluated at full fidelity: {len(archive.members):,} are below it",)
    names = [f"gene_{i}" for i in range(space.n_genes)]
    sizes = map(int, space.cardinalities)
    columns = store.read_fast(names, choices=dict(zip(names, sizes, strict=True)))
    pairs = np.stack([columns[name] for name in names], axis=1).astype(np.int64)
    chosen = even_sample(len(pairs), MOST_PAIRS)
    limits: tuple[Limit, ...] = limits_of(space.hardware.model, cost_constraints(config, space.hardware.model))
    found = cost_shortfall(pairs[chosen], space, RUNTIMES[config.runtime], limits, considered=len(pairs))
    return found or ("some pairs meet all limits on costs, and none of them has an accuracy yet",)


def open_store(source: RunStore | Path) -> RunStore:
    """The store itself, or that of a folder, of which damaged parts are left out."""
    return source if isinstance(source, RunStore) else RunStore.open(source, tolerant=True)


def config_of(store: RunStore) -> RunConfig:
    """The configuration that a run was started with."""
    return parse_config(checked_manifest(store)["config"], where=str(store.folder / "manifest.json"))


def space_of(config: RunConfig) -> JointSpace:
    """The space that the genotypes of a run live in."""
    return joint_space(config, dataset_of(config.data))


def _check_space(store: RunStore, space: JointSpace) -> None:
    """The genotypes of a run mean what the configuration of its manifest says, or nothing.

    Raises
    ------
    SpecError : the space of the configuration is not the one that the run began with.
    """
    began = checked_manifest(store)
    for key, now in (("space", space.architecture.fingerprint), ("space_size", space.size)):
        if key in began and began[key] != now:
            where = f"{store.folder / 'manifest.json'}: {key}"
            raise SpecError(where, began[key], f"that of its configuration, {now}", "the genotypes mean others")


def _pair(member: Member, archive: Archive, *, on_front: bool) -> Pair:
    space, estimate = archive.space, member.estimate
    cut = space.architecture.n_genes
    genotype = np.array(member.genotype, np.int64)
    return Pair(
        architecture=space.architecture.describe(genotype[:cut]),
        hardware=space.hardware.decode(genotype[cut:]),
        objectives={name: member.costs[name] for name in archive.objectives} | _judged(estimate),
        costs=dict(member.costs),
        genotype=member.genotype,
        generation=member.generation,
        on_front=on_front,
    )


def _judged(estimate: Estimate) -> dict[str, float]:
    spread = estimate.spread if len(estimate.draws) != 1 else np.nan
    if "accuracy" not in estimate.metrics:
        return {**estimate.metrics, "spread": spread} if estimate.draws else dict(estimate.metrics)
    further = {name: value for name, value in estimate.metrics.items() if name not in ("accuracy", "accuracy_test")}
    low, high = wilson(estimate.accuracy, estimate.images)
    return {
        "accuracy": estimate.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_test": estimate.accuracy_test,
        "spread": spread,
        **further,
    }


def _reference(archive: Archive) -> F64:
    """The reference point, (1 + K,): error 1, and a margin over the worst evaluated costs (1 where there is none)."""
    points = _positive_points(archive, archive.members)
    worst = points[:, 1:].max(axis=0) if len(points) else np.ones(points.shape[1] - 1)
    # A cost that is zero in every pair has no box of its own: it counts as one of unit width.
    return np.concatenate([[1.0], REFERENCE_MARGIN * np.where(worst > 0, worst, 1.0)])


def _positive_points(archive: Archive, members: Sequence[Member]) -> F64:
    """(error, costs) with what is maximised by its reciprocal: a box from the origin measures them all."""
    points = archive.points(members)
    return np.column_stack([points[:, :1], positive(archive.goals, points[:, 1:])])


def _progress(archive: Archive, ledgers: Sequence[Ledger], reference: F64) -> Progress:
    members = archive.feasible()
    told = np.array([member.generation for member in members], np.int64)
    points = _positive_points(archive, members) / reference
    judged_by = _judged_by(archive)
    values = np.array([member.estimate.metrics.get(judged_by or "", 1.0 - member.estimate.error) for member in members])
    error = np.array([member.estimate.error for member in members])
    accuracy, volume = np.full(len(ledgers), np.nan), np.zeros(len(ledgers))
    for generation in range(len(ledgers)):
        known = points[told <= generation]
        if len(known):
            accuracy[generation] = values[told <= generation][error[told <= generation].argmin()]
            volume[generation] = hypervolume(known[non_dominated(known)], np.ones(points.shape[1]))
    trainings = np.cumsum([ledger.trained for ledger in ledgers], dtype=np.int64)
    return Progress(trainings, accuracy, volume, judged_by)
