"""Molecular activity from fingerprints: the recommended dense network of Ma et al., J. Chem. Inf. Model. 2015.

Four hidden layers on 2048 circular-fingerprint bits [Rogers and Hahn, 2010].
"""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_HIDDEN = (4000, 2000, 1000, 1000)  # [Ma'15, recommended parameters]


def _fingerprint_mlp(net: Builder) -> str:
    x = net.input
    for features in _HIDDEN:
        x = net.add(Activation("relu"), net.linear(x, features))
    return net.linear(x, 1)


ENTRIES = (
    Entry(
        "fingerprint_mlp",
        _fingerprint_mlp,
        (2048,),
        "Ma et al. 2015: 4000-2000-1000-1000 hidden units; 2048 bits",
        axis="features",
    ),
)
