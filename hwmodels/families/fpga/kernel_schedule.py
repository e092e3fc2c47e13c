"""When the tiles of a network's layers are done, each layer on an engine of its own: the task graph of FNAS, exactly.

A layer runs J input tiles (Tn channels) into K output tiles (Tm channels) for each of S spatial tiles, in the order of
rows; every task takes ET cycles [Jiang et al., DAC 2019]. Outputs kept: j innermost; inputs kept: k innermost::

    task (s, k, j) waits for the input tile (s, j) and for the task before it
    ready(s, j)  = when the producers' tiles under the window of s, up to channel (j + 1) Tn, are done and transferred
    base(s)      = max(end(s - 1), max over j (ready(s, j) - first(j) ET))        first(j) = j, or j K with inputs kept
    done(s, k)   = base(s) + (k + 1) J ET,  or base(s) + ((J - 1) K + k + 1) ET   end(s) = base(s) + J K ET

Every input tile is met before the first output tile is done, so that this equals the simulation of all tasks, at the
cost of S (J + K) steps a layer instead of S J K. A layer that works channel by channel (depthwise, pooling, sums) waits
for its own channels alone: done(s, k) = max(done(s, k - 1), ready(s, k)) + ET.

The lower bound of FNAS is the sum of the first starts along the longest way, and the work of the last layer.

Not modelled: contention on links, buffers that are too small to hold what waits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.kernel_parts import ceil_div, entry, inner, records, source_stamp

__all__ = ["Scheduled", "TiledLayers", "schedule"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class TiledLayers(NamedTuple):
    """L layers of one network in topological order, (L,) each.

    channelwise : 1 where outputs wait for their own channels alone; then `tn`, `inputs` are not read. keeps_inputs : 1
    where k is innermost. task : cycles of one task. reach : rows of input before the first of a window, kernel - pad.
    transfer : cycles between a tile of this layer and those who wait for it.
    """

    outputs: I64
    inputs: I64
    rows: I64
    cols: I64
    tm: I64
    tn: I64
    tr: I64
    tc: I64
    stride_h: I64
    stride_w: I64
    reach_h: I64
    reach_w: I64
    task: F64
    channelwise: I64
    keeps_inputs: I64
    transfer: F64


class Scheduled(NamedTuple):
    """start, end : (L,) cycles of the first and the last task of each layer. bound : (L,) a lower bound of `end`."""

    start: F64
    end: F64
    bound: F64


@inner
def _tiles(layer: Any) -> tuple[int, int, int, int]:
    """(J, K, tiles down, tiles across)."""
    inputs = 1 if layer.channelwise == 1 else ceil_div(layer.inputs, layer.tn)
    return inputs, ceil_div(layer.outputs, layer.tm), ceil_div(layer.rows, layer.tr), ceil_div(layer.cols, layer.tc)


@inner
def _under(consumer: Any, producer: Any, down: int, across: int) -> int:
    """The last spatial tile of the producer under the window of the consumer's tile (down, across)."""
    last_row = (min((down + 1) * consumer.tr, consumer.rows) - 1) * consumer.stride_h + consumer.reach_h - 1
    last_col = (min((across + 1) * consumer.tc, consumer.cols) - 1) * consumer.stride_w + consumer.reach_w - 1
    row = min(max(last_row, 0), producer.rows - 1) // producer.tr
    col = min(max(last_col, 0), producer.cols - 1) // producer.tc
    place: int = row * ceil_div(producer.cols, producer.tc) + col
    return place


@inner
def _ready(layers: Any, at: int, sources: I64, done: F64, offsets: I64, down: int, across: int, channel: int) -> float:
    """When the producers' tiles up to a channel (exclusive) under a window are here; 0 where the input is the image.

    A join of several producers waits for all of them; of a concatenation each adds its own channels.
    """
    latest, layer = 0.0, layers[at]
    total = 0
    for s in range(sources.size):
        total += layers[sources[s]].outputs
    joined = layer.channelwise == 0 and sources.size > 1 and total == layer.inputs
    before = 0
    for s in range(sources.size):
        producer = layers[sources[s]]
        wanted = channel - before if joined else channel
        before += producer.outputs
        if wanted <= 0:
            continue
        tiles = ceil_div(producer.outputs, producer.tm)
        k = min(ceil_div(min(wanted, producer.outputs), producer.tm), tiles) - 1
        spatial = _under(layer, producer, down, across)
        latest = max(latest, done[offsets[sources[s]] + spatial * tiles + k] + producer.transfer)
    return latest


