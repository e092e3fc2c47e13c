"""Numerics: everything about a piece of hardware that can change a network's accuracy, as one hashable record.

The cost side makes it (`Spec.numerics`), the accuracy side consumes it: two hardware points with equal Numerics give
the same accuracy, so one evaluation serves both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["FLOAT", "Numerics", "lossless_adc_bits"]


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


def lossless_adc_bits(
    active_rows: npt.ArrayLike, dac_bits: npt.ArrayLike, cell_bits: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """Bits at which a column read loses nothing: ceil(log2(1 + rows (2^dac_bits - 1) (2^cell_bits - 1))).

    ISAAC needs 9 by this count and takes 8, since it stores a column inverted where its sum could reach the top bit.

    >>> lossless_adc_bits([128, 127, 128], 1, [2, 1, 1]).tolist()
    [9, 7, 8]
    """
    largest_sum = np.asarray(active_rows) * (2 ** np.asarray(dac_bits) - 1) * (2 ** np.asarray(cell_bits) - 1)
    # frexp(x) = (f, e) with 0.5 <= f < 1, so that e is the number of binary digits of a whole x.
    return np.asarray(np.frexp(largest_sum.astype(np.float64))[1], np.int64)
