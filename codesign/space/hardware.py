"""A hardware space: a catalogue device, or a choice of several, with some knobs opened to a list of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.space.base import Gene, Genotypes, Space
from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Spec, columns_of

__all__ = ["DEVICE", "HardwareSpace"]

DEVICE = "device"
"""The gene that chooses among several devices."""


class HardwareSpace(Space):
    """Points over listed knob values of one family.

    Parameters
    ----------
    model : the family. base : values of the knobs that are not searched; several by the names of their devices make
        the device a gene, the first one. knobs : knob -> its values, on whatever device.
    """

    def __init__(self, model: CostModel, base: Spec | Mapping[str, Spec], knobs: Mapping[str, Sequence[Any]]) -> None:
        self.model = model
        self.bases: dict[str, Spec] = dict(base) if isinstance(base, Mapping) else {"": base}
        self.base = next(iter(self.bases.values()))
        known = model.spec.knobs()
        knobs = {name: self._read(name, values) for name, values in knobs.items()}
        devices = [Gene(DEVICE, tuple(self.bases))] if isinstance(base, Mapping) else []
        super().__init__([*devices, *(Gene(name, tuple(values)) for name, values in knobs.items())])
        self._codes = {
            name: np.array([known[name].choices.index(v) if known[name].choices else v for v in values])
            for name, values in knobs.items()
        }
        self._devices = model.spec.to_table(list(self.bases.values()))

    def _read(self, name: str, given: Sequence[Any]) -> list[Any]:
        """The values of a knob in its unit, each one that every device takes."""
        if name not in self.model.spec.knobs():
            raise SpecError.unknown(f"{self.model.name} knob", name, self.model.spec.knobs())
        values = []
        for value in given:
            if not isinstance(value, bool | int | float | str):
                raise SpecError(f"{self.model.name}.{name}", value, "a number or a word")
            for spec in self.bases.values():
                made = spec.revised({name: value}, where=f"{self.model.name} space")
            values.append(made.values()[name])
        if len(set(values)) != len(values):
            raise SpecError(f"{self.model.name}.{name}", list(given), "a list without repeats")
        return values

    def table(self, genotypes: Genotypes) -> Any:
        """The family's configuration table of a batch, (P,) a column."""
        columns: dict[str, npt.NDArray[Any]] = {}
        for i, gene in enumerate(self.genes):
            if gene.name == DEVICE:
                columns |= {name: column[genotypes[:, i]] for name, column in columns_of(self._devices).items()}
            else:
                columns[gene.name] = self._codes[gene.name][genotypes[:, i]]
        if not columns:
            return self.model.spec.to_table([self.base] * len(genotypes))
        return self.model.spec.table_from(self.base, columns)

    def numerics(self, genotypes: Genotypes) -> npt.NDArray[np.float64]:
        """Numerics of a batch as an array, (P, fields)."""
        return self.model.spec.numerics_table(self.table(genotypes))

    def spec(self, genotype: npt.NDArray[np.integer]) -> Spec:
        """One point as a Spec."""
        knobs = self.decode(genotype)
        base = self.bases[knobs.pop(DEVICE)] if DEVICE in knobs else self.base
        return base.revised(knobs, where="hardware space")
