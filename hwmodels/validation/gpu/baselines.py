"""What predicts a GPU's kernels without a model: MACs, a roofline with a launch, a law of four constants.

MACs           time = MACs / rate, at the rate that suits the scored rows best
roofline       sum over kernels of max(MACs / peak of the format, bytes / bandwidth) + 3 us, from the data sheet
law            t = c0 + ((t_c / e_c)^p + (t_m / e_m)^p)^(1/p) of the roofline's two terms, fitted on other devices
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.units import US
from hwmodels.validation.gpu.shared_fit import Case, Part
from hwmodels.workload.formats import format_of
from hwmodels.workload.ops import Kind
from hwmodels.workload.table import Layers

__all__ = ["four_constants", "macs_at_best_rate", "roofline"]

F64 = npt.NDArray[np.float64]

_LAUNCH_S = 3 * US


def macs_at_best_rate(case: Case) -> F64:
    """MACs, or moved bytes of kernels without any, at the rate of the median row, (N,)."""
    work = np.sum([part.layers.macs[part.which].sum(axis=1) for part in case.parts], axis=0).astype(np.float64)
    if not work.any():
        work = np.sum([_moved_bytes(part.layers)[part.which].sum(axis=1) for part in case.parts], axis=0)
    work = np.maximum(work, 1.0)
    scaled: F64 = work * np.exp(np.median(np.log(case.measured / work)))
    return scaled


def roofline(case: Case) -> F64:
    """The data sheet's roofline with a launch a kernel, (N,)."""
    total = np.zeros(case.measured.size)
    for part in case.parts:
        compute_s, memory_s = _terms(part)
        total += (np.maximum(compute_s, memory_s) + _LAUNCH_S)[part.which].sum(axis=1)
    return total


def four_constants(fitted: Sequence[Case]) -> Callable[[Case], F64]:
    """The law of four constants, fitted on `fitted`."""
    from scipy.optimize import least_squares

    def law(case: Case, point: F64) -> F64:
        """point : logarithms of c0 in us, e_c, e_m, p."""
        c0_us, compute, memory, p = np.exp(point)
        terms = [np.stack(_terms(part))[:, part.which].sum(axis=2) for part in case.parts]
        compute_s, memory_s = np.sum(terms, axis=0)
        found: F64 = c0_us * US + ((compute_s / compute) ** p + (memory_s / memory) ** p) ** (1.0 / p)
        return found

    def residuals(point: F64) -> F64:
        return np.concatenate(
            [(np.log(law(case, point)) - np.log(case.measured)) / np.sqrt(case.measured.size) * 10.0 for case in fitted]
        )

    found = least_squares(residuals, np.log([5.0, 0.7, 0.7, 2.0]), loss="soft_l1")
    return lambda case: law(case, found.x)


def _terms(part: Part) -> tuple[F64, F64]:
    """(MACs / peak, bytes / bandwidth) of each layer, (L,); half of the MACs of a causal prompt."""
    layers, spec = part.layers, part.spec
    peak = np.array([_peak(spec, *key) for key in zip(*_formats(layers), strict=True)])
    prompt = (layers.causal == 1) & (layers.m > layers.query_heads)
    macs = np.where(prompt, 0.5, 1.0) * layers.macs
    return macs / peak, _moved_bytes(layers) / spec.dram_bytes_per_s


def _formats(layers: Layers) -> tuple[npt.NDArray[np.int64], ...]:
    return layers.weight_bits, layers.weight_format, layers.activation_bits, layers.activation_format


def _peak(spec: GpuSpec, weight_bits: int, weight_format: int, bits: int, code: int) -> float:
    """MACs a second of the units that the formats run on, at the boost clock."""
    operands = format_of(weight_bits, weight_format, in_float=True), format_of(bits, code, in_float=True)
    name = spec.computed(*operands)[0].name
    vector, tensor = f"{name}_macs_per_cycle", f"tensor_{name}_macs_per_cycle"
    rate = max(getattr(spec, tensor, 0.0), getattr(spec, vector, 0.0))
    return float(spec.sms * spec.clock_hz * rate)


def _moved_bytes(layers: Layers) -> F64:
    """Every operand once."""
    dynamic = np.where(layers.dynamic_operand == 1, layers.activation_bits, layers.weight_bits)
    moved = (layers.input_elements + layers.output_elements) * layers.activation_bits / 8
    kept = np.where(layers.kind == Kind.EMBEDDING, 0, layers.weight_elements * dynamic / 8)
    return np.asarray(moved + kept, np.float64)
