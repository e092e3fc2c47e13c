"""Numerics: everything about a piece of hardware that can change a network's accuracy, as one hashable record.

The cost side makes it (`Spec.numerics`), the accuracy side consumes it: two hardware points with equal Numerics give
the same accuracy, so one evaluation serves both.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FLOAT", "Numerics"]


class Numerics(NamedTuple):
    """Arithmetic of a device; plain numbers, so that a batch of them is an array [C, field].

    weight_bits, activation_bits : widest supported width; a network asking for fewer keeps its own. 32 is float.
    cell_bits : bits of one crossbar cell; 0 means digital, and every field below is 0 too.
    dac_bits : input bits applied a cycle.
    active_rows : rows that add up on one column at once.
    adc_bits : resolution of the column read.
    adc_calibrated : 1 when the ADC range is fitted to each layer on training data, 0 when it covers the full scale.
    differential : 1 for two columns a weight (positive minus negative), 0 for offset encoding with a unit column.
    conductance_sigma : relative standard deviation of a cell's conductance.
    """

    weight_bits: int = 32
    activation_bits: int = 32
    cell_bits: int = 0
    dac_bits: int = 0
    active_rows: int = 0
    adc_bits: int = 0
    adc_calibrated: int = 0
    differential: int = 0
    conductance_sigma: float = 0.0

    @property
    def is_crossbar(self) -> bool:
        return self.cell_bits > 0


FLOAT = Numerics()
