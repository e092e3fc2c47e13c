"""Where a network comes from, and the one way to read it: a name, a torch module, or a file of one of three kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from hwmodels.workload.graph import Workload
    from hwmodels.workload.ops import Precision, Shape

__all__ = ["SOURCES", "Source", "input_shapes"]

SOURCES = ("network", "torch", "onnx", "hf_config", "layers")
"""The kinds of sources, as the fields of `Source` name them."""

_LARGEST = 10**9


class Source(NamedTuple):
    """A network: exactly one of the first five.

    network : name of a published one. torch : ``file.py:object`` or ``package.module:object``. onnx, hf_config,
    layers : files. inputs : shapes of its inputs as text, see `input_shapes`. past : tokens kept by a decoder.
    """

    network: str | None = None
    torch: str | None = None
    onnx: Path | None = None
    hf_config: Path | None = None
    layers: Path | None = None
    inputs: tuple[str, ...] = ()
    past: int = 0

    @property
    def name(self) -> str:
        """What tables call the network: its name, its object or its file."""
        given = [str(getattr(self, kind)) for kind in SOURCES if getattr(self, kind) is not None]
        return given[0].rpartition(":")[2] if self.torch is not None else given[0]

    def read(self, batch: int | None, precision: Precision, *, keys: str = "--") -> Workload:
        """The network, with `precision` where the source states none.

        Parameters
        ----------
        batch : items a batch; None keeps that of a torch module or an ONNX file, and is 1 for the others.
        keys : what comes before a key in errors.

        Raises
        ------
        SpecError : none or several sources, an input that does not fit, or a source that cannot be read.
        """
        words = [f"{keys}{kind.replace('_', '-') if keys == '--' else kind}" for kind in SOURCES]
        given = [kind for kind in SOURCES if getattr(self, kind) is not None]
        if len(given) != 1:
            taken = f"one of {'NAME' if keys == '--' else words[0]}, {', '.join(words[1:])}"
            raise SpecError("network", " and ".join(given) or "nothing", taken)
        if self.past and self.hf_config is None:
            raise SpecError(f"{keys}past", self.past, f"for {words[3]}")
        shapes = input_shapes(self.inputs, where=f"{keys}input")
        if self.torch is not None:
            from hwmodels.workload.from_torch import load_torch

            return load_torch(self.torch, batch=batch, precision=precision, input_shapes=shapes)
        if self.onnx is not None:
            from hwmodels.workload.from_onnx import from_onnx

            return from_onnx(self.onnx, batch=batch, precision=precision, input_shapes=shapes)
        return self._of_one_input(batch, precision, _single(shapes, f"{keys}input"), keys)

    def _of_one_input(self, batch: int | None, precision: Precision, shape: Shape | None, keys: str) -> Workload:
        if self.layers is not None:
            from hwmodels.workload.from_layer_list import from_layer_list

            if shape is not None:
                expected = f"nothing beside {keys}layers: the layers have their sizes"
                raise SpecError(f"{keys}input", " ".join(self.inputs), expected)
            return from_layer_list(self.layers, batch=batch, precision=precision)
        if self.hf_config is not None:
            from hwmodels.workload.from_hf_config import from_hf_config

            tokens = 128 if shape is None else shape[0]
            return from_hf_config(self.hf_config, batch=batch or 1, tokens=tokens, past=self.past, precision=precision)
        from hwmodels.workload.zoo import network

        return network(self.network or "", batch=batch or 1, precision=precision, input_shape=shape)


def input_shapes(inputs: Sequence[str], *, where: str = "input") -> dict[str, Shape]:
    """``3x160x160``, ``512`` or ``x=1x3x32x32`` as extents by input; the name of a single one may be left out.

    >>> input_shapes(["x=1x3x32x32"])
    {'x': (1, 3, 32, 32)}
    """
    found: dict[str, Shape] = {}
    for text in inputs:
        name, equals, extents = text.rpartition("=")
        words = extents.lower().split("x")
        if (equals and not name) or not all(word.isdecimal() and 0 < int(word) <= _LARGEST for word in words):
            raise SpecError(where, text, "like 3x160x160, a number of tokens, or x=1x3x32x32 for the input named x")
        if name in found:
            raise SpecError(where, text, "given once for each input")
        found[name] = tuple(map(int, words))
    return found


def _single(shapes: Mapping[str, Shape], where: str) -> Shape | None:
    """The shape of a network's only input, or None."""
    if len(shapes) > 1 or any(shapes):
        raise SpecError(where, ", ".join(name or "an unnamed one" for name in shapes), "one shape, without a name")
    return shapes.get("")
