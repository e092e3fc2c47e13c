"""Devices of the catalogue under a runtime, and the knobs of this family that tables of measurements decide."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from hwmodels.catalog import device, device_names
from hwmodels.families.cpu.runtimes import CPU_RUNTIMES, with_runtime
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.workload.rewrite import DeadBranches

__all__ = ["ENERGY_KNOBS", "KNOBS", "Machine", "knobs_for", "machine"]

KNOBS = (
    "gemm_efficiency", "depthwise_efficiency", "vector_efficiency", "pool_efficiency", "dispatch_s",
    "product_dispatch_s", "tile_overhead_steps", "serial_fraction", "barrier_s", "l2_bytes_per_cycle",
    "core_dram_bytes_per_s", "dram_efficiency", "overlap_norm", "reuse_distance_bytes", "invoke_s",
    "repack_bytes_per_s",
)  # fmt: skip
"""What is fitted to latencies."""
ENERGY_KNOBS = ("mac_j", "vector_op_j", "cache_j_per_byte", "dram_j_per_byte", "core_w", "idle_w")
"""What is fitted besides where energies are given."""


def knobs_for(metrics: Collection[str]) -> tuple[str, ...]:
    """What measurements of these metrics decide."""
    return (*KNOBS, *ENERGY_KNOBS) if "energy_j" in metrics else KNOBS


class Machine(NamedTuple):
    """A catalogue device under a runtime."""

    spec: CpuSpec
    runtime: str

    @property
    def semantics(self) -> str:
        return CPU_RUNTIMES[self.runtime].semantics

    @property
    def dead_branches(self) -> DeadBranches:
        return CPU_RUNTIMES[self.runtime].dead_branches

    @property
    def fitted_on(self) -> str:
        return f"{self.runtime} runtime: {CPU_RUNTIMES[self.runtime].fitted_on}"


def machine(name: str, runtime: str) -> Machine | None:
    """The device of the catalogue, or None where there is none of that name in this family."""
    if name not in device_names():
        return None
    found = device(name).spec
    return Machine(with_runtime(found, runtime), runtime) if isinstance(found, CpuSpec) else None
