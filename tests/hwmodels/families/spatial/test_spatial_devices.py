"""The catalogue devices of this family, and the declarations that the rest of the framework reads."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.families.base import family
from hwmodels.families.spatial.kernel import Cost
from hwmodels.families.spatial.spec import SpatialSpec
from hwmodels.workload.ops import Conv2d
from hwmodels.workload.table import Layers

MODEL = family("spatial")
DEVICES = ("eyeriss_like", "gemmini_like", "scalesim_default", "systolic_edge", "tpu_v1")


def costs(spec: SpatialSpec, *, channels: int, size: int) -> dict[str, float]:
    operator, shape = Conv2d.square(channels, 3), (1, channels, size, size)
    layers = Layers.of([operator.row((shape,), operator.infer(shape))])
    out, choice = np.empty((1, 1, len(MODEL.layer_metrics))), np.empty((1, 1), np.int16)
    MODEL.layerwise.cost(layers, SpatialSpec.to_table([spec]), np.zeros(1), out, choice)
    return dict(zip(MODEL.layer_metrics, out[0, 0].tolist(), strict=True))


@pytest.mark.parametrize("name", DEVICES)
def test_device_loads_and_costs_a_layer(name: str) -> None:
    found = device(name)
    assert found.model is MODEL
    assert found.name == name
    assert all(found.sources.values())
    table = SpatialSpec.to_table([found.spec])
    assert MODEL.infeasible.function({}, table._asdict())[0] == 0
    metrics = costs(found.spec, channels=64, size=28)
    assert metrics["energy_j"] == pytest.approx(sum(metrics[term] for term in MODEL.energy_terms))
    macs, moved = 64 * 64 * 9 * 28 * 28, 64 * 64 * 9 + 2 * 64 * 28 * 28
    floors = macs / (found.spec.array_rows * found.spec.array_cols * found.spec.clock_hz), 0.0
    if not found.spec.keep_activations:
        floors = floors[0], moved / found.spec.dram_bytes_per_s
    # `compat` counts the pixels of a convolution without padding, as SCALE-Sim does.
    published = 26 * 26 / (28 * 28) if found.spec.rules == "compat" else 1.0
    assert metrics["latency_s"] >= max(floors) * published


def test_tpu_v1_peak_is_the_published_92_tops() -> None:
    """[TPUv1, table 2] 92 TOPS of 8-bit operations, two a MAC."""
    spec = device("tpu_v1").spec
    assert 2 * spec.array_rows * spec.array_cols * spec.clock_hz == pytest.approx(92e12, rel=0.005)


def test_metrics_follow_the_kernel_and_every_assumed_knob_has_a_range() -> None:
    assert MODEL.layer_metrics == Cost._fields
    assert {*MODEL.time_terms, *MODEL.energy_terms, "latency_s", "energy_j"} <= set(MODEL.layer_metrics)
    assert MODEL.metric("area_mm2").reduction == "config"
    for knob in SpatialSpec.knobs().values():
        assert knob.meaning
        assert knob.source
        if knob.source.startswith("ASSUMED"):
            assert knob.plausible[0] <= knob.default <= knob.plausible[1]


def test_partial_sums_beyond_the_buffer_split_the_stream_into_blocks() -> None:
    """128 x 9 inputs in 36 folds of 32; 784 pixels x 32 columns x 4 bytes against half of 64 KiB: four blocks."""
    metrics = costs(SpatialSpec(dataflow="ws"), channels=128, size=28)
    folds, blocks = 36 * 4, 4
    assert metrics["array_cycles"] == folds * (blocks * (2 * 32 + 32 - 2) + 784)


def test_a_misspelt_knob_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="array_rows"):
        SpatialSpec.parse({"array_row": 3}, where="a.yaml")
