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
    from codesign.config import RunConfig
    from codesign.data import Dataset
    from codesign.explore.loop import Event
    from codesign.report.summary import Summary
    from codesign.space.joint import JointSpace
    from codesign.store import RunStore

__all__ = ["Run", "begin", "reopen", "search"]


class Run:
    """A run that is ready: `go` executes what its store does not hold yet."""

    def __init__(self, config: RunConfig, space: JointSpace, data: Dataset, store: RunStore) -> None:
        from codesign.assemble import search_of

        self.config, self.store = config, store
        self.parts = search_of(config, space, data, store)

    def go(self, report: Callable[[Event], None] = lambda event: None) -> None:
        """Run to the end; interrupt at will."""
        from codesign.explore.loop import explore

        explore(self.parts, self.store, report=report)


def begin(config: RunConfig, folder: Path) -> Run:
    """Check everything, then make the folder of a new run.

    Raises
    ------
    SpecError : bad input or an occupied folder; nothing is written then.
    """
    from codesign.assemble import dataset_of, joint_space, manifest
    from codesign.store import RunStore

    data = dataset_of(config.data)
    space = joint_space(config, data)
    return Run(config, space, data, RunStore.create(folder, manifest(config, data, space)))


def reopen(folder: Path) -> Run:
    """An existing run, to be gone on with.

    Raises
    ------
    SpecError : no run, or one begun with other data, spaces or versions, which could not end the same.
    """
    from codesign.assemble import dataset_of, joint_space, manifest
    from codesign.config import parse_config
    from codesign.store import RunStore

    store = RunStore.open(folder)
    began = store.manifest
    config = parse_config(began["config"], where=str(folder / "manifest.json"))
    data = dataset_of(config.data)
    space = joint_space(config, data)
    now = manifest(config, data, space)
    for key in ("data", "space", "family", "model_version", "device", "versions"):
        if began[key] != now[key]:
            raise SpecError(f"{folder / 'manifest.json'}: {key}", now[key], f"what the run began with: {began[key]}")
    return Run(config, space, data, store)


def search(config: str | Path | Mapping[str, Any], output: str | Path, *, overrides: Sequence[str] = ()) -> Summary:
    """Run a configuration (a YAML file or a mapping) and return its `codesign.report.summary.Summary`.

    Parameters
    ----------
    output : folder of the run, new or empty; the report is written there too.
    overrides : dotted assignments, as ``"slow.trainings=8"``, for a file.
    """
    from codesign.config import load_config, parse_config
    from codesign.report.html import read_report, write_report

    checked = parse_config(dict(config)) if isinstance(config, Mapping) else load_config(Path(config), overrides)
    run = begin(checked, Path(output))
    run.go()
    report = read_report(run.store)
    write_report(report, run.store.folder)
    return report.summary
