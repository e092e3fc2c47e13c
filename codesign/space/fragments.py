"""Lowering by fragments: networks that are chains of few kinds of parts, joined from parts lowered once.

A fragment is a piece of a network between two tensors: a stem, a block, a tail. What it costs depends on the shape that
enters and on the choice of its place alone, so a batch of a hundred thousand networks has some hundred distinct
fragments. Each is built as a graph and rewritten as the runtime does, once; a network is then its fragments' rows and
edges one after the other. That equals the network built and rewritten as a whole, provided that nothing is fused across
a boundary: a fragment never begins with a batch normalisation or an activation, and carries no constant zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.kernel_cache import cached_njit
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Conv2d, Precision, Rearrange, Row, Shape
from hwmodels.workload.rewrite import Semantics, absorbs, rewrite
from hwmodels.workload.table import LayerTable, Networks, RowBank, layer_table

__all__ = ["Fragment", "FragmentChain"]

I64 = npt.NDArray[np.int64]
_BOUNDARY = -(1 << 20)
"""In place of a producer: the tensor that enters a fragment."""


class Fragment(NamedTuple):
    """A piece of a network as it is executed.

    rows : its layers in order. edges : (producer, consumer, elements), local positions, `_BOUNDARY` for the tensor that
    enters, -1 - i for the i-th network input; consumer -1 is a network output. output : the row that makes the tensor
    that leaves, or `_BOUNDARY`. shape : of that tensor.
    """

    rows: tuple[Row, ...]
    edges: tuple[tuple[int, int, int], ...]
    output: int
    shape: Shape


class FragmentChain:
    """N networks under construction, a fragment at a time.

    Parameters
    ----------
    n : networks. input_shape : batch first. known : fragments made before, by runtime and key; it grows.
    """

    def __init__(
        self,
        n: int,
        input_shape: Shape,
        *,
        precision: Precision,
        semantics: Semantics,
        known: dict[Hashable, Fragment],
    ) -> None:
        self.n, self.precision, self.semantics, self._known = n, precision, semantics, known
        self._shapes: list[Shape] = [input_shape]
        self._shape = np.zeros(n, np.int64)
        self._used: list[Fragment] = []
        self._ids: list[I64] = []
        self._is_first = True

    def channels(self) -> I64:
        """Channels of the tensor that leaves so far, features of a sequence, (N,)."""
        return np.array([shape[1] if len(shape) == 4 else shape[-1] for shape in self._shapes], np.int64)[self._shape]

    def append(
        self, place: Hashable, build: Callable[..., str], *columns: I64 | npt.NDArray[np.float64], last: bool = False
    ) -> None:
        """Put a fragment behind every network.

        Parameters
        ----------
        place : together with the shape that enters and the values of the columns it says what is built.
        build : (builder, the tensor that enters, one value of each column) -> the tensor that leaves. columns : (N,).
        last : whether the network ends here.
        """
        first, index = _distinct([self._shape, *columns])
        ids, leaving = np.empty(first.size, np.int64), np.empty(first.size, np.int64)
        numbers = {shape: i for i, shape in enumerate(self._shapes)}
        for i, at in enumerate(first.tolist()):
            entering = self._shapes[int(self._shape[at])]
            values = tuple(column[at].item() for column in columns)
            key = (self.semantics, self.precision, place, entering, values, self._is_first, last)
            if key not in self._known:
                self._known[key] = self._made(build, entering, values, last)
            fragment = self._known[key]
            ids[i] = len(self._used)
            self._used.append(fragment)
            leaving[i] = numbers.setdefault(fragment.shape, len(numbers))
        self._shapes = list(numbers)
        self._shape, self._is_first = leaving[index], False
        self._ids.append(ids[index])

    def _made(
        self, build: Callable[..., str], entering: Shape, values: tuple[int | float, ...], last: bool
    ) -> Fragment:
        """One fragment: a graph, rewritten; what enters stands behind a copy that is taken out again."""
        net = Builder("fragment", entering, precision=self.precision)
        source = net.input if self._is_first else net.add(Rearrange("boundary", entering), net.input)
        output = build(net, source, *values)
        workload = net.finish(output)
        begins = [node.operator for node in workload if source in node.inputs]
        if not self._is_first and any(absorbs(Conv2d.square(1, 1), operator) for operator in begins):
            raise SpecError("fragment", type(begins[0]).__name__, "no batch normalisation or activation first")
        table = layer_table([rewrite(workload, self.semantics)])
        skipped = 0 if self._is_first else 1
        rows = [table.layers.row(int(i)) for i in table.rows_of(0)]
        edges = [(int(s), int(d), int(e)) for s, d, e in table.edges(0)]
        if skipped and (not rows or edges[0][:2] != (-1, 0)):  # nothing but views
            skipped = 0
        makers = {s for s, d, _ in edges if d == -1}
        if len(makers) != 1:
            raise SpecError("fragment", f"{len(makers)} layers make its output", "one")
        local = {s: s - skipped if s >= skipped else (_BOUNDARY if skipped and s == 0 else s) for s, _, _ in edges}
        kept = [(local[s], d - skipped if d >= 0 else -1, e) for s, d, e in edges if d != 0 or not skipped]
        if not last:
            kept = [edge for edge in kept if edge[1] >= 0]
            rows = [row._replace(output_offchip=0) for row in rows]
        return Fragment(tuple(rows[skipped:]), tuple(kept), local[makers.pop()], workload[output].shape)

    def finish(self, names: Sequence[str] = ()) -> LayerTable:
        """The networks as a table."""
        bank = RowBank()
        rows = [[bank.id(row) for row in fragment.rows] for fragment in self._used]
        edges = [edge for fragment in self._used for edge in fragment.edges]
        networks = _joined(
            np.ascontiguousarray(np.stack(self._ids, axis=1)),
            np.array([row for part in rows for row in part], np.int64),
            _starts([len(part) for part in rows]),
            np.array(edges, np.int64).reshape(-1, 3),
            _starts([len(fragment.edges) for fragment in self._used]),
            np.array([fragment.output for fragment in self._used], np.int64),
            _BOUNDARY,
        )
        return LayerTable(bank.layers(), Networks(*networks), tuple(names) or tuple(map(str, range(self.n))))


def _starts(sizes: Sequence[int]) -> I64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])


def _distinct(columns: Sequence[npt.NDArray[np.generic]]) -> tuple[I64, I64]:
    """Distinct rows of some columns: one place that has each, and which of them every place has, (N,)."""
    code = np.zeros(columns[0].size, np.int64)
    for column in columns:
        values, index = _levels(column)
        code = code * values + index
        values, code = _levels(code)
    first = np.full(int(code.max(initial=-1)) + 1, -1, np.int64)
    first[code[::-1]] = np.arange(code.size - 1, -1, -1)  # of equal codes the first is written last
    return first, code


def _levels(column: npt.NDArray[np.generic]) -> tuple[int, I64]:
    """How many distinct values a column has, and which of them each place has."""
    if column.dtype.kind in "ib" and column.size:
        low, high = int(column.min()), int(column.max())
        if high - low <= 4 * column.size + 1024:
            shifted = column.astype(np.int64) - low
            present = np.bincount(shifted, minlength=high - low + 1) > 0
            number = np.cumsum(present) - 1
            return int(present.sum()), number[shifted]
    values, index = np.unique(column, return_inverse=True)
    return values.size, index.reshape(-1).astype(np.int64)


@cached_njit()
def _joined(
    ids: I64, rows: I64, row_start: I64, edges: I64, edge_start: I64, outputs: I64, boundary: int
) -> tuple[I64, I64, I64, I64, I64, I64]:
    """Fragments one after the other, as the six columns of `Networks`.

    Parameters
    ----------
    ids : (N, K) the fragments of each network. rows, row_start : rows of each fragment, ragged. edges : (E, 3) local
        producer, consumer and elements, edge_start : theirs. outputs : (F,) the local row that makes what leaves.
    """
    n, places = ids.shape
    sequence_start, starts = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for i in range(n):
        layers, read = 0, 0
        for k in range(places):
            f = ids[i, k]
            layers += row_start[f + 1] - row_start[f]
            read += edge_start[f + 1] - edge_start[f]
        sequence_start[i + 1], starts[i + 1] = sequence_start[i] + layers, starts[i] + read
    sequence = np.empty(sequence_start[n], np.int64)
    source, destination = np.empty(starts[n], np.int64), np.empty(starts[n], np.int64)
    elements = np.empty(starts[n], np.int64)
    for i in range(n):
        base, entering, out = 0, np.int64(-1), starts[i]
        for k in range(places):
            f = ids[i, k]
            for j in range(row_start[f], row_start[f + 1]):
                sequence[sequence_start[i] + base + j - row_start[f]] = rows[j]
            for j in range(edge_start[f], edge_start[f + 1]):
                producer, consumer = edges[j, 0], edges[j, 1]
                if producer == boundary:
                    source[out] = entering
                else:
                    source[out] = producer + base if producer >= 0 else producer
                destination[out] = consumer + base if consumer >= 0 else -1
                elements[out] = edges[j, 2]
                out += 1
            if outputs[f] != boundary:
                entering = outputs[f] + base
            base += row_start[f + 1] - row_start[f]
    return sequence, sequence_start, source, destination, elements, starts
