"""One layer of a list: an operator at its own input shapes, and where its operands come from."""

from __future__ import annotations

from dataclasses import dataclass

from hwmodels.errors import SpecError
from hwmodels.workload.ops import Operator, Precision, Shape

__all__ = ["Layer", "extent"]

_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as its list describes it.

    shapes : of its operands, the batch first.
    sources : names of the layers that make them: "" for an input of the network, None for the layer before.
    where : file and place, for messages.
    """

    name: str
    operator: Operator
    shapes: tuple[Shape, ...]
    precision: Precision
    where: str
    sources: tuple[str | None, ...] = (None,)


def extent(value: object, where: str, *, least: int = 1) -> int:
    """A whole number from `least` on, given as one or as its digits.

    Raises
    ------
    SpecError : anything else.
    """
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or not least <= int(text) <= _LARGEST:
        raise SpecError(where, text or "an empty field", f"a whole number from {least} to {_LARGEST}")
    return int(text)
