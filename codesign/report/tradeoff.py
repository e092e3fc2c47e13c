"""Accuracy against energy over ADC bits and array size, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codesign.estimate.tradeoff import Tradeoff
from codesign.report.palette import category
from codesign.report.scale import axis_label, scale_of
from hwmodels.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_tradeoff", "save_tradeoff"]

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def plot_tradeoff(tradeoff: Tradeoff, ax: Axes | None = None) -> Axes:
    """One line for each array size through its ADC resolutions, points labelled in bits; bars show the spread.

    Designs that cannot run the network are left out.
    """
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 4.8), layout="constrained").add_subplot()
    across, up = scale_of("energy_j", tradeoff.energy_j), scale_of("accuracy", [])
    feasible = np.array([not reason for reason in tradeoff.infeasible], np.bool_)
    for i, rows in enumerate(np.unique(tradeoff.array_rows).tolist()):
        mine = np.flatnonzero((tradeoff.array_rows == rows) & feasible)
        mine = mine[np.argsort(tradeoff.adc_bits[mine])]
        x, y = across.apply(tradeoff.energy_j[mine]), up.apply(tradeoff.accuracy[mine])
        ax.errorbar(
            x, y, yerr=up.apply(tradeoff.spread[mine]), color=category(i), marker=_MARKERS[i % len(_MARKERS)],
            ms=5, lw=1.2, capsize=2, label=f"{rows} x {rows}",
        )  # fmt: skip
        for place_x, place_y, bits in zip(x, y, tradeoff.adc_bits[mine], strict=True):
            ax.annotate(
                f"{bits}", (place_x, place_y), xytext=(3, -9), textcoords="offset points", fontsize="x-small",
                color=category(i),
            )  # fmt: skip
    ax.set(xlabel=axis_label(across, "lower"), ylabel=axis_label(up, "higher"))
    ax.set_title(f"{tradeoff.network}, one image; labels are ADC bits", fontsize="medium")
    ax.legend(title="cells of an array", fontsize="small", title_fontsize="small", frameon=False, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def save_tradeoff(tradeoff: Tradeoff, path: Path) -> None:
    """The plot as a picture file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    plot_tradeoff(tradeoff, figure.add_subplot())
    write_whole(path, lambda part: figure.savefig(part, dpi=150))
