"""The report folder of a run: one self-contained page, the front as tables and JSON, and the figures.

Everything follows from the run store, so writing it twice gives the same files: no times of writing, no random ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from codesign.app.assemble import dataset_of, manifest
from codesign.app.config import RunConfig
from codesign.app.provenance import changed_keys
from codesign.report.assumptions import assumptions_html
from codesign.report.cloud import Cloud, cloud_of
from codesign.report.design import Design, design_of, roofline_of
from codesign.report.effects import Effects, effects_html, effects_of
from codesign.report.scale import digits3, spoken, title
from codesign.report.summary import REFERENCE_MARGIN, Summary, config_of, open_store, space_of, summarise
from codesign.report.tables import IN_FILES, build_table, ledger_table, pareto_table, reading_table
from codesign.report.template import PAGE
from codesign.space.joint import JointSpace
from codesign.store import RunStore
from hwmodels.files import make_folder, strict_json, write_text
from hwmodels.units import format_quantity, split_unit
from hwmodels.workload.rewrite import RUNTIMES

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Report", "page", "read_report", "write_report"]


@dataclass(frozen=True, eq=False)
class Report:
    """Content of the page and the figures.

    design : the knee layer by layer, None without a front. notes : damaged parts, and what the run was made with and
    this report is not, a line each.
    """

    manifest: dict[str, Any]
    config: RunConfig
    space: JointSpace
    summary: Summary
    cloud: Cloud
    design: Design | None
    effects: Effects
    notes: tuple[str, ...] = ()


class _Section(NamedTuple):
    anchor: str
    heading: str
    body: str


def read_report(source: RunStore | Path, *, space: JointSpace | None = None) -> Report:
    """Read a run and evaluate the knee of its front again, layer by layer; `space` as of `summarise`.

    Raises
    ------
    SpecError : no run there, a configuration that no longer parses, or genotypes of another space.
    """
    store = open_store(source)
    config = config_of(store)
    space = space or space_of(config)
    summary = summarise(store, space=space)
    cloud = cloud_of(store, config, space, summary)
    design = design_of(summary.knee_pair, config, space) if summary.knee_pair is not None else None
    began, now = store.manifest, manifest(config, dataset_of(config.data), space)
    notes = (*store.damage, *changed_keys(began, now))
    effects = effects_of(store, config, space, summary, forest=False)
    return Report(began, config, space, summary, cloud, design, effects, notes)


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.html, pareto.csv, .md and .tex, front.json and the figures into `folder`."""
    make_folder(folder)
    table = pareto_table(report.summary)
    texts = {
        "report.html": page(report),
        "pareto.csv": table.csv(),
        "pareto.md": table.markdown(),
        "pareto.tex": table.latex(),
        "front.json": strict_json([pair.as_dict() for pair in report.summary.front]) + "\n",
    }
    written = []
    for name, text in texts.items():
        written.append(folder / name)
        write_text(written[-1], text)
    return written + _write_figures(report, folder)


def _device_name(config: RunConfig) -> str:
    if config.hardware is None:
        return "no hardware"
    device = config.hardware.device
    return device if isinstance(device, str) else f"one of {len(device)} devices"


