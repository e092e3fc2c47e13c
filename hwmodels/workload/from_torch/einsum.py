"""The rule for Einstein sums: contractions of two operands as matrix products, between views.

The labels of a contraction fall into four sorts: in both operands and in the result (batch), in both but not in the
result (contracted), in the left one alone, in the right one alone. A label of one operand that the result lacks is
summed first. More operands are contracted from left to right. Not modelled: a label twice in one operand (a
diagonal), extents of 1 that broadcast against others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from string import ascii_letters
from typing import Any, NamedTuple

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.from_torch.products import multiply, project
from hwmodels.workload.ops import Elementwise, Reduce, Shape

__all__ = ["RULES", "contracted"]


class _Factor(NamedTuple):
    """An operand with its labels; `stored` is the operand itself where it is a weight, not yet a node."""

    labels: str
    name: str = ""
    stored: Any = None


def _einsum(call: Call) -> Value | None:
    operands = call.args["tensors"]
    shapes = [call.shape_of(operand) for operand in operands]
    read = _labels(call.args["equation"], shapes)
    if read is None:
        return None
    terms, result = read
    return contracted(call, operands, terms, result)


def contracted(call: Call, operands: Sequence[Any], terms: Sequence[str], result: str) -> str:
    """The sum of products of operands over every label that `result` lacks; `terms` names the axes of each."""
    shapes = [call.shape_of(operand) for operand in operands]
    extents = dict(zip("".join(terms), (size for shape in shapes for size in shape), strict=True))
    factors = [
        _Factor(term, stored=operand) if call.is_weight(operand) else _Factor(term, call.tensor(operand))
        for term, operand in zip(terms, operands, strict=True)
    ]
    total = factors[0]
    for position, factor in enumerate(factors[1:], start=1):
        later = "".join((result, *terms[position + 1 :]))
        kept = "".join(dict.fromkeys(label for label in total.labels + factor.labels if label in later))
        total = _contract(call, total, factor, kept, extents)
    total = _summed(call, _node(call, total), result)
    return call.permute(total.name, (total.labels.index(label) for label in result))


def _labels(equation: str, shapes: list[Shape]) -> tuple[list[str], str] | None:
    """One letter an axis for every operand and the result; None for what is not modelled."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    free = [letter for letter in ascii_letters if letter not in equation]
    hidden = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    longest = "".join(free[: max(hidden, default=0)])
    terms = [
        term.replace("...", longest[len(longest) - count :] if count else "")
        for term, count in zip(terms, hidden, strict=True)
    ]
    if not arrow:
        counted = Counter("".join(terms))
        right = longest + "".join(sorted(label for label, n in counted.items() if n == 1 and label not in longest))
    right = right.replace("...", longest)
    sizes: dict[str, set[int]] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes.setdefault(label, set()).add(size)
    ambiguous = any(len(found) > 1 for found in sizes.values()) or any(len(set(term)) < len(term) for term in terms)
    return None if ambiguous else (terms, right)


def _node(call: Call, factor: _Factor) -> _Factor:
    return factor if factor.name else _Factor(factor.labels, call.tensor(factor.stored))


def _summed(call: Call, factor: _Factor, kept: Iterable[str]) -> _Factor:
    """Without the labels that nothing needs."""
    gone = tuple(axis for axis, label in enumerate(factor.labels) if label not in kept)
    if not gone:
        return factor
    name = call.add(Reduce(gone, mode="sum"), _node(call, factor).name, part="sum")
    return _Factor("".join(label for label in factor.labels if label in kept), name)


def _ordered(call: Call, factor: _Factor, labels: str) -> str:
    return call.permute(factor.name, (factor.labels.index(label) for label in labels))


def _contract(call: Call, left: _Factor, right: _Factor, kept: str, extents: Mapping[str, int]) -> _Factor:
    """Two factors as one, over the labels `kept`."""
    left = _summed(call, left, kept + right.labels)
    right = _summed(call, right, kept + left.labels)
    both = [label for label in left.labels if label in right.labels]
    batch = "".join(label for label in both if label in kept)
    inner = "".join(label for label in both if label not in kept)
    if inner and not batch and right.stored is None and left.stored is not None:
        left, right = right, left
    mine = "".join(label for label in left.labels if label not in both)
    theirs = "".join(label for label in right.labels if label not in both)
    size = {part: tuple(extents[label] for label in part) for part in (batch, inner, mine, theirs)}
    if not inner:
        left, right = _node(call, left), _node(call, right)
        x = call.reshape(_ordered(call, left, batch + mine), (*size[batch], *size[mine], *(1 for _ in theirs)))
        y = call.reshape(_ordered(call, right, batch + theirs), (*size[batch], *(1 for _ in mine), *size[theirs]))
        return _Factor(batch + mine + theirs, call.add(Elementwise("mul"), x, y, part="product"))
    left = _node(call, left)
    rows = _ordered(call, left, batch + mine + inner)
    if right.stored is not None and not batch:
        x = call.reshape(rows, (*size[mine], prod(size[inner])))
        x = project(call, x, right.stored, prod(size[theirs]))
        return _Factor(mine + theirs, call.reshape(x, (*size[mine], *size[theirs])))
    x = call.reshape(rows, (*size[batch], prod(size[mine]), prod(size[inner])))
    columns = _ordered(call, _node(call, right), batch + inner + theirs)
    y = call.reshape(columns, (*size[batch], prod(size[inner]), prod(size[theirs])))
    product = multiply(call, x, y)
    return _Factor(batch + mine + theirs, call.reshape(product, (*size[batch], *size[mine], *size[theirs])))


RULES: dict[str, Rule] = {"aten.einsum": _einsum}
"""By operator, without overload."""
