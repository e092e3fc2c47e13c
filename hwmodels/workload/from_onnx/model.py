"""What a file says, in plain records: stored tensors, inputs as declared, and operators in an order to run them in.

A `Constant` is a stored tensor like an initialiser. Small values are kept, since shapes are computed from them; those
of weights are not read. Not modelled: control flow, sequences and optional values, which are refused here.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from math import ceil, prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.reading import import_onnx, opset_of
from hwmodels.workload.ops import Shape

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

__all__ = [
    "SMALL",
    "Array",
    "Dimension",
    "Model",
    "Step",
    "Stored",
    "bits_of_type",
    "constant_of",
    "declared_inputs",
    "model_of",
    "narrow_float_of",
    "step_of",
    "stored_of",
]

Array = npt.NDArray[Any]
Dimension = int | str
"""An extent, or the symbol that stands for one; "" is one that nothing is said of."""

SMALL = 256
"""Elements up to which the values of a tensor are kept: shapes, paddings, axes, scales."""

_MOST_ELEMENTS = 2**48
_NARROW_FLOATS = {"FLOAT16": "fp16", "BFLOAT16": "bf16", "FLOAT8E4M3FN": "fp8", "FLOAT8E5M2": "fp8_e5m2"}
_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of the file.

    role : "parameter" counts wherever it is read; "constant" counts where an operator reads it as its weight, and
        is data elsewhere; "fixed" (shapes, indices, scales of quantisation) never counts.
    bits : of an element. narrow : the float format of an element narrower than float32, by its name.
    value : of a small tensor whose data are in the file.
    """

    name: str
    shape: Shape
    role: Literal["parameter", "constant", "fixed"]
    bits: int = 32
    is_integer: bool = False
    narrow: str = ""
    value: Array | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One operator call; an absent operand is "". `kind` carries the domain where it is not the standard one.

    The bits are those that the file's quantisation gives the call, None where it gives none.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    weight_bits: int | None = None
    activation_bits: int | None = None

    def input(self, index: int) -> str:
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True)
class Model:
    """A file: its steps in topological order.

    where : its name, for messages.
    inputs : declared extents of the inputs that are not stored, None where not even their number is known.
    types : element type of each of the inputs, as the format numbers them.
    proto : what it was read from.
    """

    where: str
    opset: int
    inputs: dict[str, tuple[Dimension, ...] | None]
    types: dict[str, int]
    stored: dict[str, Stored]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    proto: ModelProto


def narrow_float_of(model: Model) -> str:
    """The float format narrower than float32 that most of the file's stored floats have, by its name; "" if none."""
    elements: dict[str, int] = {}
    for tensor in model.stored.values():
        if tensor.role == "parameter":
            elements[tensor.narrow] = elements.get(tensor.narrow, 0) + prod(tensor.shape)
    return max(elements, key=elements.__getitem__, default="")


def bits_of_type(element_type: int) -> int:
    """Bits of an element, from the name of its type; 0 for text and what is undefined."""
    name = _type_name(element_type)
    named = {"FLOAT": 32, "DOUBLE": 64, "BOOL": 8}
    digits = name.partition("E")[0] if name.startswith("FLOAT") and name != "FLOAT" else name
    return named.get(name) or int("".join(filter(str.isdigit, digits)) or 0)


def _type_name(element_type: int) -> str:
    types = import_onnx().TensorProto.DataType
    return str(types.Name(element_type)) if element_type in types.values() else "UNDEFINED"


def model_of(proto: ModelProto, where: str) -> Model:
    """Read the records out of a message.

    Raises
    ------
    SpecError : control flow, an operand that nothing makes, a tensor made twice, a cycle, data of another size than
        declared, no output.
    """
    graph = proto.graph
    stored: dict[str, Stored] = {}
    sparse = (_dense(tensor.values, tensor.dims) for tensor in graph.sparse_initializer)
    for tensor in (*graph.initializer, *sparse):
        if tensor.name in stored:
            raise SpecError(f"{where}: initialisers", tensor.name, "a unique name")
        stored[tensor.name] = stored_of(tensor, where)
    inputs = declared_inputs(proto, where)
    steps: list[Step] = []
    opset = opset_of(proto)
    for node in graph.node:
        step = step_of(node, where)
        _check_operands(step, opset, where)
        if step.kind == "Constant" and len(step.outputs) == 1:
            _add(stored, constant_of(step), where)
        else:
            steps.append(step)
    outputs = tuple(value.name for value in graph.output)
    if not outputs:
        raise SpecError(f"{where}: outputs", "an empty list", "at least one output")
    ordered = _ordered(steps, {*stored, *inputs}, outputs, where)
    types = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    return Model(where, opset, inputs, types, stored, ordered, outputs, proto)


