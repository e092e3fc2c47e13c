"""Peers and published macros: zigzag-imc's accounts, NeuroSim's runs, silicon with one chip left out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.families.crossbar.model import MODEL
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.validate import REFERENCE_VARIABLE, ReferenceTables, Score
from hwmodels.validation.crossbar import validate
from hwmodels.validation.crossbar.peer_neurosim import VGG8, floorplan, network_rows, run_cost, run_knobs
from hwmodels.validation.crossbar.peer_zigzag import PEER_CHIPS, peer_cost
from hwmodels.validation.crossbar.silicon import CHIPS, leave_one_out, macro_energy_j, other_chips, reported_tops_per_w
from hwmodels.workload.table import Layers

needs_reference = pytest.mark.skipif(
    not os.environ.get(REFERENCE_VARIABLE), reason=f"{REFERENCE_VARIABLE} is not set"
)  # fmt: skip


@pytest.fixture(scope="module")
def tables() -> ReferenceTables:
    return ReferenceTables(Path(os.environ[REFERENCE_VARIABLE]))


@pytest.fixture(scope="module")
def scores(tables: ReferenceTables) -> dict[tuple[str, str, str], Score]:
    return {(s.set, s.group, s.metric): s for s in validate(tables)}


def preset() -> CrossbarSpec:
    spec = device("neurosim_default").spec
    assert isinstance(spec, CrossbarSpec)
    return spec


@needs_reference
def test_zigzag_accounts_within_a_percent(scores: dict[tuple[str, str, str], Score], tables: ReferenceTables) -> None:
    energies = scores["silicon_zigzag_imc_peer_breakdown", "energy", "exact_fraction"]
    assert (energies.value, energies.rows) == (1.0, 27)
    rows = tables.rows("imc/silicon_zigzag_imc.csv") or []
    assert {row["label"] for row in rows} == set(PEER_CHIPS)
    for row in rows:
        cost = peer_cost(row["label"])
        assert cost.clock_ns == pytest.approx(float(row["peer_tclk_ns"]), rel=0.01)
        assert 2000 / cost.total == pytest.approx(float(row["peer_TOPS_per_W"]), rel=0.01)


@needs_reference
def test_neurosim_floorplan_counts_its_arrays(tables: ReferenceTables) -> None:
    """Printed cell area over the area of one array: all 29 runs."""
    for row in tables.rows("imc/neurosim13_runs.csv") or []:
        knobs = run_knobs(row["config"])
        spec = preset().model_copy(update=knobs or {})
        listed = tables.rows(f"imc/neurosim13_network_{row['network']}.csv") or []
        shapes = [(int(r["H"]), int(r["C"]), int(r["kh"]), int(r["K"])) for r in listed] or VGG8
        arrays = sum(place.arrays for place in floorplan(network_rows(shapes), spec))
        cell_f2 = 280 if row["config"] == "sram" else 48
        array_um2 = cell_f2 * (spec.node_nm / 1e3) ** 2 * spec.array_rows * spec.array_cols
        assert arrays == pytest.approx(float(row["array_area_um2"]) / array_um2, rel=1e-4)


@needs_reference
def test_neurosim_runs_on_held_out_networks(scores: dict[tuple[str, str, str], Score]) -> None:
    """S2 and VGG8, with every constant fitted to S1."""
    held = {(group.partition(",")[0], metric): s.value for (name, group, metric), s in scores.items()
            if name == "neurosim13_runs" and group.endswith("held-out networks")}  # fmt: skip
    assert held["TOPS/W", "max_error"] <= 15
    assert held["area", "max_error"] <= 20
    assert min(held[label, "spearman"] for label in ("area", "TOPS/W", "energy", "latency")) >= 0.9


@needs_reference
@pytest.mark.parametrize(
    ("knob", "figure"),
    [("sense_amp_j", "TOPS_per_W"), ("cell_read_w", "TOPS_per_W"), ("sample_hold_j", "TOPS_per_W"),
     ("sense_amp_mm2", "chip_area_um2"), ("dac_mm2", "chip_area_um2")],
)  # fmt: skip
def test_constants_of_the_preset_are_those_of_s1(knob: str, figure: str, tables: ReferenceTables) -> None:
    """The squared logarithm of predicted over printed, over the runs of S1, is least near the preset's constant."""
    shapes = [
        (int(row["H"]), int(row["C"]), int(row["kh"]), int(row["K"]))
        for row in tables.rows("imc/neurosim13_network_S1.csv") or []
    ]
    runs = [row for row in tables.rows("imc/neurosim13_runs.csv") or [] if row["network"] == "S1"]

    def misfit(spec: CrossbarSpec) -> float:
        found = 0.0
        for row in runs:
            cost = run_cost(network_rows(shapes), spec, row["config"])
            if cost is not None:
                ours = cost.ops_per_j / 1e12 if figure == "TOPS_per_W" else cost.area_mm2 * 1e6
                found += float(np.log(ours / float(row[figure]))) ** 2
        return found

    fitted = preset()
    for factor in (0.7, 1.4):
        assert misfit(fitted) < misfit(fitted.model_copy(update={knob: factor * getattr(fitted, knob)}))


