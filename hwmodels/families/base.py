"""What a hardware family is: how layers cost and compose, metrics, rules, and where to find it (registry).

A family is a `CostModel` record of functions and declarations; there is nothing to inherit from but `Spec`, its knobs
(`hwmodels.families.spec`). Third parties register theirs under the entry-point group ``hwmodels.families``; one folder
may register several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.spec import Column, Spec
from hwmodels.plugins import installed
from hwmodels.workload.ops import Row

if TYPE_CHECKING:
    from hwmodels.workload.graph import Workload

__all__ = [
    "ALWAYS_FEASIBLE",
    "NETWORK_METRICS",
    "Assumption",
    "Composition",
    "CostModel",
    "Layerwise",
    "Metric",
    "PairRule",
    "Reference",
    "Timeline",
    "assumptions_of",
    "families",
    "family",
    "folder_of",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Metric(NamedTuple):
    """A column of results.

    reduction : where it comes from. `sum` and `max` reduce a layer metric over a network's layers; `composed` is what
        the family's own composition answers; `config` is a property of the hardware alone, `network` of the network
        alone; `rule` follows from other columns by a `PairRule`.
    better : which direction is better; a metric that is `neither` is no objective.
    """

    name: str
    reduction: Literal["sum", "max", "composed", "config", "network", "rule"]
    meaning: str
    better: Literal["less", "more", "neither"] = "less"


class Assumption(NamedTuple):
    """A modelling choice or constant without a source."""

    name: str
    value: str
    plausible: str
    meaning: str


class Reference(NamedTuple):
    """Where an equation or constant comes from."""

    key: str
    citation: str


class Timeline(NamedTuple):
    """Which part of the hardware runs each layer of one network, and when.

    layers : (n,) names in topological order. lane : (n,) places in `lanes`, the names of the parts. start_s, end_s :
    (n,). told : what the family says beside it, plain values by name, the unit in the name.
    """

    layers: tuple[str, ...]
    lane: I64
    lanes: tuple[str, ...]
    start_s: F64
    end_s: F64
    told: Mapping[str, Any]


Kernel = Callable[..., None]
PairFunction = Callable[[Mapping[str, F64], Mapping[str, Column]], Any]
Compose = Callable[[Any, Any, I64, I64], dict[str, F64]]


class Layerwise(NamedTuple):
    """Costs of single layers that add up: the cost of a network is how often it runs each layer times their costs.

    cost : ``cost(layers, configs, scratch, out, choice)``: all pairs; `layers` a Layers, `configs` the family's
        table, `scratch` (scratch_size,) float64, `out` (C, L, M) float64, `choice` (C, L) int16.
    cost_at : ``cost_at(layers, configs, layer_index, config_index, scratch, out, choice)``: listed pairs,
        `out` (Q, M), `choice` (Q,).
    reductions : layer metric -> how layers become a network, in the order of the last axis of `out`.
    choices : what an id in `choice` stands for.
    """

    cost: Kernel
    cost_at: Kernel
    reductions: Mapping[str, Literal["sum", "max"]]
    scratch_size: int = 1
    choices: tuple[str, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.reductions)

    def is_max(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of these layer metrics are reduced by max."""
        return np.array([self.reductions[name] == "max" for name in names], np.bool_)


class PairRule(NamedTuple):
    """A function of columns that are known of a pair already.

    reads : names of the metrics and knobs that the function is given, and no others. What they need decides when the
        rule is asked: one that reads the design alone is known before any pair is met.
    function : (metrics {name: (P,)}, knobs {name: (P,)}) -> (P,); vectorised.
    monotone : never falls where anything that it reads rises, rounding included. Then the rule of lower bounds is a
        lower bound of the rule, and tiles of pairs can be ruled out by it.
    """

    reads: frozenset[str]
    function: PairFunction
    monotone: bool = False


class Composition(NamedTuple):
    """How the layers of a network become its cost on a design.

    function : (table, configs, network (P,), config (P,)) -> {metric: (P,)}, vectorised over pairs.
    rules : metrics that follow from those columns.
    """

    function: Compose
    rules: Mapping[str, PairRule] = {}


def _nothing_is_infeasible(metrics: Mapping[str, F64], knobs: Mapping[str, Column]) -> npt.NDArray[np.int8]:
    return np.zeros(1, np.int8)


ALWAYS_FEASIBLE = PairRule(frozenset(), _nothing_is_infeasible)
"""The rule of a family that runs every network on every design."""

