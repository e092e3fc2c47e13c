"""`codesign estimate --timeline`: table, record and picture of branches on several GPUs; the rest in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

GOOGLENET = ("estimate", "googlenet", "--device", "a100_pair")


def test_layers_are_listed_with_their_parts_and_times(run) -> None:
    code, out, _ = run(*GOOGLENET, "--json")
    assert code == 0
    found = json.loads(out)["timeline"]
    assert found["latency_s"] < found["one_gpu_s"]
    assert {layer["on"] for layer in found["layers"]} == {"GPU 0", "GPU 1"}
    assert max(layer["end_s"] for layer in found["layers"]) == pytest.approx(found["latency_s"])


def test_a_picture_is_drawn_and_not_written_over(run, tmp_path: Path) -> None:
    picture = tmp_path / "timeline.svg"
    code, out, _ = run(*GOOGLENET, "--timeline", str(picture))
    assert code == 0
    assert "GPU 1" in out
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.lstrip().startswith("<?xml")
    assert run(*GOOGLENET, "--timeline", str(picture))[0] == 2
    assert picture.read_text(encoding="utf-8") == drawn


def test_one_gpu_has_one_line(run) -> None:
    code, told, _ = run(*GOOGLENET, "--set", "gpus=1")
    assert code == 0
    assert "100 %" in told
    assert "GPU 1" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("estimate", "googlenet", "--device", "isaac", "--timeline", "a.png"), "that has a timeline: gpu_branches"),
        ((*GOOGLENET, "--timeline", "timeline.jpg"), "ends in .png, .svg, .pdf"),
        ((*GOOGLENET, "--set", "gpus=99"), "gpus"),
    ],
)
def test_what_cannot_be_shown_is_one_line(run, arguments: tuple[str, ...], told: str) -> None:
    code, _, error = run(*arguments)
    assert code == 2
    assert told in error
    assert error.count("\n") == 1
