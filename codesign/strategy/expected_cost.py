"""What each choice of each decision is expected to cost, by any cost model: a network's costs as a sum over choices.

    cost(network, design) ~ c0 + sum over genes of C[gene, choice]

C is fitted by least squares to random pairs of the joint space [the per-operation tables of FBNet and ProxylessNAS are
such sums], so that the expected cost of choices with probabilities p is c0 + sum of p C: differentiable, whatever the
model. Searched knobs of the hardware are columns of the fit and average out. Costs are in units of their mean, one for
each objective, summed with equal weights.

`objective_costs` keeps the objectives apart, each in its own unit, for strategies that weigh them themselves.

`explained` is the share of the variance on pairs that were not fitted: a model whose layers do not add up shows there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.strategy.base import Problem
from codesign.strategy.model_based import one_hot
from hwmodels.errors import SpecError

__all__ = ["ChoiceCosts", "ObjectiveCosts", "choice_costs", "objective_costs", "scaled_costs"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_SAMPLED = 512  # pairs; a quarter of them only tests
_RIDGE = 1e-6  # of columns that are one another's complement


class ChoiceCosts(NamedTuple):
    """table : (G, C) of the network's genes and choices, in mean costs; 0 where a gene has no such choice.

    constant : c0. explained : share of the variance of unseen pairs.
    """

    table: F64
    constant: float
    explained: float


class ObjectiveCosts(NamedTuple):
    """constant + p @ table is what K costs are expected to be under probabilities p of choices.

    table : (D, K), a row a choice, gene after gene. constant : (K,). The sum may fall below the least cost there is.
    """

    table: F64
    constant: F64


def _running(problem: Problem, seed: int, sampled: int) -> tuple[I64, F64]:
    """Random pairs (P, G) that run, and their costs (P, K).

    Raises
    ------
    SpecError : no pair runs.
    """
    pairs = problem.joint.sample(sampled, np.random.default_rng(seed))
    costs = problem.costs(pairs)
    runs = np.isfinite(costs).all(axis=1)
    if runs.sum() < 2:
        raise SpecError("strategy", f"{int(runs.sum())} of {sampled} pairs run", "a space in which some do")
    return pairs[runs], costs[runs]


def objective_costs(problem: Problem) -> ObjectiveCosts:
    """Each cost as a sum over the choices of the genes that the problem's space has.

    Raises
    ------
    SpecError : no pair runs.
    """
    pairs, costs = _running(problem, problem.seed, _SAMPLED)
    rows, scale = one_hot(pairs, problem.joint.cardinalities), np.abs(costs).mean(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    means = costs.mean(axis=0)
    centre = rows.mean(axis=0)  # searched hardware averages out
    gram = (rows - centre).T @ (rows - centre) + _RIDGE * np.eye(rows.shape[1])
    table = np.linalg.solve(gram, (rows - centre).T @ ((costs - means) / scale)) * scale
    own = int(problem.space.cardinalities.sum())
    return ObjectiveCosts(table[:own], means - centre[:own] @ table[:own])


def scaled_costs(problem: Problem, *, seed: int, sampled: int = _SAMPLED) -> tuple[I64, F64]:
    """Random pairs (P, G) that run and their costs (P,): each objective over its mean, summed.

    Raises
    ------
    SpecError : no pair runs.
    """
    pairs, costs = _running(problem, seed, sampled)
    scale = np.abs(costs).mean(axis=0)
    total: F64 = (costs / np.where(scale > 0, scale, 1.0)).sum(axis=1)
    return pairs, total


def choice_costs(problem: Problem, genes: int) -> ChoiceCosts:
    """The table for the first `genes` of the joint space, those of the network."""
    pairs, total = scaled_costs(problem, seed=problem.seed)
    cardinalities = problem.joint.cardinalities
    columns = np.column_stack([np.ones(len(pairs)), one_hot(pairs, cardinalities)])
    fitted = slice(0, max(3 * len(pairs) // 4, 1))
    gram = columns[fitted].T @ columns[fitted] + _RIDGE * np.eye(columns.shape[1])
    solution = np.linalg.solve(gram, columns[fitted].T @ total[fitted])
    rest = slice(fitted.stop, None)
    variance = float(total[rest].var()) if len(total[rest]) > 1 else 0.0
    missed = float(np.mean((total[rest] - columns[rest] @ solution) ** 2)) if variance else 0.0
    table = np.zeros((genes, int(cardinalities[:genes].max(initial=1))))
    at = 1
    for gene, count in enumerate(cardinalities[:genes].tolist()):
        table[gene, :count] = solution[at : at + count]
        at += count
    return ChoiceCosts(table, float(solution[0]), 1.0 - missed / variance if variance else 1.0)