def test_neurosims_windows_leave_the_padding_out() -> None:
    """[NEUROSIM] 616 M MACs of VGG8 counted, 445 M computed: cells read are those of the latter."""
    rows = network_rows(VGG8)
    assert sum(row.macs for row in rows) == pytest.approx(616e6, rel=0.01)
    right, peer = (preset().model_copy(update={"compat": mode}) for mode in ("none", "neurosim_padding"))
    conversions = []
    for spec in (right, peer):
        out = np.zeros((1, len(rows), len(MODEL.layer_metrics)))
        MODEL.layerwise.cost(
            Layers.of(rows), CrossbarSpec.to_table([spec]), np.zeros(0), out, np.zeros((1, len(rows)), np.int16)
        )
        conversions.append(out[0, :, MODEL.layer_metrics.index("conversions")])
    windows = [(30 / 32) ** 2] * 2 + [(14 / 16) ** 2] * 2 + [(6 / 8) ** 2] * 2 + [1, 1]
    np.testing.assert_allclose(conversions[1] / conversions[0], windows, rtol=1e-12)
    computed = sum(row.macs * share for row, share in zip(rows, windows, strict=True))
    assert computed == pytest.approx(445e6, rel=0.01)


def test_a_run_with_an_unknown_switch_has_no_prediction() -> None:
    assert run_cost(network_rows(VGG8), preset(), "unval") is None


@needs_reference
def test_static_power_of_held_out_networks(scores: dict[tuple[str, str, str], Score]) -> None:
    group = "static power, held-out networks"
    assert scores["neurosim13_runs", group, "median_error"].value <= 10
    assert scores["neurosim13_runs", group, "max_error"].value <= 25
    assert scores["neurosim13_runs", group, "spearman"].value >= 0.95


@needs_reference
def test_neurosims_nodes_are_within_a_quarter(tables: ReferenceTables) -> None:
    """14 and 32 nm, of the constants of 22 nm; the runs have no other nodes."""
    rows = [row for row in tables.rows("imc/neurosim13_runs.csv") or [] if row["config"] in ("t14", "t32")]
    assert len(rows) == 4
    for row in rows:
        listed = tables.rows(f"imc/neurosim13_network_{row['network']}.csv") or []
        shapes = [(int(r["H"]), int(r["C"]), int(r["kh"]), int(r["K"])) for r in listed]
        cost = run_cost(network_rows(shapes), preset(), row["config"])
        assert cost is not None
        assert cost.ops_per_j / 1e12 == pytest.approx(float(row["TOPS_per_W"]), rel=0.25)
        assert cost.area_mm2 * 1e6 == pytest.approx(float(row["chip_area_um2"]), rel=0.25)


@needs_reference
def test_macros_with_one_chip_left_out(scores: dict[tuple[str, str, str], Score]) -> None:
    assert scores["silicon_macros", "TOPS/W", "median_error"].value <= 25
    assert scores["silicon_macros", "TOPS/W", "max_error"].value <= 100
    assert scores["silicon_macros", "TOPS/W", "median_error"].rows == 7


