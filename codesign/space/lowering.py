"""Batched lowering: one template of slots for a whole batch of networks, filled by array operations.

`BatchGraph` mirrors `hwmodels.workload.graph.Builder`: a space calls conv, norm, pool ... once per place in its
template, each call placing that operator in all N networks at once (or in those where `present` holds). Python
loops run over the slots of the template and over distinct layer shapes, never over networks. `finish` applies the
runtime semantics (dead branches, fusion) to all networks and flattens the slots into a LayerTable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Conv2d,
    Elementwise,
    Kind,
    Linear,
    Norm,
    Pool2d,
    Precision,
    Row,
)
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import Layers, LayerTable, Networks

__all__ = [
    "ABSENT",
    "INPUT",
    "VOID",
    "BatchGraph",
    "Tensor",
]

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

INPUT, VOID, ABSENT = -1, -2, -3
"""Producers that are no slot: the network input, a tensor of zeros, no tensor at all."""


class Tensor(NamedTuple):
    """One tensor of each network: the slot that makes it, its channels and its (square) size, (N,) each."""

    producer: I64
    channels: I64
    size: I64


@dataclass
class _Slot:
    """One place of the template: a row id (or -1) and the producers read, per network."""

    kind: Kind
    rows: I64
    sources: list[I64]


class BatchGraph:
    """N networks under construction, all with the same input."""

    def __init__(
        self, n: int, *, batch: int, channels: int, size: int, precision: Precision, semantics: Semantics
    ) -> None:
        self.n, self.batch, self.precision, self.semantics = n, batch, precision, semantics
        self._slots: list[_Slot] = []
        self._rows: dict[Row, int] = {}
        self._input_elements = batch * channels * size * size
        self.input = Tensor(self._full(INPUT), self._full(channels), self._full(size))

    # Operators, as in Builder.

    def conv(
        self,
        x: Tensor,
        out_channels: I64 | int,
        kernel: I64 | int,
        *,
        stride: I64 | int = 1,
        bits: I64 | int | None = None,
        present: Mask | None = None,
    ) -> Tensor:
        """Convolution without bias and 'same' padding."""

        def make(channels: int, size: int, out_channels: int, kernel: int, stride: int, bits: int) -> tuple[Row, int]:
            operator = Conv2d.square(out_channels, kernel, stride=stride)
            source = (self.batch, channels, size, size)
            shape = operator.infer(source)
            return self._bits(operator.row((source,), shape), bits), shape[2]

        rows, size = self._look_up(make, x.channels, x.size, out_channels, kernel, stride, self._width(bits))
        return self._place(Kind.CONV, rows, [x], self._full(out_channels), size, present)

    def norm(self, x: Tensor, *, bits: I64 | int | None = None, present: Mask | None = None) -> Tensor:
        """Batch normalisation."""
        return self._pointwise(Kind.NORM, Norm("batch"), x, bits, present)

    def activation(
        self,
        x: Tensor,
        function: ActivationName = "relu",
        *,
        bits: I64 | int | None = None,
        present: Mask | None = None,
    ) -> Tensor:
        return self._pointwise(Kind.ACTIVATION, Activation(function), x, bits, present)

    def pool(self, x: Tensor, operator: Pool2d, *, present: Mask | None = None) -> Tensor:
        def make(channels: int, size: int) -> tuple[Row, int]:
            source = (self.batch, channels, size, size)
            shape = operator.infer(source)
            return self._bits(operator.row((source,), shape), 0), shape[2]

        rows, size = self._look_up(make, x.channels, x.size)
        return self._place(Kind.POOL, rows, [x], x.channels, size, present)

    def linear(self, x: Tensor, features: int) -> Tensor:
        """Flatten and a linear layer with bias."""

        def make(channels: int, size: int) -> tuple[Row, int]:
            source = (self.batch, channels * size * size)
            operator = Linear(features)
            return self._bits(operator.row((source,), operator.infer(source)), 0), 1

        rows, size = self._look_up(make, x.channels, x.size)
        return self._place(Kind.LINEAR, rows, [x], self._full(features), size, None)

    def sum(self, contributions: list[Tensor]) -> Tensor:
        """Binary additions over the contributions that are there; a tensor of zeros where none is."""
        total = contributions[0]
        for term in contributions[1:]:
            left, right = self._operand(total), self._operand(term)
            both = (left.producer != ABSENT) & (right.producer != ABSENT)
            added = self._add(left, right, both)
            only_right = left.producer == ABSENT
            total = Tensor(
                np.where(both, added.producer, np.where(only_right, right.producer, left.producer)),
                np.where(only_right, right.channels, left.channels),
                np.where(only_right, right.size, left.size),
            )
        producer = np.where(total.producer == ABSENT, VOID, total.producer)
        return total._replace(producer=producer)

    def only(self, x: Tensor, present: Mask) -> Tensor:
        """`x` where `present`, no tensor elsewhere."""
        return x._replace(producer=np.where(present, x.producer, ABSENT))

    def select(self, condition: Mask, x: Tensor, y: Tensor) -> Tensor:
        """`x` where the condition holds, `y` elsewhere."""
        return Tensor(*(np.where(condition, a, b) for a, b in zip(x, y, strict=True)))

    # Placing.

    def _full(self, value: I64 | int) -> I64:
        return np.broadcast_to(np.asarray(value, np.int64), (self.n,))

    def _width(self, bits: I64 | int | None) -> I64 | int:
        return 0 if bits is None else bits

    def _bits(self, row: Row, bits: int) -> Row:
        """0 stands for the graph's own precision."""
        widths = self.precision if bits == 0 else Precision(bits, bits, self.precision.accumulator_bits)
        return row._replace(**widths._asdict())

    def _operand(self, x: Tensor) -> Tensor:
        """A dropped zero operand vanishes from a sum."""
        if not self.semantics.drop_dead_branches:
            return x
        return x._replace(producer=np.where(x.producer == VOID, ABSENT, x.producer))

    def _add(self, left: Tensor, right: Tensor, present: Mask) -> Tensor:
        def make(channels: int, size: int) -> tuple[Row, int]:
            shape = (self.batch, channels, size, size)
            return self._bits(Elementwise("add").row((shape, shape), shape), 0), size

        rows, size = self._look_up(make, left.channels, left.size)
        return self._place(Kind.ELEMENTWISE, rows, [left, right], left.channels, size, present)

    def _pointwise(
        self, kind: Kind, operator: Norm | Activation, x: Tensor, bits: I64 | int | None, present: Mask | None
    ) -> Tensor:
        def make(channels: int, size: int, bits: int) -> tuple[Row, int]:
            shape = (self.batch, channels, size, size)
            return self._bits(operator.row((shape,), shape), bits), size

        rows, size = self._look_up(make, x.channels, x.size, self._width(bits))
        return self._place(kind, rows, [x], x.channels, size, present)

    def _look_up(self, make: Callable[..., tuple[Row, int]], *columns: I64 | int) -> tuple[I64, I64]:
        """Row ids and output sizes, (N,) each; `make` runs once per distinct combination of column values."""
        full = [self._full(column) for column in columns]
        low = [int(column.min()) if self.n else 0 for column in full]
        radix = [(int(column.max()) if self.n else 0) - least + 1 for column, least in zip(full, low, strict=True)]
        code = np.zeros(self.n, np.int64)
        for column, least, base in zip(full, low, radix, strict=True):
            code = code * base + (column - least)
        table_size = int(np.prod(radix))
        if table_size <= 4 * self.n + 1024:
            first = np.full(table_size, -1, np.int64)
            first[code] = np.arange(self.n)
            present = np.flatnonzero(first >= 0)
            index = np.zeros(table_size, np.int64)
            index[present] = np.arange(present.size)
            first, index = first[present], index[code]
        else:
            _, first, index = np.unique(code, return_index=True, return_inverse=True)
        made = [make(*(int(column[i]) for column in full)) for i in first]
        ids = np.array([self._rows.setdefault(row, len(self._rows)) for row, _ in made], dtype=np.int64)
        return ids[index], np.array([size for _, size in made], dtype=np.int64)[index]

    def _place(
        self, kind: Kind, rows: I64, sources: list[Tensor], channels: I64, size: I64, present: Mask | None
    ) -> Tensor:
        """Append a slot; where it is not present the first source passes through."""
        there = np.ones(self.n, bool) if present is None else present
        first = sources[0]
        slot = len(self._slots)
        if self.semantics.drop_dead_branches:
            fed = np.zeros(self.n, bool)
            for source in sources:
                fed |= source.producer >= INPUT
            producer = np.where(there, np.where(fed, slot, VOID), first.producer)
            there = there & fed
        else:
            producer = np.where(there, slot, first.producer)
        self._slots.append(_Slot(kind, np.where(there, rows, -1), [source.producer for source in sources]))
        return Tensor(producer, np.where(there, channels, first.channels), np.where(there, size, first.size))

    # Finishing.

    def finish(self, output: Tensor, names: tuple[str, ...] = ()) -> LayerTable:
        """Apply the semantics and flatten into a LayerTable."""
        rows = np.stack([slot.rows for slot in self._slots])
        edges = [(s, source) for s, slot in enumerate(self._slots) for source in slot.sources]
        everyone = np.arange(self.n)
        if self.semantics.drop_dead_branches:
            self._drop_unreached(rows, edges, output.producer, everyone)
        biased = np.zeros(rows.shape, bool)
        stands_for = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape).copy()
        if self.semantics.fuse_norm_activation:
            self._fuse(rows, edges, output.producer, everyone, biased, stands_for)
        return self._flatten(rows, edges, output.producer, everyone, biased, stands_for, names)

    def _drop_unreached(self, rows: I64, edges: list[tuple[int, I64]], output: I64, everyone: I64) -> None:
        reached = np.zeros(rows.shape, bool)
        at = output >= 0
        reached[output[at], everyone[at]] = True
        for slot, source in reversed(edges):
            feeds = (source >= 0) & reached[slot] & (rows[slot] >= 0)
            reached[source[feeds], everyone[feeds]] = True
        rows[~reached] = -1

    def _fuse(
        self,
        rows: I64,
        edges: list[tuple[int, I64]],
        output: I64,
        everyone: I64,
        biased: Mask,
        stands_for: I64,
    ) -> None:
        """As `rewrite.fuse`: a norm or activation that alone reads a convolution or linear layer joins it."""
        consumers = np.zeros(rows.shape, np.int16)
        at = output >= 0
        consumers[output[at], everyone[at]] += 1
        for slot, source in edges:
            reads = (source >= 0) & (rows[slot] >= 0)
            consumers[source[reads], everyone[reads]] += 1
        is_host = np.array([place.kind in (Kind.CONV, Kind.LINEAR) for place in self._slots])
        activated = np.zeros(rows.shape, bool)
        for s, place in enumerate(self._slots):
            if place.kind not in (Kind.NORM, Kind.ACTIVATION):
                continue
            source = place.sources[0]
            who = np.flatnonzero((rows[s] >= 0) & (source >= 0))
            who = who[consumers[source[who], who] == 1]
            host = stands_for[source[who], who]
            joins = is_host[host] & ~activated[host, who]
            who, host = who[joins], host[joins]
            rows[s, who] = -1
            stands_for[s, who] = host
            (activated if place.kind == Kind.ACTIVATION else biased)[host, who] = True

    def _flatten(
        self,
        rows: I64,
        edges: list[tuple[int, I64]],
        output: I64,
        everyone: I64,
        biased: Mask,
        stands_for: I64,
        names: tuple[str, ...],
    ) -> LayerTable:
        reads_input = np.zeros(rows.shape, bool)
        for slot, source in edges:
            reads_input[slot] |= source == INPUT
        makes_output = np.zeros(rows.shape, bool)
        at = output >= 0
        last = np.where(at, stands_for[np.maximum(output, 0), everyone], output)
        makes_output[last[at], everyone[at]] = True
        # One code per variant of a row; only those in use become rows of the table.
        alive = rows >= 0
        code = np.where(alive, rows * 8 + reads_input * 4 + makes_output * 2 + biased, 0)
        in_use = np.flatnonzero(np.bincount(code[alive], minlength=1))
        compact = np.zeros(int(in_use.max(initial=0)) + 1, np.int32)
        compact[in_use] = np.arange(in_use.size)
        base = list(self._rows)
        layers = Layers.of([_variant(base[value >> 3], int(value)) for value in in_use])
        ids = np.where(alive, compact[code], -1)
        networks = _ragged(
            np.ascontiguousarray(ids.T),
            np.array([slot for slot, _ in edges], np.int64),
            np.ascontiguousarray(np.stack([source for _, source in edges], dtype=np.int32, casting="same_kind").T),
            np.ascontiguousarray(stands_for.T, dtype=np.int32),
            last,
            layers.output_elements,
            self._input_elements,
        )
        return LayerTable(layers, Networks(*networks), names or tuple(map(str, range(self.n))))


