"""Trainings that start from a parent's weights: a function of the request, whatever is at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from codesign.data import load
from codesign.estimate.base import Ancestor, CarriedWeights, Estimator, MemoryWeights, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.inheritance import InheritingEstimator, carried_over, statistics_of
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import restore, train, unpack
from codesign.network.module import to_module
from codesign.registry import ESTIMATORS
from codesign.space.chain import ChainSpace
from codesign.testing.estimator import EstimatorSuite, chain_requests
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.graph import Workload

QUICK = Recipe(epochs=2, batch_size=128)
SPACE = ChainSpace(stages=1, kernel=(3, 5), width=(4, 8), depth=(1, 2), stride=(2,), bits=(4, 8), input_shape=(1, 8, 8))


def network(**choices: int) -> Workload:
    point = {"kernel0": 3, "width0": 4, "depth0": 1, "stride0": 2, "bits0": 8} | choices
    return SPACE.workload(SPACE.encode(point))


def estimator(*, share: float = 0.5, weights: object = None, recipe: Recipe = QUICK) -> InheritingEstimator:
    kept = MemoryWeights() if weights is None else weights
    return InheritingEstimator(load("digits"), recipe, kept, epochs_inherited=share, draws=1)  # type: ignore[arg-type]


def request(own: Workload, *ancestors: Workload, seed: int = 3) -> Request:
    older = tuple(Ancestor(ancestor, 1.0) for ancestor in ancestors)
    return Request((), own, FLOAT, 1.0, seed, older)


PARENT, CHILD, GRANDCHILD = network(), network(kernel0=5), network(kernel0=5, width0=8)


class TestInheriting(EstimatorSuite):
    def estimator(self) -> Estimator:
        return estimator(weights=CarriedWeights())

    def requests(self) -> Sequence[Request]:
        asked = [request(CHILD, PARENT), request(GRANDCHILD, CHILD, PARENT), request(CHILD)]
        return [one._replace(numerics=Numerics(8, 8), genotype=(i,)) for i, one in enumerate(asked)]


def test_without_ancestors_it_is_the_estimator_that_trains() -> None:
    plain = TrainingEstimator(load("digits"), QUICK, MemoryWeights(), draws=1)
    for one in chain_requests()[:2]:
        assert estimator().training_key(one) == plain.training_key(one)
        assert estimator().key(one) == plain.key(one)
        assert estimator().parent_key(one) is None
    first = chain_requests()[:1]
    assert list(estimator().estimate(first)) == list(plain.estimate(first))


def test_a_training_is_known_by_all_that_came_before_it() -> None:
    one = estimator()
    asked = [
        request(CHILD),
        request(CHILD, PARENT),
        request(CHILD, PARENT, seed=4),
        request(CHILD, PARENT)._replace(ancestors=(Ancestor(PARENT, 0.5),)),
        request(CHILD, network(width0=8)),
        request(CHILD, GRANDCHILD, PARENT),
        request(CHILD, GRANDCHILD, network(depth0=2)),
    ]
    keys = [one.training_key(each) for each in asked]
    keys += [estimator(share=1.0).training_key(asked[1])]
    keys += [estimator(recipe=Recipe(epochs=4, batch_size=128)).training_key(asked[1])]
    assert len(set(keys)) == len(keys)
    assert one.parent_key(asked[5]) == one.training_key(request(GRANDCHILD, PARENT))


def test_the_answer_is_the_same_with_the_ancestors_weights_at_hand_or_without() -> None:
    asked = request(GRANDCHILD, CHILD, PARENT)
    alone, kept = estimator(), MemoryWeights()
    ((_, anew),) = alone.estimate([asked])
    for one in (request(PARENT), request(CHILD, PARENT), asked):
        ((_, found),) = estimator(weights=kept).estimate([one])
    assert found == anew
    key = alone.training_key(asked)
    assert kept.get(key) == alone.weights.get(key)
    # A worker has the parent's alone.
    worker, parent = CarriedWeights(), alone.parent_key(asked)
    assert parent is not None
    worker.bring(key, None, parent=(parent, kept.get(parent)))  # type: ignore[arg-type]
    ((_, carried),) = estimator(weights=worker).estimate([asked])
    assert carried == anew
    made = worker.take()
    assert made is not None
    assert (made.key, made.payload) == (key, kept.get(key))


def test_the_parents_weights_are_used() -> None:
    """Other weights of the parent give another child: what it starts from is not made up."""
    asked, kept = request(CHILD, PARENT), MemoryWeights()
    one = estimator(weights=kept)
    list(one.estimate([request(PARENT)]))
    key = one.parent_key(asked)
    assert key is not None
    state = unpack(kept.get(key))  # type: ignore[arg-type]
    from codesign.estimate.train import pack

    other = MemoryWeights()
    other.put(key, pack({name: value * 0.5 if value.ndim > 1 else value for name, value in state.items()}), 0.0)
    found = [estimator(weights=store)._train(asked) for store in (kept, other)]
    assert not np.array_equal(found[0]["layers.1.weight"], found[1]["layers.1.weight"])


def test_a_child_that_differs_in_bits_has_the_parents_training() -> None:
    one, other = estimator(), network(bits0=4)
    assert one.training_key(request(other, PARENT)) == one.training_key(request(PARENT))
    assert one.training_key(request(CHILD, other, PARENT)) == one.training_key(request(CHILD, PARENT))
    assert one.training_key(request(other, PARENT)._replace(fidelity=0.5)) != one.training_key(request(PARENT))
    list(one.estimate([request(PARENT)]))
    ((_, found),) = one.estimate([request(other, PARENT)])
    assert not found.trained


@pytest.mark.parametrize("child", [CHILD, GRANDCHILD, network(depth0=2)])
def test_a_morphism_starts_where_its_parent_ended(child: Workload) -> None:
    data, rng = load("digits"), np.random.default_rng(0)
    state = train(PARENT, data, QUICK, 0)
    fresh = {name: tensor.numpy() for name, tensor in to_module(child).state_dict().items()}
    found = carried_over(PARENT, state, child, fresh, images=data.train.images[:64], rng=rng)
    assert found.parts == ""
    images = torch.from_numpy(data.validation.images)
    with torch.no_grad():
        before, after = restore(PARENT, state)(images), restore(child, found.state)(images)
    assert float((before - after).abs().max() / before.abs().max()) < 1e-6


def test_a_new_batch_norm_keeps_the_function_in_training() -> None:
    """So that a training from inherited weights does not begin by forgetting them."""
    data, rng, child = load("digits"), np.random.default_rng(0), network(depth0=2)
    state = train(PARENT, data, QUICK, 0)
    fresh = {name: tensor.numpy() for name, tensor in to_module(child).state_dict().items()}
    images = data.train.images[:64]
    found = carried_over(PARENT, state, child, fresh, images=images, rng=rng).state
    grown, before = restore(child, found), restore(PARENT, state)
    for layer, position in ((grown.layers["5"], "5"),):
        assert type(layer).__name__ == "BatchNorm2d", position
        layer.train()
    with torch.no_grad():
        one, other = before(torch.from_numpy(images)), grown(torch.from_numpy(images))
    assert float((one - other).abs().max() / one.abs().max()) < 1e-5


def test_statistics_are_those_of_the_channels() -> None:
    data = load("digits")
    state, images = train(PARENT, data, QUICK, 0), data.train.images[:16]
    with torch.no_grad():
        values = restore(PARENT, state).run([torch.from_numpy(images)])["conv2d1"].numpy()
    mean, variance = statistics_of(PARENT, state, images)["conv2d1"]
    for channel in range(values.shape[1]):
        assert mean[channel] == pytest.approx(values[:, channel].mean(), abs=1e-5)
        assert variance[channel] == pytest.approx(values[:, channel].var(), rel=1e-4)


def test_a_share_of_the_epochs_is_a_share() -> None:
    with pytest.raises(SpecError, match="epochs_inherited"):
        estimator(share=0.0)
    with pytest.raises(SpecError, match=r"epochs_inherited.*did you mean|epochs_inherit "):
        ESTIMATORS.parse({"name": "inheriting", "epochs_inherit": 0.5}, "a.yaml: estimator")
    with pytest.raises(SpecError, match=r"a\.yaml: estimator\.epochs_inherited: 2"):
        ESTIMATORS.parse({"name": "inheriting", "epochs_inherited": 2}, "a.yaml: estimator")
