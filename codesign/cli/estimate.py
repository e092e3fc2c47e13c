"""`codesign estimate`: what one network costs on one device, layer by layer."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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
    Rate,
    Recompute,
    Runtime,
    Torch,
    Train,
    rate_of,
)
from codesign.cli.outputs import Force
from codesign.cli.printing import pretty, print_doubts, print_json, print_table, print_unknown
from codesign.cli.sources import Source, executed, knob_values, trained
from codesign.cli.timeline import ENDINGS, check_has_timeline, print_timeline, timeline_record
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from hwmodels.cost import CostReport
    from hwmodels.executed_formats import ExecutedFormat
    from hwmodels.families.base import CostModel
    from hwmodels.families.spec import Spec
    from hwmodels.workload.graph import Workload
    from hwmodels.workload.training import TrainingStep

__all__: list[str] = []


@app.command()
def estimate(
    network: Annotated[str | None, typer.Argument(help="Published network, see `codesign networks`.")] = None,
    device: Annotated[
        str, typer.Option(help="Catalogue device or YAML file, see `codesign devices`.", show_default=False)
    ] = ...,  # type: ignore[assignment]
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
    train: Train = None,
    recompute: Recompute = "none",
    rate: Rate = None,
    explain: Annotated[
        str | None,
        typer.Option(help="Explain one layer too: its number in order, or a group as 'conv 3x3', its first layer."),
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="Draw when each part of the hardware runs which layer: .png, .svg or .pdf.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Estimate latency, energy, memory and binding limits of a network, published or your own, on a device.

    With --train, of one step of its training.

    Exit code 1 where the network does not fit the device.
    """
    from hwmodels.catalog import device as load
    from hwmodels.catalog import device_names
    from hwmodels.evaluate import evaluate
    from hwmodels.executed_formats import as_stored, executed_formats
    from hwmodels.rate import at_rate
    from hwmodels.workload.coverage import unknown_operators

    if timeline is not None:
        check_new_file(timeline, force=force, endings=ENDINGS, where="--timeline")
    chosen = load(device)
    if timeline is not None:
        check_has_timeline(chosen.model, device)
    spec = chosen.spec.revised(knob_values(knobs), where="--set")
    model = at_rate(chosen.model, rate_of(rate), where="--rate")
    source = Source(network, torch, onnx, hf_config, layers, tuple(inputs or ()), past)
    (workload,), asked, semantics = executed(
        [source],
        spec,
        batch=batch,
        bits=bits,
        number_format=number_format,
        layer_bits=layer_bits,
        runtime=runtime,
        fuse_attention=fuse_attention,
        is_trained=train is not None,
    )
    step = trained(as_stored(workload, spec), train, recompute)
    run = as_stored(workload, spec) if step is None else step.workload
    report = evaluate(run, model, spec)
    parts = None if model.timeline is None else model.timeline(run, spec)
    unknown = [item._asdict() for item in unknown_operators(workload)]
    outside = _extrapolated(device, workload)
    formats = executed_formats(workload, spec)
    explained = _explained(report, model, spec, explain)
    if knobs or device not in device_names():
        print_doubts(chosen.name, spec)
    if timeline is not None and parts is not None:
        from codesign.report.timeline import save_timeline

        title = f"{report.network} on {chosen.name}, batch {report.batch}, {asked.words} by default"
        save_timeline(parts, title, timeline)
    if as_json:
        told = {
            "default_bits": asked.precision.weight_bits,
            "default_precision": asked.words,
            "formats": [item._asdict() for item in formats],
            "runtime": str(semantics),
            "unknown_operators": unknown,
            "extrapolated": outside,
        } | ({"explained": explained} if explained else {})
        told |= {} if step is None else {"training": step.memory._asdict()}
        told |= {} if parts is None else {"timeline": timeline_record(parts)}
        print_json(_record(report, model, spec, chosen.name) | told)
    else:
        header = f"{report.network} on {chosen.name} ({report.family}), batch {report.batch}, {asked.words} by default"
        print(f"{header}: {semantics}")
        for item in outside:
            print(f"EXTRAPOLATED: {item}")
        _print(report, model, spec, formats=formats, unknown=unknown)
        if parts is not None:
            print_timeline(parts)
        if step is not None:
            _print_training(step)
        if explained:
            _print_explained(explained)
    if report.infeasible:
        sys.exit(1)


