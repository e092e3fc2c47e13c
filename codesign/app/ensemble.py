"""An ensemble of the networks that a run has found: which ones, how good it is beside them, and what it costs.

The library are the trained networks of the run that meet its constraints at full fidelity, each under the arithmetic
that it was judged under, on the cheapest design by the first objective. How members are chosen: `codesign.estimate.
ensemble`.

The cost of an ensemble is the sum of its members': they take turns, each on the design of its pair. Throughputs, and
whatever else is better the more there is of it, add up by their reciprocals.

Not modelled: members that run at the same time, what they share, as the area of one design that serves several, and
the average itself. The accuracy on validation is that of the choice, and so a little too good; that on test is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from codesign.app.assemble import archive_of
from codesign.app.config import RunConfig, parse_config
from codesign.app.trained import pin, trained_run
from codesign.estimate.ensemble import Ensemble, Outputs, Scores, best_of, nested
from codesign.objectives import Objective
from codesign.space.joint import JointSpace
from codesign.store import RunStore, checked_manifest
from codesign.task import Classification
from codesign.two_level.archive import Archive, Member
from codesign.two_level.slow import SlowLevel
from hwmodels.errors import SpecError
from hwmodels.files import finite_or_null

__all__ = ["Found", "Part", "ensemble_of"]


class Part(NamedTuple):
    """A member: its network and design in words, its accuracies alone, and its objectives."""

    network: str
    hardware: Mapping[str, Any]
    genotype: tuple[int, ...]
    accuracy: float
    accuracy_test: float
    costs: Mapping[str, float]


class Found(NamedTuple):
    """The nested ensembles of a run.

    library : how many networks there were to choose from. parts : those chosen, in order.
    steps : ensembles of the first part, the first two, ... costs : of each step. size : members of the one that is best
    on validation.
    """

    library: int
    parts: tuple[Part, ...]
    steps: tuple[Ensemble, ...]
    costs: tuple[Mapping[str, float], ...]
    size: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON: each step with the member that it adds; `size` says after which one the best ensemble is whole."""
        rows = zip(self.parts, self.steps, self.costs, strict=True)
        steps = [
            {
                "members": count,
                "accuracy": step.accuracy,
                "accuracy_test": step.accuracy_test,
                "costs": finite_or_null(dict(costs)),
                "added": {**part._asdict(), "hardware": dict(part.hardware), "costs": finite_or_null(dict(part.costs))},
            }
            for count, (part, step, costs) in enumerate(rows, start=1)
        ]
        return {"library": self.library, "size": self.size, "steps": steps}


def ensemble_of(run: Path, *, most: int) -> Found:
    """Choose an ensemble of at most `most` networks of a run; nothing is trained and nothing is written.

    Raises
    ------
    SpecError : no such run, one that does not classify or trained nothing, or weights that are missing.
    """
    store = RunStore.open(run)
    try:
        manifest = checked_manifest(store)
        config = parse_config(manifest["config"], where=str(run / "manifest.json"))
        pin(manifest)
        data, space, estimator, slow = trained_run(config)
        if not isinstance(data.task, Classification):
            raise SpecError(f"data: {data.name}", data.task.name, "a classification, whose scores are averaged")
        if not isinstance(estimator, Scores):
            raise SpecError("estimator", config.estimator.name, "one that tells its scores, as training does")
        slow.parents.update(store.parents())
        archive = _archive(store, config, space)
        library = _library(archive)
        outputs = [_outputs(store, slow, archive, member) for member in library]
    finally:
        store.close()
    steps = nested(outputs, data.validation.labels, data.test.labels, most=most)
    chosen = [library[i] for i in steps[-1].members]
    costs = [_summed(archive.goals, chosen[: count + 1]) for count in range(len(chosen))]
    return Found(
        len(library),
        tuple(_part(space, archive.goals, member) for member in chosen),
        tuple(steps),
        tuple(costs),
        len(best_of(steps).members),
    )


def _archive(store: RunStore, config: RunConfig, space: JointSpace) -> Archive:
    """What the run has evaluated."""
    archive = archive_of(config, space)
    for generation, pair, estimate in store.pairs():
        if (wrong := archive.misfit(pair, estimate)) is not None:
            store.lose(f"a row of it: {wrong}")
            continue
        archive.add(
            Member(pair.genotype, pair.numerics, pair.costs, pair.estimate, estimate, generation, pair.fidelity)
        )
    return archive


def _library(archive: Archive) -> list[Member]:
    """One pair of each network and arithmetic, by rising error; those that diverged are left out.

    Raises
    ------
    SpecError : there is none.
    """
    members = [member for member in archive.feasible() if not member.estimate.diverged]
    points = archive.points(members)
    cheapest: dict[str, Member] = {}
    for i in np.lexsort(points.T[::-1]):  # by error, then by objective after objective
        cheapest.setdefault(members[i].key, members[i])
    if not cheapest:
        raise SpecError("run", "without a trained network that meets the constraints", "one with some to choose from")
    return list(cheapest.values())


def _outputs(store: RunStore, slow: SlowLevel, archive: Archive, member: Member) -> Outputs:
    """What a network of the library says of the images.

    Raises
    ------
    SpecError : another version's keys, or weights that are missing.
    """
    estimator: Any = slow.estimator
    request = slow.request(archive.class_of(member))
    if estimator.key(request) != member.key:
        where = str(store.folder)
        raise SpecError(where, "trained by another version", "of this version: its accuracies are of other keys")
    key = estimator.training_key(request)
    payload = store.get(key)
    if payload is None:
        raise SpecError(str(store.folder / "run.sqlite"), "without the weights of its pairs", "whole")
    estimator.weights.bring(key, payload)
    outputs: Outputs = estimator.outputs(request)
    return outputs


def _summed(goals: Sequence[Objective], members: Sequence[Member]) -> dict[str, float]:
    """Objectives of members that take turns."""
    costs = {}
    for goal in goals:
        values = np.array([member.costs[goal.metric] for member in members], np.float64)
        with np.errstate(divide="ignore"):  # what one does at no rate, they do at none
            costs[goal.metric] = float(1.0 / (1.0 / values).sum() if goal.more else values.sum())
    return costs


def _part(space: JointSpace, goals: Sequence[Objective], member: Member) -> Part:
    cut, genotype = space.architecture.n_genes, np.array(member.genotype, np.int64)
    return Part(
        space.architecture.describe(genotype[:cut]),
        space.hardware.decode(genotype[cut:]),
        member.genotype,
        member.estimate.accuracy,
        member.estimate.accuracy_test,
        {goal.metric: member.costs[goal.metric] for goal in goals},
    )
