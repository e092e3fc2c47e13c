"""Search under hard limits: no pair is proposed that breaks one [Nayman et al., "HardCoRe-NAS", ICML 2021].

Choices have probabilities p that maximise the expected accuracy under the limits on expected costs,

    max  sum of p A   such that  sum of p C_k <= log T_k  and p a distribution for each decision,

where A is linear: ridge regression of what was told on the choices, as of the linear estimators that the authors
found to do [Nayman et al., "BINAS", 2021]; and C_k the logarithm of cost k as a sum over choices, by any cost model;
a cost of which more is better counts by its reciprocal. It is climbed by block-coordinate Frank-Wolfe: network and
hardware are the blocks, in turn, each step a linear program and a step 2 / (k + 2) towards its solution. What p says in
the end is drawn; every pair is costed exactly before it is proposed, and one over a limit is led below it by single
decisions or dropped. Of those that are new the best by A are proposed, and beside them some drawn at random within the
limits, all of them where nothing has been told.

Not modelled: the paper's supernet, in whose place stands what the run measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.model_based import one_hot
from codesign.strategy.scalarise import kept_limits
from hwmodels.errors import SpecError
from hwmodels.units import format_quantity, parse_quantity, split_unit

__all__ = ["PLUGIN", "HardConstrained", "HardCoreSettings"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_SAMPLED = 1024  # pairs that the costs of choices are fitted to, and that a first feasible one is looked for among
_STEPS = 20  # of Frank-Wolfe
_RIDGE = 1.0
_DRAWN = 8  # pairs that are drawn for one that is proposed
_DESCENTS = 16  # pairs over a limit that are led below it, a proposal
_EXPLORING = 0.25  # ASSUMED, .05 to .5: share of a proposal that is drawn anywhere within the limits


class HardConstrained:
    """Pairs within the limits alone; `limits` (K,) of the cost objectives, infinite where there is none."""

    def __init__(self, problem: Problem, limits: F64, *, most: int = 1000) -> None:
        if problem.space is not problem.joint:
            raise SpecError("strategy: hardcore", "networks alone", "for pairs: hardware.search: joint")
        self.space, self.limits, self.most = problem.space, limits, most
        self._costs_of, self._names = problem.costs, problem.objectives
        self._cut = problem.joint.architecture.n_genes if hasattr(problem.joint, "architecture") else 0
        self._genotypes: Genotypes = np.empty((0, self.space.n_genes), np.int64)
        self._errors: F64 = np.empty(0)
        rng = np.random.default_rng(problem.seed)
        sampled = self.space.sample(_SAMPLED, rng)
        self._table, self._constant = self._choice_costs(sampled)
        self._safe = self._first_within(sampled)

    # Exact costs decide what is proposed.

    def _excess(self, pairs: Genotypes) -> F64:
        """By how much the worst limit is broken, relative to it, (P,); infinite where a pair does not run."""
        costs = self._costs_of(pairs)
        with np.errstate(invalid="ignore"):
            over = np.where(np.isinf(self.limits), -1.0, (costs - self.limits) / np.abs(self.limits))
        worst: F64 = np.where(np.isfinite(costs).all(axis=1), over.max(axis=1, initial=-1.0), np.inf)
        return worst

    def _first_within(self, sampled: Genotypes) -> Genotypes:
        """Some pairs within the limits, (S, G), of a sample or by descents from the nearest of it.

        Raises
        ------
        SpecError : there is none, with the nearest value.
        """
        excess = self._excess(sampled)
        if (excess <= 0).any():
            return sampled[excess <= 0][:64]
        nearest = sampled[np.argsort(excess, kind="stable")[:_DESCENTS]]
        ends = self._descended(nearest)
        excess = self._excess(ends)
        if (excess <= 0).any():
            return ends[excess <= 0]
        found = self._costs_of(ends[excess.argmin()][None])[0]
        told = ", ".join(
            f"{name} {format_quantity(value, split_unit(name)[1])}"
            for name, value in zip(self._names, found.tolist(), strict=True)
        )
        raise SpecError("strategy.limits", "out of reach", f"reached by a pair: the nearest found has {told}")

    def _descended(self, pairs: Genotypes) -> Genotypes:
        """Each pair led by single decisions until it is within the limits or no decision helps."""
        ends = []
        for pair in pairs:
            at, best = pair, float(self._excess(pair[None])[0])
            while best > 0:
                around = self.space.neighbours(at)
                if not len(around):
                    break
                excess = self._excess(around)
                if not excess.min() < best:
                    break
                at, best = around[excess.argmin()], float(excess.min())
            ends.append(at)
        return np.array(ends, np.int64).reshape(len(ends), self.space.n_genes)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        exploring = n if not len(self._errors) else round(_EXPLORING * n)
        drawn = self._new(self._by(self._climbed(), _DRAWN * (n - exploring), rng), n - exploring)
        if len(drawn):
            worth = one_hot(drawn, self.space.cardinalities) @ self._gains()
            drawn = drawn[np.argsort(-worth, kind="stable")[: n - exploring]]
        wanted = n - len(drawn)
        within = np.concatenate([drawn, self._new(self.space.sample(_DRAWN * wanted, rng), wanted)[:wanted]])
        again = self._safe[rng.integers(len(self._safe), size=n - len(within))]
        return Proposal.full(np.concatenate([within, again]))

    def _new(self, pairs: Genotypes, wanted: int) -> Genotypes:
        """Pairs within the limits that were not told, each once; where fewer than wanted, the nearest others led there.

        What a descent leaves over a limit is dropped.
        """
        excess = self._excess(pairs)
        found = self._untold(pairs[excess <= 0])
        if len(found) >= wanted:
            return found
        over = np.flatnonzero(excess > 0)
        led = self._descended(pairs[over[np.argsort(excess[over], kind="stable")[:_DESCENTS]]])
        return self._untold(np.concatenate([found, led[self._excess(led) <= 0]]))

    def _untold(self, pairs: Genotypes) -> Genotypes:
        """Pairs that mean nothing that was told, each meaning once."""
        told = self.space.canonical(np.concatenate([self._genotypes, pairs]))
        _, first = np.unique(told, axis=0, return_index=True)
        return pairs[np.sort(first[first >= len(self._genotypes)]) - len(self._genotypes)]

    # The relaxed problem.

    def _choice_costs(self, sampled: Genotypes) -> tuple[F64, F64]:
        """Logarithms of costs as sums over choices: columns (D, K) and constants (K,), by least squares."""
        costs = self._costs_of(sampled)
        runs = np.isfinite(costs).all(axis=1) & (costs != 0).all(axis=1)
        rows = one_hot(sampled[runs], self.space.cardinalities)
        logs = _logarithm(costs[runs])
        if not len(rows):
            return np.zeros((int(self.space.cardinalities.sum()), len(self.limits))), np.zeros(len(self.limits))
        means = logs.mean(axis=0)
        gram = rows.T @ rows + 1e-6 * np.eye(rows.shape[1])
        table: F64 = np.linalg.solve(gram, rows.T @ (logs - means))
        return table, means

    def _gains(self) -> F64:
        """Expected accuracy of each choice, (D,): what ridge regression of the errors says."""
        rows = one_hot(self._genotypes, self.space.cardinalities)
        rows, wanted = rows - rows.mean(axis=0), self._errors.mean() - self._errors
        found: F64 = np.linalg.solve(rows.T @ rows + _RIDGE * np.eye(rows.shape[1]), rows.T @ wanted)
        return found

    def _climbed(self) -> F64:
        """Probabilities of choices (D,) after some steps of block-coordinate Frank-Wolfe."""
        sizes = self.space.cardinalities
        p: F64 = np.repeat(1.0 / sizes, sizes)
        if not len(self._errors):
            return p
        gains, ends = self._gains(), np.concatenate([[0], np.cumsum(sizes)])
        cut = int(ends[self._cut])
        blocks = [block for block in (slice(0, cut), slice(cut, len(p))) if block.stop > block.start]
        for step in range(_STEPS):
            block = blocks[step % len(blocks)]
            vertex = self._vertex(gains, p, block, ends)
            if vertex is not None:
                p = p.copy()
                p[block] += 2.0 / (step // len(blocks) + 2.0) * (vertex - p[block])
        return np.maximum(p, 0.0)

    def _vertex(self, gains: F64, p: F64, block: slice, ends: I64) -> F64 | None:
        """The best distributions of a block while the other is as it is; None where the limits leave none."""
        from scipy.optimize import linprog

        bound = ~np.isinf(self.limits)
        others = p.copy()
        others[block] = 0.0
        left = _logarithm(self.limits[bound]) - self._constant[bound] - others @ self._table[:, bound]
        genes = [(int(a), int(b)) for a, b in pairwise(ends) if block.start <= a < block.stop]
        sums = np.zeros((len(genes), block.stop - block.start))
        for row, (first, last) in enumerate(genes):
            sums[row, first - block.start : last - block.start] = 1.0
        solved = linprog(
            -gains[block], A_ub=self._table[block][:, bound].T if bound.any() else None,
            b_ub=left if bound.any() else None, A_eq=sums, b_eq=np.ones(len(genes)), bounds=(0, 1), method="highs",
        )  # fmt: skip
        return np.asarray(solved.x, np.float64) if solved.status == 0 else None

    def _by(self, p: F64, n: int, rng: np.random.Generator) -> Genotypes:
        """Valid pairs drawn by the probabilities, the most probable choices first; random ones where none is valid."""
        points = self.space.sample(n, rng)
        starts = np.concatenate([[0], np.cumsum(self.space.cardinalities)])
        drawn = np.empty_like(points)
        for gene, (first, last) in enumerate(pairwise(starts)):
            share = np.cumsum(p[first:last]) / p[first:last].sum()
            drawn[:, gene] = np.minimum((share[None] <= rng.random((n, 1))).sum(axis=1), last - first - 1)
            drawn[:1, gene] = p[first:last].argmax()
        return np.where(self.space.valid(drawn)[:, None], drawn, points)

    def tell(self, proposal: Proposal, results: Results) -> None:
        told = kept_limits(results) & (results.fidelity == 1.0)
        self._genotypes = np.concatenate([self._genotypes, proposal.genotypes[told]])[-self.most :]
        self._errors = np.concatenate([self._errors, results.error[told]])[-self.most :]

    def state(self) -> State:
        return {"genotypes": self._genotypes, "errors": self._errors}

    def restore(self, state: State) -> None:
        self._genotypes, self._errors = state["genotypes"], state["errors"]


def _logarithm(costs: F64) -> F64:
    """Of minimised costs; of one below zero, where more is better, that of its reciprocal."""
    found: F64 = np.log(np.where(costs > 0, costs, -1.0 / costs))
    return found


class HardCoreSettings(Settings):
    """Hard limits on costs."""

    limits: dict[str, float | str] = Field({}, description="of costs that no proposed pair breaks, by objective: 2 ms")
    most: int = Field(1000, ge=10, le=100_000, description="evaluated pairs that are remembered, the youngest")


def _limits(given: Mapping[str, float | str], problem: Problem) -> F64:
    """Limits of the objectives as they are minimised, infinite where none is given; a least value is negative.

    Raises
    ------
    SpecError : a limit of something that is no objective, or none above 0.
    """
    objectives = problem.objectives
    found = np.full(len(objectives), np.inf)
    for name, value in given.items():
        if name not in objectives:
            raise SpecError.unknown("strategy.limits", name, objectives)
        bound = parse_quantity(value, split_unit(name)[1], where=f"strategy.limits: {name}")
        if not bound > 0:
            raise SpecError(f"strategy.limits: {name}", value, "> 0")
        wants_more = problem.joint.hardware.model.metric(name).better == "more"
        found[objectives.index(name)] = -bound if wants_more else bound
    return found


def _make(settings: HardCoreSettings, problem: Problem) -> HardConstrained:
    return HardConstrained(problem, _limits(settings.limits, problem), most=settings.most)


PLUGIN = Plugin(HardCoreSettings, _make, "hard limits: no proposed pair breaks one, by Frank-Wolfe over choices")
