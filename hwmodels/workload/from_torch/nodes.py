"""What is read off a node of a traced graph: the operator, its arguments by name, shapes, the module that calls it.

Nodes are `torch.fx.Node`s; since torch is imported when it is needed and not before, they are not named here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from hwmodels.errors import SpecError
from hwmodels.workload.ops import Shape

__all__ = [
    "WAY_ROUND_DATA",
    "FxNode",
    "arguments_of",
    "is_complex",
    "is_node",
    "is_tensor",
    "is_zero",
    "kind_of",
    "line_of",
    "narrow_float_of",
    "path_of",
    "shape_of",
    "shapes_of",
    "writes_in_place",
]

FxNode = Any
"""A `torch.fx.Node`; its own types are too wide to be of use."""


def kind_of(node: FxNode) -> str:
    """The operator without its overload and without the mark of working in place: aten.add_.Tensor -> aten.add."""
    if not hasattr(node.target, "_schema"):
        return str(getattr(node.target, "__name__", node.target))
    packet = str(node.target).rsplit(".", 1)[0]
    return packet[:-1] if packet.endswith("_") and not packet.endswith("__") else packet


_ARGUMENTS_WITHOUT_SCHEMA = {
    "flex_attention": ("query", "key", "value", "score_mod", "block_mask", "scale"),
    "while_loop": ("cond_fn", "body_fn", "carried", "additional"),
}
"""Operators on graphs have no schema: the names of those that a rule reads, by position."""


def arguments_of(node: FxNode, seen: Callable[[FxNode], FxNode]) -> dict[str, Any]:
    """Every argument by its name in the operator's schema, defaults included."""
    values: dict[str, Any] = {}
    if not hasattr(node.target, "_schema"):
        names = _ARGUMENTS_WITHOUT_SCHEMA.get(kind_of(node), ())
        return {name: _resolved(value, seen) for name, value in zip(names, node.args, strict=False)}
    for position, argument in enumerate(node.target._schema.arguments):
        if position < len(node.args) and not argument.kwarg_only:
            value: Any = node.args[position]
        elif argument.name in node.kwargs:
            value = node.kwargs[argument.name]
        else:
            value = argument.default_value if argument.has_default_value() else None
        values[argument.name] = _resolved(value, seen)
    return values


def _resolved(value: Any, seen: Callable[[FxNode], FxNode]) -> Any:
    if is_node(value):
        return seen(value)
    return [_resolved(item, seen) for item in value] if isinstance(value, list | tuple) else value


_NARROW_FLOATS = {
    "torch.float16": "fp16",
    "torch.bfloat16": "bf16",
    "torch.float8_e4m3fn": "fp8",
    "torch.float8_e5m2": "fp8_e5m2",
    "torch.complex32": "fp16",
}


def _dtype_of(node: FxNode) -> str:
    """Of the first result; nothing where it is no tensor."""
    value = node.meta.get("val")
    first = value[0] if isinstance(value, tuple | list) and value else value
    return str(getattr(first, "dtype", ""))


def is_complex(node: FxNode) -> bool:
    """Whether a result holds complex numbers."""
    return _dtype_of(node).startswith("torch.complex")


def narrow_float_of(node: FxNode) -> str | None:
    """The format of a result that is a float narrower than float32, by its name; None for all others."""
    return _NARROW_FLOATS.get(_dtype_of(node))


def is_node(value: Any) -> bool:
    return hasattr(value, "all_input_nodes")


def is_tensor(node: FxNode) -> bool:
    return hasattr(node.meta.get("val"), "shape")


def is_zero(node: FxNode) -> bool:
    return node.op == "call_function" and kind_of(node) in ("aten.zeros", "aten.zeros_like", "aten.new_zeros")


def writes_in_place(node: FxNode) -> bool:
    """Whether the operator writes into its first operand."""
    arguments = node.target._schema.arguments
    return bool(arguments) and arguments[0].alias_info is not None and arguments[0].alias_info.is_write


def shape_of(node: FxNode) -> Shape:
    return _extents(node, node.meta["val"])


def shapes_of(node: FxNode) -> tuple[Shape | None, ...]:
    value = node.meta.get("val")
    values = value if isinstance(value, tuple | list) else (value,)
    return tuple(_extents(node, item) if hasattr(item, "shape") else None for item in values)


def _extents(node: FxNode, tensor: Any) -> Shape:
    if not all(isinstance(extent, int) for extent in tensor.shape):
        shape = f"a result of shape ({', '.join(map(str, tensor.shape))})"
        raise SpecError(line_of(node) or node.name, shape, "known before the data are", WAY_ROUND_DATA)
    return tuple(tensor.shape)


WAY_ROUND_DATA = (
    "write the upper bound: all rows kept, torch.where for a mask, add_self_loops=False in graph convolutions; "
    "or import backbone and head apart"
)
"""What a module can do about shapes and branches that depend on its data."""


def line_of(node: FxNode) -> str:
    """The line of the user's module that calls an operator, as ``net.py:12``; empty where the trace kept none."""
    frames = [line.strip() for line in str(node.meta.get("stack_trace") or "").splitlines()]
    calls = [line for line in frames if line.startswith('File "')]
    if not calls:
        return ""
    file, number = calls[-1].removeprefix('File "').split('", line ')
    return f"{PurePath(file).name}:{number.split(',')[0]}"


def path_of(node: FxNode) -> str:
    """The innermost module that calls the operator."""
    stack = node.meta.get("nn_module_stack")
    return str(list(stack.values())[-1][0]) if stack else ""