def page(report: Report) -> str:
    """The whole page as text."""
    from plotly.offline import get_plotlyjs

    config, summary = report.config, report.summary
    heading = f"Co-design of {config.architecture.name} networks and {_device_name(config)}"
    sections = [
        _Section("result", "Result", _headline(report)),
        _Section("pairs", "Pairs of network and hardware", _pairs(report)),
        _Section("front", "Pareto front", _front(summary)),
        _Section("effects", "What decides", effects_html(report.effects)),
        _Section("ledger", "What became of all pairs", _ledger(report)),
        _Section("knee", "The knee, layer by layer", _knee(report.design)),
        _Section("progress", "Progress", _progress(summary)),
        _Section("assumptions", "What the assumptions decide", assumptions_html(summary, config, report.space)),
        _Section("configuration", "Configuration and versions", _configuration(report)),
    ]
    lead = (
        f"{_counted(len(summary.generations), 'generation')}, seed {config.seed}, {_judge(report)}, "
        f"hardware family {escape(report.space.hardware.model.name)}, "
        f"{config.runtime} runtime ({RUNTIMES[config.runtime]}). "
        f"Objectives: {escape(', '.join(_objectives(summary)))}. "
        f"Costs are per batch{f' of {report.design.report.batch}' if report.design else ''}."
    )
    return PAGE.substitute(
        title=escape(heading),
        lead=lead + "".join(f"<br>Note: {escape(note)}." for note in report.notes),
        navigation=" ".join(f'<a href="#{s.anchor}">{escape(s.heading)}</a>' for s in sections),
        sections="\n".join(
            f'<section id="{s.anchor}">\n<h2>{escape(s.heading)}</h2>\n{s.body}\n</section>' for s in sections
        ),
        footer=f"codesign {escape(str(report.manifest['versions'].get('codesign', '')))}; "
        "this page is complete in itself and loads nothing.",
        plotly=get_plotlyjs(),
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _knob(name: str, value: Any) -> str:
    """A knob in words, a quantity with its unit."""
    is_quantity = isinstance(value, float) and bool(split_unit(name)[1])
    return spoken(name, value) if is_quantity else f"{name} {value}"


def _judge(report: Report) -> str:
    """Where the accuracies come from."""
    by = report.summary.judged_by
    if by is None:
        return "costs alone"
    return f"data set {escape(report.config.data.name)}" if by == "accuracy" else f"{title(by)} of each network"


def _objectives(summary: Summary) -> list[str]:
    return [*(["error"] if summary.judged_by else []), *(title(split_unit(name)[0]) for name in summary.objectives)]


def _headline(report: Report) -> str:
    summary, ledger = report.summary, report.summary.ledger
    numbers = [
        ("pairs considered", f"{ledger.considered:,}"),
        ("pruned without training", f"{sum(ledger.pruned.values()) / max(ledger.considered, 1):.1%}"),
        *_judged_cards(summary),
        ("pairs on the front", f"{len(summary.front):,}"),
        ("time", format_quantity(sum(ledger.seconds.values()), "s")),
    ]
    cards = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in numbers)
    knee = summary.knee_pair
    if knee is None:
        why = "".join(f"<p>{escape(sentence[:1].upper() + sentence[1:])}.</p>" for sentence in summary.shortfall)
        return (
            f'<dl class="numbers">{cards}</dl><p>No evaluated pair meets the constraints: there is no front.</p>{why}'
        )
    shown = ", ".join(_spoken(knee.objectives))
    knobs = ", ".join(_knob(name, value) for name, value in knee.hardware.items())
    on_design = f" on {escape(knobs)}" if knobs else ""
    return (
        f'<dl class="numbers">{cards}</dl><p>The knee of the front: {escape(shown)}.</p>'
        f'<p class="note">Network <code>{escape(knee.architecture)}</code>{on_design}. '
        "The knee is the pair nearest to the best value of every objective, each scaled to the span of the front.</p>"
    )


def _judged_cards(summary: Summary) -> list[tuple[str, str]]:
    """What judging the networks took, where anything judges them."""
    if summary.judged_by is None:
        return []
    trained = [("networks trained", f"{summary.ledger.trained:,}")] if summary.ledger.trained else []
    return [*trained, (f"pairs with {_a(title(summary.judged_by))}", f"{summary.ledger.evaluated:,}")]


