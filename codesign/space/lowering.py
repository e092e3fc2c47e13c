"""Batched lowering: one template of slots for a whole batch of networks, filled by array operations.

`BatchGraph` mirrors `hwmodels.workload.graph.Builder`: a space calls conv, norm, pool ... once per place in its
template, each call placing that operator in all N networks at once (or in those where `present` holds); `add` places
any operator of `hwmodels.workload.ops`. Tensors have any shape. Python loops run over the slots of the template and
over distinct layer shapes, never over networks. `finish` applies the runtime semantics (dead branches, fusion) to all
networks and flattens the slots into a LayerTable.

Left to the default lowering, which builds every graph: weights that several layers share, zeros joined to a
concatenation or a product under semantics that drop dead branches, and attention in one kernel (`fuse_attention`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.kernel_cache import cached_njit
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Concat,
    Conv2d,
    Elementwise,
    Linear,
    Norm,
    Operator,
    Pool2d,
    Precision,
    Row,
    Shape,
)
from hwmodels.workload.ops.row import channels_of
from hwmodels.workload.rewrite import Semantics, absorbs, zero_rule
from hwmodels.workload.table import Layers, LayerTable, Networks

__all__ = [
    "BatchGraph",
    "Tensor",
]

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_VOID, _ABSENT = -(1 << 20), -(1 << 20) - 1
"""Producers that are neither a slot (>= 0) nor the i-th network input (-1 - i): a tensor of zeros, no tensor at all."""


class Tensor(NamedTuple):
    """One tensor of each network, (N,) each: what makes it, and its shape by number (`BatchGraph.shapes_of`)."""

    producer: I64
    shape: I64


@dataclass
class _Slot:
    """One place of the template: an operator of its kind, a row id (or -1) and the producers read, per network."""

    operator: Operator | None
    rows: I64
    sources: list[I64]


class _Made(NamedTuple):
    """What one distinct combination of shapes and parameters gives: row id (-1 for a view) and output shape."""

    operator: Operator
    row: int
    shape: int


class BatchGraph:
    """N networks under construction, all with the same inputs.

    Parameters
    ----------
    n : networks. inputs : shapes of the network inputs, batch first. precision : bits where no `bits` are given.
    """

    def __init__(self, n: int, inputs: Sequence[Shape], *, precision: Precision, semantics: Semantics) -> None:
        self.n, self.precision, self.semantics = n, precision, semantics
        self._slots: list[_Slot] = []
        self._rows: dict[Row, int] = {}
        self._shapes: dict[Shape, int] = {}
        self._input_elements = np.array([prod(shape) for shape in inputs], np.int64)
        self.inputs = tuple(
            Tensor(self._full(-1 - i), self._full(self._shape_id(shape))) for i, shape in enumerate(inputs)
        )

    @property
    def input(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    def shapes_of(self, x: Tensor) -> list[Shape]:
        """The shape of a tensor in each network."""
        known = list(self._shapes)
        return [known[i] for i in x.shape]

    def channels(self, x: Tensor) -> I64:
        """Channels of an image, features of a sequence, (N,)."""
        return np.array([channels_of(shape) for shape in self._shapes], np.int64)[x.shape]

    # Operators, as in Builder.

    def conv(
        self,
        x: Tensor,
        out_channels: I64 | int,
        kernel: I64 | int,
        *,
        stride: I64 | int = 1,
        groups: I64 | int = 1,
        dilation: I64 | int = 1,
        bias: bool = False,
        bits: I64 | int | None = None,
        present: Mask | None = None,
    ) -> Tensor:
        """Convolution with a square kernel and 'same' padding; depthwise where `groups` are the channels."""

        def make(out_channels: int, kernel: int, stride: int, groups: int, dilation: int) -> Operator:
            return Conv2d.square(out_channels, kernel, stride=stride, groups=groups, dilation=dilation, bias=bias)

        return self.add(make, x, columns=(out_channels, kernel, stride, groups, dilation), bits=bits, present=present)

    def norm(self, x: Tensor, *, bits: I64 | int | None = None, present: Mask | None = None) -> Tensor:
        """Batch normalisation."""
        return self.add(lambda: Norm("batch"), x, bits=bits, present=present)

    def activation(
        self,
        x: Tensor,
        function: ActivationName = "relu",
        *,
        bits: I64 | int | None = None,
        present: Mask | None = None,
    ) -> Tensor:
        return self.add(lambda: Activation(function), x, bits=bits, present=present)

    def pool(self, x: Tensor, operator: Pool2d, *, present: Mask | None = None) -> Tensor:
        return self.add(lambda: operator, x, present=present)

    def linear(self, x: Tensor, features: I64 | int, *, bias: bool = True, present: Mask | None = None) -> Tensor:
        """A linear layer over the last axis."""
        return self.add(lambda features: Linear(features, bias), x, columns=(features,), present=present)

    def flatten(self, x: Tensor) -> Tensor:
        """One axis of features behind the batch."""
        used, index = np.unique(x.shape, return_inverse=True)
        known = list(self._shapes)
        flat = [self._shape_id((known[i][0], prod(known[i][1:]))) for i in used.tolist()]
        return x._replace(shape=np.array(flat, np.int64)[index])

    def concat(self, operands: Sequence[Tensor], *, axis: int = 1, present: Mask | None = None) -> Tensor:
        """All operands joined along one axis."""
        return self.add(lambda: Concat(axis), *operands, present=present)

    def scale(self, x: Tensor, gate: Tensor, *, present: Mask | None = None) -> Tensor:
        """`x` times a gate that broadcasts."""
        return self.add(lambda: Elementwise("mul"), x, gate, present=present)

    def squeeze_excite(
        self,
        x: Tensor,
        squeeze_channels: I64 | int,
        *,
        inner: ActivationName = "relu",
        gate: ActivationName = "sigmoid",
        present: Mask | None = None,
    ) -> Tensor:
        """As `Builder.squeeze_excite`; `x` passes where it is not present."""
        y = self.pool(x, Pool2d("avg"), present=present)
        y = self.conv(y, squeeze_channels, 1, bias=True, present=present)
        y = self.activation(y, inner, present=present)
        y = self.conv(y, self.channels(x), 1, bias=True, present=present)
        return self.scale(x, self.activation(y, gate, present=present), present=present)

    def sum(self, contributions: list[Tensor]) -> Tensor:
        """Binary additions over the contributions that are there; a tensor of zeros where none is."""
        total = contributions[0]
        for term in contributions[1:]:
            left, right = self._operand(total), self._operand(term)
            both = (left.producer != _ABSENT) & (right.producer != _ABSENT)
            # Where one of them is missing the addition is not placed: any shape that fits will do.
            shape = np.where(left.producer == _ABSENT, right.shape, left.shape)
            added = self.add(
                lambda: Elementwise("add"),
                left._replace(shape=shape),
                right._replace(shape=np.where(both, right.shape, shape)),
                present=both,
            )
            only_right = left.producer == _ABSENT
            producer = np.where(both, added.producer, np.where(only_right, right.producer, left.producer))
            total = Tensor(producer, np.where(both, added.shape, shape))
        producer = np.where(total.producer == _ABSENT, _VOID, total.producer)
        return total._replace(producer=producer)

    def only(self, x: Tensor, present: Mask) -> Tensor:
        """`x` where `present`, no tensor elsewhere."""
        return x._replace(producer=np.where(present, x.producer, _ABSENT))

    def select(self, condition: Mask, x: Tensor, y: Tensor) -> Tensor:
        """`x` where the condition holds, `y` elsewhere."""
        return Tensor(*(np.where(condition, a, b) for a, b in zip(x, y, strict=True)))

    def add(
        self,
        make: Callable[..., Operator],
        *operands: Tensor,
        columns: Sequence[I64 | int] = (),
        bits: I64 | int | None = None,
        present: Mask | None = None,
    ) -> Tensor:
        """Place an operator in every network, or where `present` holds; elsewhere the first operand passes through.

        Parameters
        ----------
        make : parameters of one network -> its operator, of one class for all of them. columns : those parameters,
            (N,) each or one number for all. bits : of weights and activations, (N,) or one number.

        Raises
        ------
        SpecError : zeros where the operator needs their shape and dead branches are dropped.
        """
        widths: I64 | int = 0 if bits is None else bits
        made, index = self._distinct(make, [x.shape for x in operands], [*columns, widths], present)
        rows = np.array([one.row for one in made] or [-1], np.int64)[index]
        shape = np.array([one.shape for one in made] or [0], np.int64)[index]
        first = operands[0]
        if made and made[0].operator.is_view:
            there = np.ones(self.n, bool) if present is None else present
            return Tensor(first.producer, np.where(there, shape, first.shape))
        return self._place(made[0].operator if made else None, rows, operands, shape, present)

    # Placing.

    def _full(self, value: I64 | int) -> I64:
        return np.broadcast_to(np.asarray(value, np.int64), (self.n,))

    def _shape_id(self, shape: Shape) -> int:
        return self._shapes.setdefault(shape, len(self._shapes))

    def _operand(self, x: Tensor) -> Tensor:
        """A dropped zero operand vanishes from a sum."""
        if not self.semantics.drop_dead_branches:
            return x
        return x._replace(producer=np.where(x.producer == _VOID, _ABSENT, x.producer))

    def _distinct(
        self,
        make: Callable[..., Operator],
        shapes: Sequence[I64],
        columns: Sequence[I64 | int],
        present: Mask | None,
    ) -> tuple[list[_Made], I64]:
        """What each distinct combination of shapes and parameters gives, and which of them a network has.

        Combinations that are in no network are not made: they need not fit. The last column is the bits.
        """
        varying = [*shapes, *(column for column in columns if not isinstance(column, int))]
        first, index = _first_of_each(self.n, varying)
        if present is not None:
            in_use = np.zeros(first.size, np.bool_)
            in_use[index[present]] = True
            first, index = first[in_use], np.maximum(np.cumsum(in_use) - 1, 0)[index]
        known, made = list(self._shapes), []
        for i in first.tolist():
            sources = tuple(known[int(shape[i])] for shape in shapes)
            *values, bits = (column if isinstance(column, int) else int(column[i]) for column in columns)
            made.append(self._make(make(*values), sources, bits))
        return made, index

    def _make(self, operator: Operator, sources: tuple[Shape, ...], bits: int) -> _Made:
        try:
            output = operator.infer(*sources)
        except (ValueError, IndexError, ArithmeticError) as error:
            raise SpecError("network", error, "a valid layer") from None
        row = -1
        if not operator.is_view:
            bare = operator.row(sources, output)._replace(**self._widths(bits)._asdict())
            row = self._rows.setdefault(bare, len(self._rows))
        return _Made(operator, row, self._shape_id(output))

    def _widths(self, bits: int) -> Precision:
        """0 stands for the graph's own precision."""
        return self.precision if bits == 0 else self.precision._replace(weight_bits=bits, activation_bits=bits)

    def _place(
        self, operator: Operator | None, rows: I64, sources: Sequence[Tensor], shape: I64, present: Mask | None
    ) -> Tensor:
        """Append a slot; where it is not present the first source passes through."""
        there = np.ones(self.n, bool) if present is None else present
        first = sources[0]
        slot = len(self._slots)
        producer = np.where(there, slot, first.producer)
        runs = there
        if self.semantics.drop_dead_branches and operator is not None:
            runs = there & self._fed(operator, sources, there)
            producer = np.where(there & ~runs, _VOID, producer)
        self._slots.append(_Slot(operator, np.where(runs, rows, -1), [source.producer for source in sources]))
        return Tensor(producer, np.where(there, shape, first.shape))

    def _fed(self, operator: Operator, sources: Sequence[Tensor], there: Mask) -> Mask:
        """Where an operator is no constant zero, (N,), by `zero_rule`."""
        fed = [source.producer > _VOID for source in sources]
        if len(fed) == 1:
            return fed[0]
        live = np.sum(fed, axis=0)
        rules = [zero_rule(operator, live=count, operands=len(fed)) for count in range(len(fed))]
        if (there & np.array([rule == "kept" for rule in rules] + [False])[live]).any():
            raise SpecError(type(operator).__name__, "an operand of zeros", "lowered graph by graph")
        runs: Mask = ~np.array([rule == "zero" for rule in rules] + [False])[live]
        return runs

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
        activated = np.zeros(rows.shape, bool)
        hosts: dict[Operator, Mask] = {}
        for s, place in enumerate(self._slots):
            guest = place.operator
            if not isinstance(guest, Norm | Activation):
                continue
            if guest not in hosts:
                hosts[guest] = np.array([at.operator is not None and absorbs(at.operator, guest) for at in self._slots])
            is_host, source = hosts[guest], place.sources[0]
            who = np.flatnonzero((rows[s] >= 0) & (source >= 0))
            who = who[consumers[source[who], who] == 1]
            host = stands_for[source[who], who]
            joins = is_host[host] & ~activated[host, who]
            who, host = who[joins], host[joins]
            rows[s, who] = -1
            stands_for[s, who] = host
            (activated if isinstance(guest, Activation) else biased)[host, who] = True

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
            reads_input[slot] |= (source < 0) & (source > _VOID)
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
            _VOID,
        )
        return LayerTable(layers, Networks(*networks), names or tuple(map(str, range(self.n))))


