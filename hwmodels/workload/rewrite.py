"""Pure graph rewrites: what a runtime does to a network before it runs.

Two execution semantics exist and both are needed: an eager runtime executes every operator as written, dead branches
included; a compiled one drops what cannot reach the output or carries only zeros, and folds normalisation and
activation into the convolution before them. Attention in one kernel is a choice of its own: eager frameworks have
it, some compilers do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from hwmodels.workload.graph import Node, Workload
from hwmodels.workload.ops import (
    Activation,
    Attention,
    Cache,
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    ConvTranspose3d,
    Elementwise,
    Linear,
    MatMul,
    Norm,
    Operator,
    Permute,
    Shape,
    Shared,
    Softmax,
    Zeros,
)

__all__ = [
    "COMPILED",
    "EAGER",
    "RUNTIMES",
    "DeadBranches",
    "Semantics",
    "absorbs",
    "fuse",
    "fuse_attention",
    "prune_dead_branches",
    "rewrite",
    "zero_rule",
]

_HOSTS = (Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d, Linear)
"""What takes a normalisation or an activation into its own loop."""

DeadBranches = Literal["run", "run_if_read", "dropped"]
"""What a compiling runtime does with edges that carry no data from a cell's input to its output.

run : everything; `none` is a product by zero and every sum has all its terms.
run_if_read : `none` is a constant, elementwise arithmetic on constants is folded, and what the output does not depend
    on vanishes; convolutions and pooling run on constants as on data.
dropped : nothing of them.
"""


@dataclass(frozen=True)
class Semantics:
    """How a runtime executes a graph."""

    drop_dead_branches: bool
    fuse_norm_activation: bool
    fuse_attention: bool = False

    def __str__(self) -> str:
        """The rewrites by name, as reports show them."""
        done = {
            "dead branches dropped": self.drop_dead_branches,
            "norm and activation fused": self.fuse_norm_activation,
            "attention fused": self.fuse_attention,
        }
        return ", ".join(what for what, is_done in done.items() if is_done) or "every operator as written"


EAGER = Semantics(drop_dead_branches=False, fuse_norm_activation=False)
COMPILED = Semantics(drop_dead_branches=True, fuse_norm_activation=True)
RUNTIMES = {"compiled": COMPILED, "eager": EAGER}
"""The two by the name that a user gives."""


def rewrite(workload: Workload, semantics: Semantics) -> Workload:
    """The graph that a runtime with these semantics executes."""
    if semantics.drop_dead_branches:
        workload = prune_dead_branches(workload)
    if semantics.fuse_norm_activation:
        workload = fuse(workload)
    if semantics.fuse_attention:
        workload = fuse_attention(workload)
    return workload


def prune_dead_branches(workload: Workload) -> Workload:
    """Drop operators that carry only zeros or do not reach an output.

    A branch fed by `Zeros` alone is a constant, which a compiler folds into the bias behind the sum; its operators
    and its operand of the sum vanish, and a sum of one operand is that operand.
    """
    void: set[str] = set()
    stands_for: dict[str, str] = {}
    kept: dict[str, Node] = {}
    for node in workload:
        live = tuple(stands_for.get(source, source) for source in node.inputs if source not in void)
        rule = zero_rule(node.operator, live=len(live), operands=len(node.inputs))
        if rule == "zero":
            void.add(node.name)
        elif rule == "without" and len(live) == 1 and kept[live[0]].shape == node.shape:
            stands_for[node.name] = live[0]
        elif rule == "without" and len(live) > 1 and _fits(node, [kept[name].shape for name in live]):
            kept[node.name] = replace(node, inputs=live)
        else:  # zeros that give shape: to a concatenation, or to a sum that they broadcast
            for source in node.inputs:
                if source in void:
                    kept[source] = replace(workload[source], operator=Zeros(workload[source].shape), inputs=())
            kept[node.name] = replace(node, inputs=_all(node, stands_for))
    outputs = tuple(stands_for.get(name, name) for name in workload.outputs if name not in void)
    reached = set(outputs)
    for node in reversed(kept.values()):
        if node.name in reached:
            reached.update(node.inputs)
    alive = [node for node in kept.values() if node.name in reached]
    return Workload.of(workload.name, alive, outputs)


def zero_rule(operator: Operator, *, live: int, operands: int) -> Literal["zero", "without", "kept"]:
    """What becomes of an operator when only `live` of its operands are no constant zeros and zeros are dropped.

    It is zero itself; it runs without the zeros; or it keeps them, since they give shape.
    """
    function = operator.function if isinstance(operator, Elementwise) else None
    if isinstance(operator, Zeros) or (live < operands and (function == "mul" or not live)):
        return "zero"
    return "without" if function == "add" else "kept"


def _fits(node: Node, shapes: list[Shape]) -> bool:
    return node.operator.infer(*shapes) == node.shape


def fuse(workload: Workload) -> Workload:
    """Fold batch norm and activation into the convolution or linear layer that alone feeds them.

    The folded layer has a bias and no normalisation parameters; its output is that of the last absorbed operator.
    Apply it once: a folded activation leaves no trace, so a second pass could fold a normalisation behind it.
    """
    consumers: dict[str, int] = dict.fromkeys(workload.outputs, 1)
    for node in workload:
        for source in node.inputs:
            consumers[source] = consumers.get(source, 0) + 1
    stands_for: dict[str, str] = {}
    kept: dict[str, Node] = {}
    activated: set[str] = set()
    for node in workload:
        inputs = _all(node, stands_for)
        host = kept.get(inputs[0]) if len(inputs) == 1 and consumers[node.inputs[0]] == 1 else None
        if host is None or host.name in activated or not absorbs(host.operator, node.operator):
            kept[node.name] = replace(node, inputs=inputs)
            continue
        stands_for[node.name] = host.name
        if isinstance(node.operator, Activation):
            activated.add(host.name)
        elif isinstance(host.operator, _HOSTS):
            kept[host.name] = replace(host, operator=replace(host.operator, bias=True))
    return Workload.of(workload.name, kept.values(), (stands_for.get(name, name) for name in workload.outputs))


def fuse_attention(workload: Workload) -> Workload:
    """Join each MatMul, scale and mask, Softmax, MatMul chain into one `Attention`, which never writes the scores.

    Joined are chains whose every link is read once: elementwise arithmetic that keeps the scores' size (its other
    operands become operands of the attention), views, and a softmax over the last axis.
    """
    readers: dict[str, int] = dict.fromkeys(workload.outputs, 1)
    for node in workload:
        for source in node.inputs:
            readers[source] = readers.get(source, 0) + 1
    fused: dict[str, Node] = {}
    absorbed: set[str] = set()
    for node in workload:
        chain = _scores_behind(workload, node, readers) if isinstance(node.operator, MatMul) else None
        if chain is None:
            continue
        links = {link.name for link in chain}
        products = chain[0]
        beside = [s for link in chain[1:] for s in link.inputs if s not in links]
        passes = sum(isinstance(link.operator, Elementwise) for link in chain)
        inputs = (*products.inputs, node.inputs[1], *beside)
        operator = _masked(workload, Attention(passes), products)
        fused[node.name] = replace(node, operator=operator, inputs=inputs)
        absorbed |= links
    nodes = (fused.get(node.name, node) for node in workload if node.name not in absorbed)
    return Workload.of(workload.name, nodes, workload.outputs)


def _masked(workload: Workload, operator: Attention, scores: Node) -> Attention:
    """Attention whose keys come from a cache is causal; its queries are those of the cache's new tokens, by heads."""
    key = workload[scores.inputs[1]]
    while key.inputs and (key.operator.is_view or isinstance(key.operator, Permute)):
        key = workload[key.inputs[0]]
    if not isinstance(key.operator, Cache):
        return operator
    new_tokens, rows = workload[key.inputs[0]].shape[-2], scores.shape[-2]
    heads = rows // new_tokens if rows % new_tokens == 0 else 1
    return replace(operator, query_heads=heads, causal=True)


