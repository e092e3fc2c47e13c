"""Published macros beside the predicted front: efficiency against ADC bits, nodes by colour, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from codesign.estimate.macro_front import FrontPoint, PublishedPoint
from codesign.report.palette import category
from hwmodels.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_macros", "save_macros"]

_MARKERS = {"redistribution": "o", "charge": "s", "both": "D", "current": "^", "cell_current": "v"}


def plot_macros(front: Sequence[FrontPoint], published: Sequence[PublishedPoint], ax: Axes | None = None) -> Axes:
    """One line for each node of the front, in a band that holds four of five published macros of its kind.

    Chips take the colour of the front's nearest node, and a marker by their way of summing.
    """
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6.4, 4.8), layout="constrained").add_subplot()
    nodes = sorted({point.node_nm for point in front})
    for i, node in enumerate(nodes):
        mine = sorted((point for point in front if point.node_nm == node), key=lambda point: point.adc_bits)
        bits = [point.adc_bits for point in mine]
        ax.plot(bits, [point.tops_per_w for point in mine], color=category(i), lw=1.4, label=f"predicted, {node:g} nm")
        ax.fill_between(bits, [p.low for p in mine], [p.high for p in mine], color=category(i), alpha=0.12, lw=0)
    known = np.log(np.array(nodes))
    for kind, marker in _MARKERS.items():
        chips = [point for point in published if point.kind == kind]
        if chips:
            nearest = [int(np.argmin(np.abs(known - np.log(point.node_nm)))) for point in chips]
            ax.scatter(
                [point.adc_bits for point in chips], [point.tops_per_w for point in chips], marker=marker, s=26,
                c=[category(i) for i in nearest], edgecolors="black", linewidths=0.4, label=kind.replace("_", " "),
            )  # fmt: skip
    ax.set(xlabel="ADC resolution (bit)", ylabel="efficiency (TOPS/W, 1-bit operands), higher is better", yscale="log")
    ax.set_title(f"{len(published)} published macros and the predicted front", fontsize="medium")
    ax.legend(fontsize="x-small", frameon=False, ncols=2)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def save_macros(front: Sequence[FrontPoint], published: Sequence[PublishedPoint], path: Path) -> None:
    """The plot as a picture file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    plot_macros(front, published, figure.add_subplot())
    write_whole(path, lambda part: figure.savefig(part, dpi=150))
