"""What stands for an accuracy is shown at its own scale: a score is no share."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from codesign.report import plots
from codesign.report.interactive import progress_figure
from codesign.report.summary import Progress

SCORES = np.array([2.0e6, 3.0e6])


def progress(judged_by: str, values: np.ndarray) -> Progress:
    return Progress(np.array([0, 0]), values, np.array([0.1, 0.4]), judged_by)


@pytest.mark.parametrize(
    ("judged_by", "values", "label", "shown"),
    [
        ("synflow", SCORES, "best synflow (M), higher is better", [2.0, 3.0]),
        ("accuracy", np.array([0.5, 0.75]), "best accuracy (%), higher is better", [50.0, 75.0]),
        ("published_top1", np.array([0.7, 0.8]), "best published top-1 (%), higher is better", [70.0, 80.0]),
    ],
)
def test_progress_has_the_scale_of_its_metric(
    judged_by: str, values: np.ndarray, label: str, shown: list[float]
) -> None:
    figure = progress_figure(progress(judged_by, values))
    assert figure.layout.yaxis2.title.text == label
    assert list(figure.data[1].y) == pytest.approx(shown)
    left = plots.plot_progress(progress(judged_by, values), Figure().add_subplot())
    right = next(ax for ax in left.figure.axes if ax is not left)
    assert right.get_ylabel() == label
    assert right.lines[0].get_ydata() == pytest.approx(shown)
    assert left.get_xlabel() == "generations (count), fewer is better"
