"""Training a mixture of all networks of a space: its weights, and the choices that it is mixed by, in turn.

    w  descends the loss on one half of the training images, mixed by the weights of the choices as they are
    a  descends the loss on the other half plus what the choices are expected to cost, with the gradient of the first
       order [Liu, Simonyan and Yang, "DARTS", ICLR 2019, section 2.3 with xi = 0]

How choices with logits `a` (G, C) become the factors of operands is the relaxation:

softmax   p = softmax(a)                                                             [DARTS, eq. 2]
gumbel    softmax((a + Gumbel noise) / tau), tau falling from epoch to epoch         [Wu et al., "FBNet", CVPR 2019]
binary    one path drawn by p for w; for a two paths of each gene drawn by p, rescaled so that the others keep their
          probability, and the gradient by the gates that of the path drawn   [Cai et al., "ProxylessNAS", ICLR 2019]
uniform   one path drawn without regard to a for w; softmax for a

The state of a training is arrays by name, so that it goes on bit for bit. Batch norms use the statistics of the batch,
of the mixture, and keep none. The accuracy of a path runs that path alone.

Not modelled: gradients of the second order, steps that run the drawn paths alone (all are run).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from codesign.data import Dataset
from codesign.estimate.losses import LOSSES
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import State, check_fit, deterministic
from codesign.network.module import Network, Operation, to_module
from codesign.space.sharing import Mixture
from hwmodels.workload.graph import Input

__all__ = ["Cost", "MixtureSettings", "MixtureTraining", "Relaxation"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Relaxation = Literal["softmax", "gumbel", "binary", "uniform"]
Cost = Callable[[Tensor, Tensor], Tensor]
"""(loss of the task, probabilities (G, C)) -> loss that the choices descend."""

_CLIP = 5.0  # of the weights' gradient [DARTS, appendix A.1.1]
_START = 1e-3  # deviation of the first logits [DARTS's published code]


@dataclass(frozen=True)
class MixtureSettings:
    """relaxation : see above. rate, decay : of the choices' Adam. tau : first and last temperature. weighed_edges : the
    edges into a node have shares of their own [PC-DARTS's edge normalisation]; else each counts once."""

    relaxation: Relaxation = "softmax"
    rate: float = 0.05
    decay: float = 1e-3
    tau: tuple[float, float] = (5.0, 0.5)
    weighed_edges: bool = False


class MixtureTraining:
    """A training that goes on epoch by epoch.

    Parameters
    ----------
    cardinalities : choices of each gene; what a shorter gene lacks has no probability. recipe : of the weights: SGD
        at a constant rate, since nobody knows when the search ends.
    """

    def __init__(
        self, mixture: Mixture, cardinalities: I64, dataset: Dataset, recipe: Recipe, settings: MixtureSettings,
        cost: Cost, *, epochs: int, seed: int,
    ) -> None:  # fmt: skip
        check_fit(mixture.workload, dataset)
        self.mixture, self.recipe, self.settings, self.cost = mixture, recipe, settings, cost
        self.epochs, self.done = epochs, 0
        self._dataset, self._loss = dataset, LOSSES[dataset.task.name]
        self._there = torch.arange(int(cardinalities.max()))[None] < torch.from_numpy(cardinalities)[:, None]
        with deterministic():
            torch.manual_seed(seed)
            self._network: Network = to_module(mixture.workload).train()
            for layer in self._network.modules():
                if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                    layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
                    layer.num_batches_tracked = None
            self._logits = nn.Parameter(_START * torch.randn(self._there.shape))
            self._edges = nn.Parameter(_START * torch.randn(len(cardinalities)))
        self._weights_by = torch.optim.SGD(
            self._network.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
        self._choices_by = torch.optim.Adam(
            [self._logits, self._edges], lr=settings.rate, betas=(0.5, 0.999), weight_decay=settings.decay
        )  # betas: [DARTS, appendix A.1.1]

    # What came of it.

    @property
    def probabilities(self) -> F64:
        """Of each choice, (G, C); 0 for choices that a gene lacks."""
        with torch.no_grad():
            found: F64 = self._softmax(self._logits).double().numpy()
        return found

    def run(self, epochs: int, seed: int) -> float:
        """Train for some epochs; everything random follows from the seed. The mean loss of the choices."""
        with deterministic():
            torch.manual_seed(seed)
            losses = [self._epoch() for _ in range(epochs)]
        return float(np.mean(losses)) if losses else float("nan")

    def run_paths(self, draw: Callable[[], I64], epochs: int, seed: int) -> None:
        """Train the weights alone, each step on a path drawn for it; everything else follows from the seed."""
        with deterministic():
            torch.manual_seed(seed)
            images, labels = (torch.from_numpy(array) for array in self._dataset.train)
            half = len(labels) // 2
            batch = min(self.recipe.batch_size, half)
            for _ in range(epochs):
                order = torch.randperm(half)
                for start in range(0, half - batch + 1, batch):
                    chosen = order[start : start + batch]
                    self._descend(images[chosen], labels[chosen], self._path(draw()))
                self.done += 1

    def _path(self, genotype: I64) -> Tensor:
        return nn.functional.one_hot(torch.from_numpy(genotype), self._there.shape[1]).float()

    def _epoch(self) -> float:
        images, labels = (torch.from_numpy(array) for array in self._dataset.train)
        half = len(labels) // 2
        batch = min(self.recipe.batch_size, half)
        order = torch.randperm(half), half + torch.randperm(len(labels) - half)
        losses = []
        for start in range(0, half - batch + 1, batch):
            own, other = (part[start : start + batch] for part in order)
            losses.append(self._choose(images[other], labels[other]))
            self._descend(images[own], labels[own], self._factors(for_weights=True).detach())
        self.done += 1
        return float(np.mean(losses))

    def _descend(self, images: Tensor, labels: Tensor, factors: Tensor) -> None:
        self._weights_by.zero_grad(set_to_none=True)
        loss = self._loss(self._answers(images, factors), labels, self.recipe)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self._network.parameters(), _CLIP)
        self._weights_by.step()

    def _choose(self, images: Tensor, labels: Tensor) -> float:
        self._choices_by.zero_grad(set_to_none=True)
        answers = self._answers(images, self._factors(for_weights=False))
        loss = self.cost(self._loss(answers, labels, self.recipe), self._softmax(self._logits))
        torch.autograd.backward(loss)
        self._choices_by.step()
        return float(loss.detach())

    def accuracy_of(self, genotype: I64, rng: np.random.Generator) -> float:
        """Goodness of one path on a batch of the second half by the task (accuracy, where there are classes), with the
        statistics of that batch."""
        task, (images, labels) = self._dataset.task, self._dataset.train
        half = len(labels) // 2
        size = min(4 * self.recipe.batch_size, len(labels) - half)
        chosen = np.sort(half + rng.choice(len(labels) - half, size, replace=False))
        with deterministic(), torch.no_grad():
            answers = self._path_answers(torch.from_numpy(images[chosen]), genotype).numpy()
        return task.goodness(task.values(task.tally(answers, labels[chosen]))[next(iter(task.metrics))])

    # The mixture.

    def _softmax(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits.masked_fill(~self._there, -torch.inf), dim=1)

    def _factors(self, *, for_weights: bool) -> Tensor:
        """Factors of the operands, (G, C)."""
        relaxation, p = self.settings.relaxation, self._softmax(self._logits)
        if relaxation == "gumbel":
            first, last = self.settings.tau
            tau = first * (last / first) ** (self.done / max(self.epochs - 1, 1))
            noise = -torch.log(-torch.log(torch.rand_like(self._logits).clamp(1e-9, 1 - 1e-9)))
            return self._softmax((self._logits + noise) / max(tau, last))
        if relaxation == "uniform" and for_weights:
            return _one_hot(torch.multinomial(self._there.float(), 1), p)
        if relaxation == "binary":
            return _one_hot(torch.multinomial(p, 1), p) if for_weights else _two_paths(p, self._there)
        return p

    def _answers(self, images: Tensor, factors: Tensor) -> Tensor:
        replace: dict[str, Operation] = {}
        for name, terms in self.mixture.sums.items():
            places = torch.tensor(terms)
            replace[name] = _weighted(factors[places[:, 0], places[:, 1]])
        if self.settings.weighed_edges:
            for name, genes in self.mixture.edges.items():
                replace[name] = _weighted(torch.softmax(self._edges[list(genes)], 0))
        output = self.mixture.workload.outputs[0]
        return self._network.run([images], replace=replace, keep=(output,))[output]

    def _path_answers(self, images: Tensor, genotype: I64) -> Tensor:
        """As `_answers` of one path, without what its factors of 0 would take away: no other operation runs."""
        if self.settings.weighed_edges:
            return self._answers(images, self._path(genotype))
        reads = {node.name: node.inputs for node in self._network.nodes}
        empty = set()
        for name, terms in self.mixture.sums.items():
            kept = [i for i, (gene, choice) in enumerate(terms) if genotype[gene] == choice]
            if not kept:  # zeros of the shape of any operand
                empty.add(name)
            reads[name] = tuple(reads[name][i] for i in kept or [0])
        output = self.mixture.workload.outputs[0]
        needed = {output}
        for node in reversed(self._network.nodes):
            needed |= set(reads[node.name]) if node.name in needed else set()
        values: dict[str, Tensor] = {}
        for node in self._network.nodes:
            operands = [values[source] for source in reads[node.name] if source in values]
            if isinstance(node.operator, Input):
                values[node.name] = images
            elif node.name in self.mixture.sums and node.name in needed:
                total = _weighted(torch.full((len(operands),), float(node.name not in empty)))(*operands)
                values[node.name] = total.expand(len(images), *total.shape[1:])  # zeros are of one item
            elif node.name in needed:
                values[node.name] = self._network.operation(node.name)(*operands)
        return values[output]

    # As arrays.

    def state(self) -> State:
        found: dict[str, Any] = {"done": np.array(self.done), "logits": self._logits, "edges": self._edges}
        found |= {f"network/{name}": value for name, value in self._network.state_dict().items()}
        for kind, optimiser in (("weights", self._weights_by), ("choices", self._choices_by)):
            for place, values in optimiser.state_dict()["state"].items():
                found |= {f"{kind}/{place}/{key}": value for key, value in values.items() if value is not None}
        return {
            name: value.detach().numpy().copy() if isinstance(value, Tensor) else value for name, value in found.items()
        }

    def restore(self, state: State) -> None:
        self.done = int(state["done"])
        with torch.no_grad():
            self._logits.copy_(torch.from_numpy(state["logits"]))
            self._edges.copy_(torch.from_numpy(state["edges"]))
        self._network.load_state_dict(_below(state, "network/"))
        for kind, optimiser in (("weights", self._weights_by), ("choices", self._choices_by)):
            kept: dict[int, dict[str, Tensor]] = {}
            for name, value in _below(state, f"{kind}/").items():
                place, _, key = name.partition("/")
                kept.setdefault(int(place), {})[key] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": kept})


def _below(state: State, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(value))
        for name, value in state.items()
        if name.startswith(prefix)
    }


def _weighted(factors: Tensor) -> Operation:
    def total(*operands: Tensor) -> Tensor:
        found = factors[0] * operands[0]
        for factor, operand in zip(factors[1:], operands[1:], strict=True):
            found = found + factor * operand
        return found

    return total


def _one_hot(drawn: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like).scatter(1, drawn, 1.0)


def _two_paths(p: Tensor, there: Tensor) -> Tensor:
    """One of two drawn paths of each gene, with the gradient of the two's probabilities; the others have none."""
    with torch.no_grad():  # two differ even where one has all the probability
        two = torch.multinomial(p + 1e-12 * there, 2)
    pair = p.gather(1, two)
    shares = pair / pair.sum(dim=1, keepdim=True)
    gate = torch.zeros_like(shares).scatter(1, torch.multinomial(shares.detach(), 1), 1.0)
    return torch.zeros_like(p).scatter(1, two, gate + shares - shares.detach())
