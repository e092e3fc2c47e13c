"""A training step: the operators of forward, backward and update in one Workload, and the memory of it.

    step = training_step(network, "adam")
    step.workload, step.memory.saved_bytes

Backward operators read the forward tensors that they need again, so liveness gives the memory: a kept activation lives
until its gradient is made, a weight gradient until the update, and the states of the optimiser, which are inputs of
the graph, throughout. The loss is softmax with cross entropy over the last axis of every output (ASSUMED: what image
and language models are trained with). Batch normalisation reads its input once more for the statistics.

Rewrite a graph before it is trained, not after: what normalises by the statistics of a batch cannot be folded.

Not modelled: dropout that the graph does not have, casts of autocast, gradient clipping, several devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.memory import peak_activation_bytes, weight_bytes
from hwmodels.workload.ops import Cache, Kind, Norm, Precision, Row, Shared, Softmax, View
from hwmodels.workload.table import layer_table
from hwmodels.workload.training.backward import Backward, backward
from hwmodels.workload.training.gradients import Derived
from hwmodels.workload.training.recompute import RECOMPUTE, Recompute, recomputed, segments

__all__ = ["OPTIMISERS", "Optimiser", "Phase", "TrainingMemory", "TrainingStep", "training_step"]

Phase = Literal["forward", "loss", "backward", "recomputed", "update"]
_WORD_BITS = 32
_WORDS = Precision(weight_bits=_WORD_BITS, activation_bits=_WORD_BITS)


class Optimiser(NamedTuple):
    """How weights are updated. states : tensors kept a weight, of `state_bits` each. ops : elementary, a weight."""

    name: str
    states: int
    ops: int
    state_bits: int = _WORD_BITS


OPTIMISERS = {
    "sgd": Optimiser("sgd", states=0, ops=2),  # w -= r g
    "momentum": Optimiser("momentum", states=1, ops=4),  # v = u v + g; w -= r v
    # m = b m + (1 - b) g; v = c v + (1 - c) g^2; w -= r m' / (sqrt(v') + e) [Kingma and Ba, ICLR 2015, algorithm 1];
    # a square root and a quotient count 4 each
    "adam": Optimiser("adam", states=2, ops=20),
}


class TrainingMemory(NamedTuple):
    """Bytes of one step on one device.

    weight_bytes : stored weights. gradient_bytes : one gradient a weight. state_bytes : of the optimiser, with a master
    copy of 32 bits where weights are narrower. saved_bytes : activations and inputs that the forward pass keeps for
    the backward pass. peak_bytes : weights, and the largest sum of everything else that lives at once.
    """

    weight_bytes: float
    gradient_bytes: float
    state_bytes: float
    saved_bytes: float
    peak_bytes: float


@dataclass(frozen=True)
class TrainingStep:
    """One step. phases : of every node of `workload`. saved_by_kind : bytes kept, by the kind of operator that made
    them, "input" for those of the network."""

    workload: Workload
    phases: Mapping[str, Phase]
    memory: TrainingMemory
    saved_by_kind: Mapping[str, float]

    def macs(self, phase: Phase) -> int:
        """Multiply-accumulates of one phase."""
        return sum(row.macs for node, row in self.workload.rows() if self.phases[node.name] == phase)


def training_step(
    workload: Workload,
    optimiser: str | Optimiser = "sgd",
    *,
    recompute: Recompute = "none",
    blocks: int = 1,
    gradient_bits: int | None = None,
) -> TrainingStep:
    """The step that trains a network once on its batch.

    Parameters
    ----------
    optimiser : a name of `OPTIMISERS` or a record. recompute : what is dropped and made again.
    blocks : with full recompute, how many blocks share one kept tensor; the layer of a transformer has two.
    gradient_bits : of stored weight gradients; by default those of the weights.

    Raises
    ------
    SpecError : an unknown name, a network without weights, or one that keeps keys and values.

    >>> from hwmodels.workload.zoo import network
    >>> resnet18 = network("resnet18")
    >>> step = training_step(resnet18)
    >>> first = next(row for _, row in resnet18.rows())
    >>> step.macs("backward") == 2 * resnet18.macs - first.macs
    True
    """
    method = _optimiser(optimiser)
    if recompute not in RECOMPUTE:
        raise SpecError.unknown("recompute", recompute, RECOMPUTE)
    forward = _forward(workload)
    sent = backward(forward)
    nodes, again = recomputed(forward, sent.nodes, sent.origin, segments(forward, recompute, blocks=blocks))
    updates = _updates(forward, sent, method, gradient_bits)
    if not updates:
        raise SpecError("training", workload.name, "a network with weights")
    phases: dict[str, Phase] = dict.fromkeys((node.name for node in forward), "forward")
    phases |= dict.fromkeys(forward.outputs, "loss")
    phases |= {node.name: "recomputed" if node.name in again else "backward" for node in nodes}
    phases |= dict.fromkeys((node.name for node in updates), "update")
    passes = (_with_statistics(node) for node in (*forward, *nodes))
    step = Workload.of(f"{workload.name} training", (*passes, *updates), forward.outputs)
    saved = _saved_by_kind(step, phases)
    memory = _memory(step, method, sum(saved.values()), gradient_bits)
    return TrainingStep(step, phases, memory, saved)


def _optimiser(given: str | Optimiser) -> Optimiser:
    if isinstance(given, Optimiser):
        return given
    if given not in OPTIMISERS:
        raise SpecError.unknown("optimiser", given, OPTIMISERS)
    return OPTIMISERS[given]


def _forward(workload: Workload) -> Workload:
    """The network with a loss on every output; it keeps keys and values for nobody."""
    losses = [
        Node(f"{name}.loss", Softmax(), (name,), workload[name].shape, workload[name].precision)
        for name in dict.fromkeys(workload.outputs)
    ]
    return Workload.of(workload.name, (*map(_without_cache, workload), *losses), (loss.name for loss in losses))


def _without_cache(node: Node) -> Node:
    """A cache that holds nothing yet only passes on what it is given."""
    is_empty = isinstance(node.operator, Cache) and node.operator.past == 0
    return replace(node, operator=View(node.shape)) if is_empty else node


def _with_statistics(node: Node) -> Node:
    """Batch normalisation reads its input for mean and variance, and again to scale it."""
    operator = node.operator.operator if isinstance(node.operator, Shared) else node.operator
    if not (isinstance(operator, Norm) and operator.mode == "batch"):
        return node
    row = node.operator.row((node.shape, node.shape), node.shape)
    made = row._replace(vector_ops=5 * prod(node.shape))  # as of the other kinds of normalisation
    return replace(node, operator=Derived("batch statistics", node.shape, made))


def _updates(forward: Workload, sent: Backward, method: Optimiser, gradient_bits: int | None) -> list[Node]:
    """For each node with weights its states and the operator that reads gradients and states and writes weights."""
    found = []
    rows = {node.name: row for node, row in forward.rows()}
    for name, gradients in sent.weight_gradients.items():
        row = rows[name]
        if not row.parameters:  # weights of another node
            continue
        kept = _state_words(row, method)
        states = [Node(f"{name}.state", Input((kept,)), (), (kept,), _WORDS)] if kept else []
        made = _update_row(row, method, gradient_bits or row.weight_bits, kept)
        reads = (*gradients, *(state.name for state in states))
        update = Node(f"{name}.update", Derived(method.name, (row.parameters,), made), reads, (row.parameters,), _WORDS)
        found += [*states, update]
    return found


def _state_words(row: Row, method: Optimiser) -> int:
    """Words of 32 bits that the optimiser keeps for one layer: its states, and narrow weights once more in full."""
    master = _WORD_BITS if row.weight_bits < _WORD_BITS else 0
    return -(-row.parameters * (method.states * method.state_bits + master) // _WORD_BITS)


def _update_row(row: Row, method: Optimiser, gradient_bits: int, state_words: int) -> Row:
    """Words of 32 bits: gradients and states read, weights where there is no master copy; all but gradients written.

    Everything is written in place, so that no output lives beside it: all traffic counts as input.
    """
    narrow = row.weight_bits < _WORD_BITS
    read_bits = row.parameters * (gradient_bits + (0 if narrow else row.weight_bits))
    written_bits = row.parameters * row.weight_bits
    return Row(
        kind=Kind.ELEMENTWISE,
        in_h=row.parameters,
        out_h=row.parameters,
        vector_ops=method.ops * row.parameters,
        input_elements=-(-(read_bits + written_bits) // _WORD_BITS) + 2 * state_words,
    )


def _saved_by_kind(step: Workload, phases: Mapping[str, Phase]) -> dict[str, float]:
    """Bytes of forward tensors that anything behind the loss reads, each once, by the kind that made them."""
    rows = {node.name: row for node, row in step.rows()}
    behind: dict[str, frozenset[str]] = {}
    kept: set[str] = set()
    for node in step:
        producers = frozenset().union(*(behind[source] for source in node.inputs))
        if phases[node.name] in ("backward", "recomputed"):
            kept |= {name for source in node.inputs for name in behind[source] if phases[name] in ("forward", "loss")}
        behind[node.name] = frozenset({node.name}) if node.name in rows or not node.inputs else producers
    found: dict[str, float] = {}
    for name in sorted(kept):
        row = rows.get(name)
        kind = "input" if row is None else Kind(row.kind).name.lower()
        elements = prod(step[name].shape) if row is None else row.output_elements
        found[kind] = found.get(kind, 0.0) + elements * step[name].precision.activation_bits / 8
    return found


def _memory(step: Workload, method: Optimiser, saved_bytes: float, gradient_bits: int | None) -> TrainingMemory:
    table = layer_table([step])
    by_name = {node.name: row for node, row in step.rows()}
    rows = [row for name, row in by_name.items() if f"{name}.update" in by_name]
    weights = float(weight_bytes(table)[0])
    return TrainingMemory(
        weight_bytes=weights,
        gradient_bytes=sum(row.parameters * (gradient_bits or row.weight_bits) for row in rows) / 8,
        state_bytes=sum(_state_words(row, method) for row in rows) * _WORD_BITS / 8,
        saved_bytes=saved_bytes,
        peak_bytes=weights + float(peak_activation_bytes(table)[0]),
    )
