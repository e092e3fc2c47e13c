"""What designs take of boards: blocks by width and kind, memories by aspect ratio, closing clock, what binds."""

from __future__ import annotations

from itertools import product
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.catalog import devices_of
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.fpga.arithmetic import dsps_of_array, lanes_per_dsp
from hwmodels.families.fpga.board import DSP_TYPES, BoardSpec
from hwmodels.families.fpga.engine import engine_table, resources
from hwmodels.families.fpga.memory import bram18s_of, lutram_luts, urams_of
from hwmodels.families.fpga.resources import resource_columns
from hwmodels.families.fpga.spec import FpgaSpec
from hwmodels.workload.zoo import network

MODEL = family("fpga")


def blocks(outputs: int, inputs: int, kind: str, weight: int, activation: int, *, floats: int = 0) -> int:
    columns = (np.array([x]) for x in (outputs, inputs, DSP_TYPES.index(kind), weight, activation, floats))
    m, n, dsp_type, w, a, is_float = columns
    found = dsps_of_array(m, n, dsp_type=dsp_type, weight_bits=w, activation_bits=a, is_float=is_float)
    return int(found[0])


@pytest.mark.parametrize(
    ("kind", "weight", "activation", "floats", "expected"),
    [
        ("dsp48e1", 32, 32, 1, 5 * 448),  # [Zhang'15] 2,240 blocks
        ("dsp48e1", 16, 16, 0, 448),
        ("dsp48e1", 8, 8, 0, 448),  # 25 bits do not hold two 8-bit products
        ("dsp48e2", 8, 8, 0, 224),  # AMD WP486
        ("dsp48e2", 4, 4, 0, 112),  # FINN: ceil(64/4) x 7
        ("dsp58", 8, 8, 0, 64 * 3),  # FINN: 64 x ceil(7/3)
        ("dsp58", 32, 32, 1, 448),
        ("dsp48e2", 24, 16, 0, 448),
        ("dsp48e2", 28, 20, 0, 4 * 448),  # ceil(28/27) ceil(20/18)
        ("intel_float", 16, 16, 0, 224),
        ("intel_float", 32, 32, 1, 448),
    ],
)
def test_blocks_of_an_array(kind: str, weight: int, activation: int, floats: int, expected: int) -> None:
    assert blocks(64, 7, kind, weight, activation, floats=floats) == expected


@given(st.sampled_from(DSP_TYPES), st.integers(1, 32), st.integers(1, 31), st.integers(0, 1))
def test_wider_operands_never_pack_more(kind: str, weight: int, activation: int, floats: int) -> None:
    code = np.array([DSP_TYPES.index(kind)])
    narrow, wide = (
        lanes_per_dsp(code, np.array([weight]), np.array([a]), np.array([floats]))[0]
        for a in (activation, activation + 1)
    )
    assert 1 <= wide <= narrow <= 4
    assert blocks(12, 5, kind, weight, activation + 1, floats=0) >= blocks(12, 5, kind, weight, activation)


@given(st.integers(1, 200), st.integers(1, 40000))
def test_memories_hold_their_bits_under_the_best_aspect_ratio(width: int, depth: int) -> None:
    aspects = {1: 16384, 2: 8192, 4: 4096, 9: 2048, 18: 1024, 36: 512}
    found = int(bram18s_of(width, depth))
    assert found == min(ceil(width / w) * ceil(depth / d) for w, d in aspects.items())
    assert found * 18432 >= width * depth
    assert int(urams_of(width, depth)) * 72 * 4096 >= width * depth
    if depth <= 64:
        assert int(lutram_luts(width, depth)) * 64 >= width * depth


def test_wide_shallow_memories_use_few_of_their_bits() -> None:
    """FINN's first CNV layers fill 5 to 7 % of their blocks."""
    assert 36 * 40 / (int(bram18s_of(36, 40)) * 18432) < 0.08


@settings(deadline=None, max_examples=80)
@given(
    st.integers(1, 256), st.integers(1, 64), st.integers(1, 32), st.integers(0, 64), st.sampled_from([2, 4, 8, 16]),
    st.sampled_from([0, 2**16, 2**22]), st.sampled_from([0, 96]),
)  # fmt: skip
def test_nothing_that_is_used_is_zero_and_more_never_takes_less(
    tm: int, tn: int, rows: int, lanes: int, bits: int, kept: int, urams: int
) -> None:
    spec = FpgaSpec(
        tile_m=tm, tile_n=tn, tile_rows=rows, depthwise_lanes=lanes, weight_bits=bits, activation_bits=bits,
        feature_buffer_bytes=kept, urams=urams,
    )  # fmt: skip
    use = resources(FpgaSpec.to_table([spec]))
    assert min(use.dsps[0], use.luts[0], use.ffs[0], use.bram18s[0]) > 0
    assert (use.urams[0] > 0) == (kept > 0 and urams > 0)
    for knob in ("tile_m", "tile_n", "tile_rows", "depthwise_lanes", "weight_bits", "feature_buffer_bytes"):
        more = resources(FpgaSpec.to_table([spec.changed({knob: getattr(spec, knob) + 1})]))
        for name in ("dsps", "luts", "bram18s", "urams"):
            # A buffer that grows past 64 words moves from LUTs to blocks.
            assert getattr(more, name)[0] >= getattr(use, name)[0] or name == "luts", (knob, name)


def test_a_full_board_closes_at_a_lower_clock_and_says_what_binds() -> None:
    small, large = FpgaSpec(), FpgaSpec(tile_m=256, tile_n=64)
    table = FpgaSpec.to_table([small, large, FpgaSpec(multipliers="lut"), FpgaSpec(clock_hz=9e8)])
    columns = resource_columns(resources(table), table)
    assert columns["binding_share"][1] > 1 > columns["binding_share"][0]
    assert columns["closing_clock_hz"].tolist()[0] == small.clock_hz
    assert columns["closing_clock_hz"][3] == small.fabric_clock_hz
    assert columns["closing_clock_hz"][1] < small.clock_hz
    assert columns["dsps_used"][2] == 0 < columns["luts_used"][2]
    report = evaluate(network("alexnet"), MODEL, large)
    assert report.infeasible is not None
    assert report.infeasible == "more BRAMs than the board closes timing with; see bram18s_used"
    assert report.total("dsps_used") == 256 * 64


def test_energies_scale_with_the_node() -> None:
    table = FpgaSpec.to_table([FpgaSpec(node_nm=28), FpgaSpec(node_nm=14)])
    engines = engine_table(table)
    assert engines.mac_j[0] / engines.mac_j[1] == pytest.approx(2**1.25)
    assert engines.cycle_j[0] / engines.cycle_j[1] == pytest.approx(2**1.25)


def test_boards_run_their_default_engine_with_plausible_figures() -> None:
    boards = devices_of("fpga")
    assert len(boards) == 24
    for board in boards:
        assert isinstance(board.spec, BoardSpec)
        report = evaluate(network("resnet18"), MODEL, board.spec)
        assert report.infeasible is None, board.name
        assert not board.spec.implausible(), board.name
        power_w = report.total("energy_j") / report.total("latency_s")
        assert board.spec.idle_w < power_w < 4 * board.spec.idle_w, board.name
        assert board.spec.clock_hz <= board.spec.fabric_clock_hz, board.name


def test_bits_and_kinds_are_all_priced() -> None:
    for kind, weight, activation in product(DSP_TYPES, (1, 4, 8, 16, 32), (1, 4, 8, 16, 32)):
        assert blocks(8, 8, kind, weight, activation) > 0
