"""Training a small network from its description, reproducibly to the bit.

AdamW [Loshchilov & Hutter, ICLR'19] or SGD with Nesterov momentum, linear warm-up, cosine decay to zero, label
smoothing. Weights, order of the data and everything else random come from one generator derived from the content
key of the training. The key holds neither names nor bit widths nor hardware: one float training serves them all.

With `recipe.noise` the products of a step are those of a noisy crossbar (`codesign.estimate.noise`).

Not modelled: augmentation, mixed precision, several devices, quantisation-aware training of operands.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from codesign.data import Dataset
from codesign.estimate.augmentation import AUGMENTATIONS
from codesign.estimate.losses import LOSSES
from codesign.estimate.noise import noisy_operations
from codesign.estimate.recipe import Recipe
from codesign.estimate.stopping import CURVE, Followed
from codesign.network.module import Network, to_module
from hwmodels.errors import SpecError
from hwmodels.workload import ops
from hwmodels.workload.graph import Input, Workload

__all__ = [
    "Start",
    "State",
    "Watch",
    "check_fit",
    "deterministic",
    "optimiser_of",
    "pack",
    "rate",
    "restore",
    "structure",
    "train",
    "training_key",
    "unpack",
]

State = Mapping[str, npt.NDArray[Any]]
"""Parameters and running statistics by the name that `Network.state_dict` gives them."""

Watch = Callable[[int, Network], bool]
"""(epochs done, network in evaluation mode) -> whether the training ends here; it draws no random numbers."""


class Start(NamedTuple):
    """Where a training starts that does not start anew. key : of that training. weights : of new weights, its own."""

    key: str
    weights: Callable[[State], State]


def structure(workload: Workload) -> list[Any]:
    """What a training depends on: operators and their wiring by position, without names, bits or batch size."""
    nodes = list(workload)
    position = {node.name: i for i, node in enumerate(nodes)}
    described = []
    for node in nodes:
        operator = node.operator
        described_by: dict[str, Any] = _fields(operator) if is_dataclass(operator) else {"repr": repr(operator)}
        if isinstance(operator, (Input, ops.Reshape)):
            described_by = {"shape": list(node.shape[1:])}
        described.append([type(operator).__name__, described_by, [position[source] for source in node.inputs]])
    return [described, [position[output] for output in workload.outputs]]


def _fields(operator: Any) -> dict[str, Any]:
    """The fields of a dataclass as `dataclasses.asdict` gives them; that copies every number, which costs more.

    A field that joined later counts where it is not at its default: weights trained before keep their key.
    """
    return {
        field.name: _fields(value) if is_dataclass(value) else value
        for field in fields(operator)
        if (value := getattr(operator, field.name)) != field.default or not field.metadata.get("joined")
    }


def training_key(workload: Workload, dataset: Dataset, recipe: Recipe, fidelity: float, seed: int) -> str:
    """Content key of one training, in hexadecimal."""
    # A recipe without noise has the key, and so the weights, that it had before there was any.
    rest = [dataset.fingerprint, recipe.content(), recipe.epochs_at(fidelity), seed]
    content = f"[{_structure_text(workload)}, {json.dumps(rest, sort_keys=True)[1:]}"
    return hashlib.sha256(content.encode()).hexdigest()


@lru_cache(maxsize=256)
def _structure_text(workload: Workload) -> str:
    """The structure as JSON; a search asks for the key of one network once for each of its numerics."""
    return json.dumps(structure(workload), sort_keys=True)


@contextmanager
def deterministic() -> Iterator[None]:
    """One torch thread, deterministic algorithms, a private global generator; all restored on leaving."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    determinism: Any = torch.utils.deterministic
    filling = determinism.fill_uninitialized_memory
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    # Clearing memory that is written before it is read would cost a tenth of the time.
    determinism.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        determinism.fill_uninitialized_memory = filling
        torch.use_deterministic_algorithms(strict)
        torch.set_num_threads(threads)


