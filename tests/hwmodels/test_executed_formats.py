"""What families declare about formats, against what their kernels charge."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.catalog import device, device_names
from hwmodels.compose import tensor_of
from hwmodels.evaluate import evaluate
from hwmodels.executed_formats import as_stored, executed_formats
from hwmodels.families.base import NETWORK_METRICS, family
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.families.spatial.spec import SpatialSpec
from hwmodels.workload.formats import FLOATS, format_named, format_of, integer, precision_named
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import MatMul
from hwmodels.workload.precision import with_precision
from hwmodels.workload.table import Layers
from hwmodels.workload.zoo import network


def linear(name: str) -> Workload:
    net = Builder("linear", (4, 64), precision=precision_named(name, where="test"))
    return net.finish(net.linear(net.input, 32))


@pytest.mark.parametrize(
    ("name", "spec", "told"),
    [
        ("fp32", CpuSpec(), []),
        ("int8", CpuSpec(), []),
        ("int4", CpuSpec(), [("int4", "int8", "widened")]),
        ("fp8", CpuSpec(), [("fp8", "fp32", "widened")]),
        ("fp16", CpuSpec(half_rate=2), []),
        ("bf16", CpuSpec(half_rate=2), [("bf16", "fp32", "widened")]),
        ("w4a16", CpuSpec(half_rate=2), [("int4:fp16", "fp16", "widened")]),
        ("w4a16", CpuSpec(), [("int4:fp16", "fp32", "widened")]),
        ("tf32", CpuSpec(), [("tf32", "fp32", "widened")]),
        ("int32", CpuSpec(), [("int32", "fp32", "rounded")]),
        ("fp16", SpatialSpec(), [("fp16", "int16", "rounded")]),
        ("int4", SpatialSpec(), [("int4", "int8", "widened")]),
        ("int32", SpatialSpec(), [("int32", "int16", "rounded")]),
        ("w4a16", SpatialSpec(min_bits=4), [("int4:fp16", "int4:int16", "rounded")]),
        ("int16", device("isaac_8bit").spec, [("int16", "int8", "rounded")]),
        ("int3", device("isaac").spec, []),
    ],
)
def test_formats_are_widened_or_rounded_as_the_family_declares(name, spec, told) -> None:
    assert [tuple(item) for item in executed_formats(linear(name), spec)] == told


def test_a_computed_operand_has_the_format_of_activations() -> None:
    net = Builder("product", (1, 4, 8), precision=precision_named("w4a16", where="test"))
    product = net.finish(net.add(MatMul(), net.input, net.source((1, 8, 4), name="other")))
    (item,) = executed_formats(product, SpatialSpec())
    assert item.asked == "fp16"


def test_each_mixture_is_told_once() -> None:
    net = Builder("many", (1, 16), precision=precision_named("fp16", where="test"))
    x = net.input
    for _ in range(3):
        x = net.linear(x, 16)
    assert len(executed_formats(net.finish(x), SpatialSpec())) == 1


@pytest.mark.parametrize("name", ["fp4", "fp8", "int8", "fp16", "bf16", "int16", "w4a16", "fp32", "tf32"])
def test_integer_arrays_cost_a_float_as_the_integer_that_they_declare(name: str) -> None:
    for spec in (SpatialSpec(), SpatialSpec(min_bits=4, max_bits=8), device("isaac").spec, device("isaac_8bit").spec):
        weight, activation = spec.computed(*_formats(name))
        model = family("spatial" if isinstance(spec, SpatialSpec) else "crossbar")
        asked, made = linear(name), linear(f"{weight.name}:{activation.name}")
        costs = []
        for workload in (asked, made):
            layers = Layers.of([row for _, row in workload.rows()])
            assert model.layerwise is not None
            costs.append(tensor_of(model.layerwise, layers, model.spec.to_table([spec]))[0])
        np.testing.assert_array_equal(*costs)


def _formats(name: str):
    asked = precision_named(name, where="test")
    workload = with_precision(linear("int8"), asked)
    row = next(row for _, row in workload.rows() if row.macs)
    return format_of(row.weight_bits, row.weight_format), format_of(row.activation_bits, row.activation_format)


def test_every_device_of_the_catalogue_computes_what_it_makes_of_a_format() -> None:
    """Computing is idempotent: what comes out is a format that the device runs."""
    for name in device_names():
        spec = device(name).spec
        for asked in (*FLOATS.values(), *(integer(bits) for bits in (2, 4, 8, 16, 32))):
            made = spec.computed(asked, asked)
            assert spec.computed(*made) == made, (name, asked.name)
    assert format_named("fp8_e4m3", where="test") == FLOATS["fp8"]


@pytest.mark.parametrize(
    "name", ["systolic_edge", "scalesim_default", "rpi5", "isaac", "rram_edge", "dimc_isscc_2022_15_5"]
)
@pytest.mark.parametrize("asked", ["int3", "int8", "int16", "fp32", "fp16", "w4a16", "fp8"])
def test_bytes_are_those_that_run_and_costs_are_the_same(name: str, asked: str) -> None:
    chosen = device(name)
    work = network("resnet8", precision=precision_named(asked, where="precision"))
    before, after = (evaluate(item, chosen.model, chosen.spec).totals for item in (work, as_stored(work, chosen.spec)))
    of_network = {metric.name for metric in NETWORK_METRICS}
    for metric in before.keys() - of_network - {"memory_bytes_used"}:
        assert after[metric] == pytest.approx(before[metric], rel=1e-12), metric
    assert after["parameters"] == before["parameters"]


@pytest.mark.parametrize(
    ("name", "asked", "bytes_each"),
    [
        ("systolic_edge", "fp32", 1),  # an 8-bit array keeps what it computes
        ("systolic_edge", "int3", 1),
        ("scalesim_default", "int32", 2),
        ("rpi5", "fp32", 4),
        ("rpi5", "int4", 0.5),  # widened on the way to the vector unit
        ("isaac", "fp32", 2),
    ],
)
def test_weights_lie_in_memory_as_the_device_keeps_them(name: str, asked: str, bytes_each: float) -> None:
    chosen = device(name)
    kept = as_stored(network("resnet8", precision=precision_named(asked, where="precision")), chosen.spec)
    totals = evaluate(kept, chosen.model, chosen.spec).totals
    assert totals["weight_bytes"] == bytes_each * totals["parameters"]
