"""Quantised files as float ones with bits: what a compiled runtime executes in integers is one operator here.

Written out: QuantizeLinear and DequantizeLinear around float operators, whose pairs vanish into the bits of what
they surround; the operators that take integers, scales and zero points (QLinearConv ...), which become their float
twins; and integer products behind DynamicQuantizeLinear, whose cast and scale vanish. A call has the bits of a file
only where all its data are quantised, or where its result is; other calls keep the precision of the importer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from hwmodels.workload.from_onnx.model import Model, Step, Stored, bits_of_type

__all__ = ["folded_tensors", "without_quantisation"]

_MICROSOFT = "com.microsoft."

_MOVES = frozenset((
    "Identity", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "Concat", "Pad",
    "Expand", "Tile", "Dropout", "DepthToSpace", "SpaceToDepth", "Relu", "Clip", "MaxPool", "GlobalMaxPool", "Resize",
    "Upsample", "ReduceMax",
))  # fmt: skip
"""Operators whose result takes no more bits than their data."""

_WEIGHT_AT = {
    "Conv": 1, "ConvTranspose": 1, "MatMul": 1, "Gemm": 1, "Gather": 0, "LSTM": 1, "GRU": 1, "RNN": 1, "PRelu": 1,
    "BatchNormalization": 1, "LayerNormalization": 1, "GroupNormalization": 1, "InstanceNormalization": 1,
    "RMSNormalization": 1, "SimplifiedLayerNormalization": 1,
    f"{_MICROSOFT}FusedMatMul": 1, f"{_MICROSOFT}FusedGemm": 1,
}  # fmt: skip
"""Where operators that store have their weight; for all others one width is both."""

_TWINS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...]]] = {
    "QLinearConv": ("Conv", (0, 3, 8), (3, 8)),
    f"{_MICROSOFT}QLinearConv": ("Conv", (0, 3, 8), (3, 8)),
    "QLinearMatMul": ("MatMul", (0, 3), (3,)),
    "ConvInteger": ("Conv", (0, 1), (1,)),
    "MatMulInteger": ("MatMul", (0, 1), (1,)),
    f"{_MICROSOFT}QGemm": ("Gemm", (0, 3, 6), (3, 6)),
    f"{_MICROSOFT}QLinearAdd": ("Add", (0, 3), (0, 3)),
    f"{_MICROSOFT}QLinearMul": ("Mul", (0, 3), (0, 3)),
    f"{_MICROSOFT}QLinearSigmoid": ("Sigmoid", (0,), ()),
    f"{_MICROSOFT}QLinearLeakyRelu": ("LeakyRelu", (0,), ()),
    f"{_MICROSOFT}QLinearSoftmax": ("Softmax", (0,), ()),
    f"{_MICROSOFT}QLinearReduceMean": ("ReduceMean", (0,), ()),
    f"{_MICROSOFT}QLinearAveragePool": ("AveragePool", (0,), ()),
    f"{_MICROSOFT}QLinearGlobalAveragePool": ("GlobalAveragePool", (0,), ()),
    f"{_MICROSOFT}MatMulIntegerToFloat": ("MatMul", (0, 1, 6), (1, 6)),
    f"{_MICROSOFT}QAttention": (f"{_MICROSOFT}Attention", (0, 1, 2), (1,)),
    f"{_MICROSOFT}DynamicQuantizeLSTM": ("LSTM", (0, 1, 2, 3, 4, 5, 6, 7), (1, 2)),
    f"{_MICROSOFT}DynamicQuantizeMatMul": ("MatMul", (0, 1, 4), (1, 4)),
}
"""Float twin, the places of its operands, and those of them that hold weights where they are stored."""

_IN_BLOCKS = tuple(f"{_MICROSOFT}{kind}" for kind in ("MatMulNBits", "MatMulBnb4", "GatherBlockQuantized"))
"""Operators whose weights stand in blocks of `bits`, 4 unless said."""

_QUANTISE = ("QuantizeLinear", f"{_MICROSOFT}QuantizeLinear")
_DEQUANTISE = ("DequantizeLinear", f"{_MICROSOFT}DequantizeLinear")


def folded_tensors(steps: Iterable[Step], stored: Iterable[str]) -> set[str]:
    """Names of the tensors that depend on no data, shapes of data apart."""
    folded = set(stored)
    for step in steps:
        if step.kind in ("Shape", "Size") or all(operand in folded for operand in step.inputs if operand):
            folded.update(filter(None, step.outputs))
    return folded


def without_quantisation(model: Model) -> Model:
    """The same file in float operators that carry their bits."""
    if not any(_is_quantised(step) or _is_of_table(step, model.stored) for step in model.steps):
        return model
    rewriting = _Rewriting(model)
    steps = tuple(found for step in model.steps for found in rewriting.step(step))
    return replace(model, steps=steps, stored=rewriting.stored)


def _is_quantised(step: Step) -> bool:
    kinds = (*_QUANTISE, *_DEQUANTISE, "DynamicQuantizeLinear", *_IN_BLOCKS, *_TWINS)
    return step.kind in kinds or step.kind == f"{_MICROSOFT}QLinearConcat"


def _is_of_table(step: Step, stored: Mapping[str, Stored]) -> bool:
    """Whether a step picks rows of a stored table of bytes, which whoever reads the rows scales."""
    table = stored.get(step.input(0))
    return step.kind == "Gather" and table is not None and table.is_integer and table.role == "constant"


class _Rewriting:
    """One pass in topological order; `bits` holds the width of every tensor that the file quantises."""

    def __init__(self, model: Model) -> None:
        self.stored = dict(model.stored)
        self.bits: dict[str, int] = {
            name: bits_of_type(element_type)
            for name, element_type in model.types.items()
            if element_type in (2, 3) and name in model.inputs  # unsigned and signed bytes: pixels
        }
        self._accumulators: set[str] = set()  # results of integer products that are not yet scaled
        self._folded = folded_tensors(model.steps, model.stored)
        self._quantised = _results_quantised(model, self._zero_point_bits)

    def step(self, step: Step) -> list[Step]:
        """What a step becomes."""
        kind = step.kind
        if all(operand in self._folded for operand in step.inputs if operand):  # scales of scales
            self._folded.update(step.outputs)
        if kind in _QUANTISE:
            self.bits[step.outputs[0]] = self._zero_point_bits(step)
            return [self._identity(step)]
        if kind in _DEQUANTISE:
            return self._dequantised(step)
        if kind == "DynamicQuantizeLinear":
            self.bits[step.outputs[0]] = 8
            self.stored.update((name, Stored(name, (), "fixed")) for name in step.outputs[1:] if name)
            self._folded.update(step.outputs[1:])
            return [self._identity(step)]
        if kind == f"{_MICROSOFT}QLinearConcat":
            return [self._concatenated(step)]
        if kind in _TWINS:
            return [self._twin(step)]
        if step.inputs and kind in ("Cast", "Mul") and self._accumulators.intersection(step.inputs):
            return self._scaled(step)
        return [self._float(step)]

    def _identity(self, step: Step, source: str = "") -> Step:
        return Step("Identity", (source or step.inputs[0],), step.outputs[:1], name=step.name)

    def _dequantised(self, step: Step) -> list[Step]:
        source, target = step.inputs[0], step.outputs[0]
        self._count(source)
        if source in self.bits:
            self.bits[target] = self.bits[source]
        elif source in self.stored and self.stored[source].is_integer:
            self.bits[target] = self.stored[source].bits
        return [self._identity(step)]

    def _count(self, name: str) -> None:
        """An integer tensor that stands for learned numbers is a parameter; scales and zero points are not."""
        if name in self.stored and self.stored[name].is_integer:
            self.stored[name] = replace(self.stored[name], role="parameter")

    def _width(self, name: str) -> int | None:
        if name in self.bits:
            return self.bits[name]
        return self.stored[name].bits if name in self.stored and self.stored[name].is_integer else None

    def _zero_point_bits(self, step: Step) -> int:
        """Bits of what QuantizeLinear makes: by its zero point, else by an attribute, else bytes."""
        name = step.input(2)
        if name in self.stored:
            return self.stored[name].bits
        return bits_of_type(int(step.attributes.get("output_dtype", 0))) or 8

    def _twin(self, step: Step) -> Step:
        kind, places, weights = _TWINS[step.kind]
        for place in weights:
            self._count(step.input(place))
        operands = tuple(step.input(place) for place in places)
        second = self._width(operands[1]) if len(operands) > 1 else None
        first = self._width(operands[0]) or 8
        if "Integer" in step.kind and not step.kind.startswith(_MICROSOFT):
            self._accumulators.add(step.outputs[0])
        elif step.kind.startswith((f"{_MICROSOFT}Q", "Q")) and not step.kind.endswith("QAttention"):
            self.bits[step.outputs[0]] = first
        return Step(kind, operands, step.outputs, step.attributes, step.name, second or first, first)

    def _concatenated(self, step: Step) -> Step:
        """Inputs: scale and zero point of the result, then tensor, scale and zero point of each part."""
        parts = step.inputs[2::3]
        width = max((self._width(part) or 8 for part in parts), default=8)
        self.bits[step.outputs[0]] = width
        return Step("Concat", parts, step.outputs, step.attributes, step.name, width, width)

    def _scaled(self, step: Step) -> list[Step]:
        """A cast of an integer product, or its product with the scales: part of the operator."""
        source = next(operand for operand in step.inputs if operand in self._accumulators)
        others = [operand for operand in step.inputs if operand != source]
        if not all(operand in self._folded for operand in others):
            return [self._float(step)]
        if step.kind == "Cast":
            self._accumulators.add(step.outputs[0])
        return [self._identity(step, source)]

    def _float(self, step: Step) -> Step:
        """A float operator between quantised tensors; a table of bytes gives rows of bytes."""
        if _is_of_table(step, self.stored):
            self.bits.setdefault(step.inputs[0], self.stored[step.inputs[0]].bits)
        weight = step.input(_WEIGHT_AT[step.kind]) if step.kind in _WEIGHT_AT else ""
        if step.kind in _IN_BLOCKS:
            return replace(step, weight_bits=int(step.attributes.get("bits", 4)))
        widths = [self.bits.get(operand) for operand in step.inputs if operand and operand not in self._folded]
        known = [width for width in widths if width is not None]
        width = max(known) if known and len(known) == len(widths) else self._quantised.get(next(iter(step.outputs), ""))
        if step.kind in _MOVES and step.inputs and step.inputs[0] in self.bits:
            self.bits.update((output, self.bits[step.inputs[0]]) for output in step.outputs if output)
        stored = self.bits.get(weight) if step.kind in _WEIGHT_AT else width
        return replace(step, weight_bits=stored, activation_bits=width)


def _results_quantised(model: Model, bits_of: Callable[[Step], int]) -> Mapping[str, int]:
    """Bits of every tensor that nothing but QuantizeLinear reads."""
    found: dict[str, int] = {}
    others = set(model.outputs)
    for step in model.steps:
        if step.kind in _QUANTISE:
            found[step.inputs[0]] = bits_of(step)
        else:
            others.update(step.inputs)
    return {name: bits for name, bits in found.items() if name not in others}
