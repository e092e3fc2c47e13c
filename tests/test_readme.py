"""The README's code runs, and its commands exist."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

SHORTENED = {
    "measure": ("resnet18 --no-layers --seconds 0.001", "times eighteen networks for minutes"),
    "tradeoff": ("--array-rows 64 --adc-bits 6", "reads every array size at six resolutions"),
    "search": (
        "--set generations=1 --set fast.pairs=500 --set slow.trainings=1 --set slow.classes=1 "
        "--set estimator.recipe.epochs=1 --set least_accuracy=0 --set executor=serial",
        "trains ten networks",
    ),
    "enumerate": ("--set hardware.knobs.tiles=[4] --set hardware.knobs.adc_bits=[5]", "costs 180 million pairs"),
    "design": ("--budget '100 s'", "takes its two minutes"),
    "validate": ("crossbar", "predicts every set that ships, the CPU's networks among them"),
}
"""Command -> what is added to its line, and why the line as it stands is too long for a test."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)


def test_the_estimate_in_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.startswith("CostReport(resnet50, batch 1, spatial: latency ")
    assert "CostTable(2 networks x 3 designs of spatial)" in printed


def test_the_search_in_python_compiles() -> None:
    """It runs for a minute, so the notebook runs a smaller one."""
    compile(blocks("python")[1], "README.md", "exec")


def test_the_own_network_in_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks("python")[2], "README.md", "exec"), {})
    assert int(capsys.readouterr().out.split()[0]) == 109 * 109 * 64 * 147 + 107 * 107 * 64 * 576


def test_the_number_of_networks_is_the_zoos() -> None:
    from hwmodels.workload.zoo import ZOO

    readme = README.read_text(encoding="utf-8")
    assert f"{len(ZOO)} published networks are built in" in readme
    assert f"layer lists, {len(ZOO)} built in" in readme


def test_every_command_of_the_readme_exists() -> None:
    from codesign.cli import app

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"^codesign (\w+)|\| (\w+)", "\n".join(blocks("sh")), flags=re.M))
    words = {word for pair in named for word in pair if word}
    assert words <= known
    assert known <= words


def test_both_set_up_commands_are_one_line_with_the_constraints() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert all("-c constraints.txt" in line for line in lines)
    assert "codesign search examples/quickstart.yaml -o runs/quickstart" in lines[0]
    assert "pytest" in lines[1]


def command_lines() -> Iterator[str]:
    """Every line of the README that calls codesign, without its comment; lists `a | b` one by one."""
    for block in blocks("sh"):
        for line in block.splitlines():
            if line.startswith("codesign "):
                words, *others = re.sub(r"\s+#.*", "", line).split(" | ")
                yield words
                yield from (f"codesign {word.strip()}" for word in others)


def test_every_command_of_the_readme_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In order and in one folder with the examples, as a reader pastes them; those of `SHORTENED` in less time."""
    from codesign.cli import main

    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CODESIGN_REFERENCE", raising=False)  # what a reader has
    lines = list(command_lines())
    assert len(lines) > 30
    for line in lines:
        written, _, target = line.partition(" > ")
        added = SHORTENED.get(written.split()[1], ("", ""))[0]
        monkeypatch.setattr(sys, "argv", shlex.split(f"{written} {added}"))
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        assert not caught.value.code, f"{line}: {printed.err}"
        assert printed.out, line
        if target:
            Path(target.strip()).write_text(printed.out, encoding="utf-8")
    made = {path.name for path in tmp_path.iterdir()}
    assert made >= {"net.png", "trade.png", "mine.csv", "mine.yaml", "board.yaml", "run.yaml", "runs"}


def test_what_the_readme_shortens_it_names() -> None:
    assert {line.split()[1] for line in command_lines()} >= set(SHORTENED)


def test_every_file_that_the_readme_links_is_there() -> None:
    targets = re.findall(r"\]\((?!http|#)([^)#]+)\)|src=\"([^\"]+)\"", README.read_text(encoding="utf-8"))
    assert len(targets) > 10
    for pair in targets:
        target = next(filter(None, pair))
        assert (ROOT / target).exists(), target


def module(path: Path) -> Any:
    """A script outside the packages."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


TABLES = ROOT / "benchmarks" / "tables"


def test_the_table_of_validation_is_that_of_its_records() -> None:
    script = module(TABLES / "validation.py")
    readme = README.read_text(encoding="utf-8")
    records = json.loads((TABLES / "validation.json").read_text(encoding="utf-8"))
    assert script.replaced(readme, records) == readme
    assert script.table(records) in readme


@pytest.mark.skipif(not os.environ.get("CODESIGN_REFERENCE"), reason="CODESIGN_REFERENCE is not set")
def test_the_records_of_the_table_are_what_validate_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the family that is validated in seconds; the other sets have tests of their own."""
    from hwmodels.validate import validate

    script = module(TABLES / "validation.py")
    records = json.loads((TABLES / "validation.json").read_text(encoding="utf-8"))
    found = script.kept([asdict(score) for score in validate(["spatial"])])
    assert found == [record for record in records if record["family"] == "spatial"]


def test_the_example_networks_are_one_network(tmp_path: Path) -> None:
    """The ONNX file is what its script writes, and the topology is its layers."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    from hwmodels.workload.from_layer_list import from_layer_list
    from hwmodels.workload.from_onnx import from_onnx

    examples = ROOT / "examples"
    module(examples / "make_onnx.py").write(tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (examples / "small_cnn.onnx").read_bytes()
    macs = 28 * 28 * 8 * 9 + 14 * 14 * 16 * 72 + 7 * 7 * 32 * 144 + 320
    assert from_onnx(examples / "small_cnn.onnx").macs == macs
    assert from_layer_list(examples / "small_cnn.csv").macs == macs


def test_the_example_measurements_are_rows_of_the_published_ones() -> None:
    published = (ROOT / "hwmodels" / "reference" / "measured_epyc_zen3.csv").read_text(encoding="utf-8").splitlines()
    rows = (ROOT / "examples" / "measured.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == published[0]
    assert set(rows) <= set(published)
    assert f"{len(rows) - 1} latencies" in README.read_text(encoding="utf-8")
