"""Recurrent networks: the medium LSTM language model of Zaremba et al., 2014 (arXiv:1409.2329)."""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Embedding, Recurrent
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


def _lstm_650(net: Builder) -> str:
    """Two LSTM layers of 650 units on 10,000 words; output weights not tied."""
    x = net.add(Embedding(10_000, 650), net.input)
    for _ in range(2):
        x = net.add(Recurrent("lstm", 650), x)
    return net.linear(x, 10_000)


ENTRIES = (
    Entry(
        "lstm_650",
        _lstm_650,
        (35,),
        "Zaremba et al. 2014, medium: 2 layers of 650 on 10,000 words; two bias vectors",
        ("lstm", "lstm_2x650"),
    ),
)
