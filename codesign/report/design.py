"""One design layer by layer: where its time and energy go, and how near its layers come to the limits of the device.

The roofline [Williams et al., CACM 2009] sets MAC/s against MAC per byte. Where a family counts DRAM bytes these are
the bytes, and its bandwidth knob gives the slope; otherwise each operand (input, weights, output, at the network's
bits) counts once, which says how much a layer could reuse and not what this device moves, and there is no slope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.app.config import RunConfig
from codesign.report.scale import title
from codesign.report.summary import Pair
from codesign.space.joint import JointSpace
from hwmodels.cost import CostReport
from hwmodels.evaluate import evaluate
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Spec
from hwmodels.workload.rewrite import RUNTIMES, rewrite

__all__ = ["Bars", "Design", "Roofline", "design_of", "layer_bars", "roofline_of", "term"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Design:
    """A pair with its costs by layer. layers : (L,) names of the executed layers, in order."""

    pair: Pair
    model: CostModel
    spec: Spec
    report: CostReport
    layers: tuple[str, ...]


class Bars(NamedTuple):
    """Latency and energy by layer, in order, (B,) each; energy also by term. binding : what limits each layer."""

    names: tuple[str, ...]
    latency_s: F64
    energy_j: F64
    energy_parts: dict[str, F64]
    binding: tuple[str, ...]


class Roofline(NamedTuple):
    """Layers with MACs. intensity : (L,) MAC per byte. rate : (L,) MAC/s. names : theirs.

    bytes_name, bytes_meaning : which bytes. peak : MAC/s of the device, or None; peak_name : what it means.
    bandwidth : bytes/s of the slope, or None.
    """

    intensity: F64
    rate: F64
    names: tuple[str, ...]
    bytes_name: str
    bytes_meaning: str
    peak: float | None
    peak_name: str
    bandwidth: float | None


def design_of(pair: Pair, config: RunConfig, space: JointSpace) -> Design:
    """Evaluate a pair again, layer by layer."""
    cut = space.architecture.n_genes
    genotype = np.array(pair.genotype, np.int64)
    workload = rewrite(space.architecture.workload(genotype[:cut]), RUNTIMES[config.runtime])
    model, spec = space.hardware.model, space.hardware.spec(genotype[cut:])
    names = tuple(node.name for node, _ in workload.rows())
    return Design(pair, model, spec, evaluate(workload, model, spec), names)


def layer_bars(design: Design, *, least: float = 0.005, most_terms: int = 7) -> Bars:
    """The rows to draw.

    Layers with less than `least` of both latency and energy make one last row; terms after `most_terms` are "other".
    """
    report = design.report
    latency, energy = report.layers[report.layer_time], report.layers[report.layer_energy]
    terms = [name for name in report.energy_terms if name in report.layers and report.layers[name].any()]
    terms.sort(key=lambda name: -float(report.layers[name].sum()))
    parts = {term(name): report.layers[name] for name in terms[:most_terms]}
    if len(terms) > most_terms:
        parts["other"] = np.sum([report.layers[name] for name in terms[most_terms:]], axis=0)
    is_small = (latency < least * latency.sum()) & (energy < least * energy.sum())
    is_small &= is_small.sum() > 1
    large = np.flatnonzero(~is_small)
    rest = (f"other {is_small.sum()} layers",) if is_small.any() else ()

    def gathered(values: F64) -> F64:
        return np.append(values[large], values[is_small].sum()) if rest else values[large]

    return Bars(
        names=(*(design.layers[i] for i in large), *rest),
        latency_s=gathered(latency),
        energy_j=gathered(energy),
        energy_parts={name: gathered(joules) for name, joules in parts.items()},
        binding=(*(term(report.binding[i]) for i in large), *("several" for _ in rest)),
    )


def term(name: str) -> str:
    """A term's name without its unit, as shown in legends.

    >>> term("shift_add_s")
    'shift add'
    """
    return title(name.rsplit("_", 1)[0])


def roofline_of(design: Design) -> Roofline:
    """The roofline of one design."""
    report, rows = design.report, design.report.table.networks.sequence
    table = report.table.layers
    macs = np.asarray(report.layers.get("executed_macs", table.macs[rows]), np.float64)
    measured = report.layers.get("dram_bytes")
    if measured is not None:
        moved, bytes_name, meaning = measured, "DRAM byte", "DRAM traffic of the model"
    else:
        words = table.activation_bits * (table.input_elements + table.output_elements)
        moved = ((words + table.weight_bits * table.weight_elements)[rows] / 8).astype(np.float64)
        bytes_name, meaning = "operand byte", "input, weights and output, once each"
    seconds = report.layers[report.layer_time]
    shown = np.flatnonzero((macs > 0) & (moved > 0) & (seconds > 0))
    peaks = [metric for metric in design.model.metrics if metric.name == "peak_macs_per_s"]
    bandwidth = getattr(design.spec, "dram_bytes_per_s", None) if measured is not None else None
    return Roofline(
        intensity=macs[shown] / moved[shown],
        rate=macs[shown] / seconds[shown],
        names=tuple(design.layers[i] for i in shown),
        bytes_name=bytes_name,
        bytes_meaning=meaning,
        peak=report.totals.get("peak_macs_per_s"),
        peak_name=peaks[0].meaning if peaks else "",
        bandwidth=None if bandwidth is None else float(bandwidth),
    )
