"""Networks, runtimes and grids as the command line names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from hwmodels.by_name import Asked
    from hwmodels.workload.graph import Workload
    from hwmodels.workload.ops import Precision
    from hwmodels.workload.rewrite import Semantics

__all__ = ["Source", "grid_axis", "workload_from"]


class Source(NamedTuple):
    """Where a network comes from: exactly one of the first four."""

    network: str | None = None
    torch: str | None = None
    onnx: Path | None = None
    hf_config: Path | None = None
    input_shape: str | None = None
    past: int = 0


def workload_from(
    source: Source, *, batch: int | None, asked: Asked, layer_bits: list[str] | None, semantics: Semantics
) -> Workload:
    """Read the network that a user names, with its bits and formats, as its runtime executes it.

    A torch module in half precision keeps it unless the user states another; an ONNX file keeps what it says.
    """
    from hwmodels.workload.precision import PrecisionPolicy, with_precision
    from hwmodels.workload.rewrite import rewrite

    rules = PrecisionPolicy.parse(None, layer_bits or ())
    if source.torch is not None and asked.is_stated:
        rules = PrecisionPolicy(asked.precision, rules.rules)
    return rewrite(with_precision(_read(source, batch, asked.precision), rules), semantics)


def _read(source: Source, batch: int | None, precision: Precision) -> Workload:
    given = [name for name in ("network", "torch", "onnx", "hf_config") if getattr(source, name) is not None]
    if len(given) != 1:
        raise SpecError("network", " and ".join(given) or "nothing", "one of NAME, --torch, --onnx, --hf-config")
    shape = _input_shape(source.input_shape)
    if shape is not None and given[0] in ("torch", "onnx"):
        raise SpecError("--input", source.input_shape, "for published networks and --hf-config; others bring theirs")
    if source.past and source.hf_config is None:
        raise SpecError("--past", source.past, "for --hf-config")
    if source.torch is not None:
        from hwmodels.workload.from_torch import load_torch

        return load_torch(source.torch, batch=batch, precision=precision)
    if source.onnx is not None:
        from hwmodels.workload.from_onnx import from_onnx

        return from_onnx(source.onnx, batch=batch, precision=precision)
    if source.hf_config is not None:
        from hwmodels.workload.from_hf_config import from_hf_config

        tokens = 128 if shape is None else shape[0]
        return from_hf_config(source.hf_config, batch=batch or 1, tokens=tokens, past=source.past, precision=precision)
    from hwmodels.workload.zoo import network

    return network(source.network or "", batch=batch or 1, precision=precision, input_shape=shape)


def _input_shape(text: str | None) -> tuple[int, ...] | None:
    """``3x160x160`` or ``512`` as extents."""
    if text is None:
        return None
    words = text.lower().split("x")
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise SpecError("--input", text, "like 3x160x160, or a number of tokens")
    return tuple(map(int, words))


def grid_axis(item: str) -> tuple[str, list[Any]]:
    """``rows=32,64`` as a knob and its values."""
    name, equals, text = item.partition("=")
    if not equals or not text:
        raise SpecError("--set", item, "knob=value,value,...")
    return name, [_plain_value(word) for word in text.split(",")]


def _plain_value(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(word.lower(), word)
