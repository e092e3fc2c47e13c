"""An ONNX file as a checked message: parsed in memory, its local functions inlined, its external data left alone.

A file is what somebody else wrote: whatever is wrong with it is one `SpecError` line. Sizes that a file only declares
are compared with the data that is there; nothing is allocated for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from onnx import FunctionProto, ModelProto, NodeProto

__all__ = ["OLDEST_OPSET", "import_onnx", "opset_of", "read_model"]

OLDEST_OPSET = 7
"""Operators broadcast by themselves from here on; earlier files say it in attributes that no exporter writes now."""

_MOST_STEPS = 2_000_000  # operators after inlining; functions that call functions twice each grow without bound
_STANDARD = ("", "ai.onnx")


def import_onnx() -> ModuleType:
    """The package `onnx`, which is an extra.

    Raises
    ------
    SpecError : it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise SpecError("from_onnx", "onnx", "installed", "pip install codesign[onnx]") from None
    return onnx


def read_model(path: Path) -> ModelProto:
    """Parse a file and inline the functions that it defines.

    Raises
    ------
    SpecError : no file, no ONNX model, an operator set outside those that are known.
    """
    onnx = import_onnx()
    where = path.name or str(path)
    try:
        if not path.is_file():
            raise SpecError(where, path, "a file")
        model: ModelProto = onnx.ModelProto()
        model.ParseFromString(path.read_bytes())
        has_graph = model.HasField("graph") and len(model.graph.node) + len(model.graph.output) > 0
    except SpecError:
        raise
    except OSError as error:
        raise SpecError(where[:80], error.strerror or error, "a readable file") from None
    except Exception as error:  # of the parser, whose own types vary by release
        raise SpecError(where, f"{type(error).__name__}: {error}", "an ONNX model") from None
    if not has_graph:
        raise SpecError(where, "a file without a graph", "an ONNX model")
    opset = opset_of(model)
    newest = int(onnx.defs.onnx_opset_version())
    if not OLDEST_OPSET <= opset <= newest:
        raise SpecError(f"{where}: operator set", opset, f"one of {OLDEST_OPSET} to {newest}", _way_on(opset))
    return _inlined(model, where) if model.functions else model


def _way_on(opset: int) -> str:
    if opset < OLDEST_OPSET:
        return "convert it: onnx.version_converter.convert_version(onnx.load(path), 13)"
    return "install a newer onnx"


def opset_of(model: ModelProto) -> int:
    """The version of the standard operators."""
    return max((entry.version for entry in model.opset_import if entry.domain in _STANDARD), default=1)


def _inlined(model: ModelProto, where: str) -> ModelProto:
    from onnx import inliner

    _check_functions(model, where)
    try:
        inlined: ModelProto = inliner.inline_local_functions(model)
    except Exception as error:
        raise SpecError(f"{where}: functions", f"{type(error).__name__}: {error}", "functions to inline") from None
    return inlined


def _check_functions(model: ModelProto, where: str) -> None:
    """No function calls itself, and all calls together write out a bounded number of operators."""
    functions = {(function.domain, function.name): function for function in model.functions}
    written: dict[tuple[str, str], int] = {}
    for start in functions:
        open_calls: dict[tuple[str, str], None] = {}
        pending: list[tuple[tuple[str, str], bool]] = [(start, False)]
        while pending:
            key, is_done = pending.pop()
            if is_done:
                open_calls.pop(key)
                written[key] = sum(written.get(call, 1) for call in _calls(functions[key].node))
            elif key in open_calls:
                raise SpecError(f"{where}: functions", key[1], "free of calls to itself")
            elif key not in written:
                open_calls[key] = None
                pending.append((key, True))
                pending.extend((call, False) for call in _calls(functions[key].node) if call in functions)
    total = sum(written.get(call, 1) for call in _calls(model.graph.node))
    if total > _MOST_STEPS:
        raise SpecError(f"{where}: functions", f"{total} operators", f"at most {_MOST_STEPS} when written out")


def _calls(nodes: Iterable[NodeProto | FunctionProto | Any]) -> Iterable[tuple[str, str]]:
    return ((node.domain, node.op_type) for node in nodes)
