"""Published networks: parameters exact, MACs to the last published digit."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Input, Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.zoo import ZOO, entry, network

# (name, parameters, published GMACs to three decimals or None) [torchvision 0.29 weights metadata; Hugging Face]
PUBLISHED = (
    ("resnet18", 11_689_512, 1.814),
    ("resnet34", 21_797_672, 3.664),
    ("resnet50", 25_557_032, 4.089),
    ("mobilenet_v2", 3_504_872, 0.301),
    ("vgg16", 138_357_544, 15.470),
    ("vit_b_16", 86_567_656, 17.564),
    ("bert_base", 109_482_240, None),
    ("bert_large", 335_141_888, None),
)


@pytest.mark.parametrize(("name", "parameters", "gmacs"), PUBLISHED)
def test_published_counts(name: str, parameters: int, gmacs: float | None) -> None:
    workload = network(name)
    assert workload.parameters == parameters
    if gmacs is not None:
        assert round(workload.macs / 1e9, 3) == gmacs


def test_bert_macs_by_hand() -> None:
    """A layer: 4 projections and 2 feed-forward products of 4d, 12 T d²; attention 2 T² d; the pooler d²."""
    tokens, d, depth = 128, 1024, 24
    assert network("bert_large").macs == depth * (12 * tokens * d**2 + 2 * tokens**2 * d) + d**2


def test_lstm_by_hand() -> None:
    """4 (h (x + h) + 2 h) parameters a layer, the embedding and the output layer."""
    h, words, tokens = 650, 10_000, 35
    workload = network("lstm_650")
    assert workload.parameters == 2 * 4 * (h * (h + h) + 2 * h) + words * h + words * h + words
    assert workload.macs == tokens * (2 * 4 * h * (h + h) + h * words)


def _macs_once_a_pass(workload: Workload) -> int:
    """MACs of what depends on no input of the network, as the position bias of Swin V2."""
    fed: set[str] = set()
    for node in workload:
        if isinstance(node.operator, Input) or any(source in fed for source in node.inputs):
            fed.add(node.name)
    return sum(row.macs for node, row in workload.rows() if node.name not in fed)


@pytest.mark.parametrize("name", [known.name for known in ZOO])
def test_batch_scales_macs_and_not_parameters(name: str) -> None:
    one, three = network(name), network(name, batch=3)
    assert three.macs == 3 * one.macs - 2 * _macs_once_a_pass(one)
    assert three.parameters == one.parameters
    assert len(three) == len(one)


def test_precision_reaches_every_layer() -> None:
    bits = Precision(4, 6, 24)
    rows = [row for _, row in network("resnet18", precision=bits).rows()]
    assert {(row.weight_bits, row.activation_bits, row.accumulator_bits) for row in rows} == {(4, 6, 24)}


def test_every_entry_has_its_source_and_every_alias_finds_it() -> None:
    for known in ZOO:
        assert known.source
        assert known.input
        for name in (known.name, *known.aliases, known.name.upper().replace("_", "-")):
            assert entry(name) is known
    names = [known.name for known in ZOO]
    assert len(set(names)) == len(names)


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean resnet50") as caught:
        network("resnet51")
    assert "\n" not in str(caught.value)


def test_a_batch_below_one_is_refused() -> None:
    with pytest.raises(SpecError, match="batch: 0 is not >= 1"):
        network("resnet18", batch=0)


def test_rows_of_the_published_table(reference: Callable[[str], Path]) -> None:
    """Rows that say so have exact parameters, and MACs exact to 0.001 G where the row is from torchvision."""
    with reference("nas/networks.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    checked = 0
    for row in rows:
        try:
            workload = network(row["name"])
        except SpecError:
            continue
        if "exact" in row["exactness"]:
            checked += 1
            assert workload.parameters == int(row["params"]), row["name"]
            if row["macs"]:
                digits = 3 if "3 digits" in row["exactness"] else 9
                biases = 10 if row["name"].startswith("NB201") else 0  # counted there with the MACs
                assert round((workload.macs + biases) / 1e9, digits) == int(row["macs"]) / 1e9, row["name"]
    assert checked >= 60
