"""Operators that exporters write out in parts, put together again: GELU, SiLU, Mish, layer normalisation, biases.

Every match is one operator whose parts nothing else reads, so that it computes the same. A network that spells such
a function out by itself looks the same in a file and is read in the same way. Identities, dropout and casts of data
go first, since they stand between the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isclose

from hwmodels.workload.from_onnx.matching import CASTS, Match, StepGraph, joined
from hwmodels.workload.from_onnx.model import Model, Step
from hwmodels.workload.from_onnx.quantised import folded_tensors

__all__ = ["without_patterns"]

_SAME = ("Identity", "Dropout")
_LONGEST_POLYNOMIAL = 12


def without_patterns(model: Model) -> Model:
    """The same file with one step for each function that it writes out."""
    model = _without_identities(model)
    graph = StepGraph(model)
    for index in range(len(graph.steps)):
        for matcher in _MATCHERS.get(graph.kind(index), ()):
            if (step := graph.steps[index]) is None:
                break
            match = matcher(graph, index, step)
            if match is not None:
                graph.replace(match)
    return replace(model, steps=tuple(step for step in graph.steps if step is not None), stored=graph.stored)


def _without_identities(model: Model) -> Model:
    folded = folded_tensors(model.steps, model.stored)
    stands_for: dict[str, str] = {}
    kept: list[Step] = []
    masks = {operand for step in model.steps for operand in step.inputs} | set(model.outputs)
    for step in model.steps:
        inputs = tuple(stands_for.get(operand, operand) for operand in step.inputs)
        is_same = step.kind in _SAME or (step.kind in CASTS and inputs and inputs[0] not in folded)
        if is_same and inputs and step.outputs and not masks.intersection(filter(None, step.outputs[1:])):
            stands_for[step.outputs[0]] = inputs[0]
        else:
            kept.append(replace(step, inputs=inputs))
    outputs = tuple(stands_for.get(output, output) for output in model.outputs)
    return replace(model, steps=tuple(kept), outputs=outputs)


_Matcher = Callable[[StepGraph, int, Step], Match | None]


def _gelu(graph: StepGraph, index: int, step: Step) -> Match | None:
    """x / 2 (1 + erf(x / sqrt 2)), or its approximation by tanh, with the factors in any order."""
    add = graph.read_by(step.outputs[0], "Add")
    if graph.with_scalar(add, 1.0) != step.outputs[0] or add is None:
        return None
    first = graph.read_by(graph.at(add).outputs[0], "Mul")
    if first is None:
        return None
    members = [index, add, first]
    factor = graph.other(first, graph.at(add).outputs[0])
    half = graph.made_by(factor, "Mul")
    if half is not None and (x := graph.with_scalar(half, 0.5)) is not None:
        final = first
        members.append(half)
    else:
        second = graph.read_by(graph.at(first).outputs[0], "Mul", "Div")
        if second is None:
            return None
        is_half = graph.with_scalar(second, 0.5 if graph.kind(second) == "Mul" else 2.0) is not None
        x = factor if is_half else graph.other(second, graph.at(first).outputs[0])
        if not is_half and (graph.scalar(factor) is None or graph.kind(second) != "Mul"):
            return None
        final = second
        members.append(second)
    inner = _polynomial(graph, step.inputs[0], x)
    return None if inner is None else joined(graph, "Gelu", (x,), [*members, *inner], final)


def _polynomial(graph: StepGraph, tensor: str, x: str) -> list[int] | None:
    """The steps between `x` and `tensor`, where those are arithmetic of `x` and numbers alone."""
    members: list[int] = []
    pending = [tensor]
    while pending:
        current = pending.pop()
        if current == x or graph.scalar(current) is not None:
            continue
        index = graph.made_by(current, "Mul", "Div", "Add", "Pow")
        if index is None or len(members) > _LONGEST_POLYNOMIAL:
            return None
        if index not in members:
            members.append(index)
            pending.extend(graph.at(index).inputs)
    return members


def _gated(graph: StepGraph, index: int, step: Step, kind: str, members: Sequence[int] = ()) -> Match | None:
    """x times a function of x, the last member of which is `index`; `step` reads x first."""
    x, gate = step.inputs[0], graph.at(index).outputs[0]
    product = graph.read_by(gate, "Mul")
    if product is None or graph.other(product, gate) != x:
        return None
    return joined(graph, kind, (x,), [*members, index, product], product)


def _silu(graph: StepGraph, index: int, step: Step) -> Match | None:
    return _gated(graph, index, step, "Swish")


def _mish(graph: StepGraph, index: int, step: Step) -> Match | None:
    tanh = graph.read_by(step.outputs[0], "Tanh")
    return None if tanh is None else _gated(graph, tanh, step, "Mish", (index,))


def _hard_swish(graph: StepGraph, index: int, step: Step) -> Match | None:
    """x times HardSigmoid of slope 1/6; other slopes (Keras has 1/5) are the product that is written."""
    is_sixth = isclose(step.attributes.get("alpha", 0.2), 1 / 6, rel_tol=1e-3)
    return _gated(graph, index, step, "HardSwish") if is_sixth else None


def _clipped(graph: StepGraph, index: int, step: Step) -> Match | None:
    """Clip(x + 3, 0, 6) / 6, alone or times x: hard sigmoid and hard swish."""
    low, high = (_bound(graph, step, place) for place in (0, 1))
    add = graph.made_by(step.inputs[0], "Add")
    x = graph.with_scalar(add, 3.0)
    if (low, high) != (0.0, 6.0) or add is None or x is None:
        return None
    reader = graph.read_by(step.outputs[0], "Mul", "Div")
    if reader is None:
        return None
    if _is_sixth(graph, reader):
        product = graph.read_by(graph.at(reader).outputs[0], "Mul")
        if product is not None and graph.other(product, graph.at(reader).outputs[0]) == x:
            return joined(graph, "HardSwish", (x,), (add, index, reader, product), product)
        return joined(graph, "HardSigmoid", (x,), (add, index, reader), reader)
    sixth = graph.read_by(graph.at(reader).outputs[0], "Mul", "Div")
    if graph.other(reader, step.outputs[0]) != x or sixth is None or not _is_sixth(graph, sixth):
        return None
    return joined(graph, "HardSwish", (x,), (add, index, reader, sixth), sixth)


def _bound(graph: StepGraph, step: Step, place: int) -> float | None:
    """A bound of Clip: an operand, or an attribute before opset 11."""
    if len(step.inputs) > place + 1:
        return graph.scalar(step.inputs[place + 1])
    found = step.attributes.get(("min", "max")[place])
    return None if found is None else float(found)


def _is_sixth(graph: StepGraph, index: int) -> bool:
    return graph.with_scalar(index, 6.0 if graph.kind(index) == "Div" else 1 / 6) is not None


def _normalised(graph: StepGraph, index: int, step: Step) -> Match | None:
    """d / sqrt(mean(d²) + epsilon), scale, shift: layer norm where d is x - mean(x), RMS norm where it is x."""
    spread = _mean_square(graph, step.inputs[0])
    if spread is None:
        return None
    deviation, axis, members = spread
    quotient = _quotient(graph, index, deviation)
    if quotient is None:
        return None
    members = [*members, index, *quotient]
    centred = graph.made_by(deviation, "Sub")
    mean = graph.made_by(graph.at(centred).inputs[1], "ReduceMean") if centred is not None else None
    kind, inputs = "RMSNormalization", [deviation]
    if centred is not None and mean is not None and graph.at(mean).inputs[0] == graph.at(centred).inputs[0]:
        kind, inputs = "LayerNormalization", [graph.at(centred).inputs[0]]
        members += [centred, mean]
    final = quotient[-1]
    for affine in ("Mul", "Add") if kind == "LayerNormalization" else ("Mul",):
        reader = graph.read_by(graph.at(final).outputs[0], affine)
        if reader is None or not graph.is_weight(weight := graph.other(reader, graph.at(final).outputs[0])):
            break
        inputs.append(weight)
        members.append(reader)
        final = reader
    return joined(graph, kind, inputs, members, final, over=axis)


def _mean_square(graph: StepGraph, tensor: str) -> tuple[str, int, list[int]] | None:
    """What mean(d²) + epsilon is made of: d, the axis of the mean, the steps."""
    add = graph.made_by(tensor, "Add")
    if add is None:
        return None
    mean = next((m for t in graph.at(add).inputs if (m := graph.made_by(t, "ReduceMean")) is not None), None)
    if mean is None or graph.scalar(graph.other(add, graph.at(mean).outputs[0])) is None:
        return None
    square = graph.made_by(graph.at(mean).inputs[0], "Pow", "Mul")
    axes = graph.at(mean).attributes.get("axes") or graph.integers(graph.at(mean).input(1))
    if square is None or axes is None or len(axes) != 1 or not graph.at(mean).attributes.get("keepdims", 1):
        return None
    first, second = graph.at(square).inputs
    is_square = first == second if graph.kind(square) == "Mul" else graph.scalar(second) == 2.0
    return (first, int(axes[0]), [add, mean, square]) if is_square else None


def _quotient(graph: StepGraph, root: int, deviation: str) -> list[int] | None:
    """The division by a root: at once, or by a product with its reciprocal."""
    made = graph.at(root).outputs[0]
    divide = graph.read_by(made, "Div", "Reciprocal")
    if divide is None:
        return None
    if graph.at(divide).inputs[0] == deviation:
        return [divide]
    if graph.kind(divide) == "Div" and graph.scalar(graph.at(divide).inputs[0]) != 1.0:
        return None
    product = graph.read_by(graph.at(divide).outputs[0], "Mul")
    if product is None or graph.other(product, graph.at(divide).outputs[0]) != deviation:
        return None
    return [divide, product]


def _group_norm(graph: StepGraph, index: int, step: Step) -> Match | None:
    """Instance norm of (batch, groups, rest) between two reshapes, scale and shift behind: group norm."""
    before = graph.made_by(step.inputs[0], "Reshape")
    after = graph.read_by(step.outputs[0], "Reshape")
    if before is None or after is None:
        return None
    shape = graph.integers(graph.at(before).input(1))
    if shape is None or len(shape) != 3 or shape[-1] != -1:
        return None
    inputs, members, final = [graph.at(before).inputs[0]], [before, index, after], after
    for affine in ("Mul", "Add"):
        reader = graph.read_by(graph.at(final).outputs[0], affine)
        if reader is None or not graph.is_weight(weight := graph.other(reader, graph.at(final).outputs[0])):
            break
        inputs.append(weight)
        members.append(reader)
        final = reader
    return joined(graph, "GroupNormalization", inputs, members, final)


def _biased(graph: StepGraph, index: int, step: Step) -> Match | None:
    """A product with a stored matrix and a sum with a stored vector: one linear layer."""
    if not graph.is_weight(step.input(1)) or len(step.inputs) != 2:
        return None
    add = graph.read_by(step.outputs[0], "Add")
    if add is None or not graph.is_weight(bias := graph.other(add, step.outputs[0])):
        return None
    return joined(graph, "MatMul", (*step.inputs, bias), (index, add), add, **step.attributes)


def _biased_convolution(graph: StepGraph, index: int, step: Step) -> Match | None:
    """An integer convolution has its bias behind it, as (1, C, 1, 1)."""
    if len(step.inputs) != 2 or step.activation_bits is None:
        return None
    add = graph.read_by(step.outputs[0], "Add")
    if add is None or not graph.is_weight(bias := graph.other(add, step.outputs[0])):
        return None
    return joined(graph, step.kind, (*step.inputs, bias), (index, add), add, **step.attributes)


def _padded_pool(graph: StepGraph, index: int, step: Step) -> Match | None:
    """Padding with zeros and pooling that does not pad: pooling that counts its padding."""
    pool = graph.read_by(step.outputs[0], "AveragePool")
    pads = step.attributes.get("pads") or graph.integers(step.input(1))
    if pool is None or pads is None or len(pads) != 8 or step.attributes.get("mode", "constant") != "constant":
        return None
    attributes = graph.at(pool).attributes
    begin, end = pads[2:4], pads[6:8]
    if begin != end or any((*pads[:2], *pads[4:6])) or any(attributes.get("pads", ())) or "auto_pad" in attributes:
        return None
    return joined(graph, "AveragePool", step.inputs[:1], (index, pool), pool, **{**attributes, "pads": [*begin, *end]})


def _scores(graph: StepGraph, index: int, step: Step) -> Match | None:
    """Attention that scales queries and keys, half each: the scale is part of the product, as in one kernel.

    The marked products drop out where their other operand is a number; one scale alone is the network's own operator.
    A stored tensor that is added to the scores of all heads alike is a mask, which is not learned.
    """
    below = step.inputs[0]
    mask = graph.made_by(below, "Add", "Where")
    operands = graph.at(mask).inputs if mask is not None else (below,)
    bare = [graph.with_scalar(graph.made_by(t, "Mul", "Div")) or t for t in operands]
    product = next((m for t in bare if (m := graph.made_by(t, "MatMul")) is not None), None)
    if product is None or len(graph.at(product).inputs) != 2:
        return None
    for operand in operands:
        stored = graph.stored.get(operand)
        if stored is not None and (len(stored.shape) == 2 or stored.shape[-3:-2] == (1,)):
            graph.stored[operand] = replace(stored, role="fixed")
    scales: list[int] = []
    for operand in graph.at(product).inputs:
        move = graph.made_by(operand, "Transpose")
        scale = graph.made_by(graph.at(move).inputs[0] if move is not None else operand, "Mul")
        if scale is None or not any(t in graph.folded for t in graph.at(scale).inputs):
            return None
        scales.append(scale)
    for scale in scales:
        graph.steps[scale] = replace(graph.at(scale), kind="Scale")
    return None


def _safe_softmax(graph: StepGraph, index: int, step: Step) -> Match | None:
    """Softmax with zeros in the place of rows that are masked as a whole."""
    readers = sorted(graph.readers(step.outputs[0]), key=graph.kind)
    if [graph.kind(reader) for reader in readers] != ["IsNaN", "Where"]:
        return None
    test, where = readers
    if graph.at(where).inputs[0] not in graph.at(test).outputs:
        return None
    return joined(graph, "Softmax", step.inputs, (index, test, where), where, **step.attributes)


_MATCHERS: dict[str, tuple[_Matcher, ...]] = {
    "Erf": (_gelu,),
    "Tanh": (_gelu,),
    "Sigmoid": (_silu,),
    "Softplus": (_mish,),
    "HardSigmoid": (_hard_swish,),
    "Clip": (_clipped,),
    "Sqrt": (_normalised,),
    "InstanceNormalization": (_group_norm,),
    "MatMul": (_biased,),
    "Conv": (_biased_convolution,),
    "Pad": (_padded_pool,),
    "Softmax": (_scores, _safe_softmax),
}
"""By the kind of the step where the search begins."""