NETWORK_METRICS = (
    Metric("parameters", "network", "stored parameters, biases and affine pairs included"),
    Metric("macs", "network", "multiply-accumulate operations a batch"),
    Metric("weight_bytes", "network", "stored parameters at their layers' weight bits"),
    Metric("kv_cache_bytes", "network", "keys and values kept for the next token"),
    Metric("peak_activation_bytes", "network", "largest sum of live activations"),
    Metric("batch", "network", "items a batch", "neither"),
)
"""Metrics of the network alone, the same for every family."""

_INTERVAL = Metric("interval_s", "rule", "from the start of one batch to the start of the next")
_THROUGHPUT = Metric("throughput_items_per_s", "rule", "items a second: a batch every interval", "more")


def _latency(metrics: Mapping[str, F64], knobs: Mapping[str, Column]) -> F64:
    return metrics["latency_s"]


def _throughput(metrics: Mapping[str, F64], knobs: Mapping[str, Column]) -> F64:
    """batch / interval; infinite where nothing is executed."""
    interval_s = metrics["interval_s"]
    rate: F64 = np.divide(metrics["batch"], interval_s, out=np.full(interval_s.shape, np.inf), where=interval_s > 0)
    return rate


@dataclass(frozen=True)
class CostModel:
    """A hardware family.

    metrics : everything that it answers beside the metrics of the network; `interval_s` and `throughput_items_per_s`
        are added where it does not declare them. `latency_s` and `energy_j` (s and J per batch) are among them.
    compose : how layers become the cost of a pair. layerwise : the layer costs where they add up; None says that no
        sum over layers is a cost of this family.
    layer_time, layer_energy : the layer metrics that reports show as time and energy of a layer.
    time_terms, energy_terms : layer metrics that are candidates for the binding limit of a layer, and the metrics that
        add up to the energy; one that no layer has by itself, as what an idle chip draws, may be among them.
    static_energy : the metric that holds what of the energy runs with time alone, whatever is executed; a family that
        names one answers ``idle_power_w``, too, and so the power at a rate (`hwmodels.rate`).
    config_metrics : table -> {metric: (C,)}, the metrics of the hardware alone.
    derived : metrics declared `rule`, each with its rule.
    explain : (row, spec) -> what the kernel chose for a layer and keeps no record of, as the tile and the traffic by
        level: plain values by name, the unit in the name. None says that the family explains nothing.
    timeline : (executed network, spec) -> when each layer runs, and on which part. None says that layers take turns.
    infeasible : a rule that answers codes (P,) int8; 0 is feasible, code i means `infeasible_reasons[i - 1]`.
    objectives : what a search minimises or maximises where its user names nothing.
    searched : the knobs that a designer sizes first, which a new run file opens; none opens no knob.
    """

    name: str
    meaning: str
    spec: type[Spec]
    metrics: tuple[Metric, ...]
    compose: Composition
    layerwise: Layerwise | None
    config_metrics: Callable[[Any], dict[str, F64]]
    objectives: tuple[str, ...]
    searched: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    references: tuple[Reference, ...] = ()
    layer_time: str = "latency_s"
    layer_energy: str = "energy_j"
    time_terms: tuple[str, ...] = ()
    energy_terms: tuple[str, ...] = ()
    static_energy: str | None = None
    derived: Mapping[str, PairRule] = field(default_factory=dict)
    infeasible: PairRule = ALWAYS_FEASIBLE
    infeasible_reasons: tuple[str, ...] = ()
    explain: Callable[[Row, Spec], Mapping[str, Any]] | None = None
    timeline: Callable[[Workload, Any], Timeline] | None = None
    model_version: int = 1

    def __post_init__(self) -> None:
        declared = {metric.name for metric in self.metrics}
        # Without hardware there is no time, and so neither an interval nor a rate.
        shared = (_INTERVAL, _THROUGHPUT) if {"latency_s", "interval_s"} & declared else ()
        missing = tuple(metric for metric in shared if metric.name not in declared)
        object.__setattr__(self, "metrics", (*self.metrics, *missing))
        self._check()

    def _check(self) -> None:
        """Declarations that contradict each other are errors of whoever wrote the family, told at import."""
        known = {metric.name for metric in self.metrics}
        where = f"family {self.name}"
        layered = set(self.layerwise.reductions) if self.layerwise else set()
        for metric in self.metrics:
            if (metric.reduction in ("sum", "max")) != (metric.name in layered):
                raise SpecError(f"{where}: {metric.name}", metric.reduction, "the reduction of a layer metric")
            if metric.reduction == "rule" and metric.name not in self.rules:
                raise SpecError(f"{where}: {metric.name}", "a metric without a rule", "declared in `derived`")
        readable = {*known, *(metric.name for metric in NETWORK_METRICS), *self.spec.knobs()}
        for name, rule in (*self.rules.items(), ("infeasible", self.infeasible)):
            for read in rule.reads:
                if read not in readable:
                    raise SpecError.unknown(f"{where}: {name} reads", read, readable)
        if self.static_energy is not None:
            self.metric(self.static_energy, where=f"{where}: static_energy")
            self.metric("idle_power_w", where=f"{where}: static_energy needs")
        for name in self.objectives:
            if self.metric(name).better == "neither":
                raise SpecError(f"{where}: objectives", name, "a metric of which less or more is better")
        for name in self.searched:
            if name not in self.spec.knobs():
                raise SpecError.unknown(f"{where}: searched", name, self.spec.knobs())

    @property
    def rules(self) -> dict[str, PairRule]:
        """Every metric that follows from others: declared, of the composition, and those that all families share."""
        shared = {
            "interval_s": PairRule(frozenset({"latency_s"}), _latency, monotone=True),
            "throughput_items_per_s": PairRule(frozenset({"batch", "interval_s"}), _throughput),
        }
        followed = {metric.name for metric in self.metrics if metric.reduction == "rule"}
        rules = {**shared, **self.compose.rules, **self.derived}
        return {name: rule for name, rule in rules.items() if name in followed}

    @property
    def layer_metrics(self) -> tuple[str, ...]:
        """Names of the last axis of the layer costs; none where they do not add up."""
        return self.layerwise.metrics if self.layerwise else ()

    @property
    def composed_metrics(self) -> tuple[str, ...]:
        """What `compose` answers."""
        return tuple(metric.name for metric in self.metrics if metric.reduction in ("sum", "max", "composed"))

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that an objective or a constraint may name."""
        return (*(metric.name for metric in self.metrics), *(metric.name for metric in NETWORK_METRICS))

    def metric(self, name: str, *, where: str = "metric") -> Metric:
        """The metric called `name`, of the family or of the network.

        Raises
        ------
        SpecError : unknown name, with the nearest match.
        """
        for metric in (*self.metrics, *NETWORK_METRICS):
            if metric.name == name:
                return metric
        raise SpecError.unknown(where, name, self.names)


def assumptions_of(model: CostModel, spec: Spec) -> list[Assumption]:
    """What `spec` rests on without a source: choices of the family, and knobs left at an assumed default."""
    found = list(model.assumptions)
    values = spec.values()
    for name, knob_ in type(spec).knobs().items():
        if knob_.plausible is not None and values[name] == knob_.default:
            low, high = knob_.plausible
            value = f"{knob_.default:g}" if isinstance(knob_.default, float) else str(knob_.default)
            found.append(Assumption(name, value, f"{low:g} to {high:g}", knob_.meaning))
    return found


_BUILT_IN = {
    "cpu": "hwmodels.families.cpu.model:MODEL",
    "crossbar": "hwmodels.families.crossbar.model:MODEL",
    "fpga": "hwmodels.families.fpga.model:MODEL",
    "fpga_boards": "hwmodels.families.fpga.boards:MODEL",
    "fpga_overlay": "hwmodels.families.fpga.overlay:MODEL",
    "fpga_streaming": "hwmodels.families.fpga.streaming:MODEL",
    "gpu": "hwmodels.families.gpu.model:MODEL",
    "gpu_branches": "hwmodels.families.multigpu.branches:MODEL",
    "multigpu": "hwmodels.families.multigpu.model:MODEL",
    "spatial": "hwmodels.families.spatial.model:MODEL",
}


def families() -> tuple[str, ...]:
    """Names of all registered families, built in and plugged in."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in installed("hwmodels.families"))}))


def family(name: str) -> CostModel:
    """The family called `name`.

    Raises
    ------
    SpecError : unknown name, with the nearest match.
    """
    module, attribute = _place(name)
    model: CostModel = attrgetter(attribute)(import_module(module))
    return model


def folder_of(name: str) -> str:
    """The package of the module that declares the family; families of one folder share it.

    >>> folder_of("cpu")
    'hwmodels.families.cpu'
    """
    return _place(name)[0].rpartition(".")[0]


def _place(name: str) -> tuple[str, str]:
    """(module, attribute) of a family."""
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        return module, attribute
    for point in installed("hwmodels.families"):
        if point.name == name:
            return point.module, point.attr
    raise SpecError.unknown("family", name, families())
