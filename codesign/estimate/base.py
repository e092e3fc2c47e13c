"""What an accuracy estimator answers, and where it keeps its trainings.

An estimator is a function of (workload, numerics, fidelity, seed). A training is the dear part and does not depend on
the numerics, so it is kept under its own key in a `Weights` store: a dictionary here, the run store in a search.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Workload

__all__ = ["Estimate", "Estimator", "MemoryWeights", "Weights"]


@dataclass(frozen=True)
class Estimate:
    """How good one network is under one arithmetic. Times do not take part in comparison.

    accuracy : fraction right on the validation split, the mean over draws; what a search may look at.
    accuracy_test : the same on the test split; reported, never chosen by.
    spread : standard deviation of `accuracy` over draws of the hardware's variation; 0 for one draw.
    draws : validation accuracy of each draw, one entry where nothing is random.
    fidelity : share of the full training spent.
    key : content key of the training that served it.
    trained : whether this call trained, rather than found the weights.
    seconds : wall time of this call.
    """

    accuracy: float
    accuracy_test: float
    spread: float
    draws: tuple[float, ...]
    fidelity: float
    key: str
    trained: bool = field(default=False, compare=False)
    seconds: float = field(default=0.0, compare=False)


class Estimator(Protocol):
    """How good is this network on hardware with these numerics?"""

    def __call__(self, workload: Workload, numerics: Numerics, fidelity: float, seed: int) -> Estimate:
        """Estimate at a `fidelity` in (0, 1]; equal arguments give equal estimates."""
        ...

    def key(self, workload: Workload, numerics: Numerics, fidelity: float, seed: int) -> str:
        """Content key of an estimate: equal keys, equal estimates."""
        ...


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
