"""Walks the steps of a file and writes each down in this project's vocabulary.

Values are of the three sorts that an import from torch has too: those that depend on an input, which become nodes;
those made of parameters, which become nodes only where they are read as tensors and are otherwise the weights of the
operator that reads them; and those made of neither, which are data without cost. Small values of the last two sorts
are known, so that shapes can be computed from them. Every parameter counts once, where it is first read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from math import prod

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.workload.formats import coded, integer
from hwmodels.workload.from_onnx.call import Call, Made, Operand, Rule, Tensor
from hwmodels.workload.from_onnx.copies import Copies
from hwmodels.workload.from_onnx.declared import check_declared
from hwmodels.workload.from_onnx.folding import evaluate
from hwmodels.workload.from_onnx.inference import Inference
from hwmodels.workload.from_onnx.model import Array, Model, Step
from hwmodels.workload.from_torch.call import Value
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops import Constant, Operator, Precision, Shape, Unknown, View, Zeros

__all__ = ["Walk"]

_MOST_ELEMENTS = 2**48
_DEEPEST = 64  # computations of a weight that are written out when it is read as a tensor
_WIDEST = 1000  # tensors looked at for the parameters behind a weight
_LARGEST = 2**63 - 1  # of a table's columns

_OF_SHAPE = frozenset(("ConstantOfShape", "Range", "EyeLike"))
_OF_SHAPE_LIKE = frozenset(("RandomNormalLike", "RandomUniformLike", "Bernoulli", "EyeLike"))
_PRODUCTS = frozenset(("MatMul", "Gemm", "Conv", "Einsum", "LSTM", "GRU", "RNN", "Attention"))


class Walk:
    """The state of one walk: nodes written, values known, parameters counted."""

    def __init__(
        self, model: Model, rules: Mapping[str, Rule], shapes: Mapping[str, Shape], *, name: str, precision: Precision
    ) -> None:
        self.model, self.name, self.precision = model, name, precision
        self.batch = next((shape[0] for shape in shapes.values() if shape), 1)
        self.nodes: dict[str, Node] = {}
        self.known: dict[str, Array] = {s.name: s.value for s in model.stored.values() if s.value is not None}
        self._rules, self._input_shapes = rules, shapes
        self._current = precision
        self._values: dict[str, str] = {}
        self._folded: dict[str, Step | None] = dict.fromkeys(model.stored)  # without data -> the step that makes it
        self._shapes: dict[str, Shape] = {name: stored.shape for name, stored in model.stored.items()}
        # A single number is no operand of arithmetic, whatever it is; the bias of one output is claimed all the same.
        self._learned = {s.name for s in model.stored.values() if s.role == "parameter" and prod(s.shape) != 1}
        self._computed: set[str] = set()  # folded values that a matrix product makes
        self._left = {name: prod(s.shape) for name, s in model.stored.items() if s.role != "fixed"}
        self._read: dict[str, None] = {}
        self._numbers: dict[str, int] = {}
        self._inference = Inference(model, shapes)
        self._copies = Copies(model)
        self.readers: dict[str, set[str]] = {}
        for step in model.steps:
            for operand in step.inputs:
                self.readers.setdefault(operand, set()).add(step.kind)
        self._depth = 0
        self._is_dry = False

    def run(self) -> Workload:
        """Walk the file; views that nothing looks at are left out."""
        for name, shape in self._input_shapes.items():
            if 0 in shape:
                self.leave_empty(name, shape)
            else:
                self._values[name] = self.add(Input(shape), (), name)
        for step in self.model.steps:
            self._visit(step)
        check_declared(self.model, {name: self.nodes[node].shape for name, node in self._values.items()})
        outputs = dict.fromkeys(self.node_of(Tensor(name)) for name in self.model.outputs)
        for name in self._read:
            if self._left[name] and name in self._learned:
                self.add(Constant((self._left[name],)), (), name)
        workload = Workload.of(self.name, self._live(outputs), outputs)
        totals = (sum(max(row) for _, row in workload.rows()), workload.macs, workload.parameters)
        if max(totals) > _LARGEST:
            raise SpecError(self.model.where, "a network of this size", "countable in 63 bits")
        return workload

    def _live(self, outputs: Iterable[str]) -> list[Node]:
        needed = set(outputs)
        for node in reversed(self.nodes.values()):
            if node.name in needed or not node.operator.is_view or isinstance(node.operator, Input):
                needed.update((node.name, *node.inputs))
        return [node for node in self.nodes.values() if node.name in needed]

    def _visit(self, step: Step) -> None:
        operands = [name for name in step.inputs if name]
        if step.kind in ("Shape", "Size"):
            self._fold(step, [self._measured(step)])
        elif step.kind in _OF_SHAPE_LIKE or all(name in self._folded for name in operands):
            values = [self.known.get(name) if name else None for name in step.inputs]
            is_known = all(value is not None or not name for name, value in zip(step.inputs, values, strict=True))
            self._fold(step, evaluate(step.kind, values, step.attributes) if is_known else None)
        else:
            self._keep(step, self._translate(step))

    def _measured(self, step: Step) -> Array:
        """Shape and Size of anything."""
        shape = self.shape_of(Tensor(step.inputs[0]))
        start, end = step.attributes.get("start", 0), step.attributes.get("end", len(shape))
        return np.asarray(prod(shape)) if step.kind == "Size" else np.asarray(shape[start:end], dtype=np.int64)

    def _fold(self, step: Step, results: list[Array] | None) -> None:
        """A value without data is written down where it is read; its shape is that of a trial."""
        operands = [name for name in step.inputs if name and name in self._folded]
        is_learned = step.kind not in ("Shape", "Size") and any(name in self._learned for name in operands)
        is_product = step.kind in _PRODUCTS or any(name in self._computed for name in operands)
        for output in filter(None, step.outputs):
            self._folded[output] = step
            if is_learned:
                self._learned.add(output)
            if is_product:
                self._computed.add(output)
        if results is not None:
            for output, result in zip(step.outputs, results, strict=False):
                self.known[output] = result
                self._shapes[output] = result.shape
        else:
            self._shapes.update(self._trial(step))

    def _trial(self, step: Step) -> dict[str, Shape]:
        """Shapes of the results of a step without data: of its rule on operands of the same shapes."""
        if step.kind == "ConstantOfShape" or step.kind in _OF_SHAPE_LIKE or step.kind == "Range":
            return self._filled(step)
        trial = copy(self)
        trial.nodes, trial._values, trial._numbers, trial._is_dry = {}, {}, {}, True
        try:
            for name in filter(None, step.inputs):
                if name not in trial._values:
                    trial._values[name] = trial.add(Input(self.shape_of(Tensor(name))), (), name)
            value = trial._translate(step)
        except SpecError:
            return {}  # nobody may ask
        results = value if isinstance(value, tuple) else (value,)
        found = zip(step.outputs, results, strict=False)
        return {output: trial.nodes[result].shape for output, result in found if output and result is not None}

    def _filled(self, step: Step) -> dict[str, Shape]:
        """Shapes of what is made of a shape."""
        if step.kind == "ConstantOfShape":
            given = self.known.get(step.inputs[0])
            return {} if given is None else {step.outputs[0]: tuple(int(extent) for extent in given)}
        if step.kind == "Range":
            limits = [self.known.get(name) for name in step.inputs]
            if any(limit is None for limit in limits):
                return {}
            start, limit, delta = (float(np.reshape(limit, -1)[0]) for limit in limits)  # type: ignore[arg-type]
            return {step.outputs[0]: (max(0, -int((start - limit) // delta)),)} if delta else {}
        return {step.outputs[0]: self.shape_of(Tensor(step.inputs[0]))}

    def _keep(self, step: Step, value: Value) -> None:
        results = value if isinstance(value, tuple) else (value,)
        for output, result in zip(step.outputs, results, strict=False):
            if output and result is not None:
                self._values[output] = result

    def _translate(self, step: Step) -> Value:
        before = self._current
        self._current = self._precision_of(step)
        rule = self._rules.get(step.kind)
        try:
            value = rule(Call(self, step)) if rule is not None else None
            return self._unknown(step) if value is None else value
        except SpecError:
            raise
        except Exception as error:  # an attribute or operand that a damaged file gives another form
            told = f"{step.kind} ({type(error).__name__}: {error})"
            raise SpecError(self.place(step), told, "a valid operator") from None
        finally:
            self._current = before

    def _precision_of(self, step: Step) -> Precision:
        """The bits that the file's quantisation gives, integers; the precision of the walk where it gives none."""
        own = self.precision
        weight = coded(integer(step.weight_bits)) if step.weight_bits else (own.weight_bits, own.weight_format)
        activation = own.activation_bits, own.activation_format
        if step.activation_bits:
            activation = coded(integer(step.activation_bits))
        return Precision(weight[0], activation[0], own.accumulator_bits, weight[1], activation[1])

    def _unknown(self, step: Step) -> Value:
        """Outside the vocabulary: moves its data and its first result, and stores the parameters that it reads."""
        shapes = [self._inference.shape(output) if output else None for output in step.outputs]
        first = next((index for index, output in enumerate(step.outputs) if output), 0)
        if not shapes or shapes[first] is None:
            raise SpecError(self.place(step), step.kind, "an operator whose result has a shape that is known")
        data = [name for name in step.inputs if name and (self._is_dry or not self.is_folded(name))]
        stored = sum(self.claim(name, whole=True) for name in step.inputs if name and self.is_folded(name))
        read = tuple(self.node_of(Tensor(name)) for name in data)
        shape = shapes[first] or ()
        main = self.add(Unknown(step.kind, shape, stored), read, self.label(step))
        others = (
            None if s is None else self.add(View(s), (main,), f"{self.label(step)}.result") for s in shapes[first + 1 :]
        )
        return (*(None for _ in range(first)), main, *others)

    def leave_empty(self, name: str, shape: Shape) -> None:
        """A tensor without elements is a known value: nothing reads data from it."""
        self._folded[name] = None
        self._shapes[name] = shape
        self.known[name] = np.zeros(shape)

    def is_folded(self, name: str) -> bool:
        """Whether a value depends on no data."""
        return name in self._folded

    def is_weight(self, name: str) -> bool:
        """Whether a value is made of stored tensors alone, by no matrix product."""
        return name in self._folded and name not in self._computed

    def shape_of(self, operand: Operand) -> Shape:
        if isinstance(operand, Made):
            return self.nodes[operand.node].shape
        value = self._values.get(operand.name)
        if value is not None:
            return self.nodes[value].shape
        found = self._shapes.get(operand.name)
        if found is None:
            found = self._inference.shape(operand.name)
        if found is None:
            raise SpecError(f"{self.model.where}: {operand.name}", "its shape", "known before the network runs")
        return found

    def node_of(self, operand: Operand) -> str:
        """The node of a value; one that depends on no data is written down when it is first read."""
        if isinstance(operand, Made):
            return operand.node
        name = operand.name
        if name not in self._values:
            if name not in self._folded:
                raise SpecError(f"{self.model.where}: {name}", "a further result", "one that this importer writes")
            self._write(name)
        return self._values[name]

    def _write(self, name: str) -> None:
        step, shape = self._folded[name], self.shape_of(Tensor(name))
        label = name.strip("/") or "constant"
        if name not in self._learned:
            value = self.known.get(name)
            is_zero = step is not None and step.kind == "ConstantOfShape" and value is not None and not value.any()
            self._values[name] = self.add(Zeros(shape) if is_zero else View(shape), (), label)
        elif step is None:
            is_fresh = self._left[name] == prod(shape)
            self.claim(name)
            self._values[name] = self.add(Constant(shape) if is_fresh else View(shape), (), label)
        elif self._depth > _DEEPEST:
            self.claim(name)
            self._values[name] = self.add(Constant(shape), (), label)
        else:
            self._depth += 1
            self._keep(step, self._translate(step))
            self._depth -= 1

    def claim(self, name: str, *, whole: bool = False) -> int:
        """Count the parameters behind a weight, as many as it has elements (or all): the largest first.

        A stored tensor that repeats another one behind the same weight counts with it.
        """
        if self._is_dry:
            return prod(self.shape_of(Tensor(name)))
        origins = sorted(self._origins(name), key=lambda origin: (-prod(self._shapes[origin]), origin))
        self._left.update(dict.fromkeys(self._copies.among(origins), 0))
        elements = sum(self._left[origin] for origin in origins) if whole else prod(self.shape_of(Tensor(name)))
        counted = 0
        for origin in origins:
            self._read[origin] = None
            taken = min(self._left[origin], elements - counted)
            self._left[origin] -= taken
            counted += taken
        return counted

    def _origins(self, name: str) -> set[str]:
        """The stored tensors that a weight is made of."""
        seen, pending = {name}, [name]
        while pending and len(seen) < _WIDEST:
            step = self._folded.get(pending.pop())
            if step is not None and step.kind not in ("Shape", "Size"):
                fresh = {operand for operand in step.inputs if operand in self._folded} - seen
                seen |= fresh
                pending.extend(fresh)
        return {origin for origin in seen if origin in self._left}

    def add(self, operator: Operator, inputs: Iterable[str], label: str) -> str:
        """Append a node under a name that is still free."""
        inputs = tuple(inputs)
        name = self._free(label)
        try:
            shape = operator.infer(*(self.nodes[source].shape for source in inputs))
        except (ValueError, IndexError, ArithmeticError) as error:
            raise SpecError(f"{self.model.where}: {name}", error, "a valid layer") from None
        if min(shape, default=1) < 1 or prod(shape) > _MOST_ELEMENTS:
            raise SpecError(f"{self.model.where}: {name}", shape, f"a shape of 1 to {_MOST_ELEMENTS} elements")
        self.nodes[name] = Node(name, operator, inputs, shape, self._current)
        return name

    def _free(self, label: str) -> str:
        name = label
        while name in self.nodes:
            self._numbers[label] = self._numbers.get(label, 0) + 1
            name = f"{label}_{self._numbers[label]}"
        return name

    def label(self, step: Step) -> str:
        """The name of a step, without the strokes that some exporters put around it."""
        return step.name.strip("/") or step.kind

    def place(self, step: Step) -> str:
        """File and step, for messages."""
        return f"{self.model.where}: {self.label(step)}"
