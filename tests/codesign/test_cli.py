"""The command line: JSON alone on standard output, exit codes, one line for bad input and nothing written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from codesign.cli import main

TINY = """
generations: 2
architecture: {space: chain, stages: 1, kernel: [1, 3], width: [4, 8], depth: [1], stride: [1, 2], bits: [4, 8]}
hardware:
  device: systolic_edge
  knobs: {array_rows: [8, 16], array_cols: [8, 16], dataflow: [os, ws]}
fast: {pairs: 100}
slow: {trainings: 2, classes: 1, recipe: {epochs: 1, batch_size: 128}}
executor: {name: serial}
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("devices",),
        ("devices", "--family", "crossbar"),
        ("networks",),
        ("networks", "show", "resnet18"),
        ("networks", "show", "gpt2_decode", "--runtime", "compiled", "--fuse-attention", "--layer-bits", "linear=4:8"),
        ("estimate", "resnet18", "--device", "isaac"),
        ("estimate", "resnet18", "--device", "isaac", "--input", "3x64x64", "--layer-bits", "first=16"),
        ("estimate", "bert_base", "--device", "tpu_v1", "--batch", "4", "--runtime", "eager", "--bits", "16"),
        ("estimate", "resnet18", "--device", "pixel2", "--format", "w4a16", "--layer-bits", "last=bf16"),
        ("estimate", "resnet18", "--device", "pixel2", "--explain", "conv 3x3"),
        ("estimate", "resnet18", "--device", "tpu_v1", "--explain", "2"),
        ("crossdevice", "resnet18", "--device", "pixel2", "--device", "isaac", "--format", "fp16"),
        ("sweep", "resnet18", "vgg16", "--family", "crossbar", "--set", "adc_bits=4,8", "--set", "array_rows=64,128"),
        ("validate", "crossbar"),
        ("assumptions",),
        ("doctor",),
    ],
)
def test_json_is_all_that_is_printed(run, arguments):
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)
    code, table, err = run(*arguments)
    assert code == 0
    assert table.strip()
    if arguments[0] != "validate":  # which names the reference files that are missing
        assert err == ""


def test_estimate_names_what_a_user_asks_for(run):
    record = json.loads(run("estimate", "resnet50", "--device", "systolic_edge", "--json")[1])
    assert {"latency_s", "energy_j", "area_mm2", "weight_bytes", "peak_activation_bytes"} <= set(record["totals"])
    assert sum(group["layers"] for group in record["groups"]) > 50
    assert sum(group["latency_s"] for group in record["groups"]) == pytest.approx(record["totals"]["latency_s"])
    assert sum(record["energy_breakdown_j"].values()) == pytest.approx(record["totals"]["energy_j"])
    assert sum(record["limits"].values()) == pytest.approx(1)
    assert all({"name", "value", "plausible", "meaning"} <= set(item) for item in record["assumptions"])
    shown = run("estimate", "resnet50", "--device", "systolic_edge")[1]
    for word in ("latency", "energy", "memory", "binding limit", "assumptions used"):
        assert word in shown


def test_an_estimate_explains_the_layer_that_is_named(run):
    arguments = ("estimate", "resnet18", "--device", "tpu_v1", "--explain", "conv 3x3")
    record = json.loads(run(*arguments, "--json")[1])
    explained = record["explained"]
    assert (explained["layer"], explained["group"]) == (3, "conv 3x3")
    assert {"dataflow", "folds", "streamed", "blocks", "array_cycles", "latency_s", "limit"} <= set(explained)
    shown = run(*arguments)[1]
    assert "layer 3: conv 3x3" in shown
    assert str(explained["array_cycles"]) in shown
    assert "explained" not in json.loads(run(*arguments[:-2], "--json")[1])


