"""Rules for pooling of sequences, images and volumes: by kernel and stride, over the whole map, to a given size.

A sequence is an image of height 1, as in every rule that slides a window.
"""

from __future__ import annotations

from typing import Any, Literal

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.ops import AdaptivePool, Pool2d, Pool3d, Shape

__all__ = ["RULES", "PoolMode", "as_map", "extents_of", "pool_of"]


def extents_of(value: Any, rank: int, *, along: int) -> Shape:
    """An argument a spatial axis, where one number stands for all; of a sequence, `along` the height of 1 that it gets.

    >>> extents_of(3, 2, along=1), extents_of([5], 1, along=1), extents_of([1, 2, 2], 3, along=1)
    ((3, 3), (1, 5), (1, 2, 2))
    """
    given = tuple(value) if isinstance(value, list | tuple) else (value,)
    axes = given * rank if len(given) == 1 else given
    return (along, *axes) if rank == 1 else axes


def as_map(call: Call, source: str, rank: int) -> str | None:
    """(B, C, H, W) of a sequence or an image, (B, C, D, H, W) of a volume; without batch there is a batch of 1."""
    shape = call.node_shape(source)
    if len(shape) == 1 + rank:
        shape = (1, *shape)
    if len(shape) != 2 + rank or not 1 <= rank <= 3:
        return None
    return call.reshape(source, (*shape[:2], 1, shape[2]) if rank == 1 else shape)


PoolMode = Literal["max", "avg"]


def _pool(mode: PoolMode, rank: int) -> Rule:
    def rule(call: Call) -> Value | None:
        image = as_map(call, call.tensor("self"), rank)
        if image is None:
            return None
        kernel, padding = extents_of(call.args["kernel_size"], rank, along=1), call.args["padding"]
        operator = pool_of(
            mode,
            kernel,
            extents_of(call.args["stride"], rank, along=1) if call.args["stride"] else kernel,
            extents_of(padding, rank, along=0),
            extents_of(call.args.get("dilation") or 1, rank, along=1),
            ceil_mode=bool(call.args["ceil_mode"]),
        )
        return _pooled(call, call.add(operator, image))

    return rule


def pool_of(
    mode: PoolMode, kernel: Shape, stride: Shape, padding: Shape = (), dilation: Shape = (), *, ceil_mode: bool = False
) -> Pool2d | Pool3d:
    """The pooling of two or three axes that these extents belong to; () stands for no padding and no dilation."""
    match kernel, stride, padding, dilation:
        case (kh, kw), (sh, sw), (), ():
            return Pool2d(mode, (kh, kw), (sh, sw), ceil_mode=ceil_mode)
        case (kd, kh, kw), (sd, sh, sw), (), ():
            return Pool3d(mode, (kd, kh, kw), (sd, sh, sw), ceil_mode=ceil_mode)
        case (kh, kw), (sh, sw), (ph, pw), (dh, dw):
            reach = 1 if (dh, dw) == (1, 1) else (dh, dw)
            return Pool2d(mode, (kh, kw), (sh, sw), (ph, pw), ceil_mode, reach)
        case (kd, kh, kw), (sd, sh, sw), (pd, ph, pw), (dd, dh, dw):
            return Pool3d(mode, (kd, kh, kw), (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), ceil_mode)
    raise ValueError(f"pooling over {len(kernel)} axes")


def _pooled(call: Call, pooled: str) -> Value:
    """The result of a pool in its own shape, and the indices beside it where the operator returns them."""
    pooled = call.reshape(pooled, call.shape)
    others = (call.view(pooled, other) for other in call.shapes[1:] if other is not None)
    return (pooled, *others) if len(call.shapes) > 1 else pooled


def _adaptive_pool(mode: PoolMode, rank: int) -> Rule:
    """Windows that cover the map evenly: s = floor(in / out), k = in - (out - 1) s; nothing where the size stays.

    A map that grows has windows of one or two elements along an axis.
    """

    def rule(call: Call) -> Value | None:
        image = as_map(call, call.tensor("self"), rank)
        if image is None:
            return None
        extents = call.node_shape(image)[2:]
        size = (1, call.shape[-1]) if rank == 1 else call.shape[-rank:]
        if size == extents:
            return _pooled(call, image)
        if all(out == 1 for out in size):
            return _pooled(call, call.add(Pool2d(mode) if len(size) == 2 else Pool3d(mode), image))
        stride = tuple(extent // out for extent, out in zip(extents, size, strict=True))
        if min(stride) < 1:
            return _pooled(call, call.add(AdaptivePool(mode, size), image))
        kernel = tuple(e - (out - 1) * step for e, out, step in zip(extents, size, stride, strict=True))
        return _pooled(call, call.add(pool_of(mode, kernel, stride), image))

    return rule


_POOL_MODES: tuple[PoolMode, ...] = ("max", "avg")

RULES: dict[str, Rule] = {
    **{
        f"aten.{mode}_pool{rank}d{ending}": _pool(mode, rank)
        for mode in _POOL_MODES
        for rank in (1, 2, 3)
        for ending in ("", "_with_indices")
    },
    **{
        f"aten.{start}adaptive_{mode}_pool{rank}d": _adaptive_pool(mode, rank)
        for mode in _POOL_MODES
        for rank in (1, 2, 3)
        for start in ("", "_")
    },
}
"""By operator, without overload."""
