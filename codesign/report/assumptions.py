"""What a run rests on without a source, and how much of its front that decides.

Each number without a source is moved to both ends of its plausible range while the pairs of the front stay as they are
(`hwmodels.sensitivity`): the span of every objective, the comparisons between pairs that turn, and the pairs that join
or leave the front of costs. What networks are judged by does not move.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.report.scale import title
from codesign.report.tables import Table, build_table
from codesign.space.hardware import HardwareSpace
from codesign.two_level.shortfall import even_sample
from hwmodels.sensitivity import Ends, Sensitivity, assumed_knobs, factors, sensitivity
from hwmodels.units import split_unit
from hwmodels.workload.rewrite import RUNTIMES, rewrite

if TYPE_CHECKING:
    from codesign.app.config import RunConfig
    from codesign.report.summary import Summary
    from codesign.space.joint import JointSpace

__all__ = ["MOST_PAIRS", "assumptions_html", "front_sensitivity", "sensitivity_table"]

MOST_PAIRS = 24
"""Pairs of a front that are moved; a larger front is sampled evenly."""


def front_sensitivity(summary: Summary, config: RunConfig, space: JointSpace) -> Sensitivity | None:
    """The pairs of the front with each assumed number at both ends; None without a front or such numbers."""
    knobs = _assumed(config, space.hardware)
    if not summary.front or not knobs:
        return None
    pairs = [summary.front[i] for i in even_sample(len(summary.front), MOST_PAIRS)]
    genotypes, cut = np.array([pair.genotype for pair in pairs], np.int64), space.architecture.n_genes
    workloads = [rewrite(space.architecture.workload(row[:cut]), RUNTIMES[config.runtime]) for row in genotypes]
    specs = [space.hardware.spec(row[cut:]) for row in genotypes]
    return sensitivity(workloads, space.hardware.model, specs, metrics=summary.objectives, knobs=knobs)


def _assumed(config: RunConfig, hardware: HardwareSpace) -> tuple[Ends, ...]:
    """Assumed numbers that all devices of a run have alike and that are not searched."""
    from hwmodels.catalog import device

    if config.hardware is None:
        return ()
    named, searched = config.hardware.device, {gene.name for gene in hardware.genes}
    names = [named] if isinstance(named, str) else named
    first, *others = (
        {ends.name: ends for ends in assumed_knobs(spec, device(name).sources) if ends.name not in searched}
        for name, spec in zip(names, hardware.bases.values(), strict=True)
    )
    return tuple(ends for name, ends in first.items() if all(other.get(name) == ends for other in others))


def sensitivity_table(found: Sensitivity) -> Table:
    """One row a number that moves anything, the farthest first."""
    spans, turned, changes = found.spans(), found.turned().sum(axis=1), found.front_changes()
    rows = found.moving()
    columns: dict[str, list[Any]] = {
        "knob": [found.knobs[k].name for k in rows],
        "value": [f"{found.knobs[k].value:g}" for k in rows],
        "plausible": [f"{found.knobs[k].low:g} to {found.knobs[k].high:g}" for k in rows],
    }
    for m, name in enumerate(found.metrics):
        columns[title(split_unit(name)[0])] = [factors(*spans[k, m]) for k in rows]
    if len(found.base) > 1:
        columns["order turns"] = [f"{turned[k]:,}" for k in rows]
        columns["front changes"] = [f"{changes[k]:,}" for k in rows]
    columns["meaning"] = [found.knobs[k].meaning for k in rows]
    size = len(found.base)
    comparisons = size * (size - 1) // 2 * len(found.metrics)
    caption = (
        f"Costs of {size} pairs of the front over those of the run, one number at a time at the ends of its range. "
        f"Order turns: of {comparisons:,} comparisons between two pairs. Front changes: pairs that join or leave the "
        "front of these costs."
    )
    return build_table(columns, caption=caption)


def assumptions_html(summary: Summary, config: RunConfig, space: JointSpace) -> str:
    """The section of the page: what the numbers decide, the family's modelling choices, its sources."""
    model, found = space.hardware.model, front_sensitivity(summary, config, space)
    parts = []
    if found is not None:
        parts.append(f'<div class="scroll">{sensitivity_table(found).html()}</div>')
        if still := found.still():
            parts.append(f'<p class="note">Without effect on this front: {escape(", ".join(still))}.</p>')
    choices = build_table(
        {
            "assumption": [one.name for one in model.assumptions],
            "value": [one.value for one in model.assumptions],
            "plausible": [one.plausible for one in model.assumptions],
            "meaning": [one.meaning for one in model.assumptions],
        },
        caption=f"Modelling choices of the family {model.name} without a source.",
    )
    parts.append(f'<div class="scroll">{choices.html()}</div>')
    sources = "".join(f"<li>{escape(one.key)}: {escape(one.citation)}</li>" for one in model.references)
    parts.append(f"<h3>Sources of the family</h3><ul>{sources}</ul>")
    return "".join(parts)