def test_networks_names_what_a_benchmark_needs(run):
    """Fields are fixed; names and aliases are unique; an accuracy has its source or is null."""
    records = json.loads(run("networks", "--json")[1])
    fields = {"name", "aliases", "params", "macs", "input", "source", "accuracy"}
    assert all(set(record) == fields for record in records)
    assert sum(record["accuracy"] is not None for record in records) > 240
    assert all(record["params"] > 0 and record["macs"] > 0 and record["source"] for record in records)
    names = [name for record in records for name in (record["name"], *record["aliases"])]
    assert len(set(names)) == len(names) > 300


def test_the_runtime_of_an_estimate_is_shown(run):
    arguments = ("estimate", "vit_b_16", "--device", "systolic_edge", "--fuse-attention")
    code, shown, _ = run(*arguments)
    assert code == 0
    assert "dead branches dropped, norm and activation fused, attention fused" in shown
    record = json.loads(run(*arguments, "--json")[1])
    assert record["runtime"].endswith("attention fused")
    assert record["unknown_operators"] == []
    plain = json.loads(run(*arguments[:-1], "--json")[1])
    assert record["totals"]["energy_j"] < plain["totals"]["energy_j"]
    assert record["totals"]["macs"] == plain["totals"]["macs"]


OWN_MODEL = """
import torch
from torch import nn

class Gate(nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).real + x

def model():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), Gate(), nn.Flatten(), nn.Linear(8 * 36, 10))
    return net, torch.zeros(2, 3, 8, 8)
"""


@pytest.mark.parametrize("device", ["pixel2", "tpu_v1", "isaac"])
@pytest.mark.parametrize(("number_format", "bits"), [("int8", "8"), ("fp32", "32"), ("int4", "4")])
def test_formats_that_a_width_gives_away_cost_as_the_width(run, device: str, number_format: str, bits: str):
    arguments = ("estimate", "mobilenet_v2", "--device", device, "--json")
    by_format, by_bits = (
        json.loads(run(*arguments, *option)[1]) for option in (("--format", number_format), ("--bits", bits))
    )
    assert by_format["totals"] == by_bits["totals"]
    assert by_format["default_precision"] == number_format
    assert by_bits["default_precision"] == f"{bits} bits"


def test_an_estimate_says_what_becomes_of_a_format(run):
    arguments = ("estimate", "resnet18", "--device", "tpu_v1", "--format", "fp16")
    told = [{"asked": "fp16", "computed": "int8", "how": "rounded"}]
    assert json.loads(run(*arguments, "--json")[1])["formats"] == told
    assert "FORMAT: fp16 is rounded to int8" in run(*arguments)[1]
    plain = ("estimate", "resnet18", "--device", "tpu_v1")
    assert json.loads(run(*plain, "--json")[1])["formats"] == []
    assert "FORMAT" not in run(*plain)[1]


def test_weights_alone_in_four_bits_are_a_quarter_of_half_precision(run):
    def total(name: str, number_format: str) -> float:
        record = json.loads(run("estimate", "gpt2", "--device", "pixel2", "--format", number_format, "--json")[1])
        return record["totals"][name]

    assert 4 * total("weight_bytes", "w4a16") == total("weight_bytes", "fp16") == total("weight_bytes", "bf16")
    assert total("peak_activation_bytes", "w4a16") == total("peak_activation_bytes", "fp16")
    assert total("energy_j", "w4a16") < total("energy_j", "fp16")


def test_a_half_precision_module_keeps_its_format_unless_the_user_states_another(run, tmp_path: Path):
    path = tmp_path / "half.py"
    path.write_text(
        "import torch\n\ndef model():\n    return torch.nn.Linear(64, 32).half(), torch.zeros(2, 64).half()\n"
    )

    def weight_bytes(*options: str) -> float:
        printed = run("estimate", "--torch", f"{path}:model", "--device", "pixel2", *options, "--json")[1]
        return json.loads(printed)["totals"]["weight_bytes"]

    parameters = 64 * 32 + 32
    assert weight_bytes() == 2 * parameters
    assert weight_bytes("--bits", "8") == weight_bytes("--format", "fp8") == parameters


