"""A grid of designs: every combination of listed knob values, as configuration tables of any slice of it.

No Spec is made per design, so a million of them cost a million rows of arrays and no more. Knobs may be tied to each
other: one axis then sets several to the same value (square arrays: ``("array_rows", "array_cols"): [64, 128]``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.spec import Column, Spec

__all__ = ["LARGEST_GRID", "Axes", "Grid"]

Axes = Mapping[str | tuple[str, ...], Sequence[Any]]

LARGEST_GRID = 10**9
"""Designs of one grid; a larger one is a search, or a slip."""


class Grid:
    """Designs over a base Spec; the last axis varies fastest.

    Parameters
    ----------
    base : the other knobs. axes : knob, or a tuple of tied knobs, -> values; a text may hold its unit.

    Raises
    ------
    SpecError : an unknown knob (with the nearest match), a knob on two axes, an axis without values, a value out of
        bounds, or more than `LARGEST_GRID` designs.

    Examples
    --------
    >>> from hwmodels.catalog import device
    >>> grid = Grid(device("systolic_edge").spec, {("array_rows", "array_cols"): [32, 64], "clock_hz": ["1 GHz"]})
    >>> len(grid), grid.table(1, 2).array_cols.tolist(), grid.varying
    (2, [64], ('array_rows', 'array_cols'))
    """

    def __init__(self, base: Spec, axes: Axes, *, where: str = "grid") -> None:
        self.base = base
        self._axes = {(names,) if isinstance(names, str) else names: list(values) for names, values in axes.items()}
        known, seen = type(base).knobs(), set[str]()
        for names, values in self._axes.items():
            for name in names:
                if name not in known:
                    raise SpecError.unknown("knob", name, known)
                if name in seen:
                    raise SpecError(where, name, "a knob of one axis", "it is set twice")
                seen.add(name)
            if not values:
                raise SpecError(f"{where}: {names[0]}", "nothing", "at least one value")
        sizes = [len(values) for values in self._axes.values()]
        if prod(sizes) > LARGEST_GRID:
            raise SpecError(where, f"{prod(sizes):,} designs", f"at most {LARGEST_GRID:,}")
        self._shape = tuple(sizes)
        self._values = {name: self._read(name, values, where) for names, values in self._axes.items() for name in names}

    def __len__(self) -> int:
        return prod(self._shape)

    @property
    def varying(self) -> tuple[str, ...]:
        """Knobs that take more than one value, in the order of the axes."""
        return tuple(name for name, values in self._values.items() if len(set(values)) > 1)

    def table(self, start: int, stop: int) -> Any:
        """The family's configuration table of the designs from `start` to `stop`."""
        spec, known = type(self.base), type(self.base).knobs()
        columns: dict[str, Column] = {}
        for name, taken in self._taken(start, stop).items():
            choices, values = known[name].choices, self._values[name]
            stored = np.array([choices.index(value) if choices else value for value in values])
            columns[name] = stored[taken]
        return spec.table_from(self.base, columns) if columns else spec.to_table([self.base] * (stop - start))

    def columns(self, start: int, stop: int) -> dict[str, npt.NDArray[Any]]:
        """The varying knobs of the designs from `start` to `stop`, (stop - start,) each, choices as their names."""
        taken = self._taken(start, stop)
        return {name: np.array(self._values[name])[taken[name]] for name in self.varying}

    def spec(self, index: int) -> Spec:
        """One design as a Spec."""
        taken = self._taken(index, index + 1)
        return self.base.changed({name: self._values[name][int(at[0])] for name, at in taken.items()})

    def _taken(self, start: int, stop: int) -> dict[str, npt.NDArray[np.int64]]:
        """Which of its values each knob has in a slice, (stop - start,)."""
        if not self._shape:
            return {}
        at = np.unravel_index(np.arange(start, stop), self._shape)
        return {name: axis for names, axis in zip(self._axes, at, strict=True) for name in names}

    def _read(self, name: str, values: Sequence[Any], where: str) -> list[Any]:
        """The values of a knob in its unit."""
        return [self.base.revised({name: value}, where=where).values()[name] for value in values]
