"""Shapes that a file declares beside those that follow from its operators: where they contradict, the file is wrong.

A contradiction is an extent that is declared as a number and computed as another one, or another number of axes. A
file whose inputs have symbols may carry the extents of the network that it was exported from: where the batch is a
symbol its axis is not compared, where other axes are, only the number of axes is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.model import Model
from hwmodels.workload.ops import Shape

__all__ = ["check_declared"]


def check_declared(model: Model, computed: Mapping[str, Shape]) -> None:
    """Hold every declared shape against the computed one.

    Parameters
    ----------
    computed : shapes by name of the tensor.

    Raises
    ------
    SpecError : two that contradict each other.
    """
    declared = [extents for extents in model.inputs.values() if extents]
    skipped = 1 if any(isinstance(extents[0], str) for extents in declared) else 0
    is_fixed = not any(isinstance(extent, str) for extents in declared for extent in extents[1:])
    for name, told in _declared(model):
        shape = computed.get(name)
        if shape is None or not told or prod(shape) == 1 == prod(told):
            continue
        pairs = list(zip(told, shape, strict=False))[skipped:] if is_fixed else []
        if len(told) != len(shape) or any(extent > 0 and extent != other for extent, other in pairs):
            shown = f"the declared shape ({', '.join(str(extent) if extent > 0 else '?' for extent in told)})"
            raise SpecError(f"{model.where}: {name}", shown, f"the {shape} that its operators give")


def _declared(model: Model) -> Iterator[tuple[str, Shape]]:
    """(name, extents) of every tensor with a declared number of axes; 0 where an extent is not a number."""
    graph = model.proto.graph
    for value in (*graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            yield value.name, tuple(dim.dim_value if dim.HasField("dim_value") else 0 for dim in dims)
