"""Networks as they are: the choice of the space is which of them, one name makes a search of hardware alone.

A network comes from the zoo, from a torch module of the user with its example inputs, or from an ONNX file. The
settings give the bits of every layer for which the file states none.

Not modelled: weights. An accuracy estimator that trains starts from random weights, as for every space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "FixedSettings", "FixedSpace"]

Reader = Callable[[int], Workload]


class FixedSpace(ArchitectureSpace):
    """Given networks, one gene that says which.

    Parameters
    ----------
    networks : name -> a function from the batch to the network. precision : what the functions give their layers.

    Raises
    ------
    SpecError : no network, or one that cannot be read.
    """

    def __init__(self, networks: Mapping[str, Reader], *, batch: int = 1, precision: Precision | None = None) -> None:
        self._networks = dict(networks)
        self._read: dict[tuple[str, int], Workload] = {}
        genes = [Gene("network", tuple(networks))]
        super().__init__(genes, inputs=[], batch=batch, precision=precision)
        self.inputs = tuple(shape[1:] for shape in self._network(genes[0].choices[0]).input_shapes)

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        return self._network(self.genes[0].choices[int(genotype[0])])

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """The name of the network."""
        return str(self.genes[0].choices[int(genotype[0])])

    def _network(self, name: str) -> Workload:
        if (name, self.batch) not in self._read:
            self._read[name, self.batch] = self._networks[name](self.batch)
        return self._read[name, self.batch]

    def _identity(self) -> dict[str, object]:
        """The networks themselves: a file that changes makes another space."""
        written = "\n".join(repr(self._network(name).nodes) for name in self._networks)
        return {**super()._identity(), "networks": hashlib.sha256(written.encode()).hexdigest()}


class FixedSettings(Settings):
    """Networks as they are."""

    network: str | Annotated[list[str], Field(min_length=1, max_length=1_000)] | None = Field(
        None, examples=["ds_cnn"], description="built-in network, or a list of them to choose from"
    )
    torch: str | None = Field(None, description="file.py:object or package.module:object with its example inputs")
    onnx: str | None = Field(None, description="ONNX file")
    bits: int = Field(8, ge=1, le=32, description="of weights and activations")


def _make(settings: FixedSettings, data: Dataset) -> FixedSpace:
    precision = Precision(settings.bits, settings.bits)
    return FixedSpace(_readers(settings, precision), precision=precision)


def _readers(settings: FixedSettings, precision: Precision) -> dict[str, Reader]:
    given = [name for name in ("network", "torch", "onnx") if getattr(settings, name) is not None]
    if len(given) != 1:
        raise SpecError("architecture", " and ".join(given) or "no network", "one of network, torch, onnx")
    if settings.network is not None:
        names = [settings.network] if isinstance(settings.network, str) else settings.network
        if len(set(names)) < len(names):
            raise SpecError("architecture.network", names, "a list without repeats")
        return {name: partial(_published, name, precision) for name in names}
    if settings.torch is not None:
        return {settings.torch.rpartition(":")[2]: partial(_traced, settings.torch, precision)}
    return {str(settings.onnx): partial(_exported, str(settings.onnx), precision)}


def _published(name: str, precision: Precision, batch: int) -> Workload:
    from hwmodels.workload.zoo import network

    return network(name, batch=batch, precision=precision)


def _traced(target: str, precision: Precision, batch: int) -> Workload:
    from hwmodels.workload.from_torch import load_torch

    return load_torch(target, batch=batch, precision=precision)


def _exported(path: str, precision: Precision, batch: int) -> Workload:
    from pathlib import Path

    from hwmodels.workload.from_onnx import from_onnx

    return from_onnx(Path(path), batch=batch, precision=precision)


PLUGIN = Plugin(FixedSettings, _make, "given networks as they are: hardware alone is searched, or which network, too")
