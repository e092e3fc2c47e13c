"""The knobs of a hardware family: fields with unit, bounds, meaning and source, and tables of many configurations.

A `Spec` is one design. A table holds C of them as columns, which is what kernels and compositions read. A Spec may hold
another family's Spec as a part; its knobs are ``part.knob`` wherever knobs have names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args, get_origin

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics
from hwmodels.units import parse_quantity, unit_scales
from hwmodels.workload.formats import Format, held

__all__ = [
    "Knob",
    "Spec",
    "columns_of",
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
    if not isinstance(default, bool | str):
        least, greatest = _PHYSICAL.get(unit) or _PHYSICAL.get(unit.partition("/")[0]) or _PHYSICAL[""]
        le = greatest if le is None else le
        if ge is None:
            ge = -greatest if gt is None else max(least, gt)
    return Field(default, description=meaning, ge=ge, gt=gt, le=le, json_schema_extra=extra)


_PHYSICAL = {
    "": (1e-9, 1e18),
    "1": (1.0, 1e15),
    "B": (1.0, 2**60),
    "F": (1e-24, 1.0),
    "F²": (1e-3, 1e9),
    "Hz": (1e3, 1e13),
    "J": (1e-24, 1e3),
    "LSB": (1e-9, 1e6),
    "V": (1e-3, 1e3),
    "W": (1e-15, 1e9),
    "bit": (1.0, 2**20),
    "cycle": (1e-3, 1e6),
    "mm²": (1e-15, 1e9),
    "nm": (0.1, 1e6),
    "ohm": (1e-3, 1e15),
    "s": (1e-15, 1e6),
}
"""ASSUMED: unit, or its first part -> the least value above zero and the greatest that any hardware has, generously.

A knob without bounds of its own takes these: beyond them lies a unit mistaken, and costs that no float64 holds.
"""

_DOUBTFUL = {"Hz": (1e6, 2e10), "B/s": (1e5, 1e15), "s": (1e-13, 10.0), "W": (1e-9, 1e5)}
"""ASSUMED: unit -> the range beyond which a value is more likely a slip than a device; a knob's own comes first."""

_SLACK = 10.0
"""ASSUMED: a plausible range is that of a default; a device may leave it, by this factor without doubt."""


