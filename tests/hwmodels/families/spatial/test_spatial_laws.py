"""Physical laws of the systolic kernel, over a bank of layers and drawn configurations.

Exempt: more rows or columns may be slower (fill and drain of every fold grow with them); with `dataflow="best"` more
bandwidth or memory may cost more traffic or energy, since the fastest dataflow changes; under `rules="compat"` a
layer may take less than macs/peak of the network's own MACs, since SCALE-Sim drops the padding.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.families.base import family
from hwmodels.families.spatial.spec import SpatialSpec
from hwmodels.workload.ops import (
    Activation,
    Constant,
    Conv2d,
    Elementwise,
    Embedding,
    Linear,
    MatMul,
    Norm,
    Operator,
    Pool2d,
    Recurrent,
    Row,
    Shape,
    Softmax,
)
from hwmodels.workload.table import Layers

MODEL = family("spatial")
M = {name: index for index, name in enumerate(MODEL.layer_metrics)}


def row(operator: Operator, *inputs: Shape) -> Row:
    return operator.row(inputs, operator.infer(*inputs))


@cache
def bank() -> list[Row]:
    """Layers of many shapes, each as an inner, a first and a last layer."""
    plain = [
        *(
            row(Conv2d.square(c_out, kernel, stride=stride), (batch, c_in, size, size))
            for c_in, c_out, size in [(3, 32, 96), (64, 64, 56), (128, 512, 14), (512, 512, 7)]
            for kernel, stride in [(1, 1), (1, 2), (3, 1), (3, 2), (5, 3)]
            for batch in (1, 4)
        ),
        *(row(Conv2d.square(c, 3, groups=c), (1, c, 28, 28)) for c in (32, 512)),
        *(row(Linear(n), (batch, k)) for n in (10, 1000) for k in (64, 4096) for batch in (1, 16)),
        row(MatMul(), (1, 12, 197, 64), (1, 12, 64, 197)),
        row(Recurrent("lstm", 256), (4, 20, 128)),
        row(Recurrent("gru", 64), (1, 7, 64)),
        row(Pool2d("max", 3, 2, 1), (1, 64, 112, 112)),
        row(Norm(), (1, 64, 56, 56)),
        row(Norm("layer"), (1, 197, 768)),
        row(Activation("gelu"), (1, 197, 768)),
        row(Elementwise(), (1, 256, 14, 14), (1, 256, 14, 14)),
        row(Softmax(), (1, 12, 197, 197)),
        row(Embedding(30000, 768), (1, 128)),
    ]
    ends = ({"input_offchip": 1}, {"output_offchip": 1})
    return plain + [each._replace(**end) for end in ends for each in plain]


def evaluate(layers: list[Row], specs: list[SpatialSpec]) -> np.ndarray:
    """(C, L, M)."""
    out = np.full((len(specs), len(layers), len(M)), np.nan)
    choice = np.zeros((len(specs), len(layers)), np.int16)
    MODEL.layerwise.cost(Layers.of(layers), SpatialSpec.to_table(specs), np.zeros(1), out, choice)
    return out


@st.composite
def specs(draw: st.DrawFn) -> SpatialSpec:
    return SpatialSpec(
        dataflow=draw(st.sampled_from(["os", "ws", "is", "best"])),
        fold_overlap=draw(st.sampled_from(["none", "load", "full"])),
        array_rows=draw(st.integers(1, 256)),
        array_cols=draw(st.integers(1, 256)),
        ifmap_sram_bytes=draw(st.integers(64, 2**22)),
        filter_sram_bytes=draw(st.integers(64, 2**22)),
        ofmap_sram_bytes=draw(st.integers(64, 2**22)),
        sram_bytes_per_cycle=draw(st.floats(1, 4096)),
        dram_bytes_per_s=draw(st.floats(1e8, 1e12)),
        clock_hz=draw(st.floats(1e7, 3e9)),
        vector_lanes=draw(st.integers(1, 256)),
        keep_activations=draw(st.booleans()),
    )


BUFFERS = ("ifmap_sram_bytes", "filter_sram_bytes", "ofmap_sram_bytes")


def not_more(after: np.ndarray, before: np.ndarray) -> bool:
    """after <= before, but for rounding."""
    return bool((after <= before * (1 + 1e-12)).all())


@settings(max_examples=60, deadline=None)
@given(
    spec=specs(),
    name=st.sampled_from([*BUFFERS, "sram_bytes_per_cycle", "dram_bytes_per_s", "clock_hz", "vector_lanes"]),
    factor=st.integers(2, 64),
)
def test_more_of_a_resource_is_never_slower(spec: SpatialSpec, name: str, factor: int) -> None:
    richer = spec.model_copy(update={name: getattr(spec, name) * factor})
    before, after = evaluate(bank(), [spec, richer])
    assert not_more(after[:, M["latency_s"]], before[:, M["latency_s"]])


@settings(max_examples=60, deadline=None)
@given(
    spec=specs(), name=st.sampled_from(BUFFERS), factor=st.integers(2, 64), dataflow=st.sampled_from(["os", "ws", "is"])
)
def test_a_larger_buffer_never_adds_traffic(spec: SpatialSpec, name: str, factor: int, dataflow: str) -> None:
    small = spec.model_copy(update={"dataflow": dataflow})
    large = small.model_copy(update={name: getattr(spec, name) * factor})
    before, after = evaluate(bank(), [small, large])
    assert not_more(after[:, M["dram_bytes"]], before[:, M["dram_bytes"]])
    assert not_more(after[:, M["sram_bytes"]], before[:, M["sram_bytes"]])


@settings(max_examples=40, deadline=None)
@given(spec=specs())
def test_hiding_more_of_a_fold_is_never_slower_and_best_is_the_fastest(spec: SpatialSpec) -> None:
    by_overlap = [spec.model_copy(update={"fold_overlap": overlap}) for overlap in ("none", "load", "full")]
    cycles = evaluate(bank(), [each.model_copy(update={"dataflow": "ws"}) for each in by_overlap])
    assert (np.diff(cycles[:, :, M["array_cycles"]], axis=0) <= 0).all()
    by_dataflow = [spec.model_copy(update={"dataflow": dataflow}) for dataflow in ("os", "ws", "is", "best")]
    latency = evaluate(bank(), by_dataflow)[:, :, M["latency_s"]]
    np.testing.assert_array_equal(latency[3], latency[:3].min(axis=0))


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_latency_is_bounded_below_by_peak_and_by_compulsory_traffic(spec: SpatialSpec) -> None:
    out = evaluate(bank(), [spec])[0]
    macs = np.array([each.macs for each in bank()])
    np.testing.assert_array_equal(out[:, M["executed_macs"]], macs)
    peak = spec.array_rows * spec.array_cols * spec.clock_hz
    latency = out[:, M["latency_s"]] * (1 + 1e-12)
    assert (latency >= macs / peak).all()
    # 8-bit layers: each stored weight and each output that leaves the chip is one byte at least once.
    outputs = np.array([each.output_elements * each.output_offchip for each in bank()])
    weights = np.array([each.weight_elements * (not each.dynamic_operand) for each in bank()])
    assert (out[:, M["dram_bytes"]] * (1 + 1e-12) >= outputs + weights).all()
    assert (latency >= (outputs + weights) / spec.dram_bytes_per_s).all()


@settings(max_examples=60, deadline=None)
@given(spec=specs())
def test_finite_non_negative_and_the_energy_terms_add_up(spec: SpatialSpec) -> None:
    out = evaluate(bank(), [spec])[0]
    assert np.isfinite(out).all()
    assert (out >= 0).all()
    total = out[:, [M[name] for name in MODEL.energy_terms]].sum(axis=1)
    np.testing.assert_allclose(out[:, M["energy_j"]], total, rtol=1e-12)
    slowest = out[:, [M[name] for name in MODEL.time_terms]].max(axis=1)
    assert (out[:, M["latency_s"]] >= slowest).all()


def test_every_layer_stands_alone() -> None:
    """The cost of a layer does not depend on its neighbours nor on the other configurations."""
    devices = [SpatialSpec(), SpatialSpec(dataflow="ws", array_rows=7)]
    together = evaluate(bank(), devices)
    reversed_ = evaluate(bank()[::-1], devices[::-1])
    np.testing.assert_array_equal(together, reversed_[::-1, ::-1])
    np.testing.assert_array_equal(together[1, 5], evaluate([bank()[5]], [devices[1]])[0, 0])


def test_no_work_costs_nothing() -> None:
    constant = row(Constant((1, 197, 768)))
    assert (evaluate([constant], [SpatialSpec(), SpatialSpec(rules="compat")]) == 0).all()


def test_a_larger_buffer_costs_more_an_access_and_more_area() -> None:
    """Without the size law the largest buffer of a sweep would be free."""
    layer = row(Conv2d.square(64, 3), (1, 64, 14, 14))
    sizes = [2**18, 2**20, 2**22]
    devices = [
        SpatialSpec(dataflow="os", ifmap_sram_bytes=size, filter_sram_bytes=size, ofmap_sram_bytes=size)
        for size in sizes
    ]
    out = evaluate([layer], devices)[:, 0]
    assert (out[:, M["dram_bytes"]] == out[0, M["dram_bytes"]]).all()
    np.testing.assert_allclose(out[1:, M["sram_j"]] / out[:-1, M["sram_j"]], 2.0)  # sqrt(4)
    area = MODEL.config_metrics(SpatialSpec.to_table(devices))["area_mm2"]
    assert (area > 0).all()
    assert (np.diff(area) > 0).all()


@pytest.mark.parametrize("name", ["array_rows", "array_cols", "vector_lanes", "max_bits", *BUFFERS])
def test_area_grows_with_every_resource(name: str) -> None:
    small = SpatialSpec(max_bits=8)
    large = small.model_copy(update={name: 2 * getattr(small, name)})
    before, after = MODEL.config_metrics(SpatialSpec.to_table([small, large]))["area_mm2"]
    assert 0 < before < after


def test_a_stride_beyond_the_kernel_reads_a_quarter_of_the_input() -> None:
    strided = row(Conv2d.square(64, 1, stride=2), (1, 64, 56, 56))._replace(input_offchip=1, output_offchip=1)
    out = evaluate([strided], [SpatialSpec(dataflow="os", ifmap_sram_bytes=2**22)])[0, 0]
    assert out[M["dram_bytes"]] == 64 * 28 * 28 + 64 * 64 + 64 * 28 * 28


def test_attention_reads_its_second_operand_as_an_activation() -> None:
    product = row(MatMul(), (1, 4, 64, 32), (1, 4, 32, 64))._replace(weight_bits=2, activation_bits=16)
    roomy = SpatialSpec(ifmap_sram_bytes=2**20, ofmap_sram_bytes=2**20, filter_sram_bytes=2**20)
    assert evaluate([product], [roomy])[0, 0, M["dram_bytes"]] == 0
    spilled = evaluate([product], [roomy.model_copy(update={"keep_activations": False})])[0, 0]
    assert spilled[M["dram_bytes"]] == 2 * (product.input_elements + product.weight_elements + product.output_elements)


def test_sequential_steps_reload_the_weights_unless_they_fit() -> None:
    layer = row(Recurrent("lstm", 256), (1, 10, 256))._replace(output_offchip=1)
    weights = layer.weight_elements
    tight = SpatialSpec(dataflow="ws", filter_sram_bytes=weights, ifmap_sram_bytes=2**20, ofmap_sram_bytes=2**20)
    roomy = tight.model_copy(update={"filter_sram_bytes": 2 * weights})
    out = evaluate([layer], [tight, roomy])[:, 0]
    np.testing.assert_array_equal(out[:, M["dram_bytes"]] - layer.output_elements, [10 * weights, weights])
    assert out[0, M["array_cycles"]] == 10 * (512 // 32) * (1024 // 32) * (2 * 32 + 32 + 1 - 2)


def test_an_unrolled_tile_larger_than_the_input_itself_is_read_once() -> None:
    """32 windows of 576 overlap and unroll to 18 kB, the whole input is 12 kB: half of 32 KiB holds it."""
    layer = row(Conv2d.square(64, 3), (1, 64, 14, 14))
    spec = SpatialSpec(
        dataflow="is",
        ifmap_sram_bytes=2**15,
        filter_sram_bytes=2**20,
        ofmap_sram_bytes=2**13,  # sums of 32 of the 64 streamed filters: two blocks
        keep_activations=False,
    )
    expected = layer.input_elements + layer.weight_elements + layer.output_elements
    assert evaluate([layer], [spec])[0, 0, M["dram_bytes"]] == expected