def test_an_own_torch_model_is_estimated_and_its_unknown_operators_are_named(run, tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(OWN_MODEL)
    arguments = ("estimate", "--torch", f"{path}:model", "--device", "tpu_v1")
    record = json.loads(run(*arguments, "--json")[1])
    assert record["batch"] == 2
    assert record["totals"]["macs"] == 2 * (36 * 8 * 27 + 8 * 36 * 10)
    assert [item["operator"] for item in record["unknown_operators"]] != []
    printed = run(*arguments)[1]
    assert "UNKNOWN operator" in printed
    assert "MACs, latency and energy are lower bounds" in printed
    five = json.loads(run(*arguments, "--batch", "5", "--json")[1])
    assert five["totals"]["macs"] * 2 == record["totals"]["macs"] * 5


def test_a_hugging_face_configuration_is_estimated_with_its_cache(run, tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "gpt2", "n_layer": 2}')
    arguments = ("estimate", "--hf-config", path, "--input", "1", "--past", "99", "--device", "tpu_v1")
    record = json.loads(run(*arguments, "--json")[1])
    assert record["totals"]["kv_cache_bytes"] == 2 * 2 * 768 * 100
    assert "keys and values 307 kB" in run(*arguments)[1]


@pytest.mark.parametrize("view", ["profile", "graph"])
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_a_picture_of_a_network_is_the_same_every_time(run, tmp_path: Path, view: str, ending: str):
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    for path in (first, second):
        code, out, err = run("networks", "show", "mobilenet_v2", "--view", view, "-o", path)
        assert (code, err) == (0, "")
        assert str(path) in out
    assert first.stat().st_size > 5000
    if ending != "svg":  # matplotlib numbers the clips of an SVG at random
        assert first.read_bytes() == second.read_bytes()


def test_a_sweep_is_the_grid(run, tmp_path: Path):
    table = tmp_path / "grid.csv"
    arguments = ("sweep", "resnet18", "--family", "spatial", "--set", "array_rows=8,16", "--set", "dataflow=os,ws,is")
    code, out, _ = run(*arguments, "-o", table, "--json")
    assert code == 0
    rows = json.loads(out)
    assert {(row["array_rows"], row["dataflow"]) for row in rows} == {
        (r, d) for r in (8, 16) for d in ("os", "ws", "is")
    }
    assert len(table.read_text().splitlines()) == 1 + len(rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("estimate", "resnet51", "--device", "isaac"), ["resnet51", "did you mean resnet50?"]),
        (("estimate", "resnet50", "--device", "isac"), ["isac", "did you mean isaac?"]),
        (("estimate", "resnet50", "--device", "nowhere.yaml"), ["nowhere.yaml", "the file is missing"]),
        (("estimate", "resnet50", "--device", "isaac", "--runtime", "lazy"), ["--runtime", "lazy"]),
        (("estimate", "--device", "isaac"), ["network: nothing", "NAME, --torch, --onnx, --hf-config"]),
        (("estimate", "resnet50", "--onnx", "x.onnx", "--device", "isaac"), ["network and onnx", "one of"]),
        (("estimate", "resnet50", "--input", "3x64", "--device", "isaac"), ["resnet50: input", "3x64", "3x224x224"]),
        (("estimate", "resnet50", "--input", "3x0x8", "--device", "isaac"), ["--input", "3x0x8"]),
        (("estimate", "resnet50", "--past", "8", "--device", "isaac"), ["--past", "--hf-config"]),
        (("estimate", "resnet50", "--layer-bits", "conv", "--device", "isaac"), ["bits: conv", "first=8"]),
        (("estimate", "resnet50", "--layer-bits", "conv9=4", "--device", "isaac"), ["resnet50: bits", "conv9"]),
        (("estimate", "resnet50", "--format", "fp9", "--device", "isaac"), ["--format: fp9", "did you mean fp8?"]),
        (("estimate", "resnet50", "--format", "int0", "--device", "isaac"), ["--format: int0", "int1 to int32"]),
        (
            ("estimate", "vgg16", "--format", "fp8", "--bits", "8", "--device", "isaac"),
            ["--format: fp8", "beside bits"],
        ),
        (("estimate", "resnet50", "--layer-bits", "conv=fp15", "--device", "isaac"), ["bits of conv: fp15", "fp16?"]),
        (("sweep", "vgg16", "--family", "spatial", "--set", "array_rows=8", "--format", "w4"), ["--format: w4"]),
        (("crossdevice", "vgg16", "--device", "isaac", "--format", "bf61"), ["--format: bf61", "did you mean bf16?"]),
        (("estimate", "vgg16", "--device", "tpu_v1", "--explain", "conv 3x4"), ["--explain", "mean conv 3x3?"]),
        (("estimate", "vgg16", "--device", "tpu_v1", "--explain", "99"), ["--explain: 99", "a layer from 1 to"]),
        (("estimate", "vgg16", "--device", "isaac", "--explain", "1"), ["--explain: family crossbar", "spatial"]),
        (("estimate", "--torch", "no.such:model", "--device", "isaac"), ["no.such"]),
        (("estimate", "--onnx", "none.onnx", "--device", "isaac"), ["none.onnx"]),
        (("estimate", "--onnx", "none.onnx", "--input", "8", "--device", "isaac"), ["none.onnx"]),
        (("estimate", "--hf-config", "none.json", "--device", "isaac"), ["none.json", "the file is missing"]),
        (("networks", "show", "resnet51"), ["resnet51", "did you mean resnet50?"]),
        (("networks", "show", "resnet50", "--view", "grape"), ["--view", "did you mean graph?"]),
        (("networks", "show", "resnet50", "-o", "picture.gif"), ["--output", "picture.gif", ".svg"]),
        (("networks", "show", "resnet50", "-o", "/no/such/folder/x.png"), ["--output", "existing folder"]),
        (("sweep", "vgg16", "--family", "spatal", "--set", "array_rows=8"), ["spatal", "did you mean spatial?"]),
        (("sweep", "vgg16", "--family", "spatial", "--set", "array_row=8"), ["array_row", "did you mean array_rows?"]),
        (("sweep", "vgg16", "--family", "spatial", "--set", "array_rows=0"), ["array_rows", "0"]),
        (("sweep", "vgg16", "--family", "spatial", "--set", "array_rows"), ["--set", "array_rows"]),
        (("sweep", "vgg16", "--family", "spatial", "--set", "array_rows=8", "--device", "isaac"), ["--device"]),
        (("devices", "--family", "gpus"), ["gpus", "did you mean gpu?"]),
        (("validate", "spatiel"), ["spatiel", "did you mean spatial?"]),
        (("validate", "--reference", "/no/such/folder"), ["/no/such/folder", "a folder"]),
        (("resume", "/no/such/run"), ["/no/such/run", "manifest.json"]),
        (("report", "/no/such/run"), ["/no/such/run", "manifest.json"]),
        (("assumptions", "--family", "x"), ["--family", "x"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, arguments, words):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_an_enumeration_is_exact_and_refuses_in_one_line(run, tmp_path: Path):
    config = tmp_path / "tiny.yaml"
    config.write_text(TINY)
    folder = tmp_path / "front"
    code, out, err = run("enumerate", config, "-o", folder, "--score", "mac")
    assert (code, out, err.count("\n"), folder.exists()) == (2, "", 1, False)
    assert "did you mean macs?" in err
    summary = json.loads(run("enumerate", config, "-o", folder, "--score", "macs", "--all-pairs", "--json")[1])
    assert len((folder / "front.csv").read_text().splitlines()) == 1 + summary["front"]
    assert summary["pairs"] == summary["networks"] * summary["designs"]
    assert (folder / "pairs/all.parquet").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("sede: 3", ["sede", "did you mean seed?"]),
        ("constraints: {latency_s: 3 mJ}", ["latency_s", "3 mJ"]),
        ("constraints: {latncy_s: 3}", ["latncy_s", "did you mean latency_s?"]),
        ("objectives: [energy]", ["energy", "did you mean energy_j?"]),
        ("seed: -1", ["seed", "-1", ">= 0"]),
        ("data: {name: cifar10, root: /no/such/folder}", ["/no/such/folder"]),
        ("hardware: {device: systolic_edge, knobs: {array_row: [8]}}", ["array_row", "did you mean array_rows?"]),
        ("hardware: {device: systolic_edge, knobs: {array_rows: [8, 0]}}", ["array_rows", "0"]),
        ("hardware: {device: systolic_edge, knobs: {array_rows: [8, 8]}}", ["array_rows", "without repeats"]),
    ],
)
def test_a_bad_configuration_writes_nothing(run, tmp_path: Path, change: str, words):
    config = tmp_path / "bad.yaml"
    key = change.partition(":")[0]
    kept = [block for block in TINY.strip().split("\n") if not block.startswith(key)]
    if key == "hardware":
        kept = [line for line in kept if not line.startswith("  ")]
    config.write_text("\n".join([*kept, change]) + "\n")
    code, out, err = run("search", config, "-o", tmp_path / "run")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_search_report_and_resume(run, tmp_path: Path):
    config, folder = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(TINY)
    code, out, _ = run("search", config, "-o", folder, "--seed", "7", "--json")
    assert code == 0
    record = json.loads(out)
    assert record["considered"] == 200
    assert record["considered"] == sum(record["pruned"].values()) + record["evaluated"] + record["deferred"]
    assert record["trained"] >= 2
    for pair in record["front"]:
        assert {"architecture", "hardware", "objectives"} <= set(pair)
        assert {"accuracy", "energy_j", "latency_s", "area_mm2"} <= set(pair["objectives"])
    assert json.loads((folder / "manifest.json").read_text())["seed"] == 7
    again = json.loads(run("report", folder, "--json")[1])
    assert again == record
    assert json.loads(run("resume", folder, "--json")[1]) == record
    code, _, err = run("search", config, "-o", folder)
    assert code == 2
    assert "new or empty" in err
    last = run("report", folder)[1].rstrip().splitlines()[-1]
    assert str(folder) in last


