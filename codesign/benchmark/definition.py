"""The benchmarks `pairs-digits` and `pairs-201`: all cells of a table times a grid of designs.

A definition is fixed: whatever would change its front gets a new version, and results name the version. Accuracies are
the mean over the seeds of the table; objectives are the error and the costs below, minimised, under the constraints.
A crossbar of pairs-201 reads without loss at 8 bits, since published accuracies know nothing of ADC bits; those of
pairs-digits read with 4 to 7 bits or without loss, and the table knows what that does to each network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codesign.estimate.table import AccuracyTable, digits_cells, read_nasbench201
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.catalog import device
from hwmodels.errors import SpecError

__all__ = ["BENCHMARKS", "PairsBenchmark", "benchmark"]


@dataclass(frozen=True)
class PairsBenchmark:
    """All cells of a table on all designs of a grid.

    device, fixed, knobs : a device of the catalogue, knobs that are set for good, and those that are searched.
    objectives, constraints : costs, minimised beside the error, and their limits. starting : the design that searches
    of the network alone take for granted.
    """

    name: str
    family: str
    version: int
    device: str
    fixed: Mapping[str, Any]
    knobs: Mapping[str, Sequence[Any]]
    constraints: Mapping[str, float]
    starting: Mapping[str, Any]
    objectives: tuple[str, ...] = ("energy_j", "area_mm2")
    published: bool = field(default=False)

    def table(self, path: Path | None = None) -> AccuracyTable:
        """Its accuracies: shipped, or read from the published table at `path`."""
        if not self.published:
            return digits_cells()
        if path is None:
            raise SpecError(self.name, "no table", "given the npz file of published accuracies")
        return read_nasbench201(path)

    def space(self, table: AccuracyTable) -> JointSpace:
        return JointSpace(table.space, self._hardware(self.fixed, self.knobs))

    def software_space(self, table: AccuracyTable) -> JointSpace:
        """The networks on the starting design alone."""
        return JointSpace(table.space, self._hardware({**self.fixed, **self.starting}, {}))

    def _hardware(self, fixed: Mapping[str, Any], knobs: Mapping[str, Sequence[Any]]) -> HardwareSpace:
        chip = device(self.device)
        spec = type(chip.spec).parse({**chip.spec.model_dump(), **fixed}, where=self.name)
        return HardwareSpace(chip.model, spec, dict(knobs))


_ARRAYS: dict[str, Sequence[Any]] = {
    "array_rows": [64, 128, 256, 512],
    "array_cols": [32, 64, 128, 256, 512],
    "columns_per_adc": [8, 16, 32],
    "duplication": [1, 4, 16],
}
_CHIP: dict[str, Sequence[Any]] = {"arrays_per_ima": [2, 4, 8], "tiles": [1, 2, 4, 8]}
_ANALOG = {"active_rows": 64, "adc_calibrated": True, "conductance_sigma": 0.0, "vectors_per_copy": 4}
_SPATIAL: dict[str, Sequence[Any]] = {
    "dataflow": ["os", "ws", "is"],
    "array_rows": [4, 8, 16, 32, 64, 128],
    "array_cols": [4, 8, 16, 32, 64, 128],
    "vector_lanes": [16, 64],
}
_KB = 1024

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
