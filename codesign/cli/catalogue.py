"""Commands about what is built in: devices, networks, assumptions, agreement with published figures, installation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
from codesign.cli.printing import print_json, print_table, print_unknown
from codesign.cli.sources import Source, workload_from
from hwmodels.errors import SpecError

__all__: list[str] = []

_devices_app = typer.Typer(rich_markup_mode=None, help="List the catalogue of devices; write a `new` one.")
app.add_typer(_devices_app, name="devices")
_networks_app = typer.Typer(rich_markup_mode=None, help="List the published networks that are built in; `show` one.")
app.add_typer(_networks_app, name="networks")


@_devices_app.callback(invoke_without_command=True)
def devices(
    context: typer.Context,
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    as_json: Json = False,
) -> None:
    """List the catalogue of devices; `new` writes a file to fill in."""
    from hwmodels.catalog import device, device_names
    from hwmodels.families.base import families

    if context.invoked_subcommand is not None:
        return
    if family is not None and family not in families():
        raise SpecError.unknown("--family", family, families())
    found = [d for d in map(device, device_names()) if family in (None, d.model.name)]
    records: list[dict[str, Any]] = [
        {
            "name": d.name,
            "family": d.model.name,
            "summary": d.summary,
            "knobs": {name: d.spec.values()[name] for name in d.sources},
            "sources": d.sources,
            "verified": d.verified,
        }
        for d in found
    ]
    if as_json:
        return print_json(records)
    print_table(("device", "family", "summary"), ((r["name"], r["family"], r["summary"]) for r in records))


@_devices_app.command()
def new(
    like: Annotated[str, typer.Option(help="Device to start from: name or YAML file.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Device file, new: .yaml.", show_default=False)],
) -> None:
    """Write a device file to fill in, with every knob, its meaning, unit and source."""
    from hwmodels.catalog import device, device_template

    if output.exists() or output.suffix not in (".yaml", ".yml") or not output.parent.is_dir():
        raise SpecError("--output", output, "a new .yaml file in an existing folder")
    output.write_text(device_template(device(like), name=output.stem), encoding="utf-8")
    print(f"{output}: change what differs from {like}, and give each number its source")


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
    as_json: Json = False,
) -> None:
    """Show a network by kinds of layers, or layer by layer with --json; -o draws its profile or its graph."""
    from codesign.report.network import figure_of, layer_records, summary_record
    from hwmodels.units import format_quantity

    if view not in ("profile", "graph"):
        raise SpecError.unknown("--view", view, ("profile", "graph"))
    if output is not None and (output.suffix not in (".png", ".svg", ".pdf") or not output.parent.is_dir()):
        raise SpecError("--output", output, "a .png, .svg or .pdf file in an existing folder")
    from hwmodels.by_name import asked_precision, semantics_of

    semantics = semantics_of(runtime, fuse_attention=fuse_attention, where="--runtime")
    source = Source(network, torch, onnx, hf_config, layers, tuple(inputs or ()), past)
    asked = asked_precision(bits, None)
    workload = workload_from(source, batch=batch, asked=asked, layer_bits=layer_bits, semantics=semantics)
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


@app.command()
def validate(
    family: Annotated[list[str] | None, typer.Argument(help="Families, or `workload`; all by default.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of reference files; replaces $CODESIGN_REFERENCE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare predicted with published figures: the error of every family on every known set."""
    from codesign.estimate.validation import validate as scores_of_simulation
    from hwmodels.validate import open_tables
    from hwmodels.validate import validate as scores_of

    tables = open_tables(reference)
    scores = scores_of(family, reference=tables)
    if not family or "crossbar" in family:
        scores += scores_of_simulation(tables)
    if as_json:
        return print_json([s.as_dict() for s in scores])
    if tables.missing:
        print(
            f"codesign: {len(tables.missing)} reference files are missing, their sets are not scored: "
            f"{', '.join(tables.missing)} (--reference FOLDER or $CODESIGN_REFERENCE says where they are)",
            file=sys.stderr,
        )
    if not scores:
        return
    print_table(
        ("family", "set", "group", "protocol", "rows", "metric", "value", "baseline"),
        (
            (
                s.family,
                s.set,
                s.group,
                s.protocol,
                f"{s.rows}/{s.rows_in_file}",
                s.metric,
                f"{s.value:.4g}",
                ", ".join(f"{name} {value:.3g}" for name, value in (s.baseline or {}).items()),
            )
            for s in scores
        ),
    )


@app.command()
def assumptions(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None, as_json: Json = False
) -> None:
    """List every modelling choice and default without a source, with its plausible range."""
    from hwmodels.families.base import assumptions_of, families
    from hwmodels.families.base import family as find

    if family is not None and family not in families():
        raise SpecError.unknown("--family", family, families())
    names = families() if family is None else (family,)
    records = [
        {"family": name, **item._asdict()} for name in names for item in assumptions_of(find(name), find(name).spec())
    ]
    if as_json:
        return print_json(records)
    columns = ("family", "name", "value", "plausible", "meaning")
    print_table(columns, (tuple(r[column] for column in columns) for r in records))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the installation: versions, compiler cache, threads, data."""
    import os
    import platform
    import time
    from importlib.metadata import version

    names = ("codesign", "numpy", "numba", "torch", "scikit-learn", "pymoo", "pyarrow", "plotly", "pydantic")
    record: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    record |= {name: version(name) for name in names}
    from codesign.data import load
    from hwmodels.catalog import device
    from hwmodels.evaluate import evaluate
    from hwmodels.workload.zoo import network

    chosen, workload = device("systolic_edge"), network("resnet18")
    clock = time.perf_counter()
    evaluate(workload, chosen.model, chosen.spec)
    record["first_evaluation_s"] = round(time.perf_counter() - clock, 3)
    clock = time.perf_counter()
    evaluate(workload, chosen.model, chosen.spec)
    record["next_evaluation_s"] = round(time.perf_counter() - clock, 4)
    record["digits_images"] = sum(len(part.labels) for part in _parts(load("digits")))
    if as_json:
        return print_json(record)
    print_table(("check", "found"), ((name, str(value)) for name, value in record.items()))


def _no_date(output: Path) -> dict[str, None]:
    """Metadata without the time of writing: the same network gives the same file."""
    return {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[output.suffix]


def _parts(data: Any) -> Iterator[Any]:
    yield from (data.train, data.validation, data.test)
