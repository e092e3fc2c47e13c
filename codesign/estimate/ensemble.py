"""Ensembles of found networks: class probabilities are averaged, members chosen one by one on the validation split.

Greedy forward selection without replacement [Caruana et al., Ensemble selection from libraries of models, ICML'04,
section 2]: begin with the network that tells most validation images right, add in each step the one with which the
ensemble does; of these nested ensembles the best one on validation is the result, of equal ones the smallest. With k
members every image is told by

    argmax_c  1/k  sum_i  softmax(scores_i)_c

Where the hardware varies, draw d of an ensemble is that of draw d of each member, from the first again where one has
fewer. The test split takes no part in any choice.

Not modelled: members that count more than once (their section 2.1); tasks that are no classification.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Request

__all__ = ["Ensemble", "Outputs", "Scores", "accuracy_of", "best_of", "nested"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Outputs(NamedTuple):
    """What a network says of the images of two splits: scores of each class, (D, B, K) with D draws."""

    validation: F64
    test: F64


@runtime_checkable
class Scores(Protocol):
    """An estimator that tells the scores behind its estimates."""

    def outputs(self, request: Request) -> Outputs:
        """Scores of a network whose weights are at hand."""
        ...


class Ensemble(NamedTuple):
    """Members in the order chosen, by position in the library, with the mean accuracies over draws on both splits."""

    members: tuple[int, ...]
    accuracy: float
    accuracy_test: float


def nested(library: Sequence[Outputs], validation: I64, test: I64, *, most: int) -> list[Ensemble]:
    """The greedy ensembles of 1, 2, ... members, at most `most` and at most the library.

    Parameters
    ----------
    library : outputs of each network; of networks that do equally well the first is taken. validation, test : labels,
    (B,) each.

    >>> sure, wrong = np.array([[[4.0, 0.0], [3.0, 0.0]]]), np.array([[[0.0, 1.0], [0.0, 9.0]]])
    >>> found = nested([Outputs(wrong, wrong), Outputs(sure, sure)], np.array([0, 1]), np.array([0, 0]), most=2)
    >>> [(one.members, one.accuracy, one.accuracy_test) for one in found]
    [((0,), 0.5, 0.0), ((0, 1), 1.0, 0.5)]
    """
    told = [Outputs(_probabilities(one.validation), _probabilities(one.test)) for one in library]
    draws = max(len(one.validation) for one in told)
    sums = (np.zeros_like(_spread(told[0].validation, draws)), np.zeros_like(_spread(told[0].test, draws)))
    found: list[Ensemble] = []
    members: tuple[int, ...] = ()
    for _ in range(min(most, len(told))):
        left = [i for i in range(len(told)) if i not in members]
        accuracies = [accuracy_of(sums[0] + _spread(told[i].validation, draws), validation) for i in left]
        best = int(np.argmax(accuracies))
        chosen = told[left[best]]
        sums = sums[0] + _spread(chosen.validation, draws), sums[1] + _spread(chosen.test, draws)
        members = (*members, left[best])
        found.append(Ensemble(members, accuracies[best], accuracy_of(sums[1], test)))
    return found


def best_of(ensembles: Sequence[Ensemble]) -> Ensemble:
    """The one of the largest accuracy on validation, of equal ones the first."""
    return max(ensembles, key=lambda one: one.accuracy)


def _probabilities(scores: F64) -> F64:
    from scipy.special import softmax

    found: F64 = softmax(np.asarray(scores, np.float64), axis=-1)
    return found


def _spread(values: F64, draws: int) -> F64:
    """(D, B, K) over `draws`, from the first again."""
    return values[np.arange(draws) % len(values)]


def accuracy_of(scores: F64, labels: I64) -> float:
    """The mean over draws of the share of images told right by the largest of their scores, (D, B, K).

    The largest mean of probabilities is where their sum is largest. An image without finite scores is a guess.

    >>> accuracy_of(np.array([[[0.1, 0.9], [np.nan, 0.2]]]), np.array([1, 0]))
    0.75
    """
    right = (scores.argmax(axis=2) == labels).astype(np.float64)
    return float(np.where(np.isfinite(scores).all(axis=2), right, 1.0 / scores.shape[2]).mean(axis=1).mean())
