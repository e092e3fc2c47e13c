"""Options that several commands share, and lists in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwmodels.errors import SpecError

__all__ = [
    "Assignments", "Batch", "Bits", "FuseAttention", "HfConfig", "HfConfigs", "Inputs", "Json", "KnobValues",
    "LayerBits", "LayerLists", "Layers", "NumberFormat", "Onnx", "Onnxes", "Output", "Past", "Rate", "Recompute",
    "Runtime", "Torch", "Torches", "Train", "numbers", "rate_of",
]  # fmt: skip

_TORCH = (
    "module:object or FILE.py:object: a torch module (with --input), a class without arguments, or a function that "
    "returns (module, example inputs)."
)
_ONNX = "ONNX file (needs the extra `onnx`)."
_HF_CONFIG = "config.json of a Hugging Face transformer."
_LAYERS = "List of layers: a SCALE-Sim topology (.csv), a Timeloop problem or a ZigZag workload (.yaml)."

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder of the run: new or empty.")]
Assignments = Annotated[list[str] | None, typer.Option("--set", help="Override, as slow.trainings=8 (repeatable).")]
Bits = Annotated[
    int | None,
    typer.Option(
        help="Bits of weights and activations, where an ONNX file does not say; 8, or 32 on a device that computes "
        "in float.",
        min=1,
        max=32,
    ),
]
NumberFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="In place of --bits: fp16, bf16, tf32, fp32, fp8, int8, int4 and so on, weights:activations as "
        "int4:fp16, or w4a16.",
    ),
]
LayerBits = Annotated[
    list[str] | None,
    typer.Option(
        "--layer-bits",
        help="Bits or formats of some layers, as first=8, depthwise=8:16 (weights:activations), 'layer4*=2' or "
        "linear=w4a16 (repeatable).",
    ),
]
Batch = Annotated[int | None, typer.Option(help="Items a batch; 1, or that of the example inputs or the file.", min=1)]
Runtime = Annotated[str, typer.Option(help="compiled (fused, dead branches dropped) or eager.")]
FuseAttention = Annotated[bool, typer.Option("--fuse-attention", help="Attention in one kernel, scores never written.")]
Train = Annotated[
    str | None,
    typer.Option(help="One step of training in place of inference, by sgd, momentum or adam: normalisation unfused."),
]
Recompute = Annotated[
    str, typer.Option(help="With --train, activations made again: none, selective (attention's scores) or full.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="Shape of the input: 3x160x160 of one item, a number of tokens, or by name with the batch, x=1x3x32x32 "
        "(repeatable).",
    ),
]
Past = Annotated[int, typer.Option(help="Tokens that a decoder's cache already holds (--hf-config).", min=0)]
Torch = Annotated[
    str | None,
    typer.Option("--torch", help=_TORCH),
]
Onnx = Annotated[Path | None, typer.Option("--onnx", help=_ONNX)]
HfConfig = Annotated[Path | None, typer.Option("--hf-config", help=_HF_CONFIG)]
Layers = Annotated[Path | None, typer.Option("--layers", help=_LAYERS)]
Torches = Annotated[list[str] | None, typer.Option("--torch", help=f"{_TORCH} (repeatable)")]
Onnxes = Annotated[list[Path] | None, typer.Option("--onnx", help=f"{_ONNX} (repeatable)")]
HfConfigs = Annotated[list[Path] | None, typer.Option("--hf-config", help=f"{_HF_CONFIG} (repeatable)")]
LayerLists = Annotated[list[Path] | None, typer.Option("--layers", help=f"{_LAYERS} (repeatable)")]
Rate = Annotated[
    str | None,
    typer.Option(help="Inferences a second that arrive, as 10 or 2 kHz: adds the average power, idle time included."),
]
KnobValues = Annotated[
    list[str] | None, typer.Option("--set", help="knob=value of the device, as 'clock_hz=2 GHz' (repeatable).")
]


def numbers(option: str, text: str, *, least: int) -> tuple[int, ...]:
    """``1,2,4`` as whole numbers."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and int(word) >= least for word in words):
        raise SpecError(option, text, f"whole numbers from {least} on, as 1,2,4")
    return tuple(map(int, words))


def rate_of(text: str | None) -> float | None:
    """``--rate`` in hertz."""
    from hwmodels.units import parse_quantity

    return None if text is None else parse_quantity(text.removesuffix("/s"), "Hz", where="--rate")
