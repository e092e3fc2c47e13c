"""Costs by name: what the command line answers, for notebooks and scripts.

Networks are names of the zoo, graphs, or torch modules with an example input; devices are names of the catalogue, YAML
files or `Device` records. Defaults are those of the command line: the bits that the device computes in, a compiling
runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hwmodels.catalog import Device
from hwmodels.catalog import device as load
from hwmodels.cost import CostReport
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.evaluate import sweep as evaluate_grid
from hwmodels.executed_formats import as_stored
from hwmodels.families.spec import Spec
from hwmodels.grid import Axes, Grid
from hwmodels.rate import at_rate
from hwmodels.workload.formats import precision_named
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.precision import PrecisionPolicy, with_precision
from hwmodels.workload.rewrite import RUNTIMES, Semantics, rewrite
from hwmodels.workload.zoo import network as published

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Asked", "CostTable", "asked_precision", "estimate", "semantics_of", "sweep"]

_SHOWN_ROWS = 10


@dataclass(frozen=True, eq=False)
class CostTable:
    """Costs of networks on the designs of a grid: one row a pair.

    family : of the designs. networks, designs : how many. frame : the rows, with the network, the knobs that vary,
    every metric (per batch, SI units) and the reason of an infeasible pair.
    """

    family: str
    networks: int
    designs: int
    frame: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas table, one a pair."""
        return self.frame

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        head = f"CostTable({self.networks} networks x {self.designs} designs of {self.family})"
        return f"{head}\n{self._shown().to_string(max_rows=_SHOWN_ROWS)}"

    def _repr_html_(self) -> str:
        html: str = self._shown().to_html(max_rows=_SHOWN_ROWS)
        return html

    def _shown(self) -> pd.DataFrame:
        """Network, varying knobs and the metrics that every reader looks for first."""
        first_metric = self.frame.columns.get_loc("latency_s")
        wanted = ("latency_s", "energy_j", "area_mm2", "infeasible")
        columns = [*self.frame.columns[:first_metric], *(name for name in wanted if name in self.frame.columns)]
        return self.frame[list(dict.fromkeys(columns))]


def estimate(
    network: str | Workload,
    device: str | Path | Device,
    *,
    batch: int = 1,
    bits: int | None = None,
    number_format: str | None = None,
    layer_bits: Sequence[str] = (),
    input_shape: tuple[int, ...] | None = None,
    runtime: str = "compiled",
    fuse_attention: bool = False,
    rate_hz: float | None = None,
) -> CostReport:
    """What one network costs on one device, layer by layer.

    Parameters
    ----------
    network : name of a published network, or a graph (`hwmodels.from_torch`, `hwmodels.from_onnx`), which keeps its own
        batch and input, and its bits where none are stated here.
    device : catalogue name, YAML file or `Device`.
    bits : of weights and activations; by default 32 where the device computes in float, else 8.
    number_format : in place of bits, as "fp16", "bf16", "fp8", "int4" or "w4a16".
    rate_hz : items a second that arrive; adds ``average_power_w``, and a pair that is slower is infeasible.
    layer_bits : rules as ``"first=8"``, see `hwmodels.workload.precision`. input_shape : (channels, height, width), or
        (tokens,). runtime : "compiled" or "eager".

    Raises
    ------
    SpecError : an unknown name (with the nearest match) or a setting that does not fit.

    Examples
    --------
    >>> report = estimate("resnet18", "tpu_v1", bits=8)
    >>> round(report.total("macs") / 1e9, 2)
    1.81
    """
    chosen = _device(device)
    semantics = semantics_of(runtime, fuse_attention=fuse_attention)
    asked = asked_precision(bits, number_format, chosen.spec)
    workload = _workload(network, batch, asked, layer_bits, input_shape, semantics)
    return evaluate(as_stored(workload, chosen.spec), at_rate(chosen.model, rate_hz), chosen.spec)


def sweep(
    networks: str | Workload | Sequence[str | Workload],
    device: str | Path | Device,
    knobs: Axes,
    *,
    batch: int = 1,
    bits: int | None = None,
    number_format: str | None = None,
    layer_bits: Sequence[str] = (),
    input_shape: tuple[int, ...] | None = None,
    runtime: str = "compiled",
    fuse_attention: bool = False,
    rate_hz: float | None = None,
) -> CostTable:
    """What networks cost on every combination of some knobs of a device.

    Parameters
    ----------
    knobs : knob, or a tuple of knobs that are tied to each other, -> values; the other knobs are those of the device.
    The rest is as for `estimate`.

    Raises
    ------
    SpecError : an unknown name or knob (with the nearest match) or a value out of bounds.

    Examples
    --------
    >>> table = sweep(["resnet18", "mobilenet_v2"], "systolic_edge", {"array_rows": [16, 32], "array_cols": [16, 32]})
    >>> len(table), table.designs
    (8, 4)
    """
    chosen = _device(device)
    semantics = semantics_of(runtime, fuse_attention=fuse_attention)
    asked = asked_precision(bits, number_format, chosen.spec)
    named = [networks] if isinstance(networks, str | Workload) else list(networks)
    workloads = [_workload(name, batch, asked, layer_bits, input_shape, semantics) for name in named]
    model = at_rate(chosen.model, rate_hz)
    grid = Grid(chosen.spec, knobs)
    return CostTable(model.name, len(workloads), len(grid), evaluate_grid(workloads, model, grid))


class Asked(NamedTuple):
    """The precision of layers that nothing else gives one, in words, and whether the user states it."""

    precision: Precision
    words: str
    is_stated: bool


def asked_precision(bits: int | None, number_format: str | None, *specs: Spec, where: str = "number_format") -> Asked:
    """What bits or a format ask for; without them 8 bits, or 32 where one of the devices computes in float.

    where : what errors call the format.

    Raises
    ------
    SpecError : both at once, or an unknown format.
    """
    if number_format is not None:
        if bits is not None:
            raise SpecError(where, number_format, "to be given beside bits", "one of the two says it all")
        return Asked(precision_named(number_format, where=where), number_format, True)
    width = bits or (32 if any(spec.numerics().weight_format.is_float for spec in specs) else 8)
    return Asked(Precision(width, width), f"{width} bits", bits is not None)


def semantics_of(runtime: str, *, fuse_attention: bool, where: str = "runtime") -> Semantics:
    """What a runtime of this name does to a graph before it runs.

    Raises
    ------
    SpecError : an unknown name.
    """
    if runtime not in RUNTIMES:
        raise SpecError.unknown(where, runtime, RUNTIMES)
    return replace(RUNTIMES[runtime], fuse_attention=fuse_attention)


def _device(given: str | Path | Device) -> Device:
    return given if isinstance(given, Device) else load(str(given))


def _workload(
    network: str | Workload,
    batch: int,
    asked: Asked,
    layer_bits: Sequence[str],
    input_shape: tuple[int, ...] | None,
    semantics: Semantics,
) -> Workload:
    if isinstance(network, str):
        network = published(network, batch=batch, precision=asked.precision, input_shape=input_shape)
    elif batch != 1 or input_shape is not None:
        raise SpecError("batch and input_shape", (batch, input_shape), "for published networks: a graph has its own")
    rules = PrecisionPolicy.parse(None, layer_bits)
    if asked.is_stated:
        rules = PrecisionPolicy(asked.precision, rules.rules)
    return rewrite(with_precision(network, rules), semantics)