def _variant(row: Row, code: int) -> Row:
    """A row with its flags: reads the network input (4), makes the output (2), has a folded norm (1)."""
    bias = row.out_channels if code & 1 and row.parameters == row.weight_elements else 0
    return row._replace(input_offchip=(code >> 2) & 1, output_offchip=(code >> 1) & 1, parameters=row.parameters + bias)


@njit(cache=True, nogil=True)
def _ragged(
    ids: npt.NDArray[np.int32],
    edge_slot: I64,
    sources: npt.NDArray[np.int32],
    stands_for: npt.NDArray[np.int32],
    output: I64,
    output_elements: I64,
    input_elements: int,
) -> tuple[I64, I64, I64, I64, I64, I64]:
    """Slots to the six columns of `Networks`.

    Parameters
    ----------
    ids : (N, S) row of each slot, -1 where it is empty. edge_slot : (E,) slot that reads; sources : (N, E) producer
        that it reads. stands_for : (N, S) the slot that a folded one joined. output : (N,) slot of the output.
    """
    n, n_slots = ids.shape
    n_edges = edge_slot.size
    sequence_start, edge_start = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for i in range(n):
        layers = 0
        for s in range(n_slots):
            layers += ids[i, s] >= 0
        read = 1 if output[i] >= INPUT else 0
        for e in range(n_edges):
            read += ids[i, edge_slot[e]] >= 0 and sources[i, e] >= INPUT
        sequence_start[i + 1] = sequence_start[i] + layers
        edge_start[i + 1] = edge_start[i] + read
    sequence = np.empty(sequence_start[n], np.int64)
    source, destination = np.empty(edge_start[n], np.int64), np.empty(edge_start[n], np.int64)
    elements = np.empty(edge_start[n], np.int64)
    position = np.empty(n_slots, np.int64)
    for i in range(n):
        at = 0
        for s in range(n_slots):
            if ids[i, s] >= 0:
                position[s] = at
                sequence[sequence_start[i] + at] = ids[i, s]
                at += 1
        here = edge_start[i]
        for e in range(n_edges + 1):
            # The edge after the last one leads from the output slot out of the network.
            leaving = e == n_edges
            producer = output[i] if leaving else np.int64(sources[i, e])
            if producer < INPUT or (not leaving and ids[i, edge_slot[e]] < 0):
                continue
            origin = np.int64(stands_for[i, producer]) if producer >= 0 else np.int64(-1)
            source[here] = position[origin] if origin >= 0 else -1
            destination[here] = -1 if leaving else position[edge_slot[e]]
            elements[here] = output_elements[ids[i, origin]] if origin >= 0 else input_elements
            here += 1
    return sequence, sequence_start, source, destination, elements, edge_start
