"""Recurrent networks: the medium LSTM language model of Zaremba et al., 2014 (arXiv:1409.2329)."""

from __future__ import annotations

from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Embedding, Precision, Recurrent

__all__ = ["lstm_650"]


def lstm_650(batch: int, precision: Precision) -> Workload:
    """Two LSTM layers of 650 units, 10,000 words, unrolled over 35 tokens; output weights not tied."""
    net = Builder("lstm_650", (batch, 35), precision=precision)
    x = net.add(Embedding(10_000, 650), net.input)
    for _ in range(2):
        x = net.add(Recurrent("lstm", 650), x)
    return net.finish(net.linear(x, 10_000))
