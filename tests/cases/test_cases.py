"""What public bug reports of like tools went wrong on, end to end: the command as a user types it, and the right words.

Each case stands beside the tests of the part that it broke, as the short one from the command line.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hwmodels.catalog import device, device_template

FILES = Path(__file__).with_name("files")

SPACES = """seed: 1
architecture: {space: cell, channels: 4, cells: 1, stages: 1, operations: [none, nor_conv_3x3]}
data: {name: digits}
hardware:
  device: rram_edge
  knobs: {array_rows: [64, 128], adc_bits: [5, 7]}
objectives: [energy_j, area_mm2]
"""
SEARCH = """seed: 1
generations: 1
data: {name: digits}
architecture: {space: cell, channels: 4, cells: 1, stages: 1, operations: [none, nor_conv_3x3]}
hardware: {device: rram_edge, knobs: {array_rows: [64, 128], adc_bits: [5, 7]}}
objectives: [energy_j]
fast: {pairs: 50}
slow: {trainings: 1, classes: 1, draws: 1, recipe: {epochs: 1}}
executor: {name: serial, portable: false}
"""
MEASURED = """name, network,batch,threads,runtime,precision,context,seconds,spread,energy_j
a,resnet18,1,1,eager,fp32,cold,0.052,0.05,nan
b,squeezenet1_1,1,1,eager,fp32,cold,0.021,0.06,nan
c,mobilenet_v2,1,1,eager,fp32,cold,0.024,0.05,nan
d,conv 3x224x224 out=64 kernel=7 padding=3 stride=2,1,1,eager,fp32,hot,0.0024,0.08,nan
"""


def accuracies(header: str = "genotype,accuracy") -> str:
    """A table of the 64 networks of `SPACES`."""
    rows = ["-".join(map(str, genes)) for genes in product(range(2), repeat=6)]
    return "\n".join([header, *(f"{genes},{0.5 + i / 200:.4f}" for i, genes in enumerate(rows))]) + "\n"


LLAMA = {
    "attention_bias": False, "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336,
    "max_position_embeddings": 131072, "mlp_bias": False, "model_type": "llama", "num_attention_heads": 32,
    "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
    "rope_scaling": {"factor": 8.0, "rope_type": "llama3"}, "rope_theta": 500000.0, "tie_word_embeddings": False,
    "vocab_size": 128256,
}  # fmt: skip
MISTRAL = {
    "hidden_act": "silu", "hidden_size": 4096, "intermediate_size": 14336, "model_type": "mistral",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "sliding_window": 4096,
    "tie_word_embeddings": False, "vocab_size": 32000,
}  # fmt: skip
NEOX = {
    "model_type": "gpt_neox", "hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8,
    "num_hidden_layers": 2, "vocab_size": 1000, "attention_bias": False,
}  # fmt: skip


def board(**changed: str) -> str:
    """A device file with some values written in another way."""
    text = device_template(device("rpi5"), name="board")
    for name, value in changed.items():
        text, found = re.subn(rf"^  {name}: {{value: [^,}}]*", f"  {name}: {{value: {value}", text, flags=re.M)
        assert found == 1, name
    return text


class Case(NamedTuple):
    """A command; what it says, in standard output and error together, and never says; its exit code.

    command : words, with file names of `files` and FILES/... of this folder. totals : values of the JSON's totals.
    """

    command: str
    says: tuple[str, ...] = ()
    code: int = 0
    files: dict[str, str] = {}  # noqa: RUF012
    totals: dict[str, float] = {}  # noqa: RUF012
    never: tuple[str, ...] = ()


def refused(command: str, *says: str, **files: str) -> Case:
    """A command that ends in one line."""
    return Case(command, says, 2, {name.replace("__", "."): text for name, text in files.items()})


def estimated(config: dict[str, Any], options: str, **totals: float) -> Case:
    """Totals of a transformer on a TPU."""
    command = f"estimate --hf-config config.json {options} --device tpu_v1 --json"
    return Case(command, files={"config.json": json.dumps(config)}, totals=totals)


ENUMERATE = "enumerate c.yaml -o out"
CASES: dict[str, Case] = {
    "01 search, nothing feasible": Case(
        "search c.yaml -o out", ("no pair meets latency_s <= 1 ns: the smallest seen is", "front of 0 pairs"),
        files={"c.yaml": SEARCH + "constraints: {latency_s: 1 ns}\n"}),
    "08 accuracies with a byte order mark": Case(
        f"{ENUMERATE} --accuracy acc.csv", ("front of [1-9]",),
        files={"c.yaml": SPACES, "acc.csv": "\ufeff" + accuracies()}),
    "10 accuracies with a space after the comma": Case(
        f"{ENUMERATE} --accuracy acc.csv", ("front of [1-9]",),
        files={"c.yaml": SPACES, "acc.csv": accuracies("genotype, accuracy")}),
    "10 measurements with a space after the comma": Case(
        "calibrate m.csv --like epyc_zen3_2vcpu -o board.yaml", ("device in board.yaml",), files={"m.csv": MEASURED}),
    "11 a genotype with two accuracies": Case(
        f"{ENUMERATE} --accuracy acc.csv",
        ("several rows, and their mean counts: 1-1-1-1-1-1 has 2 \\(0.815, 0.9999\\)", "front of [1-9]"),
        files={"c.yaml": SPACES, "acc.csv": accuracies() + "1-1-1-1-1-1,0.9999\n"}),
    "12 a section twice": refused(
        f"{ENUMERATE} --score macs", "c.yaml: line 8: hardware is not given once \\(line 4 has it too\\)",
        c__yaml=SPACES + "hardware:\n  device: isaac\n"),
    "14 an infinite clock in a file": refused(
        "estimate lenet5 --device board.yaml", "board.yaml: clock_hz: inf is not a finite number",
        board__yaml=board(clock_hz=".inf")),
    "14 an infinite clock in a grid": refused(
        "sweep lenet5 --family cpu --device rpi5 --set clock_hz=inf,2.4e9", "clock_hz: inf is not a finite number"),
    "16 a truth value as a number": refused(
        "estimate lenet5 --device board.yaml", "board.yaml: clock_hz: True is not a number",
        board__yaml=board(clock_hz="yes")),
    "17 what mistral leaves out": estimated(
        {"model_type": "mistral"}, "--input 1 --past 127", parameters=7_241_732_096, kv_cache_bytes=8_388_608),
    "17 what qwen2 leaves out": estimated(
        {"model_type": "qwen2"}, "--input 1 --past 127", parameters=12_049_846_272),
    # 32 layers, 8 heads of 128 for keys and values over the 4096 positions of the window; products of 7.11 G weights.
    "19 a sliding window": estimated(
        MISTRAL, "--input 1 --past 8191", kv_cache_bytes=268_435_456, macs=7_110_393_856 + 1_073_741_824),
    "20 attention without biases": estimated(NEOX, "--input 1", parameters=7_325_696),
    "20 pythia-70m without biases": estimated(
        {**NEOX, "num_hidden_layers": 6, "vocab_size": 50304}, "--input 1", parameters=70_414_336),
    "23 more than 2**63 MACs": estimated(LLAMA, "--input 1000000 --batch 64", macs=17_257_514_139_648_000_000),
    "23 more than can be counted": refused(
        "estimate --hf-config config.json --input 100000000 --batch 8 --device tpu_v1", "the most of one layer",
        config__json=json.dumps(LLAMA)),
    "25 no percentage in powers of ten": Case(
        "estimate --torch FILES/modules.py:conv3d --device systolic_edge", never=("1e\\+02 %",)),
    "26 a convolution in three dimensions": Case(
        "estimate --torch FILES/modules.py:conv3d --device systolic_edge --json",
        totals={"macs": 28_311_552, "parameters": 216}),
    "26 a transposed convolution in three dimensions": Case(
        "estimate --torch FILES/modules.py:transposed --device systolic_edge --json", totals={"macs": 2_880}),
    "29 complex weights": Case(
        "estimate --torch FILES/modules.py:complex_weights --device systolic_edge --json",
        totals={"macs": 6_912, "weight_bytes": 24}),
    "30 height and width left open": refused(
        "estimate --onnx FILES/dynamic.onnx --device systolic_edge", "say --input x=1x3x224x224"),
    "30 height and width given": Case(
        "estimate --onnx FILES/dynamic.onnx --input 3x32x32 --device systolic_edge --json", totals={"macs": 221_184}),
    "30 height and width given by name": Case(
        "estimate --onnx FILES/dynamic.onnx --input x=1x3x32x32 --device systolic_edge --json",
        totals={"macs": 221_184}),
    "31 wider than the device": Case(
        "estimate resnet18 --bits 32 --device systolic_edge", ("fp32 is rounded to int8", "weights 11.7 MB")),
    "31 wider than the device, in bytes": Case(
        "estimate resnet18 --bits 32 --device systolic_edge --json",
        totals={"weight_bytes": 11_684_712, "dram_bytes": 14_238_888}),
    "32 a constraint on no metric": refused(
        f"{ENUMERATE} --score macs", "constraints: latency is not one of", "did you mean latency_s\\?",
        c__yaml=SPACES + "constraints: {latency: 1 ms}\n"),
    "33 a tab in a configuration": refused(
        f"{ENUMERATE} --score macs", "c.yaml: line 5, column 1", c__yaml=SPACES.replace("  device", "\tdevice")),
    "33 a tab in a device": refused(
        "estimate lenet5 --device board.yaml", "board.yaml: line 2, column 1",
        board__yaml=board().replace("\n", "\n\t", 1)),
    "33 a decimal comma": refused(
        "estimate lenet5 --device board.yaml", "clock_hz: 2,4e9 is not a number \\(decimals follow a point\\)",
        board__yaml=board(clock_hz="2,4e9")),
    "34 a quantised module": refused(
        "estimate --torch FILES/modules.py:quantised --device rpi5", "give the float module with --bits 8"),
    "37 a search below a file": refused("search c.yaml -o c.yaml/run", "c.yaml is a file", c__yaml=SEARCH),
    "37 an enumeration below a file": refused(
        "enumerate c.yaml --score macs -o c.yaml/run", "c.yaml is a file", c__yaml=SPACES),
    "39 binary units": Case(
        f"{ENUMERATE} --score macs", ("front of [1-9]",),
        files={"c.yaml": SPACES + "constraints: {weight_bytes: 5 KiB}\n"}),
    "40 nothing to compare with": Case("validate spatial", ("--reference FOLDER or \\$CODESIGN_REFERENCE",)),
    "imports: a projected LSTM": Case(
        "estimate --torch FILES/modules.py:projected_lstm --device rpi5 --json", totals={"macs": 4_160}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_case_ends_as_it_should(run, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CODESIGN_REFERENCE", raising=False)
    for file, text in case.files.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    code, out, err = run(*case.command.replace("FILES", str(FILES)).split())
    assert code == case.code, out + err
    for words in case.says:
        assert re.search(words, " ".join((out + err).split())), out + err
    for words in case.never:
        assert not re.search(words, out + err)
    if case.totals:
        totals = json.loads(out)["totals"]
        assert {key: totals[key] for key in case.totals} == case.totals
    if code == 2:
        # torch itself warns where a module of the user quantises.
        told = [line for line in err.splitlines() if "deprecated" not in line]
        assert (out, len(told)) == ("", 1)
        assert not (tmp_path / "out").exists()


def test_03_07_json_across_devices_is_strict_and_has_no_best_where_nothing_fits(run) -> None:
    for networks in (("vgg16", "resnet18"), ("resnet18", "vgg16")):
        code, out, _ = run("crossdevice", *networks, "--family", "cpu", "--json")
        assert code == 0

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        found = json.loads(out, parse_constant=refuse)
        best = dict(zip(found["devices"], found["best"], strict=True))
        assert [best[name] for name in ("b_u585i_iot02a", "cy8cproto_062_4343w", "disco_f746ng")] == [None] * 3
        assert best["rpi5"] == "resnet18"


def test_02_a_report_survives_the_encoding_of_a_redirected_output() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "gbk"}
    code = "from codesign.cli import main; main()"
    command = [sys.executable, "-c", code, "estimate", "lenet5", "--device", "rpi5"]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 10


EXPERTS = {
    "model_type": "mixtral", "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 4,
    "num_hidden_layers": 1, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2,
    "vocab_size": 50, "tie_word_embeddings": False,
}  # fmt: skip


def test_35_a_mixture_of_experts_opens_with_the_extra_hf(run, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(EXPERTS))
    code, out, err = run("estimate", "--hf-config", path, "--input", "1", "--device", "tpu_v1", "--json")
    assert code == 0, err
    # Two tables; queries and outputs, keys and values of half the heads; a router; three matrices an expert; norms.
    attention, experts = 2 * 16 * 16 + 2 * 16 * 8, 4 * 3 * 16 * 32
    assert json.loads(out)["totals"]["parameters"] == 2 * 50 * 16 + attention + 4 * 16 + experts + 3 * 16


def test_35_without_the_extra_it_is_named(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(EXPERTS))
    code, out, err = run("estimate", "--hf-config", path, "--input", "1", "--device", "tpu_v1")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "codesign[hf]" in err
    assert "did you mean" not in err
