"""A graph of steps in which several can be replaced by one, where nothing else reads what they make between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isclose
from typing import NamedTuple

from hwmodels.workload.from_onnx.model import Model, Step
from hwmodels.workload.from_onnx.quantised import folded_tensors

__all__ = ["CASTS", "Match", "StepGraph", "joined"]

CASTS = ("Cast", "CastLike")

_MOST_CASTS = 3


class Match(NamedTuple):
    """One operator in the place of several steps."""

    step: Step
    members: tuple[int, ...]


class StepGraph:
    """Steps by number, with who makes and who reads each tensor."""

    def __init__(self, model: Model) -> None:
        self.steps: list[Step | None] = list(model.steps)
        self.folded = folded_tensors(model.steps, model.stored)
        self.stored = dict(model.stored)
        self._outputs = set(model.outputs)
        self._maker = {output: i for i, step in enumerate(model.steps) for output in step.outputs if output}
        self._readers: dict[str, dict[int, None]] = {}  # as sets that keep their order
        for i, step in enumerate(model.steps):
            for operand in filter(None, step.inputs):
                self._readers.setdefault(operand, {})[i] = None

    def kind(self, index: int) -> str:
        step = self.steps[index]
        return step.kind if step is not None else ""

    def at(self, index: int) -> Step:
        step = self.steps[index]
        return step if step is not None else Step("", (), ("",))

    def made_by(self, tensor: str, *kinds: str) -> int | None:
        """The number of the step that makes a tensor, where it is of one of these kinds."""
        index = self._maker.get(tensor)
        return index if index is not None and self.kind(index) in kinds else None

    def read_by(self, tensor: str, *kinds: str) -> int | None:
        """The number of the only reader of a tensor, where it is of one of these kinds."""
        found = self._readers.get(tensor, {})
        if len(found) != 1 or tensor in self._outputs:
            return None
        (reader,) = found
        return reader if self.kind(reader) in kinds else None

    def readers(self, tensor: str) -> list[int]:
        """The numbers of the steps that read a tensor; none where it is an output too."""
        return [] if tensor in self._outputs else list(self._readers.get(tensor, {}))

    def scalar(self, tensor: str) -> float | None:
        """The value of a stored number, through casts."""
        for _ in range(_MOST_CASTS):
            cast = self.made_by(tensor, *CASTS)
            tensor = self.at(cast).input(0) if cast is not None else tensor
        stored = self.stored.get(tensor)
        if stored is None or stored.value is None or stored.value.size != 1 or stored.value.dtype.kind not in "fiu":
            return None
        return float(stored.value.reshape(-1)[0])

    def integers(self, tensor: str) -> list[int] | None:
        """The values of a small stored tensor of integers."""
        stored = self.stored.get(tensor)
        if stored is None or stored.value is None or stored.value.dtype.kind not in "iu":
            return None
        return [int(value) for value in stored.value.reshape(-1)]

    def is_weight(self, tensor: str) -> bool:
        """Whether a tensor is stored, or made of stored ones, and more than one number."""
        return tensor in self.folded and self.scalar(tensor) is None

    def other(self, index: int, tensor: str) -> str:
        """The other operand of a step of two; the same where it reads one tensor twice."""
        inputs = self.at(index).inputs
        return inputs[1] if inputs[0] == tensor else inputs[0]

    def with_scalar(self, index: int | None, *values: float) -> str | None:
        """The other operand of a step of two of which one is a number, out of `values` where there are some."""
        if index is None or len(self.at(index).inputs) != 2:
            return None
        first, second = self.at(index).inputs
        for operand, other in ((second, first), (first, second)):
            number = self.scalar(operand)
            if number is not None and (not values or any(isclose(number, value, rel_tol=1e-3) for value in values)):
                return other
        return None

    def replace(self, match: Match) -> None:
        """Put a match in the place of its last member, unless something else reads a member's result."""
        members = set(match.members)
        final = set(match.step.outputs)
        for index in members:
            for output in self.at(index).outputs:
                inner = output in final or (
                    output not in self._outputs and members.issuperset(self._readers.get(output, ()))
                )
                if output and not inner:
                    return
        for index in members:
            for operand in self.at(index).inputs:
                self._readers.get(operand, {}).pop(index, None)
            self.steps[index] = None
        last = max(members)
        self.steps[last] = match.step
        for operand in filter(None, match.step.inputs):
            self._readers.setdefault(operand, {})[last] = None
        self._maker.update((output, last) for output in match.step.outputs if output)


def joined(
    graph: StepGraph, kind: str, inputs: Iterable[str], members: Sequence[int], final: int, **attributes: object
) -> Match:
    """A match that makes what the step `final` makes, with the bits of the widest member that has some."""
    steps = [graph.at(index) for index in members]
    widths = [step.activation_bits for step in steps if step.activation_bits is not None]
    weights = [step.weight_bits for step in steps if step.weight_bits is not None]
    last = graph.at(final)
    bits = (max(weights, default=None), max(widths, default=None))
    step = Step(kind, tuple(inputs), last.outputs, attributes, last.name, *bits)
    return Match(step, tuple(dict.fromkeys(members)))
