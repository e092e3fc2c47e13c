"""Start and resume runs from Python: what the command line does, without printing.

import codesign
run = codesign.search("examples/quickstart.yaml", "runs/quickstart")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hwmodels.errors import SpecError, shown

if TYPE_CHECKING:
    from codesign.app.config import RunConfig
    from codesign.estimate.base import Estimator
    from codesign.executor.base import Executor
    from codesign.report.summary import Summary
    from codesign.space.architecture import ArchitectureSpace
    from codesign.space.joint import JointSpace
    from codesign.store import RunBlobs, RunStore
    from codesign.strategy.base import Strategy
    from codesign.two_level.loop import Event, Search

__all__ = ["Prepared", "Run", "begin", "load", "prepare", "reopen", "resume", "search"]


class Run:
    """A run that is ready: `go` executes what its store does not hold yet.

    notes : what a user should know before it goes on, a line each.
    """

    def __init__(
        self, config: RunConfig, space: JointSpace, parts: Search, store: RunStore, *, notes: Sequence[str] = ()
    ) -> None:
        self.config, self.space, self.parts, self.store = config, space, parts, store
        self.notes = tuple(notes)

    def go(self, report: Callable[[Event], None] = lambda event: None) -> None:
        """Run to the end; interrupt at will.

        Raises
        ------
        SpecError : another process runs it, or its files can no longer be read or written.
        """
        from codesign.two_level.loop import run_search

        with self.store.owned(), self.parts.slow:
            run_search(self.parts, self.store, report=report)


class Prepared(NamedTuple):
    """A run that is checked and has no folder yet."""

    config: RunConfig
    space: JointSpace
    parts: Search
    blobs: RunBlobs
    manifest: Mapping[str, Any]
    notes: tuple[str, ...]

    def made(self, folder: Path) -> Run:
        """The run in a new folder.

        Raises
        ------
        SpecError : an occupied folder.
        """
        from codesign.store import RunStore

        self.blobs.store = RunStore.create(folder, self.manifest)
        return Run(self.config, self.space, self.parts, self.blobs.store, notes=self.notes)


def prepare(config: RunConfig) -> Prepared:
    """Check everything; nothing is written.

    Raises
    ------
    SpecError : bad input.
    """
    from codesign.app.assemble import cost_constraints, dataset_of, executor_of, joint_space, manifest, search_of
    from codesign.app.warm_start import with_points
    from codesign.objectives import limits_of
    from codesign.store import RunBlobs
    from codesign.two_level.shortfall import idle_limits
    from hwmodels.workload.rewrite import RUNTIMES

    executor = executor_of(config)  # before the data: it may pin this process, which must not have loaded torch
    data, blobs = dataset_of(config.data), RunBlobs()
    space = joint_space(config, data)
    config = with_points(config, space)
    parts = search_of(config, space, data, blobs, executor=executor)
    limits = limits_of(space.hardware.model, cost_constraints(config, space.hardware.model))
    notes = idle_limits(space, RUNTIMES[config.runtime], limits)
    judged = {"metrics": dict(parts.slow.estimator.metrics)}
    return Prepared(config, space, parts, blobs, {**manifest(config, data, space), **judged}, tuple(notes))


def begin(config: RunConfig, folder: Path) -> Run:
    """Check everything, then make the folder of a new run.

    Raises
    ------
    SpecError : bad input or an occupied folder; nothing is written then.
    """
    from codesign.store import check_run_folder

    check_run_folder(folder)
    return prepare(config).made(folder)


def reopen(
    folder: Path,
    *,
    executor: Mapping[str, Any] | None = None,
    strategy: Strategy | None = None,
    estimator: Estimator | None = None,
    space: ArchitectureSpace | None = None,
) -> Run:
    """An existing run, to be gone on with.

    Parameters
    ----------
    executor : where its trainings run from now on, as ``{"workers": 4}``; as it began by default. The run ends the
        same either way.
    strategy, estimator, space : each one that was passed as an object when the run began.

    Raises
    ------
    SpecError : no run, or one begun with other data, spaces, objects or versions, which could not end the same.
    """
    from codesign.app.assemble import dataset_of, executor_of, joint_space, manifest, search_of
    from codesign.app.config import parse_config
    from codesign.app.provenance import changed_host, first_difference
    from codesign.store import RunBlobs, RunStore, checked_manifest

    objects = _given({"strategy": strategy, "estimator": estimator, "architecture": space})
    store, blobs = RunStore.open(folder), RunBlobs()
    began, blobs.store = checked_manifest(store), store
    # Runs of versions that did not know the key were not pinned.
    at_first = {"name": "process", "portable": False, **began.get("executor", {})}
    if "object" in at_first:
        at_first = {"name": "process", "portable": True}
    where = {"executor": at_first if executor is None else {"portable": at_first["portable"], **executor}}
    config = parse_config({**began["config"], **where}, where=str(folder / "manifest.json"), objects=objects)
    trainings_on = executor_of(config)
    data = dataset_of(config.data)
    joint = joint_space(config, data)
    now = manifest(config, data, joint)
    for key in ("data", "space", "family", "model_version", "device", "versions"):
        if (differs := first_difference(key, began[key], now[key])) is not None:
            place, at_first, here = differs
            raise SpecError(f"{folder / 'manifest.json'}: {place}", here, f"what the run began with: {shown(at_first)}")
    for key in ("strategy", "estimator"):
        first = began["config"].get(key)
        if isinstance(first, Mapping) and "object" in first and first != now["config"][key]:
            raise SpecError(f"{folder / 'manifest.json'}: {key}", now["config"][key], f"as the run began: {first}")
    parts = search_of(config, joint, data, blobs, executor=trainings_on)
    return Run(config, joint, parts, store, notes=changed_host(began, now))


def search(
    config: str | Path | Mapping[str, Any],
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    strategy: str | Strategy | None = None,
    estimator: str | Estimator | None = None,
    space: str | ArchitectureSpace | None = None,
    executor: str | Executor | None = None,
) -> Summary:
    """Run a configuration (a YAML file or a mapping) and return its `codesign.report.summary.Summary`.

    Parameters
    ----------
    output : folder of the run, new or empty; the report is written there too.
    overrides : dotted assignments, as ``"slow.trainings=8"``, for a file.
    strategy, estimator, space, executor : a name or an object in place of the section of the configuration (`space`:
        of `architecture`). The manifest names the class of an object; going on with the run needs it again.
    """
    from codesign.app.config import load_config, parse_config
    from codesign.report.html import read_report, write_report

    objects = _given({"strategy": strategy, "estimator": estimator, "architecture": space, "executor": executor})
    if isinstance(config, Mapping):
        checked = parse_config(dict(config), objects=objects)
    else:
        checked = load_config(Path(config), overrides, objects=objects)
    run = begin(checked, Path(output))
    run.go()
    report = read_report(run.store, space=run.space)
    write_report(report, run.store.folder)
    return report.summary


def resume(
    folder: str | Path,
    *,
    workers: int | None = None,
    strategy: Strategy | None = None,
    estimator: Estimator | None = None,
    space: ArchitectureSpace | None = None,
) -> Summary:
    """Go on with a run that was interrupted and return its summary; it ends as an uninterrupted one would.

    Parameters
    ----------
    workers : processes that train from now on; as it began by default.
    strategy, estimator, space : each one that was passed as an object when the run began.

    Raises
    ------
    SpecError : no run there, or one begun with other data, objects or versions.
    """
    from codesign.report.html import read_report, write_report

    where = None if workers is None else {"workers": workers}
    run = reopen(Path(folder), executor=where, strategy=strategy, estimator=estimator, space=space)
    run.go()
    report = read_report(run.store, space=run.space)
    write_report(report, run.store.folder)
    return report.summary


def load(folder: str | Path) -> Summary:
    """The summary of a run, finished or not: its front, its ledger, how both came about.

    Raises
    ------
    SpecError : no run there.
    """
    from codesign.report.summary import summarise

    return summarise(Path(folder))


def _given(objects: Mapping[str, Any]) -> dict[str, Any]:
    """Sections with what takes their place, as far as something does."""
    return {section: item for section, item in objects.items() if item is not None}
