"""Choices by gradient: the mixture is the networks that it mixes, costs are sums over choices, a collapse shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from codesign.estimate.mixture import MixtureSettings, MixtureTraining, _two_paths
from codesign.estimate.recipe import Recipe
from codesign.network.module import Network, to_module
from codesign.registry import STRATEGIES
from codesign.space.cell import CellSpace
from codesign.space.sharing import Mixture
from codesign.strategy.base import Problem
from codesign.strategy.differentiable import Differentiable, GradientSettings, _without_parameters
from codesign.strategy.enas import ENAS, ENASSettings
from codesign.strategy.expected_cost import choice_costs
from codesign.testing.strategy import toy_problem, trained_problem
from hwmodels.errors import SpecError
from hwmodels.workload.ops import Conv2d, Linear, Norm

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CELLS = CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 6, 6), classes=2, operations=OPERATIONS)


def training(space: CellSpace = CELLS, **settings: Any) -> MixtureTraining:
    data = trained_problem().data
    assert data is not None
    return MixtureTraining(
        space.mixture(), space.cardinalities, data, Recipe(optimiser="sgd", batch_size=16),
        MixtureSettings(**settings), lambda loss, p: loss, epochs=10, seed=0,
    )  # fmt: skip


def parametric(network: Network, skipped: set[str] = frozenset()) -> list[Any]:  # type: ignore[assignment]
    """The layers with weights, in order."""
    kinds = (Conv2d, Norm, Linear)
    return [network.operation(n.name) for n in network.nodes if isinstance(n.operator, kinds) and n.name not in skipped]


def unchosen(mixture: Mixture, genotype: np.ndarray) -> set[str]:
    """Nodes with weights of the operands that a network does not take: the convolution and the norm behind it."""
    names = set()
    for total, terms in mixture.sums.items():
        for operand, term in zip(mixture.workload[total].inputs, terms, strict=True):
            node = mixture.workload[operand]
            if term.choice != genotype[term.gene] and OPERATIONS[term.choice].startswith("nor_conv"):
                names |= {operand, node.inputs[0]}
    return names


@pytest.mark.parametrize("genotype", [(3, 2, 3, 2, 3, 2), (1, 3, 2, 4, 2, 3), (4, 1, 3, 3, 1, 2)])
def test_one_path_of_the_mixture_is_the_network(genotype: tuple[int, ...]) -> None:
    """With the same weights, in training mode, the answers are the network's."""
    point, mixed = np.array(genotype), training()
    network = to_module(CELLS.workload(point)).train()
    theirs = parametric(mixed._network, unchosen(mixed.mixture, point))
    own = parametric(network)
    assert len(own) == len(theirs)
    for mine, other in zip(own, theirs, strict=True):
        mine.load_state_dict(other.state_dict(), strict=False)
    images = torch.randn(8, 1, 6, 6)
    answers = mixed._answers(images, mixed._path(point))
    assert torch.allclose(answers, network(images), atol=1e-5)


@pytest.mark.parametrize("genotype", [(3, 2, 3, 2, 3, 2), (0, 0, 0, 0, 0, 0), (0, 3, 0, 4, 2, 1)])
def test_the_accuracy_of_a_path_runs_that_path_alone(genotype: tuple[int, ...]) -> None:
    point, mixed = np.array(genotype), training()
    images = torch.randn(8, 1, 6, 6)
    ran: list[str] = []
    for layer in mixed._network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda *_: ran.append("convolution"))
    with torch.no_grad():
        alone = mixed._path_answers(images, point)
        count = len(ran)
        whole = mixed._answers(images, mixed._path(point))
    assert torch.equal(alone, whole)
    left_out = len(unchosen(mixed.mixture, point)) // 2  # a convolution and its norm each
    assert left_out >= 12
    assert count <= len(ran) - count - left_out


def test_a_sum_counts_each_operand_by_its_factor() -> None:
    """Half of one path and half of another behind one edge, all other edges closed but the last: linear in the sum."""
    mixed = training(CellSpace(channels=4, cells=1, stages=1, input_shape=(1, 6, 6), classes=2))
    images = torch.randn(4, 1, 6, 6)
    # Edge 0>3 alone is open: the cell's output is the sum behind it.
    name = list(mixed.mixture.sums)[3]
    terms = mixed.mixture.sums[name]
    assert {term.gene for term in terms} == {3}
    factors = torch.zeros(6, 5)
    factors[3] = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    kept: dict[str, torch.Tensor] = {}
    replace_ = {}
    for total, parts in mixed.mixture.sums.items():
        weights = torch.tensor([factors[t.gene, t.choice] for t in parts])
        replace_[total] = lambda *x, w=weights, n=total: kept.setdefault(
            n, sum(a * b for a, b in zip(w, x, strict=True))
        )
    output = mixed.mixture.workload.outputs[0]
    twin = mixed._network.run([images], replace=replace_, keep=(output,))[output]
    assert torch.allclose(mixed._answers(images, factors), twin, atol=1e-6)


def test_partial_channels_pass_the_others_by() -> None:
    whole, partial = CELLS.mixture(), CELLS.mixture(partial=4)
    assert partial.workload.parameters < whole.workload.parameters
    total = next(iter(partial.sums))
    assert partial.workload[total].shape[1] == 1
    after = next(node for node in partial.workload if total in node.inputs)
    assert after.shape[1] == 4


