"""This project's own measurements of one host: fitted on layers and three networks, held against fifteen others.

`measured_epyc_zen3.csv` ships with the package; ``codesign measure -o FILE`` made it on a virtual machine of two
processors (EPYC, Zen 3 class), torch on one thread, eager, batch 1. The fit is `hwmodels.calibrate` from
`epyc_zen3_2vcpu`; the baseline is the roofline of the data sheet, the larger of operations / peak and bytes / bandwidth
a layer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwmodels.calibrate import calibrate, error_on
from hwmodels.catalog import device
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.measurements import Measurement, read_measurements, workload_of
from hwmodels.validate import MetricName, ReferenceTables, Score, score

__all__ = ["FITTED_NETWORKS", "host_scores", "roofline_s"]

FITTED_NETWORKS = ("resnet18", "mobilenet_v2", "bert_base")
_SET = "measured_epyc_zen3"
_DEVICE = "epyc_zen3_2vcpu"


def host_scores(tables: ReferenceTables) -> list[Score]:
    """Errors on the networks that the fit did not see."""
    path = tables.path(f"gpu/{_SET}.csv")
    if path is None:
        return []
    rows = read_measurements(path)
    seen = [row for row in rows if row.is_layer or row.network in FITTED_NETWORKS]
    apart = [row for row in rows if not row.is_layer and row.network not in FITTED_NETWORKS]
    start = device(_DEVICE)
    assert isinstance(start.spec, CpuSpec)
    _, predicted = error_on(calibrate(start, seen), apart)
    measured = np.array([row.seconds for row in apart])
    roofline = np.array([roofline_s(row, start.spec) for row in apart])
    fitted_on = f"{sum(row.is_layer for row in seen)} layers, {', '.join(FITTED_NETWORKS)}"
    protocol = f"few-shot-{len(seen)}"
    metrics: tuple[MetricName, ...] = ("mape", "median_error", "p90_error", "bias", "spearman")
    return [
        Score(
            "cpu", _SET, _DEVICE, protocol, len(apart), len(rows), metric, score(metric, predicted, measured),
            skipped={"fitted on": len(seen)}, fitted_on=fitted_on,
            baseline={"roofline": score(metric, roofline, measured)},
        )
        for metric in metrics
    ]  # fmt: skip


def roofline_s(row: Measurement, spec: CpuSpec) -> float:
    """Sum over layers of max(2 MACs / peak, bytes / bandwidth), one core, every operand moved once.

    peak = 2 lanes FMA units clock
    """
    peak = 2.0 * (spec.simd_bits // 32) * spec.fma_units * spec.clock_hz
    rows = [layer for _, layer in workload_of(row).rows()]
    operations = 2.0 * np.array([layer.macs for layer in rows], np.float64)
    moved: npt.NDArray[np.float64] = np.array(
        [
            layer.weight_bits / 8 * layer.weight_elements
            + layer.activation_bits / 8 * (layer.input_elements + layer.output_elements)
            for layer in rows
        ]
    )
    return float(np.maximum(operations / peak, moved / spec.dram_bytes_per_s).sum())
