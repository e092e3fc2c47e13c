"""A torch module as the operators that it would call: `torch.export` on fake tensors, quietly.

The graph is the one that `torch.export` traces before any decomposition: attention, layer normalisation, GELU and
LSTM are still one operator each there, as in the network's own code; core ATen would break them into tens of
pointwise rows that no kernel runs. Nothing is computed and no weight is copied: a module on the `meta` device does.
What the module computes and does not use is in the graph, since an eager runtime computes it;
`hwmodels.workload.rewrite` drops it for a compiled one.

Not modelled: branches on the data, which `torch.export` refuses; training; side effects of `forward` on the module.
"""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError
from hwmodels.workload.from_torch.nodes import WAY_ROUND_DATA, is_node, is_tensor, path_of
from hwmodels.workload.from_torch.vectorised import without_vectorised

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Graph, GraphModule
    from torch.nn import Module

__all__ = ["Program", "export_program"]

_LONGEST_REASON = 160
_QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized")


@dataclass(frozen=True)
class Program:
    """An exported module.

    graph_module : the traced operators; its placeholders are parameters, buffers and inputs.
    parameters : placeholder -> path of the parameter; a parameter with two paths has the first.
    sizes : path of a parameter -> its elements.
    inputs : the placeholders of the example inputs, in order.
    outputs : the names of the nodes that are returned, in order; mutated buffers are not.
    leaves : paths of the modules without children.
    batch : leading extent of the first input.
    """

    graph_module: GraphModule
    parameters: dict[str, str]
    sizes: dict[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    leaves: frozenset[str]
    batch: int

    @property
    def graph(self) -> Graph:
        return self.graph_module.graph


def export_program(module: Module | ExportedProgram, example_inputs: Any, *, name: str, batch: int | None) -> Program:
    """Trace `module`; see `hwmodels.workload.from_torch.from_torch` for the arguments and the errors."""
    import torch

    if isinstance(module, torch.export.ExportedProgram):
        if batch is None and not _has_symbols(module):
            sizes = {path: parameter.numel() for path, parameter in module.named_parameters()}
            called = _called(module)
            leaves = frozenset(path for path in called if not any(other.startswith(f"{path}.") for other in called))
            return _program(module, {path: path for path in sizes}, sizes, leaves, _batch_of(module))
        module, example_inputs = _as_module(name, module)
    if not isinstance(module, torch.nn.Module):
        raise SpecError(name, type(module).__name__, "a torch.nn.Module")
    _refuse_quantised(name, module)
    args, keywords = _arguments(example_inputs)
    args, keywords, size = _resized(name, module, args, keywords, batch)
    try:
        with _as_inference(module), _silence():
            exported = torch.export.export(module, args, keywords, strict=False)
    except Exception as error:
        raise _failure(name, module, error, size if batch is not None else None) from None
    first: dict[int, str] = {}
    paths = {path: first.setdefault(id(p), path) for path, p in module.named_parameters(remove_duplicate=False)}
    sizes = {path: parameter.numel() for path, parameter in module.named_parameters()}
    leaves = frozenset(path for path, part in module.named_modules() if not any(True for _ in part.children()))
    return _program(exported, paths, sizes, leaves, size)


def _program(
    exported: ExportedProgram, paths: Mapping[str, str], sizes: dict[str, int], leaves: frozenset[str], batch: int
) -> Program:
    """What is read of an exported program; `paths` names a parameter with two paths by its first."""
    with _silence():
        without_vectorised(exported.graph_module)
    signature = exported.graph_signature
    returned = next(node for node in exported.graph_module.graph.nodes if node.op == "output").args[0]
    return Program(
        graph_module=exported.graph_module,
        parameters={holder: paths[path] for holder, path in signature.inputs_to_parameters.items()},
        sizes=sizes,
        inputs=tuple(holder for holder in signature.user_inputs if isinstance(holder, str)),
        outputs=tuple(
            node.name
            for node, spec in zip(returned, signature.output_specs, strict=True)
            if spec.kind.name == "USER_OUTPUT" and is_node(node)
        ),
        leaves=leaves,
        batch=batch,
    )


def _called(program: ExportedProgram) -> set[str]:
    """Paths of the modules that called an operator."""
    graphs = (getattr(part, "graph", program.graph) for part in program.graph_module.modules())
    return {path_of(node) for graph in graphs for node in graph.nodes}


def _has_symbols(program: ExportedProgram) -> bool:
    """Whether some extent stands for any number."""
    return bool(program.range_constraints)


def _as_module(name: str, program: ExportedProgram) -> tuple[Module, Any]:
    """An exported program as a module, to be traced again, and the inputs that it was exported with."""
    if program.example_inputs is None:
        raise SpecError(name, "an exported program without its inputs", "one with fixed shapes and its own batch")
    args, keywords = program.example_inputs
    names = [holder for holder in program.graph_signature.user_inputs if isinstance(holder, str)]
    module: Module = program.module()
    return module, {**dict(zip(names, args, strict=False)), **keywords} if keywords else args


def _batch_of(program: ExportedProgram) -> int:
    """Leading extent of the first input that has one."""
    inputs = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in inputs and is_tensor(node)]
    return next((int(shape[0]) for shape in shapes if shape), 1)


