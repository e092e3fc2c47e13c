"""What a predictor reads of a request: blocks of named numbers, without a training.

    genes       the choice of each gene, one-hot
    sizes       ln(1 + x) of MACs, parameters and values of all outputs; the most and the fewest layers with weights on
                a path from input to output; mean bits of weights and activations as executed
    paths       of all paths from input to output: ln of their number, mean and deviation of the layers with weights and
                of the poolings on one, and how these two vary together; noise adds up along a path
    numerics    the hardware's arithmetic, field by field
    operators   ln(1 + how often), by kind of operator and its kernel
    surroundings ln(1 + how often), by operator with its inputs and their inputs: labels of the Weisfeiler-Lehman test
                after one and two rounds [Shervashidze et al., JMLR 12 (2011)]; as a kernel over cells they served
                [Ru et al., ICLR'21]

A block is standardised over the networks of a fit and divided by the root of its width, so that each block counts the
same whatever its number of columns. Names that no fitted network has are left out; columns that do not vary too.

Not modelled: the order of inputs, weights, data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import log1p
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Request
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Node, Workload
from hwmodels.workload.ops import Pool2d

__all__ = ["Columns", "Features", "features_of"]

F64 = npt.NDArray[np.float64]

Features = Mapping[str, Mapping[str, float]]
"""Block -> name -> number; a name that is not there is 0."""

_ROUNDS = 2  # of the Weisfeiler-Lehman test


def features_of(request: Request) -> Features:
    """The features of one request.

    >>> from codesign.testing.estimator import chain_requests
    >>> found = features_of(chain_requests()[0])
    >>> sorted(found), found["sizes"]["longest"]
    (['genes', 'numerics', 'operators', 'paths', 'sizes', 'surroundings'], 2.0)
    """
    operators, surroundings = _counts(request.workload)
    return {
        "genes": {f"{position}={choice}": 1.0 for position, choice in enumerate(request.genotype)},
        "sizes": _sizes(request.workload, request.numerics),
        "paths": _paths(request.workload),
        "numerics": {name: float(value) for name, value in request.numerics._asdict().items()},
        "operators": operators,
        "surroundings": surroundings,
    }


@lru_cache(maxsize=256)
def _counts(workload: Workload) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Logarithms of how often kinds of operators and their surroundings occur, the same under every arithmetic."""
    kinds, *rounds = _labels(workload)
    around = Counter(label for labels in rounds for label in labels)
    operators, surroundings = (
        {name: log1p(count) for name, count in found.items()} for found in (Counter(kinds), around)
    )
    return operators, surroundings


def _labels(workload: Workload) -> Iterator[list[str]]:
    """Labels of all nodes: their kind, then in each round with what stands before them."""
    labels = {node.name: _kind(node) for node in workload}
    yield list(labels.values())
    for _ in range(_ROUNDS):
        labels = {
            node.name: f"{labels[node.name]}({','.join(sorted(labels[source] for source in node.inputs))})"
            for node in workload
        }
        yield list(labels.values())


def _kind(node: Node) -> str:
    """An operator by its class and what makes it another one: its kernel, its function."""
    said = (getattr(node.operator, name, None) for name in ("kernel", "kind", "function"))
    return " ".join([type(node.operator).__name__, *(str(value) for value in said if value is not None)])


def _sizes(workload: Workload, numerics: Numerics) -> dict[str, float]:
    rows = dict(workload.rows())
    weighted = {node.name for node, row in rows.items() if row.macs > 0}
    longest: dict[str, int] = {}
    shortest: dict[str, int] = {}
    for node in workload:
        own = int(node.name in weighted)
        longest[node.name] = own + max((longest[source] for source in node.inputs), default=0)
        shortest[node.name] = own + min((shortest[source] for source in node.inputs), default=0)
    executed = [node.precision for node in rows] or [next(iter(workload)).precision]
    return {
        "macs": log1p(workload.macs),
        "parameters": log1p(workload.parameters),
        "outputs": log1p(sum(float(np.prod(node.shape)) for node in workload)),
        "longest": float(max(longest[name] for name in workload.outputs)),
        "shortest": float(min(shortest[name] for name in workload.outputs)),
        "weight_bits": float(np.mean([min(bits.weight_bits, numerics.weight_bits) for bits in executed])),
        "activation_bits": float(np.mean([min(bits.activation_bits, numerics.activation_bits) for bits in executed])),
    }


@lru_cache(maxsize=256)
def _paths(workload: Workload) -> Mapping[str, float]:
    """Moments over all paths, node by node: those into a node are those into its sources, each with one layer more."""
    weighted = {node.name for node, row in workload.rows() if row.macs > 0}
    number: dict[str, float] = {}  # ln
    mean: dict[str, F64] = {}  # of (layers with weights, poolings)
    square: dict[str, F64] = {}  # mean of their outer product
    for node in workload:
        own = np.array([node.name in weighted, isinstance(node.operator, Pool2d)], np.float64)
        logs = np.array([number[source] for source in node.inputs] or [0.0])
        number[node.name] = float(np.logaddexp.reduce(logs))
        shares = np.exp(logs - number[node.name])
        before = np.stack([mean[source] for source in node.inputs] or [np.zeros(2)])
        squares = np.stack([square[source] for source in node.inputs] or [np.zeros((2, 2))])
        entering = shares @ before
        mean[node.name] = entering + own
        both = np.outer(entering, own)
        square[node.name] = np.tensordot(shares, squares, axes=1) + both + both.T + np.outer(own, own)
    output = workload.outputs[0]
    varying = square[output] - np.outer(mean[output], mean[output])
    layers, poolings = np.sqrt(np.maximum(np.diag(varying), 0.0)).tolist()
    return {
        "paths": number[output],
        "weighted": float(mean[output][0]),
        "poolings": float(mean[output][1]),
        "weighted varies": layers,
        "poolings vary": poolings,
        "together": float(varying[0, 1]),
    }


class Columns(NamedTuple):
    """The columns of a fit: block and name of each, (D,), with the mean and the scale that it is standardised by."""

    names: tuple[tuple[str, str], ...]
    mean: F64
    scale: F64

    @classmethod
    def of(cls, described: Sequence[Features]) -> Self:
        """Those that vary over the networks of a fit, each block of equal weight."""
        names: list[tuple[str, str]] = []
        mean: list[float] = []
        scale: list[float] = []
        for block in sorted(described[0]):
            known = sorted({name for features in described for name in features[block]})
            values = np.array([[features[block].get(name, 0.0) for name in known] for features in described])
            values = values.reshape(len(described), len(known))
            varies = [i for i in range(len(known)) if np.ptp(values[:, i]) > 0]
            names += [(block, known[i]) for i in varies]
            mean += values[:, varies].mean(axis=0).tolist()
            scale += (values[:, varies].std(axis=0) * np.sqrt(len(varies))).tolist()
        return cls(tuple(names), np.array(mean), np.array(scale))

    def matrix(self, described: Sequence[Features]) -> F64:
        """Standardised features of networks, (N, D)."""
        raw = [[features[block].get(name, 0.0) for block, name in self.names] for features in described]
        values: F64 = (np.array(raw, np.float64).reshape(len(described), len(self.names)) - self.mean) / self.scale
        return values