@pytest.mark.parametrize("relaxation", ["softmax", "gumbel", "binary", "uniform"])
def test_factors_are_distributions_over_the_choices_that_there_are(relaxation: str) -> None:
    mixed = training(relaxation=relaxation)
    mixed._there[0, 3:] = False
    for for_weights in (True, False):
        factors = mixed._factors(for_weights=for_weights)
        assert torch.allclose(factors.sum(dim=1), torch.ones(6))
        assert (factors[0, 3:] == 0).all()
    drawn = mixed._factors(for_weights=True)
    assert bool((drawn.max(dim=1).values == 1).all()) == (relaxation in ("binary", "uniform"))
    assert mixed.probabilities.sum(axis=1) == pytest.approx(np.ones(6))


def test_binary_gates_are_one_path_with_the_gradient_of_two() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[0.3, -0.2, 0.5]], requires_grad=True)
    gates = _two_paths(torch.softmax(logits, 1), torch.ones(1, 3, dtype=torch.bool))
    assert sorted(gates.detach()[0].tolist()) == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    values = torch.tensor([[1.0, 2.0, 4.0]])
    torch.autograd.backward((gates * values).sum())
    assert logits.grad is not None
    # Of two paths i, j alone: d/da_i of (s_i v_i + s_j v_j) with s their shares is s_i s_j (v_i - v_j).
    two = np.flatnonzero(logits.grad[0].abs().numpy() > 1e-6)
    assert len(two) == 2
    shares = torch.softmax(logits.detach()[0, two], 0)
    expected = float(shares[0] * shares[1] * (values[0, two[0]] - values[0, two[1]]))
    assert logits.grad[0, two].tolist() == pytest.approx([expected, -expected], rel=1e-4)


def additive_problem() -> Problem:
    toy = toy_problem()
    return replace(toy, costs=lambda points: 5.0 + points @ np.arange(1.0, 7.0)[:, None])


def test_costs_that_add_up_are_found_exactly() -> None:
    found = choice_costs(additive_problem(), 6)
    assert found.explained == pytest.approx(1.0, abs=1e-6)
    steps = np.diff(found.table, axis=1)
    mean = (5.0 + additive_problem().joint.sample(512, np.random.default_rng(0)) @ np.arange(1.0, 7.0)).mean()
    assert steps == pytest.approx(np.repeat(np.arange(1.0, 7.0)[:, None], 4, axis=1) / mean, rel=1e-5)


def test_expected_costs_of_cells_follow_the_model_of_the_hardware() -> None:
    problem = trained_problem()
    found = choice_costs(problem, 6)
    assert found.explained > 0.8
    assert (found.table[:, 3] > found.table[:, 0]).all()  # a 3 x 3 convolution costs more than nothing


def test_choices_without_parameters_are_those_of_no_layer() -> None:
    free = _without_parameters(CELLS)
    assert free.tolist() == [[True, True, False, False, True]] * 6


def made(kind: str, problem: Problem, **settings: Any) -> Differentiable:
    return STRATEGIES.parse({"name": kind, **settings}, "strategy").make(problem)


def test_the_derived_network_is_the_most_probable_valid_one_nearby() -> None:
    rng, problem = np.random.default_rng(0), trained_problem()
    strategy = made("darts", problem)
    for _ in range(20):
        strategy.probabilities = rng.dirichlet(np.ones(4) * 0.5, size=6)
        derived = strategy.derived
        assert derived is not None
        assert strategy.networks.valid(derived[None])[0]
        best = strategy.probabilities.argmax(axis=1)
        if strategy.networks.valid(best[None])[0]:
            assert np.array_equal(derived, best)
        near = strategy.networks.neighbours(best)
        if len(near):
            assert strategy._odds(derived[None])[0] >= strategy._odds(near).max() - 1e-9
    strategy.probabilities = np.tile([1.0, 0.0, 0.0, 0.0], (6, 1))  # nothing everywhere
    assert strategy.networks.valid(strategy.derived[None])[0]


def test_a_heavy_cost_makes_the_choices_cheap_and_the_diagnosis_tells() -> None:
    """With costs alone in the loss every decision ends at its cheapest choice, whatever the images say."""
    problem = trained_problem()
    strategy = made("darts", problem, epochs=30, epochs_a_batch=30, cost_weight=1e4, choice_rate=0.2)
    strategy.ask(1, np.random.default_rng(0))
    table = choice_costs(problem, 6).table
    assert np.array_equal(strategy.probabilities.argmax(axis=1), table.argmin(axis=1))
    epochs, loss, entropy, free = strategy.diagnosis[-1]
    assert (epochs, free) == (30, np.mean(_without_parameters(strategy.networks)[np.arange(6), table.argmin(axis=1)]))
    assert np.isfinite(loss)
    assert 0 <= entropy < np.log(4)


def test_shared_weights_of_a_controller_learn_what_can_be_told() -> None:
    """Images whose classes differ by a unit in every pixel: chance is one half, the paths tell nearly all."""
    problem = trained_problem()
    strategy = ENAS(problem, ENASSettings(epochs=10, steps=2, learning_rate=0.1, batch_size=16))
    rng = np.random.default_rng(0)
    proposal = strategy.ask(6, rng)
    assert problem.space.valid(proposal.genotypes).all()
    paths = [np.array([3, 3, 3, 3, 3, 3]), np.array([1, 2, 1, 3, 1, 2])]
    found = [strategy._ready().accuracy_of(path, np.random.default_rng(1)) for path in paths]
    assert min(found) > 0.8


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(SpecError, match="images"):
        made("darts", toy_problem())
    with pytest.raises(SpecError, match="images"):
        ENAS(toy_problem(), ENASSettings())
    other = replace(trained_problem(), joint=toy_problem().joint)
    with pytest.raises(SpecError, match="operations: cell"):
        Differentiable(other, "darts", GradientSettings())
    with pytest.raises(SpecError, match="two or more"):
        CellSpace(operations=("skip_connect",)).mixture()
