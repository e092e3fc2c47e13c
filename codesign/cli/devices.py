"""`codesign devices`: list the catalogue, show one device whole, write a file to fill in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json, KnobValues
from codesign.cli.outputs import Force
from codesign.cli.printing import print_doubts, print_json, print_table
from codesign.cli.sources import knob_values
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file, write_text

if TYPE_CHECKING:
    from hwmodels.catalog import Device

__all__: list[str] = []

_devices_app = typer.Typer(rich_markup_mode=None, help="List the catalogue of devices; `show` one, write a `new` one.")
app.add_typer(_devices_app, name="devices")


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
    output: Annotated[Path, typer.Option("-o", "--output", help="Device file, new: .yaml.", show_default=False)],
    like: Annotated[str | None, typer.Option(help="Device to start from: name or YAML file.")] = None,
    macro: Annotated[
        list[str] | None,
        typer.Option(
            "--macro", help="Instead: column=value of a published in-memory macro, as 'Compute Model=QR' (repeatable)."
        ),
    ] = None,
    knobs: KnobValues = None,
    force: Force = False,
) -> None:
    """Write a device file to fill in, with every knob, its meaning, unit and source."""
    from hwmodels.catalog import device, device_template

    check_new_file(output, force=force, endings=(".yaml", ".yml"))
    if (like is None) == (not macro):
        raise SpecError("device", "--like and --macro" if macro else "nothing", "--like NAME or --macro COLUMN=VALUE")
    start = device(like) if like else _macro_device(macro or [])
    given = knob_values(knobs)
    sources = {**start.sources, **dict.fromkeys(given, "set by hand: where is it from?")}
    changed = replace(start, spec=start.spec.revised(given, where="--set"), sources=sources)
    write_text(output, device_template(changed, name=output.stem))
    print(f"{output}: change what differs from {start.name}, and give each number its source")


def _macro_device(columns: list[str]) -> Device:
    """A macro by the columns of its row."""
    from hwmodels.catalog import Device
    from hwmodels.families.base import family
    from hwmodels.families.crossbar.macro import COLUMNS, macro, macro_from, macro_sources

    row = {}
    for item in columns:
        name, equals, text = (part.strip() for part in item.partition("="))
        if not equals:
            raise SpecError("--macro", item, "column=value")
        if name not in COLUMNS:
            raise SpecError.unknown("--macro", name, COLUMNS)
        row[name] = text
    spec = macro_from(row)
    return Device("macro", ", ".join(columns), family("crossbar"), spec, macro_sources(macro(row), spec), {})


@_devices_app.command()
def show(device: Annotated[str, typer.Argument(help="Catalogue device or YAML file.")], as_json: Json = False) -> None:
    """Show every knob of a device with unit, source and range, and what the design alone costs."""
    from hwmodels.catalog import device as load
    from hwmodels.catalog import device_names

    chosen = load(device)
    record = _record(chosen)
    if device not in device_names():
        print_doubts(chosen.name, chosen.spec)
    if as_json:
        return print_json(record)
    runtime = f", {chosen.runtime}" if chosen.runtime and chosen.runtime not in chosen.summary else ""
    print(f"{chosen.name} ({chosen.model.name}): {chosen.summary}{runtime}")
    print_table(
        ("of the design", "value", "meaning"),
        ((metric["name"], _shown(metric["value"], metric["unit"]), metric["meaning"]) for metric in record["metrics"]),
    )
    print_table(
        ("knob", "value", "meaning", "source"),
        (
            (
                knob["name"],
                _shown(knob["value"], knob["unit"]),
                knob["meaning"],
                knob["source"] + (" (verified)" if knob["verified"] else ""),
            )
            for knob in record["knobs"]
        ),
    )


def _record(chosen: Device) -> dict[str, Any]:
    """A device as JSON: the metrics of the design, and its knobs with unit, bounds, meaning and source."""
    from hwmodels.units import split_unit

    costs = chosen.model.config_metrics(type(chosen.spec).to_table([chosen.spec]))
    values = chosen.spec.values()
    return {
        "name": chosen.name,
        "family": chosen.model.name,
        "summary": chosen.summary,
        "runtime": chosen.runtime or None,
        "metrics": [
            {"name": m.name, "value": float(costs[m.name][0]), "unit": split_unit(m.name)[1], "meaning": m.meaning}
            for m in chosen.model.metrics
            if m.reduction == "config"
        ],
        "knobs": [
            {
                "name": knob.name,
                "value": values[knob.name],
                "unit": knob.unit,
                "allowed": list(knob.choices) or [knob.low, knob.high],
                "plausible": knob.plausible,
                "meaning": knob.meaning,
                "source": chosen.sources.get(knob.name, f"default: {knob.source}"),
                "verified": chosen.verified.get(knob.name, False),
            }
            for knob in type(chosen.spec).knobs().values()
        ],
    }


def _shown(value: Any, unit: str) -> str:
    from hwmodels.units import format_quantity

    if isinstance(value, bool | str):
        return str(value)
    plain = unit in ("", "bit", "nm", "cycle", "B/cycle") or isinstance(value, int)
    return f"{value:g} {unit}".rstrip() if plain else format_quantity(value, unit)
