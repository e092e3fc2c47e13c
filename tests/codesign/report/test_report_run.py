"""Summary, figures and page of a small run whose costs are real and whose accuracies are made up."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from codesign.app.assemble import dataset_of, joint_space, manifest
from codesign.app.config import RunConfig, parse_config
from codesign.estimate.base import Estimate
from codesign.pareto import non_dominated
from codesign.report import plots
from codesign.report.cloud import DEFERRED_NAME, cloud_of
from codesign.report.design import design_of, layer_bars, roofline_of
from codesign.report.html import Report, read_report, write_report
from codesign.report.summary import Summary, summarise
from codesign.report.tables import ledger_table, pareto_table, reading_table
from codesign.store import EvaluatedPair, RunStore
from codesign.strategy.base import Proposal
from codesign.two_level.fast import FastLevel, Known
from codesign.two_level.ledger import Ledger
from hwmodels.numerics import Numerics
from hwmodels.workload.rewrite import COMPILED, RUNTIMES

CONFIG = {
    "seed": 3,
    "generations": 2,
    "architecture": {"space": "chain", "stages": 2, "kernel": [1, 3], "width": [8, 16], "depth": [1], "bits": [8]},
    "hardware": {
        "device": "rram_edge",
        "knobs": {"adc_bits": [4, 6], "tiles": [1, 4], "columns_per_adc": [8, 64], "array_rows": [64, 128]},
    },
    "objectives": ["energy_j", "latency_s"],
    "constraints": {"area_mm2": 4.0},
    "least_accuracy": 0.3,
    "fast": {"pairs": 150},
}


def make_run(folder: Path) -> RunStore:
    """Two generations: every pair's cost from the FAST level, four survivors each with an invented accuracy."""
    config: RunConfig = parse_config(CONFIG)
    data = dataset_of(config.data)
    space = joint_space(config, data)
    store = RunStore.create(folder, manifest(config, data, space))
    objectives = tuple(config.objectives)
    fast = FastLevel(space, COMPILED, objectives=objectives, constraints=config.constraints)
    nothing = Known(
        np.zeros((0, 2)), np.zeros(0), np.zeros((0, space.architecture.n_genes), np.int64),
        np.zeros((0, len(Numerics._fields))), np.zeros(0), np.zeros(0),
    )  # fmt: skip
    for generation in range(2):
        found = fast.evaluate(
            Proposal.full(space.sample(150, np.random.default_rng(generation))), nothing, np.random.default_rng(0)
        )
        chosen = found.survivors[:4]
        pairs = []
        for i, row in enumerate(chosen):
            accuracy = 0.2 + 0.1 * i + 0.3 * generation
            estimate = Estimate.of_accuracy(
                accuracy, accuracy - 0.05, spread=0.01, draws=(accuracy,), fidelity=1.0, key="k"
            )
            store.keep_estimate(f"{generation}-{i}", estimate)
            costs = {name: float(values[row]) for name, values in found.costs.items()}
            numerics = tuple(found.numerics[found.numerics_id[row]].tolist())
            pairs.append(EvaluatedPair(tuple(found.genotypes[row].tolist()), numerics, f"{generation}-{i}", costs))
        store.write_fast(generation, found.genotypes, found.reason, found.costs)
        ledger = Ledger(
            considered=150, pruned=fast.reasons.counts(found.reason), evaluated=4, deferred=len(found.survivors) - 4,
            trained=3, estimates=4, violating=0, seconds={"fast": 0.5, "slow": 2.0},
        )  # fmt: skip
        store.commit(generation, pairs, {"x": np.zeros(1)}, ledger)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    return make_run(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def report(store: RunStore) -> Report:
    return read_report(store)


@pytest.fixture(scope="module")
def written(store: RunStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_report(read_report(store), folder)
    return folder


# The summary.


def test_counts_add_up(report: Report) -> None:
    told = report.summary.as_dict()
    assert told["considered"] == 300
    assert sum(told["pruned"].values()) + told["evaluated"] + told["deferred"] == 300
    assert (told["trained"], told["estimates"], told["seconds"]) == (6, 8, {"fast": 1.0, "slow": 4.0})
    assert any(reason.startswith("constraint area_mm2") for reason in told["pruned"])
    json.dumps(told, allow_nan=False)


def test_front_is_not_dominated_and_keeps_the_least_accuracy(report: Report) -> None:
    summary = report.summary
    assert all(pair.objectives["accuracy"] >= 0.3 for pair in summary.front)
    points = np.array(
        [[1 - p.objectives["accuracy"], p.costs["energy_j"], p.costs["latency_s"]] for p in summary.front]
    )
    assert non_dominated(points).all()
    feasible = [pair for pair in summary.evaluated if pair.objectives["accuracy"] >= 0.3]
    best = max(feasible, key=lambda pair: pair.objectives["accuracy"])
    assert best.on_front
    assert summary.front[0].objectives["accuracy"] == best.objectives["accuracy"]


def test_records_name_architecture_hardware_and_objectives(report: Report) -> None:
    record = report.summary.as_dict()["front"][0]
    assert set(record) == {"architecture", "hardware", "objectives", "genotype"}
    assert list(record["hardware"]) == ["adc_bits", "tiles", "columns_per_adc", "array_rows"]
    accuracies = ["accuracy", "accuracy_low", "accuracy_high", "accuracy_test", "spread"]
    assert list(record["objectives"]) == ["energy_j", "latency_s", *accuracies]
    cut = report.space.architecture.n_genes
    assert record["architecture"] == report.space.architecture.describe(np.array(record["genotype"][:cut]))


def test_progress_never_falls_and_its_reference_is_the_stated_rule(report: Report) -> None:
    summary = report.summary
    progress = summary.progress
    assert progress.trainings.tolist() == [3, 6]
    assert progress.accuracy.tolist() == pytest.approx([0.5, 0.8])
    assert 0 < progress.hypervolume[0] <= progress.hypervolume[1] < 1
    worst = max(pair.costs["energy_j"] for pair in summary.evaluated)
    assert summary.reference == pytest.approx(
        {"error": 1.0, "energy_j": 1.1 * worst, "latency_s": summary.reference["latency_s"]}
    )


def test_unfinished_run_without_a_front(tmp_path: Path) -> None:
    config = parse_config(CONFIG)
    data = dataset_of(config.data)
    empty = RunStore.create(tmp_path / "run", manifest(config, data, joint_space(config, data)))
    summary = summarise(empty)
    assert (summary.front, summary.knee, summary.as_dict()["best_accuracy"]) == ((), None, None)
    paths = write_report(read_report(empty), tmp_path / "out")
    assert "there is no front" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert [path.name for path in paths] == ["report.html", "pareto.csv", "pareto.md", "pareto.tex", "front.json"]


# What lies behind the figures.


def test_cloud_is_a_stated_sample(store: RunStore, report: Report) -> None:
    everything = cloud_of(store, report.config, report.space, report.summary)
    ledger = report.summary.ledger
    assert everything.pruned_known + everything.costless == sum(ledger.pruned.values())
    # A pair that is evaluated in one generation and deferred in the other is no deferred pair.
    assert 0 < everything.deferred_known <= ledger.deferred
    drawn = {name: rows.size for name, rows in everything.drawn}
    assert drawn[DEFERRED_NAME] == everything.deferred_drawn == everything.deferred_known
    part = cloud_of(store, report.config, report.space, report.summary, pruned=5, deferred=7)
    again = cloud_of(store, report.config, report.space, report.summary, pruned=5, deferred=7)
    assert (part.pruned_drawn, part.deferred_drawn) == (5, 7)
    assert "5 of" in part.note
    assert "7 of" in part.note
    np.testing.assert_array_equal(part.costs["energy_j"], again.costs["energy_j"])


def test_the_knee_layer_by_layer_is_the_pair_that_was_evaluated(report: Report) -> None:
    design, knee = report.design, report.summary.knee_pair
    assert design is not None
    assert knee is not None
    for name, value in knee.costs.items():
        assert design.report.totals[name] == pytest.approx(value, rel=1e-9)
    bars = layer_bars(design)
    assert bars.latency_s.sum() == pytest.approx(knee.costs["latency_s"])
    assert sum(part.sum() for part in bars.energy_parts.values()) == pytest.approx(knee.costs["energy_j"])
    roof = roofline_of(design)
    assert roof.peak is not None
    assert (roof.rate <= roof.peak).all()


def test_roofline_of_a_family_with_dram_has_its_bandwidth(report: Report) -> None:
    config = parse_config({**CONFIG, "hardware": {"device": "systolic_edge", "knobs": {"array_rows": [8, 16]}}})
    space = joint_space(config, dataset_of(config.data))
    genotype = (*(0 for _ in range(space.architecture.n_genes)), 1)
    design = design_of(replace(report.summary.evaluated[0], genotype=genotype), config, space)
    roof = roofline_of(design)
    assert roof.bytes_name == "DRAM byte"
    assert roof.bandwidth is not None
    assert (roof.rate <= roof.bandwidth * roof.intensity * (1 + 1e-9)).all()
    label = plots.plot_roofline(design).get_xlabel()
    assert label == "MAC per DRAM byte, higher is better"


def test_summary_and_tables_load_no_plotting_library() -> None:
    heavy = ("matplotlib", "plotly", "pandas", "torch")
    code = f"import sys, codesign.report.html; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


# Figures with matplotlib.


def labels(ax: Axes) -> tuple[str, str]:
    return ax.get_xlabel(), ax.get_ylabel()


def test_plots_label_unit_and_direction(report: Report) -> None:
    summary, cloud, design = report.summary, report.cloud, report.design
    assert design is not None
    x, y = labels(plots.plot_costs(summary, cloud))
    assert x.startswith("latency (")
    assert x.endswith("s), lower is better")
    assert y.startswith("energy (")
    assert y.endswith("J), lower is better")
    assert labels(plots.plot_accuracy(summary, cloud))[1] == "accuracy (%), higher is better"
    assert plots.plot_layer_latency(design).get_xlabel().endswith("s), lower is better")
    assert plots.plot_layer_energy(design).get_xlabel().endswith("J), lower is better")
    x, y = labels(plots.plot_roofline(design))
    assert x == "MAC per operand byte, higher is better"
    assert y.endswith("MAC/s), higher is better")
    x, y = labels(plots.plot_progress(summary.progress))
    assert (x, y) == ("networks trained (count), fewer is better", "hypervolume (% of box), higher is better")
    assert "(count)" in plots.plot_ledger(summary.ledger).get_xlabel()


def test_plots_draw_into_the_given_axes(report: Report) -> None:
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert plots.plot_ledger(report.summary.ledger, ax) is ax


def test_waterfall_ends_at_the_evaluated_pairs(report: Report) -> None:
    steps = plots.waterfall(report.summary.ledger)
    assert steps[0][2] == 300
    assert steps[-2][1] == steps[-1][2] == report.summary.ledger.evaluated


# The page and the files.


class Page(HTMLParser):
    """Open tags, ids, and everything that a browser would fetch."""

    void = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in self.void:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        loads = [values[key] for key in ("src", "srcset", "poster") if values.get(key)]
        loads += [values["href"]] if tag == "link" else []
        self.fetched += [str(url) for url in loads if not str(url).startswith("data:")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page_is_whole_and_fetches_nothing(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.fetched == []
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert len(page.ids) == len(set(page.ids))
    assert {"front", "knee", "assumptions", "plot-costs", "plot-roofline"} <= set(page.ids)
    assert text.count("plotly.js v") == 1
    assert "a random sample of" in text


def test_the_page_says_how_networks_were_executed(report: Report, written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    assert f"{report.config.runtime} runtime ({RUNTIMES[report.config.runtime]})" in text


def test_every_reason_stands_in_the_ledger(report: Report) -> None:
    first = ledger_table(report.summary).columns[0].cells
    assert all(f"pruned, {reason}" in first for reason in report.summary.ledger.pruned)


def test_files_are_the_front_and_the_same_each_time(
    store: RunStore, report: Report, written: Path, tmp_path: Path
) -> None:
    summary: Summary = report.summary
    assert json.loads((written / "front.json").read_text()) == summary.as_dict()["front"]
    assert (written / "pareto.csv").read_text(encoding="utf-8") == pareto_table(summary).csv()
    again = write_report(read_report(store), tmp_path)
    assert {path.name for path in again} == {path.name for path in written.iterdir()}
    assert all(path.read_bytes() == (written / path.name).read_bytes() for path in again)


def test_the_table_for_readers_drops_nothing_but_what_it_tells(report: Report) -> None:
    """Every column of the files is a column, part of the accuracy, without a value, or in the caption."""
    whole, shown = pareto_table(report.summary), reading_table(report.summary)
    columns = dict(zip(shown.headers, shown.columns, strict=True))
    accuracy = columns.pop("accuracy (%), 95 % interval")
    for column in whole.columns:
        if column.header in ("accuracy (%)", "95 % from (%)", "95 % to (%)"):
            assert all(part in cell or part == "–" for part, cell in zip(column.cells, accuracy.cells, strict=True))
        elif column.header in columns:
            assert columns.pop(column.header) == column
        elif set(column.cells) != {"–"}:
            assert len(set(column.cells)) == 1
            assert f"{column.header} {column.cells[0]}" in shown.caption
    assert columns == {}
    assert accuracy.numbers == next(c.numbers for c in whole.columns if c.header == "accuracy (%)")


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the path")
def test_a_browser_draws_every_figure_without_errors(report: Report, written: Path, tmp_path: Path) -> None:
    command = [
        str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom",
        "--virtual-time-budget=10000", f"--user-data-dir={tmp_path}", (written / "report.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [line for line in done.stderr.splitlines() if ":CONSOLE" in line] == []
    for identity in ("costs", "accuracy", "ledger", "latency", "energy", "roofline", "progress"):
        start = done.stdout.index(f'id="plot-{identity}"')
        assert "svg-container" in done.stdout[start : start + 600], identity
    assert done.stdout.count("<button>") == len(reading_table(report.summary).headers)
