"""What a hardware family is: knobs (Spec), how layers cost and compose, metrics, and where to find it (registry).

A family is a `CostModel` record of functions and declarations; there is nothing to inherit from but `Spec`.
Third parties register theirs under the entry-point group ``hwmodels.families``; one folder may register several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from itertools import product
from operator import attrgetter
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args, get_origin

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics
from hwmodels.workload.formats import Format, held
from hwmodels.workload.ops import Row

__all__ = [
    "ALWAYS_FEASIBLE",
    "NETWORK_METRICS",
    "Assumption",
    "Composition",
    "CostModel",
    "Knob",
    "Layerwise",
    "Metric",
    "PairRule",
    "Reference",
    "Spec",
    "assumptions_of",
    "columns_of",
    "families",
    "family",
    "folder_of",
    "knob",
    "n_configs",
    "numerics_of",
    "stack",
    "take",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Column = npt.NDArray[Any]


class Knob(NamedTuple):
    """One field of a Spec, as shown to the user and sampled by a space."""

    name: str
    unit: str
    low: float
    high: float
    choices: tuple[Any, ...]
    default: Any
    meaning: str
    source: str
    plausible: tuple[float, float] | None
    """The plausible range of a default that has no source (ASSUMED); None when it has one."""


def knob(
    default: Any,
    meaning: str,
    *,
    source: str,
    unit: str = "",
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    plausible: tuple[float, float] | None = None,
) -> Any:
    """A Spec field: default, what it means, bounds, unit, source.

    `source` starting with "ASSUMED" needs a `plausible` range; both are listed by ``codesign assumptions``.
    """
    if source.startswith("ASSUMED") and plausible is None:
        raise TypeError(f"knob {meaning!r}: an assumed default needs a plausible range")
    extra: Any = {"unit": unit, "source": source, "plausible": plausible}
    return Field(default, description=meaning, ge=ge, gt=gt, le=le, json_schema_extra=extra)


class Spec(BaseModel):
    """Knobs of one family: frozen, unknown keys are errors, the unit is in the name.

    Subclasses set `table_type`, a NamedTuple with one field a knob in the same order, and define `numerics_table`.
    A field whose type is another family's Spec is a part: its knobs appear as ``part.knob``, and its field of the
    table is the table of that family.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    table_type: ClassVar[type[Any]]

    @classmethod
    def parts(cls) -> dict[str, type[Spec]]:
        """The Specs of other families that this one holds, by prefix."""
        return {
            name: field_.annotation
            for name, field_ in cls.model_fields.items()
            if isinstance(field_.annotation, type) and issubclass(field_.annotation, Spec)
        }

    @classmethod
    def knobs(cls) -> dict[str, Knob]:
        """Every knob by name, those of a part as ``part.knob``."""
        found: dict[str, Knob] = {}
        parts = cls.parts()
        for name, field_ in cls.model_fields.items():
            if name in parts:
                for inner, knob_ in parts[name].knobs().items():
                    found[f"{name}.{inner}"] = knob_._replace(name=f"{name}.{inner}")
            else:
                found[name] = _knob_of(name, field_)
        return found

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Validate user input; knobs of a part are given as ``part.knob`` or as a mapping below the part.

        Raises
        ------
        SpecError : unknown knob (with the nearest match), wrong type, or out of bounds.
        """
        parts = cls.parts()
        nested: dict[str, Any] = {}
        for name, value in values.items():
            prefix, dot, inner = name.partition(".")
            if dot and prefix in parts:
                nested.setdefault(prefix, {})[inner] = value
            elif name in parts:
                given = value.values() if isinstance(value, Spec) else value
                nested[name] = {**dict(given), **nested.get(name, {})}
            else:
                nested[name] = value
        made = {
            name: part.parse(nested[name], where=f"{where}: {name}") for name, part in parts.items() if name in nested
        }
        try:
            return cls(**{**nested, **made})
        except ValidationError as error:
            raise _first_error(error, where, cls.knobs()) from None

    def values(self) -> dict[str, Any]:
        """Every knob's value by name, those of a part as ``part.knob``."""
        found: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Spec):
                found |= {f"{name}.{inner}": of_part for inner, of_part in value.values().items()}
            else:
                found[name] = value
        return found

    def changed(self, values: Mapping[str, Any]) -> Self:
        """This spec with some knobs replaced, not validated."""
        parts = type(self).parts()
        own = {name: value for name, value in values.items() if name.partition(".")[0] not in parts}
        for prefix in parts:
            inner = {
                name.removeprefix(f"{prefix}."): value
                for name, value in values.items()
                if name.startswith(f"{prefix}.")
            }
            if inner:
                own[prefix] = getattr(self, prefix).changed(inner)
        return self.model_copy(update=own)

    @classmethod
    def to_table(cls, specs: Sequence[Self]) -> Any:
        """Specs as columns: a `table_type` of arrays (C,); a choice is stored as its position."""
        parts, knobs = cls.parts(), cls.knobs()
        columns = []
        for name in cls.model_fields:
            values = [getattr(spec, name) for spec in specs]
            if name in parts:
                columns.append(parts[name].to_table(values))
            else:
                columns.append(_stored(np.array([_code(knobs[name], value) for value in values])))
        return cls.table_type(*columns)

    @classmethod
    def table_from(cls, base: Self, columns: Mapping[str, Column]) -> Any:
        """`base` with some knobs replaced by columns (C,), without a Spec per configuration.

        Choice knobs take codes (positions), the others values. Bounds are checked on the extremes.
        """
        return cls._table_of(base, columns, len(next(iter(columns.values()))) if columns else 1)

    @classmethod
    def _table_of(cls, base: Self, columns: Mapping[str, Column], size: int) -> Any:
        parts, knobs = cls.parts(), cls.knobs()
        out: list[Any] = []
        for name, field_ in cls.model_fields.items():
            if name in parts:
                inner = {
                    key.removeprefix(f"{name}."): column
                    for key, column in columns.items()
                    if key.startswith(f"{name}.")
                }
                out.append(parts[name]._table_of(getattr(base, name), inner, size))
                continue
            knob_ = knobs[name]
            if name in columns:
                column = np.asarray(columns[name])
                if column.size and (column.min() < knob_.low or column.max() > knob_.high):
                    worst = column.min() if column.min() < knob_.low else column.max()
                    raise SpecError(name, worst, f"in [{knob_.low:g}, {knob_.high:g}]")
            else:
                column = np.full(size, _code(knob_, getattr(base, name)))
            # A whole number given for a real knob is stored as real, or the kernel would be compiled once more.
            is_real = field_.annotation is float
            out.append(_stored(column.astype(np.float64) if is_real else column))
        return cls.table_type(*out)

    def grid(self, values: Mapping[str, Sequence[Any]]) -> Iterator[Self]:
        """Every combination of the listed knob values over this spec; the last knob varies fastest."""
        self._check_names(values)
        for combination in product(*values.values()):
            yield self.parse({**self.values(), **dict(zip(values, combination, strict=True))}, where="grid")

    def sample(self, values: Mapping[str, Sequence[Any]], rng: np.random.Generator) -> Self:
        """One uniform draw from the listed knob values."""
        self._check_names(values)
        drawn = {name: options[int(rng.integers(len(options)))] for name, options in values.items()}
        return self.parse({**self.values(), **drawn}, where="sample")

    @classmethod
    def numerics_table(cls, table: Any) -> F64:
        """The `Numerics` of each configuration as (C, len(Numerics._fields))."""
        raise NotImplementedError

    def numerics(self) -> Numerics:
        return numerics_of(type(self).numerics_table(type(self).to_table([self]))[0])

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """The formats in which a product of such operands is computed: here, what the numerics leave of them."""
        numerics = self.numerics()
        return held(weight, numerics.weight_format), held(activation, numerics.activation_format)

    @classmethod
    def _check_names(cls, values: Mapping[str, Any]) -> None:
        known = cls.knobs()
        for name in values:
            if name not in known:
                raise SpecError.unknown("knob", name, known)


