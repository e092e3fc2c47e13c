"""Memory of a network: weights, keys and values kept, and peak activations by liveness over the execution order.

A tensor lives from the layer that makes it to its last consumer; while a layer runs, its inputs and its output are
live together. In-place operators, tiling and allocator fragmentation are not modelled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from hwmodels.workload.ops import Kind
from hwmodels.workload.table import I64, LayerTable

__all__ = ["kv_cache_bytes", "peak_activation_bytes", "weight_bytes"]

F64 = npt.NDArray[np.float64]


def weight_bytes(table: LayerTable) -> F64:
    """Bytes of all stored parameters at their layers' weight bits, (N,)."""
    return _sum_bits(table, table.layers.parameters * table.layers.weight_bits) / 8.0


def kv_cache_bytes(table: LayerTable) -> F64:
    """Bytes of the keys and values kept for the next token, past and new ones, (N,) per batch.

    They stay between two runs of the network, so they are not among the activations that live during one.
    """
    layers = table.layers
    kept = layers.batch * layers.out_channels * layers.out_h * (layers.kind == Kind.CACHE)
    return _sum_bits(table, kept * layers.activation_bits) / 8.0


def _sum_bits(table: LayerTable, bits: I64) -> F64:
    """Sum of a column over each network's layers, (N,)."""
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(bits[table.networks.sequence])])
    total: F64 = np.diff(running[table.networks.sequence_start]).astype(np.float64)
    return total


def peak_activation_bytes(table: LayerTable) -> F64:
    """Largest sum of live activations over the execution order, (N,) bytes per batch."""
    networks = table.networks
    peak: F64 = _peak_bits(
        networks.sequence,
        networks.sequence_start,
        networks.edge_source,
        networks.edge_destination,
        networks.edge_elements,
        networks.edge_start,
        table.layers.output_elements,
        table.layers.activation_bits,
    )
    return peak / 8.0


@njit(cache=True, nogil=True, error_model="numpy")
def _peak_bits(
    sequence: I64,
    sequence_start: I64,
    edge_source: I64,
    edge_destination: I64,
    edge_elements: I64,
    edge_start: I64,
    output_elements: I64,
    activation_bits: I64,
) -> F64:
    """peak = max over steps t of the sum of bits of tensors with made <= t <= last use."""
    n_networks = sequence_start.size - 1
    longest = 0
    for network in range(n_networks):
        longest = max(longest, sequence_start[network + 1] - sequence_start[network])
    n_inputs = max(int(-np.min(edge_source)), 1) if edge_source.size else 1
    input_bits, input_last = np.zeros(n_inputs), np.zeros(n_inputs, np.int64)
    last_use = np.empty(longest, np.int64)
    change = np.empty(longest + 1, np.float64)
    peak = np.zeros(n_networks)
    for network in range(n_networks):
        base, steps = sequence_start[network], sequence_start[network + 1] - sequence_start[network]
        last_use[:steps] = np.arange(steps)
        change[: steps + 1] = 0.0
        input_bits[:] = 0.0
        input_last[:] = -1
        for e in range(edge_start[network], edge_start[network + 1]):
            source, destination = edge_source[e], edge_destination[e]
            step = destination if destination >= 0 else steps - 1
            if source >= 0:
                last_use[source] = max(last_use[source], step)
            elif destination >= 0:
                # An input read twice is one tensor.
                which, bits = -1 - source, edge_elements[e] * activation_bits[sequence[base + destination]]
                input_bits[which] = max(input_bits[which], float(bits))
                input_last[which] = max(input_last[which], step)
        for which in range(n_inputs):
            if input_last[which] >= 0:
                change[0] += input_bits[which]
                change[input_last[which] + 1] -= input_bits[which]
        for step in range(steps):
            row = sequence[base + step]
            bits = float(output_elements[row] * activation_bits[row])
            change[step] += bits
            change[last_use[step] + 1] -= bits
        live = 0.0
        for step in range(steps):
            live += change[step]
            peak[network] = max(peak[network], live)
    return peak
