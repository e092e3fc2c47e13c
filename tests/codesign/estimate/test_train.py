"""One training a structure, data set, recipe, fidelity and seed, the same to the bit."""

import numpy as np
import pytest
import torch

from codesign.data import Dataset, Part
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import _fields, deterministic, pack, restore, train, training_key, unpack
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Pool2d, Precision, Recurrent, Reshape, Select

QUICK = Recipe(epochs=2, batch_size=16)


def small(name: str = "small", *, batch: int = 1, width: int = 4, bits: int = 8) -> Workload:
    net = Builder(name, (batch, 1, 6, 6), precision=Precision(bits, bits, 32))
    x = net.conv_norm_act(net.input, width, 3)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 3))


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Three classes of bright rows in noise."""
    generator = np.random.default_rng(0)

    def part(count: int) -> Part:
        labels = np.arange(count) % 3
        images = generator.normal(0, 0.3, (count, 1, 6, 6)).astype(np.float32)
        images[np.arange(count), 0, 2 * labels] += 1
        return Part(images, labels.astype(np.int64))

    return Dataset("rows", part(96), part(30), part(30), 3)


def test_same_seed_gives_the_same_bits(dataset: Dataset) -> None:
    first, again, other = (pack(train(small(), dataset, QUICK, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_training_leaves_the_global_state_alone(dataset: Dataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(small(), dataset, QUICK, 0)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_deterministic_restores_on_error() -> None:
    threads = torch.get_num_threads()
    with pytest.raises(KeyError), deterministic():
        raise KeyError
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_key_ignores_names_bits_and_batch(dataset: Dataset) -> None:
    base = training_key(small(), dataset, QUICK, 1.0, 0)
    assert base == training_key(small("other"), dataset, QUICK, 1.0, 0)
    assert base == training_key(small(bits=2), dataset, QUICK, 1.0, 0)
    assert base == training_key(small(batch=32), dataset, QUICK, 1.0, 0)


def test_key_follows_everything_else(dataset: Dataset) -> None:
    shuffled = Dataset("rows", dataset.train, dataset.test, dataset.validation, 3)
    keys = {
        training_key(small(), dataset, QUICK, 1.0, 0),
        training_key(small(width=5), dataset, QUICK, 1.0, 0),
        training_key(small(), shuffled, QUICK, 1.0, 0),
        training_key(small(), dataset, QUICK.model_copy(update={"learning_rate": 0.02}), 1.0, 0),
        training_key(small(), dataset, QUICK, 0.5, 0),
        training_key(small(), dataset, QUICK, 1.0, 1),
    }
    assert len(keys) == 6


def test_weights_survive_packing(dataset: Dataset) -> None:
    state = train(small(), dataset, QUICK, 0)
    payload = pack(state)
    assert b"pickle" not in payload
    images = torch.from_numpy(dataset.test.images)
    before, after = restore(small(), state)(images), restore(small("renamed"), unpack(payload))(images)
    assert torch.equal(before, after)


def test_recurrent_network_learns(dataset: Dataset) -> None:
    net = Builder("rows-as-steps", (1, 1, 6, 6))
    x = net.add(Recurrent("lstm", 12), net.add(Reshape((1, 6, 6)), net.input))
    workload = net.finish(net.linear(net.add(Select(1, -1), x), 3))
    network = restore(workload, train(workload, dataset, Recipe(epochs=15, batch_size=16), 0))
    right = network(torch.from_numpy(dataset.test.images)).argmax(dim=1).numpy() == dataset.test.labels
    assert right.mean() > 0.9


def test_fidelity_buys_epochs() -> None:
    recipe = Recipe(epochs=8)
    assert [recipe.epochs_at(f) for f in (1.0, 0.5, 0.01)] == [8, 4, 1]
    with pytest.raises(SpecError, match=r"fidelity: 0 is not in \(0, 1\]"):
        recipe.epochs_at(0)


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [((1, 3, 6, 6), 3, "inputs"), ((1, 1, 6, 6), 4, r"output: \(1, 4\) is not \(batch, 3\)")],
)
def test_a_network_that_does_not_fit_the_data_is_named(
    dataset: Dataset, shape: tuple[int, ...], classes: int, message: str
) -> None:
    net = Builder("misfit", shape)
    workload = net.finish(net.linear(net.flatten(net.input), classes))
    with pytest.raises(SpecError, match=f"misfit on rows: {message}"):
        train(workload, dataset, QUICK, 0)


def test_a_field_that_joined_later_leaves_older_keys_alone() -> None:
    """Pooling had no dilation once: a window without one is known by the same fields, one with it by more."""
    assert _fields(Pool2d("avg")) == {"mode": "avg", "kernel": None, "stride": None, "padding": 0, "ceil_mode": False}
    assert _fields(Pool2d("max", 3, dilation=2))["dilation"] == 2
