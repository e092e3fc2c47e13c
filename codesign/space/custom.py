"""A space of one's own, written in a run file: layers in order, each with choices, repeats and what it reads.

::

    architecture:
      space: custom
      layers:
        - {op: conv, channels: [8, 16], kernel: 3}
        - {op: [conv, mbconv], channels: [16, 32], kernel: [3, 5], stride: 2, repeat: [1, 2]}
        - {name: wide, op: mbconv, expansion: [2, 4], squeeze: [true, false]}
        - {op: [depthwise, skip], from: [wide, input], join: concat}

Every value that is a list is a decision. A layer reads the one before it, or what `from` names, joined by a sum or a
concatenation; what does not fit a sum (other channels, a larger image) passes a strided 1x1 convolution first. Global
pooling and a linear classifier close the network. More than this is a class in Python: `codesign.space.architecture`.

Not modelled: operators that these do not name, shared weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Concat, Pool2d, Precision
from hwmodels.workload.zoo.mobilenet import classify, inverted_residual

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["OPERATORS", "PLUGIN", "CustomSettings", "CustomSpace", "LayerSettings"]

OPERATORS = ("conv", "depthwise", "mbconv", "maxpool", "avgpool", "skip")
"""Convolution, depthwise separable convolution, inverted residual, poolings, nothing at all."""

_INPUT = "input"
_DECISIONS = ("op", "channels", "kernel", "stride", "expansion", "squeeze", "repeat")

_Operator = Literal["conv", "depthwise", "mbconv", "maxpool", "avgpool", "skip"]
_Activation = Literal["relu", "relu6", "hardswish", "silu", "gelu"]
_Width = Annotated[int, Field(ge=1, le=65_536)]
_Kernel = Annotated[int, Field(ge=1, le=31)]
_Stride = Annotated[int, Field(ge=1, le=8)]
_Expansion = Annotated[int, Field(ge=1, le=32)]
_Repeat = Annotated[int, Field(ge=1, le=64)]


class LayerSettings(Settings):
    """One place of the network."""

    name: str | None = Field(None, max_length=64, description="for `from` of later layers")
    op: _Operator | Annotated[list[_Operator], Field(min_length=1)] = Field("conv", description="operator, or choices")
    channels: _Width | Annotated[list[_Width], Field(min_length=1, max_length=64)] | None = Field(
        None, description="that leave it; as many as enter where nothing is said"
    )
    kernel: _Kernel | Annotated[list[_Kernel], Field(min_length=1, max_length=16)] = Field(
        3, description="odd, of convolutions and poolings"
    )
    stride: _Stride | Annotated[list[_Stride], Field(min_length=1, max_length=8)] = Field(
        1, description="of its first repeat"
    )
    expansion: _Expansion | Annotated[list[_Expansion], Field(min_length=1, max_length=32)] = Field(
        4, description="hidden over entering channels of mbconv"
    )
    squeeze: bool | Annotated[list[bool], Field(min_length=1, max_length=2)] = Field(
        False, description="squeeze-and-excitation in mbconv"
    )
    repeat: _Repeat | Annotated[list[_Repeat], Field(min_length=1, max_length=64)] = Field(
        1, description="how often it stands there"
    )
    activation: _Activation = Field("relu", description="behind its convolutions")
    sources: list[str] = Field(
        default_factory=list, max_length=64, alias="from", description="names that it reads, input among them"
    )
    join: Literal["add", "concat"] = Field("add", description="how several that it reads meet")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class CustomSpace(ArchitectureSpace):
    """Networks of listed layers.

    Raises
    ------
    SpecError : a layer that reads a name that no layer before it has, a name twice, or an even kernel.
    """

    def __init__(
        self,
        layers: Sequence[LayerSettings],
        *,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        self.layers, self.classes = tuple(layers), classes
        self._choices = [{name: _listed(getattr(layer, name)) for name in _DECISIONS} for layer in layers]
        self._check()
        genes = [
            Gene(f"{self._title(i)}.{name}", values)
            for i, choices in enumerate(self._choices)
            for name, values in choices.items()
            if len(values) > 1
        ]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _title(self, i: int) -> str:
        return self.layers[i].name or f"layer{i}"

    def _check(self) -> None:
        known = {_INPUT}
        for i, layer in enumerate(self.layers):
            where = f"architecture.layers[{i}]"
            for source in layer.sources:
                if source not in known:
                    raise SpecError.unknown(f"{where}: from", source, sorted(known))
            for name, values in self._choices[i].items():
                if len(set(values)) < len(values):
                    raise SpecError(f"{where}: {name}", list(values), "a list without repeats")
            even = [size for size in self._choices[i]["kernel"] if size % 2 == 0]
            if even:
                raise SpecError(f"{where}: kernel", even[0], "odd")
            if self._title(i) in known:
                raise SpecError(f"{where}: name", self._title(i), "a name that no other layer has")
            known.add(self._title(i))

    def _identity(self) -> dict[str, object]:
        layers = [layer.model_dump(mode="json") for layer in self.layers]
        return {**super()._identity(), "classes": self.classes, "layers": layers}

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        """Decisions that the chosen operator does not read are at their first choice."""
        points, place = genotypes.copy(), {gene.name: i for i, gene in enumerate(self.genes)}
        for i, choices in enumerate(self._choices):
            gene = place.get(f"{self._title(i)}.op")
            chosen = np.zeros(len(points), np.int64) if gene is None else points[:, gene]
            for name in _DECISIONS[1:]:
                column = place.get(f"{self._title(i)}.{name}")
                if column is not None:
                    reads = np.array([name in _READ[op] for op in choices["op"]])
                    points[~reads[chosen], column] = 0
        return points

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """The decisions by name; those that the operator does not read are left out."""
        canonical = self.canonical(np.asarray(genotype, np.int64)[None])[0]
        values, words = self._values(canonical), []
        for i, chosen in enumerate(values):
            own = [name for name in _DECISIONS if len(self._choices[i][name]) > 1]
            shown = [f"{name}={chosen[name]}" for name in own if name == "op" or name in _READ[chosen["op"]]]
            words += [f"{self._title(i)}: {' '.join(shown)}"] if shown else []
        return "; ".join(words)

    def _values(self, genotype: npt.NDArray[np.integer]) -> list[dict[str, Any]]:
        """The chosen values of each layer."""
        point = self.decode(genotype)
        return [
            {name: point.get(f"{self._title(i)}.{name}", values[0]) for name, values in choices.items()}
            for i, choices in enumerate(self._choices)
        ]

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        net = self.builder("custom-" + "".join(map(str, genotype)))
        made, x = {_INPUT: net.input}, net.input
        for i, (layer, chosen) in enumerate(zip(self.layers, self._values(genotype), strict=True)):
            x = _joined(net, [made[source] for source in layer.sources] or [x], layer.join)
            for place in range(chosen["repeat"] if chosen["op"] != "skip" else 1):
                x = _operator(net, x, chosen, layer.activation, stride=chosen["stride"] if place == 0 else 1)
            made[self._title(i)] = x
        return net.finish(classify(net, x, self.classes))


_READ: Mapping[str, frozenset[str]] = {
    "conv": frozenset({"channels", "kernel", "stride", "repeat"}),
    "depthwise": frozenset({"channels", "kernel", "stride", "repeat"}),
    "mbconv": frozenset(_DECISIONS[1:]),
    "maxpool": frozenset({"channels", "kernel", "stride", "repeat"}),
    "avgpool": frozenset({"channels", "kernel", "stride", "repeat"}),
    "skip": frozenset({"channels", "stride"}),
}
"""What each operator reads of its decisions."""


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _joined(net: Builder, sources: list[str], join: str) -> str:
    """One tensor of several: images as small as the smallest, for a sum as wide as the first one."""
    if len(sources) == 1:
        return sources[0]
    least = min(net.shape(source)[2] for source in sources)
    channels = net.shape(sources[0])[1]
    fitted = []
    for source in sources:
        _, own, height, _ = net.shape(source)
        wanted = channels if join == "add" else own
        fits = own == wanted and height == least
        fitted.append(source if fits else _projected(net, source, wanted, -(-height // least)))
    if join == "concat":
        return net.add(Concat(axis=1), *fitted)
    x = fitted[0]
    for other in fitted[1:]:
        x = net.residual(x, other)
    return x


def _projected(net: Builder, x: str, channels: int, stride: int) -> str:
    return net.conv_norm_act(x, channels, 1, stride=stride, activation=None)


def _operator(net: Builder, x: str, chosen: Mapping[str, Any], activation: _Activation, *, stride: int) -> str:
    """One operator; a pooling or nothing at all is followed by a 1x1 convolution where the channels change."""
    entering = net.shape(x)[1]
    channels, kernel, op = chosen["channels"] or entering, chosen["kernel"], chosen["op"]
    if op == "conv":
        return net.conv_norm_act(x, channels, kernel, stride=stride, activation=activation)
    if op == "depthwise":
        x = net.conv_norm_act(x, entering, kernel, stride=stride, groups=entering, activation=activation)
        return net.conv_norm_act(x, channels, 1, activation=activation)
    if op == "mbconv":
        hidden = chosen["expansion"] * entering
        squeeze = max(hidden // 4, 1) * chosen["squeeze"]
        return inverted_residual(
            net, x, channels, hidden=hidden, kernel=kernel, stride=stride, activation=activation, squeeze=squeeze
        )
    if op == "skip":
        return x if channels == entering and stride == 1 else _projected(net, x, channels, stride)
    pooled = net.add(Pool2d("max" if op == "maxpool" else "avg", kernel, stride, kernel // 2), x)
    return pooled if channels == entering else _projected(net, pooled, channels, 1)


class CustomSettings(Settings):
    """Layers in order, each with choices."""

    layers: list[LayerSettings] = Field(
        min_length=1, max_length=256, examples=[[{"op": ["conv", "mbconv"], "channels": [8, 16]}]],
        description="places of the network; every value that is a list is a decision",
    )  # fmt: skip


def _make(settings: CustomSettings, data: Dataset) -> CustomSpace:
    return CustomSpace(settings.layers, input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(CustomSettings, _make, "a space of one's own: layers with choices, repeats and connections")
