"""Values that files compute from shapes and constants: small arrays, evaluated with numpy and without cost.

Nothing here sees data: what an exporter writes as Shape, Gather, Concat ... in front of a Reshape is arithmetic of a
few integers, which a runtime does before it runs. A result of more than a few hundred elements is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from hwmodels.workload.from_onnx.model import SMALL, Array, Stored

__all__ = ["evaluate"]

Arrays = Sequence[Array | None]
Attributes = Mapping[str, Any]
_Fold = Callable[[Arrays, Attributes], Any]


def evaluate(kind: str, operands: Arrays, attributes: Attributes) -> list[Array] | None:
    """The results of an operator of known operands; None where it is not one of these or they would be large.

    operands : in order; None for an absent one.

    >>> [int(x) for x in evaluate("Concat", [np.array([1]), np.array([2, 3])], {"axis": 0})[0]]
    [1, 2, 3]
    """
    fold = _FOLDS.get(kind)
    if fold is None:
        return None
    try:
        with np.errstate(all="ignore"):
            found = fold(operands, attributes)
    except Exception:  # operands that do not fit: the operator's own rule says what is wrong
        return None
    results = [np.asarray(array) for array in (found if isinstance(found, list) else [found])]
    return None if found is None or any(array.size > SMALL for array in results) else results


def _present(operands: Arrays) -> list[Array]:
    return [operand for operand in operands if operand is not None]


def _axes(operands: Arrays, attributes: Attributes, index: int = 1) -> tuple[int, ...] | None:
    given = operands[index] if len(operands) > index and operands[index] is not None else attributes.get("axes")
    return None if given is None else tuple(int(axis) for axis in np.atleast_1d(given))


def _divide(operands: Arrays, attributes: Attributes) -> Array:
    """Integers divide towards zero."""
    x, y = _present(operands)
    quotient = np.true_divide(x, y)
    return np.trunc(quotient).astype(np.int64) if x.dtype.kind in "iu" and y.dtype.kind in "iu" else quotient


def _clip(operands: Arrays, attributes: Attributes) -> Array:
    """Between bounds of which each may be absent."""
    x, low, high = [*operands, None, None][:3]
    minimum, maximum = (attributes.get(n) if bound is None else bound for n, bound in (("min", low), ("max", high)))
    return np.asarray(np.clip(_present([x])[0], minimum, maximum))


def _cast(operands: Arrays, attributes: Attributes) -> Array:
    """To an integer where the type is one; widths do not matter for shapes."""
    (x,) = _present(operands)[:1]
    target = attributes.get("to", 1)
    if target in (2, 3, 4, 5, 6, 7, 12, 13):  # the integers of the format
        return x.astype(np.int64)
    return x.astype(np.bool_) if target == 9 else x.astype(np.float64)


def _slice(operands: Arrays, attributes: Attributes) -> Array:
    x, limits = _present(operands)[0], [*operands[1:], None, None, None][:4]
    if len(operands) == 1:
        limits = [attributes.get(name) for name in ("starts", "ends", "axes", "steps")]
    starts, ends = _present(limits[:2])
    axes, steps = limits[2:]
    cut = [slice(None)] * x.ndim
    for position, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = position if axes is None else int(axes[position])
        cut[axis] = slice(int(start), int(end), 1 if steps is None else int(steps[position]))
    if any(part.step is not None and part.step < 0 for part in cut):
        cut = [slice(p.start, None if p.stop is not None and p.stop < -(2**30) else p.stop, p.step) for p in cut]
    return x[tuple(cut)]


def _unsqueeze(operands: Arrays, attributes: Attributes) -> Array:
    return np.expand_dims(_present(operands)[0], _axes(operands, attributes) or ())


def _squeeze(operands: Arrays, attributes: Attributes) -> Array:
    return np.squeeze(_present(operands)[0], _axes(operands, attributes))


def _reshape(operands: Arrays, attributes: Attributes) -> Array:
    x, target = _present(operands)
    shape = [x.shape[axis] if not extent and not attributes.get("allowzero") else int(extent)
             for axis, extent in enumerate(target)]  # fmt: skip
    return x.reshape(shape)


def _gather(operands: Arrays, attributes: Attributes) -> Array:
    x, indices = _present(operands)
    return np.asarray(np.take(x, indices.astype(np.int64), axis=attributes.get("axis", 0)))


def _filled(operands: Arrays, attributes: Attributes) -> Array | None:
    shape = tuple(int(extent) for extent in _present(operands)[0])
    value = attributes.get("value")
    fill = 0.0 if not isinstance(value, Stored) or value.value is None else value.value.reshape(-1)[0]
    return np.full(shape, fill) if 0 <= prod(shape) <= SMALL else None


def _expand(operands: Arrays, attributes: Attributes) -> Array | None:
    x, target = _present(operands)
    shape = np.broadcast_shapes(x.shape, tuple(int(extent) for extent in target))
    return np.broadcast_to(x, shape) if prod(shape) <= SMALL else None


def _range(operands: Arrays, attributes: Attributes) -> Array | None:
    start, limit, delta = (operand.reshape(-1)[0] for operand in _present(operands))
    return np.arange(start, limit, delta) if abs(float(limit - start) / float(delta)) <= SMALL else None


def _split(operands: Arrays, attributes: Attributes) -> list[Array] | None:
    x, sizes = operands[0], operands[1] if len(operands) > 1 else attributes.get("split")
    if x is None or sizes is None:
        return None
    return list(np.split(x, np.cumsum(sizes)[:-1], axis=attributes.get("axis", 0)))


def _reduced(function: Callable[..., Any]) -> _Fold:
    def fold(operands: Arrays, attributes: Attributes) -> Array:
        axes = _axes(operands, attributes)
        return np.asarray(function(operands[0], axis=axes, keepdims=bool(attributes.get("keepdims", 1))))

    return fold


def _plain(function: Callable[..., Any]) -> _Fold:
    """A function of the operands alone."""

    def fold(operands: Arrays, attributes: Attributes) -> Any:
        return function(*_present(operands))

    return fold


def _folded(function: Callable[[Array, Array], Any]) -> _Fold:
    """A function of two, over any number."""

    def fold(operands: Arrays, attributes: Attributes) -> Any:
        total, *others = _present(operands)
        for other in others:
            total = function(total, other)
        return total

    return fold


_FOLDS: dict[str, _Fold] = {
    "Identity": _plain(lambda x: x),
    "Add": _plain(np.add),
    "Sub": _plain(np.subtract),
    "Mul": _plain(np.multiply),
    "Div": _divide,
    "Mod": _plain(np.mod),
    "Pow": _plain(np.power),
    "Min": _folded(np.minimum),
    "Max": _folded(np.maximum),
    "Neg": _plain(np.negative),
    "Abs": _plain(np.abs),
    "Sqrt": _plain(np.sqrt),
    "Reciprocal": _plain(lambda x: 1.0 / x),
    "Floor": _plain(np.floor),
    "Ceil": _plain(np.ceil),
    "Round": _plain(np.round),
    "Clip": _clip,
    "Equal": _plain(np.equal),
    "Greater": _plain(np.greater),
    "GreaterOrEqual": _plain(np.greater_equal),
    "Less": _plain(np.less),
    "LessOrEqual": _plain(np.less_equal),
    "Not": _plain(np.logical_not),
    "And": _plain(np.logical_and),
    "Or": _plain(np.logical_or),
    "Where": _plain(np.where),
    "NonZero": _plain(lambda x: np.stack(np.nonzero(x))),
    "Concat": lambda operands, attributes: np.concatenate(_present(operands), axis=attributes["axis"]),
    "Gather": _gather,
    "Transpose": lambda operands, attributes: np.transpose(_present(operands)[0], attributes.get("perm")),
    "Cast": _cast,
    "CastLike": _plain(lambda x, like: x.astype(like.dtype)),
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "Range": _range,
    "Split": _split,
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
}
