"""Commands about costs alone: one network on one device, or many on a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import (
    Batch,
    Bits,
    FuseAttention,
    HfConfig,
    InputShape,
    Json,
    LayerBits,
    NumberFormat,
    Onnx,
    Past,
    Runtime,
    Torch,
)
from codesign.cli.printing import pretty, print_json, print_table, print_unknown
from codesign.cli.sources import Source, grid_axis, workload_from
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from hwmodels.cost import CostReport
    from hwmodels.executed_formats import ExecutedFormat
    from hwmodels.families.base import CostModel
    from hwmodels.families.spec import Spec
    from hwmodels.workload.graph import Workload

__all__: list[str] = []


@app.command()
def estimate(
    network: Annotated[str | None, typer.Argument(help="Published network, see `codesign networks`.")] = None,
    device: Annotated[
        str, typer.Option(help="Catalogue device or YAML file, see `codesign devices`.", show_default=False)
    ] = ...,  # type: ignore[assignment]
    torch: Torch = None,
    onnx: Onnx = None,
    hf_config: HfConfig = None,
    input_shape: InputShape = None,
    past: Past = 0,
    batch: Batch = None,
    bits: Bits = None,
    number_format: NumberFormat = None,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    explain: Annotated[
        str | None,
        typer.Option(help="Explain one layer too: its number in order, or a group as 'conv 3x3', its first layer."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate latency, energy, memory and binding limits of a network, published or your own, on a device."""
    from hwmodels.catalog import device as load
    from hwmodels.evaluate import evaluate
    from hwmodels.executed_formats import executed_formats
    from hwmodels.workload.coverage import unknown_operators

    chosen = load(device)
    from hwmodels.by_name import asked_precision, semantics_of

    semantics = semantics_of(runtime, fuse_attention=fuse_attention, where="--runtime")
    source = Source(network, torch, onnx, hf_config, input_shape, past)
    asked = asked_precision(bits, number_format, chosen.spec, where="--format")
    workload = workload_from(source, batch=batch, asked=asked, layer_bits=layer_bits, semantics=semantics)
    report = evaluate(workload, chosen.model, chosen.spec)
    unknown = [item._asdict() for item in unknown_operators(workload)]
    outside = _extrapolated(device, workload)
    formats = executed_formats(workload, chosen.spec)
    explained = _explained(report, chosen.model, chosen.spec, explain)
    if as_json:
        told = {
            "default_bits": asked.precision.weight_bits,
            "default_precision": asked.words,
            "formats": [item._asdict() for item in formats],
            "runtime": str(semantics),
            "unknown_operators": unknown,
            "extrapolated": outside,
        } | ({"explained": explained} if explained else {})
        return print_json(_estimate_record(report, chosen.model, chosen.spec, chosen.name) | told)
    for item in outside:
        print(f"EXTRAPOLATED: {item}")
    _print_estimate(
        report, chosen.model, chosen.spec, chosen.name, precision=asked.words, formats=formats, runtime=str(semantics),
        unknown=unknown,
    )  # fmt: skip
    if explained:
        _print_explained(explained)


