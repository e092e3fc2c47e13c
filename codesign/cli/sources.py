"""Networks, devices and grids as the command line names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.source import SOURCES, Source

if TYPE_CHECKING:
    from hwmodels.by_name import Asked
    from hwmodels.catalog import Device
    from hwmodels.families.spec import Spec
    from hwmodels.workload.graph import Workload
    from hwmodels.workload.rewrite import Semantics
    from hwmodels.workload.training import TrainingStep

__all__ = ["Executed", "Source", "devices_named", "executed", "grid_axes", "knob_values", "sources_of", "trained"]


_TAKEN = "one of NAME, --torch, --onnx, --hf-config, --layers"


def sources_of(
    networks: Sequence[str] | None,
    torch: Sequence[str] | None,
    onnx: Sequence[Path] | None,
    hf_config: Sequence[Path] | None,
    layers: Sequence[Path] | None,
    *,
    inputs: Sequence[str] | None,
    past: int,
) -> list[Source]:
    """All networks of a command that takes many, published ones first.

    Raises
    ------
    SpecError : none.
    """
    given: tuple[Sequence[Any] | None, ...] = (networks, torch, onnx, hf_config, layers)
    shared: dict[str, Any] = {"inputs": tuple(inputs or ()), "past": past}
    found = [
        Source(**{kind: item}, **shared) for kind, items in zip(SOURCES, given, strict=True) for item in items or ()
    ]
    if not found:
        raise SpecError("network", "nothing", _TAKEN)
    return found


def devices_named(device: list[str] | None, family: str | None) -> list[Device]:
    """Devices by name, then all devices of a family; each once.

    Raises
    ------
    SpecError : none named, or unknown ones.
    """
    from hwmodels.catalog import device as load
    from hwmodels.catalog import devices_of

    named = [load(name) for name in dict.fromkeys(device or ())]
    others = [] if family is None else devices_of(family, where="--family")
    found = [*named, *(item for item in others if item.name not in {known.name for known in named})]
    if not found:
        raise SpecError("--device", "nothing", "named at least once, or --family")
    return found


class Executed(NamedTuple):
    """The networks of a command as they run, what they were asked to compute in, and what the runtime does."""

    workloads: list[Workload]
    asked: Asked
    semantics: Semantics


def executed(
    sources: Sequence[Source],
    *specs: Spec,
    batch: int | None,
    layer_bits: list[str] | None,
    runtime: str,
    fuse_attention: bool,
    bits: int | None = None,
    number_format: str | None = None,
    is_trained: bool = False,
) -> Executed:
    """Read the networks that a user names, with their bits and formats, as their runtime executes them.

    specs : the devices, which decide the bits that nobody states. is_trained : normalisation is not folded, since its
    statistics are those of the batch.

    Raises
    ------
    SpecError : a network, format or runtime that is none.
    """
    from hwmodels.by_name import asked_precision, semantics_of

    semantics = semantics_of(runtime, fuse_attention=fuse_attention, where="--runtime")
    if is_trained:
        semantics = replace(semantics, fuse_norm_activation=False)
    asked = asked_precision(bits, number_format, *specs, where="--format")
    return Executed([_executed(source, batch, asked, layer_bits, semantics) for source in sources], asked, semantics)


def trained(workload: Workload, optimiser: str | None, recompute: str) -> TrainingStep | None:
    """The step that `--train` and `--recompute` ask for; None without one.

    Raises
    ------
    SpecError : an unknown optimiser or recompute, recompute without training, or a network that is not trained.
    """
    from hwmodels.workload.training import OPTIMISERS, RECOMPUTE, training_step

    if recompute not in RECOMPUTE:
        raise SpecError.unknown("--recompute", recompute, RECOMPUTE)
    if optimiser is None:
        if recompute != "none":
            raise SpecError("--recompute", recompute, "given with --train")
        return None
    if optimiser not in OPTIMISERS:
        raise SpecError.unknown("--train", optimiser, OPTIMISERS)
    return training_step(workload, optimiser, recompute=recompute)


def _executed(
    source: Source, batch: int | None, asked: Asked, layer_bits: list[str] | None, semantics: Semantics
) -> Workload:
    """A torch module in half precision keeps it unless the user states another; an ONNX file keeps what it says."""
    from hwmodels.workload.precision import PrecisionPolicy, with_precision
    from hwmodels.workload.rewrite import rewrite

    rules = PrecisionPolicy.parse(None, layer_bits or ())
    if source.torch is not None and asked.is_stated:
        rules = PrecisionPolicy(asked.precision, rules.rules)
    return rewrite(with_precision(source.read(batch, asked.precision), rules), semantics)


def grid_axes(assignments: Sequence[str]) -> dict[str | tuple[str, ...], list[Any]]:
    """``rows=32,64`` as knob and values; ``rows=cols=32,64`` ties knobs to each other.

    >>> grid_axes(["array_rows=array_cols=32,64", "clock_hz=1 GHz"])
    {('array_rows', 'array_cols'): [32, 64], ('clock_hz',): ['1 GHz']}
    """
    found: dict[str | tuple[str, ...], list[Any]] = {}
    for item in assignments:
        *names, text = (word.strip() for word in item.split("="))
        words = [word.strip() for word in text.split(",")]
        if not names or not all(names) or not all(words):
            raise SpecError("--set", item, "knob=value,value,... or knob=knob=value,...")
        found[tuple(names)] = [_plain_value(word) for word in words]
    return found


def knob_values(assignments: Sequence[str] | None) -> dict[str, Any]:
    """``rows=32`` as knob and value, one value a knob."""
    found: dict[str, Any] = {}
    for names, values in grid_axes(assignments or ()).items():
        if len(values) != 1:
            raise SpecError(
                "--set", f"{'='.join(names)}={','.join(map(str, values))}", "one value", "`sweep` takes many"
            )
        found |= dict.fromkeys((names,) if isinstance(names, str) else names, values[0])
    return found


def _plain_value(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(word.lower(), word)
