"""What an accuracy estimator is asked and answers, and where one that trains keeps its trainings.

An estimate is a function of its request: (workload, numerics, fidelity, seed), and of the ancestors whose weights its
training starts from. A training is the dear part and does not depend on the numerics, so it is kept under its own key
in a `Weights` store: a dictionary here, the run store in a search, what a worker carries in a worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from codesign.task import Better
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Workload

__all__ = [
    "Ancestor",
    "CarriedWeights",
    "Effort",
    "Estimate",
    "Estimator",
    "Inheriting",
    "MemoryWeights",
    "Request",
    "Trained",
    "Trainer",
    "Weights",
    "effort_of",
]


class Ancestor(NamedTuple):
    """A network that was trained before one that starts from its weights, and the fidelity of its training."""

    workload: Workload
    fidelity: float


class Request(NamedTuple):
    """How good is this network on hardware with these numerics?

    genotype : canonical, of the architecture space; () where there is none. workload : what is trained and run.
    fidelity : share of a full training, in (0, 1]. ancestors : whose weights its training starts from, the parent
    first, up to one that was trained from new weights; () where it is one. They are asked of an `Inheriting` estimator
    alone, and whole: so an answer is a function of its request whether or not the parent's weights are at hand.
    """

    genotype: tuple[int, ...]
    workload: Workload
    numerics: Numerics
    fidelity: float
    seed: int
    ancestors: tuple[Ancestor, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """How good one network is under one arithmetic. Times do not take part in comparison.

    error : on the validation split, of the mean over draws; what a search minimises.
    spread : standard deviation of `error` over draws of the hardware's variation; 0 for one draw.
    metrics : those of the task by name (`codesign.task`), the one that the error follows first.
    fidelity : share of the full training spent.
    key : content key of the training that served it.
    draws : the metric behind `error` for each draw, one entry where nothing is random.
    trained : whether this call trained, rather than found the weights.
    seconds : wall time of this call.
    images : how many the accuracy on the validation split was counted on; 0 where that is not known.
    diverged : whether numbers that are not finite turned up in training or evaluation; what rests on them is chance.
    """

    error: float
    spread: float
    metrics: Mapping[str, float]
    fidelity: float
    key: str
    draws: tuple[float, ...] = ()
    trained: bool = field(default=False, compare=False)
    seconds: float = field(default=0.0, compare=False)
    diverged: bool = False
    images: int = 0

    @classmethod
    def of_accuracy(
        cls,
        accuracy: float,
        accuracy_test: float,
        *,
        spread: float,
        draws: tuple[float, ...],
        fidelity: float,
        key: str,
        trained: bool = False,
        seconds: float = 0.0,
        diverged: bool = False,
        images: int = 0,
    ) -> Estimate:
        """The estimate of a classifier: shares told right on the two splits; the error is what is told wrong."""
        metrics = {"accuracy": accuracy, "accuracy_test": accuracy_test}
        return cls(1.0 - accuracy, spread, metrics, fidelity, key, draws, trained, seconds, diverged, images)

    @property
    def accuracy(self) -> float:
        """The task's accuracy on the validation split; 1 - error where the task has none."""
        return self.metrics.get("accuracy", 1.0 - self.error)

    @property
    def accuracy_test(self) -> float:
        """The task's accuracy on the test split, reported and never chosen by; NaN where it has none."""
        return self.metrics.get("accuracy_test", float("nan"))


Effort = Literal["training", "evaluation", "nothing"]
"""What an estimate of a new network costs: a training, or the place of one in a comparison; an evaluation under the
hardware's arithmetic; nothing."""


class Estimator(Protocol):
    """Answers requests; equal requests get equal estimates, whoever answers and in whichever order.

    It crosses process boundaries before it works, so it is pickled with its settings and data alone. One that does not
    train says so in an attribute `effort`; one that has no metrics judges nothing, and pairs are compared by their
    costs alone.
    """

    @property
    def metrics(self) -> Mapping[str, Better]:
        """The task's metrics and which values are better; constraints may be put on them."""
        ...

    def key(self, request: Request) -> str:
        """Content key of an estimate: equal keys, equal estimates."""
        ...

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        """(position of the request, its estimate), as they come."""
        ...


@runtime_checkable
class Trainer(Protocol):
    """An estimator that trains: requests of one training are answered by one worker, with weights from the store."""

    weights: CarriedWeights

    def training_key(self, request: Request) -> str:
        """Content key of the training that serves a request."""
        ...


@runtime_checkable
class Inheriting(Trainer, Protocol):
    """An estimator whose trainings start from the weights of the parent, where a request has one."""

    def parent_key(self, request: Request) -> str | None:
        """Content key of the training that a request's starts from; None where it starts from new weights."""
        ...


def effort_of(estimator: Estimator) -> Effort:
    """What an estimate of a new network costs."""
    effort: Effort = getattr(estimator, "effort", "training")
    return effort


class Weights(Protocol):
    """A store of trained weights by content key."""

    def get(self, key: str) -> bytes | None: ...

    def put(self, key: str, payload: bytes, seconds: float) -> None:
        """Keep a payload that took `seconds` to train."""
        ...


class MemoryWeights:
    """Weights in a dictionary, gone with the process.

    >>> weights = MemoryWeights()
    >>> weights.put("a", b"1", 0.5)
    >>> weights.get("a"), weights.get("b"), weights.seconds
    (b'1', None, 0.5)
    """

    def __init__(self) -> None:
        self._payloads: dict[str, bytes] = {}
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self._payloads)

    def get(self, key: str) -> bytes | None:
        return self._payloads.get(key)

    def put(self, key: str, payload: bytes, seconds: float) -> None:
        self._payloads[key] = payload
        self.seconds += seconds


class Trained(NamedTuple):
    """Weights that were made, by the key of their training."""

    key: str
    payload: bytes
    seconds: float


class CarriedWeights:
    """The `Weights` of a worker: those of the training at work, from the store or made here, and of its parent."""

    def __init__(self) -> None:
        self._key = ""
        self._payload: bytes | None = None
        self._made: Trained | None = None
        self._parent: tuple[str, bytes] | None = None

    def bring(self, key: str, payload: bytes | None, *, parent: tuple[str, bytes] | None = None) -> None:
        """Start on a training; with its weights where the store has them, else with those of its parent, by key."""
        self._key, self._payload, self._made, self._parent = key, payload, None, parent

    def get(self, key: str) -> bytes | None:
        if self._parent is not None and key == self._parent[0]:
            return self._parent[1]
        return self._payload if key == self._key else None

    def put(self, key: str, payload: bytes, seconds: float) -> None:
        self._key, self._payload = key, payload
        self._made = Trained(key, payload, seconds)

    def take(self) -> Trained | None:
        """What was trained since the last call."""
        made, self._made = self._made, None
        return made
