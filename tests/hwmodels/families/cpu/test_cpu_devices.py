"""Cores and devices: descriptions are read as written, runtimes are put on chips, the catalogue's CPUs are sane."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.catalog import device, device_names
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.cpu.microarchitectures import CORES, Cluster, clusters_of, spec_of
from hwmodels.families.cpu.runtimes import CPU_RUNTIMES, with_runtime
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import COMPILED, RUNTIMES, rewrite
from hwmodels.workload.zoo import network

CPUS = [name for name in device_names() if device(name).model.name == "cpu"]
BOARDS = [name for name in CPUS if getattr(device(name).spec, "flash_bytes") > 0]  # noqa: B009


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RK3399 (Cortex-A72 1.8GHz x 2 + Cortex-A53 1.5GHz x 4)", [("Cortex-A72", 1.8, 2), ("Cortex-A53", 1.5, 4)]),
        ("Rock (Quad Core A76 2.4GHz + Quad Core A55 1.8GHz)", [("Cortex-A76", 2.4, 4), ("Cortex-A55", 1.8, 4)]),
        ("Z7 (Cortex-A9 766MHz x 2)", [("Cortex-A9", 0.766, 2)]),
        ("AMD Ryzen 5700g (Zen3 3.8 GHz ~ 4.6 GHz x 8)", [("Zen 3", 4.6, 8)]),
        ("Board (Cortex-A78AE 2.2 GHz x 12 + Ampere@1.3 GHz Tensor Cores 64)", [("Cortex-A78", 2.2, 12)]),
        # A phone's slow cluster is called like its fast one, and may come first.
        ("Qualcomm SDM765G Snapdragon 765G (Kyro 1.8GHz x 6 + Kyro 2.2GHz x 2 + Adreno 620)",
         [("Cortex-A76", 2.2, 2), ("Cortex-A55", 1.8, 6)]),
        ("A board (Quantum-Q1 3.0GHz x 4)", []),
    ],
)  # fmt: skip
def test_a_description_gives_its_clusters(text: str, expected: list[tuple[str, float, int]]) -> None:
    found = clusters_of(text)
    assert [cluster.core for cluster in found] == [core for core, *_ in expected]
    np.testing.assert_allclose([cluster.clock_hz for cluster in found], [1e9 * clock for _, clock, _ in expected])
    assert [cluster.cores for cluster in found] == [cores for *_, cores in expected]


def test_clusters_make_a_device() -> None:
    clusters = [Cluster("Cortex-A72", 1.8e9, 2), Cluster("Cortex-A53", 1.5e9, 4)]
    spec = spec_of(clusters, threads=6)
    assert (spec.big_cores, spec.little_cores, spec.threads) == (2, 4, 6)
    assert spec.little_speed == pytest.approx(1.5 / 1.8)  # one 128-bit multiply-add a cycle each
    little = spec_of(clusters, threads=4, little_only=True)
    assert (little.big_cores, little.clock_hz, little.l1_bytes_per_cycle) == (
        4,
        1.5e9,
        CORES["Cortex-A53"].l1_bytes_per_cycle,
    )
    prime = spec_of([Cluster("Cortex-A76", 2.9e9, 1), Cluster("Cortex-A76", 2.4e9, 3)], threads=4)
    assert (prime.big_cores, prime.clock_hz, prime.all_core_clock_hz) == (4, 2.9e9, 2.4e9)


@pytest.mark.parametrize("name", CPU_RUNTIMES)
def test_a_runtime_changes_its_own_knobs_alone(name: str) -> None:
    chip = CpuSpec(threads=3, simd_bits=256, l3_bytes=12345)
    found = with_runtime(chip, name)
    changed = {key for key, value in found.model_dump().items() if value != chip.model_dump()[key]}
    assert changed <= set(CPU_RUNTIMES[name].knobs)
    assert all(getattr(found, key) == value for key, value in CPU_RUNTIMES[name].knobs.items())
    assert CPU_RUNTIMES[name].semantics in RUNTIMES


def test_an_unknown_runtime_is_told() -> None:
    with pytest.raises(SpecError, match="did you mean torch"):
        with_runtime(CpuSpec(), "torsh")


def test_the_catalogue_has_the_cpus() -> None:
    assert len(CPUS) >= 30
    assert {"iphone_x", "galaxy_s7_edge", "galaxy_s21", "pixel1", "rpi4", "jetson_agx_orin_cpu", "nucleo_l4r5zi",
            "xeon_gold_6240", "epyc_zen3_2vcpu", "i9_10940x"} <= set(CPUS)  # fmt: skip


@pytest.mark.parametrize("name", CPUS)
def test_every_cpu_is_within_sight_of_its_peak(name: str) -> None:
    """A dense network runs at 1 % to 100 % of the peak; a microcontroller's in 8 bits."""
    found = device(name)
    is_board = name in BOARDS
    bits = Precision() if is_board else Precision(32, 32, 32)
    workload = rewrite(network("resnet8" if is_board else "resnet18", precision=bits), COMPILED)
    report = evaluate(workload, family("cpu"), found.spec)
    assert report.infeasible is None
    knobs = found.spec.model_dump()
    idle_cores = knobs["big_cores"] / (knobs["threads"] or knobs["big_cores"])
    used = report.total("utilisation") * idle_cores * (1 if is_board else knobs["int8_rate"])
    assert 0.01 < used < 1
    assert 0.02 < report.total("energy_j") / report.total("latency_s") < 700  # watts


def test_better_devices_are_faster() -> None:
    workload = rewrite(network("mobilenet_v2", precision=Precision(32, 32, 32)), COMPILED)
    seconds = {
        name: evaluate(workload, family("cpu"), device(name).spec).total("latency_s")
        for name in ("rpi3", "rpi4", "rpi5", "pixel1", "iphone_12_pro", "rk3399", "rk3588")
    }
    assert seconds["rpi5"] < seconds["rpi4"]
    assert seconds["iphone_12_pro"] < seconds["pixel1"]
    assert seconds["rk3588"] < seconds["rk3399"]
