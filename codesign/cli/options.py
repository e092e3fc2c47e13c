"""Options that several commands share, and lists in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwmodels.errors import SpecError

__all__ = [
    "Assignments", "Batch", "Bits", "FuseAttention", "HfConfig", "InputShape", "Json", "LayerBits", "NumberFormat",
    "Onnx", "Output", "Past", "Runtime", "Torch", "numbers",
]  # fmt: skip

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
InputShape = Annotated[
    str | None, typer.Option("--input", help="Input of one item in place of the published one: 3x160x160, or tokens.")
]
Past = Annotated[int, typer.Option(help="Tokens that a decoder's cache already holds (--hf-config).", min=0)]
Torch = Annotated[
    str | None,
    typer.Option("--torch", help="module:function or FILE.py:function that returns (torch module, example inputs)."),
]
Onnx = Annotated[Path | None, typer.Option("--onnx", help="ONNX file (needs the extra `onnx`).")]
HfConfig = Annotated[Path | None, typer.Option("--hf-config", help="config.json of a Hugging Face transformer.")]


def numbers(option: str, text: str, *, least: int) -> tuple[int, ...]:
    """``1,2,4`` as whole numbers."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and int(word) >= least for word in words):
        raise SpecError(option, text, f"whole numbers from {least} on, as 1,2,4")
    return tuple(map(int, words))
