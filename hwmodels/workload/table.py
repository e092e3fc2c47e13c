"""LayerTable: many networks as arrays. One row a unique layer, ragged sequences and edges a network.

The counts matrix [network, row] is what cost models with `sum` composition need; sequences and edges serve
pipelines, schedules, liveness memory and fusion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Input, Workload
from hwmodels.workload.ops import Kind, Row

__all__ = ["I64", "MOST_OF_ONE_LAYER", "LayerTable", "Layers", "Networks", "RowBank", "layer_table", "network_sums"]

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MOST_OF_ONE_LAYER = 2**60
"""Counts of one layer are 64-bit integers, with room for the small factors of a cost model."""


def _too_large(rows: Iterable[Row], where: str = "") -> SpecError:
    """The largest count of the first layer that has one beyond the limit."""
    row = next(row for row in rows if max(row) >= MOST_OF_ONE_LAYER)
    field, count = max(zip(Row._fields, row, strict=True), key=lambda item: item[1])
    place = where or f"a layer of kind {Kind(row.kind).name.lower()}"
    return SpecError(f"{place}: {field}", f"{count:.4g}", f"< 2**60 = {MOST_OF_ONE_LAYER:.4g}, the most of one layer")


class Layers(NamedTuple):
    """The fields of `Row` as int64 columns, (L,) each; the axes letters of the docs: L layers."""

    kind: I64
    batch: I64
    groups: I64
    in_channels: I64
    out_channels: I64
    in_h: I64
    in_w: I64
    out_h: I64
    out_w: I64
    kernel_h: I64
    kernel_w: I64
    stride_h: I64
    stride_w: I64
    pad_h: I64
    pad_w: I64
    dilation_h: I64
    dilation_w: I64
    m: I64
    n: I64
    k: I64
    macs: I64
    vector_ops: I64
    weight_elements: I64
    input_elements: I64
    output_elements: I64
    parameters: I64
    weight_bits: I64
    activation_bits: I64
    accumulator_bits: I64
    dynamic_operand: I64
    sequential_steps: I64
    input_offchip: I64
    output_offchip: I64
    weight_format: I64
    activation_format: I64
    query_heads: I64
    causal: I64
    window: I64

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Layers:
        """The rows as columns.

        Raises
        ------
        SpecError : a count of `MOST_OF_ONE_LAYER` or more.
        """
        try:
            columns = np.array(rows, dtype=np.int64).reshape(len(rows), len(Row._fields))
        except OverflowError:
            columns = np.full((1, 1), MOST_OF_ONE_LAYER)
        if columns.size and columns.max() >= MOST_OF_ONE_LAYER:
            raise _too_large(rows)
        return cls(*np.ascontiguousarray(columns.T))

    def row(self, index: int) -> Row:
        return Row(*(int(column[index]) for column in self))


class Networks(NamedTuple):
    """N networks over the rows of a `Layers`, ragged.

    sequence : (S,) row ids in topological order; network i owns sequence[sequence_start[i]:sequence_start[i + 1]].
    edge_source, edge_destination : (E,) positions within the own sequence; source -1 - i is the i-th network input,
        destination -1 a network output.
    edge_elements : (E,) elements of the tensor read, per batch; of the whole input where the source is one.
    """

    sequence: I64
    sequence_start: I64
    edge_source: I64
    edge_destination: I64
    edge_elements: I64
    edge_start: I64


@dataclass(frozen=True, eq=False)
class LayerTable:
    """Unique layers and the networks made of them.

    columns : metrics of the networks that their layers do not say, (N,) each, as what their training takes.

    >>> from hwmodels.workload.zoo import network
    >>> table = layer_table([network("resnet18")])
    >>> int((table.counts() * table.layers.macs).sum())
    1814073344
    """

    layers: Layers
    networks: Networks
    names: tuple[str, ...]
    columns: Mapping[str, F64] = field(default_factory=dict)

    @property
    def n_layers(self) -> int:
        return int(self.layers.kind.size)

    @property
    def n_networks(self) -> int:
        return int(self.networks.sequence_start.size - 1)

    def counts(self) -> npt.NDArray[np.float64]:
        """How often each network runs each row, (N, L)."""
        out = np.zeros((self.n_networks, self.n_layers))
        owner = np.repeat(np.arange(self.n_networks), np.diff(self.networks.sequence_start))
        np.add.at(out, (owner, self.networks.sequence), 1.0)
        return out

    def totals(self, column: str) -> I64 | F64:
        """Sum of one column of `layers` over each network's layers, (N,); see `network_sums`."""
        return network_sums(self.networks, getattr(self.layers, column))

    def edges(self, network: int) -> npt.NDArray[np.int64]:
        """Edges (source, destination, elements) of one network, (E, 3)."""
        part = slice(self.networks.edge_start[network], self.networks.edge_start[network + 1])
        columns = (self.networks.edge_source, self.networks.edge_destination, self.networks.edge_elements)
        return np.stack([column[part] for column in columns], axis=1)

    def rows_of(self, network: int) -> I64:
        """Row ids of one network in topological order."""
        start, stop = self.networks.sequence_start[network : network + 2]
        return self.networks.sequence[start:stop]


