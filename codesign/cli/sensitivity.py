"""`codesign sensitivity`: which of the numbers without a source decide a cost, an order or a front."""

from __future__ import annotations

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
from codesign.cli.printing import print_json, print_table
from codesign.cli.sources import executed, knob_values, sources_of

if TYPE_CHECKING:
    from hwmodels.sensitivity import Sensitivity

__all__: list[str] = []


@app.command()
def sensitivity(
    network: Annotated[list[str] | None, typer.Argument(help="Published networks; several show what turns.")] = None,
    device: Annotated[
        str, typer.Option(help="Catalogue device or YAML file, see `codesign devices`.", show_default=False)
    ] = ...,  # type: ignore[assignment]
    metric: Annotated[
        list[str] | None, typer.Option(help="Metric (repeatable); the family's objectives by default.")
    ] = None,
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
    as_json: Json = False,
) -> None:
    """Move every number without a source to both ends of its plausible range: what does it decide?"""
    from hwmodels.catalog import device as load
    from hwmodels.executed_formats import as_stored
    from hwmodels.rate import at_rate
    from hwmodels.sensitivity import assumed_knobs
    from hwmodels.sensitivity import sensitivity as moved

    chosen, given = load(device), knob_values(knobs)
    spec = chosen.spec.revised(given, where="--set")
    model = at_rate(chosen.model, rate_of(rate), where="--rate")
    networks = executed(
        sources_of(network, torch, onnx, hf_config, layers, inputs=inputs, past=past),
        spec,
        batch=batch,
        bits=bits,
        number_format=number_format,
        layer_bits=layer_bits,
        runtime=runtime,
        fuse_attention=fuse_attention,
    )
    workloads = [as_stored(workload, spec) for workload in networks.workloads]
    shown = tuple(metric or (*model.objectives, *(("average_power_w",) if rate else ())))
    assumed = [ends for ends in assumed_knobs(spec, chosen.sources) if ends.name not in given]
    found = moved(workloads, model, [spec] * len(workloads), metrics=shown, knobs=assumed)
    if as_json:
        return print_json(_record(found, chosen.name, [workload.name for workload in workloads]))
    _print(found, chosen.name, len(workloads))


def _record(found: Sensitivity, device: str, networks: list[str]) -> dict[str, Any]:
    spans, turned, front = found.spans(), found.turned(), found.front_changes()
    return {
        "device": device,
        "networks": networks,
        "metrics": found.metrics,
        "knobs": [
            {
                **found.knobs[k]._asdict(),
                "span": {name: spans[k, m].tolist() for m, name in enumerate(found.metrics)},
                "turned": {name: int(turned[k, m]) for m, name in enumerate(found.metrics)},
                "front_changes": int(front[k]),
            }
            for k in found.order()
        ],
    }


def _print(found: Sensitivity, device: str, networks: int) -> None:
    from hwmodels.sensitivity import factors
    from hwmodels.units import split_unit

    spans, turned, front = found.spans(), found.turned(), found.front_changes()
    moving = found.moving()
    compared = ("order turns", "front changes") if networks > 1 else ()
    print_table(
        ("knob", "value", "range", *(split_unit(name)[0] for name in found.metrics), *compared),
        (
            (
                found.knobs[k].name,
                f"{found.knobs[k].value:g}",
                f"{found.knobs[k].low:g} to {found.knobs[k].high:g}",
                *(factors(*spans[k, m]) for m in range(len(found.metrics))),
                *((str(int(turned[k].sum())), str(int(front[k]))) if compared else ()),
            )
            for k in moving
        ),
    )
    if still := found.still():
        print(f"without effect here: {', '.join(still)}")
    print(
        f"one knob of {device} at a time, costs over those of the device as it is; `codesign assumptions` has meanings"
    )
