"""What a hardware family is: knobs (Spec), arithmetic (kernel), metrics, and where to find it (registry).

A family is a `CostModel` record of functions and declarations; there is nothing to inherit from but `Spec`.
Third parties register theirs under the entry-point group ``hwmodels.families``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from itertools import product
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args, get_origin

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics

__all__ = [
    "Assumption",
    "CostModel",
    "Knob",
    "Metric",
    "Reference",
    "Spec",
    "assumptions_of",
    "families",
    "family",
    "knob",
    "numerics_of",
]

F64 = npt.NDArray[np.float64]
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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    table_type: ClassVar[type[Any]]

    @classmethod
    def knobs(cls) -> dict[str, Knob]:
        return {name: _knob_of(name, field) for name, field in cls.model_fields.items()}

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Validate user input.

        Raises
        ------
        SpecError : unknown knob (with the nearest match), wrong type, or out of bounds.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise _first_error(error, where, cls.model_fields) from None

    @classmethod
    def to_table(cls, specs: Sequence[Self]) -> Any:
        """Specs as columns: a `table_type` of arrays (C,); a choice is stored as its position."""
        columns = (
            np.array([_code(knob_, getattr(spec, name)) for spec in specs]) for name, knob_ in cls.knobs().items()
        )
        return cls.table_type(*(_stored(column) for column in columns))

    @classmethod
    def table_from(cls, base: Self, columns: Mapping[str, Column]) -> Any:
        """`base` with some knobs replaced by columns (C,), without a Spec per configuration.

        Choice knobs take codes (positions), the others values. Bounds are checked on the extremes.
        """
        size = len(next(iter(columns.values()))) if columns else 1
        out = []
        for name, knob_ in cls.knobs().items():
            if name in columns:
                column = np.asarray(columns[name])
                if column.size and (column.min() < knob_.low or column.max() > knob_.high):
                    worst = column.min() if column.min() < knob_.low else column.max()
                    raise SpecError(name, worst, f"in [{knob_.low:g}, {knob_.high:g}]")
            else:
                column = np.full(size, _code(knob_, getattr(base, name)))
            # A whole number given for a real knob is stored as real, or the kernel would be compiled once more.
            is_real = cls.model_fields[name].annotation is float
            out.append(_stored(column.astype(np.float64) if is_real else column))
        return cls.table_type(*out)

    def grid(self, values: Mapping[str, Sequence[Any]]) -> Iterator[Self]:
        """Every combination of the listed knob values over this spec; the last knob varies fastest."""
        self._check_names(values)
        for combination in product(*values.values()):
            yield self.parse({**self.model_dump(), **dict(zip(values, combination, strict=True))}, where="grid")

    def sample(self, values: Mapping[str, Sequence[Any]], rng: np.random.Generator) -> Self:
        """One uniform draw from the listed knob values."""
        self._check_names(values)
        drawn = {name: options[int(rng.integers(len(options)))] for name, options in values.items()}
        return self.parse({**self.model_dump(), **drawn}, where="sample")

    @classmethod
    def numerics_table(cls, table: Any) -> F64:
        """The `Numerics` of each configuration as (C, len(Numerics._fields))."""
        raise NotImplementedError

    def numerics(self) -> Numerics:
        return numerics_of(type(self).numerics_table(type(self).to_table([self]))[0])

    @classmethod
    def _check_names(cls, values: Mapping[str, Any]) -> None:
        for name in values:
            if name not in cls.model_fields:
                raise SpecError.unknown("knob", name, cls.model_fields)


def numerics_of(row: F64) -> Numerics:
    """One row of a numerics table as the record; a row that ends early is ideal in what it does not say."""
    kinds = [type(default) for default in Numerics._field_defaults.values()]
    return Numerics(*(kind(value) for kind, value in zip(kinds, row.tolist(), strict=False)))


class Metric(NamedTuple):
    """A column of results.

    reduction : how layers become a network: `sum`, `max`, `config` (a property of the hardware alone),
        `network` (of the network alone) or `epilogue` (computed from already reduced columns).
    """

    name: str
    reduction: Literal["sum", "max", "config", "network", "epilogue"]
    meaning: str


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


@dataclass(frozen=True)
class CostModel:
    """A hardware family.

    layer_metrics : names of the last axis of the kernel's output, each `sum` or `max` reduced. `latency_s` and
        `energy_j` are among them (s and J per batch).
    time_terms, energy_terms : those of `layer_metrics` that are candidates for the binding limit of a layer, and
        those that add up to `energy_j`.
    cost : ``cost(layers, configs, scratch, out, choice)``: all pairs; `layers` a Layers, `configs` the family's
        table, `scratch` (scratch_size,) float64, `out` (C, L, M) float64, `choice` (C, L) int16.
    cost_at : ``cost_at(layers, configs, layer_index, config_index, scratch, out, choice)``: listed pairs,
        `out` (Q, M), `choice` (Q,).
    config_metrics : table -> {metric: (C,)}; holds at least `area_mm2`.
    infeasible : (reduced metrics at pairs {name: (P,)}, configuration columns at pairs {name: (P,)}) -> codes (P,)
        int8; 0 is feasible, code i means `infeasible_reasons[i - 1]`.
    epilogue : the same arguments -> the metrics declared `epilogue`, (P,) each; vectorised.
    """

    name: str
    meaning: str
    spec: type[Spec]
    metrics: tuple[Metric, ...]
    composition: Literal["sum", "pipeline", "schedule"]
    time_terms: tuple[str, ...]
    energy_terms: tuple[str, ...]
    choices: tuple[str, ...]
    cost: Kernel
    cost_at: Kernel
    scratch_size: int
    config_metrics: Callable[[Any], dict[str, F64]]
    infeasible: Callable[[Mapping[str, F64], Mapping[str, Column]], npt.NDArray[np.int8]]
    infeasible_reasons: tuple[str, ...]
    assumptions: tuple[Assumption, ...]
    references: tuple[Reference, ...]
    model_version: int = 1
    epilogue: Callable[[Mapping[str, F64], Mapping[str, Column]], dict[str, F64]] | None = None

    @property
    def layer_metrics(self) -> tuple[str, ...]:
        return tuple(metric.name for metric in self.metrics if metric.reduction in ("sum", "max"))

    def reduction(self, name: str) -> str:
        return next(metric.reduction for metric in self.metrics if metric.name == name)


def assumptions_of(model: CostModel, spec: Spec) -> list[Assumption]:
    """What `spec` rests on without a source: choices of the family, and knobs left at an assumed default."""
    found = list(model.assumptions)
    for name, knob_ in type(spec).knobs().items():
        if knob_.plausible is not None and getattr(spec, name) == knob_.default:
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
    if name in _BUILT_IN:
        module, attribute = _BUILT_IN[name].split(":")
        model: CostModel = getattr(import_module(module), attribute)
        return model
    for point in entry_points(group="hwmodels.families"):
        if point.name == name:
            plugged: CostModel = point.load()
            return plugged
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


def _first_error(error: ValidationError, where: str, fields: Mapping[str, FieldInfo]) -> SpecError:
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
