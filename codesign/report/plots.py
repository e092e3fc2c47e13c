"""Figures of a run with matplotlib: each function takes data and `ax`, and returns the axes.

Without `ax` a function makes its own figure. No function shows or saves a figure, or sets a global style. Pruned pairs
have no accuracy, so pictures against costs alone show them.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from codesign.pareto import non_dominated
from codesign.report.cloud import DEFERRED_NAME, Cloud
from codesign.report.design import Design, layer_bars, roofline_of
from codesign.report.empty import NO_MACS, NO_PROGRESS, NO_TIME, why_no_accuracy, why_no_costs
from codesign.report.palette import ACCENT, DEFERRED, GREYS, SECOND, SEQUENTIAL, category
from codesign.report.scale import Scale, axis_label, scale_of, shared_scale, title
from codesign.report.summary import Pair, Progress, Summary
from codesign.two_level.ledger import Ledger
from hwmodels.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from codesign.report.union import Union

__all__ = [
    "FRONT_OF_TWO",
    "STEP_COLOURS",
    "best_so_far",
    "cost_front",
    "plot_accuracy",
    "plot_costs",
    "plot_layer_energy",
    "plot_layer_latency",
    "plot_ledger",
    "plot_progress",
    "plot_roofline",
    "plot_union",
    "save_figure",
    "waterfall",
]

F64 = npt.NDArray[np.float64]
FRONT_OF_TWO = "front of these two costs alone"
STEP_COLOURS = {"considered": SECOND, "pruned": "#8A8A8A", "deferred": DEFERRED, "evaluated": ACCENT}


def plot_costs(summary: Summary, cloud: Cloud, ax: Axes | None = None) -> Axes:
    """Two costs of all kinds of pairs: pruned grey by reason, deferred light, evaluated coloured by accuracy.

    Rings mark the front over all objectives; the step line is the front of the shown two costs among feasible
    evaluated pairs, whatever their accuracy.
    """
    ax, (x, y) = _axes(ax), cloud.axes
    if not cloud.drawn and not summary.evaluated:
        return _nothing(ax, why_no_costs(summary))
    across, up = (shared_scale(name, [cloud.costs[name], _costs(summary.evaluated, name)]) for name in (x, y))
    for i, (kind, rows) in enumerate(cloud.drawn):
        colour, marker, _ = GREYS[i % len(GREYS)]
        is_deferred = kind == DEFERRED_NAME
        ax.scatter(
            across.apply(cloud.costs[x][rows]),
            up.apply(cloud.costs[y][rows]),
            s=8,
            c=DEFERRED if is_deferred else colour,
            marker="." if is_deferred else marker,
            linewidths=0.6,
            alpha=0.55,
            label=kind if is_deferred else f"pruned: {kind}",
            rasterized=True,
        )
    _evaluated(summary, ax, across, up, x, y, coloured=True)
    line = cost_front(summary, x, y)
    ax.step(across.apply(line[:, 0]), up.apply(line[:, 1]), where="post", color=ACCENT, lw=1, label=FRONT_OF_TWO)
    ax.set(xlabel=axis_label(across, "lower"), ylabel=axis_label(up, "lower"))
    _log_scale(
        ax,
        x=np.append(cloud.costs[x], _costs(summary.evaluated, x)),
        y=np.append(cloud.costs[y], _costs(summary.evaluated, y)),
    )
    _plain_ticks(ax)
    ax.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
    return ax


def plot_accuracy(summary: Summary, cloud: Cloud, ax: Axes | None = None) -> Axes:
    """Validation accuracy against a cost for evaluated pairs; strips above show where the others lie on that cost."""
    ax, cost, judged_by = _axes(ax), cloud.cost, summary.judged_by
    if judged_by is None or not summary.evaluated:
        return _nothing(ax, why_no_accuracy(summary))
    scale = shared_scale(cost, [cloud.costs[cost], _costs(summary.evaluated, cost)])
    per_cent = scale_of(judged_by, _costs(summary.evaluated, judged_by))
    _evaluated(summary, ax, scale, per_cent, cost, judged_by, coloured=False)
    line = best_so_far(summary, cost)
    if len(line):
        ax.step(
            scale.apply(line[:, 0]), per_cent.apply(line[:, 1]), where="post", color=SECOND, lw=1, zorder=1,
            label=f"best {title(judged_by)} up to this cost",
        )  # fmt: skip
    if summary.least_accuracy > 0:
        ax.axhline(100 * summary.least_accuracy, color="0.5", lw=0.8, ls="--", label="least accuracy wanted")
    ax.set(xlabel=axis_label(scale, "lower"), ylabel=axis_label(per_cent, summary.better))
    _log_scale(ax, x=np.append(cloud.costs[cost], _costs(summary.evaluated, cost)))
    _strips(cloud, ax, scale.apply(cloud.costs[cost]))
    _plain_ticks(ax)
    ax.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
    return ax


def plot_ledger(ledger: Ledger, ax: Axes | None = None) -> Axes:
    """A waterfall from all considered pairs down to the evaluated ones, one step a reason."""
    ax = _axes(ax)
    steps, whole = waterfall(ledger), max(ledger.considered, 1)
    for i, (_, start, count, kind) in enumerate(steps):
        ax.barh(i, count, left=start, color=STEP_COLOURS[kind], edgecolor=STEP_COLOURS[kind], height=0.7)
        # The label stands beside the bar, on the side with more room; the first bar leaves none.
        text = f"{count:,}" if kind == "considered" else f"{count:,} ({count / whole:.1%})"
        if kind == "considered":
            ax.annotate(text, (count / 2, i), va="center", ha="center", fontsize="small", color="white")
            continue
        right = start + count < 0.6 * whole
        ax.annotate(
            text, (start + count if right else start, i), xytext=(4 if right else -4, 0), textcoords="offset points",
            va="center", ha="left" if right else "right", fontsize="small",
        )  # fmt: skip
    ax.set_yticks(range(len(steps)), [name for name, *_ in steps])
    ax.invert_yaxis()
    ax.set_xlim(0, whole)
    ax.locator_params(axis="x", nbins=4)  # seven-digit counts need the room
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_xlabel("pairs of network and hardware (count)")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def waterfall(ledger: Ledger) -> list[tuple[str, float, int, str]]:
    """(label, left edge, count, kind) of each bar, from considered to evaluated."""
    steps: list[tuple[str, float, int, str]] = [("considered", 0.0, ledger.considered, "considered")]
    left = ledger.considered
    for reason, count in ledger.pruned.items():
        left -= count
        steps.append((f"pruned: {reason}", float(left), count, "pruned"))
    left -= ledger.deferred
    steps.append(("deferred", float(left), ledger.deferred, "deferred"))
    steps.append(("evaluated", 0.0, ledger.evaluated, "evaluated"))
    return steps


def plot_layer_latency(design: Design, ax: Axes | None = None) -> Axes:
    """Latency of each layer, coloured by the term that binds it (terms overlap, so they are not stacked)."""
    ax = _axes(ax)
    bars = layer_bars(design)
    if not bars.latency_s.any():
        return _nothing(ax, NO_TIME)
    scale = scale_of("latency_s", bars.latency_s.max(initial=0.0))
    for i, limit in enumerate(dict.fromkeys(bars.binding)):
        bound = [j for j, name in enumerate(bars.binding) if name == limit]
        ax.barh(bound, scale.apply(bars.latency_s[bound]), color=category(i), label=limit)
    _layers(bars.names, ax, axis_label(scale, "lower"), "bound by")
    return ax


def plot_layer_energy(design: Design, ax: Axes | None = None) -> Axes:
    """Energy of each layer, stacked by term."""
    ax = _axes(ax)
    bars = layer_bars(design)
    if not bars.energy_j.any():
        return _nothing(ax, NO_TIME)
    scale = scale_of("energy_j", bars.energy_j.max(initial=0.0))
    left = np.zeros(len(bars.names))
    for i, (name, joules) in enumerate(bars.energy_parts.items()):
        ax.barh(np.arange(len(left)), scale.apply(joules), left=left, color=category(i), label=name)
        left += scale.apply(joules)
    _layers(bars.names, ax, axis_label(scale, "lower"), "energy in")
    return ax


def plot_roofline(design: Design, ax: Axes | None = None) -> Axes:
    """MAC/s of each layer against its MAC per byte, under the limits that the family states."""
    ax = _axes(ax)
    roof = roofline_of(design)
    if not len(roof.rate):
        return _nothing(ax, NO_MACS)
    scale = shared_scale("rate_macs_per_s", [roof.rate, np.array([roof.peak] if roof.peak else [])])
    ax.scatter(
        roof.intensity,
        scale.apply(roof.rate),
        s=28,
        color=SECOND,
        alpha=0.8,
        label=f"layers; bytes: {roof.bytes_meaning}",
        zorder=3,
    )
    if roof.peak:
        ax.axhline(roof.peak / scale.factor, color=ACCENT, lw=1.2, label=f"peak: {roof.peak_name}")
    if roof.bandwidth:
        x = np.geomspace(roof.intensity.min() / 2, roof.intensity.max() * 2, 50)
        y = roof.bandwidth * x
        ax.plot(x, scale.apply(np.minimum(y, roof.peak) if roof.peak else y), color="0.4", lw=1.2, label="bandwidth")
    ax.set(
        xscale="log", yscale="log", xlabel=f"MAC per {roof.bytes_name}, higher is better",
        ylabel=axis_label(scale, "higher"),
    )  # fmt: skip
    _plain_ticks(ax)
    ax.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    return ax


def plot_progress(progress: Progress, ax: Axes | None = None) -> Axes:
    """Hypervolume (left) and best accuracy (right, where there is one) against networks trained, or generations."""
    from matplotlib.ticker import MaxNLocator

    ax = _axes(ax)
    if not np.isfinite(progress.accuracy).any():
        return _nothing(ax, NO_PROGRESS)
    effort, label = progress.effort
    ax.plot(effort, 100 * progress.hypervolume, "o-", color=SECOND, ms=4)
    ax.set_xlabel(label)
    ax.set_ylabel("hypervolume (% of box), higher is better", color=SECOND)
    if progress.judged_by is not None:
        right = ax.twinx()
        scale = scale_of(progress.judged_by, progress.accuracy)
        right.plot(effort, scale.apply(progress.accuracy), "s--", color=ACCENT, ms=4)
        right.set_ylabel(f"best {axis_label(scale, progress.better)}", color=ACCENT)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def plot_union(found: Union, ax: Axes | None = None) -> Axes:
    """The front of several runs: what judges the networks against their first common cost, a colour a family."""
    ax, cost, judged_by = _axes(ax), found.objectives[0], found.judged_by
    pairs = tuple(member.pair for member in found.members)
    scale, up = (scale_of(name, _costs(pairs, name)) for name in (cost, judged_by))
    families = np.array([member.family for member in found.members])
    for i, family in enumerate(dict.fromkeys(families.tolist())):
        own = families == family
        ax.scatter(
            scale.apply(_costs(pairs, cost)[own]), up.apply(_costs(pairs, judged_by)[own]), s=30, color=category(i),
            edgecolors="white", linewidths=0.4, label=family,
        )  # fmt: skip
    ax.set(xlabel=axis_label(scale, "lower"), ylabel=axis_label(up, found.better))
    _log_scale(ax, x=_costs(pairs, cost))
    _plain_ticks(ax)
    ax.legend(fontsize="small", frameon=False)
    return ax


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all; equal figures give equal files."""
    options: dict[str, Any] = {"dpi": 150, "bbox_inches": "tight", "metadata": {"Software": None}}
    write_whole(path, lambda part: figure.savefig(part, **options))
    return path


