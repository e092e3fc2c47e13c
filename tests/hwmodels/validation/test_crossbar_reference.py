"""The crossbar family against published numbers: ISAAC's table and chip, the ADC survey regression, feasibility."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.evaluate import evaluate
from hwmodels.families.crossbar.converter import adc_area_mm2, adc_energy_j
from hwmodels.families.crossbar.model import MODEL
from hwmodels.families.crossbar.spec import CrossbarSpec, CrossbarTable
from hwmodels.numerics import Numerics, lossless_adc_bits
from hwmodels.validate import REFERENCE_VARIABLE, ReferenceTables
from hwmodels.validation.crossbar import chip_figures, half_unit, table1_sums, validate
from hwmodels.workload.zoo import network


def isaac() -> CrossbarTable:
    table: CrossbarTable = CrossbarSpec.to_table([device("isaac").spec])
    return table


def test_isaac_table_sums() -> None:
    """[ISAAC] Table I, at its printed rounding."""
    power_mw = {"12 IMA total": "289", "tile periphery total": "40.9", "1 tile total": "330"}
    power_mw |= {"168 tile total": "55400", "chip total": "65800"}
    area_mm2 = {"12 IMA total": "0.157", "tile periphery total": "0.215", "1 tile total": "0.372"}
    area_mm2 |= {"168 tile total": "62.5", "chip total": "85.4"}
    for name, (power, area) in table1_sums(isaac()).items():
        assert power == pytest.approx(float(power_mw[name]), abs=half_unit(power_mw[name]))
        assert area == pytest.approx(float(area_mm2[name]), abs=half_unit(area_mm2[name]))


def test_isaac_chip_figures() -> None:
    """[ISAAC] Table IV and text."""
    figures = chip_figures(isaac())
    assert round(figures["peak_TOPS_16b"], 1) == 41.3
    assert (round(figures["TOPS_per_mm2"], 2), round(figures["TOPS_per_W"], 2)) == (0.48, 0.63)
    assert round(figures["storage_density"], 2) == 0.74
    assert (round(figures["ADC_share_of_tile_power"]), round(figures["ADC_share_of_chip_power"])) == (58, 49)


@pytest.mark.parametrize(
    ("bits", "node", "rate", "energy_pj", "area_um2"),
    [(8, 32, 1.2e9, 1.84861, 6313.1), (5, 22, 1e8, 0.46287, 1835.3)],
)
def test_adc_survey_check_values(bits: int, node: float, rate: float, energy_pj: float, area_um2: float) -> None:
    assert 1e12 * adc_energy_j(0, bits, rate, float(node)) == pytest.approx(energy_pj, rel=1e-4)
    assert 1e6 * adc_area_mm2(0, bits, rate, float(node)) == pytest.approx(area_um2, rel=1e-4)


def test_adc_isaac_follows_the_published_scaling() -> None:
    """pJ a conversion at 32 nm, 4 to 10 bits, relative to 8, as tabulated after [SABERI] for ISAAC's converter."""
    published = np.array([0.79, 0.99, 1.20, 1.42, 1.67, 1.969078145, 2.379022742]) / 1.67
    law = [adc_energy_j(1, bits, 1e9, 32.0) / 1.5625e-12 for bits in range(4, 11)]
    assert law == pytest.approx(published, rel=0.006)
    area = np.array([361.04, 476.91, 626.91, 845.18, 1200, 1827.911647, 3002.008032])
    assert [1e6 * adc_area_mm2(1, bits, 1e9, 32.0) for bits in range(4, 11)] == pytest.approx(area, rel=1e-3)


@pytest.mark.parametrize("model", [0, 1])
def test_adc_energy_and_area_grow_with_bits(model: int) -> None:
    for rate in np.geomspace(1e6, 1e10, 9):
        for node in (5.0, 32.0, 180.0):
            for of in (adc_energy_j, adc_area_mm2):
                assert (np.diff([of(model, bits, rate, node) for bits in range(1, 15)]) > 0).all()