def _print_training(step: TrainingStep) -> None:
    from hwmodels.units import format_quantity

    words = {"weight": "weights", "gradient": "gradients", "state": "states", "saved": "kept for the backward pass"}
    parts = (
        f"{words[name.removesuffix('_bytes')]} {format_quantity(value, 'B')}"
        for name, value in step.memory._asdict().items()
        if name != "peak_bytes"
    )
    print(f"training memory: {', '.join(parts)}; peak {format_quantity(step.memory.peak_bytes, 'B')}")


def _extrapolated(device: str, workload: Workload) -> list[str]:
    """List what the measurements behind a calibrated device file do not cover of a network."""
    from hwmodels.coverage import read_coverage

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


def _record(report: CostReport, model: CostModel, spec: Spec, device: str) -> dict[str, Any]:
    """The report as JSON; what does not run has no latency and no energy."""
    from hwmodels.families.base import NETWORK_METRICS, assumptions_of

    runs = report.infeasible is None
    of_network = {metric.name for metric in NETWORK_METRICS}
    return {
        "network": report.network,
        "device": device,
        "family": report.family,
        "batch": report.batch,
        "infeasible": report.infeasible,
        "totals": {name: value if runs or name in of_network else None for name, value in report.totals.items()},
        "items_per_s": report.items_per_s if runs else None,
        "energy_breakdown_j": report.breakdown() if runs else None,
        "limits": report.bottleneck() if runs else None,
        "groups": report.groups() if runs else None,
        "assumptions": [item._asdict() for item in assumptions_of(model, spec)],
    }


def _print(
    report: CostReport,
    model: CostModel,
    spec: Spec,
    *,
    formats: Sequence[ExecutedFormat],
    unknown: Sequence[Mapping[str, Any]],
) -> None:
    from hwmodels.families.base import assumptions_of

    if report.infeasible:
        print(f"INFEASIBLE: {report.infeasible}")
    for found in formats:
        print(f"FORMAT: {found.asked} is {found.how} to {found.computed}")
    print_unknown(unknown)
    if not report.infeasible:
        _print_costs(report, model.static_energy)
    _print_memory(report)
    if not report.infeasible:
        _print_groups(report)
    print("assumptions used (no source; plausible range):")
    for item in assumptions_of(model, spec):
        print(f"  {item.name} = {item.value} ({item.plausible}): {item.meaning}")


def _shown(report: CostReport, name: str) -> str:
    from hwmodels.units import format_quantity, split_unit

    return format_quantity(report.totals[name], split_unit(name)[1])


def _print_costs(report: CostReport, static: str | None) -> None:
    """Time and energy, what of it is static, and the power at a rate."""
    from hwmodels.units import format_quantity

    print(f"  latency     {_shown(report, 'latency_s')}   throughput {report.items_per_s:.4g} items/s")
    parts = ", ".join(
        f"{term.removesuffix('_j')} {format_quantity(value, 'J')}"
        for term, value in sorted(report.breakdown().items(), key=lambda item: -item[1])[:4]
    )
    print(f"  energy      {_shown(report, 'energy_j')}{f'   ({parts})' if parts else ''}")
    if static and report.totals["energy_j"] > 0:
        dynamic = report.totals["energy_j"] - report.totals[static]
        print(f"  of it       static {_shown(report, static)}, dynamic {format_quantity(dynamic, 'J')}")
    if "average_power_w" in report.totals:
        idle = _shown(report, "idle_power_w")
        print(f"  power       {_shown(report, 'average_power_w')} on average, {idle} of it drawn when idle")


def _print_memory(report: CostReport) -> None:
    kept = f", keys and values {_shown(report, 'kv_cache_bytes')}" if report.totals["kv_cache_bytes"] else ""
    weights, peak = _shown(report, "weight_bytes"), _shown(report, "peak_activation_bytes")
    print(f"  memory      weights {weights}, peak activations {peak}{kept}")
    if "area_mm2" in report.totals:
        print(f"  area        {_shown(report, 'area_mm2')}")
    _print_resources(report)


def _print_resources(report: CostReport) -> None:
    """What a design takes of resources that are counted, and which of them is the next to run out."""
    names = [name.removesuffix("_used") for name in report.totals if name.endswith("_used")]
    names = [name for name in names if f"{name}_share" in report.totals]
    if names:
        taken = (
            f"{name} {report.totals[f'{name}_used']:,.0f} ({report.totals[f'{name}_share']:.0%})" for name in names
        )
        binds = names[int(report.totals["binding_resource"])] if "binding_resource" in report.totals else ""
        print(f"  resources   {', '.join(taken)}{f'; {binds} bind' if binds else ''}")


def _print_groups(report: CostReport) -> None:
    from hwmodels.units import format_quantity

    if not report.layers:  # pairs of this family are no sums over layers
        return
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