def _first_of_each(n: int, columns: Sequence[I64]) -> tuple[I64, I64]:
    """Distinct combinations of column values: one network that has each, and which of them a network has, (N,)."""
    low = [int(column.min()) if n else 0 for column in columns]
    radix = [(int(column.max()) if n else 0) - least + 1 for column, least in zip(columns, low, strict=True)]
    code = np.zeros(n, np.int64)
    for column, least, base in zip(columns, low, radix, strict=True):
        code = code * base + (column - least)
    table_size = prod(radix)
    if table_size > 4 * n + 1024:
        _, first, index = np.unique(code, return_index=True, return_inverse=True)
        return first, index
    position = np.full(table_size, -1, np.int64)
    position[code] = np.arange(n)
    in_use = np.flatnonzero(position >= 0)
    number = np.zeros(table_size, np.int64)
    number[in_use] = np.arange(in_use.size)
    return position[in_use], number[code]


def _variant(row: Row, code: int) -> Row:
    """A row with its flags: reads the network input (4), makes the output (2), has a folded norm (1)."""
    bias = row.out_channels if code & 1 and row.parameters == row.weight_elements else 0
    return row._replace(input_offchip=(code >> 2) & 1, output_offchip=(code >> 1) & 1, parameters=row.parameters + bias)


