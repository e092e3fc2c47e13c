"""Pictures of one network: its graph, and what each layer computes, stores and keeps alive.

The graph is drawn in execution order from left to right, line by line, as text is read; a box is an operator, its
colour the kind. Views have no box. Costs of a device are not shown here: `codesign estimate` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from codesign.report.palette import ACCENT, SECOND, category
from codesign.report.scale import axis_label, digits3, scale_of
from hwmodels.cost import kind_of
from hwmodels.evaluate import network_metrics
from hwmodels.units import format_quantity
from hwmodels.workload.coverage import unknown_operators
from hwmodels.workload.graph import Workload
from hwmodels.workload.memory import live_activation_bytes
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import layer_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyArrowPatch

__all__ = [
    "Profile",
    "figure_of",
    "layer_records",
    "plot_graph",
    "plot_layer_macs",
    "plot_layer_parameters",
    "plot_live_memory",
    "profile_of",
    "summary_record",
]

F64 = npt.NDArray[np.float64]

_BOXES_A_LINE = 12
"""Boxes side by side before the drawing starts a new line: about what a page takes at a readable size."""


@dataclass(frozen=True, eq=False)
class Profile:
    """The S executed layers of one network: names, rows, and the activations alive during each, bytes per batch."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    live_bytes: F64

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each layer without its kernel: depthwise convolutions apart from others."""
        return tuple(
            kind_of(row).rsplit(" ", 1)[0] if row.kind == Kind.CONV else kind_of(row).replace("_", " ")
            for row in self.rows
        )


def profile_of(workload: Workload) -> Profile:
    """What each executed layer computes, stores and keeps alive."""
    layers = list(workload.rows())
    return Profile(
        tuple(node.name for node, _ in layers),
        tuple(row for _, row in layers),
        live_activation_bytes(layer_table([workload])),
    )


def summary_record(workload: Workload) -> dict[str, Any]:
    """Totals of one network, its layers by kind, and the operators that the vocabulary does not know."""
    metrics = network_metrics(layer_table([workload]))
    groups: dict[str, dict[str, Any]] = {}
    for _, row in workload.rows():
        kind = kind_of(row)
        group = groups.setdefault(kind, {"kind": kind, "layers": 0, "macs": 0, "params": 0})
        group["layers"] += 1
        group["macs"] += row.macs
        group["params"] += row.parameters
    return {
        "name": workload.name,
        "batch": workload.batch,
        "inputs": [list(shape) for shape in workload.input_shapes],
        "params": workload.parameters,
        "macs": workload.macs,
        **{name: float(metrics[name][0]) for name in ("weight_bytes", "kv_cache_bytes", "peak_activation_bytes")},
        "unknown_operators": [item._asdict() for item in unknown_operators(workload)],
        "kinds": sorted(groups.values(), key=lambda group: (-group["macs"], -group["params"])),
    }


def layer_records(workload: Workload) -> list[dict[str, Any]]:
    """One record an executed layer: its name, kind and every field of its row."""
    profile = profile_of(workload)
    return [
        {"name": name, "live_activation_bytes": float(live), **row._asdict(), "kind": kind_of(row)}
        for name, row, live in zip(profile.names, profile.rows, profile.live_bytes, strict=True)
    ]


def figure_of(workload: Workload, *, view: str = "profile") -> Figure:
    """One figure: the layer "profile" in three panels, or the "graph"."""
    from matplotlib.figure import Figure

    if view == "graph":
        boxes = len(list(workload.rows()))
        lines = -(-boxes // _BOXES_A_LINE)
        figure = Figure(figsize=(1.5 * min(_BOXES_A_LINE, boxes) + 1, 1.15 * lines + 1.2))
        plot_graph(workload, figure.subplots())
        return figure
    profile = profile_of(workload)
    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    plot_layer_macs(profile, panels[0])
    plot_layer_parameters(profile, panels[1])
    plot_live_memory(profile, panels[2])
    panels[0].set_title(_headline(workload))
    panels[0].set_xlabel("")
    panels[1].set_xlabel("")
    return figure


def plot_layer_macs(profile: Profile, ax: Axes | None = None) -> Axes:
    """Multiply-accumulates of each layer, coloured by kind."""
    macs = np.array([row.macs for row in profile.rows], np.float64)
    return _bars("macs", macs, profile.kinds, ax)


def plot_layer_parameters(profile: Profile, ax: Axes | None = None) -> Axes:
    """Stored bytes of each layer at its own weight bits, coloured by kind."""
    stored = np.array([row.parameters * row.weight_bits / 8 for row in profile.rows], np.float64)
    return _bars("weight_bytes", stored, profile.kinds, ax)


def plot_live_memory(profile: Profile, ax: Axes | None = None) -> Axes:
    """Activations alive while each layer runs, with the peak named."""
    ax = _axes(ax)
    scale = scale_of("live_activation_bytes", profile.live_bytes)
    shown = scale.apply(profile.live_bytes)
    ax.fill_between(np.arange(len(shown)), shown, step="mid", color=SECOND, alpha=0.35, lw=0)
    ax.step(np.arange(len(shown)), shown, where="mid", color=SECOND, lw=1)
    ax.set(xlabel="layer in execution order", ylabel=axis_label(scale, "lower"))
    ax.margins(x=0.01)
    if len(shown):
        top = int(shown.argmax())
        text = f"peak {digits3(shown[top])} {scale.unit}: {profile.names[top]}"
        ax.plot([top], [shown[top]], "v", color=ACCENT, ms=7, label=text)
        ax.set_ylim(0, shown[top] * 1.15)
        ax.legend(frameon=False, fontsize="small", loc="upper right")
    return ax


def plot_graph(workload: Workload, ax: Axes | None = None) -> Axes:
    """The operators that are no views as boxes in execution order, and the tensors between them as arrows."""
    from matplotlib.patches import FancyBboxPatch

    ax = _axes(ax)
    profile = profile_of(workload)
    table = layer_table([workload])
    kinds = list(dict.fromkeys(profile.kinds))
    place = [(i % _BOXES_A_LINE * 1.5, -(i // _BOXES_A_LINE) * 1.15) for i in range(len(profile.rows))]
    for i, ((x, y), row) in enumerate(zip(place, profile.rows, strict=True)):
        colour = category(kinds.index(profile.kinds[i]))
        ax.add_patch(FancyBboxPatch((x - 0.5, y - 0.2), 1.0, 0.4, boxstyle="round,pad=0.06", fc=colour, ec="none",
                                    alpha=0.3, zorder=2))  # fmt: skip
        ax.text(x, y, _label(row), ha="center", va="center", fontsize=6.5, zorder=3)
    for source, destination, _ in table.edges(0):
        if source >= 0 and destination >= 0:
            ax.add_patch(_arrow(place[source], place[destination], is_next=destination == source + 1))
    for kind in kinds:
        ax.scatter([], [], marker="s", s=60, color=category(kinds.index(kind)), alpha=0.3, label=kind)
    ax.set(xlim=(-0.8, 1.5 * min(_BOXES_A_LINE, len(place)) - 0.7), ylim=(min(y for _, y in place) - 0.5, 0.7))
    ax.set_axis_off()
    ax.set_title(_headline(workload), fontsize=11)
    ax.legend(ncols=min(len(kinds), 8), frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.0))
    return ax


def _arrow(start: tuple[float, float], end: tuple[float, float], *, is_next: bool) -> FancyArrowPatch:
    """A tensor between two boxes: straight to the next one, over those between, or through the gutter below."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "color": "0.45", "lw": 0.7, "zorder": 1}
    style |= {"shrinkA": 0, "shrinkB": 0}
    (x0, y0), (x1, y1) = start, end
    if y0 == y1 and is_next:
        return FancyArrowPatch((x0 + 0.56, y0), (x1 - 0.56, y1), **style)
    if y0 == y1:
        bend = -min(0.9 / (x1 - x0), 0.35)
        return FancyArrowPatch((x0, y0 + 0.26), (x1, y1 + 0.26), connectionstyle=f"arc3,rad={bend}", **style)
    gutter = y1 + (0.5 if is_next else 0.58)
    corners = [(x0, y0 - 0.26), (x0, gutter), (x1, gutter), (x1, y1 + 0.26)]
    return FancyArrowPatch(path=Path(corners), **style)


