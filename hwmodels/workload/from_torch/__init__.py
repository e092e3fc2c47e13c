"""A torch module as a Workload: what `forward` calls, operator by operator, in the rows that the zoo would write.

`program` traces the module, `translation` walks what was traced, and the rules of the other files say which operator
of the vocabulary an operator of torch is. What no rule knows stands in the workload as `Unknown`;
`hwmodels.workload.coverage.unknown_operators` lists it. Torch is imported when the functions are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from hwmodels.workload.from_torch.loading import call_target
from hwmodels.workload.from_torch.program import export_program
from hwmodels.workload.from_torch.translation import translate
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision

if TYPE_CHECKING:
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
    module: Module,
    example_inputs: Any,
    *,
    name: str | None = None,
    precision: Precision | None = None,
    batch: int | None = None,
) -> Workload:
    """The network that `module` runs at inference, traced by `torch.export` without computing anything.

    Parameters
    ----------
    module : in whatever mode and on whatever device, `meta` included; it is not changed and its weights are not read.
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
    target: str, *, name: str | None = None, precision: Precision | None = None, batch: int | None = None
) -> Workload:
    """The network that a function makes: ``package.module:function`` or ``path/to/file.py:function``.

    The function takes nothing and returns (module, example_inputs); see `from_torch` for both and for the rest.

    Raises
    ------
    SpecError : no such module, file or function, a failure inside it, another result, or a module that cannot be
        traced.
    """
    module, example_inputs = call_target(target)
    return from_torch(module, example_inputs, name=name, precision=precision, batch=batch)
