"""Start and resume runs from Python: what the command line does, without printing.

import codesign
run = codesign.search("examples/quickstart.yaml", "runs/quickstart")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.app.config import RunConfig
    from codesign.data import Dataset
    from codesign.executor.base import Executor
    from codesign.report.summary import Summary
    from codesign.space.joint import JointSpace
    from codesign.store import RunStore
    from codesign.two_level.loop import Event

__all__ = ["Run", "begin", "reopen", "search"]


class Run:
    """A run that is ready: `go` executes what its store does not hold yet."""

    def __init__(
        self, config: RunConfig, space: JointSpace, data: Dataset, store: RunStore, executor: Executor
    ) -> None:
        from codesign.app.assemble import search_of

        self.config, self.store = config, store
        self.parts = search_of(config, space, data, store, executor=executor)

    def go(self, report: Callable[[Event], None] = lambda event: None) -> None:
        """Run to the end; interrupt at will."""
        from codesign.two_level.loop import explore

        with self.parts.slow:
            explore(self.parts, self.store, report=report)


def begin(config: RunConfig, folder: Path) -> Run:
    """Check everything, then make the folder of a new run.

    Raises
    ------
    SpecError : bad input or an occupied folder; nothing is written then.
    """
    from codesign.app.assemble import dataset_of, executor_of, joint_space, manifest
    from codesign.store import RunStore

    data = dataset_of(config.data)
    space = joint_space(config, data)
    executor = executor_of(config.executor)
    return Run(config, space, data, RunStore.create(folder, manifest(config, data, space)), executor)


def reopen(folder: Path, *, executor: Mapping[str, Any] | None = None) -> Run:
    """An existing run, to be gone on with.

    Parameters
    ----------
    executor : where its trainings run from now on, as ``{"workers": 4}``; as it began by default. The run ends the
        same either way.

    Raises
    ------
    SpecError : no run, or one begun with other data, spaces or versions, which could not end the same.
    """
    from codesign.app.assemble import dataset_of, executor_of, joint_space, manifest
    from codesign.app.config import parse_config
    from codesign.store import RunStore

    store = RunStore.open(folder)
    began = store.manifest
    # Runs of versions that did not know the key were not pinned.
    at_first = {"name": "process", "portable": False, **began.get("executor", {})}
    where = {"executor": at_first if executor is None else {"portable": at_first["portable"], **executor}}
    config = parse_config({**began["config"], **where}, where=str(folder / "manifest.json"))
    data = dataset_of(config.data)
    space = joint_space(config, data)
    now = manifest(config, data, space)
    for key in ("data", "space", "family", "model_version", "device", "versions"):
        if began[key] != now[key]:
            raise SpecError(f"{folder / 'manifest.json'}: {key}", now[key], f"what the run began with: {began[key]}")
    return Run(config, space, data, store, executor_of(config.executor))


def search(config: str | Path | Mapping[str, Any], output: str | Path, *, overrides: Sequence[str] = ()) -> Summary:
    """Run a configuration (a YAML file or a mapping) and return its `codesign.report.summary.Summary`.

    Parameters
    ----------
    output : folder of the run, new or empty; the report is written there too.
    overrides : dotted assignments, as ``"slow.trainings=8"``, for a file.
    """
    from codesign.app.config import load_config, parse_config
    from codesign.report.html import read_report, write_report

    checked = parse_config(dict(config)) if isinstance(config, Mapping) else load_config(Path(config), overrides)
    run = begin(checked, Path(output))
    run.go()
    report = read_report(run.store)
    write_report(report, run.store.folder)
    return report.summary