def test_shipped_tables_are_matched() -> None:
    scores = {(s.set, s.group, s.metric): s for s in validate(ReferenceTables(None))}
    assert {key[0] for key in scores} == {"isaac_table1", "isaac_chip"}
    assert all(s.value == 1.0 for key, s in scores.items() if key[2] == "exact_fraction")
    chip = scores["isaac_chip", "all", "exact_fraction"]
    assert (chip.rows, chip.rows_in_file, sum(chip.skipped.values())) == (8, 13, 5)


def test_validation_survives_other_rows(tmp_path: Path) -> None:
    folder = tmp_path / "imc"
    folder.mkdir()
    (folder / "isaac_table1.csv").write_text("component,power_mW,area_mm2\nchip total,65800,\nnovel,1,2\n")
    (folder / "isaac_chip.csv").write_text("metric,value\nTOPS_per_W,n/a\n")
    (folder / "adc_plugin_grid.csv").write_text("tech_nm,bits\n7,4\n")
    scores = validate(ReferenceTables(tmp_path))
    assert [(s.group, s.rows, s.rows_in_file) for s in scores] == [("power", 1, 2), ("power", 1, 2)]


@pytest.mark.skipif(not os.environ.get(REFERENCE_VARIABLE), reason=f"{REFERENCE_VARIABLE} is not set")
def test_adc_grid() -> None:
    scores = validate(ReferenceTables(Path(os.environ[REFERENCE_VARIABLE])))
    grid = [s for s in scores if s.set == "adc_plugin_grid"]
    assert [s.rows for s in grid] == [216, 216]
    assert all(s.value <= 1e-2 for s in grid)  # percent


@pytest.mark.parametrize(
    ("rows", "dac_bits", "cell_bits", "bits"), [(128, 1, 2, 9), (128, 1, 1, 8), (64, 2, 2, 10), (127, 1, 1, 7)]
)
def test_lossless_adc_bits(rows: int, dac_bits: int, cell_bits: int, bits: int) -> None:
    """ISAAC's 9 bits, and counts by hand: 64 x 3 x 3 = 576 < 1024; 127 < 128 <= 128."""
    spec = CrossbarSpec(array_rows=128, active_rows=rows, dac_bits=dac_bits, cell_bits=cell_bits)
    arithmetic = spec.numerics()
    assert lossless_adc_bits(arithmetic.active_rows, arithmetic.dac_bits, arithmetic.cell_bits) == bits


def test_numerics_cap_the_active_rows() -> None:
    spec = CrossbarSpec(array_rows=64, active_rows=512, sign_scheme="differential", conductance_sigma=0.1)
    assert spec.numerics() == Numerics(16, 16, 2, 1, 64, 8, adc_calibrated=1, differential=1, conductance_sigma=0.1)


def test_a_network_fits_or_is_told_why_not() -> None:
    chip = device("isaac").spec
    assert evaluate(network("resnet18"), MODEL, chip).infeasible is None
    report = evaluate(network("resnet18"), MODEL, chip.model_copy(update={"tiles": 16}))
    assert report.infeasible == "weights do not fit on the chip"


def test_attention_runs_digitally() -> None:
    report = evaluate(network("vit_b_16"), MODEL, device("isaac_8bit").spec)
    layers = report.table.layers
    dynamic = layers.dynamic_operand[report.table.networks.sequence] == 1
    assert dynamic.any()
    assert {where for where, is_dynamic in zip(report.choice, dynamic, strict=True) if is_dynamic} == {"digital"}


@pytest.mark.parametrize("name", ["isaac", "isaac_8bit", "rram_edge"])
def test_catalogue_devices_run(name: str) -> None:
    report = evaluate(network("resnet18"), MODEL, device(name).spec)
    assert report.infeasible is None
    assert report.total("energy_j") == pytest.approx(sum(report.breakdown().values()), rel=1e-12)
