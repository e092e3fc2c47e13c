"""Search by gradients: choices with probabilities, learned together with the weights of a mixture of all networks.

    darts     softmax over the operations of each edge, first order [Liu, Simonyan and Yang, ICLR 2019]
    pc_darts  the same on a quarter of the channels, with shares of the edges [Xu et al., ICLR 2020]
    fbnet     Gumbel-softmax with a falling temperature, loss x expected cost^beta [Wu et al., CVPR 2019]
    proxyless binary gates, two paths a step, loss + lambda x expected cost [Cai, Zhu and Han, ICLR 2019]
    la_dnas   darts with a network that predicts costs in place of a sum over choices [Xu et al., 2020]
    edgenas   weights trained on uniform paths, choices by the same predictor, with an entropy that falls [Luo et al.,
              2020; the sampling and the predictor are the paper's, the entropy stands for its regularisation of the
              space, which is recalled and not read]

Costs enter through any cost model (`codesign.strategy.expected_cost`). Each ask trains `epochs_a_batch` epochs while
there are epochs left, then proposes the network of the most probable choices and networks drawn by the probabilities,
each with hardware drawn at random where hardware is searched. What is told teaches nothing. With
``slow.selection: strategy`` the most probable survivors are trained.

FBNet's loss is CE x alpha log(latency in us)^beta with .2 and .6; here the latency is in units of the mean cost, so
that any metric fits, and the logarithm is that of 1 + cost; its weight is not set but by 0, which leaves costs out.

Diagnosis of the collapse of DARTS [Zela et al., ICLR 2020; Chu et al., "Fair DARTS", ECCV 2020]: after each training
`diagnosis` has the epochs, the loss, the mean entropy of the choices, and the share of decisions whose most probable
choice has no parameters. A collapse is a share that goes to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes
from codesign.space.sharing import Mixes
from codesign.strategy.base import Problem, Proposal, Results, State, Survivors
from codesign.strategy.expected_cost import choice_costs, scaled_costs
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor

    from codesign.estimate.mixture import Cost, MixtureTraining

__all__ = [
    "DARTS", "EDGENAS", "FBNET", "LA_DNAS", "PC_DARTS", "PROXYLESS", "Differentiable", "GradientSettings",
    "mixed_networks",
]  # fmt: skip

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

Kind = Literal["darts", "pc_darts", "fbnet", "proxyless", "la_dnas", "edgenas"]
_RELAXED: dict[str, Any] = {"fbnet": "gumbel", "proxyless": "binary", "edgenas": "uniform"}
_PARTIAL = 4  # channels of which one is mixed [Xu et al., ICLR 2020]
_ALPHA, _BETA = 0.2, 0.6  # [Wu et al., CVPR 2019, section 3.2]
_ENTROPY = 0.1  # ASSUMED, .01 to 1: of edgenas at its first epoch, falling to 0
_DRAWS = 20


class GradientSettings(Settings):
    """Gradients of the choices, with shared weights."""

    epochs: int = Field(30, ge=1, le=10_000, description="of the mixture, all in all")
    epochs_a_batch: int = Field(10, ge=1, le=10_000, description="before each proposal, while there are any left")
    batch_size: int = Field(64, ge=2, le=1_000_000, description="images a step, of either half of the training images")
    learning_rate: float = Field(0.025, gt=0, le=10, description="of the weights, SGD with Nesterov momentum .9")
    choice_rate: float = Field(0.05, gt=0, le=10, description="of the choices, Adam")
    cost_weight: float = Field(0.1, ge=0, le=1e6, description="of the expected cost, in mean costs, beside the loss")


class Differentiable:
    """Choices by gradient; see the module.

    probabilities : (G, C) of each choice. diagnosis : (T, 4) epochs, loss, entropy, share without parameters.
    """

    def __init__(self, problem: Problem, kind: Kind, settings: GradientSettings) -> None:
        networks = mixed_networks(problem, kind)
        self.space, self.networks, self.kind, self.settings = problem.space, networks, kind, settings
        self._problem, self._blob = problem, ""
        self._training: MixtureTraining | None = None
        self._there: npt.NDArray[np.bool_] = (
            np.arange(int(networks.cardinalities.max()))[None] < networks.cardinalities[:, None]
        )
        self.probabilities: F64 = self._there / networks.cardinalities[:, None]
        self.diagnosis: F64 = np.empty((0, 4))
        self._free = _without_parameters(networks)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        done = 0 if not len(self.diagnosis) else int(self.diagnosis[-1, 0])
        left = min(self.settings.epochs_a_batch, self.settings.epochs - done)
        if left > 0:
            self._train(left, int(rng.integers(2**62)))
        return Proposal.full(self._drawn(n, rng))

    @property
    def derived(self) -> I64 | None:
        """The most probable network, (G,): of the most probable choices, or nearest to them where that is not valid."""
        point = self.probabilities.argmax(axis=1)
        for _ in range(len(point)):
            near = np.vstack([point[None], _around(point, self.networks.cardinalities)])
            valid = near[self.networks.valid(near)]
            if len(valid):
                best: I64 = valid[self._odds(valid).argmax()]
                return best
            point = near[1:][self._odds(near[1:]).argmax()]
        return None

    def _odds(self, networks: Genotypes) -> F64:
        """Logarithm of the probability of networks (P, G), (P,)."""
        logs = np.log(np.maximum(self.probabilities, 1e-300))
        found: F64 = logs[np.arange(networks.shape[1]), networks].sum(axis=1)
        return found

    def _drawn(self, n: int, rng: np.random.Generator) -> Genotypes:
        """The derived network, then networks by their probability, as far as they are valid."""
        genes, derived = len(self.probabilities), self.derived
        found = self.space.sample(min(n, 1 if derived is not None else 0), rng)
        found[:, :genes] = found[:, :genes] if derived is None else derived
        for _ in range(_DRAWS):
            if len(found) >= n:
                break
            points = self.space.sample(n - len(found), rng)
            below = np.cumsum(self.probabilities, axis=1)[None, :, :-1] <= rng.random((len(points), genes, 1))
            points[:, :genes] = np.minimum(below.sum(axis=2), self.networks.cardinalities - 1)
            found = np.concatenate([found, points[self.space.valid(points)]])
        return np.concatenate([found, self.space.sample(n - len(found), rng)])

    def _train(self, epochs: int, seed: int) -> None:
        from codesign.estimate.train import pack

        training = self._ready()
        loss = training.run(epochs, seed)
        self.probabilities = training.probabilities
        p = np.maximum(self.probabilities, 1e-300)
        entropy = -(p * np.log(p)).sum(axis=1).mean()
        free = self._free[np.arange(len(p)), p.argmax(axis=1)].mean()
        self.diagnosis = np.vstack([self.diagnosis, [training.done, loss, entropy, free]])
        older, self._blob = self._blob, self._problem.blobs.keep(pack(training.state()))
        if older and older != self._blob:
            self._problem.blobs.drop(older)

    def _ready(self) -> MixtureTraining:
        """The training as it was left; torch is loaded with the first."""
        from codesign.estimate.mixture import MixtureSettings, MixtureTraining
        from codesign.estimate.recipe import Recipe
        from codesign.estimate.train import unpack

        if self._training is not None:
            return self._training
        data = self._problem.data
        assert data is not None
        settings = self.settings
        recipe = Recipe(
            optimiser="sgd", batch_size=settings.batch_size, learning_rate=settings.learning_rate, weight_decay=3e-4
        )  # decay: [DARTS, appendix A.1.1]
        is_partial = self.kind == "pc_darts"
        training = MixtureTraining(
            self.networks.mixture(partial=_PARTIAL if is_partial else 1), self.networks.cardinalities, data, recipe,
            MixtureSettings(_RELAXED.get(self.kind, "softmax"), settings.choice_rate, weighed_edges=is_partial),
            self._cost(), epochs=settings.epochs, seed=self._problem.seed,
        )  # fmt: skip
        if self._blob:
            training.restore(unpack(self._problem.blobs.blob(self._blob)))
        self._training = training
        return training

    def _cost(self) -> Cost:
        """How the expected cost joins the loss."""
        import torch

        weight, kind = self.settings.cost_weight, self.kind
        if not self._problem.objectives or weight == 0:
            return lambda loss, p: loss
        expected = _predicted(self._problem, self.networks.cardinalities) if kind in ("la_dnas", "edgenas") else None
        if expected is None:
            found = choice_costs(self._problem, self.networks.n_genes)
            table = torch.from_numpy(found.table).float()

            def expected(p: Tensor) -> Tensor:
                return found.constant + (p * table).sum()

        def joined(loss: Tensor, p: Tensor) -> Tensor:
            cost = expected(p)
            if kind == "fbnet":
                return loss * _ALPHA * torch.log1p(cost.clamp_min(1e-6)) ** _BETA
            if kind == "edgenas":
                progress = (self._training.done if self._training else 0) / self.settings.epochs
                entropy = -(p * torch.log(p.clamp_min(1e-12))).sum(dim=1).mean()
                return loss + weight * cost - _ENTROPY * (1 - progress) * entropy
            return loss + weight * cost

        return joined

    def select(self, survivors: Survivors, trainings: int) -> I64:
        """The survivors of the most probable networks."""
        networks = survivors.genotypes[:, : len(self.probabilities)]
        odds = self._odds(networks)
        taken: list[bytes] = []
        chosen = []
        for place in np.argsort(-odds, kind="stable"):
            name = networks[place].tobytes()
            if name not in taken and len(taken) < trainings:
                taken.append(name)
            if name in taken:
                chosen.append(int(place))
        return np.array(chosen, np.int64)

    def tell(self, proposal: Proposal, results: Results) -> None:
        return None

    def state(self) -> State:
        return {"blob": self._blob, "probabilities": self.probabilities, "diagnosis": self.diagnosis}

    def restore(self, state: State) -> None:
        self._blob, self._training = str(state["blob"]), None
        self.probabilities, self.diagnosis = state["probabilities"], state["diagnosis"]


def mixed_networks(problem: Problem, name: str) -> Any:
    """The networks of a problem whose operations a mixture can weigh.

    Raises
    ------
    SpecError : there are no images, or no such networks.
    """
    networks = problem.joint.architecture if hasattr(problem.joint, "architecture") else problem.joint
    if problem.data is None:
        raise SpecError(f"strategy: {name}", "without images", "for a search with images to train on")
    if not isinstance(networks, Mixes):
        raise SpecError(f"strategy: {name}", type(networks).__name__, "for networks of chosen operations: cell")
    return networks


def _around(point: I64, cardinalities: I64) -> Genotypes:
    """All points that differ in one decision, valid or not, (K, G)."""
    moved = [
        np.concatenate([point[:gene], [choice], point[gene + 1 :]])
        for gene, count in enumerate(cardinalities.tolist())
        for choice in range(count)
        if choice != point[gene]
    ]
    return np.array(moved, np.int64)


def _without_parameters(networks: Any) -> npt.NDArray[np.bool_]:
    """Which choices (G, C) leave a network with the fewest parameters, where the others take the most."""
    cardinalities = networks.cardinalities
    largest = np.zeros(networks.n_genes, np.int64)
    counts = np.full((networks.n_genes, int(cardinalities.max())), -1)
    for turn in range(2):  # the largest network first, choice by choice; then each choice in it
        for gene, count in enumerate(cardinalities.tolist()):
            points = np.repeat(largest[None], count, axis=0)
            points[:, gene] = np.arange(count)
            sizes = [networks.workload(point).parameters for point in points]
            counts[gene, :count] = sizes
            if turn == 0:
                largest[gene] = int(np.argmax(sizes))
    least = np.where(counts < 0, np.iinfo(np.int64).max, counts).min(axis=1, keepdims=True)
    free: npt.NDArray[np.bool_] = counts == least
    return free


def _predicted(problem: Problem, cardinalities: I64) -> Any:
    """A small network that predicts the cost of a network from its choices, trained on random pairs."""
    import torch
    from torch import nn

    from codesign.estimate.train import deterministic

    pairs, total = scaled_costs(problem, seed=problem.seed, sampled=1024)
    width = int(cardinalities.max())
    networks = torch.from_numpy(pairs[:, : len(cardinalities)])
    inputs = nn.functional.one_hot(networks, width).float().flatten(1)
    wanted = torch.from_numpy(total).float()
    with deterministic():
        torch.manual_seed(problem.seed)
        model = nn.Sequential(nn.Linear(inputs.shape[1], 64), nn.ReLU(), nn.Linear(64, 1))
        descent = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(300):
            descent.zero_grad()
            loss = nn.functional.mse_loss(model(inputs)[:, 0], wanted)
            torch.autograd.backward(loss)
            descent.step()
    model.requires_grad_(False)
    return lambda p: model(p.reshape(1, -1))[0, 0]


def _plugin(kind: Kind, meaning: str) -> Plugin:
    return Plugin(GradientSettings, lambda settings, problem: Differentiable(problem, kind, settings), meaning)


DARTS = _plugin("darts", "softmax over operations, learned by gradient with shared weights")
PC_DARTS = _plugin("pc_darts", "DARTS on a quarter of the channels, with shares of the edges")
FBNET = _plugin("fbnet", "Gumbel-softmax over operations, loss times expected cost")
PROXYLESS = _plugin("proxyless", "binary gates over operations, two paths a step, loss and expected cost")
LA_DNAS = _plugin("la_dnas", "DARTS with a network that predicts the costs")
EDGENAS = _plugin("edgenas", "uniform paths for the weights, choices by a predictor of the costs")