def _a(word: str) -> str:
    """A word with its indefinite article."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _spoken(objectives: Mapping[str, float]) -> Iterator[str]:
    """Each objective in words, the accuracy with its interval; what has no value or is for files is not told."""
    for name, value in objectives.items():
        if name in IN_FILES or value != value:
            continue
        low, high = objectives.get("accuracy_low", nan), objectives.get("accuracy_high", nan)
        has_interval = name == "accuracy" and low == low
        yield spoken(name, value) + (
            f" (95 %: {digits3(100 * low)} to {digits3(100 * high)} %)" if has_interval else ""
        )


def _pairs(report: Report) -> str:
    from codesign.report.interactive import accuracy_figure, cost_figure

    summary, cloud = report.summary, report.cloud
    if not summary.ledger.considered:
        return "<p>No generation has finished yet.</p>"
    if summary.judged_by is None:
        return _figure("plot-costs", cost_figure(summary, cloud), cloud.note)
    costs = "Pruned pairs have no accuracy, so they are drawn only here, against costs. " + cloud.note
    accuracy = "Evaluated pairs alone. A pair on the front may look beaten here: other objectives count, too."
    return (
        '<div class="pair">'
        + _figure("plot-costs", cost_figure(summary, cloud), costs)
        + _figure("plot-accuracy", accuracy_figure(summary, cost=cloud.cost), accuracy)
        + "</div>"
    )


def _front(summary: Summary) -> str:
    if not summary.front:
        return "<p>Empty.</p>"
    note = "Click a header to sort. Every column is in pareto.csv, pareto.md and pareto.tex; unrounded in front.json."
    return f'<p class="note">{note}</p><div class="scroll sortable">{reading_table(summary).html()}</div>'


def _ledger(report: Report) -> str:
    from codesign.report.interactive import ledger_figure

    text = "From all considered pairs down to the evaluated ones; each grey step is a reason to drop a pair."
    figure = _figure("plot-ledger", ledger_figure(report.summary.ledger), text)
    cost = report.summary.cost
    took = "" if cost is None else f"<p>The search took {escape(str(cost).replace('`', ''))}.</p>"
    return f'{figure}{took}<div class="scroll">{ledger_table(report.summary).html()}</div>'


def _knee(design: Design | None) -> str:
    from codesign.report.interactive import layer_figure, roofline_figure

    if design is None:
        return "<p>There is no front, so there is no knee.</p>"
    if not design.report.layers:
        return f"<p>Layers of the family {design.model.name} have no costs of their own.</p>"
    meaning = roofline_of(design).bytes_meaning
    latency = "Latency by layer, coloured by the slowest of its overlapping terms."
    energy = "Energy by layer and term."
    roof = f"Roofline: layers with multiply-accumulates. Bytes: {meaning}."
    return (
        '<div class="pair">'
        + _figure("plot-latency", layer_figure(design, "latency_s"), latency)
        + _figure("plot-energy", layer_figure(design, "energy_j"), energy)
        + "</div>"
        + _figure("plot-roofline", roofline_figure(design), roof)
    )


def _progress(summary: Summary) -> str:
    from codesign.report.interactive import progress_figure

    shown = ", ".join(spoken(name, value) for name, value in summary.reference.items())
    error = "error 100 % and " if summary.judged_by else ""
    text = (
        f"Hypervolume as a share of the box from the origin to the reference point: {shown} "
        f"({error}{REFERENCE_MARGIN:g} times the worst evaluated cost). "
        "Compare runs only at a common reference point."
    )
    return _figure("plot-progress", progress_figure(summary.progress), text)


def _configuration(report: Report) -> str:
    import yaml

    manifest = report.manifest
    text = yaml.safe_dump(manifest["config"], sort_keys=False, allow_unicode=True)
    named = ("data", "space", "space_size", "family", "model_version")
    facts = {name: str(manifest[name]) for name in named if name in manifest}
    facts |= {name.replace("_", " "): str(value) for name, value in manifest.get("host", {}).items()}
    facts |= {name: str(number) for name, number in manifest["versions"].items()}
    versions = build_table({"name": list(facts), "value": list(facts.values())}, caption="Fingerprints and versions.")
    return f'<pre>{escape(text)}</pre><div class="scroll">{versions.html()}</div>'


def _figure(identity: str, figure: go.Figure, caption: str) -> str:
    """A place for the figure and its data; the page's script draws it."""
    data = str(figure.to_json()).replace("</", "<\\/")
    return (
        f'<figure><div class="plot" id="{identity}"></div>'
        f'<script type="application/json" id="{identity}-data">{data}</script>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _write_figures(report: Report, folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    from codesign.report import plots

    summary, cloud, design = report.summary, report.cloud, report.design
    written = []
    if summary.ledger.considered:
        panels = 1 if summary.judged_by is None else 2
        figure = Figure(figsize=(6.5 * panels, 5.6), layout="constrained")
        left, *right = np.ravel(figure.subplots(1, panels))
        plots.plot_costs(summary, cloud, left)
        for ax in right:
            plots.plot_accuracy(summary, cloud, ax)
        written.append(plots.save_figure(figure, folder / "pareto.png"))
        figure = Figure(figsize=(13, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        plots.plot_ledger(summary.ledger, left)
        plots.plot_progress(summary.progress, right)
        written.append(plots.save_figure(figure, folder / "progress.png"))
    if design is not None and design.report.layers:
        figure = Figure(figsize=(16, 6), layout="constrained")
        first, second, third = figure.subplots(1, 3)
        plots.plot_layer_latency(design, first)
        plots.plot_layer_energy(design, second)
        plots.plot_roofline(design, third)
        written.append(plots.save_figure(figure, folder / "knee.png"))
    return written