@cached_njit()
def _ragged(
    ids: npt.NDArray[np.int32],
    edge_slot: I64,
    sources: npt.NDArray[np.int32],
    stands_for: npt.NDArray[np.int32],
    output: I64,
    output_elements: I64,
    input_elements: I64,
    void: int,
) -> tuple[I64, I64, I64, I64, I64, I64]:
    """Slots to the six columns of `Networks`.

    Parameters
    ----------
    ids : (N, S) row of each slot, -1 where it is empty. edge_slot : (E,) slot that reads; sources : (N, E) producer
        that it reads: a slot, the i-th input as -1 - i, or nothing at `void` and below. stands_for : (N, S) the slot
        that a folded one joined. output : (N,) slot of the output. input_elements : of each network input.
    """
    n, n_slots = ids.shape
    n_edges = edge_slot.size
    sequence_start, edge_start = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for i in range(n):
        layers = 0
        for s in range(n_slots):
            layers += ids[i, s] >= 0
        read = 1 if output[i] > void else 0
        for e in range(n_edges):
            read += ids[i, edge_slot[e]] >= 0 and sources[i, e] > void
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
            if producer <= void or (not leaving and ids[i, edge_slot[e]] < 0):
                continue
            origin = np.int64(stands_for[i, producer]) if producer >= 0 else np.int64(-1)
            source[here] = position[origin] if origin >= 0 else producer
            destination[here] = -1 if leaving else position[edge_slot[e]]
            elements[here] = output_elements[ids[i, origin]] if origin >= 0 else input_elements[-1 - producer]
            here += 1
    return sequence, sequence_start, source, destination, elements, edge_start
