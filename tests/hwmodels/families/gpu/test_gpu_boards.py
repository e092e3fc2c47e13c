"""GeForce, Jetson, AMD and phone GPUs of the catalogue against their makers' figures."""

from __future__ import annotations

import pytest

from hwmodels.catalog import device, devices_of
from hwmodels.families.gpu.spec import GpuSpec

# Dense TFLOP/s (TOP/s) at boost. Sources: NVIDIA's architecture papers of Pascal, Turing, Ampere, Ada and Blackwell
# (GeForce tensor units: half rate where they sum in float32), Jetson module data sheets, AMD's Instinct data sheets.
PEAKS = (
    ("gtx_1080_ti", "fp32", 11.34), ("titan_x_pascal", "fp32", 10.97), ("titan_xp", "fp32", 12.15),
    ("v100_sxm2", "fp32", 15.7), ("v100_sxm2", "tensor_fp16", 125.0), ("p100_pcie", "fp16", 19.05),
    ("rtx_2080_ti", "fp32", 13.45), ("rtx_2080_ti", "tensor_fp16", 53.8), ("rtx_2080_ti", "tensor_int8", 215.2),
    ("titan_rtx", "tensor_fp16", 130.5), ("rtx_3090", "fp32", 35.6), ("rtx_3090", "tensor_fp16", 71.0),
    ("rtx_4090", "fp32", 82.6), ("rtx_4090", "tensor_fp16", 165.2), ("rtx_4090", "tensor_int8", 660.6),
    ("rtx_5090", "fp32", 104.8), ("rtx_5090", "tensor_fp16", 209.5), ("rtx_pro_6000", "fp32", 126.0),
    ("a40", "tensor_bf16", 149.7), ("l4", "tensor_fp16", 121.0), ("mi210", "tensor_fp16", 181.0),
    ("mi300x", "tensor_fp16", 1307.4), ("mi300x", "fp32", 163.4), ("jetson_nano", "fp16", 0.472),
    ("jetson_tx2", "fp16", 1.33), ("jetson_xavier_nx", "fp32", 0.845), ("jetson_agx_orin_64", "fp32", 5.325),
    ("jetson_agx_orin_64", "tensor_int8", 85.2), ("adreno_640", "fp32", 0.899), ("apple_a12_gpu", "fp32", 0.576),
)  # fmt: skip


def gpu(name: str) -> GpuSpec:
    spec = device(name).spec
    assert isinstance(spec, GpuSpec)
    return spec


@pytest.mark.parametrize(("name", "units", "tera"), PEAKS)
def test_rates_are_those_of_the_makers(name: str, units: str, tera: float) -> None:
    spec = gpu(name)
    assert 2e-12 * getattr(spec, f"{units}_macs_per_cycle") * spec.sms * spec.clock_hz == pytest.approx(tera, rel=0.01)


def test_a_power_mode_is_the_same_chip_slower() -> None:
    names = [found.name for found in devices_of("gpu") if found.name.startswith("jetson_")]
    whole = {name: [other for other in names if other.startswith(f"{name}_")] for name in names}
    modes = [(name, other) for name, others in whole.items() for other in others]
    assert len(modes) >= 8
    for name, other in modes:
        full, less = gpu(name), gpu(other)
        assert less.sms * less.clock_hz < full.sms * full.clock_hz or less.tdp_w == full.tdp_w, other
        assert less.dram_bytes_per_s <= full.dram_bytes_per_s
        assert less.tdp_w <= full.tdp_w
        assert less.fp32_macs_per_cycle == full.fp32_macs_per_cycle
