"""The overlay as the rest of the framework sees it: resources, metrics, composition, limits, references.

Layers run one after the other on one core; a network is their sum. Cores share the DRAM::

    latency  = sum of layers         interval = min(latency, sum of layers with the DRAM shared / cores)

Resources of one core [PG338 v1.2, table 9]: DSP = PP ICP OCP / 4 + 2 and PP OCP more where blocks accumulate, exact on
all sixteen published counts; LUTs, flip-flops and BRAMs are lines through five of the eight sizes. The unit for
depthwise layers and pooling adds OCP DP + 4 blocks [PG338 v4.1].
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import summed
from hwmodels.families.base import Assumption, Composition, CostModel, Layerwise, Metric, PairRule, Reference
from hwmodels.families.fpga import kernel_overlay
from hwmodels.families.fpga.kernel_overlay import CHOICES, OverlayCost
from hwmodels.families.fpga.overlay_spec import OverlaySpec, OverlayTable
from hwmodels.families.fpga.resources import (
    INFEASIBLE,
    REASONS,
    RESOURCE_METRICS,
    Use,
    closing_clock_hz,
    logic_j_per_cycle,
    node_scale,
    resource_columns,
)
from hwmodels.families.kernel_parts import listed

__all__ = ["MODEL", "core_dsps", "overlay_resources"]

F64 = npt.NDArray[np.float64]

# [PG338 v1.2, table 9] base and slope by least squares over five sizes on a ZCU102: LUTs and flip-flops over the root
# of the peak operations a cycle, BRAM18 over the operations; residuals are among the scores.
_LUTS, _FFS, _BRAM18S = (10_524.0, 490.3), (-1_138.0, 1_455.8), (92.2, 0.0996)
_LOW_DSP_LUTS, _LOW_DSP_FFS = 28.0, 56.0  # more of each for every pixel and output lane where LUTs accumulate
# [PG338 v4.1, DepthwiseConv ALU] of a B4096 with 1, 2, 4 and 8 pixels at once: 662, 678, 710 and 774 blocks, and so on;
# a lane is a pixel of an output; flip-flops are those of the recommended 4, less what table 9 has without the unit
_ALU_DSPS, _ALU_LUTS, _ALU_FFS, _ALU_BRAM18S = 4.0, 148.0, 101.0, 11.0
_URAMS, _BRAM_LEFT = 30.0, 0.33
"""One design, a B3136 on a Kria [AMD, nlp-smartvision]: 44 URAMs in place of 273 of 407 BRAM18, 134 left. ASSUMED, 20
to 40: URAMs beside one an output lane."""


def core_dsps(pixels: Any, inputs: Any, outputs: Any, *, accumulate: Any) -> F64:
    """Blocks of one core: each makes four 8-bit MACs a cycle, two at twice the clock.

    >>> float(core_dsps(8, 16, 16, accumulate=False)), float(core_dsps(8, 16, 16, accumulate=True))
    (514.0, 642.0)
    """
    products = np.asarray(pixels) * inputs * outputs / 4.0 + 2.0
    blocks: F64 = np.where(accumulate, products + np.asarray(pixels) * outputs, products)
    return blocks


def overlay_resources(table: OverlayTable) -> Use:
    """What each overlay takes of its board, all cores and the shell."""
    lanes = table.pixel_parallel * table.output_parallel
    operations = 2.0 * lanes * table.input_parallel
    high = table.dsp_use == 0
    luts, ffs = (np.maximum(base + slope * np.sqrt(operations), 1.0) for base, slope in (_LUTS, _FFS))
    bram = _BRAM18S[0] + _BRAM18S[1] * operations
    luts = luts + np.where(high, 0.0, _LOW_DSP_LUTS * lanes)
    ffs = ffs + np.where(high, 0.0, _LOW_DSP_FFS * lanes)
    in_uram = table.feature_memory == 1
    urams = np.where(in_uram, _URAMS + table.output_parallel, 0.0)
    kept = np.where(in_uram, _BRAM_LEFT, 1.0) * bram
    dsps = core_dsps(table.pixel_parallel, table.input_parallel, table.output_parallel, accumulate=high)
    alu, has_alu = table.output_parallel * table.depthwise_pixels, table.depthwise_pixels > 0
    dsps = dsps + alu + np.where(has_alu, _ALU_DSPS, 0.0)
    luts, ffs = luts + _ALU_LUTS * alu, ffs + _ALU_FFS * alu
    kept = np.ceil(kept) + np.where(has_alu, _ALU_BRAM18S, 0.0)
    return Use(
        table.cores * dsps, table.cores * luts + table.shell_luts, table.cores * ffs + 1.5 * table.shell_luts,
        table.cores * kept + table.shell_bram18s, table.cores * urams,
    )  # fmt: skip


_DERIVED = ("core_clock_hz", "alone_bytes_per_s", "shared_bytes_per_s", "mac_j", "cycle_j")
if TYPE_CHECKING:
    _CoreTable = Any
else:
    _CoreTable = namedtuple("_CoreTable", (*OverlaySpec.model_fields, *_DERIVED), module=__name__)


def _core_table(table: OverlayTable) -> _CoreTable:
    """The knobs of C overlays and what the kernel needs beside them, (C,) each; energies are of one core."""
    use = overlay_resources(table)
    alone = Use(*(used / table.cores for used in use))
    reached = table.dram_share * table.dram_bytes_per_s
    return _CoreTable(
        *table, closing_clock_hz(use, table), np.minimum(table.core_bytes_per_s, reached),
        np.minimum(table.core_bytes_per_s, reached / table.cores), node_scale(table.node_nm) * table.dsp_j / 4.0,
        logic_j_per_cycle(alone, table),
    )  # fmt: skip


def _cost(layers: Any, configs: Any, scratch: Any, out: Any, choice: Any) -> None:
    kernel_overlay.all_pairs(layers, _core_table(configs), out, choice)


def _cost_at(layers: Any, configs: Any, layer: Any, config: Any, scratch: Any, out: Any, choice: Any) -> None:
    pairs = listed(layers, configs, layer, config)
    kernel_overlay.listed_pairs(pairs, _core_table(pairs.configs), out, choice)


_MEANING = {
    "latency_s": "time of the layer on one core or on the host, its start included",
    "compute_s": "multipliers, or the unit for pooling and sums",
    "dram_s": "bytes over what one core reaches of the DRAM",
    "start_s": "instructions, first loads and last store of a layer",
    "host_s": "layers that the overlay does not have, hand-over included",
    "shared_s": "time of the layer while every core runs, each with its share of the DRAM",
    "energy_j": "sum of the energy terms",
    "mac_j": "multiply-adds, padded lanes excluded",
    "logic_j": "logic and memories of the core while it runs",
    "dram_j": "DRAM",
    "static_j": "idle power of the board times latency",
    "dram_bytes": "DRAM traffic, both directions",
    "compute_cycles": "cycles of the core; a whole number",
    "executed_macs": "multiply-adds of the layer",
}

Columns = Mapping[str, npt.NDArray[Any]]


def _interval(metrics: Columns, knobs: Columns) -> F64:
    """Every core runs a batch of its own; never longer than one batch alone."""
    interval: F64 = np.minimum(metrics["latency_s"], metrics["shared_s"] / knobs["cores"])
    return interval


def _utilisation(metrics: Columns, knobs: Columns) -> F64:
    """utilisation = executed MACs / (latency x peak of one core); 0 where nothing runs."""
    slots = metrics["latency_s"] * metrics["peak_macs_per_s"] / knobs["cores"]
    share: F64 = np.divide(metrics["executed_macs"], slots, out=np.zeros_like(slots), where=slots > 0)
    return share


def _config_metrics(table: OverlayTable) -> dict[str, F64]:
    found = resource_columns(overlay_resources(table), table)
    lanes = table.pixel_parallel * table.input_parallel * table.output_parallel
    # The host's layers count, too: a network may lie on it alone.
    found["peak_macs_per_s"] = table.cores * lanes * found["closing_clock_hz"] + table.cpu_macs_per_s
    found["idle_power_w"] = np.asarray(table.idle_w, np.float64)
    return found


_LAYERWISE = Layerwise(_cost, _cost_at, dict.fromkeys(OverlayCost._fields, "sum"), scratch_size=1, choices=CHOICES)
_COMPOSE = Composition(
    summed(_LAYERWISE).function,
    {"interval_s": PairRule(frozenset({"latency_s", "shared_s", "cores"}), _interval)},
)

MODEL = CostModel(
    name="fpga_overlay",
    meaning="FPGA with a fixed processor of convolutions (DPU) in one or more cores, and a host for what it has not",
    spec=OverlaySpec,
    metrics=(
        *(Metric(name, "sum", _MEANING[name]) for name in OverlayCost._fields),
        Metric("interval_s", "rule", "from one batch to the next while every core runs"),
        Metric("utilisation", "rule", "share of one core's multiply-accumulate slots that do work", "more"),
        Metric("peak_macs_per_s", "config", "all lanes of all cores at the closing clock, and the host", "more"),
        Metric("idle_power_w", "config", "the board, nothing running"),
        *RESOURCE_METRICS,
    ),
    compose=_COMPOSE,
    layerwise=_LAYERWISE,
    objectives=("energy_j", "latency_s"),
    searched=("pixel_parallel", "input_parallel", "clock_hz"),
    time_terms=("compute_s", "dram_s", "start_s", "host_s"),
    energy_terms=("mac_j", "logic_j", "dram_j", "static_j"),
    static_energy="static_j",
    config_metrics=_config_metrics,
    derived={
        "utilisation": PairRule(
            frozenset({"latency_s", "peak_macs_per_s", "executed_macs", "cores"}), _utilisation
        ),
    },
    infeasible=INFEASIBLE,
    infeasible_reasons=REASONS,
    assumptions=(
        Assumption("features on chip", "one share", "-", "the share of features that stay is that of the mean layer"),
        Assumption("activations", "free", "-", "done by whoever writes the tensor; swish, too, where it is fused"),
        Assumption("URAMs", "30 and OCP", "20 to 40 and OCP", "in place of two thirds of the BRAMs; one design"),
        Assumption("energy exponent", "1.25", "1 to 2", "energies scale with (node / 28 nm) to this power"),
    ),
    references=(
        Reference("PG338", "AMD, DPUCZDX8G for Zynq UltraScale+ MPSoCs, product guide, v1.2, table 9"),
        Reference("Vitis AI", "AMD, Vitis AI model zoo 1.3 and 3.0, performance tables"),
    ),
)  # fmt: skip
