"""Shapes of the inputs: as declared, with extents for the symbols.

The symbol of a leading extent is the batch. Every other symbol takes its extent from `input_shapes`; a symbol that
stands in two inputs needs to be given once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.model import Dimension, Model
from hwmodels.workload.ops import Shape

__all__ = ["input_shapes_of"]

_LARGEST = 2**31


def input_shapes_of(model: Model, *, batch: int | None, given: Mapping[str, Sequence[int]] | None) -> dict[str, Shape]:
    """The shape of every input.

    Raises
    ------
    SpecError : a batch below one or other than a fixed one, a given shape of no input or against the declared one, a
        symbol without extent.
    """
    asked = {name: tuple(shape) for name, shape in (given or {}).items()}
    if batch is not None and batch < 1:
        raise SpecError(f"{model.where}: batch", batch, ">= 1")
    for name in asked:
        if name not in model.inputs:
            raise SpecError.unknown(f"{model.where}: input_shapes", name, model.inputs)
    symbols: dict[str, int] = {}
    for name, shape in asked.items():
        _read_symbols(model, name, shape, symbols)
    shapes = {name: _shape(model, name, asked.get(name), symbols, batch) for name in model.inputs}
    first = next((shape for shape in shapes.values() if shape), None)
    if batch is not None and first is not None and first[0] != batch:
        name = next(name for name, shape in shapes.items() if shape)
        raise SpecError(f"{model.where}: batch", batch, f"{first[0]}, the batch that is fixed for its input {name}")
    return shapes


def _read_symbols(model: Model, name: str, shape: Shape, symbols: dict[str, int]) -> None:
    declared = model.inputs[name]
    where = f"{model.where}: input_shapes of {name}"
    if not all(isinstance(extent, int) and 0 < extent < _LARGEST for extent in shape):
        raise SpecError(where, shape, "a shape of positive extents")
    if declared is None:
        return
    if len(declared) != len(shape) or any(isinstance(d, int) and d != s for d, s in zip(declared, shape, strict=True)):
        raise SpecError(where, shape, f"of the declared shape {_shown(declared)}")
    for dimension, extent in zip(declared, shape, strict=True):
        if isinstance(dimension, str) and dimension and symbols.setdefault(dimension, extent) != extent:
            raise SpecError(where, shape, f"with {symbols[dimension]} for {dimension}, as another input has")


def _shape(model: Model, name: str, given: Shape | None, symbols: Mapping[str, int], batch: int | None) -> Shape:
    declared = model.inputs[name]
    if given is not None:
        return given
    where = f"{model.where}: input {name}"
    if declared is None:
        raise SpecError(where, "of unknown rank", "of a known shape", f"give input_shapes={{{name!r}: (...)}}")
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
            raise SpecError(where, shown, "a number", f"give input_shapes={{{name!r}: (...)}}")
        if not 0 < extent < _LARGEST:
            raise SpecError(where, _shown(declared), "a shape of positive extents")
        extents.append(extent)
    return tuple(extents)


def _shown(declared: Sequence[Dimension]) -> str:
    return f"({', '.join(str(dimension) or '?' for dimension in declared)})"
