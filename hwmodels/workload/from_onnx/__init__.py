"""An ONNX file as a Workload, in the rows that the zoo and an import from torch would write.

`reading` parses the file, `model` takes its records, `quantised` and `patterns` tell them in fewer operators, and
`translation` walks them with the rules of the other files. Weights are never read: their shapes suffice, and external
data need not be there. What no rule knows stands in the workload as `Unknown`;
`hwmodels.workload.coverage.unknown_operators` lists it. `onnx` is imported when the function is called.

Not modelled: control flow and shapes that the data decide, sequences, complex numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from hwmodels.workload.formats import precision_named
from hwmodels.workload.from_onnx import movement, pointwise, products, windows
from hwmodels.workload.from_onnx.control_flow import without_control_flow
from hwmodels.workload.from_onnx.inputs import input_shapes_of
from hwmodels.workload.from_onnx.model import declared_inputs, model_of, narrow_float_of
from hwmodels.workload.from_onnx.patterns import without_patterns
from hwmodels.workload.from_onnx.quantised import without_quantisation
from hwmodels.workload.from_onnx.reading import read_model
from hwmodels.workload.from_onnx.translation import Walk
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision

__all__ = ["from_onnx"]

_RULES = {**movement.RULES, **pointwise.RULES, **windows.RULES, **products.RULES}


def from_onnx(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    precision: Precision | None = None,
    batch: int | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Workload:
    """The network in an ONNX file.

    Parameters
    ----------
    path : of the file; operator sets 7 and later.
    name : of the workload; that of the file without its ending where None.
    precision : of the operators that the file does not quantise itself; quantised ones have the bits of the file. A
        file most of whose stored floats are float16, bfloat16 or fp8 computes in that format.
    batch : for a symbolic leading extent, 1 where None.
    input_shapes : shapes by name of the input, for the symbols that are not the batch; "" is the only input. One
        extent less than declared leaves out a symbolic batch.

    Returns
    -------
    Workload : parameters are the stored floats that operators read, each once, and the integers that stand for
        such; batch statistics, shapes, indices and the scales of quantisation do not count.

    Raises
    ------
    SpecError : no ONNX file, one that is damaged, an input without known shape, control flow that the data decide,
        an operator whose result has no known shape, a declared shape other than the computed one, complex numbers;
        or `onnx` is not installed. One line.
    """
    source = Path(path)
    where = source.name or str(source)
    proto = read_model(source)
    shapes = input_shapes_of(declared_inputs(proto, where), where=where, batch=batch, given=input_shapes)
    model = model_of(without_control_flow(proto, shapes, where), where)
    narrow = narrow_float_of(model)
    if narrow:
        precision = precision_named(narrow, where=where)
    model = without_patterns(without_quantisation(model))
    return Walk(model, _RULES, shapes, name=name or source.stem, precision=precision or Precision()).run()
