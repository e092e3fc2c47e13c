"""The overlay against a plain twin, the published law of its blocks, and where layers run."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.catalog import device, devices_of
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.fpga import kernel_overlay
from hwmodels.families.fpga.overlay import core_dsps, overlay_resources
from hwmodels.families.fpga.overlay_spec import OverlaySpec
from hwmodels.workload.ops import (
    Activation,
    Conv2d,
    Elementwise,
    Kind,
    Linear,
    MatMul,
    Norm,
    Operator,
    Pool2d,
    Row,
    Shape,
)
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import Layers
from hwmodels.workload.zoo import network

MODEL = family("fpga_overlay")
M = {name: index for index, name in enumerate(MODEL.layer_metrics)}


# [PG338 v1.2, table 9] PP, ICP, OCP: LUTs, flip-flops and BRAM36 with accumulation in blocks; blocks with and without.
PUBLISHED = {
    (4, 8, 8): (20177, 31782, 69.5, 98, 66),
    (4, 10, 10): (20617, 35065, 87, 142, 102),
    (8, 8, 8): (27377, 46241, 101.5, 194, 130),
    (4, 12, 12): (28698, 46906, 117.5, 194, 146),
    (8, 10, 10): (30877, 56267, 123, 282, 202),
    (8, 12, 12): (34379, 67481, 161.5, 386, 290),
    (8, 14, 14): (38555, 79867, 203.5, 506, 394),
    (8, 16, 16): (40865, 92630, 249.5, 642, 514),
}


def row(operator: Operator, *inputs: Shape) -> Row:
    return operator.row(inputs, operator.infer(*inputs))


def costs(layer: Row, spec: OverlaySpec) -> tuple[str, dict[str, float]]:
    out, choice = np.zeros((1, 1, len(M))), np.zeros((1, 1), np.int16)
    assert MODEL.layerwise is not None
    MODEL.layerwise.cost(Layers.of([layer]), OverlaySpec.to_table([spec]), np.zeros(1), out, choice)
    return kernel_overlay.CHOICES[choice[0, 0]], {name: float(out[0, 0, place]) for name, place in M.items()}


SPECS = st.builds(
    OverlaySpec, pixel_parallel=st.integers(1, 8), input_parallel=st.integers(1, 16),
    output_parallel=st.integers(1, 16), depthwise_pixels=st.integers(1, 8), channel_augmentation=st.booleans(),
    cores=st.integers(1, 3), core_bytes_per_s=st.sampled_from([1e8, 1e10]),
    feature_share=st.sampled_from([0.0, 0.7, 1.0]),
)  # fmt: skip


def cycles_of_convolution(layer: Row, spec: OverlaySpec) -> int:
    """Step by step: which multiplications share a cycle."""
    total = 0
    inputs = layer.in_channels // layer.groups
    taps = layer.kernel_w
    if spec.channel_augmentation and inputs < spec.input_parallel:
        taps = ceil(layer.kernel_w / min(spec.input_parallel // inputs, layer.kernel_w))
    for _ in range(layer.batch * layer.groups * layer.out_h):
        for _ in range(0, layer.out_w, spec.pixel_parallel):
            for _ in range(0, inputs, spec.input_parallel):
                for _ in range(0, layer.out_channels // layer.groups, spec.output_parallel):
                    total += layer.kernel_h * taps
    return total


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 2), st.integers(1, 20), st.integers(1, 20), st.integers(1, 9), st.integers(1, 5), st.integers(1, 2),
    SPECS,
)  # fmt: skip
def test_a_convolution_takes_the_cycles_of_its_steps(
    batch: int, n: int, m: int, size: int, side: int, stride: int, spec: OverlaySpec
) -> None:
    layer = row(Conv2d.square(m, side, stride=stride), (batch, n, size + side, size + side))
    place, found = costs(layer, spec)
    assert place == "dense"
    assert found["compute_cycles"] == cycles_of_convolution(layer, spec)
    moved = layer.weight_elements * batch + spec.feature_share * (layer.input_elements + layer.output_elements)
    assert found["dram_bytes"] == pytest.approx(moved)
    reached = min(spec.core_bytes_per_s, spec.dram_share * spec.dram_bytes_per_s)
    clock = min(spec.clock_hz, spec.fabric_clock_hz)
    assert found["latency_s"] == pytest.approx(max(found["compute_cycles"] / clock, moved / reached) + spec.layer_s)
    assert found["shared_s"] >= found["latency_s"]


@pytest.mark.parametrize(
    ("operator", "inputs", "place"),
    [
        (Conv2d.square(8, 3, groups=8), ((1, 8, 9, 9),), "depthwise"),
        (Conv2d(24, (7, 7), (2, 2), (3, 3), groups=3), ((1, 3, 32, 32),), "host"),
        (Conv2d.square(8, 3, groups=2), ((1, 8, 9, 9),), "dense"),
        (Linear(10), ((1, 64),), "dense"),
        (Pool2d("max", 2), ((1, 8, 8, 8),), "other"),
        (Elementwise(), ((1, 8, 8, 8), (1, 8, 8, 8)), "other"),
        (Elementwise("mul"), ((1, 8, 8, 8), (1, 8, 1, 1)), "host"),
        (Norm("batch"), ((1, 8, 8, 8),), "other"),
        (Norm("layer"), ((1, 8, 64),), "host"),
        (MatMul(), ((1, 4, 8, 8), (1, 4, 8, 8)), "host"),
        (Activation("relu"), ((1, 8, 8, 8),), "free"),
    ],
)
def test_where_layers_run(operator: Operator, inputs: tuple[Shape, ...], place: str) -> None:
    assert costs(row(operator, *inputs), OverlaySpec())[0] == place


def test_the_law_of_blocks_holds_for_all_published_counts() -> None:
    """[PG338 v1.2, table 9] blocks with and without accumulation."""
    for size, (_, _, _, high, low) in PUBLISHED.items():
        assert (core_dsps(*size, accumulate=True), core_dsps(*size, accumulate=False)) == (high, low)


def one_core(size: tuple[int, int, int], **knobs: object) -> dict[str, float]:
    pixels, inputs, outputs = size
    values = {"pixel_parallel": pixels, "input_parallel": inputs, "output_parallel": outputs, "cores": 1,
              "shell_luts": 1, "shell_bram18s": 1, "depthwise_pixels": 0, **knobs}  # fmt: skip
    use = overlay_resources(OverlaySpec.to_table([OverlaySpec.parse(values, where="test")]))
    return {name: float(column[0]) for name, column in use._asdict().items()}


def test_the_lines_of_five_sizes_hold_for_the_three_that_they_have_not_seen() -> None:
    """Within 20 %: B800 is the worst, 18 % too many LUTs."""
    for size in ((4, 10, 10), (4, 12, 12), (8, 12, 12)):
        luts, ffs, bram36, _, _ = PUBLISHED[size]
        found = one_core(size)
        assert found["luts"] == pytest.approx(luts, rel=0.2)
        assert found["ffs"] == pytest.approx(ffs, rel=0.2)
        assert found["bram18s"] / 2 == pytest.approx(bram36, rel=0.2)


def test_the_unit_for_depthwise_layers_takes_what_is_published() -> None:
    """[PG338 v4.1, DepthwiseConv ALU] a B4096 with 1, 2, 4 and 8 pixels at once: LUTs, flip-flops and blocks."""
    for pixels, luts, ffs, dsps in ((1, 44212, 88250, 662), (2, 46599, 92380, 678), (4, 51388, 98525, 710),
                                    (8, 60751, 111329, 774)):  # fmt: skip
        found = one_core((8, 16, 16), depthwise_pixels=pixels)
        assert found["dsps"] == dsps
        assert found["luts"] == pytest.approx(luts, rel=0.01)
        assert found["ffs"] == pytest.approx(ffs, rel=0.1)
        assert found["bram18s"] / 2 == pytest.approx(255, rel=0.05)
    host = costs(row(Conv2d.square(8, 3, groups=8), (1, 8, 9, 9)), OverlaySpec(depthwise_pixels=0))
    assert host[0] == "host"


def test_a_first_layer_fills_its_lanes_only_with_augmentation() -> None:
    first = row(Conv2d.square(64, 7, stride=2), (1, 3, 224, 224))
    plain, folded = (costs(first, OverlaySpec(channel_augmentation=on))[1]["compute_cycles"] for on in (False, True))
    assert plain / folded == 7 / 2  # 16 lanes hold five taps of three channels


def test_networks_with_gates_pay_the_host_and_cores_share_the_memory() -> None:
    spec = device("zcu102_dpu").spec
    b0, lite = (
        evaluate(rewrite(network(name), COMPILED), MODEL, spec) for name in ("efficientnet_b0", "efficientnet_lite0")
    )
    assert b0.total("host_s") > 16 * 200e-6
    assert lite.total("host_s") == 0
    vgg = evaluate(rewrite(network("vgg16"), COMPILED), MODEL, spec)
    assert vgg.total("latency_s") / 3 < vgg.total("interval_s") < vgg.total("latency_s")


def test_overlays_that_ship_fit_their_boards() -> None:
    for found in devices_of("fpga_overlay"):
        report = evaluate(rewrite(network("resnet50"), COMPILED), MODEL, found.spec)
        assert report.infeasible is None, found.name
        board = device(found.name.removesuffix("_dpu")).spec.values()
        own = found.spec.values()
        shared = (
            "luts",
            "ffs",
            "dsps",
            "dsp_type",
            "bram18s",
            "urams",
            "dram_bytes_per_s",
            "fabric_clock_hz",
            "idle_w",
        )
        assert all(own[name] == board[name] for name in shared), found.name


def test_codes_are_those_of_kinds() -> None:
    names = ("LINEAR", "ACTIVATION", "ELEMENTWISE", "RESAMPLE", "COPY", "CONV_TRANSPOSE")
    assert {name: getattr(kernel_overlay, f"_{name}") for name in names} == {name: Kind[name] for name in names}
