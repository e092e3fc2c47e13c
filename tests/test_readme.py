"""The README's code runs, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

README = Path(__file__).parents[1] / "README.md"


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

    assert f"{len(ZOO)} published networks are built in" in README.read_text(encoding="utf-8")


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
