"""Shapes of the inputs: as declared, with extents for the symbols.

The symbol of a leading extent is the batch. Every other symbol takes its extent from the shapes that are given; a
symbol that stands in two inputs needs to be given once. An input may be empty (a cache before the first token) where
another one is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.model import Dimension
from hwmodels.workload.ops import Shape

__all__ = ["Declared", "input_shapes_of"]

Declared = Mapping[str, tuple[Dimension, ...] | None]
"""Extents by name of the input, None where not even their number is known."""

_LARGEST = 2**31


def input_shapes_of(
    inputs: Declared, *, where: str, batch: int | None, given: Mapping[str, Sequence[int]] | None
) -> dict[str, Shape]:
    """The shape of every input.

    Parameters
    ----------
    inputs : as the file declares them.
    where : the file's name, for messages.
    batch : for a symbolic leading extent, 1 where None.
    given : shapes by name; "" stands for the only input. One extent less than declared leaves out the batch.

    Raises
    ------
    SpecError : a batch below one or other than a fixed one, a given shape of no input or against the declared one, a
        symbol without extent.
    """
    if batch is not None and batch < 1:
        raise SpecError(f"{where}: batch", batch, ">= 1")
    asked = _asked(inputs, given or {}, where, batch)
    symbols: dict[str, int] = {}
    for name, shape in asked.items():
        _read_symbols(inputs[name], shape, symbols, f"{where}: input_shapes of {name}")
    shapes = {name: _shape(inputs, name, asked.get(name), symbols, batch, where) for name in inputs}
    if shapes and not any(map(prod, shapes.values())):
        name, shape = next(iter(shapes.items()))
        raise SpecError(f"{where}: input {name}", shape, "a shape of positive extents")
    first = next((shape for shape in shapes.values() if shape), None)
    if batch is not None and first is not None and first[0] != batch:
        name = next(name for name, shape in shapes.items() if shape)
        raise SpecError(f"{where}: batch", batch, f"{first[0]}, the batch that is fixed for its input {name}")
    return shapes


def _asked(inputs: Declared, given: Mapping[str, Sequence[int]], where: str, batch: int | None) -> dict[str, Shape]:
    """The given shapes by the name of their input, with the batch where it was left out."""
    asked: dict[str, Shape] = {}
    for name, shape in given.items():
        if not name and len(inputs) != 1:
            raise SpecError(f"{where}: input_shapes", "a shape without a name", f"for one of {', '.join(inputs)}")
        name = name or next(iter(inputs))
        if name not in inputs:
            raise SpecError.unknown(f"{where}: input_shapes", name, inputs)
        declared = inputs[name]
        extents = tuple(shape)
        if declared and len(declared) == len(extents) + 1 and isinstance(declared[0], str):
            extents = (batch or 1, *extents)
        asked[name] = extents
    return asked


def _read_symbols(declared: tuple[Dimension, ...] | None, shape: Shape, symbols: dict[str, int], where: str) -> None:
    if not all(isinstance(extent, int) and 0 <= extent < _LARGEST for extent in shape):
        raise SpecError(where, shape, "a shape of positive extents")
    if declared is None:
        return
    if len(declared) != len(shape) or any(isinstance(d, int) and d != s for d, s in zip(declared, shape, strict=True)):
        raise SpecError(where, shape, f"of the declared shape {_shown(declared)}")
    for dimension, extent in zip(declared, shape, strict=True):
        if isinstance(dimension, str) and dimension and symbols.setdefault(dimension, extent) != extent:
            raise SpecError(where, shape, f"with {symbols[dimension]} for {dimension}, as another input has")


def _shape(
    inputs: Declared, name: str, given: Shape | None, symbols: Mapping[str, int], batch: int | None, where: str
) -> Shape:
    declared = inputs[name]
    if given is not None:
        return given
    where = f"{where}: input {name}"
    if declared is None:
        raise SpecError(where, "of unknown rank", "of a known shape", _hint(name, None))
    extents: list[int] = []
    for axis, dimension in enumerate(declared):
        if isinstance(dimension, int):
            extent = dimension
        elif dimension in symbols:
            extent = symbols[dimension]
        elif axis == 0:
            extent = batch or 1
        else:
            shown = f"dimension {axis} ({dimension or 'not given'}) of {_shown(declared)}"
            raise SpecError(where, shown, "a number", _hint(name, declared))
        if not 0 <= extent < _LARGEST:
            raise SpecError(where, _shown(declared), "a shape of positive extents")
        extents.append(extent)
    return tuple(extents)


def _hint(name: str, declared: tuple[Dimension, ...] | None) -> str:
    """Both ways to give a shape: of the Python function, and of the command line."""
    extents = [str(extent) if isinstance(extent, int) else "224" for extent in declared or (1, 3, "", "")]
    if declared and isinstance(declared[0], str):
        extents[0] = "1"
    return f"say --input {name}={'x'.join(extents)}, or input_shapes={{{name!r}: ({', '.join(extents)})}} in Python"


def _shown(declared: Sequence[Dimension]) -> str:
    return f"({', '.join(str(dimension) or '?' for dimension in declared)})"
