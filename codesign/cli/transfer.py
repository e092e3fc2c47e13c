"""`codesign transfer`: whether what was found for one device or data set serves another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from codesign.report.transfer import RunTransfer

__all__: list[str] = []


@app.command()
def transfer(
    folders: Annotated[list[Path], typer.Argument(help="Folder of a run, or of several on other data.")],
    device: Annotated[list[str] | None, typer.Option(help="Catalogue device or YAML file (repeatable).")] = None,
    family: Annotated[str | None, typer.Option(help="All catalogue devices of this family.")] = None,
    metric: Annotated[str, typer.Option(help="The cost that stands beside the error.")] = "latency_s",
    as_json: Json = False,
) -> None:
    """Show how much of each front the networks keep that another device or data set would have chosen."""
    from codesign.cli.sources import devices_named
    from codesign.report.transfer import transfer_of_runs

    found = transfer_of_runs(folders, devices_named(device, family), metric)
    if as_json:
        carried = found.carried
        return print_json(
            {
                "metric": metric,
                "networks": carried.networks,
                "contexts": carried.contexts,
                "front": carried.front,
                "kept": carried.kept.tolist(),
                "rank_correlation": found.costs.tolist(),
                "runs": found.runs,
                "rank_correlation_of_errors": found.errors.tolist(),
            }
        )
    _print(found)


def _print(found: RunTransfer) -> None:
    carried = found.carried
    print(f"{carried.networks} networks; share of a front that is kept (rows: chosen for, columns: used on):")
    print_table(
        ("chosen for", "front", *carried.contexts),
        (
            (name, str(size), *(f"{100 * share:.0f} %" for share in line))
            for name, size, line in zip(carried.contexts, carried.front, carried.kept.tolist(), strict=True)
        ),
    )
    if len(found.runs) > 1:
        print("rank correlation of the errors:")
        rows = zip(found.runs, found.errors.tolist(), strict=True)
        print_table(("data", *found.runs), ((name, *(f"{value:.2f}" for value in line)) for name, line in rows))
