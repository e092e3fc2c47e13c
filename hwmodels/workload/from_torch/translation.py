"""Walks the operators of an exported program and writes each down in this project's vocabulary.

Three sorts of values: those that depend on an input, which become nodes; those made of parameters, which become
nodes only where they are read as tensors (a position embedding) and are otherwise the weights of the operator that
reads them; and those made of neither (masks, rotary tables, buffers), which are data without cost: a `View` of
nothing. Weights computed from parameters, as standardised ones, are folded: they cost no row.

Every parameter counts once, where it is first read. What an operator stores beyond its own row's parameters is a
`Constant` that nothing reads, so that it is stored and moves no data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from hwmodels.errors import SpecError
from hwmodels.workload.formats import precision_named
from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.from_torch.nodes import (
    FxNode,
    arguments_of,
    is_complex,
    is_node,
    is_tensor,
    is_zero,
    kind_of,
    narrow_float_of,
    path_of,
    shape_of,
    writes_in_place,
)
from hwmodels.workload.from_torch.program import Program
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops import Complex, Constant, Operator, Precision, Unknown, View, Zeros

__all__ = ["Translation", "translate"]

_PRODUCTS = frozenset(
    f"aten.{name}"
    for name in (
        "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "conv1d", "conv2d", "conv3d", "convolution",
        "scaled_dot_product_attention", "lstm", "gru",
    )
)  # fmt: skip


_FACTORIES = frozenset(
    f"aten.{name}"
    for name in (
        "arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "new_empty", "new_full", "new_ones",
        "new_zeros", "ones", "ones_like", "rand", "rand_like", "randn", "randn_like", "scalar_tensor", "zeros",
        "zeros_like",
    )
)  # fmt: skip
"""What makes a tensor of nothing but shapes, even of those of data."""


class _OutsideVocabularyError(Exception):
    """A rule cannot write a call down after all; `args` holds the name of its node."""


def translate(program: Program, rules: Mapping[str, Rule], *, name: str, precision: Precision) -> Workload:
    """The program as a workload; a call whose rule fails on it, or gets its shape wrong, is unknown.

    Since the rule may have written nodes and claimed parameters by then, the walk starts again without it.
    """
    refused: set[str] = set()
    while True:
        try:
            return Translation(program, rules, name=name, precision=precision, refused=refused).run()
        except _OutsideVocabularyError as error:
            refused.add(error.args[0])


class Translation:
    """The state of one walk: nodes written, values known, parameters counted; `refused` calls have no rule."""

    def __init__(
        self,
        program: Program,
        rules: Mapping[str, Rule],
        *,
        name: str,
        precision: Precision,
        refused: Collection[str] = (),
    ) -> None:
        self.program, self.name, self.precision = program, name, precision
        self._current = (precision, False)  # of the call that is written down: precision, whether numbers are complex
        self.nodes: dict[str, Node] = {}
        self._rules, self._refused = rules, refused
        self._values: dict[FxNode, Value] = {}
        self._made_of: dict[FxNode, frozenset[str]] = {}  # what depends on no input -> the parameters it is made of
        self._computed: set[FxNode] = set()  # those of it that a matrix product makes
        self._stands_for: dict[FxNode, FxNode] = {}
        self._inside: dict[FxNode, Any] = {}  # a wrapped subgraph -> what it returns
        self._views: dict[FxNode, FxNode] = {}  # a view -> what it looks at
        self._overwritten: set[FxNode] = set()  # values without input that were written to
        self._left = dict(program.sizes)
        self._read: dict[str, None] = {}
        self._complex: set[str] = set()  # parameters that are complex
        self._numbers: dict[str, int] = {}
        self._lone_targets = _lone_targets(program)

    def run(self) -> Workload:
        """Walk the program; what an eager runtime would run is in the workload, unused views are not."""
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op != "output":
                self._visit(node)
        by_name = {node.name: node for node in self.program.graph.nodes}
        returned = [by_name[output] for output in self.program.outputs if output in by_name]
        outputs = dict.fromkeys(self.tensor(node) for node in returned if is_tensor(node))
        if not outputs:
            raise SpecError(self.name, "an output without tensors", "a module that returns a tensor")
        for path in self._read:
            if self._left[path]:
                self._current = (self._current[0], path in self._complex)
                self.add(Constant((self._left[path],)), (), path)
        return Workload.of(self.name, self._live(outputs), outputs)

    def _live(self, outputs: Iterable[str]) -> list[Node]:
        """Without the views that nothing looks at."""
        needed = set(outputs)
        for node in reversed(self.nodes.values()):
            if node.name in needed or not node.operator.is_view or isinstance(node.operator, Input):
                needed.update((node.name, *node.inputs))
        return [node for node in self.nodes.values() if node.name in needed]

    def _placeholder(self, node: FxNode) -> None:
        self._current = self._numbers_of(node)
        if node.name in self.program.inputs:
            if is_tensor(node):
                self._values[node] = self.add(Input(shape_of(node)), (), node.name)
            return
        path = self.program.parameters.get(node.name)
        self._made_of[node] = frozenset([path] if path else [])
        if path and is_complex(node):
            self._complex.add(path)

    def _numbers_of(self, node: FxNode) -> tuple[Precision, bool]:
        """The formats that the module computes in where they are narrow floats, else what the importer was told.

        And whether the numbers are complex.
        """
        narrow = narrow_float_of(node)
        told = self.precision if narrow is None else precision_named(narrow, where=self.name)
        return told, is_complex(node)

    def _visit(self, node: FxNode) -> None:
        self._current = self._numbers_of(node)
        operands = [self._seen(operand) for operand in node.all_input_nodes]
        if node.op == "get_attr":
            self._made_of[node] = frozenset()
        elif kind_of(node).startswith("wrap_with_"):
            self._inline(node, node.args[node.args.index(_subgraphs(node)[0]) + 1 :])
        elif kind_of(node) == "cond":
            self._inline_dearer(node)
        elif kind_of(node) == "getitem":
            self._getitem(node)
        elif node.op == "call_function" and hasattr(node.target, "_schema"):
            if kind_of(node) in _FACTORIES:
                self._made_of[node] = frozenset()
            elif all(operand in self._made_of for operand in operands):
                self._fold(node, operands)
            else:
                self._values[node] = self._translate(node)
            self._alias(node)
        elif node.op == "call_function":  # an operator on graphs, or arithmetic of sizes
            self._values[node] = self._translate(node)

    def _seen(self, node: FxNode) -> FxNode:
        while node in self._stands_for:
            node = self._stands_for[node]
        return node

    def _fold(self, node: FxNode, operands: list[FxNode]) -> None:
        """A value without input is written down where it is read; one that nothing reads is computed all the same."""
        self._made_of[node] = frozenset().union(*(self._made_of[operand] for operand in operands))
        if kind_of(node) in _PRODUCTS or any(operand in self._computed for operand in operands):
            self._computed.add(node)
        if not node.users and self._made_of[node] and not writes_in_place(node):
            self._values[node] = self._translate(node)

    def _inline(self, node: FxNode, operands: Sequence[Any], *, part: int = 0) -> None:
        """A subgraph under a mode (autocast, gradients): its operators stand where it is called."""
        given = iter(operands)
        for inner in _module_of(_subgraphs(node)[part]).graph.nodes:
            if inner.op == "placeholder":
                operand = next(given)
                self._stands_for[inner] = self._seen(operand) if is_node(operand) else operand
            elif inner.op == "output":
                self._inside[node] = inner.args[0]
            else:
                self._visit(inner)

    def _inline_dearer(self, node: FxNode) -> None:
        """Of two branches the one with more MACs, or with more other work; the other's parameters are stored."""
        operands = node.args[3]
        costs = [self._work_of(part, operands) for part in _subgraphs(node)]
        for operand in operands:
            if is_node(operand):
                self._read.update(dict.fromkeys(sorted(self._made_of.get(self._seen(operand), ()))))
        self._inline(node, operands, part=costs.index(max(costs)))

    def _work_of(self, part: FxNode, operands: Sequence[Any]) -> tuple[int, int]:
        """(MACs, other operations) of a subgraph on its own."""
        module = _module_of(part)
        holders = [inner.name for inner in module.graph.nodes if inner.op == "placeholder"]
        paths = [sorted(self._made_of.get(self._seen(node), ())) if is_node(node) else [] for node in operands]
        stored = {holder: found[0] for holder, found in zip(holders, paths, strict=False) if found}
        returned = next(inner for inner in module.graph.nodes if inner.op == "output").args[0]
        program = replace(
            self.program,
            graph_module=module,
            parameters=stored,
            inputs=tuple(holder for holder in holders if holder not in stored),
            outputs=tuple(inner.name for inner in returned if is_node(inner)),
        )
        alone = translate(program, self._rules, name=self.name, precision=self.precision)
        return alone.macs, sum(row.vector_ops for _, row in alone.rows())

    def _getitem(self, node: FxNode) -> None:
        """One result of several."""
        source, index = self._seen(node.args[0]), node.args[1]
        if source in self._inside:
            self._stands_for[node] = self._seen(self._inside[source][index])
            return
        if source in self._made_of:
            self._made_of[node] = self._made_of[source]
            if source in self._computed:
                self._computed.add(node)
        if source in self._values:
            value = self._values[source][index]
            if value is not None:
                self._values[node] = value
        if source in self._views:
            self._views[node] = self._views[source]

    def _alias(self, node: FxNode) -> None:
        """Remember what a view looks at; write through it where an operator works in place."""
        schema = node.target._schema
        if not writes_in_place(node):
            if schema.returns and schema.returns[0].alias_info is not None:
                self._views[node] = self._seen(node.all_input_nodes[0])
        elif is_node(node.args[0]) and node in self._made_of:
            self._write_stored(self._seen(node.args[0]), self._made_of[node])
        elif is_node(node.args[0]) and isinstance(self._values.get(node), str):
            self._write(self._seen(node.args[0]), self._values[node], f"{self.label(node)}.view")

    def _write_stored(self, target: FxNode | None, made_of: frozenset[str]) -> None:
        """What is written without input into a value without input is one more part that it is made of."""
        while target is not None:
            if target in self._made_of:
                self._made_of[target] |= made_of
                self._overwritten.add(target)
            target = self._views.get(target)

    def _write(self, target: FxNode, value: Value, label: str) -> None:
        """A computed value takes the place of `target`; what that looks at holds it too."""
        while True:
            self._values[target] = value
            self._made_of.pop(target, None)
            if target not in self._views:
                return
            target = self._views[target]
            parts = (self._values.get(target), value)
            value = self.add(View(shape_of(target)), (part for part in parts if isinstance(part, str)), label)

    def _translate(self, node: FxNode) -> Value:
        call = Call(self, node, kind_of(node), arguments_of(node, self._seen))
        rule = self._rules.get(call.kind) if node.name not in self._refused else None
        if rule is None:
            return self._unknown(call, node)
        try:
            value = rule(call)
            results = value if isinstance(value, tuple) else (value,)
            found = [self.nodes[name].shape if name is not None else None for name in results]
            fits = all(shape in (None, wanted) for shape, wanted in zip(found, call.shapes, strict=False))
        except (ValueError, LookupError, TypeError, ArithmeticError):
            fits = False
        if not fits:
            raise _OutsideVocabularyError(node.name)
        return self._unknown(call, node) if value is None else value

    def _unknown(self, call: Call, node: FxNode) -> Value:
        """Outside the vocabulary: moves its operands and its first result, and stores the parameters it reads."""
        shapes = call.shapes
        if all(shape is None for shape in shapes):
            return (None,)
        operands = [self._seen(operand) for operand in node.all_input_nodes]
        read = tuple(self.tensor(operand) for operand in operands if is_tensor(operand) and self._is_data(operand))
        stored = sum(self.claim(operand, whole=True) for operand in operands if not self._is_data(operand))
        main: str | None = None
        results: list[str | None] = []
        for shape in shapes:
            if shape is None or not prod(shape):
                results.append(None)
            elif main is None:
                what = call.kind.removeprefix("aten.")
                main = self.add(Unknown(what, shape, stored), read, self.label(node))
                results.append(main)
            else:
                results.append(self.add(View(shape), (main,), self.label(node, "result")))
        return tuple(results) if isinstance(node.meta["val"], tuple | list) else (main or (None,))

    def _is_data(self, node: FxNode) -> bool:
        return node not in self._made_of

    def is_fixed(self, node: FxNode) -> bool:
        """Whether the value is made of neither inputs nor parameters."""
        return self._made_of.get(self._seen(node)) == frozenset()

    def is_weight(self, node: FxNode) -> bool:
        """Whether the value is made of parameters and buffers alone, by no matrix product."""
        node = self._seen(node)
        return node in self._made_of and node not in self._computed

    def tensor(self, node: FxNode) -> str:
        """The node of a value; one that depends on no input is written down when it is first read."""
        node = self._seen(node)
        value = self._values.get(node)
        if value is None:
            before, self._current = self._current, self._numbers_of(node)
            value = self._values[node] = self._stored(node)
            self._current = before
        if not isinstance(value, str):
            raise SpecError(f"{self.name}: {node.name}", node.target, "an operator with one result")
        return value

    def _stored(self, node: FxNode) -> Value:
        made_of = self._made_of.get(node)
        if made_of is None:
            raise SpecError(f"{self.name}: {node.name}", node.target, "an operator with a tensor as its result")
        shape = shape_of(node)
        if not made_of or kind_of(node) in _FACTORIES:
            self._read.update(dict.fromkeys(sorted(made_of)))
            zero = is_zero(node) and node not in self._overwritten
            return self.add(Zeros(shape) if zero else View(shape), (), self.label(node))
        if node.op == "placeholder":
            (path,) = made_of
            fresh = self._left[path] == prod(shape)
            if fresh:
                self.claim(node)
            return self.add(Constant(shape) if fresh else View(shape), (), path)
        if kind_of(node) == "getitem":
            several = self._seen(node.args[0])
            values = self._values.get(several)
            if values is None:
                values = self._values[several] = self._translate(several)
            return values[node.args[1]] or ""
        return self._translate(node)

    def claim(self, node: FxNode, *, whole: bool = False) -> int:
        """Count the parameters behind a weight, as many as it has elements (or all): the largest first."""
        node = self._seen(node)
        paths = sorted(self._made_of.get(node, ()), key=lambda path: (-self.program.sizes[path], path))
        elements = sum(self._left[path] for path in paths) if whole else prod(shape_of(node))
        counted = 0
        for path in paths:
            self._read[path] = None
            taken = min(self._left[path], elements - counted)
            self._left[path] -= taken
            counted += taken
        return counted

    def add(self, operator: Operator, inputs: Iterable[str], label: str) -> str:
        """Append a node under a name that is still free."""
        inputs = tuple(inputs)
        name = self._free(label)
        try:
            shape = operator.infer(*(self.nodes[source].shape for source in inputs))
        except (ValueError, IndexError, ArithmeticError) as error:
            raise SpecError(f"{self.name}: {name}", error, "a valid layer") from None
        precision, on_complex = self._current
        if on_complex and not operator.is_view:
            operator = Complex(operator)
        self.nodes[name] = Node(name, operator, inputs, shape, precision)
        return name

    def _free(self, label: str) -> str:
        name = label
        while name in self.nodes:
            self._numbers[label] = self._numbers.get(label, 0) + 1
            name = f"{label}_{self._numbers[label]}"
        return name

    def label(self, node: FxNode, part: str = "") -> str:
        """Path of the module that calls, and the operator where the module calls several."""
        path, kind = path_of(node), kind_of(node)
        alone = path in self.program.leaves and self._lone_targets.get(path, False) and kind not in _FACTORIES
        if not (path and alone):
            path = f"{path}.{kind.removeprefix('aten.')}".removeprefix(".")
        return f"{path}.{part}" if part else path


def _subgraphs(node: FxNode) -> list[FxNode]:
    """The graphs among the arguments of an operator on graphs."""
    return [arg for arg in node.args if is_node(arg) and arg.op == "get_attr"]


def _module_of(part: FxNode) -> Any:
    """The module that such an argument names."""
    return getattr(part.graph.owning_module, str(part.target))


def _lone_targets(program: Program) -> dict[str, bool]:
    """Whether a module calls one sort of operator only: its node then has the module's name."""
    found: dict[str, set[str]] = {}
    for part in program.graph_module.modules():
        for node in getattr(part, "graph", program.graph).nodes:
            if node.op == "call_function" and hasattr(node.target, "_schema") and kind_of(node) not in _FACTORIES:
                found.setdefault(path_of(node), set()).add(kind_of(node))
    return {path: len(kinds) == 1 for path, kinds in found.items()}
