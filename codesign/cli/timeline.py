"""`codesign timeline`: when the layers of a network run, and on which part of the hardware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import (
    Batch,
    Bits,
    FuseAttention,
    HfConfig,
    Inputs,
    Json,
    KnobValues,
    LayerBits,
    Layers,
    NumberFormat,
    Onnx,
    Past,
    Runtime,
    Torch,
)
from codesign.cli.outputs import Force
from codesign.cli.printing import pretty, print_doubts, print_json, print_table
from codesign.cli.sources import Source, executed, knob_values
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from hwmodels.families.base import Timeline

__all__: list[str] = []

_ENDINGS = (".png", ".svg", ".pdf")


@app.command()
def timeline(
    network: Annotated[str | None, typer.Argument(help="Published network, see `codesign networks`.")] = None,
    device: Annotated[
        str, typer.Option(help="Device of several parts: catalogue device or YAML file.", show_default=False)
    ] = ...,  # type: ignore[assignment]
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Picture: .png, .svg or .pdf.", show_default=False)
    ] = None,
    knobs: KnobValues = None,
    torch: Torch = None,
    onnx: Onnx = None,
    hf_config: HfConfig = None,
    layers: Layers = None,
    inputs: Inputs = None,
    past: Past = 0,
    batch: Batch = None,
    bits: Bits = None,
    number_format: NumberFormat = None,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show when each layer of a network runs, and on which part of hardware that has several."""
    from hwmodels.catalog import device as load
    from hwmodels.catalog import device_names
    from hwmodels.executed_formats import as_stored
    from hwmodels.families.base import families, family

    if output is not None:
        check_new_file(output, force=force, endings=_ENDINGS)
    chosen = load(device)
    if chosen.model.timeline is None:
        known = ", ".join(name for name in families() if family(name).timeline is not None)
        raise SpecError("--device", f"{device} ({chosen.model.name})", f"of a family that has a timeline: {known}")
    spec = chosen.spec.revised(knob_values(knobs), where="--set")
    source = Source(network, torch, onnx, hf_config, layers, tuple(inputs or ()), past)
    (workload,), asked, _ = executed(
        [source],
        spec,
        batch=batch,
        bits=bits,
        number_format=number_format,
        layer_bits=layer_bits,
        runtime=runtime,
        fuse_attention=fuse_attention,
    )
    found = chosen.model.timeline(as_stored(workload, spec), spec)
    if knobs or device not in device_names():
        print_doubts(chosen.name, spec)
    title = f"{workload.name} on {chosen.name}, batch {workload.batch}, {asked.words} by default"
    if output is not None:
        from codesign.report.timeline import save_timeline

        save_timeline(found, title, output)
    if as_json:
        print_json(_record(found))
    else:
        _print(found, title, output)


def _record(found: Timeline) -> dict[str, Any]:
    bars = zip(found.layers, found.lane.tolist(), found.start_s.tolist(), found.end_s.tolist(), strict=True)
    return {
        **found.told,
        "layers": [
            {"layer": layer, "on": found.lanes[lane], "start_s": start, "end_s": end}
            for layer, lane, start, end in bars
        ],
    }


def _print(found: Timeline, title: str, output: Path | None) -> None:
    print(title)
    end = float(found.end_s.max(initial=0.0))
    rows: list[tuple[str, ...]] = []
    for lane, name in enumerate(found.lanes):
        mine = found.lane == lane
        busy = float((found.end_s - found.start_s)[mine].sum())
        shown = pretty({"busy_s": busy}, ["busy_s"])
        rows.append((name, str(int(mine.sum())), *shown, f"{100 * busy / end if end else 0.0:.0f} %"))
    print_table(("part", "layers", "busy", "of the time"), rows)
    told = {name.removesuffix("_s").replace("_", " "): value for name, value in found.told.items()}
    print_table(("", "value"), zip(told, pretty(found.told, list(found.told)), strict=True))
    if output is not None:
        print(f"drawn in {output}")
