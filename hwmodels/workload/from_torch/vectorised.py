"""`torch.vmap` and `map` in an exported graph, told by the operators that really run: those on the whole batch.

An exported graph holds the operators of a vectorised function as they are written, on one item, between marks that
add and remove the batch. Between the marks the graph is traced again, this time below vmap, and what that gives
stands in its place: products over the batch, with one matrix for all or one an item. A `map` over a leading axis
computes the same as vmap does and is told the same way. What cannot be traced again stays as it is, and is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hwmodels.workload.from_torch.nodes import FxNode, is_node, kind_of

if TYPE_CHECKING:
    from torch.fx import Graph, GraphModule

__all__ = ["without_vectorised"]

_OPEN, _CLOSE, _MAP = "_vmap_increment_nesting", "_vmap_decrement_nesting", "map_impl"
_LOADERS = ("lazy_load_decompositions",)


def without_vectorised(graph_module: GraphModule) -> None:
    """Replace every vectorised part of a module's graphs, in place."""
    for part in list(graph_module.modules()):
        graph = getattr(part, "graph", None)
        if graph is None:
            continue
        for nodes in list(_regions(graph)):
            _replace(graph, nodes)
        for node in list(graph.nodes):
            if kind_of(node) in _LOADERS and node.op == "call_function" and not node.users:
                graph.erase_node(node)


def _regions(graph: Graph) -> Iterator[list[FxNode]]:
    """The nodes from an outermost opening mark to its closing one, both included; a map alone."""
    depth = 0
    nodes: list[FxNode] = []
    for node in graph.nodes:
        kind = kind_of(node) if node.op == "call_function" else ""
        depth += kind == _OPEN
        if depth:
            nodes.append(node)
        elif kind == _MAP:
            yield [node]
        depth -= kind == _CLOSE
        if nodes and not depth:
            yield nodes
            nodes = []


def _replace(graph: Graph, nodes: list[FxNode]) -> None:
    """Put the operators of the second trace where the marked ones stand."""
    inside = set(nodes)
    given = list(dict.fromkeys(operand for node in nodes for operand in node.all_input_nodes if operand not in inside))
    given = [operand for operand in given if operand.op != "get_attr" or "val" in operand.meta]
    results = [node for node in nodes if any(user not in inside for user in node.users)]
    try:
        traced = _traced_again(nodes, given, results)
    except Exception:  # whatever torch says: the part stays as it is, and is named as unknown
        return
    stands_for: dict[Any, Any] = {}
    holders = iter(given)
    with graph.inserting_before(nodes[0]):
        for node in traced.graph.nodes:
            if node.op == "placeholder":
                stands_for[node] = next(holders)
            elif node.op == "output":
                for old, new in zip(results, node.args[0], strict=True):
                    _use_instead(graph, old, new, stands_for)
            else:
                stands_for[node] = _copied(graph, node, traced, stands_for)
    for node in reversed(nodes):
        graph.erase_node(node)


def _use_instead(graph: Graph, old: FxNode, new: Any, stands_for: dict[Any, Any]) -> None:
    """Readers of the old result read the new one; of several results, each reader picks its own."""
    if is_node(new):
        old.replace_all_uses_with(stands_for[new])
        return
    for reader in list(old.users):
        reader.replace_all_uses_with(stands_for[new[reader.args[1]]])
        graph.erase_node(reader)


def _copied(graph: Graph, node: FxNode, traced: Any, stands_for: dict[Any, Any]) -> FxNode:
    if node.op == "get_attr":  # a constant that the trace made: its shape is all that is read
        node.meta["val"] = getattr(traced, node.target)
    copy = graph.node_copy(node, lambda operand: stands_for[operand])
    copy.meta = dict(node.meta)
    return copy


def _traced_again(nodes: list[FxNode], given: list[FxNode], results: list[FxNode]) -> Any:
    """The nodes as a function of what is given, traced below vmap on the fake tensors of the first trace."""
    import torch
    from torch.fx import traceback
    from torch.fx.experimental.proxy_tensor import make_fx

    def run(*values: Any) -> list[Any]:
        known = dict(zip(given, values, strict=True))
        open_levels = 0
        try:
            for node in nodes:
                with traceback.set_current_meta(node):
                    known[node] = _run_node(node, known)
                open_levels += (kind_of(node) == _OPEN) - (kind_of(node) == _CLOSE)
        finally:
            for _ in range(open_levels):
                torch._C._functorch._vmap_decrement_nesting()
        return [known[node] for node in results]

    with torch.no_grad(), traceback.preserve_node_meta():
        return make_fx(run, tracing_mode="real")(*(operand.meta["val"] for operand in given))


def _run_node(node: FxNode, known: dict[FxNode, Any]) -> Any:
    import torch
    from torch.utils._pytree import tree_map

    def value(operand: Any) -> Any:
        if not is_node(operand):
            return operand
        return known[operand] if operand in known else getattr(operand.graph.owning_module, str(operand.target))

    if node.op == "get_attr":
        return getattr(node.graph.owning_module, str(node.target))
    args, keywords = tree_map(value, (tuple(node.args), dict(node.kwargs)), is_leaf=is_node)
    if kind_of(node) == _MAP:
        function, mapped, fixed = args
        axes = (*(0 for _ in mapped), *(None for _ in fixed))
        return torch.vmap(function, in_dims=axes)(*mapped, *fixed)
    return node.target(*args, **keywords)
