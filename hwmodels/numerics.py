"""Numerics: everything about a piece of hardware that can change a network's accuracy, as one hashable record.

The cost side makes it (`Spec.numerics`), the accuracy side consumes it: two hardware points with equal Numerics give
the same accuracy, so one evaluation serves both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.workload.formats import Format, of_fields

__all__ = ["DRIFT_START_S", "FLOAT", "VARIATIONS", "Numerics", "lossless_adc_bits"]

DRIFT_START_S = 20.0
"""Time after programming at which conductances are as programmed [Joshi et al., Nature Communications 11, 2020]."""

VARIATIONS = ("proportional", "lognormal", "independent", "pcm")
"""Kinds of programming variation by the number that `Numerics.variation` holds."""


class Numerics(NamedTuple):
    """Arithmetic of a device; plain numbers, so that a batch of them is an array [C, field].

    weight_bits, activation_bits : widest supported width; a network asking for fewer keeps its own.
    weight_exponent_bits, activation_exponent_bits : those of an exponent among these bits; 0 is an integer, and float32
        at 32 bits (`weight_format`, `activation_format` say it as formats).
    cell_bits : bits of one crossbar cell; 0 means digital, and every field below is 0, those of exponents excepted.
    dac_bits : input bits applied a cycle.
    active_rows : rows that add up on one column at once.
    adc_bits : resolution of the column read.
    adc_calibrated : 1 when the ADC range is fitted to each layer on training data, 0 when it covers the full scale.
    differential : 1 for two columns a weight (positive minus negative), 0 for offset encoding with a unit column.
    conductance_sigma : standard deviation of a programmed conductance, as `variation` reads it.

    What follows is ideal at 0. Where it changes no reading a family leaves it at 0, so that designs which differ in
    it alone stay of one accuracy class.

    array_rows : rows of an array; each array is read `active_rows` at a time and starts anew. 0: where it changes
        nothing, since `active_rows` divides it.
    array_cols : columns of an array without the unit column, along which a row's voltage drops; 0 without wires.
    variation : 0 proportional, sigma relative to the cell's own conductance; 1 lognormal, sigma of its logarithm, the
        mean kept; 2 independent of the state, relative to the largest conductance; 3 phase-change memory, sigma
        times the published polynomial.
    stuck_off, stuck_on : share of cells that stay at the least and at the largest conductance.
    drift_s : seconds since programming. drift_nu, drift_nu_sigma : mean and deviation over cells of the exponent.
    drift_of_state : 1 for the published dependence of both on the conductance of phase-change memory.
    drift_compensated : 1 when each array's readings are scaled by what a reference read says it has lost.
    read_sigma : relative standard deviation of a cell's current, anew at every read.
    wire_resistance : of a wire between two neighbouring cells, relative to a cell in its on state.
    off_conductance : of a cell at level 0, relative to its on state: 1 / (on/off ratio).
    adc_noise_lsb : standard deviation of what an ADC adds to its input, in steps.
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
    array_rows: int = 0
    array_cols: int = 0
    variation: int = 0
    stuck_off: float = 0.0
    stuck_on: float = 0.0
    drift_s: float = 0.0
    drift_nu: float = 0.0
    drift_nu_sigma: float = 0.0
    drift_of_state: int = 0
    drift_compensated: int = 0
    read_sigma: float = 0.0
    wire_resistance: float = 0.0
    off_conductance: float = 0.0
    adc_noise_lsb: float = 0.0
    weight_exponent_bits: int = 0
    activation_exponent_bits: int = 0

    @property
    def weight_format(self) -> Format:
        """The widest format of weights."""
        return of_fields(self.weight_bits, self.weight_exponent_bits)

    @property
    def activation_format(self) -> Format:
        """The widest format of activations."""
        return of_fields(self.activation_bits, self.activation_exponent_bits)

    @property
    def is_crossbar(self) -> bool:
        return self.cell_bits > 0

    @property
    def is_ideal(self) -> bool:
        """Whether cells, wires and ADCs are ideal, so that only the bits of the ADC limit a reading."""
        return not (self.is_random or self.drift_s > DRIFT_START_S or self.wire_resistance or self.off_conductance)

    @property
    def is_random(self) -> bool:
        """Whether two draws of the same hardware differ."""
        drifts = self.drift_s > DRIFT_START_S and (self.drift_nu_sigma > 0 or self.drift_of_state == 1)
        drawn = (self.conductance_sigma, self.stuck_off, self.stuck_on, self.read_sigma, self.adc_noise_lsb)
        return self.is_crossbar and (drifts or any(share > 0 for share in drawn))


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
