"""Transformers: ViT-B/16 [Dosovitskiy et al., ICLR 2021] and BERT [Devlin et al., NAACL 2019]."""

from __future__ import annotations

from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import (
    Activation,
    Concat,
    Conv2d,
    Elementwise,
    Embedding,
    Norm,
    Permute,
    Precision,
    Reshape,
    Select,
)

__all__ = ["bert_base", "bert_large", "vit_b_16"]


def _feed_forward(net: Builder, x: str, hidden: int) -> str:
    features = net.shape(x)[-1]
    return net.linear(net.add(Activation("gelu"), net.linear(x, hidden)), features)


def vit_b_16(batch: int, precision: Precision) -> Workload:
    """Pre-norm encoder of 12 layers, 768 features, 12 heads; class token and learned positions."""
    net = Builder("vit_b_16", (batch, 3, 224, 224), precision=precision)
    x = net.add(Conv2d.square(768, 16, stride=16, padding=0, bias=True), net.input)
    tokens = net.shape(x)[2] * net.shape(x)[3]
    x = net.add(Permute((0, 2, 1)), net.add(Reshape((batch, 768, tokens)), x))
    x = net.add(Concat(axis=1), net.constant((1, 1, 768)), x)
    x = net.residual(x, net.constant((1, tokens + 1, 768)))
    for _ in range(12):
        x = net.residual(x, net.attention(net.add(Norm("layer"), x), heads=12))
        x = net.residual(x, _feed_forward(net, net.add(Norm("layer"), x), 3072))
    x = net.add(Norm("layer"), x)
    return net.finish(net.linear(net.add(Select(axis=1), x), 1000))


def _bert(name: str, depth: int, features: int, heads: int, batch: int, precision: Precision) -> Workload:
    """Post-norm encoder over 128 tokens with the pooler, without a task head.

    Parameters: 30,522 word, 512 position and 2 type embeddings; the position and type rows are read in full.
    """
    tokens = 128
    net = Builder(name, (batch, tokens), precision=precision)
    words = net.add(Embedding(30522, features), net.input)
    positions = net.add(Embedding(512, features), net.source((batch, tokens), name="positions"))
    types = net.add(Embedding(2, features), net.source((batch, tokens), name="types"))
    x = net.add(Norm("layer"), net.add(Elementwise("add"), words, positions, types))
    for _ in range(depth):
        x = net.add(Norm("layer"), net.residual(x, net.attention(x, heads)))
        x = net.add(Norm("layer"), net.residual(x, _feed_forward(net, x, 4 * features)))
    pooled = net.linear(net.add(Select(axis=1), x), features)
    return net.finish(net.add(Activation("tanh"), pooled), x)


def bert_base(batch: int, precision: Precision) -> Workload:
    return _bert("bert_base", 12, 768, 12, batch, precision)


def bert_large(batch: int, precision: Precision) -> Workload:
    return _bert("bert_large", 24, 1024, 16, batch, precision)
