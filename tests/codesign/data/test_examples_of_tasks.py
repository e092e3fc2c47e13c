"""The examples of each task, shortened: one generation, one epoch, and a front whose metrics are the task's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import codesign
from codesign.cli import main
from codesign.report.summary import Summary

EXAMPLES = Path(__file__).parents[3] / "examples"
SHORTENED = ("generations=1", "fast.pairs=64", "slow.trainings=2", "estimator.recipe.epochs=1", "executor=serial")

CASES: dict[str, tuple[str, tuple[str, ...], dict[str, str], str]] = {
    # file, what else is shortened or bounded, metrics in order, which of the first is better
    "table": (
        "diabetes_table.yaml", ("constraints.r2='>= 0.0001'", "estimator.recipe.epochs=8"),
        {"r2": "R2", "rmse": "RMSE", "r2_test": "test R2"}, "higher",
    ),
    "text": (
        "text_microcontroller.yaml",
        ("data.length=8", "data.root=examples/diabetes.csv", "constraints.perplexity='<= 200'"),
        {"perplexity": "perplexity", "bits_per_token": "bits per token", "perplexity_test": "test perplexity"}, "lower",
    ),
    "super-resolution": (
        "super_resolution_phone.yaml", ("constraints.psnr_db='>= 12 dB'", "architecture.features=[4]"),
        {"psnr_db": "PSNR (dB)", "psnr_test_db": "test PSNR (dB)"}, "higher",
    ),
    "segmentation": (
        "tissue_segmentation.yaml", ("constraints.miou='>= 5 %'", "architecture.width=[2]"),
        {"miou": "mIoU (%)", "pixel_accuracy": "pixel accuracy (%)", "miou_test": "test mIoU (%)"}, "higher",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run files name their table from the repository's root."""
    monkeypatch.chdir(EXAMPLES.parent)


def run(name: str, folder: Path, *more: str) -> Summary:
    if name in ("super-resolution", "segmentation"):
        pytest.importorskip("skimage", reason="the extra data is not installed")
    file, overrides, _, _ = CASES[name]
    return codesign.search(EXAMPLES / file, folder, overrides=(*SHORTENED, *overrides, *more))


@pytest.mark.parametrize("name", CASES)
def test_an_example_runs_end_to_end(name: str, tmp_path: Path) -> None:
    summary = run(name, tmp_path / "run")
    _, _, metrics, better = CASES[name]
    first, *_ = metrics
    assert (summary.judged_by, summary.better) == (first, better)
    assert 1 <= len(summary.front) <= len(summary.evaluated) == 2
    assert list(summary.front[0].objectives) == ["latency_s", "energy_j", *metrics, "spread"]
    values = [pair.value(first) for pair in summary.evaluated]
    kept = [v for v in values if v <= 200] if better == "lower" else values
    assert summary.progress.accuracy[-1] == (min(kept) if better == "lower" else max(kept))
    headers = (tmp_path / "run" / "pareto.csv").read_text().splitlines()[0]
    assert all(shown in headers for shown in metrics.values())
    record = json.loads((tmp_path / "run" / "front.json").read_text())
    assert record[0]["objectives"][first] == summary.front[0].value(first)


def test_best_so_far_falls_where_less_is_better(tmp_path: Path) -> None:
    from codesign.report.html import read_report
    from codesign.report.plots import best_so_far, plot_accuracy, plot_progress
    from codesign.store import RunStore

    summary = run("text", tmp_path / "run")
    line = best_so_far(summary, "latency_s")
    assert (line[1:, 1] < line[:-1, 1]).all()
    assert line[-1, 1] == min(pair.value("perplexity") for pair in summary.evaluated)
    report = read_report(RunStore.open(tmp_path / "run"))
    assert plot_accuracy(report.summary, report.cloud).get_ylabel() == "perplexity, lower is better"
    ax = plot_progress(report.summary.progress)
    assert any(one.get_ylabel() == "best perplexity, lower is better" for one in ax.figure.axes)


def test_a_limit_on_a_metric_of_which_less_is_better_keeps_the_others_off_the_front(tmp_path: Path) -> None:
    summary = run("text", tmp_path / "run", "constraints.perplexity='<= 1.01'")
    assert summary.front == ()
    assert summary.ledger.violating == len(summary.evaluated) == 2
    assert "perplexity" in summary.shortfall[0]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("text", "architecture={space: chain}", "data: text: items of shape 8 is not images"),
        ("text", "architecture={space: transformer, kind: vision}", "kind: vision is not one that reads 8"),
        ("table", "data.task=classification", "images of a class"),
        ("table", "least_accuracy=0.5", "constraints: accuracy is not one of"),
        ("table", "estimator=zero_cost", "zero_cost: a task of regression is not classification"),
        ("text", "constraints.psnr_db='>= 28'", "constraints: psnr_db is not one of"),
        ("text", "data.length=1", "data.length: 1 is not >= 2"),
        ("text", "data.size=8", "data: size: 8 is not a key of text"),
    ],
)
def test_what_does_not_fit_the_task_is_one_line_before_anything_is_written(
    name: str, change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    file, overrides, _, _ = CASES[name]
    arguments = [part for one in (*SHORTENED, *overrides, change) for part in ("--set", one)]
    monkeypatch.setattr(
        "sys.argv", ["codesign", "search", str(EXAMPLES / file), "-o", str(tmp_path / "run"), *arguments]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err.strip()
    assert ended.value.code == 2
    assert "\n" not in told
    assert words in told
    assert not (tmp_path / "run").exists()
