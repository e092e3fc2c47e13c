"""Recurrent networks: one layer of each cell, the medium language model of Zaremba et al., 2014 (arXiv:1409.2329),
and two speech recognisers: Deep Speech [Hannun et al., 2014] and Deep Speech 2 [Amodei et al., ICML 2016].

Deep Speech is built with an LSTM of one direction, as its open implementation is, and Deep Speech 2 with five layers
of 800 GRUs in both directions, summed. Two bias vectors a layer.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Embedding, Norm, Permute, Recurrent, Reshape
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_CHARACTERS = 29
"""The English alphabet, apostrophe, space and the blank of connectionist temporal classification."""


def _layer(net: Builder, *, cell: Literal["lstm", "gru"], hidden: int) -> str:
    return net.add(Recurrent(cell, hidden), net.input)


def _lstm_650(net: Builder) -> str:
    """Two LSTM layers of 650 units on 10,000 words; output weights not tied."""
    x = net.add(Embedding(10_000, 650), net.input)
    for _ in range(2):
        x = net.add(Recurrent("lstm", 650), x)
    return net.linear(x, 10_000)


def _deepspeech(net: Builder) -> str:
    """Three dense layers, an LSTM, a dense layer, all of 2048, over 19 frames of 26 cepstral features."""
    x = net.input
    for _ in range(3):
        x = net.add(Activation("hardtanh"), net.linear(x, 2048))
    x = net.add(Recurrent("lstm", 2048), x)
    x = net.add(Activation("hardtanh"), net.linear(x, 2048))
    return net.linear(x, _CHARACTERS)


def _deepspeech2(net: Builder) -> str:
    """Two convolutions over (frequency, time), five layers of GRUs with batch norm between, one dense layer."""
    x = net.add(Conv2d(32, (41, 11), (2, 2), (20, 5), bias=False), net.input)
    x = net.add(Activation("hardtanh"), net.add(Norm("batch"), x))
    x = net.add(Conv2d(32, (21, 11), (2, 1), (10, 5), bias=False), x)
    x = net.add(Activation("hardtanh"), net.add(Norm("batch"), x))
    batch, channels, bands, frames = net.shape(x)
    x = net.add(Reshape((batch, frames, channels * bands)), net.add(Permute((0, 3, 1, 2)), x))
    for layer in range(5):
        if layer:
            x = net.add(Norm("batch"), x)
        x = net.residual(net.add(Recurrent("gru", 800), x), net.add(Recurrent("gru", 800), x))
    return net.linear(net.add(Norm("batch"), x), _CHARACTERS)


ENTRIES = (
    Entry(
        "lstm_layer",
        partial(_layer, cell="lstm", hidden=650),
        (35, 650),
        "Hochreiter and Schmidhuber 1997: 4 (h (x + h) + 2 h) parameters",
        ("LSTM layer formula",),
    ),
    Entry(
        "gru_layer",
        partial(_layer, cell="gru", hidden=650),
        (35, 650),
        "Cho et al. 2014: 3 (h (x + h) + 2 h) parameters",
        ("GRU layer formula",),
    ),
    Entry(
        "lstm_650",
        _lstm_650,
        (35,),
        "Zaremba et al. 2014, medium: 2 layers of 650 on 10,000 words; two bias vectors",
        ("lstm", "lstm_2x650"),
    ),
    Entry("deepspeech", _deepspeech, (150, 494), "Hannun et al. 2014, with the LSTM of its open implementation"),
    Entry(
        "deepspeech2",
        _deepspeech2,
        (1, 161, 300),
        "Amodei et al. 2016: 2 convolutions, 5 bidirectional GRU layers of 800; 3 s of speech",
        ("DeepSpeech2 (5xGRU-800... )",),
    ),
)