@inner
def _channelwise(
    layers: Any, at: int, sources: I64, done: F64, offsets: I64, down: int, across: int, block: int, before: float
) -> float:
    """A spatial tile of a layer that works channel by channel; returns its end."""
    layer = layers[at]
    outputs = ceil_div(layer.outputs, layer.tm)
    end = before
    for k in range(outputs):
        channel = min((k + 1) * layer.tm, layer.outputs)
        end = max(end, _ready(layers, at, sources, done, offsets, down, across, channel)) + layer.task
        done[offsets[at] + block * outputs + k] = end
    return end


@inner
def _matrix(
    layers: Any, at: int, sources: I64, done: F64, offsets: I64, down: int, across: int, block: int, before: float
) -> float:
    """A spatial tile of a layer whose outputs wait for all inputs; returns its end."""
    layer = layers[at]
    inputs, outputs, _, _ = _tiles(layer)
    base = before
    for j in range(inputs):
        channel = min((j + 1) * layer.tn, layer.inputs)
        first = j * outputs if layer.keeps_inputs == 1 else j
        base = max(base, _ready(layers, at, sources, done, offsets, down, across, channel) - first * layer.task)
    for k in range(outputs):
        tasks = (inputs - 1) * outputs + k + 1 if layer.keeps_inputs == 1 else (k + 1) * inputs
        done[offsets[at] + block * outputs + k] = base + tasks * layer.task
    end: float = base + inputs * outputs * layer.task
    return end


@inner
def _schedule(layers: Any, source: I64, start: I64, done: F64, offsets: I64, out: F64) -> None:
    """All layers in order; out (L, 3) : first start, end, lower bound of the end."""
    for at in range(layers.size):
        layer = layers[at]
        sources = source[start[at] : start[at + 1]]
        inputs, outputs, down, across = _tiles(layer)
        work = down * across * inputs * outputs * layer.task
        end, begun, bound = 0.0, 0.0, 0.0
        for y in range(down):
            for x in range(across):
                block = y * across + x
                if block == 0:
                    channel = min(layer.tm if layer.channelwise == 1 else layer.tn, layer.inputs)
                    begun = _ready(layers, at, sources, done, offsets, 0, 0, channel)
                if layer.channelwise == 1:
                    end = _channelwise(layers, at, sources, done, offsets, y, x, block, end)
                else:
                    end = _matrix(layers, at, sources, done, offsets, y, x, block, end)
        for s in range(sources.size):
            # The last tile of a producer is met by the last spatial tile at the earliest.
            bound = max(bound, out[sources[s], 2] + layer.task)
        out[at, 0], out[at, 1], out[at, 2] = begun, end, max(begun + work, bound)


def _compiled(stamp: int) -> Any:
    """The schedule of one network; `stamp` of its sources enters the key of numba's cache."""

    @entry
    def one(layers: Any, source: I64, start: I64, out: F64) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        offsets = np.zeros(layers.size + 1, np.int64)
        for at in range(layers.size):
            _, outputs, down, across = _tiles(layers[at])
            offsets[at + 1] = offsets[at] + outputs * down * across
        _schedule(layers, source, start, np.zeros(offsets[-1]), offsets, out)

    return one


_one = _compiled(source_stamp(__file__))


def schedule(layers: TiledLayers, source: I64, start: I64) -> Scheduled:
    """The schedule of one network.

    source, start : the producers of each layer as CSR, places in topological order; a layer without any reads images.
    """
    out = np.zeros((layers.rows.size, 3))
    if layers.rows.size:
        _one(records(layers), np.ascontiguousarray(source, np.int64), np.ascontiguousarray(start, np.int64), out)
    return Scheduled(*out.T)
