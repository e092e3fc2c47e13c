"""Networks as they are: the choice of the space is which of them, one name makes a search of hardware alone.

A network comes from the zoo, from a torch module of the user, or from a file: ONNX, a Hugging Face config.json, a layer
list. Bits that neither the settings nor the source state are those that the hardware of the run computes in.

Not modelled: weights. What accuracy such a network has is for the estimator of the run: none by default, the published
one (`published`), or that of the module's own weights on the run's images (`own_weights`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene
from hwmodels.by_name import asked_precision
from hwmodels.errors import SpecError
from hwmodels.families.spec import Spec
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.precision import PrecisionPolicy, with_precision
from hwmodels.workload.source import SOURCES, Source

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "FixedSettings", "FixedSpace"]

_KEYS = "architecture."


class FixedSpace(ArchitectureSpace):
    """Given networks, one gene that says which.

    Parameters
    ----------
    sources : name -> where the network comes from. precision : of all layers; None leaves what a source states, and
        what it does not state to the hardware (`computed_on`), 8 bits until that is known.

    Raises
    ------
    SpecError : no network, or one that cannot be read.
    """

    def __init__(
        self, sources: Mapping[str, Source], *, batch: int | None = None, precision: Precision | None = None
    ) -> None:
        self.sources = dict(sources)
        self.is_stated = precision is not None
        self._read: dict[tuple[str, int | None, Precision], Workload] = {}
        genes = [Gene("network", tuple(sources))]
        super().__init__(genes, inputs=[], batch=batch or 1, precision=precision)
        self.inputs = tuple(shape[1:] for shape in self._network(genes[0].choices[0]).input_shapes)

    def computed_on(self, specs: Sequence[Spec]) -> Self:
        if self.is_stated:
            return self
        other = copy(self)
        other.precision = asked_precision(None, None, *specs).precision
        return other

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        return self._network(self.genes[0].choices[int(genotype[0])])

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """The name of the network."""
        return str(self.genes[0].choices[int(genotype[0])])

    def source(self, genotype: Sequence[int] | npt.NDArray[np.integer]) -> Source:
        """Where the network of a point comes from."""
        return self.sources[self.genes[0].choices[int(genotype[0])]]

    def _network(self, name: str) -> Workload:
        key = (name, self.batch, self.precision)
        if key not in self._read:
            workload = self.sources[name].read(self.batch, self.precision, keys=_KEYS)
            if (
                self.is_stated and self.sources[name].torch is not None
            ):  # its tensors have a type; the user's word is last
                workload = with_precision(workload, PrecisionPolicy(self.precision, ()))
            self._read[key] = workload
        return self._read[key]

    def _identity(self) -> dict[str, object]:
        """The networks themselves: a file that changes makes another space."""
        written = "\n".join(repr(self._network(name).nodes) for name in self.sources)
        return {**super()._identity(), "networks": hashlib.sha256(written.encode()).hexdigest()}


class FixedSettings(Settings):
    """Networks as they are: exactly one of the first five keys says which."""

    network: str | Annotated[list[str], Field(min_length=1, max_length=1_000)] | None = Field(
        None, examples=["ds_cnn"], description="built-in network, or a list of them to choose from"
    )
    torch: str | None = Field(None, description="file.py:object or package.module:object; the file is run")
    onnx: Path | None = Field(None, description="ONNX file")
    hf_config: Path | None = Field(None, description="config.json of a Hugging Face model")
    layers: Path | None = Field(None, description="layer list: SCALE-Sim topology, Timeloop or ZigZag YAML")
    inputs: list[str] = Field(
        default_factory=list, max_length=100, description="input shapes as 3x160x160, 512 tokens, or x=1x3x32x32"
    )
    past: int = Field(0, ge=0, le=10**9, description="tokens kept from before, of a decoder from a config.json")
    bits: int | None = Field(None, ge=1, le=32, description="of weights and activations; else those of the hardware")
    format: str | None = Field(None, description="in place of bits: fp16, bf16, fp8, int4, w4a16 ...")


def _make(settings: FixedSettings, data: Dataset) -> FixedSpace:
    is_stated = settings.bits is not None or settings.format is not None
    asked = asked_precision(settings.bits, settings.format, where=f"{_KEYS}format")
    return FixedSpace(_sources(settings), precision=asked.precision if is_stated else None)


def _sources(settings: FixedSettings) -> dict[str, Source]:
    """The networks of the settings by name.

    Raises
    ------
    SpecError : none, several kinds, or a name twice.
    """
    given = [kind for kind in SOURCES if getattr(settings, kind) is not None]
    if len(given) != 1:
        raise SpecError("architecture", " and ".join(given) or "no network", f"one of {', '.join(SOURCES)}")
    named = settings.network if isinstance(settings.network, list) else [settings.network]
    if len(set(named)) < len(named):
        raise SpecError("architecture.network", named, "a list without repeats")
    files = {kind: getattr(settings, kind) for kind in SOURCES[1:]}
    inputs = tuple(settings.inputs)
    found = [Source(network=name, **files, inputs=inputs, past=settings.past) for name in named]
    return {source.name: source for source in found}


PLUGIN = Plugin(FixedSettings, _make, "given networks as they are: hardware alone is searched, or which network, too",
                estimator="none")  # fmt: skip