def declared_inputs(proto: ModelProto, where: str) -> dict[str, tuple[Dimension, ...] | None]:
    """Extents of the inputs that are not stored, by name; None where not even their number is known.

    Raises
    ------
    SpecError : an input that is no tensor of real numbers, a name that is no line of text.
    """
    graph = proto.graph
    _check_texts(graph, where)
    stored = {*(tensor.name for tensor in graph.initializer), *(t.values.name for t in graph.sparse_initializer)}
    for value in graph.input:
        _check_real(value.type.tensor_type.elem_type, f"{where}: input {value.name}")
    return {value.name: _declared(value, where) for value in graph.input if value.name not in stored}


def _check_real(element_type: int, where: str) -> None:
    if (kind := _type_name(element_type)).startswith("COMPLEX"):
        raise SpecError(where, kind, "a type of real numbers", "write real and imaginary parts as an axis of two")


def _check_texts(graph: GraphProto, where: str) -> None:
    """Every name is a line of text: the parser hands over what is no text as bytes."""
    for name in _texts(graph):
        if not isinstance(name, str) or name.splitlines() not in ([], [name]):
            raise SpecError(where, repr(name), "a name in one line of text")


def _texts(graph: GraphProto) -> Iterator[str]:
    """All names of a graph and of the graphs inside it."""
    values = (*graph.input, *graph.output)
    yield graph.name
    yield from (value.name for value in values)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (dim.dim_param for value in values for dim in value.type.tensor_type.shape.dim)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.t.name)
            if attribute.HasField("g"):
                yield from _texts(attribute.g)


def _add(stored: dict[str, Stored], tensor: Stored, where: str) -> None:
    if tensor.name in stored:
        raise SpecError(where, tensor.name, "made once")
    stored[tensor.name] = tensor


def _dense(values: TensorProto, dims: Iterable[int]) -> TensorProto:
    """A sparse tensor under its dense shape; its data are where those of a large tensor would be."""
    dense: TensorProto = import_onnx().TensorProto(name=values.name, dims=dims, data_type=values.data_type)
    dense.data_location = dense.EXTERNAL
    return dense


def _declared(value: ValueInfoProto, where: str) -> tuple[Dimension, ...] | None:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "untyped"
        raise SpecError(f"{where}: input {value.name}", kind, "a tensor")
    if not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in dims)


def step_of(node: NodeProto, where: str) -> Step:
    """An operator call of a graph.

    Raises
    ------
    SpecError : an operator with a subgraph.
    """
    domain = "" if node.domain in ("", "ai.onnx") else f"{node.domain}."
    name = node.name or next((output for output in node.output if output), node.op_type)
    types = import_onnx().AttributeProto
    has_graph = any(attribute.type in (types.GRAPH, types.GRAPHS) for attribute in node.attribute)
    if node.op_type in _CONTROL_FLOW or has_graph:
        raise SpecError(f"{where}: {name}", node.op_type, "an operator without a subgraph, as control flow has")
    attributes = {attribute.name: _attribute(attribute, where) for attribute in node.attribute}
    return Step(domain + node.op_type, tuple(node.input), tuple(node.output), attributes, name)


def _check_operands(step: Step, opset: int, where: str) -> None:
    """As many operands and results as the operator has at least; one of each where it is not of the standard.

    A result that is not made is "": every result of a recurrent layer may be, but for one.
    """
    operands, results = _fewest(step.kind, opset)
    made = sum(map(bool, step.outputs))
    if len(step.inputs) < operands or not made or not all(step.outputs[:results]) or len(step.outputs) < results:
        got = f"{step.kind} of {len(step.inputs)} operands and {made} results"
        raise SpecError(f"{where}: {step.name}", got, f"one of at least {operands} and {max(results, 1)}")


@cache
def _fewest(kind: str, opset: int) -> tuple[int, int]:
    onnx = import_onnx()
    if not onnx.defs.has(kind, opset, ""):
        return 1, 1
    schema = onnx.defs.get_schema(kind, opset, "")
    return schema.min_input, schema.min_output


def _attribute(attribute: AttributeProto, where: str) -> Any:
    types = import_onnx().AttributeProto
    match attribute.type:
        case types.FLOAT:
            return attribute.f
        case types.INT:
            return attribute.i
        case types.STRING:
            return attribute.s.decode(errors="replace")
        case types.FLOATS:
            return list(attribute.floats)
        case types.INTS:
            return list(attribute.ints)
        case types.STRINGS:
            return [text.decode(errors="replace") for text in attribute.strings]
        case types.TENSOR:
            return stored_of(attribute.t, where)
        case types.SPARSE_TENSOR:
            return stored_of(_dense(attribute.sparse_tensor.values, attribute.sparse_tensor.dims), where)
    return None