def cost_front(summary: Summary, x: str, y: str) -> F64:
    """Points (x, y) of the evaluated pairs that no other dominates in these two costs, by rising x, (F, 2).

    Pairs below the least accuracy do not count.
    """
    pairs = _accurate(summary)
    points = np.column_stack([_costs(pairs, x), _costs(pairs, y)])
    front: F64 = np.unique(points[non_dominated(points)], axis=0)
    return front


def _accurate(summary: Summary) -> tuple[Pair, ...]:
    """Evaluated pairs of at least the least accuracy; all of them where that says nothing."""
    least = summary.least_accuracy
    return tuple(pair for pair in summary.evaluated if least <= 0 or pair.value("accuracy") >= least)


def best_so_far(summary: Summary, cost: str) -> F64:
    """(cost, accuracy) of the pairs that no cheaper one matches in accuracy, by rising cost, (F, 2).

    In place of the accuracy stands what the summary is judged by, of which less may be better.
    """
    judged_by, sign = summary.judged_by or "accuracy", 1.0 if summary.better == "lower" else -1.0
    points = sorted((pair.value(cost), sign * pair.value(judged_by)) for pair in _accurate(summary))
    kept: list[tuple[float, float]] = []
    for value, minimised in points:
        if not kept or minimised < sign * kept[-1][1]:
            kept.append((value, sign * minimised))
    return np.array(kept, np.float64).reshape(-1, 2)


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=(6.4, 4.8), layout="constrained").add_subplot()


