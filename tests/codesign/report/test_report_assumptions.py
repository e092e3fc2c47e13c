"""What the assumptions decide, on the page: each span is that of the pairs evaluated anew, and sources are heeded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.app.assemble import dataset_of, joint_space
from codesign.app.config import parse_config
from codesign.report.assumptions import assumptions_html, front_sensitivity, sensitivity_table
from codesign.report.summary import summarise
from hwmodels.evaluate import evaluate
from hwmodels.sensitivity import Ends, Sensitivity, factors
from hwmodels.workload.rewrite import RUNTIMES, rewrite
from tests.codesign.report.test_report_run import CONFIG, make_run


@pytest.fixture(scope="module")
def of_run(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("assumptions") / "run"
    make_run(folder)
    config = parse_config(CONFIG)
    return summarise(folder), config, joint_space(config, dataset_of(config.data))


def test_each_span_is_that_of_the_front_evaluated_anew(of_run) -> None:
    summary, config, space = of_run
    found = front_sensitivity(summary, config, space)
    assert found is not None
    assert len(found.base) == len(summary.front)
    farthest = found.order()[0]
    knob, cut = found.knobs[farthest], space.architecture.n_genes
    ratios = []
    for pair in summary.front:
        genotype = np.array(pair.genotype)
        workload = rewrite(space.architecture.workload(genotype[:cut]), RUNTIMES[config.runtime])
        spec = space.hardware.spec(genotype[cut:])
        before = evaluate(workload, space.hardware.model, spec).total("energy_j")
        assert before == pytest.approx(pair.costs["energy_j"])
        for end in (knob.low, knob.high):
            moved = evaluate(workload, space.hardware.model, spec.changed({knob.name: end})).total("energy_j")
            ratios.append(moved / before)
    expected = min(*ratios, 1.0), max(*ratios, 1.0)
    assert found.spans()[farthest, found.metrics.index("energy_j")].tolist() == pytest.approx(expected)
    table = sensitivity_table(found)
    assert table.rows[0][0] == knob.name
    assert factors(*expected) in table.rows[0]


def test_searched_knobs_and_sourced_ones_are_not_assumed(of_run) -> None:
    summary, config, space = of_run
    found = front_sensitivity(summary, config, space)
    assert found is not None
    names = {knob.name for knob in found.knobs}
    assert names
    assert not names & set(CONFIG["hardware"]["knobs"])


def test_turns_and_changes_of_the_front_are_counted() -> None:
    # Two pairs; at the high end of `k` the second overtakes the first in the first metric.
    base = np.array([[1.0, 2.0], [2.0, 1.0]])
    moved = np.array([[base, np.array([[3.0, 2.0], [2.0, 1.0]])], [base, base * 1.0001]])
    knobs = (Ends("k", 1.0, 1.0, 2.0, "moves"), Ends("idle", 1.0, 0.5, 2.0, "moves nothing"))
    found = Sensitivity(knobs, ("energy_j", "latency_s"), base, moved, np.zeros(2, np.bool_))
    assert found.moving() == [0]
    assert found.still() == ["idle"]
    row = dict(zip(sensitivity_table(found).headers, sensitivity_table(found).rows[0], strict=True))
    assert row["energy"] == "x1 to x3"
    assert row["latency"] == "x1"
    assert (row["order turns"], row["front changes"]) == ("1", "1")


def test_a_run_without_a_front_still_lists_its_modelling_choices(of_run) -> None:
    from dataclasses import replace

    summary, config, space = of_run
    page = assumptions_html(replace(summary, front=(), knee=None), config, space)
    assert "Modelling choices" in page
    assert "Order turns" not in page
