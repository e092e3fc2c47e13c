"""A hardware space: a catalogue device with some of its knobs opened to a list of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.space.base import Gene, Genotypes, Space
from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel, Spec

__all__ = ["HardwareSpace"]


class HardwareSpace(Space):
    """Points over listed knob values of one family.

    Parameters
    ----------
    model : the family. base : values of the knobs that are not searched. knobs : knob -> its values.
    """

    def __init__(self, model: CostModel, base: Spec, knobs: Mapping[str, Sequence[Any]]) -> None:
        known = model.spec.knobs()
        for name, values in knobs.items():
            if name not in known:
                raise SpecError.unknown(f"{model.name} knob", name, known)
            if len(set(values)) != len(values):
                raise SpecError(f"{model.name}.{name}", list(values), "a list without repeats")
            for value in values:
                model.spec.parse({**base.model_dump(), name: value}, where=f"{model.name} space")
        super().__init__([Gene(name, tuple(values)) for name, values in knobs.items()])
        self.model, self.base = model, base
        self._codes = {
            name: np.array([known[name].choices.index(v) if known[name].choices else v for v in values])
            for name, values in knobs.items()
        }

    def table(self, genotypes: Genotypes) -> Any:
        """The family's configuration table of a batch, (P,) a column."""
        columns = {gene.name: self._codes[gene.name][genotypes[:, i]] for i, gene in enumerate(self.genes)}
        if not columns:
            return self.model.spec.to_table([self.base] * len(genotypes))
        return self.model.spec.table_from(self.base, columns)

    def numerics(self, genotypes: Genotypes) -> npt.NDArray[np.float64]:
        """Numerics of a batch as an array, (P, fields)."""
        return self.model.spec.numerics_table(self.table(genotypes))

    def spec(self, genotype: npt.NDArray[np.integer]) -> Spec:
        """One point as a Spec."""
        return self.model.spec.parse({**self.base.model_dump(), **self.decode(genotype)}, where="hardware space")