def constant_of(step: Step) -> Stored:
    """What a `Constant` holds: floats may be weights, integers are shapes and indices."""
    name = step.outputs[0]
    for held in step.attributes.values():
        if isinstance(held, Stored):
            return replace(held, name=name, role="fixed" if held.role == "fixed" else "constant")
        if isinstance(held, int | float | list) and not (isinstance(held, list) and held and isinstance(held[0], str)):
            value = np.asarray(held)
            kept = value if value.size <= SMALL else None
            return Stored(name, value.shape, "fixed" if value.dtype.kind == "i" else "constant", value=kept)
    return Stored(name, (), "fixed")


def stored_of(tensor: TensorProto, where: str) -> Stored:
    """A stored tensor, its shape held against its data.

    Raises
    ------
    SpecError : data of another size, complex numbers, an extent below zero.
    """
    _check_real(tensor.data_type, f"{where}: {tensor.name}")
    shape = tuple(tensor.dims)
    elements = prod(shape)
    if min(shape, default=0) < 0 or elements > _MOST_ELEMENTS:
        raise SpecError(f"{where}: {tensor.name}", shape, f"a shape of at most {_MOST_ELEMENTS} elements")
    bits, kind = bits_of_type(tensor.data_type), _type_name(tensor.data_type)
    is_inside = tensor.data_location != tensor.EXTERNAL
    if is_inside:
        _check_size(tensor, elements, bits, where)
    is_integer = kind.startswith(("INT", "UINT"))
    return Stored(
        name=tensor.name,
        shape=shape,
        role=_role(kind, bits, shape),
        bits=bits,
        is_integer=is_integer,
        narrow=_NARROW_FLOATS.get(kind, ""),
        value=_value(tensor, where)
        if is_inside and elements <= SMALL and kind not in ("STRING", "UNDEFINED")
        else None,
    )


def _role(kind: str, bits: int, shape: Shape) -> Literal["parameter", "constant", "fixed"]:
    """Floats are learned; a matrix of bytes or less stands for such where it is read as a weight."""
    if kind.startswith(("FLOAT", "BFLOAT", "DOUBLE")):
        return "parameter"
    return "constant" if kind.startswith(("INT", "UINT")) and bits <= 8 and len(shape) > 1 else "fixed"


def _check_size(tensor: TensorProto, elements: int, bits: int, where: str) -> None:
    """The declared shape against the data; types below a byte may be packed or not."""
    given = len(tensor.raw_data)
    packed, loose = ceil(elements * bits / 8), elements * max(bits, 8) // 8
    if not tensor.HasField("raw_data"):
        fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
        given = max(len(values) for values in (*fields, tensor.string_data))
        packed, loose = min(packed, elements), elements
    if not packed <= given <= loose:
        raise SpecError(
            f"{where}: {tensor.name}", f"{given} units of data", f"what the shape {tuple(tensor.dims)} needs"
        )


def _value(tensor: TensorProto, where: str) -> Array:
    from onnx import numpy_helper

    try:
        value: Array = numpy_helper.to_array(tensor)
    except Exception as error:  # of numpy or onnx, by what is wrong with the data
        raise SpecError(f"{where}: {tensor.name}", error, "a tensor") from None
    return value


def _ordered(steps: list[Step], known: set[str], outputs: tuple[str, ...], where: str) -> tuple[Step, ...]:
    """Topological order, the given one among equals; every operand made once, and made at all."""
    maker: dict[str, int] = {}
    for index, step in enumerate(steps):
        for output in filter(None, step.outputs):
            if output in maker or output in known:
                raise SpecError(f"{where}: {step.name}", output, "a tensor that nothing else makes")
            maker[output] = index
    readers: list[list[int]] = [[] for _ in steps]
    waits_for = [0] * len(steps)
    for index, step in enumerate(steps):
        for operand in filter(None, step.inputs):
            if operand in maker:
                readers[maker[operand]].append(index)
                waits_for[index] += 1
            elif operand not in known:
                raise SpecError(f"{where}: {step.name}", operand, "a tensor of this graph")
    for output in outputs:
        if output not in maker and output not in known:
            raise SpecError(f"{where}: outputs", output, "a tensor of this graph")
    ready = [index for index, count in enumerate(waits_for) if not count]
    heapq.heapify(ready)
    order: list[Step] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(steps[index])
        for reader in readers[index]:
            waits_for[reader] -= 1
            if not waits_for[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(steps):
        raise SpecError(where, "the graph", "acyclic")
    return tuple(order)
