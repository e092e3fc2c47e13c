"""A torch module as a Workload: what `forward` calls, operator by operator, in the rows that the zoo would write.

`program` traces the module, `translation` walks what was traced, and the rules of the other files say which operator
of the vocabulary an operator of torch is. What no rule knows stands in the workload as `Unknown`;
`hwmodels.workload.coverage.unknown_operators` lists it. Torch is imported when the functions are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError
from hwmodels.workload.from_torch import (
    contractions,
    convolution,
    einsum,
    movement,
    pointwise,
    pooling,
    products,
    recurrent,
    sampling,
)
from hwmodels.workload.from_torch.example_inputs import inputs_of_program, inputs_of_shapes
from hwmodels.workload.from_torch.loading import module_named
from hwmodels.workload.from_torch.program import export_program
from hwmodels.workload.from_torch.translation import translate
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision, Shape

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.nn import Module

__all__ = ["from_torch", "load_torch"]

_RULES = {
    **movement.RULES,
    **pointwise.RULES,
    **products.RULES,
    **convolution.RULES,
    **recurrent.RULES,
    **einsum.RULES,
    **contractions.RULES,
    **pooling.RULES,
    **sampling.RULES,
}


def from_torch(
    module: Module | ExportedProgram,
    example_inputs: Any = None,
    *,
    name: str | None = None,
    precision: Precision | None = None,
    batch: int | None = None,
) -> Workload:
    """The network that `module` runs at inference, traced by `torch.export` without computing anything.

    Parameters
    ----------
    module : in whatever mode and on whatever device, `meta` included; it is not changed and its weights are not read.
        Or an exported program, which brings its inputs.
    example_inputs : a tensor, a tuple or list of positional arguments, or a dict of keyword arguments. Only shapes
        and types matter. The first axis of the first tensor is the batch.
    name : of the workload; the module's class where None.
    precision : of the operators that compute in float32; those in float16, bfloat16 or fp8 have the module's format.
    batch : another batch than that of the example: the module is traced with every input resized whose leading
        extent is the example's batch.

    Returns
    -------
    Workload : parameters number those that inference reads, each once; nodes are named by the path of their module.

    Raises
    ------
    SpecError : the module branches on its data, does not take the inputs or the batch, or cannot be exported; one
        line with torch's reason.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
    >>> workload = from_torch(net, torch.zeros(1, 3, 8, 8))
    >>> [node.name for node in workload], workload.parameters, workload.macs
    (['input', '0', '1'], 224, 7776)
    """
    title = name or type(module).__name__
    program = export_program(module, example_inputs, name=title, batch=batch)
    return translate(program, _RULES, name=title, precision=precision or Precision())


def load_torch(
    target: str,
    *,
    name: str | None = None,
    precision: Precision | None = None,
    batch: int | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
) -> Workload:
    """The network of a name: ``package.module:name`` or ``path/to/file.py:name``.

    Parameters
    ----------
    target : of a module, of a class of modules without arguments, of a pair (module, example_inputs), of an exported
        program, or of a function that takes nothing and returns one of these.
    input_shapes : by the name of the argument, batch included; "" stands for the one input. For what comes without
        example inputs, or for other shapes than theirs. Inputs are floats where the module takes such, else int64.
    name, precision, batch : as for `from_torch`.

    Raises
    ------
    SpecError : no such module, file or name, a failure inside it, another result, inputs without a shape, or a module
        that cannot be traced.
    """
    module, example_inputs = module_named(target)
    title = name or (target.rpartition(":")[2] if _is_program(module) else type(module).__name__)
    if _is_program(module) and input_shapes:
        inputs = inputs_of_program(title, module, input_shapes)
        return from_torch(module.module(), inputs, name=title, precision=precision, batch=batch)
    if _is_program(module) or (example_inputs is not None and not input_shapes):
        return from_torch(module, example_inputs, name=title, precision=precision, batch=batch)
    if not input_shapes:
        raise SpecError.missing(
            f"torch: {target}", "the shape of its input", "--input 1x3x224x224, or return (module, example_inputs)"
        )
    reason: SpecError | None = None
    for guess in inputs_of_shapes(title, module, input_shapes, example_inputs):
        try:
            return from_torch(module, guess, name=title, precision=precision, batch=batch)
        except SpecError as error:
            reason = reason or error
    raise reason or SpecError(title, "no input", "at least one")


def _is_program(module: object) -> bool:
    """Whether it is a `torch.export.ExportedProgram`, which is no module and brings its inputs."""
    return not hasattr(module, "forward")
