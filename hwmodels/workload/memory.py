"""Memory of a network: weights, keys and values kept, and peak activations by liveness over the execution order.

A tensor lives from the layer that makes it to its last consumer; while a layer runs, its inputs and its output are
live together. In-place operators, tiling and allocator fragmentation are not modelled.
"""

from __future__ import annotations

from functools import reduce
from math import prod
from operator import mul

import numpy as np
import numpy.typing as npt

from hwmodels.kernel_cache import cached_njit
from hwmodels.workload.ops import Kind
from hwmodels.workload.table import I64, LayerTable, Networks, network_sums

__all__ = ["kv_cache_bytes", "live_activation_bytes", "peak_activation_bytes", "weight_bytes"]

F64 = npt.NDArray[np.float64]


def weight_bytes(table: LayerTable) -> F64:
    """Bytes of all stored parameters at their layers' weight bits, (N,)."""
    return _sum_bits(table, table.layers.parameters, table.layers.weight_bits) / 8.0


def kv_cache_bytes(table: LayerTable) -> F64:
    """Bytes of the keys and values kept for the next token, past and new ones, (N,) per batch.

    They stay between two runs of the network, so they are not among the activations that live during one.
    """
    layers = table.layers
    tokens = layers.out_h * (layers.kind == Kind.CACHE)
    return _sum_bits(table, tokens, layers.batch, layers.out_channels, layers.activation_bits) / 8.0


def _sum_bits(table: LayerTable, *factors: I64) -> F64:
    """Sum of a product of columns over each network's layers, (N,); in Python's integers where int64 ends."""
    largest = prod(float(column.max(initial=0)) for column in factors)
    if largest >= 2.0**62:
        factors = tuple(column.astype(object) for column in factors)
    bits = reduce(mul, factors)
    return network_sums(table.networks, bits).astype(np.float64)


def peak_activation_bytes(table: LayerTable) -> F64:
    """Largest sum of live activations over the execution order, (N,) bytes per batch."""
    peak: F64 = _peak_bits(table.networks, table.layers.output_elements, table.layers.activation_bits)
    return peak / 8.0


def live_activation_bytes(table: LayerTable, network: int = 0) -> F64:
    """Live activations while each layer of one network runs, (S,) bytes per batch in execution order.

    >>> from hwmodels.workload.table import layer_table
    >>> from hwmodels.workload.zoo import network
    >>> table = layer_table([network("resnet18")])
    >>> float(live_activation_bytes(table).max()) == float(peak_activation_bytes(table)[0])
    True
    """
    steps = table.rows_of(network).size
    live = np.zeros(steps)
    _live_bits(network, table.networks, table.layers.output_elements, table.layers.activation_bits, live)
    return live / 8.0


@cached_njit(error_model="numpy")
def _peak_bits(networks: Networks, output_elements: I64, activation_bits: I64) -> F64:
    """The largest of each network's live bits."""
    start = networks.sequence_start
    peak = np.zeros(start.size - 1)
    longest = 0
    for network in range(peak.size):
        longest = max(longest, start[network + 1] - start[network])
    live = np.empty(longest)
    for network in range(peak.size):
        steps = start[network + 1] - start[network]
        _live_bits(network, networks, output_elements, activation_bits, live)
        for step in range(steps):
            peak[network] = max(peak[network], live[step])
    return peak


@cached_njit(error_model="numpy")
def _live_bits(network: int, networks: Networks, output_elements: I64, activation_bits: I64, live: F64) -> None:
    """live[t] = sum of the bits of tensors with made <= t <= last use, at each step t of one network."""
    base = networks.sequence_start[network]
    steps = networks.sequence_start[network + 1] - base
    edges = slice(networks.edge_start[network], networks.edge_start[network + 1])
    source, destination = networks.edge_source[edges], networks.edge_destination[edges]
    elements = networks.edge_elements[edges]
    n_inputs = max(int(-np.min(source)), 1) if source.size else 1
    input_bits, input_last = np.zeros(n_inputs), np.full(n_inputs, -1)
    last_use = np.arange(steps)
    change = np.zeros(steps + 1)
    for e in range(source.size):
        step = destination[e] if destination[e] >= 0 else steps - 1
        if source[e] >= 0:
            last_use[source[e]] = max(last_use[source[e]], step)
        elif destination[e] >= 0:
            # An input read twice is one tensor.
            which = -1 - source[e]
            bits = float(elements[e]) * activation_bits[networks.sequence[base + destination[e]]]
            input_bits[which] = max(input_bits[which], bits)
            input_last[which] = max(input_last[which], step)
    for which in range(n_inputs):
        if input_last[which] >= 0:
            change[0] += input_bits[which]
            change[input_last[which] + 1] -= input_bits[which]
    for step in range(steps):
        row = networks.sequence[base + step]
        bits = float(output_elements[row]) * activation_bits[row]
        change[step] += bits
        change[last_use[step] + 1] -= bits
    total = 0.0
    for step in range(steps):
        total += change[step]
        live[step] = total