class Spec(BaseModel):
    """Knobs of one family: frozen, unknown keys are errors, the unit is in the name.

    Subclasses set `table_type`, a NamedTuple with one field a knob in the same order, and define `numerics_table`.
    A field whose type is another family's Spec is a part: its knobs appear as ``part.knob``, and its field of the
    table is the table of that family. `computed_by` names the part whose arithmetic, formats included, is the whole's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    table_type: ClassVar[type[Any]]
    computed_by: ClassVar[str] = ""

    @field_validator("*", mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        """A number with its unit (``2.4 GHz``, ``256 KiB``, ``80 %``) in the knob's unit; truth is not a number."""
        field_ = cls.model_fields[info.field_name or ""]
        if field_.annotation not in (int, float):
            return value
        extra = field_.json_schema_extra
        unit = str(extra["unit"]) if isinstance(extra, dict) else ""
        if field_.annotation is int and not unit and not isinstance(value, int | float | str):
            raise SpecError("", value, "a whole number")
        number = parse_quantity(value, unit, where="")
        # A whole number stays one to the last digit, and a fraction is refused where a whole number is due.
        return value if type(value) is int else int(number) if number.is_integer() else number

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

    def implausible(self) -> list[str]:
        """Values that no known device comes near, in words: a unit may be mistaken."""
        found, values = [], self.values()
        for name, knob_ in type(self).knobs().items():
            value = values[name]
            if isinstance(value, bool | str) or value in (0, knob_.default):
                continue
            low, high = knob_.plausible or _DOUBTFUL.get(knob_.unit, (-np.inf, np.inf))
            slack = _SLACK if knob_.plausible else 1.0
            if not low / slack <= value <= high * slack:
                unit = f" {knob_.unit}" if knob_.unit else ""
                found.append(f"{name} = {value:g}{unit} lies far from {low:g} to {high:g}{unit}: is the unit right?")
        return found

    def revised(self, values: Mapping[str, Any], *, where: str) -> Self:
        """This spec with some knobs replaced, validated; a text may hold its unit.

        Raises
        ------
        SpecError : as of `parse`.
        """
        return type(self).parse({**self.values(), **values}, where=where) if values else self

    def changed(self, values: Mapping[str, Any]) -> Self:
        """This spec with some knobs replaced, not validated: by values that a spec has had."""
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
                if column.size and not (knob_.low <= column.min() and column.max() <= knob_.high):
                    worst = column.min() if column.min() < knob_.low else column.max()
                    raise SpecError(name, worst, f"in [{knob_.low:g}, {knob_.high:g}]")
            else:
                column = np.full(size, _code(knob_, getattr(base, name)))
            # A whole number given for a real knob is stored as real, or the kernel would be compiled once more.
            is_real = field_.annotation is float
            out.append(_stored(column.astype(np.float64) if is_real else column))
        return cls.table_type(*out)

    @classmethod
    def numerics_table(cls, table: Any) -> F64:
        """The `Numerics` of each configuration as (C, len(Numerics._fields))."""
        if not cls.computed_by:
            raise NotImplementedError
        return cls.parts()[cls.computed_by].numerics_table(getattr(table, cls.computed_by))

    def _computing(self) -> Spec | None:
        """The part whose arithmetic is the whole's; None where it is the Spec's own."""
        part: Spec | None = getattr(self, self.computed_by) if self.computed_by else None
        return part

    def numerics(self) -> Numerics:
        return numerics_of(type(self).numerics_table(type(self).to_table([self]))[0])

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """The formats in which a product of such operands is computed: here, what the numerics leave of them."""
        if (part := self._computing()) is not None:
            return part.computed(weight, activation)
        numerics = self.numerics()
        return held(weight, numerics.weight_format), held(activation, numerics.activation_format)

    def stored(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """The formats in which such operands lie in memory: as asked where the device can widen them on their way."""
        if (part := self._computing()) is not None:
            return part.stored(weight, activation)
        computed = self.computed(weight, activation)
        kept, held_ = (
            asked if made.holds(asked) else made for asked, made in zip((weight, activation), computed, strict=True)
        )
        return kept, held_


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
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, SpecError):
        return SpecError(f"{where}: {key}", cause.got, cause.expected, cause.hint)
    if detail["type"] == "extra_forbidden":
        return SpecError.unknown(where, key, fields)
    context = detail.get("ctx", {})
    for name, sign in (("gt", ">"), ("ge", ">="), ("le", "<="), ("lt", "<")):
        if name in context:
            return _out_of_bounds(f"{where}: {key}", detail["input"], sign, context[name], fields.get(key))
    if detail["type"] == "literal_error":
        return SpecError(f"{where}: {key}", detail["input"], f"one of {context['expected']}")
    expected = {
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
    }
    return SpecError(f"{where}: {key}", detail["input"], expected.get(detail["type"], detail["msg"]))


def _out_of_bounds(where: str, given: Any, sign: str, bound: float, knob_: Knob | None) -> SpecError:
    """A bound that is broken, with the unit that may have been forgotten."""
    unit = knob_.unit if knob_ else ""
    # The least value that any hardware has is no news to who gave a negative one.
    if sign == ">=" and 0 < bound != 1 and isinstance(given, int | float) and given <= 0:
        sign, bound = ">", 0.0
    scales = unit_scales(unit) if unit in _DOUBTFUL and isinstance(given, int | float) and given > 0 else {}
    low, high = _DOUBTFUL.get(unit, (0.0, 0.0))
    fitting = [(scale, name) for name, scale in scales.items() if low <= given * scale <= high]
    hint = f"did you mean {given:g} {max(fitting)[1]}?" if fitting else None
    return SpecError(where, given, f"{sign} {bound:g}{f' {unit}' if unit else ''}", hint)
