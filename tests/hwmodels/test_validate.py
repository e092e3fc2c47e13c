"""Score metrics against hand values and scipy; reference folders; names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from hwmodels.errors import SpecError
from hwmodels.families import base
from hwmodels.families.base import families, family, folder_of
from hwmodels.validate import REFERENCE_VARIABLE, ReferenceTables, Score, score, validate
from tests.hwmodels.toy_folder import model, validation

PREDICTED, PUBLISHED = [90.0, 110.0, 200.0, 330.0, 400.0], [100.0, 100.0, 200.0, 300.0, 500.0]
# errors in percent: -10, +10, 0, +10, -20


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("mape", 10.0),
        ("median_error", 10.0),
        ("p90_error", 16.0),  # between 10 and 20: linear at 0.9 x 4 = 3.6
        ("max_error", 20.0),
        ("bias", -2.0),
        ("mean_absolute_error", 30.0),  # 10, 10, 0, 30, 100
        ("exact_fraction", 0.2),
    ],
)
def test_metrics_by_hand(metric: str, value: float) -> None:
    assert score(metric, PREDICTED, PUBLISHED) == pytest.approx(value)  # type: ignore[arg-type]


def test_exact_within_a_tolerance() -> None:
    assert score("exact_fraction", PREDICTED, PUBLISHED, relative_tolerance=0.1) == 0.8
    assert score("exact_fraction", [-1.0], [-1.05], relative_tolerance=0.05) == 1.0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=20))
def test_ranks_are_scipys(pairs: list[tuple[int, int]]) -> None:
    p, q = (np.array(column, float) for column in zip(*pairs, strict=True))
    if len(set(p)) > 1 and len(set(q)) > 1:
        assert score("spearman", p, q) == pytest.approx(spearmanr(p, q).statistic)
        assert score("kendall", p, q) == pytest.approx(kendalltau(p, q).statistic)


def test_spearman_by_hand() -> None:
    """Ranks 1 2 3 4 against 2 1 4 3: 1 - 6 x 4 / (4 x 15) = 0.6; tau (4 - 2) / 6."""
    assert score("spearman", [1, 2, 3, 4], [20, 10, 40, 30]) == pytest.approx(0.6)
    assert score("kendall", [1, 2, 3, 4], [20, 10, 40, 30]) == pytest.approx(1 / 3)


def test_the_shipped_table_stands_in_and_the_folder_comes_first(tmp_path: Path) -> None:
    assert ReferenceTables(None).path("imc/isaac_chip.csv") is not None
    assert ReferenceTables(None).rows("imc/gone.csv") is None
    (tmp_path / "imc").mkdir()
    (tmp_path / "imc/isaac_chip.csv").write_text("metric,value\na,1\n", encoding="utf-8")
    assert ReferenceTables(tmp_path).rows("imc/isaac_chip.csv") == [{"metric": "a", "value": "1"}]
    with pytest.raises(SpecError, match=r"--reference: .* is not a folder"):
        ReferenceTables(tmp_path / "gone")


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean spatial"):
        validate(["spatia"])


def test_the_given_folder_replaces_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REFERENCE_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(SpecError, match="is not a folder"):
        validate(["workload"])
    assert validate(["workload"], reference=tmp_path) == []
    monkeypatch.setenv(REFERENCE_VARIABLE, "")
    assert validate(["workload"]) == []


@pytest.mark.parametrize("name", families())
def test_every_family_scores_without_a_reference_folder(name: str, tmp_path: Path) -> None:
    for found in validate([name], reference=tmp_path):
        assert isinstance(found, Score)
        assert found.family == name
        assert found.protocol == "frozen" or found.protocol.startswith(("few-shot-", "leave-one-out"))
        assert 0 < found.rows <= found.rows_in_file
        assert np.isfinite(found.value)
        assert found.as_dict()["metric"] == found.metric


@pytest.fixture
def two_of_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "tests.hwmodels.toy_folder.model"
    added = {"toy_folder": f"{place}:MODEL", "toy_folder_streaming": f"{place}:STREAMING"}
    monkeypatch.setattr(base, "_BUILT_IN", {**base._BUILT_IN, **added})
    monkeypatch.setattr(validation, "opened", [])


@pytest.mark.parametrize(
    "names", [["toy_folder", "toy_folder_streaming"], ["toy_folder_streaming"], ["toy_folder", "toy_folder"]]
)
def test_a_folder_of_two_families_is_scored_once(two_of_a_folder: None, names: list[str], tmp_path: Path) -> None:
    found = validate(names, reference=tmp_path)
    assert len(validation.opened) == 1
    assert [item.family for item in found] == ["toy_folder", "toy_folder_streaming"]


def test_each_family_of_a_folder_is_found_by_its_own_name(two_of_a_folder: None) -> None:
    assert (family("toy_folder"), family("toy_folder_streaming")) == (model.MODEL, model.STREAMING)
    assert {"toy_folder", "toy_folder_streaming"} <= set(families())
    assert folder_of("toy_folder") == folder_of("toy_folder_streaming") == "tests.hwmodels.toy_folder"


def test_a_folder_without_published_figures_has_no_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for place in ("hwmodels.families.none:NONE", "numpy.linalg:norm"):  # beside nothing, and in another package
        monkeypatch.setattr(base, "_BUILT_IN", {**base._BUILT_IN, "toy": place})
        assert validate(["toy"], reference=tmp_path) == []


def test_what_was_skipped_is_counted_by_reason_in_the_record_too() -> None:
    skipped = Counter({"not in the zoo": 3})
    found = Score("gpu", "set", "all", "frozen", 1, 4, "bias", 0.0, skipped=skipped)
    assert found.as_dict()["skipped"] == {"not in the zoo": 3}
