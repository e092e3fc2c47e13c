"""Why the FAST level drops a pair, as int8 codes, and the proofs behind the dominance reasons.

Sound pruning rests on three facts only: a cost constraint is violated; a lower bound of a cost already violates it;
another pair is no worse in every cost and its accuracy is known to be at least as high: because it is the same network
under the same Numerics, or because its accuracy reaches a proven upper bound. Fewer ADC bits always cost less, so cost
dominance across Numerics proves nothing.

Aggressive pruning adds a guess: of two networks under the same Numerics the one with more weights is no less accurate.
A pair that costs as much as another one of at least its capacity is dropped. Nothing proves that, so the loop audits:
some of the pairs guessed away are trained all the same, and the ledger says how many of them were wrong to drop.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from codesign.pareto import dominated_by, non_dominated

__all__ = ["GUESS", "KEPT", "Reasons", "dominated_at_capacity", "dominated_by_known", "dominated_in_class"]

F64 = npt.NDArray[np.float64]
KEPT = 0
GUESS = "dominated at its capacity, a guess"


class Reasons:
    """Names of the reason codes of one run; code 0 is a survivor.

    >>> reasons = Reasons(constraints=["area_mm2"], infeasible=["weights do not fit"])
    >>> reasons.names[reasons["constraint area_mm2"]]
    'constraint area_mm2'
    """

    def __init__(self, *, constraints: Iterable[str], infeasible: Iterable[str]) -> None:
        constraints = tuple(constraints)
        self.names: tuple[str, ...] = (
            "kept",
            "duplicate",
            "invalid architecture or hardware",
            *(f"infeasible: {reason}" for reason in infeasible),
            *(f"constraint {name}" for name in constraints),
            *(f"bound {name}" for name in constraints),
            "dominated in its accuracy class",
            "dominated by a proven accuracy",
            GUESS,
        )
        self.first_infeasible = self.names.index("invalid architecture or hardware") + 1

    def __getitem__(self, name: str) -> int:
        return self.names.index(name)

    def counts(self, codes: npt.NDArray[np.int8]) -> dict[str, int]:
        """How many pairs each reason dropped; reasons that dropped none are left out."""
        return self.named(np.bincount(codes, minlength=len(self.names)))

    def named(self, counted: npt.NDArray[np.int64]) -> dict[str, int]:
        """The same of counts by code."""
        return {name: int(n) for name, n in zip(self.names[1:], counted[1:], strict=True) if n}


def dominated_in_class(costs: F64, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Pairs that another pair of the same accuracy class dominates in cost; (P, K) costs, (P,) classes."""
    return ~non_dominated(costs, classes)


def dominated_at_capacity(costs: F64, capacity: F64, numerics: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Pairs that another pair of the same numerics and at least their capacity dominates; (P, K), (P,), (P,)."""
    return ~non_dominated(np.column_stack([costs, -capacity]), numerics)


def dominated_by_known(costs: F64, error_at_best: F64, known_costs: F64, known_error: F64) -> npt.NDArray[np.bool_]:
    """Pairs that an evaluated pair dominates whatever their accuracy turns out to be.

    Parameters
    ----------
    costs : (P, K) of the candidates. error_at_best : (P,) the least error that is still possible: the exact one of
        a class evaluated before, 0 where nothing is proven. known_costs, known_error : (A, K), (A,) evaluated pairs.
    """
    if not len(known_costs):
        return np.zeros(len(costs), np.bool_)
    candidates = np.column_stack([costs, error_at_best])
    front = np.column_stack([known_costs, known_error])
    mask: npt.NDArray[np.bool_] = dominated_by(candidates, front[non_dominated(front)])
    return mask