def train(
    workload: Workload,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    *,
    fidelity: float = 1.0,
    watch: Watch | None = None,
    start: Start | None = None,
) -> State:
    """Train on the training split and return the weights; equal arguments give equal bits.

    Parameters
    ----------
    watch : called after each epoch, with the network in evaluation mode; the training ends where it says so. It takes
        the place of `recipe.stopping`.

    Raises
    ------
    SpecError : the network does not take the items of the data set, or does not answer as its task asks.
    """
    check_fit(workload, dataset)
    key = training_key(workload, dataset, recipe, fidelity, seed) if start is None else start.key
    with deterministic():
        torch.manual_seed(int(key[:15], 16))
        network, epochs = to_module(workload), recipe.epochs_at(fidelity)
        if start is not None:
            fresh = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
            network.load_state_dict({name: torch.tensor(value) for name, value in start.weights(fresh).items()})
        stopping = recipe.stopping if watch is None else None
        followed = None if stopping is None else Followed(stopping, dataset, epochs)
        _fit(network, dataset, recipe, epochs, watch or followed)
    state = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    return state if followed is None else {**state, CURVE: np.array(followed.errors)}


def check_fit(workload: Workload, dataset: Dataset) -> None:
    """Whether a network takes the items of a data set and answers as its task asks.

    Raises
    ------
    SpecError : it does not.
    """
    where = f"{workload.name} on {dataset.name}"
    shapes = workload.input_shapes
    if len(shapes) != 1 or shapes[0][1:] != dataset.input_shape:
        wanted = ", ".join(map(str, dataset.input_shape))
        raise SpecError(f"{where}: inputs", shapes, f"one input of shape (batch, {wanted})")
    scores = workload[workload.outputs[0]].shape
    if scores[1:] != dataset.output_shape:
        raise SpecError(f"{where}: output", scores, f"(batch, {', '.join(map(str, dataset.output_shape))})")


def _fit(network: Network, dataset: Dataset, recipe: Recipe, epochs: int, watch: Watch | None) -> None:
    images, labels = (torch.from_numpy(array) for array in dataset.train)
    batch = min(recipe.batch_size, len(labels))
    steps_an_epoch = len(labels) // batch
    replace, learned = ({}, nn.ModuleList()) if recipe.noise is None else noisy_operations(network, recipe.noise)
    output, loss_of = network.workload.outputs[0], LOSSES[dataset.task.name]
    augmented = AUGMENTATIONS[recipe.augmentation]
    optimiser = optimiser_of(nn.ModuleList([network, learned]), recipe)
    total = epochs * steps_an_epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, total, recipe.warmup))
    network.train()
    for epoch in range(epochs):
        order = torch.randperm(len(labels))
        # The incomplete last batch is left out: its statistics would be noisier, and its images return next epoch.
        for chosen in order[: steps_an_epoch * batch].reshape(-1, batch):
            optimiser.zero_grad(set_to_none=True)
            scores = network.run([augmented(images[chosen])], replace=replace, keep=(output,))[output]
            loss = loss_of(scores, labels[chosen], recipe)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        if torch.isnan(loss):  # no step brings such weights back
            break
        if watch is not None and _ended(watch, epoch + 1, network):
            break
    network.eval()


def _ended(watch: Watch, epochs: int, network: Network) -> bool:
    """What the watcher says of a network after some epochs; the network is left in training mode."""
    network.eval()
    with torch.no_grad():
        ended = watch(epochs, network)
    network.train()
    return ended


def rate(step: int, total: int, warmup: float) -> float:
    """Share of the peak rate: linear to it over the warm-up, then half a cosine down to zero."""
    rise = warmup * total
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(total - rise, 1)))


def optimiser_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; vectors are not decayed."""
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, foreach=True)
    is_nesterov = recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=is_nesterov)


def pack(state: State) -> bytes:
    """Weights as the bytes of an npz file; equal weights give equal bytes."""
    stream = io.BytesIO()
    np.savez(stream, **dict(sorted(state.items())))  # type: ignore[arg-type]
    return stream.getvalue()


def unpack(payload: bytes) -> State:
    """The inverse of `pack`; never unpickles."""
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def restore(workload: Workload, state: State) -> Network:
    """The network of `workload` with trained weights, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):  # building draws initial weights that are overwritten at once
        network = to_module(workload)
    weights = {name: value for name, value in state.items() if name != CURVE}
    network.load_state_dict({name: Tensor(torch.from_numpy(np.array(value))) for name, value in weights.items()})
    return network.eval()
