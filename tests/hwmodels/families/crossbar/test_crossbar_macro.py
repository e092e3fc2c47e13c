"""A macro from its published row: the law by hand, what it must obey, and what a bad row says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.crossbar.macro import macro, macro_from, macro_spec, read_time_s
from hwmodels.families.crossbar.macro_constants import (
    AREA,
    CONSTANTS,
    ENERGY,
    ENERGY_SPREAD,
    KINDS,
    PROCESSOR_OVERHEAD,
    READ_TIME,
)
from hwmodels.families.crossbar.macro_cost import macro_areas_mm2, macro_cost, operation_j
from hwmodels.families.crossbar.model import MODEL
from hwmodels.workload.zoo import network

ROW: dict[str, Any] = {
    "Tech (nm)": 28, "Architecture": "SRAM", "Cell Type": "8T", "Core Size(Kb)": 64, "Supply V(V)": 1.0,
    "Compute Model": "QS", "N": 64, "N_ADC": 32, "R": 256, "R_C": 64, "B_x": 4, "B_w": 4, "B_ADC": 6, "alpha": 1,
    "T_core(ns)": 10,
}  # fmt: skip


def of_row(**columns: Any) -> float:
    of = macro({**ROW, **columns})
    return float(operation_j([of], [macro_spec(of, CONSTANTS)])[0])


def by_hand(model: str, *, resistive: bool = False) -> float:
    """One conversion of N B_w cells at 28 nm and 1 V over its 2 N B_x B_w operations; a quarter are ones."""
    cells, share = 64 * 4, 0.25
    if model == "DIMC":
        # A tree of 7-bit products, the adders of 4 x 4 multipliers, a NAND2 a product, half of a running sum of
        # 7 + 6 + 4 bits where more than one read ends it: none here.
        adders = 64 * 8 - (7 + 6 + 1) + 64 * 4 * 3
        return ENERGY.gate_overhead * 0.7e-15 * share * (6 * adders + 64 * 4) / (2 * 64 * 16)
    convert = 2**6 * ENERGY.adc_step_f + ENERGY.adc_fixed_f
    drive = 64 * 4 * ENERGY.driver_f_per_bit / 32
    pulse, line = ENERGY.charge_f * 4**0.5, 4 * 256 * ENERGY.bitline_f
    farad = {
        "QR": cells * share * ENERGY.capacitor_f,
        "QS": cells * share * pulse + line,
        "QS-QR": cells * share * (ENERGY.capacitor_f + ENERGY.charge_f) * 4**0.5 + line,
        "IS": cells * share * ENERGY.current_sum_f,
    }[model]
    if resistive:
        farad = 10e-9 * (cells * share * ENERGY.cell_current_a + ENERGY.converter_current_a)
    return (convert + drive + farad) / (2 * 64 * 16)


@pytest.mark.parametrize("model", ["QR", "QS", "QS-QR", "IS", "DIMC"])
def test_an_operation_by_hand(model: str) -> None:
    assert of_row(**{"Compute Model": model}) == pytest.approx(by_hand(model), rel=1e-9)


def test_an_operation_of_resistive_cells_by_hand() -> None:
    found = of_row(**{"Compute Model": "IS", "Architecture": "eNVM", "Cell Type": "ReRAM"})
    assert found == pytest.approx(by_hand("IS", resistive=True), rel=1e-9)


@pytest.mark.parametrize(("bits", "reads"), [(8, 1), (4, 1), (16, 2)])
def test_a_processor_by_hand(bits: int, reads: int) -> None:
    """16 products of at most 8 bits of an input at once, their adders, and a running sum where there are two halves."""
    of = macro({"Architecture": "Digital", "Tech (nm)": 28, "Supply V(V)": 1.0, "B_x": bits, "B_w": 8})
    wide, log_rows = 8 + bits // reads - 1, 4
    adders = 16 * (wide + 1) - (wide + log_rows + 1) + 16 * 8 * (bits // reads - 1)
    nand2 = PROCESSOR_OVERHEAD * 0.7e-15
    once = 0.25 * nand2 * (6 * adders + 16 * 8)
    word = 0.5 * 9 * nand2 * (wide + log_rows + bits) if reads > 1 else 0.0
    found = float(operation_j([of], [macro_spec(of, CONSTANTS)])[0])
    assert found == pytest.approx(reads * (once + word) / (2 * 16 * bits * 8), rel=1e-9)


def test_floating_gates_draw_a_tenth_of_resistive_cells() -> None:
    columns = {"Compute Model": "IS", "Architecture": "eNVM"}
    resistive, floating = (of_row(**columns, **{"Cell Type": cell}) for cell in ("ReRAM", "NOR-F"))
    cells = 10e-9 * 64 * 4 * 0.25 * ENERGY.cell_current_a / (2 * 64 * 16)
    assert resistive - floating == pytest.approx(0.9 * cells, rel=1e-9)
    assert floating == of_row(**{**columns, "Architecture": "eFlash", "Cell Type": "6T+4T"})


@pytest.mark.parametrize(
    ("columns", "seconds"),
    [
        ({}, READ_TIME.base_s + 64 * READ_TIME.row_s + 64 * READ_TIME.step_s + 4 * READ_TIME.level_s),
        ({"B_x": 1}, READ_TIME.base_s + 64 * READ_TIME.row_s + 64 * READ_TIME.step_s),
        ({"Compute Model": "DIMC"}, READ_TIME.base_s + 64 * READ_TIME.row_s),
        ({"Compute Model": "DIMC", "Supply V(V)": 0.45}, 2**0.75 * (READ_TIME.base_s + 64 * READ_TIME.row_s)),
        ({"Compute Model": "QR", "B_x": 1, "Tech (nm)": 56},
         READ_TIME.base_s + 64 * (READ_TIME.row_s + 2 * READ_TIME.redistribution_row_s + READ_TIME.step_s)),
        ({"Compute Model": "IS", "Architecture": "eNVM", "B_x": 1, "reads": 3},
         3 * (READ_TIME.base_s + 64 * (READ_TIME.row_s + READ_TIME.resistive_row_s + READ_TIME.step_s))),
    ],
)  # fmt: skip
def test_a_read_by_hand(columns: dict[str, Any], seconds: float) -> None:
    of = macro({**ROW, "Supply V(V)": 0.9, "T_core(ns)": "", **columns})
    assert read_time_s(of, READ_TIME) == pytest.approx(seconds, rel=1e-12)
    assert macro_spec(of, CONSTANTS).read_time_s * of.reads == pytest.approx(seconds, rel=1e-12)


def test_an_area_by_hand() -> None:
    """64 Kb of 8T cells in 256 rows of 256 columns, 32 converters of 6 bits, sums of 6 + 4 bits behind each; 28 nm."""
    square_mm2, gate = (28e-6) ** 2, AREA.gate_area * 0.614e-6
    cells = 65536 * (8 * AREA.transistor_f2 * square_mm2 + gate)
    lines = (256 + 256) * AREA.line_mm2 + AREA.control_mm2
    converters = 32 * (7 * AREA.converter_f2 * square_mm2 + (6 + 4) * (7.8 + 6) * gate)
    found = macro_areas_mm2([macro_from(ROW)])[0]
    assert found == pytest.approx(cells + lines + converters, rel=1e-9)
    # A digital macro has 32 trees of its 64 rows in the converters' place.
    trees = 32 * (64 * 8 - (7 + 6 + 1) + 64 * 4 * 3) * 7.8 * gate + 32 * (7 + 6 + 4) * (7.8 + 6) * gate
    found = macro_areas_mm2([macro_from({**ROW, "Compute Model": "DIMC"})])[0]
    assert found == pytest.approx(cells + lines + trees, rel=1e-9)


def test_serial_inputs_of_several_reads_are_mostly_zero() -> None:
    """Two reads of 4 bits instead of one: the same energy an operation but for their sum, times the activity."""
    serial, once = of_row(alpha=2), of_row()
    word = (6 + 3) * ENERGY.gate_overhead * 0.7e-15 * 0.5 * (6 + 8) / (2 * 64 * 16)
    assert serial == pytest.approx(ENERGY.serial_activity * (once + word), rel=1e-9)
    assert of_row(**{"alpha": 2, "Compute Model": "QR"}) > of_row(**{"Compute Model": "QR"})


def test_a_counting_converter_reads_again_and_again() -> None:
    spec = macro_from({**ROW, "B_ADC": 5, "reads": 31})
    assert spec.read_time_s * 31 == pytest.approx(10e-9)
    once, often = of_row(B_ADC=5), of_row(B_ADC=5, reads=31)
    steps = 2**5 * ENERGY.adc_step_f / (2 * 64 * 16)
    assert often - steps == pytest.approx(31 * (once - steps), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["QR", "QS", "QS-QR", "IS", "DIMC"]), st.sampled_from(["SRAM", "eNVM"]), st.floats(5, 180),
    st.floats(0.4, 1.2), st.integers(8, 1024), st.integers(1, 4), st.integers(1, 8), st.integers(1, 9),
)  # fmt: skip
def test_energy_grows_with_supply_node_and_bits(
    model: str, architecture: str, node: float, supply: float, summed: int, input_bits: int, weight_bits: int,
    adc_bits: int,
) -> None:  # fmt: skip
    row = {
        "Compute Model": model, "Architecture": architecture, "Tech (nm)": node, "Supply V(V)": supply, "N": summed,
        "R": "", "R_C": "", "Core Size(Kb)": "", "B_x": input_bits, "B_w": weight_bits, "B_ADC": adc_bits,
    }  # fmt: skip
    base = of_row(**row)
    assert base > 0
    assert of_row(**{**row, "Supply V(V)": 1.1 * supply}) > base
    assert of_row(**{**row, "Tech (nm)": 0.9 * node}) <= base
    # A MAC of more bits never takes less, whatever an operation of one bit does.
    bits = input_bits * weight_bits
    assert of_row(**{**row, "B_w": weight_bits + 1}) * input_bits * (weight_bits + 1) > base * bits * (1 - 1e-12)
    if model != "DIMC":
        assert of_row(**{**row, "B_ADC": adc_bits + 1}) > base


@pytest.mark.parametrize("model", ["QR", "IS", "DIMC"])
def test_a_macro_runs_a_network(model: str) -> None:
    spec = macro_from({**ROW, "Compute Model": model, "B_x": 1, "B_w": 8, "alpha": 8})
    report = evaluate(network("lenet5"), MODEL, spec)
    assert report.infeasible is None
    assert report.total("array_j") > 0


def test_a_supply_of_writes_or_none_is_the_nodes() -> None:
    for supply, node, volt in ((4.2, 130, 1.2), ("", 28, 0.9), ("", 16, 0.8), (1.8, 180, 1.8), (0.45, 65, 0.45)):
        assert macro({**ROW, "Supply V(V)": supply, "Tech (nm)": node}).supply_v == volt


def test_an_interval_holds_what_is_expected() -> None:
    assert set(ENERGY_SPREAD) == set(KINDS)
    cost = macro_cost({**ROW, "T_core(ns)": ""})
    for low, expected, high in (cost.operation_j, cost.read_s, cost.area_mm2, cost.tops_per_w, cost.tops_per_mm2):
        assert 0 < low < expected < high
    assert cost.operation_j.expected == of_row()
    assert cost.tops_per_w.low == pytest.approx(1e-12 / cost.operation_j.high, rel=1e-12)
    rate = 2 * 64 * 32 * 4 * 4 / (cost.read_s.expected * cost.area_mm2.expected)
    assert cost.tops_per_mm2.expected == pytest.approx(1e-12 * rate, rel=1e-12)
    assert cost.tops_per_mm2.low * cost.read_s.high * cost.area_mm2.high == pytest.approx(
        cost.tops_per_mm2.high * cost.read_s.low * cost.area_mm2.low, rel=1e-12
    )
    assert macro_cost(ROW).read_s == (10e-9, 10e-9, 10e-9)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"N": ""}, "N: "), ({"N": "many"}, "N: "), ({"N": 1}, "N: "), ({"B_x": -1}, "B_x: "),
        ({"B_x": 8, "alpha": 4}, "alpha: "), ({"Compute Model": "QT"}, "Compute Model"), ({"B_ADC": 40}, "adc_bits"),
        ({"Tech (nm)": 1e6}, "node_nm"),
    ],
)  # fmt: skip
def test_a_bad_row_says_what_is_wrong(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(").replace(")", r"\)")):
        macro_from({**ROW, **columns})