def _scores_behind(workload: Workload, node: Node, readers: dict[str, int]) -> list[Node] | None:
    """The chain from the product of the scores to the weights that `node` multiplies, or None where there is none."""
    chain: list[Node] = []
    link, normalised = workload[node.inputs[0]], False
    while readers[link.name] == 1:
        chain.append(link)
        operator = link.operator
        if isinstance(operator, MatMul):
            return chain[::-1] if normalised and link.shape == workload[node.inputs[0]].shape else None
        if isinstance(operator, Softmax):
            normalised = operator.axis in (-1, len(link.shape) - 1)
        elif not (operator.is_view or isinstance(operator, Elementwise)):
            return None
        same_size = [s for s in link.inputs if prod(workload[s].shape) == prod(link.shape)]
        if not same_size:
            return None
        link = workload[same_size[0]]
    return None


def _all(node: Node, stands_for: dict[str, str]) -> tuple[str, ...]:
    return tuple(stands_for.get(source, source) for source in node.inputs)


def absorbs(host: Operator, guest: Operator) -> bool:
    """Whether a convolution or linear layer takes the operator that alone reads it into its own loop."""
    is_shared = isinstance(host, Shared)
    operator = host.operator if isinstance(host, Shared) else host
    if not isinstance(operator, _HOSTS):
        return False
    if isinstance(guest, Norm):  # which would scale the weights: impossible where others run on them
        return guest.mode == "batch" and not is_shared
    return isinstance(guest, Activation)