def network_sums(networks: Networks, values: npt.NDArray[Any]) -> I64 | F64:
    """Sums over the layers of each network of one value a row, (N,).

    values : (L,) integers >= 0, int64 or Python's. Sums are exact integers; where one of them is beyond int64, all are
    float64, each the float nearest to its exact sum.
    """
    column = values[networks.sequence]
    if values.dtype != object and float(np.sum(column, dtype=np.float64)) < 2.0**62:
        running = np.concatenate([np.zeros(1, np.int64), np.cumsum(column)])
        total: I64 = np.diff(running[networks.sequence_start])
        return total
    bounds = zip(networks.sequence_start[:-1], networks.sequence_start[1:], strict=True)
    exact = [sum(column[start:stop].tolist()) for start, stop in bounds]
    if max(exact, default=0) < 2**63:
        return np.array(exact, dtype=np.int64)
    return np.array(exact, dtype=np.float64)


class RowBank:
    """Gives equal rows one id, in order of first appearance."""

    def __init__(self) -> None:
        self._ids: dict[Row, int] = {}

    def id(self, row: Row) -> int:
        return self._ids.setdefault(row, len(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def rows(self) -> list[Row]:
        return list(self._ids)

    def layers(self) -> Layers:
        return Layers.of(self.rows)


def _edges(workload: Workload, position: dict[str, int]) -> list[tuple[int, int, int]]:
    """Edges between rows, looking through views; a tensor read twice is two edges."""
    found: list[tuple[int, int, int]] = []
    inputs = [node.name for node in workload if isinstance(node.operator, Input)]
    behind: dict[str, tuple[tuple[int, int | None], ...]] = {}  # (producer, elements or those of the tensor read)
    for node in workload:
        if node.name in position:
            for source in node.inputs:
                found.extend(_read(behind[source], position[node.name], prod(workload[source].shape)))
            behind[node.name] = ((position[node.name], None),)
        elif isinstance(node.operator, Input):  # a view of an input keeps the whole input alive
            behind[node.name] = ((-1 - inputs.index(node.name), prod(node.shape)),)
        else:
            behind[node.name] = tuple(producer for source in node.inputs for producer in behind[source])
    for output in workload.outputs:
        found.extend(_read(behind[output], -1, prod(workload[output].shape)))
    return found


def _read(
    producers: Iterable[tuple[int, int | None]], destination: int, elements: int
) -> Iterable[tuple[int, int, int]]:
    return ((producer, destination, elements if whole is None else whole) for producer, whole in producers)


def layer_table(workloads: Sequence[Workload]) -> LayerTable:
    """Lower networks one by one into one table with shared rows."""
    bank = RowBank()
    sequences: list[list[int]] = []
    edges: list[list[tuple[int, int, int]]] = []
    for workload in workloads:
        position: dict[str, int] = {}
        sequence: list[int] = []
        for node, row in workload.rows():
            position[node.name] = len(sequence)
            sequence.append(bank.id(row))
        sequences.append(sequence)
        edges.append(_edges(workload, position))
    try:
        layers = bank.layers()
        flat = np.array([edge for part in edges for edge in part], dtype=np.int64).reshape(-1, 3)
    except SpecError:
        raise _first_too_large(workloads) from None
    networks = Networks(
        sequence=np.array([row for part in sequences for row in part], dtype=np.int64),
        sequence_start=_starts(sequences),
        edge_source=flat[:, 0].copy(),
        edge_destination=flat[:, 1].copy(),
        edge_elements=flat[:, 2].copy(),
        edge_start=_starts(edges),
    )
    return LayerTable(layers, networks, tuple(workload.name for workload in workloads))


def _first_too_large(workloads: Iterable[Workload]) -> SpecError:
    """The error of the first layer with a count beyond the limit, by the names of network and layer."""
    places = ((f"{workload.name}: {node.name}", row) for workload in workloads for node, row in workload.rows())
    where, row = next(place for place in places if max(place[1]) >= MOST_OF_ONE_LAYER)
    return _too_large([row], where)


def _starts(parts: Sequence[Sequence[Any]]) -> I64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum([len(part) for part in parts], dtype=np.int64)])
