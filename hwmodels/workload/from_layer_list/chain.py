"""Layers as a validated graph: each behind the one before it, or behind those that it names."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hwmodels.errors import SpecError
from hwmodels.workload.from_layer_list.layer import Layer
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops import Shape, View

__all__ = ["chain"]

_LARGEST = 2**63 - 1  # of a table's columns
_MOST_LAYERS = 100_000


def chain(layers: Sequence[Layer], *, name: str, batch: int | None, where: str) -> Workload:
    """The network of some layers.

    Parameters
    ----------
    batch : items in place of one; a list that has more keeps them.

    Raises
    ------
    SpecError : no layer, an operator that does not take its shapes, another batch than the list's, a source that is no
        earlier layer.
    """
    if not layers or len(layers) > _MOST_LAYERS:
        raise SpecError(where, f"{len(layers)} layers", f"1 to {_MOST_LAYERS} layers")
    writing = _Writing(batch)
    for layer in layers:
        writing.layer(layer)
    read = {source for node in writing.nodes.values() for source in node.inputs}
    outputs = [made for made in writing.made.values() if made not in read]
    workload = Workload.of(name, writing.nodes.values(), outputs)
    if max(max(row) for _, row in workload.rows()) > _LARGEST or workload.macs > _LARGEST:
        raise SpecError(where, "a network of this size", "countable in 63 bits")
    return workload


class _Writing:
    """Nodes written so far, and the node of each layer."""

    def __init__(self, batch: int | None) -> None:
        self.nodes: dict[str, Node] = {}
        self.made: dict[str, str] = {}
        self._batch, self._last = batch, ""

    def layer(self, layer: Layer) -> None:
        """Write a layer behind its sources."""
        shapes = tuple(self._with_batch(shape, layer) for shape in layer.shapes)
        for shape in shapes:
            if min(shape) < 1 or prod(shape) > _LARGEST:
                raise SpecError(layer.where, shape, "a shape of positive extents")
        label = self._free(layer.name)
        inputs = tuple(
            self._operand(layer, label, shape, source)
            for shape, source in zip(shapes, (*layer.sources, *("",) * len(shapes)), strict=False)
        )
        try:
            result = layer.operator.infer(*shapes)
        except (ValueError, IndexError, ArithmeticError) as error:
            raise SpecError(layer.where, error, "a valid layer") from None
        if min(result, default=1) < 1 or prod(result) > _LARGEST:
            raise SpecError(layer.where, result, "a shape of positive extents")
        self.nodes[label] = Node(label, layer.operator, inputs, result, layer.precision)
        self.made[layer.name] = self._last = label

    def _operand(self, layer: Layer, label: str, shape: Shape, source: str | None) -> str:
        made = self._last if source is None else self.made.get(source, "")
        if source and not made:
            raise SpecError.unknown(f"{layer.where}: source", source, self.made)
        if not made:
            return self._add("input", Input(shape), (), shape, layer)
        if self.nodes[made].shape == shape:
            return made
        return self._add(f"{label}.input", View(shape), (made,), shape, layer)

    def _add(self, label: str, operator: Input | View, inputs: tuple[str, ...], shape: Shape, layer: Layer) -> str:
        name = self._free(label)
        self.nodes[name] = Node(name, operator, inputs, shape, layer.precision)
        return name

    def _with_batch(self, shape: Shape, layer: Layer) -> Shape:
        if self._batch is None or self._batch == shape[0]:
            return shape
        if shape[0] != 1:
            raise SpecError(f"{layer.where}: batch", self._batch, f"{shape[0]}, the batch of the list")
        return (self._batch, *shape[1:])

    def _free(self, label: str) -> str:
        name, number = label, 1
        while name in self.nodes:
            name, number = f"{label}_{number}", number + 1
        return name
