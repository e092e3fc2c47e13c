"""Several runs as one: the pairs of their fronts that no pair of another run dominates, with the family of each.

Runs of different families, devices or spaces on the same data are compared by what all of them judge: the error, and
the costs that all of them minimise. A pair of the union's front lies on the front of its own run.

Not here: costs that only one family has, as the area of a chip beside a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from codesign.objectives import objectives_of
from codesign.pareto import non_dominated
from codesign.report.summary import Direction, Pair, Summary, config_of, open_store, space_of, summarise
from codesign.report.table_file import write_table
from codesign.space.hardware import DEVICE
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Member", "Union", "union", "write_union"]


class Member(NamedTuple):
    """A pair of the union's front, and whose it is."""

    run: str
    family: str
    device: str
    pair: Pair


class Union(NamedTuple):
    """objectives : costs that all runs minimise. judged_by : the metric of the error. members : by rising error.

    fronts : pairs of each run's front, and how many of them stay. better : which values of `judged_by` are.
    """

    objectives: tuple[str, ...]
    judged_by: str
    members: tuple[Member, ...]
    fronts: dict[str, tuple[int, int]]
    better: Direction = "higher"

    def columns(self) -> dict[str, list[Any]]:
        """The front as a table: column -> one value a pair."""
        names = (self.judged_by, *self.objectives)
        return {
            "family": [member.family for member in self.members],
            "device": [member.device for member in self.members],
            **{name: [member.pair.objectives[name] for member in self.members] for name in names},
            "network": [member.pair.architecture for member in self.members],
            "design": [
                ", ".join(f"{name} {value}" for name, value in member.pair.hardware.items()) for member in self.members
            ],
            "run": [member.run for member in self.members],
        }

    def to_frame(self) -> pd.DataFrame:
        """The front as a table of pandas."""
        import pandas as pd

        return pd.DataFrame(self.columns())


class _Run(NamedTuple):
    name: str
    family: str
    device: str
    data: dict[str, object]
    summary: Summary
    more: dict[str, bool]


def union(folders: Sequence[Path]) -> Union:
    """The front of several runs together.

    Raises
    ------
    SpecError : fewer than two runs, the same one twice, other data or another judge, no cost in common, no front.
    """
    if len(folders) < 2 or len({folder.resolve() for folder in folders}) < len(folders):
        raise SpecError("union", ", ".join(map(str, folders)) or "nothing", "at least two runs, each named once")
    runs = [_read(folder) for folder in folders]
    for run in runs[1:]:
        for what, ours, theirs in (
            ("data", run.data, runs[0].data), ("judge", run.summary.judged_by, runs[0].summary.judged_by)
        ):  # fmt: skip
            if ours != theirs:
                raise SpecError(f"union: {what} of {run.name}", ours, f"that of {runs[0].name}, {theirs}")
    shared = [name for name in runs[0].summary.objectives if all(name in run.summary.objectives for run in runs)]
    judged = runs[0].summary.judged_by
    if judged is None or not shared:
        listed = "; ".join(f"{run.name}: {', '.join(run.summary.objectives)}" for run in runs)
        raise SpecError("union", listed, "runs that judge networks and have a cost in common")
    members = [
        Member(run.name, run.family, str(pair.hardware.get(DEVICE, run.device)), pair)
        for run in runs
        for pair in run.summary.front
    ]
    if not members:
        raise SpecError("union", "no front", "a run with one")
    kept = [member for member, on in zip(members, _on_front(members, runs[0], shared, judged), strict=True) if on]
    better = 1.0 if runs[0].summary.better == "lower" else -1.0
    kept.sort(key=lambda member: (better * member.pair.objectives[judged], member.pair.objectives[shared[0]]))
    fronts = {run.name: (len(run.summary.front), sum(one.run == run.name for one in kept)) for run in runs}
    return Union(tuple(shared), judged, tuple(kept), fronts, runs[0].summary.better)


def write_union(found: Union, folder: Path) -> list[Path]:
    """The front as front.csv and front.png in a folder."""
    from matplotlib.figure import Figure

    from codesign.report.plots import plot_union, save_figure

    table = folder / "front.csv"
    write_table(table, found.columns())
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    plot_union(found, figure.add_subplot())
    return [table, save_figure(figure, folder / "front.png")]


def _read(folder: Path) -> _Run:
    store = open_store(folder)
    config = config_of(store)
    space = space_of(config)
    summary = summarise(store, space=space)
    device = "none" if config.hardware is None else config.hardware.device
    name = device if isinstance(device, str) else device[0]
    goals = objectives_of(space.hardware.model, summary.objectives)
    return _Run(
        str(folder), space.hardware.model.name, name, config.data.model_dump(mode="json"), summary,
        {goal.metric: goal.more for goal in goals},
    )  # fmt: skip


def _on_front(members: Sequence[Member], first: _Run, shared: Sequence[str], judged: str) -> list[bool]:
    """Which members no other one dominates."""
    sign = [1.0 if first.summary.better == "lower" else -1.0, *(-1.0 if first.more[name] else 1.0 for name in shared)]
    points = np.array([[member.pair.objectives[name] for name in (judged, *shared)] for member in members])
    found: list[bool] = non_dominated(points * sign).tolist()
    return found
