"""Catalogue GPUs against their data sheets, and networks on them against published orders of magnitude."""

from __future__ import annotations

import pytest

from hwmodels import estimate
from hwmodels.catalog import device, devices_of
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.workload.formats import FLOATS, integer

# NVIDIA's data sheets: dense TFLOP/s (TOP/s) of the format; H100's tensor figures hold at 1830 MHz, not at its boost.
PEAKS = (
    ("a100_80_sxm", "tensor_bf16", 312.0, 1.0), ("a100_80_sxm", "tensor_tf32", 156.0, 1.0),
    ("a100_80_sxm", "fp32", 19.5, 1.0), ("a100_80_sxm", "tensor_int8", 624.0, 1.0), ("a100_80_sxm", "fp64", 9.7, 1.0),
    ("h100_sxm", "tensor_bf16", 989.4, 1.83 / 1.98), ("h100_sxm", "tensor_fp8", 1978.9, 1.83 / 1.98),
    ("h100_sxm", "fp32", 66.9, 1.0), ("l40s", "tensor_bf16", 362.0, 1.0), ("l40s", "tensor_fp8", 733.0, 1.0),
    ("l40s", "fp32", 91.6, 1.0), ("v100_pcie", "tensor_fp16", 112.0, 1.0), ("v100_pcie", "fp32", 14.0, 1.0),
    ("t4", "tensor_fp16", 65.0, 1.0), ("t4", "fp32", 8.1, 1.0), ("t4", "tensor_int8", 130.0, 1.0),
    ("p4", "fp32", 5.5, 1.0), ("p4", "int8", 22.0, 1.0),
)  # fmt: skip


def gpu(name: str) -> GpuSpec:
    spec = device(name).spec
    assert isinstance(spec, GpuSpec)
    return spec


@pytest.mark.parametrize(("name", "units", "tera", "clock_share"), PEAKS)
def test_rates_are_those_of_the_data_sheet(name: str, units: str, tera: float, clock_share: float) -> None:
    spec = gpu(name)
    rate = 2 * getattr(spec, f"{units}_macs_per_cycle") * spec.sms * spec.clock_hz * clock_share
    assert rate / 1e12 == pytest.approx(tera, rel=0.015)


@pytest.mark.parametrize(
    ("name", "asked", "computed"),
    [
        ("a100_80_sxm", "bf16", "bf16"), ("a100_80_sxm", "fp8", "fp16"), ("a100_80_sxm", "fp32", "fp32"),
        ("h100_sxm", "fp8", "fp8"), ("v100_pcie", "bf16", "fp32"), ("v100_pcie", "fp16", "fp16"),
        ("t4", "fp16", "fp16"), ("p4", "fp16", "fp32"), ("p4", "fp8", "fp32"), ("l40s", "fp4", "fp8"),
    ],
)  # fmt: skip
def test_formats_run_on_the_units_that_a_chip_has(name: str, asked: str, computed: str) -> None:
    assert gpu(name).computed(FLOATS[asked], FLOATS[asked])[0].name == computed


def test_narrow_integers_run_in_8_bits_and_beside_floats_in_the_format_of_the_floats() -> None:
    assert gpu("p4").computed(integer(8), integer(4))[0].name == "int8"
    assert gpu("a100_80_sxm").computed(integer(4), FLOATS["fp16"])[0].name == "fp16"


def test_every_device_names_a_source_for_what_it_sets() -> None:
    for found in devices_of("gpu"):
        assert all(len(source) > 10 for source in found.sources.values()), found.name


def test_resnet50_inference_is_near_what_nvidia_publishes() -> None:
    """NVIDIA's DeepLearningExamples, mixed precision, batch 256: V100 3,382 and T4 1,198 images a second.

    Published with another runtime than the catalogue's; a factor of two is what this holds.
    """
    for name, rate in (("v100_pcie", 3382.0), ("t4", 1198.0)):
        found = estimate("resnet50", name, batch=256, number_format="fp16")
        assert 0.5 < found.total("throughput_items_per_s") / rate < 2.0


def test_narrower_formats_are_faster_where_there_are_units() -> None:
    for name in ("a100_80_sxm", "h100_sxm", "t4"):
        wide, narrow = (estimate("vgg16", name, batch=32, number_format=f).total("latency_s") for f in ("fp32", "fp16"))
        assert narrow < wide / 1.5
