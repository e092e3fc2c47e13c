"""The few-shot protocol: a device fitted to a handful of networks, held against the others.

N networks are drawn at random, the knobs of the device are fitted to them as `calibrate` does, and all other networks
are predicted. Draws are seeded; a figure is the mean over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.calibrate import fit_knobs
from hwmodels.families.cpu.kernel import Cost, cost
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.validation.spaces import Counted
from hwmodels.workload.table import Layers

__all__ = ["ENERGY_KNOBS", "KNOBS", "Draws", "few_shot", "fit_rows", "predicted"]

F64 = npt.NDArray[np.float64]

KNOBS = (
    "gemm_efficiency", "depthwise_efficiency", "vector_efficiency", "pool_efficiency", "dispatch_s",
    "product_dispatch_s", "tile_overhead_steps", "serial_fraction", "barrier_s", "l2_bytes_per_cycle",
    "core_dram_bytes_per_s", "dram_efficiency", "overlap_norm", "reuse_distance_bytes", "invoke_s",
    "repack_bytes_per_s",
)  # fmt: skip
"""What is fitted to latencies."""
ENERGY_KNOBS = ("mac_j", "vector_op_j", "cache_j_per_byte", "dram_j_per_byte", "core_w", "idle_w")
"""What is fitted besides where energies are given."""
_SIGMA = 0.05  # ASSUMED: spread of a published median, relative; plausible 0.01 to 0.1


class Draws(NamedTuple):
    """Pooled over draws: predictions and measurements of the networks that were not fitted, and the draw of each."""

    predicted: F64
    measured: F64
    draw: npt.NDArray[np.int64]


def predicted(spec: CpuSpec, counted: Counted, metric: str = "latency_s") -> F64:
    """One metric of every network on one device, (N,)."""
    found: F64 = _costs(counted.layers, spec, {}, metric)[0] @ counted.counts.T
    return found


def _costs(layers: Layers, spec: CpuSpec, columns: Mapping[str, F64], *metrics: str) -> F64:
    """(len(metrics) C, L), metric by metric, of `spec` with some knobs replaced by columns (C,)."""
    configs = CpuSpec.table_from(spec, columns)
    shape = (configs.threads.size, layers.kind.size)
    out, choice = np.empty((*shape, len(Cost._fields))), np.empty(shape, np.int16)
    cost(layers, configs, np.zeros(1), out, choice)
    return np.concatenate([out[:, :, Cost._fields.index(metric)] for metric in metrics])


def few_shot(
    spec: CpuSpec, counted: Counted, measured: Mapping[str, F64], *, shots: int, draws: int, seed: int = 0
) -> dict[str, Draws]:
    """Fit to `shots` networks and predict the others, `draws` times.

    Parameters
    ----------
    measured : metric ("latency_s", "energy_j") -> (N,) of the networks of `counted`, all of them known.
    """
    pooled: dict[str, list[tuple[F64, F64, npt.NDArray[np.int64]]]] = {metric: [] for metric in measured}
    for draw in range(draws):
        shuffled = np.random.default_rng([seed, draw]).permutation(counted.counts.shape[0])
        seen, unseen = shuffled[:shots], shuffled[shots:]
        fitted = fit_rows(spec, counted, measured, seen=seen)
        for metric, values in measured.items():
            found = predicted(fitted, Counted(counted.layers, counted.counts[unseen]), metric)
            pooled[metric].append((found, values[unseen], np.full(unseen.size, draw)))
    return {name: Draws(*(np.concatenate(part) for part in zip(*parts, strict=True))) for name, parts in pooled.items()}


def fit_rows(
    spec: CpuSpec, counted: Counted, measured: Mapping[str, F64], *, seen: npt.NDArray[np.int64],
    knobs: Sequence[str] | None = None,
) -> CpuSpec:  # fmt: skip
    """`spec` fitted to the networks `seen`, (S,) positions; only their rows are evaluated."""
    names = knobs or ((*KNOBS, *ENERGY_KNOBS) if "energy_j" in measured else KNOBS)
    counts = counted.counts[seen]
    used = np.flatnonzero(counts.any(axis=0))
    layers = Layers(*(np.ascontiguousarray(column[used]) for column in counted.layers))
    counts = counts[:, used].T

    def predict(start: CpuSpec, columns: Mapping[str, F64]) -> F64:
        found = _costs(layers, start, columns, *measured) @ counts
        size = found.shape[0] // len(measured)
        by_metric = [found[size * index : size * (index + 1)] for index in range(len(measured))]
        return np.log(np.concatenate(by_metric, axis=1))

    targets = np.log(np.concatenate([values[seen] for values in measured.values()]))
    found = fit_knobs(predict, spec, names, measured=targets, sigma=np.full(targets.size, _SIGMA))
    assert isinstance(found, CpuSpec)
    return found