def n_configs(table: Any) -> int:
    """How many configurations a table has."""
    first = table[0]
    return n_configs(first) if isinstance(first, tuple) else int(first.size)


def take(table: Any, which: I64) -> Any:
    """Some rows of a configuration table, those of its parts with them."""
    return type(table)(
        *(take(column, which) if isinstance(column, tuple) else np.ascontiguousarray(column[which]) for column in table)
    )


def stack(tables: Sequence[Any]) -> Any:
    """Configuration tables of one family, one below the other."""
    first = tables[0]
    return type(first)(
        *(
            stack(columns) if isinstance(columns[0], tuple) else np.concatenate(columns)
            for columns in zip(*tables, strict=True)
        )
    )


def columns_of(table: Any) -> dict[str, Column]:
    """The columns of a configuration table by knob, those of a part as ``part.knob``."""
    found: dict[str, Column] = {}
    for name, column in table._asdict().items():
        if isinstance(column, tuple):
            found |= {f"{name}.{inner}": values for inner, values in columns_of(column).items()}
        else:
            found[name] = column
    return found


def numerics_of(row: F64) -> Numerics:
    """One row of a numerics table as the record; a row that ends early is ideal in what it does not say."""
    kinds = [type(default) for default in Numerics._field_defaults.values()]
    return Numerics(*(kind(value) for kind, value in zip(kinds, row.tolist(), strict=False)))


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
    time_terms, energy_terms : layer metrics that are candidates for the binding limit of a layer, and those that add
        up to the energy.
    config_metrics : table -> {metric: (C,)}, the metrics of the hardware alone.
    derived : metrics declared `rule`, each with its rule.
    explain : (row, spec) -> what the kernel chose for a layer and keeps no record of, as the tile and the traffic by
        level: plain values by name, the unit in the name. None says that the family explains nothing.
    infeasible : a rule that answers codes (P,) int8; 0 is feasible, code i means `infeasible_reasons[i - 1]`.
    objectives : what a search minimises or maximises where its user names nothing.
    """

    name: str
    meaning: str
    spec: type[Spec]
    metrics: tuple[Metric, ...]
    compose: Composition
    layerwise: Layerwise | None
    config_metrics: Callable[[Any], dict[str, F64]]
    objectives: tuple[str, ...]
    assumptions: tuple[Assumption, ...] = ()
    references: tuple[Reference, ...] = ()
    layer_time: str = "latency_s"
    layer_energy: str = "energy_j"
    time_terms: tuple[str, ...] = ()
    energy_terms: tuple[str, ...] = ()
    derived: Mapping[str, PairRule] = field(default_factory=dict)
    infeasible: PairRule = ALWAYS_FEASIBLE
    infeasible_reasons: tuple[str, ...] = ()
    explain: Callable[[Row, Spec], Mapping[str, Any]] | None = None
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
        for name in self.objectives:
            if self.metric(name).better == "neither":
                raise SpecError(f"{where}: objectives", name, "a metric of which less or more is better")

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
    "spatial": "hwmodels.families.spatial.model:MODEL",
}


def families() -> tuple[str, ...]:
    """Names of all registered families, built in and plugged in."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in entry_points(group="hwmodels.families"))}))


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
    for point in entry_points(group="hwmodels.families"):
        if point.name == name:
            return point.module, point.attr
    raise SpecError.unknown("family", name, families())


