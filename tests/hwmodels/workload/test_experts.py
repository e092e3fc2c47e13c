"""Mixtures of experts: work and storage by hand, and against what the published model is imported as."""

from __future__ import annotations

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Combine, Dispatch, ExpertLinear
from hwmodels.workload.training import training_step
from hwmodels.workload.zoo import network


def mixture(batch: int, tokens: int, experts: int, chosen: int, *, gated: bool = False) -> Workload:
    net = Builder("mixture", (batch, tokens, 16))
    return net.finish(net.experts(net.input, experts, 24, chosen=chosen, function="gelu", gated=gated))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize(("experts", "chosen"), [(4, 1), (4, 2), (8, 8)])
def test_work_is_that_of_the_chosen_experts_and_storage_that_of_all(experts: int, chosen: int, gated: bool) -> None:
    found = mixture(2, 32, experts, chosen, gated=gated)
    matrices = (3 if gated else 2) * 16 * 24
    assert found.parameters == 16 * experts + experts * matrices
    assert found.macs == 64 * (16 * experts + chosen * matrices)


def test_few_rows_move_the_matrices_of_few_experts() -> None:
    rows = [row for _, row in mixture(1, 1, 8, 2).rows() if row.groups > 1]
    assert [(row.groups, row.m, row.weight_elements, row.parameters) for row in rows] == [
        (2, 1, 2 * 16 * 24, 8 * 16 * 24)
    ] * 2


def test_routing_moves_each_row_in_and_out_and_weighs_it() -> None:
    """96 rows of 16: read 48 tokens and shares, compare 48 x 4 shares twice; 2 products and a sum an element out."""
    made = {type(node.operator): row for node, row in mixture(1, 48, 4, 2).rows()}
    sent, joined = made[Dispatch], made[Combine]
    assert (sent.input_elements, sent.output_elements, sent.vector_ops) == (48 * 20, 96 * 16, 48 * 4 * 2)
    assert (joined.input_elements, joined.output_elements, joined.vector_ops) == (96 * 16 + 48 * 4, 48 * 16, 48 * 48)


def test_mixtral_is_the_published_model() -> None:
    """46.7 billion parameters, of which a token uses 12.9 billion [Jiang et al., arXiv:2401.04088]."""
    whole, one = network("mixtral_8x7b"), network("mixtral_8x7b_decode")
    assert whole.parameters == one.parameters == 46_702_792_704
    unused = 32 * 6 * 3 * 4096 * 14336
    assert round((whole.parameters - unused) / 1e9, 1) == 12.9


def test_mixtral_is_what_its_configuration_is_imported_as() -> None:
    pytest.importorskip("transformers")
    from hwmodels.workload.from_hf_config import from_hf_config

    for name, read in (("mixtral_8x7b", {"tokens": 2048}), ("mixtral_8x7b_decode", {"tokens": 1, "past": 2048})):
        found, imported = network(name), from_hf_config({"model_type": "mixtral"}, **read)
        assert (found.parameters, found.macs) == (imported.parameters, imported.macs)


def test_a_training_step_runs_each_product_forwards_and_for_both_gradients() -> None:
    net = Builder("mixture", (1, 32, 16))
    x = net.linear(net.input, 16, bias=False)
    forward = net.finish(net.experts(x, 4, 24, chosen=2, function="gelu", gated=True))
    step = training_step(forward)
    first = 32 * 16 * 16
    assert step.workload.macs == 3 * forward.macs - first  # no gradient of the network's input
    routed = {node.name: row for node, row in step.workload.rows() if row.output_elements == 32 * 4}
    assert any("shares" in name for name in routed)  # the router's gradient starts here


@pytest.mark.parametrize(
    ("operator", "shapes", "told"),
    [
        (Dispatch(5), ((1, 3, 8), (1, 3, 4)), "5 chosen of 4"),
        (Dispatch(1), ((1, 3, 8), (1, 4, 4)), "not those of tokens"),
        (ExpertLinear(8), ((7, 8), (1, 3, 4)), "no multiple of 3"),
        (Combine(2), ((3, 8), (1, 3, 4)), "3 rows for 3 tokens"),
    ],
)
def test_what_does_not_fit_is_told(operator, shapes, told) -> None:
    with pytest.raises(ValueError, match=told):
        operator.infer(*shapes)


def test_more_chosen_than_there_are_is_one_line() -> None:
    with pytest.raises(SpecError, match="mixture: dispatch1: "):
        mixture(1, 4, 2, 3)
