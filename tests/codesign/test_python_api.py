"""From Python: what a notebook shows of a cost report, a sweep, a calibration, a run and an exact front."""

from __future__ import annotations

from pathlib import Path

import pytest

import codesign
import hwmodels
from hwmodels.calibrate import calibrate
from hwmodels.measurements import Measurement

RUN = {
    "generations": 1,
    "architecture": {"space": "chain", "stages": 1, "kernel": [3], "width": [4, 8], "depth": [1], "bits": [8]},
    "hardware": {"device": "systolic_edge", "knobs": {"array_rows": [8, 16], "array_cols": [8, 16]}},
    "fast": {"pairs": 50},
    "slow": {"trainings": 1, "classes": 1},
    "estimator": {"draws": 1, "recipe": {"epochs": 1, "batch_size": 256}},
    "executor": {"name": "serial", "portable": False},
}


def shows_itself(item: object) -> str:
    """A short text, a page fragment and a table."""
    text = repr(item)
    assert len(text) < 1500
    assert type(item).__name__ in text
    assert "<p>" in item._repr_html_() or "<table" in item._repr_html_()
    assert len(item.to_frame().columns) > 1
    return text


def test_a_cost_report_is_a_table_of_layers() -> None:
    report = hwmodels.estimate("resnet18", "systolic_edge", bits=8)
    assert "resnet18, batch 1, spatial: latency" in shows_itself(report)
    frame = report.to_frame()
    assert frame["macs"].sum() == report.totals["macs"]
    assert frame["latency_s"].sum() == pytest.approx(report.totals["latency_s"])
    assert set(frame["limit"]) <= set(report.bottleneck())


def test_a_sweep_is_a_table_of_pairs() -> None:
    table = hwmodels.sweep(["resnet18", "vgg11"], "systolic_edge", {"array_rows": [32, 64]})
    assert "2 networks x 2 designs of spatial" in shows_itself(table)
    one = hwmodels.estimate("vgg11", "systolic_edge").totals["latency_s"]
    frame = table.to_frame()
    assert one in frame[(frame["network"] == "vgg11")]["latency_s"].tolist()
    with pytest.raises(hwmodels.SpecError, match="did you mean array_rows"):
        hwmodels.sweep("vgg11", "systolic_edge", {"array_row": [16]})


def test_a_graph_keeps_its_own_batch() -> None:
    graph = hwmodels.network("lenet5", batch=3)
    assert hwmodels.estimate(graph, "systolic_edge").batch == 3
    with pytest.raises(hwmodels.SpecError, match="a graph has its own"):
        hwmodels.estimate(graph, "systolic_edge", batch=2)


def test_a_calibration_is_a_table_of_knobs() -> None:
    device = hwmodels.device("systolic_edge")
    seconds = hwmodels.estimate("resnet18", device, bits=8).totals["latency_s"]
    row = Measurement("resnet18", "resnet18", precision="int8", seconds=1.1 * seconds)
    fitted = calibrate(device, [row], knobs=["sram_bytes_per_cycle"])
    assert "1 knobs" in shows_itself(fitted)


def test_a_run_and_an_exact_front(tmp_path: Path) -> None:
    summary = codesign.search(RUN, tmp_path / "run")
    assert "1 generations: 50 pairs considered" in shows_itself(summary)
    assert repr(codesign.load(tmp_path / "run")) == repr(summary) == repr(codesign.resume(tmp_path / "run"))
    assert list(summary.to_frame()["accuracy"]) == [pair.objectives["accuracy"] for pair in summary.front]
    front = codesign.enumerate(RUN, tmp_path / "front", score="macs")
    assert f"ExactFront({len(front)} of" in shows_itself(front)
    assert {"macs", "latency_s"} <= set(front.to_frame().columns)
    with pytest.raises(hwmodels.SpecError, match="did you mean macs"):
        codesign.enumerate(RUN, tmp_path / "other", score="mac")