def _knob_of(name: str, field: FieldInfo) -> Knob:
    extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    low, high = (0.0, float(len(choices) - 1)) if choices else (-np.inf, np.inf)
    if field.annotation is bool:
        low, high = 0.0, 1.0
    for limit in field.metadata:
        low = max(low, getattr(limit, "ge", low))
        low = max(low, np.nextafter(limit.gt, np.inf)) if hasattr(limit, "gt") else low
        high = min(high, getattr(limit, "le", high))
    return Knob(
        name,
        str(extra.get("unit", "")),
        float(low),
        float(high),
        choices,
        field.default,
        field.description or "",
        str(extra.get("source", "")),
        extra.get("plausible"),
    )


def _code(knob_: Knob, value: Any) -> Any:
    return knob_.choices.index(value) if knob_.choices else value


def _stored(column: Column) -> Column:
    """int64 or float64, contiguous: the two types every kernel is compiled for."""
    return np.ascontiguousarray(column, dtype=np.float64 if column.dtype.kind == "f" else np.int64)


def _first_error(error: ValidationError, where: str, fields: Mapping[str, Any]) -> SpecError:
    detail = error.errors()[0]
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return SpecError.unknown(where, key, fields)
    context = detail.get("ctx", {})
    for name, sign in (("gt", ">"), ("ge", ">="), ("le", "<="), ("lt", "<")):
        if name in context:
            return SpecError(f"{where}: {key}", detail["input"], f"{sign} {context[name]:g}")
    if detail["type"] == "literal_error":
        return SpecError(f"{where}: {key}", detail["input"], f"one of {context['expected']}")
    expected = {
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
    }
    kind = detail["type"]
    if kind in ("float_type", "float_parsing"):
        return SpecError(f"{where}: {key}", detail["input"], "a number in the unit of the name")
    return SpecError(f"{where}: {key}", detail["input"], expected.get(kind, detail["msg"]))
