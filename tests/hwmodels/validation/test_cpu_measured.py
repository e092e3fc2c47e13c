"""The host that this project measured: fitted on layers and three networks, fifteen networks apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.measurements import Measurement, read_measurements, write_measurements
from hwmodels.validate import ReferenceTables
from hwmodels.validation.cpu.measured import FITTED_NETWORKS, host_scores, roofline_s

NAME = "measured_epyc_zen3"


def shipped() -> tuple[Measurement, ...]:
    path = ReferenceTables(None).path(f"gpu/{NAME}.csv")
    assert path is not None
    return read_measurements(path)


def folder_with(rows: Sequence[Measurement], folder: Path) -> ReferenceTables:
    (folder / "gpu").mkdir()
    write_measurements(rows, folder / "gpu" / f"{NAME}.csv")
    return ReferenceTables(folder)


def test_unseen_networks_are_predicted_within_the_bar_and_far_better_than_by_the_roofline() -> None:
    scores = {score.metric: score for score in host_scores(ReferenceTables(None))}
    assert scores["mape"].rows == 15
    assert scores["mape"].value <= 20
    assert scores["median_error"].value <= 12
    assert scores["spearman"].value >= 0.98
    assert scores["mape"].baseline is not None
    assert scores["mape"].value < 0.5 * scores["mape"].baseline["roofline"]
    # Rows count up: scored and fitted on are all there are.
    assert scores["mape"].rows + scores["mape"].skipped["fitted on"] == scores["mape"].rows_in_file == len(shipped())


def test_the_fit_sees_no_network_that_it_is_scored_on(tmp_path: Path) -> None:
    """Networks apart that are twice as slow are predicted as before: the error moves as arithmetic says."""
    few = [row for row in shipped() if row.context == "cold"]
    twice = [
        row if row.is_layer or row.network in FITTED_NETWORKS else replace(row, seconds=2 * row.seconds) for row in few
    ]
    biases = []
    for rows, name in ((few, "once"), (twice, "twice")):
        (tmp_path / name).mkdir()
        scores = {score.metric: score.value for score in host_scores(folder_with(rows, tmp_path / name))}
        biases.append(scores["bias"])
    assert 1 + biases[1] / 100 == pytest.approx((1 + biases[0] / 100) / 2)


def test_the_roofline_is_that_of_the_data_sheet() -> None:
    spec = device("epyc_zen3_2vcpu").spec
    product = Measurement("", "linear 1x1000 out=2000", seconds=1.0)  # 8 MB of weights: memory
    assert roofline_s(product, spec) == pytest.approx(4 * (2_000_000 + 2000 + 1000 + 2000) / 25.6e9, rel=2e-3)
    conv = Measurement("", "conv 256x56x56 out=256 kernel=3 padding=1 bias=0", seconds=1.0)  # operations
    assert roofline_s(conv, spec) == pytest.approx(2 * 56 * 56 * 256 * 256 * 9 / (2 * 8 * 2 * 3.5e9))
    assert np.isfinite(roofline_s(Measurement("", "resnet18", seconds=1.0), spec))