def _refuse_quantised(name: str, module: Module) -> None:
    """Quantised modules of torch hold packed weights, which no trace sees through."""
    for path, part in module.named_modules():
        if type(part).__module__.startswith(_QUANTISED):
            raise SpecError(
                f"{name}: {path}", f"a quantised {type(part).__name__}", "a module that can be traced",
                "give the float module with --bits 8, or an ONNX file with QuantizeLinear and DequantizeLinear",
            )  # fmt: skip


def _arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: a dict holds keywords, a tuple or list positions, all else is the one input."""
    if isinstance(example_inputs, dict):
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    return (example_inputs,), {}


def _resized(
    name: str, module: Module, args: tuple[Any, ...], keywords: dict[str, Any], batch: int | None
) -> tuple[tuple[Any, ...], dict[str, Any], int]:
    """The inputs at another batch, where one is asked for; on the meta device, where the module is; and the batch.

    Every tensor whose leading extent is that of the first input follows the batch.
    """
    import torch
    from torch.utils._pytree import tree_leaves, tree_map_only

    sizes = [leaf.shape[0] for leaf in tree_leaves((args, keywords)) if isinstance(leaf, torch.Tensor) and leaf.dim()]
    if not sizes:
        raise SpecError(f"{name}: example_inputs", "no tensor", "at least one tensor with its batch first")
    if batch is not None and batch < 1:
        raise SpecError(f"{name}: batch", batch, ">= 1")
    shown, wanted = sizes[0], sizes[0] if batch is None else batch
    on_meta = any(parameter.is_meta for parameter in module.parameters())

    def place(tensor: torch.Tensor) -> torch.Tensor:
        follows = tensor.dim() > 0 and tensor.shape[0] == shown
        shape = (wanted, *tensor.shape[1:]) if follows else tuple(tensor.shape)
        if shape == tuple(tensor.shape) and on_meta == tensor.is_meta:
            return tensor
        device = "meta" if on_meta else "cpu" if tensor.is_meta else tensor.device
        return torch.empty(shape, dtype=tensor.dtype, device=device)

    args, keywords = tree_map_only(torch.Tensor, place, (args, keywords))
    return args, keywords, wanted


@contextmanager
def _as_inference(module: Module) -> Iterator[None]:
    """Every part in evaluation mode by its flag, since `eval()` may be overridden; the flags come back.

    The fused kernels of transformer layers are off: torch runs them only where nothing is traced, and they hide
    the operators that they consist of.
    """
    import torch

    flags = {part: part.training for part in module.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for part in flags:
            part.training = False
        with torch.no_grad(), _tensors_only(module):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for part, flag in flags.items():
            part.training = flag


@contextmanager
def _tensors_only(module: Module) -> Iterator[None]:
    """`forward` returns its tensors as one tuple, whatever holds them; an object such as a cache is left out."""
    forward = module.forward
    own = "forward" in vars(module)

    @wraps(forward)
    def flat(*args: Any, **keywords: Any) -> tuple[Any, ...]:
        return tuple(_tensors(forward(*args, **keywords)))

    module.forward = flat
    try:
        yield
    finally:
        if own:
            module.forward = forward
        else:
            del module.forward


def _tensors(result: Any) -> Iterator[Any]:
    """The tensors in tuples, lists, mappings and dataclasses, in order."""
    import torch

    if isinstance(result, torch.Tensor):
        yield result
        return
    if isinstance(result, Mapping):
        parts: Iterable[Any] = result.values()
    elif isinstance(result, tuple | list):
        parts = result
    elif is_dataclass(result):
        parts = (getattr(result, field.name) for field in fields(result))
    else:
        parts = ()
    for part in parts:
        yield from _tensors(part)


@contextmanager
def _silence() -> Iterator[None]:
    """No warnings, no log lines, no printed graphs: what matters of a failure is in its exception."""
    before = logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(redirect_stderr(StringIO()))
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, before)
        yield


def _failure(name: str, module: Module, error: Exception, batch: int | None) -> SpecError:
    """One line: the module, what was asked of it, and the first line of torch's own reason."""
    if "DataDependent" in type(error).__name__ or "data-dependent" in str(error):
        place = _line_of_user(error)
        where = f"{name}: {place}" if place else name
        return SpecError(where, "a branch or a shape", "known before the data are (data-dependent)", WAY_ROUND_DATA)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON].rstrip() + " ..."
    if batch is not None:
        return SpecError(f"{name}: batch", batch, "a batch that this module takes", reason)
    return SpecError(name, type(module).__name__, "a module that torch.export can trace from these inputs", reason)


def _line_of_user(error: Exception) -> str:
    """The innermost line of a failure that is neither torch's nor generated, as ``net.py:12``; empty without one."""
    import torch

    torch_home, own_home = Path(torch.__file__).parent, Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.suffix == ".py" and not (file.is_relative_to(torch_home) or file.is_relative_to(own_home)):
            return f"{file.name}:{frame.lineno}"
    return ""