def _nothing(ax: Axes, why: str) -> Axes:
    """A panel that says why it is empty."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, fill(why, 44), transform=ax.transAxes, ha="center", va="center", color="0.35")
    return ax


def _log_scale(ax: Axes, *, x: F64 | None = None, y: F64 | None = None) -> None:
    """Logarithmic axes where all values allow it: a zero has no place on one."""
    for values, set_scale in ((x, ax.set_xscale), (y, ax.set_yscale)):
        if values is not None and len(values) and (values > 0).all():
            set_scale("log")


def _costs(pairs: tuple[Pair, ...], name: str) -> F64:
    return np.array([pair.value(name) for pair in pairs], np.float64)


def _evaluated(summary: Summary, ax: Axes, across: Scale, up: Scale, x: str, y: str, *, coloured: bool) -> None:
    """Evaluated pairs, rings around the front, a star at the knee."""
    if not summary.evaluated:
        return
    judged_by = summary.judged_by
    coloured = coloured and judged_by is not None
    judgement = _costs(summary.evaluated, judged_by or "accuracy")
    scale = scale_of(judged_by or "accuracy", judgement)
    drawn = ax.scatter(
        across.apply(_costs(summary.evaluated, x)), up.apply(_costs(summary.evaluated, y)), s=26,
        c=scale.apply(judgement) if coloured else SECOND, cmap=SEQUENTIAL if coloured else None, edgecolors="white",
        linewidths=0.4, zorder=3, label="evaluated",
    )  # fmt: skip
    if coloured and (figure := ax.get_figure()) is not None:
        split = "validation " if judged_by == "accuracy" else ""
        figure.colorbar(drawn, ax=ax, label=f"{split}{axis_label(scale, summary.better)}")
    ax.scatter(
        across.apply(_costs(summary.front, x)), up.apply(_costs(summary.front, y)), s=60, facecolors="none",
        edgecolors=ACCENT, linewidths=1.2, zorder=4, label="front (all objectives)",
    )  # fmt: skip
    if summary.knee_pair is not None:
        knee = (summary.knee_pair,)
        ax.scatter(
            across.apply(_costs(knee, x)), up.apply(_costs(knee, y)), s=170, marker="*", color=ACCENT,
            edgecolors="black", linewidths=0.6, zorder=5, label="knee",
        )  # fmt: skip


def _strips(cloud: Cloud, ax: Axes, values: F64) -> None:
    """One row of ticks a kind above the axes, over the same cost axis."""
    groups = cloud.drawn
    if not groups:
        return
    strip = ax.inset_axes((0.0, 1.02, 1.0, 0.07 * len(groups)), sharex=ax)
    for i, (kind, rows) in enumerate(groups):
        colour = DEFERRED if kind == DEFERRED_NAME else GREYS[i % len(GREYS)][0]
        strip.plot(values[rows], np.full(rows.size, -i), "|", ms=6, mew=0.5, alpha=0.5, color=colour)
        text = kind if kind == DEFERRED_NAME else f"pruned: {kind}"
        strip.annotate(
            f"{text} (accuracy unknown)", (0.0, 0.28 - i), xycoords=("axes fraction", "data"), fontsize="xx-small"
        )
    strip.set_yticks([])
    strip.set_ylim(0.6 - len(groups), 0.9)
    strip.tick_params(axis="x", which="both", bottom=False, labelbottom=False)
    strip.tick_params(axis="y", length=0)
    strip.spines[:].set_visible(False)


def _layers(names: tuple[str, ...], ax: Axes, label: str, legend: str) -> None:
    """Layer names down the side, at most 40 of them, the first layer on top."""
    shown = range(0, len(names), -(-len(names) // 40) or 1)
    ax.set_yticks(list(shown), [names[i] for i in shown], fontsize="x-small")
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(title=legend, title_fontsize="x-small", fontsize="x-small", frameon=False, loc="lower right")


def _plain_ticks(ax: Axes) -> None:
    """Plain numbers on logarithmic axes, minor ones labelled where an axis spans less than a decade and a half."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() != "log":
            continue
        low, high = axis.get_view_interval()
        narrow = high / low < 30
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0) if narrow else (1.0,)))
        axis.set_major_formatter(plain)
        axis.set_minor_formatter(NullFormatter())