@needs_reference
def test_chips_outside_the_survey_follow_its_constants(scores: dict[tuple[str, str, str], Score]) -> None:
    """Four chips that no constant was fitted to; all seven with one more than twice as efficient as it is."""
    outside = scores["silicon_macros", "TOPS/W by the survey's constants, chips outside it", "max_error"]
    assert (outside.rows, outside.value <= 50) == (4, True)
    assert scores["silicon_macros", "TOPS/W by the survey's constants", "median_error"].value <= 35


@needs_reference
def test_left_out_chips_are_never_half_of_what_is_reported(tables: ReferenceTables) -> None:
    names = ("silicon_zigzag_imc", "silicon_cimloop_macros")
    opened = {name: tables.rows(f"imc/{name}.csv") or [] for name in names}
    reported = [float(reported_tops_per_w(chip, opened) or 0) for chip in CHIPS]
    assert reported == pytest.approx([1050, 18.7, 36.63, 400, 351, 31.998, 116.74], rel=1e-4)
    ratio = leave_one_out(CHIPS, reported) / reported
    assert (ratio > 0.5).all()
    assert (ratio < 2).all()


def test_a_chip_without_a_preset_is_predicted_from_its_row() -> None:
    """The row of DIMC1 under another name gives DIMC1's macro; a label that has a preset is left to it."""
    row = {"label": "new", "imc_type": "digital", "tech_nm": "28", "vdd_V": "0.9", "act_bits": "8", "weight_bits": "8",
           "input_bits_per_cycle": "2", "adc_bits": "", "rows_accumulated": "32", "output_channels": "6",
           "reported_TOPS_per_W": "36.63", "peer_uses_chip_for_energy_validation": "yes"}  # fmt: skip
    known = device("dimc_isscc_2022_15_5").spec
    assert isinstance(known, CrossbarSpec)
    expected = 2e-12 / macro_energy_j(known, weight_bits=8, activation_bits=8)
    assert other_chips([row, {**row, "label": "DIMC1"}]) == {"new": (pytest.approx(expected, rel=1e-12), 36.63, True)}
    analogue = {**row, "imc_type": "analog", "adc_bits": "6", "rows_accumulated": "1024", "output_channels": "512",
                "input_bits_per_cycle": "7", "act_bits": "7", "weight_bits": "2", "tech_nm": "22", "vdd_V": "0.8",
                "peer_uses_chip_for_energy_validation": "no"}  # fmt: skip
    twin = device("aimc_cicc_2021").spec
    assert isinstance(twin, CrossbarSpec)
    expected = 2e-12 / macro_energy_j(twin, weight_bits=2, activation_bits=7)
    assert other_chips([analogue])["new"] == (pytest.approx(expected, rel=1e-12), 36.63, False)


def test_switches_of_cells_move_a_run_the_right_way() -> None:
    """A cell of higher resistance draws less; more levels cost more; half the columns an ADC twice the converters."""
    rows = network_rows(VGG8[1:4])
    base, high, levels, shared = (run_cost(rows, preset(), config) for config in ("base", "ron100k", "adc6", "mux4"))
    assert base is not None
    assert high is not None
    assert levels is not None
    assert shared is not None
    assert high.energy_j < base.energy_j < levels.energy_j
    assert base.area_mm2 < shared.area_mm2


def test_leaving_out_recovers_constants_that_hold_for_all() -> None:
    """Figures made with one pair of constants, not the preset's, are predicted exactly from any four of the five."""
    made = []
    for chip in CHIPS:
        spec = device(chip.preset).spec
        assert isinstance(spec, CrossbarSpec)
        true = spec.model_copy(update={"adc_step_j": 9e-15, "cell_f_per_nm": 0.4e-15})
        made.append(2e-12 / macro_energy_j(true, weight_bits=chip.weight_bits, activation_bits=chip.activation_bits))
    np.testing.assert_allclose(leave_one_out(CHIPS, made), made, rtol=1e-5)


@needs_reference
def test_sweeps_of_supply_and_bits_keep_their_order(scores: dict[tuple[str, str, str], Score]) -> None:
    sweeps = [s for (name, _, _), s in scores.items() if name == "silicon_sweeps"]
    assert len(sweeps) == 4
    assert min(s.value for s in sweeps) >= 0.9
