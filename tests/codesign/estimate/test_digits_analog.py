"""The shipped table on phase-change memory: complete, ordered as physics has it, made again, searched as it comes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.benchmark.definition import benchmark
from codesign.data import load
from codesign.estimate.analog import analog_table
from codesign.estimate.digits_analog import (
    DIGITS_ANALOG,
    CellTraining,
    Tabulate,
    digits_analog,
    trainings,
    write_analog,
)
from codesign.report.summary import summarise
from hwmodels.errors import SpecError
from hwmodels.families.spec import numerics_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "phase_change.yaml"


def test_the_shipped_table_is_complete_and_says_how_it_was_made() -> None:
    table = digits_analog()
    assert table.cells.tolist() == DIGITS_ANALOG.space().representatives.tolist()
    assert len(table.cells) == 2 * 253
    assert np.isfinite(table.validation).all()
    assert table.validation.shape == (506, 3, 1, 6)
    folder = Path(__import__("codesign").__file__).parent / "estimate" / "tables"
    manifest = json.loads((folder / "digits-analog.json").read_text())
    assert manifest["trainings"] == 506
    assert manifest["data"] == load("noisy-digits").fingerprint
    assert manifest["space"] == DIGITS_ANALOG.space().fingerprint
    assert manifest["images"]["train"] == DIGITS_ANALOG.space().images
    stated = {name: value for name, value in manifest.items() if name in DIGITS_ANALOG.as_dict()}
    assert stated == json.loads(json.dumps(DIGITS_ANALOG.as_dict()))


def test_time_and_few_bits_cost_accuracy_and_training_with_noise_keeps_it() -> None:
    """Means over 253 cells and three draws; their standard errors are below 0.01."""
    table = digits_analog()
    means = table.validation.mean(axis=(1, 2)).reshape(253, 2, 3, 2).mean(axis=0)  # (way, time, bits)
    assert (np.diff(means, axis=1) < -0.005).all()  # later is worse
    assert (np.diff(means, axis=2) > 0.01).all()  # 6 bits are better than 4
    assert (means[1] > means[0] + 0.05).all()  # noise-aware


def test_a_row_of_the_table_is_what_training_gives_again() -> None:
    """Here and now: equal where torch is the same, some images apart elsewhere (three draws scatter by 0.03 a mean)."""
    table = digits_analog()
    small = replace(DIGITS_ANALOG, numerics=DIGITS_ANALOG.numerics[1:2])
    (line,) = Tabulate(small)(CellTraining(int(table.cells[1])))  # its plain training is 0.066 less accurate
    assert line["parameters"] == table.parameters[1]
    assert abs(np.mean(line["validation"]) / 599 - table.validation[1, :, 0, 1].mean()) <= 0.03


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    small = replace(DIGITS_ANALOG, name="small", every=100)
    asked = trainings(small)
    lines = [
        {"number": one.number, "parameters": 5, "seconds": 0.5, "validation": [[one.number % 600] * 3] * 6,
         "test": [1] * 6}
        for one in reversed(asked)
    ]  # fmt: skip
    with np.load(write_analog(small, lines, tmp_path), allow_pickle=False) as archive:
        assert archive["numbers"].tolist() == [one.number for one in asked]
        assert (archive["validation"][:, 0, 0] == archive["numbers"] % 600).all()


def test_the_benchmark_of_digits_knows_every_design_and_takes_no_file() -> None:
    definition = benchmark("pairs-digits-analog", "crossbar")
    table = definition.table()
    space = definition.space(table)
    assert definition.designs == 3 * 8640
    designs = space.hardware.sample(200, np.random.default_rng(0))
    columns = {table.column(numerics_of(row)) for row in space.hardware.numerics(designs)}
    assert columns == set(range(6))
    with pytest.raises(SpecError, match="ships"):
        analog_table("digits-analog", Path("."))


@pytest.mark.parametrize(
    ("section", "changed", "said"),
    [
        ("data", {"name": "digits"}, "noisy-digits"),
        ("hardware", {"device": "rpi5"}, "made with"),
        ("architecture", {"space": "cell"}, "trained_cells"),
        ("estimator", {"name": "analog", "first": 3}, "8 to 253"),
        ("estimator", {"name": "analog", "first": 0}, "drift_s"),  # 600 s are in no column
    ],
)
def test_a_run_that_does_not_fit_the_table_is_refused_before_it_begins(
    section: str, changed: dict[str, object], said: str, tmp_path: Path
) -> None:
    content = {**yaml.safe_load(EXAMPLE.read_text()), section: changed, "executor": "serial"}
    if section == "hardware":
        content["objectives"] = ["energy_j"]
    with pytest.raises(SpecError, match=said):
        begin(parse_config(content), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_chooses_training_and_time_out_of_the_box(tmp_path: Path) -> None:
    content = yaml.safe_load(EXAMPLE.read_text())
    content |= {"generations": 2, "executor": "serial"}
    content["fast"]["pairs"] = 300
    begin(parse_config(content), tmp_path / "run").go()
    told = summarise(tmp_path / "run")
    assert told.judged_by == "predicted_accuracy"
    assert len(told.front) > 0