def _headline(workload: Workload) -> str:
    inputs = ", ".join("x".join(map(str, shape)) for shape in workload.input_shapes)
    parameters, macs = format_quantity(workload.parameters, ""), format_quantity(workload.macs, "")
    return f"{workload.name}: {parameters} parameters, {macs} MACs a batch; input {inputs}"


def _label(row: Row) -> str:
    """Two lines for a box: the kind with its kernel, the channels and size it makes."""
    size = f"{row.out_channels} x {row.out_h}" + (f"x{row.out_w}" if row.out_w > 1 else "")
    return f"{kind_of(row)}\n{size}"


def _bars(name: str, values: F64, kinds: Sequence[str], ax: Axes | None) -> Axes:
    ax = _axes(ax)
    scale = scale_of(name, [values.max(initial=0.0)])
    for i, kind in enumerate(dict.fromkeys(kinds)):
        at = np.array([j for j, other in enumerate(kinds) if other == kind and values[j] > 0], np.int64)
        if at.size:
            share = values[at].sum() / values.sum()
            ax.bar(at, scale.apply(values[at]), width=0.9, color=category(i), label=f"{kind} {100 * share:.1f} %")
    ax.set(xlabel="layer in execution order", ylabel=scale.label)
    ax.margins(x=0.01)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small", ncols=3)
    return ax


def _axes(ax: Axes | None) -> Axes:
    from matplotlib.figure import Figure

    if ax is not None:
        return ax
    made: Axes = Figure(figsize=(10, 3), layout="constrained").subplots()
    return made
