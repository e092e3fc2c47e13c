"""Attention within windows of an image's tokens, as Swin and MaxViT do it: partition, biased attention, reversal.

Partition and reversal are views, since the kernels around them choose their strides. A relative position bias is a
table of one row an offset; gathering it into the shape of the scores is a copy at each run.
"""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Elementwise, MatMul, Permute, Rearrange, Reduce, Reshape, Softmax

__all__ = ["cosine_attention", "merge", "partition", "position_bias", "window_attention"]


def partition(net: Builder, x: str, size: tuple[int, int], window: int) -> str:
    """(batch, height width, features) -> (batch windows, window², features)."""
    (batch, _, features), (height, width) = net.shape(x), size
    x = net.add(Reshape((batch, height // window, window, width // window, window, features)), x)
    x = net.add(Permute((0, 1, 3, 2, 4, 5)), x)
    windows = (height // window) * (width // window)
    return net.add(Reshape((batch * windows, window**2, features)), x)


def merge(net: Builder, x: str, size: tuple[int, int], window: int) -> str:
    """The reverse of `partition`."""
    (parts, _, features), (height, width) = net.shape(x), size
    batch = parts // ((height // window) * (width // window))
    x = net.add(Reshape((batch, height // window, width // window, window, window, features)), x)
    return net.add(Reshape((batch, height * width, features)), net.add(Permute((0, 1, 3, 2, 4, 5)), x))


def position_bias(net: Builder, heads: int, window: int) -> str:
    """A learned table of (2 window - 1)² offsets, gathered to (heads, window², window²)."""
    table = net.constant(((2 * window - 1) ** 2, heads))
    return net.add(Rearrange("gather", (heads, window**2, window**2)), table)


def window_attention(net: Builder, x: str, heads: int, bias: str, *, mask: str | None = None) -> str:
    """Multi-head attention over (parts, tokens, features) with `bias` of (heads, tokens, tokens) on the scores.

    `mask` of (windows, 1, tokens, tokens) is added for each window of an image.
    """
    features = net.shape(x)[2]
    query, key, value = (_by_head(net, net.linear(x, features), heads) for _ in range(3))
    scores = net.add(MatMul(), query, net.add(Permute((0, 1, 3, 2)), key))
    return _mixed(net, _masked(net, net.residual(scores, bias), mask), value)


def cosine_attention(
    net: Builder, x: str, heads: int, bias: str, *, mask: str | None = None, key_bias: bool = True
) -> str:
    """The same with queries and keys of unit length and a learned scale a head [Liu et al., CVPR 2022, eq. 2]."""
    features = net.shape(x)[2]
    query, key, value = (
        _by_head(net, net.linear(x, features, bias=with_bias), heads) for with_bias in (True, key_bias, True)
    )
    query, key = (_unit_length(net, tensor) for tensor in (query, key))
    scores = net.add(MatMul(), query, net.add(Permute((0, 1, 3, 2)), key))
    scale = net.add(Activation("exp"), net.add(Elementwise("min"), net.constant((heads, 1, 1))))
    scores = net.add(Elementwise("mul"), scores, scale)
    return _mixed(net, _masked(net, net.residual(scores, bias), mask), value)


def _by_head(net: Builder, x: str, heads: int) -> str:
    parts, tokens, features = net.shape(x)
    x = net.add(Reshape((parts, tokens, heads, features // heads)), x)
    return net.add(Permute((0, 2, 1, 3)), x)


def _unit_length(net: Builder, x: str) -> str:
    return net.add(Elementwise("div"), x, net.add(Reduce((-1,), keep_axes=True, mode="norm"), x))


def _masked(net: Builder, scores: str, mask: str | None) -> str:
    if mask is None:
        return scores
    shape, windows = net.shape(scores), net.shape(mask)[0]
    grouped = net.add(Reshape((shape[0] // windows, windows, *shape[1:])), scores)
    return net.add(Reshape(shape), net.residual(grouped, mask))


def _mixed(net: Builder, scores: str, value: str) -> str:
    """Softmax, weighted values, output projection."""
    parts, heads, tokens, per_head = net.shape(value)
    mixed = net.add(Permute((0, 2, 1, 3)), net.add(MatMul(), net.add(Softmax(), scores), value))
    features = heads * per_head
    return net.linear(net.add(Reshape((parts, tokens, features)), mixed), features)
