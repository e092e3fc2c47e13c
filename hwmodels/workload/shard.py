"""Networks in shares: what one of several equal devices runs of each layer, and what they exchange behind it.

Shares of the batch: each device runs the whole network on ceil(batch / d) items.

Shares of the layers [Shoeybi et al., arXiv:1909.08053]: a product whose outputs are split (a column share) hands its
part to layers that treat channels or heads apart, until a product that sums over them takes its part of the reduction
(a row share) and the sums are added over the devices (all-reduce). Such a region is found in the graph: every layer
between the two ends treats channels apart, and nothing else reads or feeds it. Every other product splits its outputs,
which are gathered behind it; what is not split runs on every device, normalisation over channels and sums of residual
branches among it. The largest share is what is costed: sizes round up, and sizes that do not divide split no region.

Not modelled: halos of split images, shares of unequal size, experts and sequences in shares (`multigpu` has both for
transformers), embeddings by vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.workload.ops import Kind
from hwmodels.workload.table import I64, Layers, LayerTable

__all__ = ["Sharded", "batch_share", "shard"]

F64 = npt.NDArray[np.float64]

_WHOLE, _COLUMN, _ROW, _GATHERED, _APART = range(5)
"""What a device runs of a layer: all of it; its outputs' share; its reduction's share; a column share that is gathered;
its channels' or heads' share."""

_CHANNELS_APART = (
    Kind.ACTIVATION, Kind.POOL, Kind.ELEMENTWISE, Kind.COPY, Kind.RESAMPLE, Kind.CACHE, Kind.ATTENTION, Kind.MATMUL,
    Kind.SOFTMAX,
)  # fmt: skip
"""Layers between two products that treat channels, or heads with all their channels, apart. A softmax stands between
the two products of attention there."""
_BY_HEADS = (Kind.ATTENTION, Kind.MATMUL)


class Sharded(NamedTuple):
    """What one device runs, and the collectives behind its layers.

    table : the networks of one device, in the order of the given table. position : (E,) places in the flat sequence
    behind which devices exchange, rising. gathers : (E,) whether they gather (else they add). size_bytes : (E,) the
    whole tensor. kept : the layers of `table` with outputs as they lie in memory behind a gather.
    """

    table: LayerTable
    position: I64
    gathers: npt.NDArray[np.bool_]
    size_bytes: F64
    kept: Layers


def _ceil(values: I64, parts: int) -> I64:
    found: I64 = -(-values // parts)
    return found


def batch_share(layers: Layers, shares: int) -> Layers:
    """The layers on ceil(batch / shares) items; at least one.

    >>> from hwmodels.workload.table import layer_table
    >>> from hwmodels.workload.zoo import network
    >>> layers = layer_table([network("resnet18", batch=8)]).layers
    >>> int(batch_share(layers, 4).macs.sum()) * 4 == int(layers.macs.sum())
    True
    """
    if shares == 1:
        return layers
    batch = np.maximum(layers.batch, 1)
    mine = _ceil(batch, shares)

    def share(values: I64) -> I64:
        # Two steps, so that no product leaves int64.
        whole, rest = np.divmod(values, batch)
        found: I64 = whole * mine + -(-rest * mine // batch)
        return found

    by_heads = np.isin(layers.kind, _BY_HEADS) & (layers.groups % batch == 0)
    m = np.where(by_heads, layers.m, share(layers.m))
    groups = np.where(by_heads, share(layers.groups), layers.groups)
    dynamic = layers.dynamic_operand == 1
    return layers._replace(
        batch=mine, m=m, groups=groups,
        in_channels=np.where(by_heads, share(layers.in_channels), layers.in_channels),
        out_channels=np.where(by_heads, share(layers.out_channels), layers.out_channels),
        macs=groups * m * layers.n * layers.k * layers.sequential_steps,
        vector_ops=share(layers.vector_ops), input_elements=share(layers.input_elements),
        output_elements=share(layers.output_elements),
        weight_elements=np.where(dynamic, share(layers.weight_elements), layers.weight_elements),
    )  # fmt: skip


def _columns(layers: Layers, parts: int) -> Layers:
    """Every product with its share of the outputs."""
    n = _ceil(layers.n, parts)
    return layers._replace(
        n=n, out_channels=_ceil(layers.out_channels, parts), macs=layers.groups * layers.m * n * layers.k
        * layers.sequential_steps, weight_elements=_ceil(layers.weight_elements, parts),
        parameters=_ceil(layers.parameters, parts), output_elements=_ceil(layers.output_elements, parts),
        vector_ops=_ceil(layers.vector_ops, parts),
    )  # fmt: skip


def _rows(layers: Layers, parts: int) -> Layers:
    """Every product with its share of the reduction; a bias is whole on every device."""
    window = np.where(layers.kind == Kind.CONV, layers.kernel_h * layers.kernel_w, 1)
    k = _ceil(layers.k // window, parts) * window
    weights = _ceil(layers.weight_elements, parts)
    return layers._replace(
        k=k, in_channels=_ceil(layers.in_channels, parts), macs=layers.groups * layers.m * layers.n * k
        * layers.sequential_steps, weight_elements=weights, input_elements=_ceil(layers.input_elements, parts),
        parameters=np.where(layers.parameters > 0, weights + layers.parameters - layers.weight_elements, 0),
    )  # fmt: skip


def _apart(layers: Layers, parts: int) -> Layers:
    """Every layer with its share of channels or heads."""
    in_groups = np.isin(layers.kind, _BY_HEADS) | (layers.groups > 1)
    groups = np.where(in_groups, _ceil(layers.groups, parts), layers.groups)
    return layers._replace(
        groups=groups, in_channels=_ceil(layers.in_channels, parts), out_channels=_ceil(layers.out_channels, parts),
        macs=groups * layers.m * layers.n * layers.k * layers.sequential_steps,
        weight_elements=_ceil(layers.weight_elements, parts), parameters=_ceil(layers.parameters, parts),
        input_elements=_ceil(layers.input_elements, parts), output_elements=_ceil(layers.output_elements, parts),
        vector_ops=_ceil(layers.vector_ops, parts),
    )  # fmt: skip


def _is_product(layers: Layers) -> npt.NDArray[np.bool_]:
    """Products with stored weights that are no depthwise or grouped convolutions and no steps of a recurrence."""
    product = np.isin(layers.kind, (Kind.CONV, Kind.LINEAR)) & (layers.macs > 0)
    found: npt.NDArray[np.bool_] = product & (layers.groups == 1) & (layers.sequential_steps == 1)
    return found


def _passes(layers: Layers, parts: int) -> npt.NDArray[np.bool_]:
    """Layers that can run on their share of channels or heads: every device gets as many."""
    heads = np.where(np.isin(layers.kind, _BY_HEADS), layers.groups // np.maximum(layers.batch, 1), layers.groups)
    depthwise = (layers.kind == Kind.CONV) & (layers.groups == layers.in_channels) & (layers.groups > 1)
    even = np.where(np.isin(layers.kind, _BY_HEADS) | depthwise, heads % parts == 0, True)
    found: npt.NDArray[np.bool_] = (np.isin(layers.kind, _CHANNELS_APART) | depthwise) & even
    return found


def _roles(parents: Sequence[list[int]], children: Sequence[list[int]], product: list[bool], passes: list[bool],
           even_in: list[bool], even_out: list[bool]) -> list[int]:  # fmt: skip
    """What a device runs of each layer of one network."""
    roles = [_WHOLE] * len(parents)
    for last in range(len(parents)):
        if not (product[last] and even_in[last]):
            continue
        region, first = _region(last, parents, product, passes)
        inside = {*region, *first, last}
        closed = all(set(children[at]) <= inside for at in (*region, *first))
        if first and closed and all(even_out[at] and roles[at] == _WHOLE for at in first):
            for at in region:
                roles[at] = _APART
            for at in first:
                roles[at] = _COLUMN
            roles[last] = _ROW
    return [
        _GATHERED if role == _WHOLE and product[at] and even_out[at] else role for at, role in enumerate(roles)
    ]  # fmt: skip


def _region(
    last: int, parents: Sequence[list[int]], product: list[bool], passes: list[bool]
) -> tuple[set[int], set[int]]:
    """(layers that treat channels apart, products that feed them) before a product; no products where one fails."""
    region: set[int] = set()
    first: set[int] = set()
    waiting = list(parents[last])
    while waiting:
        at = waiting.pop()
        if at < 0:
            return set(), set()
        if at in region or at in first:
            continue
        if product[at]:
            first.add(at)
        elif passes[at]:
            region.add(at)
            waiting.extend(parents[at])
        else:
            return set(), set()
    return region, first


def shard(table: LayerTable, *, batch: int = 1, layers: int = 1) -> Sharded:
    """The networks of one of ``batch x layers`` devices.

    Parameters
    ----------
    batch : shares of the batch. layers : shares of every layer.

    >>> from hwmodels.workload.rewrite import COMPILED, rewrite
    >>> from hwmodels.workload.table import layer_table
    >>> from hwmodels.workload.zoo import network
    >>> half = shard(layer_table([rewrite(network("resnet18"), COMPILED)]), layers=2)
    >>> int((~half.gathers).sum()), int(half.gathers.sum())  # a sum behind each block; stem, projections, classifier
    (8, 5)
    """
    mine = batch_share(table.layers, batch)
    empty = np.zeros(0, np.int64)
    if layers == 1:
        same = table if batch == 1 else LayerTable(mine, table.networks, table.names)
        return Sharded(same, empty, empty.astype(np.bool_), empty.astype(np.float64), mine)
    networks = table.networks
    facts = _facts(mine, layers)
    roles = np.concatenate([*(_network_roles(table, facts, n) for n in range(table.n_networks)), empty])
    column = _columns(mine, layers)
    variants = [mine, column, _rows(mine, layers), column, _apart(mine, layers)]
    outputs = [mine.output_elements, column.output_elements, *[mine.output_elements] * 2, variants[-1].output_elements]
    all_rows = Layers(*(np.concatenate(columns) for columns in zip(*variants, strict=True)))
    size = table.n_layers
    used, place = np.unique(roles * size + networks.sequence, return_inverse=True)
    rows = Layers(*(np.ascontiguousarray(values[used]) for values in all_rows))
    kept = rows._replace(output_elements=np.concatenate(outputs)[used])
    position = np.flatnonzero((roles == _ROW) | (roles == _GATHERED))
    at = networks.sequence[position]
    return Sharded(
        LayerTable(rows, networks._replace(sequence=place.reshape(-1).astype(np.int64)), table.names),
        position, roles[position] == _GATHERED, mine.output_elements[at] * mine.activation_bits[at] / 8.0, kept,
    )  # fmt: skip


def _facts(layers: Layers, parts: int) -> npt.NDArray[np.bool_]:
    """(4, L) of every row: a product, one that treats channels apart, a reduction and outputs that divide."""
    window = np.where(layers.kind == Kind.CONV, layers.kernel_h * layers.kernel_w, 1)
    return np.stack(
        [_is_product(layers), _passes(layers, parts), (layers.k // window) % parts == 0, layers.n % parts == 0]
    )


def _network_roles(table: LayerTable, facts: npt.NDArray[np.bool_], network: int) -> I64:
    """What a device runs of each layer of a network, in order."""
    own = table.rows_of(network)
    size = own.size
    parents: list[list[int]] = [[] for _ in range(size)]
    children: list[list[int]] = [[] for _ in range(size)]
    for source, destination, _ in table.edges(network).tolist():
        if destination >= 0:
            parents[destination].append(source)
        if source >= 0:
            children[source].append(destination)
    product, passes, even_in, even_out = facts[:, own].tolist()
    return np.array(_roles(parents, children, product, passes, even_in, even_out), np.int64)
