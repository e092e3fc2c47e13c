"""The benchmarks `pairs-digits` and `pairs-201`, and both on phase-change memory: all cells of a table times designs.

A definition is fixed: whatever would change its front gets a new version, and results name the version. Accuracies are
the mean over the seeds of the table; objectives are the error and the costs below, minimised, under the constraints.
CPUs and GPUs are the catalogue and its variations, and compute in float. Several GPUs share out a batch of 64, layers
and stages in every way; branches of cells lie on up to four with links of every kind. Their pairs are no sums over
layers, which is why there are hundreds of designs and not thousands. FPGAs are one board each, and what is held
against the energy is the share of the board that the design takes; 4 bits pack twice as many products into a block.
A crossbar of pairs-201 reads without loss at 8 bits, since published accuracies know nothing of ADC bits; those of
pairs-digits read with 4 to 7 bits or without loss, and the table knows what that does to each network.

The analogue benchmarks add two choices to the 8,640 designs: how a cell is trained, and how long after programming the
memory is still read before it is written again. Both have their price in the energy of a served inference
(`codesign.benchmark.deployment`); the accuracy is that at the end of this time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from codesign.benchmark.deployment import SERVED, Deployment
from codesign.estimate.analog_cells import PUBLISHED_TIMES_S, read_analog_cells
from codesign.estimate.digits_analog import digits_analog
from codesign.estimate.table import AccuracyTable, digits_cells, read_nasbench201
from codesign.space.architecture import ArchitectureSpace
from codesign.space.hardware import DEVICE, HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Spec
from hwmodels.workload.ops import Precision

__all__ = ["BENCHMARKS", "PairsBenchmark", "benchmark"]


@dataclass(frozen=True)
class PairsBenchmark:
    """All cells of a table on all designs of a grid.

    device, fixed, knobs : a device of the catalogue, or several that are searched as well; knobs that are set for good,
    and those that are searched. precision : bits of the networks, 8 unless given. objectives, constraints : costs,
    minimised beside the error, and their limits. starting : the design that searches of the network alone take for
    granted, its device by the name "device". deployment : where chips serve, for tables that know ways of training.
    batch : items that a network reads at once.
    """

    name: str
    family: str
    version: int
    device: str | tuple[str, ...]
    fixed: Mapping[str, Any]
    knobs: Mapping[str, Sequence[Any]]
    constraints: Mapping[str, float]
    starting: Mapping[str, Any]
    objectives: tuple[str, ...] = ("energy_j", "area_mm2")
    published: bool = field(default=False)
    precision: Precision = field(default=Precision())
    deployment: Deployment | None = None
    batch: int = 1

    def table(self, path: Path | None = None) -> AccuracyTable:
        """Its accuracies: shipped, or read from the published table at `path`, a folder of two for the analogue one."""
        if self.deployment is not None:
            return read_analog_cells(path) if self.published else digits_analog()
        if not self.published:
            return digits_cells()
        if path is None:
            raise SpecError(self.name, "no table", "given the npz file of published accuracies")
        return read_nasbench201(path)

    @property
    def designs(self) -> int:
        devices = 1 if isinstance(self.device, str) else len(self.device)
        return devices * prod(len(values) for values in self.knobs.values())

    def space(self, table: AccuracyTable) -> JointSpace:
        if isinstance(self.device, str):
            model, spec = self._device(self.device, self.fixed)
            return JointSpace(self._networks(table), HardwareSpace(model, spec, dict(self.knobs)))
        found = {name: self._device(name, self.fixed) for name in self.device}
        model = found[self.device[0]][0]
        bases = {name: spec for name, (_, spec) in found.items()}
        return JointSpace(self._networks(table), HardwareSpace(model, bases, dict(self.knobs)))

    def software_space(self, table: AccuracyTable) -> JointSpace:
        """The networks on the starting design alone."""
        starting = dict(self.starting)
        name = starting.pop(DEVICE, self.device if isinstance(self.device, str) else self.device[0])
        model, spec = self._device(name, {**self.fixed, **starting})
        return JointSpace(self._networks(table), HardwareSpace(model, spec, {}))

    def _networks(self, table: AccuracyTable) -> ArchitectureSpace:
        found: ArchitectureSpace = table.space.at(self.precision)
        return found if self.batch == found.batch else found.at_batch(self.batch)

    def _device(self, name: str, fixed: Mapping[str, Any]) -> tuple[CostModel, Spec]:
        chip = device(name)
        model = chip.model if self.deployment is None else self.deployment.of(chip.model)
        return model, chip.spec.revised(fixed, where=self.name)


_FLOAT = Precision(32, 32, 32)
_ARRAYS: dict[str, Sequence[Any]] = {
    "array_rows": [64, 128, 256, 512],
    "array_cols": [32, 64, 128, 256, 512],
    "columns_per_adc": [8, 16, 32],
    "duplication": [1, 4, 16],
}
_CHIP: dict[str, Sequence[Any]] = {"arrays_per_ima": [2, 4, 8], "tiles": [1, 2, 4, 8]}
_ANALOG = {
    "active_rows": 64, "adc_calibrated": True, "conductance_sigma": 0.0, "vectors_per_copy": 4,
    # Version 1 is defined with these, whatever the defaults of family and device are.
    "static_power": "fraction", "idle_leakage_share": 1.0, "input_bit_density": 0.5,
}  # fmt: skip
_PHASE_CHANGE = {
    # A pair of cells a weight, 8 bits a conversion, as the published device. ASSUMED 10 pulses of write and verify (5
    # to 20) of the family's 20 pJ and 100 ns each: `hwmodels.families.crossbar.devices` counts one.
    "sign_scheme": "differential", "cell_bits": 7, "adc_bits": 8, "adc_calibrated": True, "active_rows": 0,
    "vectors_per_copy": 4, "cell_device": "custom", "cell_area_f2": 48.0, "cell_write_j": 200e-12,
    "row_write_s": 1e-6, "endurance_writes": 1e8,
    "conductance_sigma": 1.0, "variation": "pcm", "drift_law": "pcm", "drift_compensated": True,
    "static_power": "parts", "idle_leakage_share": 0.05, "input_bit_density": 0.25,
}  # fmt: skip
_CAMERAS = Deployment(
    # ASSUMED: a camera that looks once a second for three years, a series of 300; the plausible range is a decade to
    # either side for each of them. A MAC of a small network in training takes 100 pJ (20 to 500): a GPU of 400 W and
    # 156 TFLOP/s at 5 % of its peak.
    rate_hz=1.0, life_s=3 * 365.25 * 86400, chips=300, training_j_per_mac=100e-12,
)  # fmt: skip
_SENSOR = Deployment(
    # ASSUMED: one sensor, trained for its owner, that looks ten times a second for a week; a decade to either side.
    rate_hz=10.0, life_s=7 * 86400, chips=1, training_j_per_mac=100e-12,
)  # fmt: skip
_SPATIAL: dict[str, Sequence[Any]] = {
    "dataflow": ["os", "ws", "is"],
    "array_rows": [4, 8, 16, 32, 64, 128],
    "array_cols": [4, 8, 16, 32, 64, 128],
    "vector_lanes": [16, 64],
}
_KB = 1024
_CPUS = (
    "coral_dev_board_cpu",
    "epyc_7543",
    "epyc_7742",
    "epyc_7763",
    "epyc_zen3_2vcpu",
    "essential_ph_1",
    "galaxy_note10",
    "galaxy_s21",
    "galaxy_s7_edge",
    "galaxy_s8",
    "i7_12700h",
    "i7_8700k",
    "i9_10940x",
    "iphone_12_pro",
    "iphone_x",
    "jetson_agx_orin_cpu",
    "jetson_nano_cpu",
    "jetson_orin_nano_cpu",
    "jetson_tx2_cpu",
    "jetson_xavier_nx_cpu",
    "pixel1",
    "pixel2",
    "pixel3",
    "rk3399",
    "rk3588",
    "rpi3",
    "rpi4",
    "rpi5",
    "xeon_e5_2640v4",
    "xeon_e5_2690v3",
    "xeon_gold_6130",
    "xeon_gold_6226",
    "xeon_gold_6240",
    "xeon_platinum_8280",
    "xeon_silver_4114",
    "xeon_silver_4210r",
)
_CPU_VARIATIONS: dict[str, Sequence[Any]] = {
    "threads": [1, 2, 4, 8],
    "simd_bits": [128, 256, 512],
    "l2_bytes": [256 * _KB, 1024 * _KB],
    "dram_bytes_per_s": [6.4e9, 12.8e9, 25.6e9, 51.2e9, 102.4e9],
    "layout": ["nhwc", "blocked"],
}

_TILES: dict[str, Sequence[Any]] = {"loop_order": ["outputs", "inputs", "weights"], "input_port": [2, 4, 8],
                                   "weight_port": [4, 8, 16]}  # fmt: skip
_GPUS = ("a100_80_sxm", "h100_sxm", "l40s", "p4", "t4", "v100_pcie")
_GPU_VARIATIONS: dict[str, Sequence[Any]] = {
    "sms": [4, 16, 40, 80, 132],
    "clock_hz": [0.6e9, 1.2e9, 1.8e9],
    "l2_bytes": [1024 * _KB, 4096 * _KB, 16384 * _KB, 65536 * _KB],
    "dram_bytes_per_s": [50e9, 200e9, 800e9, 3200e9],
    "tdp_w": [150.0, 250.0, 400.0],
    "allow_tf32": [False, True],
}

_SHARES: dict[str, Sequence[Any]] = {name: [1, 2, 4, 8] for name in ("gpus_per_node", "data", "tensor", "pipeline")}
_LINKS: dict[str, Sequence[Any]] = {
    "gpus": [1, 2, 3, 4],
    "link_bytes_per_s": [13e9, 25e9, 50e9, 300e9],
    "link_latency_s": [1e-6, 10e-6],
    "wait_s": [2e-6, 5e-6, 20e-6],
}
_CLUSTERS = ("dgx_a100", "dgx_h100", "l40s_node")

BENCHMARKS = (
    PairsBenchmark(
        name="pairs-digits",
        family="crossbar",
        version=1,
        device="rram_edge",
        fixed={**_ANALOG, "dac_bits": 2, "cell_bits": 2, "imas_per_tile": 2},
        knobs={**_ARRAYS, **_CHIP, "adc_bits": [4, 5, 6, 7, 10]},
        constraints={"latency_s": 100e-6},
        starting={"adc_bits": 10, "tiles": 4, "duplication": 4},
    ),
    PairsBenchmark(
        name="pairs-digits",
        family="spatial",
        version=1,
        device="systolic_edge",
        fixed={},
        knobs={
            **_SPATIAL,
            "max_bits": [4, 8],
            "ifmap_sram_bytes": [1 * _KB, 4 * _KB, 16 * _KB],
            "filter_sram_bytes": [1 * _KB, 4 * _KB, 16 * _KB],
            "ofmap_sram_bytes": [1 * _KB, 4 * _KB, 16 * _KB],
        },
        constraints={"latency_s": 8e-6},
        starting={"array_rows": 32, "array_cols": 32, "ifmap_sram_bytes": 4 * _KB, "filter_sram_bytes": 4 * _KB,
                  "ofmap_sram_bytes": 4 * _KB},
    ),
    PairsBenchmark(
        name="pairs-201",
        family="crossbar",
        version=1,
        device="rram_edge",
        fixed={**_ANALOG, "adc_bits": 10},
        knobs={**_ARRAYS, "dac_bits": [1, 2], "cell_bits": [1, 2], "imas_per_tile": [4, 8], "tiles": [6, 12, 24, 48],
               "arrays_per_ima": [4, 8]},
        constraints={"latency_s": 4e-3},
        starting={"dac_bits": 1, "cell_bits": 2, "tiles": 48, "duplication": 4},
        published=True,
    ),
    PairsBenchmark(
        name="pairs-digits-analog",
        family="crossbar",
        version=1,
        device="rram_edge",
        fixed={**_PHASE_CHANGE, "active_rows": 64, "dac_bits": 4},
        knobs={"drift_s": list(PUBLISHED_TIMES_S), **_ARRAYS, "adc_bits": [4, 6], "imas_per_tile": [1, 2],
               "arrays_per_ima": [2, 4, 8], "tiles": [2, 4, 8, 16]},
        constraints={},
        starting={"drift_s": 3600.0, "adc_bits": 6, "tiles": 16, "arrays_per_ima": 8, "imas_per_tile": 2},
        objectives=(SERVED, "area_mm2", "latency_s"),
        deployment=_SENSOR,
    ),
    PairsBenchmark(
        name="pairs-201-analog",
        family="crossbar",
        version=1,
        device="rram_edge",
        fixed=_PHASE_CHANGE,
        knobs={"drift_s": list(PUBLISHED_TIMES_S), **_ARRAYS, "dac_bits": [1, 2], "imas_per_tile": [4, 8],
               "tiles": [6, 12, 24, 48], "arrays_per_ima": [4, 8, 16]},
        constraints={},
        starting={"drift_s": 3600.0, "dac_bits": 1, "tiles": 48, "duplication": 4},
        objectives=(SERVED, "area_mm2", "latency_s"),
        published=True,
        deployment=_CAMERAS,
    ),
    PairsBenchmark(
        name="pairs-201",
        family="spatial",
        version=1,
        device="systolic_edge",
        fixed={},
        knobs={
            **_SPATIAL,
            "ifmap_sram_bytes": [16 * _KB, 64 * _KB, 256 * _KB],
            "filter_sram_bytes": [16 * _KB, 64 * _KB, 256 * _KB],
            "ofmap_sram_bytes": [16 * _KB, 64 * _KB, 256 * _KB],
            "dram_bytes_per_s": [6.4e9, 12.8e9],
        },
        constraints={"latency_s": 4e-3},
        starting={},
        published=True,
    ),
    PairsBenchmark(
        name="pairs-digits",
        family="fpga",
        version=1,
        device="ultra96",
        fixed={"largest_kernel": 3, "activation_bits": 0},
        knobs={
            **_TILES,
            "tile_m": [2, 4, 8, 16, 32],
            "tile_n": [1, 2, 4, 8, 16],
            "tile_rows": [2, 4, 8],
            "tile_cols": [2, 4, 8],
            "weight_bits": [4, 8],
        },
        constraints={"latency_s": 40e-6},
        starting={"tile_m": 8, "tile_n": 8, "weight_bits": 8},
        objectives=("energy_j", "binding_share"),
    ),
    PairsBenchmark(
        name="pairs-201",
        family="fpga",
        version=1,
        device="zcu102",
        fixed={"largest_kernel": 3, "weight_bits": 8, "activation_bits": 0},
        knobs={
            **_TILES,
            "tile_m": [8, 16, 32, 64, 128],
            "tile_n": [4, 8, 16, 32, 64],
            "tile_rows": [8, 16, 32],
            "tile_cols": [8, 16, 32],
            "feature_buffer_bytes": [0, 256 * _KB],
        },
        constraints={"latency_s": 20e-3},
        starting={"tile_m": 64, "tile_n": 16},
        objectives=("energy_j", "binding_share"),
        published=True,
    ),
    PairsBenchmark(
        name="pairs-digits",
        family="cpu",
        version=1,
        device=_CPUS,
        fixed={},
        knobs=_CPU_VARIATIONS,
        constraints={},
        starting={DEVICE: "rpi5", "threads": 1},
        objectives=("energy_j", "latency_s"),
        precision=_FLOAT,
    ),
    PairsBenchmark(
        name="pairs-201",
        family="cpu",
        version=1,
        device=_CPUS,
        fixed={},
        knobs=_CPU_VARIATIONS,
        constraints={},
        starting={DEVICE: "rpi5", "threads": 1},
        objectives=("energy_j", "latency_s"),
        published=True,
        precision=_FLOAT,
    ),
    PairsBenchmark(
        name="pairs-digits",
        family="gpu",
        version=1,
        device=_GPUS,
        fixed={},
        knobs=_GPU_VARIATIONS,
        constraints={},
        starting={DEVICE: "t4"},
        objectives=("energy_j", "latency_s"),
        precision=_FLOAT,
    ),
    PairsBenchmark(
        name="pairs-201",
        family="gpu",
        version=1,
        device=_GPUS,
        fixed={},
        knobs=_GPU_VARIATIONS,
        constraints={},
        starting={DEVICE: "t4"},
        objectives=("energy_j", "latency_s"),
        published=True,
        precision=_FLOAT,
    ),
    *(
        PairsBenchmark(
            name=name,
            family=family,
            version=1,
            device=device_,
            fixed={},
            knobs=knobs,
            constraints={},
            starting=starting,
            objectives=("energy_j", "latency_s"),
            published=name == "pairs-201",
            precision=_FLOAT,
            batch=batch,
        )
        for name in ("pairs-digits", "pairs-201")
        for family, device_, knobs, starting, batch in (
            ("multigpu", _CLUSTERS, _SHARES, {DEVICE: "dgx_a100", "gpus_per_node": 1, "tensor": 1}, 64),
            ("gpu_branches", "a100_pair", _LINKS, {"gpus": 1}, 1),
        )
    ),
)  # fmt: skip


def benchmark(name: str, family: str) -> PairsBenchmark:
    """A definition by name and family.

    >>> benchmark("pairs-digits", "crossbar").version
    1
    """
    for found in BENCHMARKS:
        if (found.name, found.family) == (name, family):
            return found
    raise SpecError.unknown("benchmark", f"{name} {family}", [f"{known.name} {known.family}" for known in BENCHMARKS])
