"""`codesign crossdevice`: which network is fastest where, and whether the devices agree on the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import (
    Batch,
    Bits,
    FuseAttention,
    HfConfigs,
    Inputs,
    Json,
    KnobValues,
    LayerBits,
    LayerLists,
    NumberFormat,
    Onnxes,
    Past,
    Rate,
    Runtime,
    Torches,
    rate_of,
)
from codesign.cli.outputs import Force
from codesign.cli.printing import print_doubts, print_json, print_table
from codesign.cli.sources import devices_named, executed, knob_values, sources_of
from codesign.report.table_file import TABLE_ENDINGS, write_table
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from hwmodels.crossdevice import CrossTable

__all__: list[str] = []


@app.command()
def crossdevice(
    network: Annotated[list[str] | None, typer.Argument(help="Published networks.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Catalogue device or YAML file (repeatable).")] = None,
    family: Annotated[str | None, typer.Option(help="All catalogue devices of this family.")] = None,
    metric: Annotated[str, typer.Option(help="What to compare: any metric that all the devices answer.")] = "latency_s",
    knobs: KnobValues = None,
    torch: Torches = None,
    onnx: Onnxes = None,
    hf_config: HfConfigs = None,
    layers: LayerLists = None,
    inputs: Inputs = None,
    past: Past = 0,
    batch: Batch = None,
    bits: Bits = None,
    number_format: NumberFormat = None,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    rate: Rate = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the table: .csv, .parquet, .md or .tex.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare networks across devices: which is fastest where, and whether the devices agree on the order."""
    from hwmodels.catalog import device_names
    from hwmodels.crossdevice import cross_devices

    if output is not None:
        check_new_file(output, force=force, endings=TABLE_ENDINGS)
    values = knob_values(knobs)
    chosen = [
        replace(item, spec=item.spec.revised(values, where=f"--set on {item.name}"))
        for item in devices_named(device, family)
    ]
    networks = executed(
        sources_of(network, torch, onnx, hf_config, layers, inputs=inputs, past=past),
        *(item.spec for item in chosen),
        batch=batch,
        bits=bits,
        number_format=number_format,
        layer_bits=layer_bits,
        runtime=runtime,
        fuse_attention=fuse_attention,
    )
    table = cross_devices(networks.workloads, chosen, metric=metric, rate_hz=rate_of(rate))
    for item in chosen:
        if knobs or item.name not in device_names():
            print_doubts(item.name, item.spec)
    if output is not None:
        write_table(output, _columns(table), caption=f"{metric} by device")
    if as_json:
        return print_json(_record(table))
    _print(table)
    if output is not None:
        print(f"table in {output}")


def _columns(table: CrossTable) -> dict[str, list[Any]]:
    """One row a network, one column a device; nothing where it does not run."""
    columns: dict[str, list[Any]] = {"network": list(table.networks)}
    for d, name in enumerate(table.devices):
        columns[name] = [value if isfinite(value) else None for value in table.values[:, d].tolist()]
    return columns


def _record(table: CrossTable) -> dict[str, Any]:
    return {
        "metric": table.metric,
        "networks": table.networks,
        "devices": table.devices,
        "best": table.best,
        "threads": [condition.threads or None for condition in table.conditions],
        "runtimes": [condition.runtime or None for condition in table.conditions],
        "values": table.values.tolist(),
        "infeasible": [[reason or None for reason in reasons] for reasons in table.reasons],
        "rank_correlation": table.agreement().tolist(),
    }


def _print(table: CrossTable) -> None:
    """One line a device, the best first: a terminal is rarely as wide as the catalogue is long."""
    from hwmodels.units import format_quantity, split_unit

    unit, agreement = split_unit(table.metric)[1], table.agreement()
    has_conditions = any(any(condition) for condition in table.conditions)
    print_table(
        (
            "device",
            *table.networks,
            "best",
            *(("threads", "runtime") if has_conditions else ()),
            "rank correlation (mean)",
        ),
        (
            (
                table.devices[d],
                *(format_quantity(value, unit) if isfinite(value) else "-" for value in table.values[:, d].tolist()),
                table.best[d] or "-",
                *((part or "-" for part in table.conditions[d]) if has_conditions else ()),
                _mean_apart(agreement[d].tolist(), d),
            )
            for d in table.order
        ),
    )
    for reason, devices in _reasons(table).items():
        print(f"INFEASIBLE: {reason}: {', '.join(devices)}")
    for name, values in table.differing.items():
        print(f"NOTE: the devices differ in {name} ({', '.join(values)}), not in hardware alone")


def _reasons(table: CrossTable) -> dict[str, list[str]]:
    """Why networks do not run: reason -> devices, with the networks where some others run."""
    found: dict[str, list[str]] = {}
    for d in table.order:
        for reason in dict.fromkeys(filter(None, table.reasons[d])):
            named = [name for name, why in zip(table.networks, table.reasons[d], strict=True) if why == reason]
            whom = f" ({', '.join(named)})" if len(named) < len(table.networks) else ""
            found.setdefault(reason, []).append(f"{table.devices[d]}{whom}")
    return found


def _mean_apart(correlations: Sequence[float], own: int) -> str:
    """The mean correlation with the other devices, those that cannot be compared left out."""
    others = [value for d, value in enumerate(correlations) if d != own and value == value]
    return f"{sum(others) / len(others):.3f}" if others else "-"