@app.command()
def sweep(
    network: Annotated[list[str], typer.Argument(help="Published networks.")],
    family: Annotated[str, typer.Option(help="Hardware family.")],
    knobs: Annotated[list[str], typer.Option("--set", help="knob=value,value,... (repeatable): the grid.")],
    device: Annotated[str | None, typer.Option(help="Device that sets the other knobs.")] = None,
    batch: Batch = None,
    bits: Bits = None,
    number_format: NumberFormat = None,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the whole table as CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Estimate the cost of networks over a grid of hardware knobs."""
    from hwmodels.catalog import device as load
    from hwmodels.evaluate import sweep as evaluate_grid
    from hwmodels.families.base import family as find

    model = find(family)
    base = load(device).spec if device else model.spec()
    if not isinstance(base, model.spec):
        raise SpecError("--device", device, f"a device of the family {family}")
    grid = list(base.grid(dict(grid_axis(item) for item in knobs)))
    from hwmodels.by_name import asked_precision, semantics_of

    semantics = semantics_of(runtime, fuse_attention=fuse_attention, where="--runtime")
    asked = asked_precision(bits, number_format, base, where="--format")
    workloads = [
        workload_from(Source(name), batch=batch, asked=asked, layer_bits=layer_bits, semantics=semantics)
        for name in network
    ]
    table = evaluate_grid(workloads, model, grid)
    if output is not None:
        if not output.parent.is_dir():
            raise SpecError("--output", output, "a file in an existing folder")
        table.to_csv(output, index=False)
    if as_json:
        return print_json(table.to_dict(orient="records"))
    varying = list(table.columns[: table.columns.get_loc(model.composed_metrics[0])])
    wanted = ("latency_s", "energy_j", "area_mm2", "infeasible")
    shown = [*varying, *(name for name in wanted if name in table.columns)]
    print_table(shown, (pretty(row, shown) for row in table[shown].to_dict(orient="records")))
    if output is not None:
        print(f"{len(table)} rows in {output}")


@app.command()
def crossdevice(
    network: Annotated[list[str], typer.Argument(help="Published networks.")],
    device: Annotated[list[str] | None, typer.Option(help="Catalogue device or YAML file (repeatable).")] = None,
    family: Annotated[str | None, typer.Option(help="All catalogue devices of this family.")] = None,
    metric: Annotated[str, typer.Option(help="latency_s or energy_j.")] = "latency_s",
    batch: Batch = None,
    bits: Bits = None,
    number_format: NumberFormat = None,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the table as CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Compare networks across devices: which is fastest where, and whether the devices agree on the order."""
    from hwmodels.catalog import device as load
    from hwmodels.crossdevice import cross_devices
    from hwmodels.units import format_quantity, split_unit

    if metric not in ("latency_s", "energy_j"):
        raise SpecError.unknown("--metric", metric, ("latency_s", "energy_j"))
    if output is not None and not output.parent.is_dir():
        raise SpecError("--output", output, "a file in an existing folder")
    chosen = [load(name) for name in _device_names(device, family)]
    from hwmodels.by_name import asked_precision, semantics_of

    semantics = semantics_of(runtime, fuse_attention=fuse_attention, where="--runtime")
    asked = asked_precision(bits, number_format, *(item.spec for item in chosen), where="--format")
    workloads = [
        workload_from(Source(name), batch=batch, asked=asked, layer_bits=layer_bits, semantics=semantics)
        for name in network
    ]
    table = cross_devices(workloads, chosen, metric=metric)
    agreement = table.agreement()
    if output is not None:
        lines = [["network", *table.devices]]
        lines += [[name, *map(repr, row)] for name, row in zip(table.networks, table.values.tolist(), strict=True)]
        output.write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
    if as_json:
        record = {"metric": metric, "networks": table.networks, "devices": table.devices, "best": table.best}
        return print_json(record | {"values": table.values.tolist(), "rank_correlation": agreement.tolist()})
    unit = split_unit(metric)[1]
    # One line a device: a terminal is rarely as wide as the catalogue is long.
    print_table(
        ("device", *table.networks, "best", "rank correlation (mean)"),
        (
            (
                name,
                *(format_quantity(value, unit) if isfinite(value) else "-" for value in table.values[:, d].tolist()),
                table.best[d],
                _mean_apart(agreement[d].tolist(), d),
            )
            for d, name in enumerate(table.devices)
        ),
    )
    if output is not None:
        print(f"table in {output}")


def _device_names(device: list[str] | None, family: str | None) -> list[str]:
    """Devices by name, then all devices of a family."""
    from hwmodels.catalog import device as load
    from hwmodels.catalog import device_names
    from hwmodels.families.base import families

    if family is not None and family not in families():
        raise SpecError.unknown("--family", family, families())
    of_family = [name for name in device_names() if family is not None and load(name).model.name == family]
    names = [*(device or ()), *of_family]
    if not names:
        raise SpecError("--device", "nothing", "named at least once, or --family")
    return list(dict.fromkeys(names))


def _mean_apart(correlations: Sequence[float], own: int) -> str:
    """The mean correlation with the other devices."""
    others = [value for d, value in enumerate(correlations) if d != own]
    return f"{sum(others) / len(others):.3f}" if others and others[0] == others[0] else "-"


def _extrapolated(device: str, workload: Workload) -> list[str]:
    """List what the measurements behind a calibrated device file do not cover of a network."""
    from hwmodels.calibrate import read_coverage

    coverage = read_coverage(Path(device)) if device.endswith((".yaml", ".yml")) else None
    return [] if coverage is None else coverage.outside(workload)


def _explained(report: CostReport, model: CostModel, spec: Spec, layer: str | None) -> dict[str, Any]:
    """Explain the layer that `--explain` names; empty without one."""
    from hwmodels.explain import explain_layer

    return {} if layer is None else explain_layer(report, model, spec, layer, where="--explain")


def _print_explained(explained: Mapping[str, Any]) -> None:
    title = f"layer {explained['layer']}: {explained['group']}"
    told = {name: value for name, value in explained.items() if name not in ("layer", "group", "limit")}
    if "limit" in explained:
        told["binding limit"] = explained["limit"].removesuffix("_s")
    names = (name.removesuffix("_s").removesuffix("_j").replace("_", " ") for name in told)
    print_table((title, "value"), zip(names, pretty(told, list(told)), strict=True))


def _estimate_record(report: CostReport, model: CostModel, spec: Spec, device: str) -> dict[str, Any]:
    from hwmodels.families.base import assumptions_of

    return {
        "network": report.network,
        "device": device,
        "family": report.family,
        "batch": report.batch,
        "infeasible": report.infeasible,
        "totals": report.totals,
        "items_per_s": report.items_per_s,
        "energy_breakdown_j": report.breakdown(),
        "limits": report.bottleneck(),
        "groups": report.groups(),
        "assumptions": [item._asdict() for item in assumptions_of(model, spec)],
    }


def _print_estimate(
    report: CostReport,
    model: CostModel,
    spec: Spec,
    device: str,
    *,
    precision: str,
    formats: Sequence[ExecutedFormat],
    runtime: str,
    unknown: Sequence[Mapping[str, Any]],
) -> None:
    from hwmodels.families.base import assumptions_of
    from hwmodels.units import format_quantity, split_unit

    def shown(name: str) -> str:
        return format_quantity(report.totals[name], split_unit(name)[1])

    print(f"{report.network} on {device} ({report.family}), batch {report.batch}, {precision} by default: {runtime}")
    for executed in formats:
        print(f"FORMAT: {executed.asked} is {executed.how} to {executed.computed}")
    print_unknown(unknown)
    if report.infeasible:
        print(f"INFEASIBLE: {report.infeasible}")
    print(f"  latency     {shown('latency_s')}   throughput {report.items_per_s:.4g} items/s")
    parts = ", ".join(
        f"{term.removesuffix('_j')} {format_quantity(value, 'J')}"
        for term, value in sorted(report.breakdown().items(), key=lambda item: -item[1])[:4]
    )
    print(f"  energy      {shown('energy_j')}   ({parts})")
    kept = f", keys and values {shown('kv_cache_bytes')}" if report.totals["kv_cache_bytes"] else ""
    print(f"  memory      weights {shown('weight_bytes')}, peak activations {shown('peak_activation_bytes')}{kept}")
    if "area_mm2" in report.totals:
        print(f"  area        {shown('area_mm2')}")
    latency = report.totals["latency_s"] or 1.0
    print_table(
        ("layer group", "binding limit", "layers", "MACs", "latency", "share", "energy"),
        (
            (
                group["group"],
                group["limit"].removesuffix("_s"),
                str(group["layers"]),
                format_quantity(group["macs"], ""),
                format_quantity(group["latency_s"], "s"),
                f"{100 * group['latency_s'] / latency:.1f} %",
                format_quantity(group["energy_j"], "J"),
            )
            for group in report.groups()
        ),
    )
    print("assumptions used (no source; plausible range):")
    for item in assumptions_of(model, spec):
        print(f"  {item.name} = {item.value} ({item.plausible}): {item.meaning}")
