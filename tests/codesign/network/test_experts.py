"""Experts in torch against a loop over tokens, and their integer products against float ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from codesign.estimate.quantise import quantise
from codesign.network import to_module
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Precision

EXPERTS, HIDDEN, FEATURES = 5, 6, 4


def mixture(chosen: int, precision: Precision | None = None) -> Workload:
    net = Builder("mixture", (1, 7, FEATURES), precision=precision)
    return net.finish(net.experts(net.input, EXPERTS, HIDDEN, chosen=chosen, function="relu", gated=True))


def token_by_token(x: Tensor, router: Tensor, gate: Tensor, up: Tensor, down: Tensor, chosen: int) -> Tensor:
    """The equations as they stand."""
    out = torch.zeros_like(x)
    for place in torch.cartesian_prod(*map(torch.arange, x.shape[:2])).tolist():
        token = x[place[0], place[1]]
        shares = torch.softmax(router @ token, 0)
        best = shares.argsort(descending=True)[:chosen]
        weights = shares[best] if chosen == 1 else shares[best] / shares[best].sum()
        for expert, weight in zip(best.tolist(), weights, strict=True):
            inner = torch.relu(gate[expert] @ token) * (up[expert] @ token)
            out[place[0], place[1]] += weight * (down[expert] @ inner)
    return out


@pytest.mark.parametrize("chosen", [1, 2, 5])
def test_a_mixture_is_its_equations(chosen: int) -> None:
    torch.manual_seed(chosen)
    module, x = to_module(mixture(chosen)), torch.randn(3, 7, FEATURES)
    router, gate, up, down = module.parameters()
    plain = token_by_token(
        x, router, gate.view(EXPERTS, HIDDEN, FEATURES), up.view(EXPERTS, HIDDEN, FEATURES),
        down.view(EXPERTS, FEATURES, HIDDEN), chosen,
    )  # fmt: skip
    assert torch.allclose(module(x), plain, atol=1e-6)


def test_the_router_learns_also_where_one_expert_is_chosen() -> None:
    torch.manual_seed(0)
    module = to_module(mixture(1))
    module(torch.randn(2, 7, FEATURES)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.parameters())


@pytest.mark.parametrize("chosen", [1, 2])
def test_integer_products_of_experts_are_the_float_ones_in_many_bits(chosen: int) -> None:
    torch.manual_seed(chosen)
    module, x = to_module(mixture(chosen, Precision(14, 14))), torch.randn(4, 7, FEATURES)
    with torch.no_grad():
        exact = module(x)
    rough, fine = (quantise(module, Numerics(bits, bits), x)(x) for bits in (4, 14))
    assert torch.allclose(fine, exact, atol=2e-3)
    assert (rough - exact).abs().max() > 5e-3


def test_every_expert_is_a_matrix_of_a_crossbar() -> None:
    torch.manual_seed(0)
    quantised = quantise(to_module(mixture(2)), Numerics(8, 8), torch.randn(4, 7, FEATURES))
    assert [tuple(matrix.values.shape) for matrix in quantised.matrices] == [
        (1, FEATURES, EXPERTS), (EXPERTS, FEATURES, HIDDEN), (EXPERTS, FEATURES, HIDDEN), (EXPERTS, HIDDEN, FEATURES)
    ]  # fmt: skip