def test_an_interruption_says_how_to_go_on(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from codesign.two_level.slow import SlowLevel

    config, folder = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(TINY)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SlowLevel, "evaluate", interrupt)
    code, out, err = run("search", config, "-o", folder)
    assert (code, out) == (1, "")
    assert f"codesign resume {folder}" in err
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", ["codesign", "resume", str(folder), "--json"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code


def test_a_run_of_other_versions_is_not_resumed(run, tmp_path: Path):
    config, folder = tmp_path / "tiny.yaml", tmp_path / "run"
    config.write_text(TINY)
    assert run("search", config, "-o", folder, "--json")[0] == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["versions"]["torch"] = "1.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = run("resume", folder)
    assert code == 2
    assert "versions" in err


def test_a_space_shows_its_decisions_and_some_networks(run) -> None:
    code, out, _ = run("space", "mobile", "--sample", "2", "--set", "width=[0.5, 1.0]", "--json")
    assert code == 0
    record = json.loads(out)
    assert record["points"] == 2 * 6**7
    assert record["genes"][0] == {"name": "width", "choices": [0.5, 1.0]}
    assert len(record["networks"]) == 2
    assert all(network["parameters"] > 0 for network in record["networks"])
    code, out, _ = run("space", "mobile", "--sample", "1")
    assert code == 0
    assert "block0.0" in out
    for arguments, told in (
        (("mobil",), "did you mean mobile?"),
        (("mobile", "--set", "width"), "an assignment"),
        (("mobile", "--set", "width=[a"), "valid YAML"),
        (("mobile", "--data", "digit"), "digits"),
        (("fixed",), "one of network"),
    ):
        code, _, err = run("space", *arguments)
        assert code == 2
        assert told in err
        assert err.count("\n") == 1
