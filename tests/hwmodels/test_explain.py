"""One layer of a network explained: which one it is, what it costs, and families and layers that are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hwmodels.catalog import device
from hwmodels.cost import kind_of
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.explain import explain_layer
from hwmodels.families.base import families, family
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.zoo import network
from tests.hwmodels.toy_families import PIPELINE, StageSpec

MOBILENET = rewrite(network("mobilenet_v2"), COMPILED)


@pytest.mark.parametrize("name", ["pixel2", "systolic_edge"])
def test_every_layer_by_number_has_the_costs_of_the_report(name: str) -> None:
    chosen = device(name)
    report = evaluate(MOBILENET, chosen.model, chosen.spec)
    frame = report.to_frame()
    for place in range(len(frame)):
        found = explain_layer(report, chosen.model, chosen.spec, str(place + 1))
        row = report.table.layers.row(int(report.table.networks.sequence[place]))
        assert (found["layer"], found["group"]) == (place + 1, kind_of(row))
        assert (found["latency_s"], found["limit"]) == (frame["latency_s"][place], frame["limit"][place])
        assert found["energy_j"] == frame["energy_j"][place]
        assert found.get("algorithm", found.get("dataflow")) == frame["choice"][place]
        json.dumps(found, allow_nan=False)


def test_a_group_is_its_first_layer() -> None:
    chosen = device("systolic_edge")
    report = evaluate(MOBILENET, chosen.model, chosen.spec)
    first = next(i for i, kind in enumerate(report.to_frame()["layer"]) if kind == "conv 1x1")
    found = explain_layer(report, chosen.model, chosen.spec, "conv 1x1")
    assert found == explain_layer(report, chosen.model, chosen.spec, str(first + 1))
    assert first > 0


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("0", "layer: 0 is not a layer from 1 to"),
        ("9999", "layer: 9999 is not a layer from 1 to"),
        ("conv 1x2", "did you mean conv 1x1?"),
        ("-1", "one of conv 1x1"),
    ],
)
def test_a_layer_that_is_not_there_is_refused(layer: str, words: str) -> None:
    chosen = device("systolic_edge")
    report = evaluate(MOBILENET, chosen.model, chosen.spec)
    with pytest.raises(SpecError, match=words.replace("?", r"\?")):
        explain_layer(report, chosen.model, chosen.spec, layer)


def test_a_family_that_explains_nothing_is_refused() -> None:
    report = evaluate(MOBILENET, PIPELINE, StageSpec())
    with pytest.raises(SpecError, match="family toy_pipeline is not one of those that explain a layer: cpu, "):
        explain_layer(report, PIPELINE, StageSpec(), "1")


def test_a_family_without_layer_costs_may_explain() -> None:
    model = replace(PIPELINE, explain=lambda row, spec: {"engine": 1 if row.macs else 2})
    report = evaluate(MOBILENET, model, StageSpec())
    assert explain_layer(report, model, StageSpec(), "1") == {"layer": 1, "group": "conv 3x3", "engine": 1}


def test_cpu_and_spatial_explain() -> None:
    assert {"cpu", "spatial"} <= {name for name in families() if family(name).explain is not None}
