"""From two histograms a layer to the two means that its energy needs: ones among input bits, mean level of cells.

The energy of a sum over rows is linear in the input's bits and in the cells' levels, so that of all statistics of the
data only E[bit] and E[level] enter where inputs and weights are independent (CiMLoop, Andrulis et al. 2024, takes the
same shortcut). Inputs are non-negative codes, applied `dac_bits` at a time; weights are signed codes, stored in slices
of `cell_bits` with an offset or as pairs. What is NOT modelled: correlation of inputs with weights, and of one read
with the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar.model import MODEL, cost_at
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import layer_table

__all__ = ["LayerStatistics", "input_bit_density", "layer_energies_j", "mean_level"]

F64 = npt.NDArray[np.float64]


class LayerStatistics(NamedTuple):
    """E[input bit] and E[level / largest level] of one layer."""

    input_bit_density: float
    mean_level: float


def input_bit_density(counts: npt.ArrayLike, *, dac_bits: int = 1) -> float:
    """Mean of the applied input over its largest, from a histogram of codes: counts[code], 2^bits codes.

    sum_code p(code) sum_i digit_i(code) / (slices (2^dac_bits - 1)), digits of `dac_bits`; with 1 the share of ones.

    >>> input_bit_density([1, 1, 1, 1])
    0.5
    """
    shares = _shares(counts)
    slices = -(-(shares.size - 1).bit_length() // dac_bits)
    mean = float(shares @ _digits(np.arange(shares.size), dac_bits, slices).mean(axis=1))
    return mean / float(2**dac_bits - 1)


def mean_level(counts: npt.ArrayLike, *, cell_bits: int, sign_scheme: str = "offset") -> float:
    """Mean level of a cell over its largest, from a histogram of weight codes -2^(b-1) ... 2^(b-1) - 1.

    offset : digits of code + 2^(b-1). differential : digits of |code| in one of two columns, zeros in the other.

    >>> round(mean_level([1, 1, 1, 1], cell_bits=1), 3)
    0.5
    """
    shares = _shares(counts)
    bits = (shares.size - 1).bit_length()
    codes = np.arange(shares.size) - shares.size // 2
    slices = -(-bits // cell_bits)
    stored = np.abs(codes) if sign_scheme == "differential" else codes + shares.size // 2
    columns = 2 if sign_scheme == "differential" else 1
    mean = float(shares @ _digits(stored, cell_bits, slices).mean(axis=1))
    return mean / columns / float(2**cell_bits - 1)


def layer_energies_j(workload: Workload, spec: CrossbarSpec, statistics: Mapping[str, LayerStatistics]) -> F64:
    """Energy of each executed layer, (rows of the workload,), J per batch, with the statistics of those named.

    A layer that is not named keeps the means of `spec`.

    Raises
    ------
    KeyError : a name that no executed layer has.
    """
    table = layer_table([workload])
    names = [node.name for node, _ in workload.rows()]
    unknown = sorted(set(statistics) - set(names))
    if unknown:
        raise KeyError(unknown[0])
    own = [statistics.get(name, LayerStatistics(spec.input_bit_density, spec.mean_level)) for name in names]
    columns = {field: np.array([getattr(means, field) for means in own]) for field in LayerStatistics._fields}
    configs = CrossbarSpec.table_from(spec, columns)
    out, choice = np.zeros((len(names), len(MODEL.layer_metrics))), np.zeros(len(names), np.int16)
    index = np.arange(len(names))
    cost_at(table.layers, configs, table.networks.sequence, index, np.zeros(0), out, choice)
    energy: F64 = out[:, MODEL.layer_metrics.index("energy_j")]
    return energy


def _shares(counts: npt.ArrayLike) -> F64:
    found = np.asarray(counts, np.float64)
    shares: F64 = found / found.sum()
    return shares


def _digits(codes: npt.NDArray[np.int64], width: int, slices: int) -> F64:
    """Digits of `width` bits, (codes, slices)."""
    digits: F64 = ((codes[:, None] >> (width * np.arange(slices))) & (2**width - 1)).astype(np.float64)
    return digits
