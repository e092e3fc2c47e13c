"""Costs on the command line: knobs set, rates, what does not fit, tables that are streamed."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import hwmodels


def test_what_does_not_fit_says_so_first_and_has_no_latency(run) -> None:
    code, out, _ = run("estimate", "vgg16", "--device", "stm32f412")
    lines = out.splitlines()
    assert code == 1
    assert lines[1] == "INFEASIBLE: memory does not hold the network"
    assert "latency " not in out
    assert "items/s" not in out
    code, out, _ = run("estimate", "vgg16", "--device", "stm32f412", "--json")
    record = json.loads(out)
    assert code == 1
    assert (record["totals"]["latency_s"], record["items_per_s"], record["groups"]) == (None, None, None)
    assert record["totals"]["parameters"] == 138_357_544


def test_knobs_of_an_estimate_can_be_set(run) -> None:
    def latency(*arguments: str) -> float:
        return json.loads(run("estimate", "lenet5", "--device", "systolic_edge", *arguments, "--json")[1])["totals"][
            "latency_s"
        ]

    narrow = latency("--set", "array_rows=array_cols=8", "--set", "clock_hz=1 GHz")
    expected = hwmodels.sweep("lenet5", "systolic_edge", {("array_rows", "array_cols"): [8], "clock_hz": [1e9]}).frame
    assert narrow == expected["latency_s"][0] != latency()


def test_a_rate_adds_the_power_and_rules_out_what_is_slower(run) -> None:
    arguments = ("estimate", "lenet5", "--device", "rram_edge", "--rate")
    code, out, _ = run(*arguments, "10/s")
    assert code == 0
    assert "on average" in out
    code, out, _ = run(*arguments, "1 GHz", "--json")
    assert (code, json.loads(out)["infeasible"]) == (1, "the rate is not reached")


def test_a_step_of_training_costs_more_than_inference_and_shows_its_memory(run) -> None:
    arguments = ("estimate", "resnet18", "--device", "i7_12700h", "--json")
    inference = json.loads(run(*arguments)[1])
    step = json.loads(run(*arguments, "--train", "adam", "--batch", "2")[1])
    again = json.loads(run(*arguments, "--train", "adam", "--batch", "2", "--recompute", "full")[1])
    assert "training" not in inference
    assert step["network"] == "resnet18 training"
    assert step["totals"]["latency_s"] > 3 * inference["totals"]["latency_s"]
    assert step["totals"]["parameters"] == 11_689_512  # torchvision; normalisation has weights of its own again
    assert step["training"]["state_bytes"] == 8 * step["totals"]["parameters"]
    assert again["training"]["saved_bytes"] < step["training"]["saved_bytes"]
    assert "kept for the backward pass" in run(*arguments[:-1], "--train", "sgd")[1]
    for wrong in (("--train", "adan"), ("--recompute", "full"), ("--train", "sgd", "--recompute", "al")):
        code, _, err = run(*arguments, *wrong)
        assert code == 2
        assert wrong[-2] in err
        assert len(err.splitlines()) == 1


def test_a_device_that_runs_nothing_has_no_winner(run) -> None:
    arguments = ("crossdevice", "vgg16", "resnet18", "--device", "stm32f412", "--device", "rpi3", "--device", "rpi4")
    record = json.loads(run(*arguments, "--json")[1])
    assert dict(zip(record["devices"], record["best"], strict=True))["stm32f412"] is None
    assert record["infeasible"][0] == ["memory does not hold the network"] * 2
    out = run(*arguments)[1]
    rows = [line.split() for line in out.splitlines() if (line.startswith("  ") and "ms" in line) or " - " in line]
    assert [row[0] for row in rows] == ["rpi3", "rpi4", "stm32f412"]  # by latency, what runs nothing last
    assert "INFEASIBLE: memory does not hold the network: stm32f412" in out
    assert "NOTE: the devices differ in threads" in out
    assert "NOTE: the devices differ in runtime (CMSIS-NN, ncnn, TensorFlow Lite)" in out


def test_devices_under_the_same_conditions_need_no_note(run) -> None:
    assert "NOTE" not in run("crossdevice", "resnet18", "--device", "isaac", "--device", "tpu_v1")[1]


def test_a_unit_mistaken_is_doubted_on_standard_error(run, tmp_path: Path) -> None:
    code, out, err = run("estimate", "lenet5", "--device", "rpi5", "--set", "clock_hz=2.4 kHz")
    assert code == 0
    assert err == "codesign: rpi5: clock_hz = 2400 Hz lies far from 1e+06 to 2e+10 Hz: is the unit right?\n"
    assert out


def _default_spatial(folder: Path) -> Path:
    path = folder / "default.yaml"
    path.write_text("family: spatial\nsummary: defaults\n")
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_sweep_is_streamed_into_a_file(run, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"grid.{ending}"
    axes = {"array_rows": [8, 16, 32], "dataflow": ["os", "ws"]}
    arguments = ("sweep", "lenet5", "resnet8", "--family", "spatial", "--set", "array_rows=8,16,32", "-o", path)
    code, out, _ = run(*arguments, "--set", "dataflow=os,ws")
    assert code == 0
    assert out.splitlines()[-1] == f"12 rows in {path}"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    found = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    expected = hwmodels.sweep(["lenet5", "resnet8"], _default_spatial(tmp_path), axes).frame
    assert found["latency_s"].tolist() == expected["latency_s"].tolist()
    assert found["dataflow"].tolist() == expected["dataflow"].tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sweep", "lenet5", "--set", "array_rows=8"), "--family"),
        (("sweep", "--family", "spatial", "--set", "array_rows=8"), "network"),
        (("sweep", "lenet5", "--family", "spatial", "--set", "array_rows=array_cols"), "array_cols is not a number"),
        (("sweep", "lenet5", "--family", "spatial", "--set", "array_rows="), "--set: array_rows="),
        (
            ("sweep", "lenet5", "--family", "spatial", "--set", "array_rows=8", "-o", "a.txt"),
            ".csv, .md, .parquet, .tex",
        ),
        (("sweep", "lenet5", "--family", "spatial", "--set", "array_rows=8,8.5"), "array_rows"),
        (("estimate", "lenet5", "--device", "rpi5", "--set", "clock_hz=1e9,2e9"), "one value"),
        (("estimate", "lenet5", "--device", "rpi5", "--set", "clock=1e9"), "did you mean clock_hz"),
        (("estimate", "lenet5", "--device", "rpi5", "--set", "clock_hz=inf"), "inf is not a finite number"),
        (("estimate", "lenet5", "--device", "rpi5", "--rate", "often"), "--rate: often is not a number in Hz"),
        (("estimate", "lenet5", "--device", "rpi5", "--rate", "0"), "--rate: 0"),
        (("estimate", "lenet5", "--device", "rpi5", "--input", "x=y"), "--input: x=y"),
        (("estimate", "lenet5", "--device", "rpi5", "--input", "a=1x28x28"), "without a name"),
        (("crossdevice", "lenet5", "--device", "rpi5", "--metric", "area_mm2"), "area_mm2"),
    ],
)
def test_bad_input_is_one_line(run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("device", "static"), [("rram_edge", "leakage_j"), ("rpi5", "static_j")])
def test_static_and_dynamic_energy_stand_apart(run, device: str, static: str) -> None:
    code, out, _ = run("estimate", "lenet5", "--device", device)
    assert code == 0
    assert "of it       static" in out
    totals = json.loads(run("estimate", "lenet5", "--device", device, "--json")[1])["totals"]
    assert 0 < totals[static] < totals["energy_j"]
    if "dynamic_j" in totals:
        assert totals["dynamic_j"] == totals["energy_j"] - totals[static]


def test_what_assumptions_decide_is_a_table(run) -> None:
    code, out, _ = run("sensitivity", "lenet5", "resnet8", "--device", "rram_edge")
    assert code == 0
    assert "leakage_scale" in out
    assert "order turns" in out
    assert "without effect here" in out
    record = json.loads(run("sensitivity", "lenet5", "--device", "rram_edge", "--metric", "energy_j", "--json")[1])
    first = record["knobs"][0]
    assert first["name"] == "leakage_scale"
    assert 1 < first["span"]["energy_j"][1] <= 2
    assert (first["turned"], first["front_changes"]) == ({"energy_j": 0}, 0)
    held = json.loads(run("sensitivity", "lenet5", "--device", "rram_edge", "--set", "leakage_scale=2", "--json")[1])
    assert "leakage_scale" not in {knob["name"] for knob in held["knobs"]}


def test_a_device_is_shown_whole(run) -> None:
    code, out, _ = run("devices", "show", "systolic_edge")
    assert code == 0
    assert "12.8 GB/s" in out
    assert "area_mm2" in out
    record = json.loads(run("devices", "show", "rpi3", "--json")[1])
    assert record["runtime"] == "ncnn"
    knobs = {knob["name"]: knob for knob in record["knobs"]}
    assert (knobs["clock_hz"]["unit"], knobs["clock_hz"]["value"]) == ("Hz", 1.4e9)
    assert "did you mean rpi3" in run("devices", "show", "rpi33")[2]


def test_metrics_of_a_family_are_listed(run) -> None:
    rows = {row["name"]: row for row in json.loads(run("metrics", "crossbar", "--json")[1])}
    assert rows["throughput_items_per_s"]["better"] == "more"
    assert rows["idle_power_w"]["unit"] == "W"
    assert "did you mean spatial" in run("metrics", "spatail")[2]


def test_tables_have_the_format_of_their_ending(run, tmp_path: Path) -> None:
    for ending, mark in (("md", "| lenet5"), ("tex", "toprule")):
        path = tmp_path / f"grid.{ending}"
        assert run("sweep", "lenet5", "--family", "spatial", "--set", "array_rows=8,16", "-o", path)[0] == 0
        assert mark in path.read_text()
        path = tmp_path / f"cross.{ending}"
        assert run("crossdevice", "lenet5", "vgg16", "--device", "stm32f412", "--device", "rpi3", "-o", path)[0] == 0
        assert mark in path.read_text()
    cross = tmp_path / "cross.csv"
    run("crossdevice", "lenet5", "vgg16", "--device", "stm32f412", "--device", "rpi3", "-o", cross)
    found = pd.read_csv(cross)
    assert found["stm32f412"].isna().tolist() == [False, True]
    code, _, err = run("crossdevice", "lenet5", "--device", "rpi3", "-o", cross)
    assert (code, "--force" in err) == (2, True)
    assert run("crossdevice", "lenet5", "--device", "rpi3", "-o", cross, "--force")[0] == 0
    assert len(pd.read_csv(cross)) == 1
