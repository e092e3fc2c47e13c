"""`codesign networks`: list the published networks, show one or your own layer by layer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import (
    Batch,
    Bits,
    FuseAttention,
    HfConfig,
    Inputs,
    Json,
    LayerBits,
    Layers,
    Onnx,
    Past,
    Runtime,
    Torch,
)
from codesign.cli.outputs import Force
from codesign.cli.printing import print_json, print_table, print_unknown
from codesign.cli.sources import Source, executed
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file

__all__: list[str] = []

_networks_app = typer.Typer(rich_markup_mode=None, help="List the published networks that are built in; `show` one.")
app.add_typer(_networks_app, name="networks")


@_networks_app.callback(invoke_without_command=True)
def networks(context: typer.Context, as_json: Json = False) -> None:
    """List the published networks that are built in; `show NAME` draws one."""
    from hwmodels.units import format_quantity
    from hwmodels.workload.zoo import ZOO, published_accuracy

    if context.invoked_subcommand is not None:
        return
    records: list[dict[str, Any]] = []
    for known in ZOO:
        built = known.build()
        record = {"name": known.name, "aliases": list(known.aliases), "params": built.parameters}
        accuracy = published_accuracy(known.name)
        record |= {"macs": built.macs, "input": known.input, "source": known.source}
        record["accuracy"] = None if accuracy is None else asdict(accuracy)
        records.append(record)
    if as_json:
        return print_json(records)
    print_table(
        ("network", "parameters", "MACs", "top-1", "input", "source"),
        (
            (
                r["name"],
                format_quantity(r["params"], ""),
                format_quantity(r["macs"], ""),
                "-" if r["accuracy"] is None else f"{r['accuracy']['top1_percent']:.2f} %",
                r["input"],
                r["source"],
            )
            for r in records
        ),
    )


@_networks_app.command()
def show(
    network: Annotated[str | None, typer.Argument(help="Published network, see `codesign networks`.")] = None,
    torch: Torch = None,
    onnx: Onnx = None,
    hf_config: HfConfig = None,
    layers: Layers = None,
    inputs: Inputs = None,
    past: Past = 0,
    batch: Batch = None,
    bits: Bits = None,
    layer_bits: LayerBits = None,
    runtime: Runtime = "eager",
    fuse_attention: FuseAttention = False,
    view: Annotated[str, typer.Option(help="Picture that -o draws: the layer profile or the graph.")] = "profile",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Picture: .png, .svg or .pdf.")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show a network by kinds of layers, or layer by layer with --json; -o draws its profile or its graph."""
    from codesign.report.network import figure_of, layer_records, summary_record
    from hwmodels.units import format_quantity

    if view not in ("profile", "graph"):
        raise SpecError.unknown("--view", view, ("profile", "graph"))
    if output is not None:
        check_new_file(output, force=force, endings=(".png", ".svg", ".pdf"))
    source = Source(network, torch, onnx, hf_config, layers, tuple(inputs or ()), past)
    (workload,), _, semantics = executed(
        [source], batch=batch, bits=bits, layer_bits=layer_bits, runtime=runtime, fuse_attention=fuse_attention
    )
    if output is not None:
        figure_of(workload, view=view).savefig(output, dpi=150, bbox_inches="tight", metadata=_no_date(output))
    record = summary_record(workload) | {"runtime": str(semantics)}
    if as_json:
        return print_json(record | {"layers": layer_records(workload)})
    print(f"{record['name']}, batch {record['batch']}: {semantics}")
    for title, key, unit in (
        ("parameters", "params", ""),
        ("MACs", "macs", ""),
        ("weights", "weight_bytes", "B"),
        ("peak activations", "peak_activation_bytes", "B"),
        ("keys and values", "kv_cache_bytes", "B"),
    ):
        if record[key]:
            print(f"  {title:16s} {format_quantity(record[key], unit)}")
    print_unknown(record["unknown_operators"])
    print_table(
        ("kind", "layers", "MACs", "share", "parameters"),
        (
            (
                group["kind"],
                str(group["layers"]),
                format_quantity(group["macs"], ""),
                f"{100 * group['macs'] / max(record['macs'], 1):.1f} %",
                format_quantity(group["params"], ""),
            )
            for group in record["kinds"]
        ),
    )
    if output is not None:
        print(f"{view} in {output}")


def _no_date(output: Path) -> dict[str, None]:
    """Metadata without the time of writing: the same network gives the same file."""
    return {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[output.suffix]
