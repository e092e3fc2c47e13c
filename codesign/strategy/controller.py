"""A recurrent controller that writes a point gene by gene [Zoph and Le, ICLR 2017], in numpy, with its own gradient.

One LSTM cell reads the choice before and its own state; a linear layer for each gene gives the logits of its choices:

    i, f, o = sigmoid(.), g = tanh(.) of  W [embedding(choice), h] + b,   c' = f c + i g,   h' = o tanh(c')

The gradient is that of backpropagation through the genes, checked against differences in the tests; steps are Adam's
[Kingma and Ba, ICLR 2015]. All weights are one vector, which a state keeps as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Adam", "Controller"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # [Kingma and Ba, ICLR 2015]
_SPREAD = 0.1  # initial weights are uniform within this, 0.08 in Zoph and Le


class _Step(NamedTuple):
    """What the way back needs of one gene: inputs, gates, cell before and after, hidden state, probabilities."""

    read: I64
    joined: F64
    gates: F64
    before: F64
    after: F64
    hidden: F64
    probabilities: F64


class Controller:
    """The layout of the weights for genes of given numbers of choices, and what they say.

    Rows of the embedding: one for the start, then one for each choice of each gene.
    """

    def __init__(self, cardinalities: I64, hidden: int) -> None:
        self.cardinalities, self.hidden = cardinalities, hidden
        self._first = 1 + np.concatenate([[0], np.cumsum(cardinalities)[:-1]])
        choices = int(cardinalities.sum())
        shapes = [(1 + choices, hidden), (2 * hidden, 4 * hidden), (4 * hidden,), (choices, hidden), (choices,)]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        self._parts = [(slice(end - int(np.prod(shape)), end), shape) for end, shape in zip(ends, shapes, strict=True)]
        self.size = int(ends[-1])

    def start(self, rng: np.random.Generator) -> F64:
        """Weights to begin with; no choice is preferred by much."""
        return rng.uniform(-_SPREAD, _SPREAD, self.size)

    def sample(self, weights: F64, n: int, rng: np.random.Generator) -> I64:
        """`n` points drawn from the controller, valid or not, (n, G)."""
        points = np.empty((n, len(self.cardinalities)), np.int64)
        drawn = rng.random(points.shape)
        for gene, step in enumerate(self._steps(weights, points)):
            below = np.cumsum(step.probabilities, axis=1)[:, :-1] <= drawn[:, gene, None]
            points[:, gene] = below.sum(axis=1)
        return points

    def log_probabilities(self, weights: F64, points: I64) -> F64:
        """Of points (P, G), (P,)."""
        total = np.zeros(len(points))
        for gene, step in enumerate(self._steps(weights, points)):
            total += np.log(step.probabilities[np.arange(len(points)), points[:, gene]])
        return total

    def _steps(self, weights: F64, points: I64) -> Iterator[_Step]:
        """Gene by gene; the choice of a gene is read when the next one is asked for, and may be set before."""
        embedding, kernel, bias, heads, offsets = (weights[part].reshape(shape) for part, shape in self._parts)
        hidden, cell = np.zeros((2, len(points), self.hidden))
        read = np.zeros(len(points), np.int64)
        for gene, (first, count) in enumerate(zip(self._first - 1, self.cardinalities, strict=True)):
            joined = np.concatenate([embedding[read], hidden], axis=1)
            gates = joined @ kernel + bias
            gates[:, : 3 * self.hidden] = _sigmoid(gates[:, : 3 * self.hidden])
            gates[:, 3 * self.hidden :] = np.tanh(gates[:, 3 * self.hidden :])
            into, keep, out, new = np.split(gates, 4, axis=1)
            before, cell = cell, keep * cell + into * new
            hidden = out * np.tanh(cell)
            logits = hidden @ heads[first : first + count].T + offsets[first : first + count]
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities = odds / odds.sum(axis=1, keepdims=True)
            yield _Step(read, joined, gates, before, cell, hidden, probabilities)
            read = self._first[gene] + points[:, gene]

    def gradient(self, weights: F64, points: I64, advantages: F64, entropy: float) -> F64:
        """Gradient of mean(advantage x log probability) + entropy x mean entropy, as the vector of weights.

        advantages : (P,).
        """
        steps = list(self._steps(weights, points))
        found = np.zeros_like(weights)
        embedding, kernel, bias, heads, offsets = (found[part].reshape(shape) for part, shape in self._parts)
        _, used_kernel, _, used_heads, _ = (weights[part].reshape(shape) for part, shape in self._parts)
        n, size = len(points), self.hidden
        to_hidden, to_cell = np.zeros((2, n, size))
        for gene in range(len(steps) - 1, -1, -1):
            step, first = steps[gene], self._first[gene] - 1
            rows = slice(first, first + self.cardinalities[gene])
            to_logits = _to_logits(step.probabilities, points[:, gene], advantages, entropy) / n
            heads[rows] += to_logits.T @ step.hidden
            offsets[rows] += to_logits.sum(axis=0)
            to_hidden = to_hidden + to_logits @ used_heads[rows]
            into, keep, out, new = np.split(step.gates, 4, axis=1)
            squashed = np.tanh(step.after)
            to_cell = to_cell + to_hidden * out * (1 - squashed**2)
            to_gates = np.concatenate(
                [
                    to_cell * new * into * (1 - into),
                    to_cell * step.before * keep * (1 - keep),
                    to_hidden * squashed * out * (1 - out),
                    to_cell * into * (1 - new**2),
                ],
                axis=1,
            )
            kernel += step.joined.T @ to_gates
            bias += to_gates.sum(axis=0)
            to_joined = to_gates @ used_kernel.T
            np.add.at(embedding, step.read, to_joined[:, :size])
            to_hidden, to_cell = to_joined[:, size:], to_cell * keep
        return found


def _to_logits(probabilities: F64, chosen: I64, advantages: F64, entropy: float) -> F64:
    """Gradient of advantage x log p(chosen) + entropy x H by the logits, (P, choices)."""
    logs = np.log(np.maximum(probabilities, 1e-300))
    spread = -(probabilities * logs).sum(axis=1, keepdims=True)
    towards = -probabilities
    towards[np.arange(len(chosen)), chosen] += 1.0
    wanted: F64 = advantages[:, None] * towards - entropy * probabilities * (logs + spread)
    return wanted


def _sigmoid(values: F64) -> F64:
    found: F64 = 0.5 * (1 + np.tanh(0.5 * values))
    return found


class Adam(NamedTuple):
    """Moments of the gradient, (W,) each, and the number of steps."""

    first: F64
    second: F64
    steps: int = 0

    def climbed(self, weights: F64, gradient: F64, rate: float) -> tuple[F64, Adam]:
        """Weights a step up the gradient, and the moments after it."""
        steps = self.steps + 1
        first = _BETAS[0] * self.first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * self.second + (1 - _BETAS[1]) * gradient**2
        mean, square = first / (1 - _BETAS[0] ** steps), second / (1 - _BETAS[1] ** steps)
        return weights + rate * mean / (np.sqrt(square) + _EPSILON), Adam(first, second, steps)
