"""The figures of the page, with plotly: the data of `plots`, and a description of each pair under the pointer.

Each function returns a plain figure as JSON text; colours of text and grid are left to the page, which knows whether
it is light or dark.
"""

from __future__ import annotations

from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from codesign.report.cloud import DEFERRED_NAME, Cloud
from codesign.report.design import Design, layer_bars, roofline_of
from codesign.report.empty import NO_MACS, NO_PROGRESS, NO_TIME, why_no_accuracy, why_no_costs
from codesign.report.palette import ACCENT, DEFERRED, GREYS, SECOND, SEQUENTIAL, category
from codesign.report.plots import FRONT_OF_TWO, STEP_COLOURS, best_so_far, cost_front, waterfall
from codesign.report.scale import Scale, axis_label, scale_of, shared_scale, spoken, title
from codesign.report.summary import Pair, Progress, Summary
from codesign.two_level.ledger import Ledger
from hwmodels.units import format_quantity, split_unit

__all__ = ["accuracy_figure", "cost_figure", "layer_figure", "ledger_figure", "progress_figure", "roofline_figure"]

F64 = npt.NDArray[np.float64]
_TALL = 560  # pixels; room for the legend below


def cost_figure(summary: Summary, cloud: Cloud) -> go.Figure:
    """Two costs of all kinds of pairs; see `plots.plot_costs`."""
    x, y = cloud.axes
    if not cloud.drawn and not summary.evaluated:
        return _nothing(why_no_costs(summary))
    across, up = (shared_scale(name, [cloud.costs[name], _values(summary.evaluated, name)]) for name in (x, y))
    figure = go.Figure()
    for i, (kind, rows) in enumerate(cloud.drawn):
        colour, _, symbol = GREYS[i % len(GREYS)]
        is_deferred = kind == DEFERRED_NAME
        marker: dict[str, Any] = {"color": DEFERRED, "size": 4, "opacity": 0.6}
        if not is_deferred:
            line = {"width": 1, "color": colour} if symbol.endswith("thin") else {"width": 0}
            marker = {"color": colour, "size": 5, "opacity": 0.5, "symbol": symbol, "line": line}
        name = kind if is_deferred else f"pruned: {kind}"
        texts = [_costs_text({m: values[row] for m, values in cloud.costs.items()}) for row in rows]
        figure.add_scatter(
            x=across.apply(cloud.costs[x][rows]), y=up.apply(cloud.costs[y][rows]), mode="markers", name=name,
            marker=marker, text=texts, hovertemplate=f"<b>{name}</b><br>%{{text}}<extra></extra>",
        )  # fmt: skip
    line_of_two = cost_front(summary, x, y)
    figure.add_scatter(
        x=across.apply(line_of_two[:, 0]), y=up.apply(line_of_two[:, 1]), mode="lines", name=FRONT_OF_TWO,
        line={"color": ACCENT, "width": 1.2, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    _evaluated(figure, summary, across, up, x, y)
    figure.update_layout(height=_TALL)
    return _finished(figure, axis_label(across, "lower"), axis_label(up, "lower"), log_x=True, log_y=True)


def accuracy_figure(summary: Summary, *, cost: str) -> go.Figure:
    """Validation accuracy against one cost, evaluated pairs only."""
    judged_by = summary.judged_by
    if judged_by is None or not summary.evaluated:
        return _nothing(why_no_accuracy(summary))
    scale, per_cent = (
        scale_of(cost, _values(summary.evaluated, cost)),
        scale_of(judged_by, _values(summary.evaluated, judged_by)),
    )
    figure = go.Figure()
    line = best_so_far(summary, cost)
    figure.add_scatter(
        x=scale.apply(line[:, 0]), y=per_cent.apply(line[:, 1]), mode="lines",
        name=f"best {title(judged_by)} up to this cost",
        line={"color": SECOND, "width": 1.2, "shape": "hv"}, hoverinfo="skip",
    )  # fmt: skip
    _evaluated(figure, summary, scale, per_cent, cost, judged_by)
    if summary.least_accuracy > 0:
        figure.add_hline(100 * summary.least_accuracy, line={"dash": "dash", "width": 1, "color": "#8A8A8A"})
    figure.update_layout(height=_TALL)
    return _finished(figure, axis_label(scale, "lower"), axis_label(per_cent, summary.better), log_x=True)


def ledger_figure(ledger: Ledger) -> go.Figure:
    """The waterfall from considered to evaluated pairs."""
    steps, whole = waterfall(ledger), max(ledger.considered, 1)
    figure = go.Figure()
    names = ["<br>".join(wrap(name, 30)) for name, *_ in steps]
    counts = [f"{count:,} ({count / whole:.1%})" for _, _, count, _ in steps]
    figure.add_bar(
        orientation="h",
        y=[f"{name}<br><b>{count}</b>" for name, count in zip(names, counts, strict=True)],
        x=[count for _, _, count, _ in steps],
        base=[start for _, start, _, _ in steps],
        marker={"color": [STEP_COLOURS[kind] for *_, kind in steps]},
        hovertemplate="%{y}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(height=48 * len(steps) + 80)
    figure = _finished(figure, "pairs of network and hardware (count)", "")
    figure.update_yaxes(autorange="reversed", dtick=1)
    figure.update_xaxes(range=[0, 1.02 * whole], tickformat=",d", nticks=6)
    return figure


def layer_figure(design: Design, quantity: str) -> go.Figure:
    """Bars by layer: "latency_s" coloured by what binds, "energy_j" stacked by term."""
    bars = layer_bars(design)
    whole = bars.latency_s if quantity == "latency_s" else bars.energy_j
    if not whole.any():
        return _nothing(NO_TIME)
    scale = scale_of(quantity, whole.max(initial=0.0))
    if quantity == "latency_s":
        parts = {
            limit: np.where(np.array(bars.binding) == limit, bars.latency_s, 0.0)
            for limit in dict.fromkeys(bars.binding)
        }
    else:
        parts = bars.energy_parts
    figure = go.Figure()
    places = [f"{i + 1}. {name}" for i, name in enumerate(bars.names)]
    for i, (name, values) in enumerate(parts.items()):
        texts = [format_quantity(float(value), split_unit(quantity)[1]) for value in values]
        figure.add_bar(
            orientation="h", y=places, x=scale.apply(values), name=name, marker={"color": category(i)},
            customdata=texts, hovertemplate=f"%{{y}}<br>{name}: %{{customdata}}<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.15, height=max(320, 18 * len(places) + 150))
    figure = _finished(figure, axis_label(scale, "lower"), "")
    figure.update_yaxes(autorange="reversed", dtick=-(-len(places) // 40) or 1)
    return figure


def roofline_figure(design: Design) -> go.Figure:
    """MAC/s of each layer against its MAC per byte."""
    roof = roofline_of(design)
    if not len(roof.rate):
        return _nothing(NO_MACS)
    scale = shared_scale("rate_macs_per_s", [roof.rate, [roof.peak] if roof.peak else []])
    figure = go.Figure()
    figure.add_scatter(
        x=roof.intensity, y=scale.apply(roof.rate), mode="markers", name="layers", text=roof.names,
        marker={"color": SECOND, "size": 8, "opacity": 0.8},
        hovertemplate=f"%{{text}}<br>%{{x:.3g}} MAC per byte<br>%{{y:.3g}} {scale.unit}<extra></extra>",
    )  # fmt: skip
    if len(roof.intensity):
        x = np.geomspace(roof.intensity.min() / 2, roof.intensity.max() * 2, 60)
        if roof.peak:
            figure.add_scatter(
                x=x, y=np.full(x.size, scale.apply(roof.peak)), mode="lines", name=f"peak: {roof.peak_name}",
                line={"color": ACCENT, "width": 1.5},
            )  # fmt: skip
        if roof.bandwidth:
            slope = roof.bandwidth * x
            y = scale.apply(np.minimum(slope, roof.peak) if roof.peak else slope)
            figure.add_scatter(x=x, y=y, mode="lines", name="bandwidth", line={"color": "#8A8A8A", "width": 1.5})
    label = f"MAC per {roof.bytes_name}, higher is better"
    return _finished(figure, label, axis_label(scale, "higher"), log_x=True, log_y=True)


def progress_figure(progress: Progress) -> go.Figure:
    """Hypervolume, and best accuracy where there is one, against networks trained, or generations."""
    if not np.isfinite(progress.accuracy).any():
        return _nothing(NO_PROGRESS)
    figure, (effort, label) = go.Figure(), progress.effort
    figure.add_scatter(
        x=effort, y=100 * progress.hypervolume, mode="lines+markers", name="hypervolume (left)",
        line={"color": SECOND},
    )  # fmt: skip
    if progress.judged_by is not None:
        name, scale = f"best {title(progress.judged_by)}", scale_of(progress.judged_by, progress.accuracy)
        figure.add_scatter(
            x=effort, y=scale.apply(progress.accuracy), mode="lines+markers", name=f"{name} (right)", yaxis="y2",
            line={"color": ACCENT, "dash": "dash"}, marker={"symbol": "square"},
        )  # fmt: skip
        right = {"overlaying": "y", "side": "right", "showgrid": False, "automargin": True, "tickmode": "auto"}
        figure.update_layout(yaxis2=right | {"title": {"text": f"best {axis_label(scale, progress.better)}"}})
    figure = _finished(figure, label, "hypervolume (% of box), higher is better")
    figure.update_xaxes(rangemode="tozero")
    return figure


def _evaluated(figure: go.Figure, summary: Summary, across: Scale, up: Scale, x: str, y: str) -> None:
    """Evaluated pairs coloured by accuracy, rings around the front, a star at the knee."""
    if not summary.evaluated:
        return
    pairs, marker = summary.evaluated, {"size": 8, "color": SECOND, "line": {"width": 0.5, "color": "white"}}
    if summary.judged_by is not None:
        judgement = _values(pairs, summary.judged_by)
        scale = scale_of(summary.judged_by, judgement)
        bar = {"title": {"text": scale.label, "side": "right"}, "thickness": 10, "len": 0.8}
        marker |= {"color": scale.apply(judgement), "colorscale": SEQUENTIAL, "colorbar": bar}
    figure.add_scatter(
        x=across.apply(_values(pairs, x)), y=up.apply(_values(pairs, y)), mode="markers", name="evaluated",
        text=[_pair_text(pair) for pair in pairs], hovertemplate="%{text}<extra></extra>",
        marker=marker,
    )  # fmt: skip
    knee = (summary.knee_pair,) if summary.knee_pair is not None else ()
    rings = {"size": 13, "symbol": "circle-open", "color": ACCENT, "line": {"width": 1.6}}
    star = {"size": 17, "symbol": "star", "color": ACCENT, "line": {"width": 1, "color": "white"}}
    for name, marked, marker in (("front (all objectives)", summary.front, rings), ("knee", knee, star)):
        figure.add_scatter(
            x=across.apply(_values(marked, x)), y=up.apply(_values(marked, y)), mode="markers", name=name,
            marker=marker, hoverinfo="skip",
        )  # fmt: skip


def _nothing(why: str) -> go.Figure:
    """A figure that says why it is empty."""
    figure = go.Figure()
    middle = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    figure.add_annotation(text="<br>".join(wrap(why, 44)), **middle)
    figure = _finished(figure, "", "")
    figure.update_layout(height=260)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure


def _values(pairs: tuple[Pair, ...], name: str) -> F64:
    return np.array([pair.value(name) for pair in pairs], np.float64)


def _costs_text(costs: dict[str, float]) -> str:
    return "<br>".join(spoken(name, value) for name, value in costs.items())


def _pair_text(pair: Pair) -> str:
    knobs = [f"{name} {value}" for name, value in pair.hardware.items()]
    lines = [", ".join(knobs[i : i + 3]) for i in range(0, len(knobs), 3)]
    return "<br>".join(
        [
            f"<b>{'<br>+'.join(pair.architecture.split('+'))}</b>",
            *lines,
            *_judgement(pair),
            _costs_text(pair.costs),
        ]
    )


def _judgement(pair: Pair) -> list[str]:
    """What the network is judged by, in one line, or none."""
    if "accuracy" in pair.objectives:
        return [", ".join(_accuracies(pair))]
    judged = [(name, value) for name, value in pair.objectives.items() if name not in pair.costs and value == value]
    return [spoken(name, value) for name, value in judged]


def _accuracies(pair: Pair) -> list[str]:
    """Accuracy with its interval, test accuracy and spread, as far as they are numbers."""
    values = pair.objectives
    names = [name for name in ("accuracy", "accuracy_test", "spread") if values[name] == values[name]]
    shown = [spoken(name, values[name]) for name in names]
    low, high = values["accuracy_low"], values["accuracy_high"]
    return [*shown, f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"] if low == low else shown


def _finished(figure: go.Figure, x: str, y: str, *, log_x: bool = False, log_y: bool = False) -> go.Figure:
    """Titles, scales and the room that they need; no theme."""
    figure.update_layout(
        template="none",
        margin={"l": 10, "r": 10, "t": 20, "b": 10},
        legend={"orientation": "h", "traceorder": "normal", "x": 0, "y": -0.2, "yanchor": "top", "font": {"size": 11}},
        hoverlabel={"align": "left"},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#8A8A8A", "activecolor": SECOND},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    for axis, text, is_log in (("x", x, log_x), ("y", y, log_y)):
        layout = figure.layout[f"{axis}axis"]
        layout.update(title={"text": text, "standoff": 8}, automargin=True, zeroline=False)
        parts = [getattr(trace, axis) for trace in figure.data]
        if is_log and _positive(parts):
            ticks = _log_ticks(parts)
            layout.update(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    return figure


def _positive(parts: list[Any]) -> bool:
    """Whether every value has a place on a logarithmic axis."""
    return all((np.asarray(part, np.float64) > 0).all() for part in parts if part is not None)


def _log_ticks(parts: list[Any]) -> list[float]:
    """1-2-5 ticks, decades alone where the values span more than two."""
    values = np.concatenate([np.zeros(0), *(np.asarray(part, np.float64) for part in parts if part is not None)])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return [1.0]
    low, high = float(values.min()) / 1.5, float(values.max()) * 1.5
    steps = (1, 2, 5) if high < 300 * low else (1,)
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    return [tick for e in decades for s in steps if low <= (tick := float(f"{s}e{e}")) <= high]
