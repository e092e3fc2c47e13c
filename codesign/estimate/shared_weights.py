"""Weights that the networks of a space share, trained together once: one-shot search.

Every parameter of the space is one array by place (`codesign.space.sharing`), as large as the largest network needs
it; a network takes its part. A step descends the loss of sampled networks on one batch:

uniform   : one network a step, drawn from the space [Guo et al., "Single Path One-Shot", ECCV 2020]
fair      : as many as a decision has choices, so that each step trains every choice of every decision equally often,
            and one descent along the sum of their gradients [Chu et al., "FairNAS", ICCV 2021, strict fairness]
shrinking : the largest network first, then networks drawn from ever more choices, each taught by the largest one as it
            was behind the first phase, beside the labels [Cai et al., "Once-for-All", ICLR 2020, its shrinking].
            The middle of a square kernel of k becomes one of k - 2 by a matrix of its layer, the identity at first,
            which all its channels share; the matrices are learned with the weights

Statistics of a batch norm hold for one network alone, so that a network that is evaluated measures its own on training
images first [Guo'20, section 3.4].

A fidelity with fewer epochs than phases leaves phases out.

Not modelled: Once-for-All's sorting of channels by importance, sandwich rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from codesign.data import Dataset
from codesign.estimate.augmentation import AUGMENTATIONS
from codesign.estimate.losses import LOSSES
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import State, check_fit, deterministic, optimiser_of, rate
from codesign.network.module import Network, to_module
from codesign.space.architecture import ArchitectureSpace
from codesign.space.sharing import Shrinks
from codesign.task import Classification
from hwmodels.errors import SpecError
from hwmodels.workload import ops
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

__all__ = ["Sampling", "part_of", "state_of", "taken", "train_shared"]

Sampling = Literal["uniform", "fair", "shrinking"]
Genotype = npt.NDArray[np.int64]

_SEEN = 64  # random networks that are looked at for the largest of each array, beside every choice of each decision
_DRAWS = 1_000  # of a genotype until a valid one comes
_KEPT = 32  # networks whose modules stay in memory


def part_of(whole: Sequence[int], part: Sequence[int], *, centred: bool) -> tuple[slice, ...]:
    """Where an array of shape `part` lies in one of shape `whole`: first rows and columns, the middle of a kernel.

    >>> part_of((8, 4, 5, 5), (2, 4, 3, 3), centred=True)
    (slice(0, 2, None), slice(0, 4, None), slice(1, 4, None), slice(1, 4, None))
    """
    middle = [(have - want) // 2 if centred else 0 for have, want in zip(whole, part, strict=True)]
    starts = [0 if axis < 2 else start for axis, start in enumerate(middle)]
    return tuple(slice(start, start + want) for start, want in zip(starts, part, strict=True))


def taken(shared: Mapping[str, Tensor], key: str, shape: Sequence[int], *, centred: bool) -> Tensor:
    """The array of `shape` that a network takes of a shared one: a part, its kernel transformed where that is learned.

    >>> weights = {"a": torch.arange(25.0).reshape(1, 1, 5, 5), "a>3": 2 * torch.eye(9)}
    >>> taken(weights, "a", (1, 1, 3, 3), centred=True)[0, 0, 0].tolist()
    [12.0, 14.0, 16.0]
    """
    value = shared[key]
    size = value.shape[-1]
    while centred and f"{key}>{size - 2}" in shared and size > shape[-1]:
        size -= 2
        middle = value[part_of(value.shape, (*value.shape[:2], size, size), centred=True)]
        value = (middle.flatten(2) @ shared[f"{key}>{size}"].T).reshape(middle.shape)
    return value[part_of(value.shape, shape, centred=centred)]


def _transformations(shared: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    """For every square kernel of more than 3 the matrices that make the next smaller ones, down to 3, of it."""
    found = {}
    for key, value in shared.items():
        if value.dim() == 4 and value.shape[2] == value.shape[3]:
            for size in range(value.shape[3] - 2, 2, -2):
                found[f"{key}>{size}"] = nn.Parameter(torch.eye(size * size))
    return found


def train_shared(
    space: ArchitectureSpace, dataset: Dataset, recipe: Recipe, *, sampling: Sampling, seed: int, fidelity: float
) -> State:
    """Train the weights of a space; equal arguments give equal bits.

    Parameters
    ----------
    recipe : epochs and rates; `noise` is not for shared weights. fidelity : share of the epochs.

    Returns
    -------
    State : array by place and name, as ``stage 0/cell 1/0>1/nor_conv_3x3/conv2d1.weight``.
    """
    with deterministic():
        torch.manual_seed(seed)
        shared = _initial(space, dataset)
        if sampling == "shrinking":
            shared |= _transformations(shared)
        _Training(space, dataset, recipe, shared, seed).run(sampling, recipe.epochs_at(fidelity))
    return {name: value.detach().numpy() for name, value in shared.items()}


def state_of(
    workload: Workload, places: Mapping[str, str], shared: Mapping[str, npt.NDArray[Any]], images: Tensor, batch: int
) -> State:
    """The weights of one network, (parameters and statistics by the names of its torch twin).

    images : of the training split, on which it measures the statistics of its normalisations, `batch` at a time.
    """
    with deterministic(), torch.no_grad():
        torch.manual_seed(0)  # initial weights are overwritten
        network = to_module(workload)
        held = {key: torch.from_numpy(value) for key, value in shared.items()}
        for name, key, centred in _named(network, places):
            own = network.get_parameter(name)
            if key not in shared or any(h < w for h, w in zip(shared[key].shape, own.shape, strict=True)):
                raise SpecError(f"supernet: {key}", tuple(own.shape), "a part of what was trained")
            own.copy_(taken(held, key, own.shape, centred=centred))
        norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        if norms:
            network.train()
            for some in torch.split(images, batch):
                if len(some) == batch:  # the statistics of a smaller last one are noisier
                    network(some)
    return {name: value.numpy() for name, value in network.state_dict().items()}


def _named(network: Network, places: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """(name in the module, place and name, whether its kernel is shared from the middle) of every parameter."""
    for name, _ in network.named_parameters():
        _, position, rest = name.split(".", 2)
        node = network.nodes[int(position)]
        centred = isinstance(node.operator, ops.Conv2d | ops.ConvTranspose2d)
        yield name, f"{places[node.name]}.{rest}", centred


def _initial(space: Any, dataset: Dataset) -> dict[str, nn.Parameter]:
    """An array for every parameter, filled with what torch gives the largest networks that have it."""
    shared: dict[str, Tensor] = {}
    for genotype in _looked_at(space):
        workload = prune_dead_branches(space.workload(genotype))
        check_fit(workload, dataset)
        network, places = to_module(workload), space.places(genotype)
        for name, key, centred in _named(network, places):
            own = network.get_parameter(name).detach()
            old = shared.get(key)
            if old is not None and all(h >= w for h, w in zip(old.shape, own.shape, strict=True)):
                continue
            whole = own.shape if old is None else tuple(map(max, old.shape, own.shape))
            grown = torch.zeros(whole)
            for value in (old, own):
                if value is not None:
                    grown[part_of(whole, value.shape, centred=centred)] = value
            shared[key] = grown
    return {key: nn.Parameter(value) for key, value in sorted(shared.items())}


def _looked_at(space: ArchitectureSpace) -> Iterator[Genotype]:
    """The network of the most parameters, choice by choice; each of its neighbours in one decision; random ones."""
    rng = np.random.default_rng(0)
    largest = space.sample(1, rng)[0]
    seen: list[Genotype] = []
    for gene, choices in enumerate(space.cardinalities):
        others = np.repeat(largest[None], choices, axis=0)
        others[:, gene] = np.arange(choices)
        others = others[space.valid(others)]
        seen.extend(others)
        largest = max(others, key=lambda point: space.workload(point).parameters)
    for gene, choices in enumerate(space.cardinalities):
        others = np.repeat(largest[None], choices, axis=0)
        others[:, gene] = np.arange(choices)
        seen.extend(others[space.valid(others)])
    yield from [largest, *seen, *space.sample(_SEEN, rng)]


class _Part(NamedTuple):
    """What a parameter of one network is of the shared arrays."""

    key: str
    shape: tuple[int, ...]
    centred: bool


def _values(shared: Mapping[str, Tensor], parts: Mapping[str, _Part]) -> dict[str, Tensor]:
    return {name: taken(shared, part.key, part.shape, centred=part.centred) for name, part in parts.items()}


class _Training:
    """Descends the losses of sampled networks; `run` once."""

    def __init__(
        self, space: Any, dataset: Dataset, recipe: Recipe, shared: dict[str, nn.Parameter], seed: int
    ) -> None:
        self._space, self._recipe, self._shared = space, recipe, shared
        self._images, self._labels = (torch.from_numpy(array) for array in dataset.train)
        self._loss = LOSSES[dataset.task.name]
        self._is_classification = isinstance(dataset.task, Classification)
        self._rng = np.random.default_rng([seed, 1])
        self._teacher: Callable[[Tensor], Tensor] | None = None
        self._built = lru_cache(maxsize=_KEPT)(self._build)

    def run(self, sampling: Sampling, epochs: int) -> None:
        recipe = self._recipe
        batch = min(recipe.batch_size, len(self._labels))
        steps = len(self._labels) // batch
        optimiser = optimiser_of(nn.ParameterList(self._shared.values()), recipe)
        total = epochs * steps
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, total, recipe.warmup))
        drawn, augmented = self._drawn(sampling, epochs), AUGMENTATIONS[recipe.augmentation]
        for _ in range(epochs):
            order, draw = torch.randperm(len(self._labels)), next(drawn)
            for chosen in order[: steps * batch].reshape(-1, batch):
                optimiser.zero_grad(set_to_none=True)
                images = augmented(self._images[chosen])
                for genotype in draw():
                    loss = self._loss_of(genotype, images, self._labels[chosen])
                    torch.autograd.backward(loss)
                optimiser.step()
                schedule.step()
            if torch.isnan(loss):  # no step brings such weights back
                break

    def _loss_of(self, genotype: Genotype, images: Tensor, labels: Tensor) -> Tensor:
        answers = self._answers(genotype, images)
        loss = self._loss(answers, labels, self._recipe)
        if self._teacher is None:
            return loss
        told = self._teacher(images)
        if self._is_classification:  # soft labels at temperature 1, as once-for-all's code has them
            return loss - (F.softmax(told, dim=1) * F.log_softmax(answers, dim=1)).sum(dim=1).mean()
        return loss + F.mse_loss(answers, told)

    def _answers(self, genotype: Genotype, images: Tensor) -> Tensor:
        network, parts = self._built(tuple(genotype.tolist()))
        found: Tensor = functional_call(network, _values(self._shared, parts), (images,))
        return found

    def _build(self, genotype: tuple[int, ...]) -> tuple[Network, dict[str, _Part]]:
        point = np.array(genotype, np.int64)
        network = to_module(prune_dead_branches(self._space.workload(point))).train()
        parts = {}
        for name, key, centred in _named(network, self._space.places(point)):
            parts[name] = _Part(key, tuple(network.get_parameter(name).shape), centred)
        return network, parts

    # Which networks a step trains.

    def _drawn(self, sampling: Sampling, epochs: int) -> Iterator[Callable[[], Sequence[Genotype]]]:
        """For each epoch how the networks of a step are drawn."""
        if sampling == "fair":
            for _ in range(epochs):
                yield self._fair
        elif sampling == "uniform":
            for _ in range(epochs):
                yield lambda: self._space.sample(1, self._rng)
        else:
            assert isinstance(self._space, Shrinks)
            phases = self._space.phases()
            for epoch in range(epochs):
                phase = epoch * len(phases) // epochs
                if phase > 0 and self._teacher is None:
                    self._teacher = self._largest(phases[0])
                opened = phases[phase]
                yield lambda opened=opened: [self._open(opened)]  # type: ignore[misc]

    def _fair(self) -> list[Genotype]:
        """As many genotypes as a decision has choices; every choice is in one of them, or in as many as any other."""
        cardinalities = self._space.cardinalities
        columns = []
        for choices in cardinalities:
            turns = -(-int(cardinalities.max()) // choices)
            columns.append(
                np.concatenate([self._rng.permutation(choices) for _ in range(turns)])[: cardinalities.max()]
            )
        genotypes = np.stack(columns, axis=1)
        valid = genotypes[self._space.valid(genotypes)]
        return list(valid) or self._fair()

    def _open(self, opened: Sequence[tuple[int, ...]]) -> Genotype:
        """A valid genotype of open choices.

        Raises
        ------
        SpecError : none in a thousand.
        """
        for _ in range(_DRAWS):
            genotype = np.array([self._rng.choice(choices) for choices in opened], np.int64)
            if self._space.valid(genotype[None])[0]:
                return genotype
        raise SpecError("supernet", "a phase of which no network is valid", "a largest network that is")

    def _largest(self, opened: Sequence[tuple[int, ...]]) -> Callable[[Tensor], Tensor]:
        """The largest network as it is now, which answers without learning."""
        genotype = self._open(opened)
        kept = {key: value.detach().clone() for key, value in self._shared.items()}
        network, parts = self._build(tuple(genotype.tolist()))

        def answer(images: Tensor) -> Tensor:
            with torch.no_grad():
                told: Tensor = functional_call(network, _values(kept, parts), (images,))
            return told

        return answer
