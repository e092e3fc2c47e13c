"""Published tables by reference: loaders held to the published correlations, joined cells, refusals, a run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from scipy.stats import spearmanr

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.estimate.base import Estimator, Request
from codesign.estimate.published_cells import PublishedCells, read_published_cells, reference_file
from codesign.estimate.table import read_nasbench201
from codesign.report.summary import summarise
from codesign.space.cell import CellSpace
from codesign.testing.estimator import EstimatorSuite
from hwmodels.array_file import read_arrays
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics

SPACE = CellSpace()
EXAMPLE = Path(__file__).parents[3] / "examples" / "darcy_pi5.yaml"
REFERENCE = os.environ.get("CODESIGN_REFERENCE")
needs_reference = pytest.mark.skipif(not REFERENCE, reason="CODESIGN_REFERENCE names no reference files")


def write_reference(folder: Path, *, seed: int = 0, **changed: npt.NDArray[np.float64]) -> Path:
    """A reference folder whose scores are numbers of cells, in an order of its own."""
    numbers = np.random.default_rng(seed).permutation(SPACE.size)
    (folder / "nas").mkdir(parents=True)
    ops = np.stack([SPACE.genotype_of(int(number)) for number in numbers]).astype(np.int8)
    percent = {f"acc{n}_cifar10_{part}": numbers / 200 for n in (12, 200) for part in ("test", "valid")}
    np.savez(folder / "nas/nb201_arch.npz", ops=ops, params=numbers, **percent)
    np.savez(folder / "nas/nb201_edge360.npz", score_darcy=changed.get("score_darcy", numbers / SPACE.size))
    np.savez(folder / "nas/nb201_analog.npz", analog=100 * numbers / SPACE.size, ptq=numbers * 0.0)
    return folder


def requests_of(cells: Sequence[int], numerics: Numerics = FLOAT) -> list[Request]:
    genotypes = [SPACE.genotype_of(cell) for cell in cells]
    return [Request(tuple(g.tolist()), SPACE.workload(g), numerics, 1.0, 0) for g in genotypes]


class TestPublishedCells(EstimatorSuite):
    def estimator(self) -> Estimator:
        scores = np.where(np.arange(SPACE.size) % 3 == 0, np.nan, np.arange(SPACE.size) / SPACE.size)
        return PublishedCells("toy", SPACE, scores, "score")

    def requests(self) -> Sequence[Request]:
        return requests_of(SPACE.representatives[[5, 6, 900, 4000]].tolist())


def test_scores_are_joined_over_cells_that_are_one_network(tmp_path: Path) -> None:
    found = read_published_cells(write_reference(tmp_path / "r"), "nasbench201-darcy")
    every = SPACE.enumerate()
    numbers = SPACE.number_of(SPACE.canonical(every))
    for number in SPACE.representatives[[3, 700, 5000]].tolist():
        same = np.flatnonzero((numbers == number) & SPACE.valid(every))
        assert found.scores[number] == pytest.approx((same / SPACE.size).mean())


def test_a_network_without_a_value_counts_as_diverged(tmp_path: Path) -> None:
    scores = np.full(SPACE.size, np.nan)
    found = read_published_cells(write_reference(tmp_path / "r", score_darcy=scores), "nasbench201-darcy")
    ((_, estimate),) = found.estimate(requests_of([int(SPACE.representatives[9])]))
    assert (estimate.error, estimate.diverged) == (1.0, True)


def test_a_score_knows_nothing_of_the_arithmetic_and_of_other_fidelities(tmp_path: Path) -> None:
    found = read_published_cells(write_reference(tmp_path / "r"), "nasbench201-analog")
    cell = int(SPACE.representatives[40])
    asked = [*requests_of([cell]), *requests_of([cell], Numerics(2, 2))]
    (_, first), (_, second) = found.estimate(asked)
    assert first == second
    assert first.metrics == {"accuracy": pytest.approx(1 - first.error)}
    with pytest.raises(SpecError, match="all that was published"):
        list(found.estimate([asked[0]._replace(fidelity=0.06)]))


def test_a_missing_reference_is_one_line_that_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODESIGN_REFERENCE", raising=False)
    for path in (None, tmp_path):
        with pytest.raises(SpecError, match=r"--reference FOLDER, \$CODESIGN_REFERENCE") as caught:
            reference_file(path, "nas/nb201_arch.npz")
        assert "\n" not in str(caught.value)
    folder = write_reference(tmp_path / "r")
    monkeypatch.setenv("CODESIGN_REFERENCE", str(folder))
    assert reference_file(None, "nas/nb201_arch.npz") == folder / "nas/nb201_arch.npz"
    with pytest.raises(SpecError, match="analog"):
        read_published_cells(None, "nasbench201-analog", "analogue")
    with pytest.raises(SpecError, match="needs two files"):
        read_published_cells(folder / "nas/nb201_arch.npz", "nasbench201-darcy")


# The published figures.


@needs_reference
@pytest.mark.parametrize(("dataset", "published"), [("cifar10", 0.772), ("cifar100", 0.825)])
def test_twelve_epochs_rank_two_hundred_as_published(dataset: str, published: float) -> None:
    """A test of the loader: all 15,625 rows give the figure, and the estimator, by cell, what was loaded."""
    path = reference_file(None, "nas/nb201_arch.npz")
    columns = read_arrays(path)
    early, late = columns[f"acc12_{dataset}_valid"], columns[f"acc200_{dataset}_test"]
    assert spearmanr(early, late).statistic == pytest.approx(published, abs=5e-4)
    table = read_nasbench201(path, dataset, early="valid")
    rows = np.random.default_rng(0).permutation(len(table.cells))[:200]
    numbers = SPACE.number_of(columns["ops"].astype(np.int64))
    place = np.argsort(numbers)[table.cells[rows]]
    for fidelity, column in ((12 / 200, early), (1.0, late)):
        asked = [one._replace(fidelity=fidelity) for one in requests_of(table.cells[rows].tolist())]
        found = [estimate.accuracy for _, estimate in table.estimate(asked)]
        assert found == pytest.approx((column[place] / 100).tolist())
    # Distinct connected networks alone, which is what a search sees, are harder to rank.
    whole = [table.accuracy(FLOAT, fidelity=fidelity) for fidelity in table.fidelities]
    assert spearmanr(*whole).statistic == pytest.approx({"cifar10": 0.749, "cifar100": 0.810}[dataset], abs=5e-4)


@needs_reference
def test_the_published_analog_accuracies_are_ranked_by_the_float_ones_as_published() -> None:
    """.83 over all cells that were measured [the reference folder's notes]."""
    analog, baseline = (read_published_cells(None, "nasbench201-analog", name) for name in ("analog", "baseline"))
    columns = read_arrays(reference_file(None, "nas/nb201_analog.npz"))
    known = np.isfinite(columns["analog"])
    assert spearmanr(columns["analog"][known], columns["baseline"][known]).statistic == pytest.approx(0.83, abs=0.01)
    for one in (analog, baseline):
        found = one.scores[np.isfinite(one.scores)]
        assert 3900 < len(found) < len(SPACE.representatives)  # a third of the rows is held out
        assert 0.09 < found.min() <= found.max() < 0.96


@needs_reference
def test_the_example_of_physics_on_a_raspberry_pi_runs_under_reference(tmp_path: Path, run) -> None:
    assert REFERENCE is not None
    shortened = ["--set", "generations=2", "--set", "fast.pairs=200", "--set", "executor.name=serial"]
    code, out, err = run(
        "search", EXAMPLE, "-o", tmp_path / "run", "--reference", REFERENCE, "--json", *shortened
    )  # fmt: skip
    assert code == 0, err
    front = json.loads(out)["front"]
    assert max(pair["objectives"]["score"] for pair in front) > 0.95  # the median of all cells is 0.946
    assert all(pair["objectives"]["latency_s"] <= 15e-3 for pair in front)
    assert summarise(tmp_path / "run").judged_by == "score"


def content() -> dict[str, object]:
    loaded = yaml.safe_load(EXAMPLE.read_text())
    loaded |= {"generations": 1, "fast": {"pairs": 50}, "executor": "serial"}
    return loaded


def test_a_run_by_a_table_of_other_networks_is_refused(tmp_path: Path, run) -> None:
    folder = write_reference(tmp_path / "r")
    wrong = content()
    wrong["architecture"] = {"space": "cell", "channels": 8, "image": [1, 88, 88]}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(wrong))
    code, _, err = run("search", tmp_path / "run.yaml", "-o", tmp_path / "run", "--reference", folder)
    assert code == 2
    assert "what nasbench201-darcy/score_darcy holds: cells of 16 channels" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_by_an_own_reference_folder(tmp_path: Path) -> None:
    chosen = content()
    chosen["estimator"] = {"name": "table", "table": "nasbench201-analog", "path": str(write_reference(tmp_path / "r"))}
    begin(parse_config(chosen), tmp_path / "run").go()
    assert summarise(tmp_path / "run").judged_by == "accuracy"
