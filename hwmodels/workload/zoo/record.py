"""What the zoo knows of a network: how to write it down, at which input, and where its figures come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Precision, Shape

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry:
    """One published network.

    `write` puts its operators behind ``net.input`` of a `Builder` and returns its outputs; `input_shape` is that of
    one item, without the batch: (channels, height, width), (steps, features), or one extent that `axis` names.
    """

    name: str
    write: Callable[[Builder], str | tuple[str, ...]]
    input_shape: Shape
    source: str
    aliases: tuple[str, ...] = ()
    axis: str = "tokens"

    @property
    def input(self) -> str:
        """The input of one item in words, as 3x224x224 or 128 tokens."""
        sizes = "x".join(map(str, self.input_shape))
        return f"{sizes} {self.axis}" if len(self.input_shape) == 1 else sizes

    def build(
        self, *, batch: int = 1, precision: Precision | None = None, input_shape: Shape | None = None
    ) -> Workload:
        """The network for a batch; `input_shape` of one item replaces the published one.

        Raises
        ------
        SpecError : a batch below one, or an input that does not fit the network.
        """
        if batch < 1:
            raise SpecError("batch", batch, ">= 1")
        shape = input_shape or self.input_shape
        if len(shape) != len(self.input_shape) or min(shape) < 1:
            raise SpecError(f"{self.name}: input", "x".join(map(str, shape)), f"like {self.input}")
        net = Builder(self.name, (batch, *shape), precision=precision)
        outputs = self.write(net)
        return net.finish(*((outputs,) if isinstance(outputs, str) else outputs))
