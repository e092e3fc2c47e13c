"""Layers over sequences (batch, tokens, features): convolution along the tokens, attention, terms of unequal width."""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Concat, Conv2d, Elementwise, MatMul, Permute, Reshape, Softmax, Split

__all__ = ["along", "attention", "met"]


def along(
    net: Builder, x: str, width: int, kernel: int, *, dilation: int = 1, depthwise: bool = False, bias: bool = False
) -> str:
    """A convolution along the tokens of (batch, tokens, features)."""
    batch, tokens, entering = net.shape(x)
    x = net.add(Reshape((batch, entering, tokens, 1)), net.add(Permute((0, 2, 1)), x))
    padding, groups = dilation * (kernel // 2), entering if depthwise else 1
    convolution = Conv2d(width, (kernel, 1), padding=(padding, 0), dilation=(dilation, 1), groups=groups, bias=bias)
    x = net.add(Reshape((batch, width, tokens)), net.add(convolution, x))
    return net.add(Permute((0, 2, 1)), x)


def attention(net: Builder, x: str, memory: str, *, heads: int, width: int, bias: bool) -> str:
    """Queries of `x` over keys and values of `memory`; inside, as many features as `x` has."""
    batch, tokens, features = net.shape(x)

    def split(source: str) -> str:
        projected = net.linear(source, features, bias=bias)
        shape = (batch, net.shape(source)[1], heads, features // heads)
        return net.add(Permute((0, 2, 1, 3)), net.add(Reshape(shape), projected))

    query, key, value = split(x), split(memory), split(memory)
    scores = net.add(MatMul(), query, net.add(Permute((0, 1, 3, 2)), key))
    mixed = net.add(MatMul(), net.add(Softmax(), scores), value)
    merged = net.add(Reshape((batch, tokens, features)), net.add(Permute((0, 2, 1, 3)), mixed))
    return net.linear(merged, width, bias=bias)


def met(net: Builder, left: str, right: str, combiner: str) -> str:
    """Two tensors in one; of a sum or product, features that only one of them has stay as they are."""
    if combiner == "concat":
        return net.add(Concat(axis=2), left, right)
    meet = Elementwise("add" if combiner == "add" else "mul")
    narrow, wide = sorted((left, right), key=lambda name: net.shape(name)[2])
    least, most = net.shape(narrow)[2], net.shape(wide)[2]
    if least == most:
        return net.add(meet, left, right)
    first = net.add(meet, net.add(Split(2, 0, least), wide), narrow)
    return net.add(Concat(axis=2), first, net.add(Split(2, least, most - least), wide))
