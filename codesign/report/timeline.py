"""When the layers of one network run, and on which part of the hardware: one bar a layer, one line a part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codesign.report.palette import category
from codesign.report.scale import scale_of
from hwmodels.families.base import Timeline
from hwmodels.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_timeline", "save_timeline"]

_SIZE = (9.0, 1.2)
_HEIGHT_A_LANE = 0.55


def plot_timeline(timeline: Timeline, title: str, ax: Axes | None = None) -> Axes:
    """Bars from start to end of each layer; those of one lane lie in one line and have its colour."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=_size(timeline), layout="constrained").add_subplot()
    scale = scale_of("latency_s", timeline.end_s)
    start, end = scale.apply(timeline.start_s), scale.apply(timeline.end_s)
    for lane in range(len(timeline.lanes)):
        mine = np.flatnonzero(timeline.lane == lane)
        spans = list(zip(start[mine], end[mine] - start[mine], strict=True))
        ax.broken_barh(spans, (lane - 0.4, 0.8), facecolor=category(lane), edgecolor="white", linewidth=0.4)
    ax.set(xlabel=f"time ({scale.unit})", yticks=range(len(timeline.lanes)), yticklabels=timeline.lanes)
    ax.set(ylim=(len(timeline.lanes) - 0.4, -0.6), xlim=(0, None))
    ax.set_title(title, fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _size(timeline: Timeline) -> tuple[float, float]:
    return (_SIZE[0], _SIZE[1] + _HEIGHT_A_LANE * len(timeline.lanes))


def save_timeline(timeline: Timeline, title: str, path: Path) -> None:
    """The plot as a picture file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_size(timeline), layout="constrained")
    plot_timeline(timeline, title, figure.add_subplot())
    write_whole(path, lambda part: figure.savefig(part, dpi=150))
