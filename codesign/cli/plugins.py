"""Commands that list what is registered: strategies, spaces, estimators, executors and hardware families."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.printing import print_json, print_table

__all__: list[str] = []


@app.command()
def strategies(as_json: Json = False) -> None:
    """List strategies of a search, each with its settings, their bounds and meaning."""
    _list("strategies", as_json=as_json)


@app.command()
def spaces(as_json: Json = False) -> None:
    """List spaces of networks, each with its settings, their bounds and meaning."""
    _list("spaces", as_json=as_json)


@app.command()
def space(
    name: Annotated[str, typer.Argument(help="Space of networks, see `codesign spaces`.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, as width=[8,16] in YAML (repeatable).")
    ] = None,
    data: Annotated[str, typer.Option(help="Data set that gives the images and the classes.")] = "digits",
    sample: Annotated[int, typer.Option(help="Networks to show, drawn uniformly.", min=0, max=1000)] = 3,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Show a space of networks: its decisions, how many points it has, and some of its networks with their size."""
    from codesign.app.listing import space_record

    record = space_record(name, settings or (), data=data, sample=sample, seed=seed)
    if as_json:
        return print_json(record)
    print(f"{record['name']}: {record['meaning']}; {record['points']:.4g} points over {len(record['genes'])} decisions")
    print_table(
        ("decision", "choices"), ((gene["name"], " ".join(map(str, gene["choices"]))) for gene in record["genes"])
    )
    if record["networks"]:
        rows = [(f"{n['parameters']:,}", f"{n['macs']:,}", n["network"]) for n in record["networks"]]
        print_table(("parameters", "MACs", "network"), rows)


@app.command()
def estimators(as_json: Json = False) -> None:
    """List estimators of accuracy, each with its settings, their bounds and meaning."""
    _list("estimators", as_json=as_json)


@app.command()
def executors(as_json: Json = False) -> None:
    """List executors, which run trainings, each with its settings, their bounds and meaning."""
    _list("executors", as_json=as_json)


@app.command()
def families(as_json: Json = False) -> None:
    """List hardware families: meaning, number of knobs, and metrics with unit and the direction that is better."""
    from codesign.app.listing import family_record
    from hwmodels.families.base import families as names
    from hwmodels.families.base import family

    records = [family_record(family(name)) for name in names()]
    if as_json:
        return print_json(records)
    for record in records:
        print(f"{record['name']}: {record['meaning']}; {record['knobs']} knobs")
        rows = [(m["name"], m["unit"] or "", m["better"], m["meaning"]) for m in record["metrics"]]
        print_table(("metric", "unit", "better", "meaning"), rows)


@app.command()
def metrics(
    family: Annotated[str, typer.Argument(help="Hardware family, see `codesign families`.")], as_json: Json = False
) -> None:
    """List what a family answers, its networks' metrics included: unit, meaning and the direction that is better."""
    from codesign.app.listing import family_record
    from hwmodels.families.base import family as find

    record = family_record(find(family))
    if as_json:
        return print_json(record["metrics"])
    rows = [(m["name"], m["unit"] or "", m["better"], m["meaning"]) for m in record["metrics"]]
    print_table(("metric", "unit", "better", "meaning"), rows)


def _list(kind: str, *, as_json: bool) -> None:
    from codesign.app.listing import plugin_records
    from codesign.registry import REGISTRIES

    records = plugin_records(REGISTRIES[kind])
    if as_json:
        return print_json(records)
    for record in records:
        print(f"{record['name']}: {record['meaning']}")
        if record["settings"]:
            print_table(("key", "type", "default", "bounds", "meaning"), map(_row, record["settings"]))


def _row(setting: dict[str, Any]) -> tuple[str, ...]:
    default = setting["default"]
    shown = "none" if default is None else "" if isinstance(default, dict) else str(default)
    return setting["name"], setting["type"], shown, setting["bounds"], setting["meaning"]
