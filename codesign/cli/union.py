"""`codesign union`: several runs as one front, with the family of each pair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.outputs import Force
from codesign.cli.printing import pretty, print_json, print_table
from codesign.report.table_file import TABLE_ENDINGS, write_table
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from codesign.report.union import Union

__all__: list[str] = []


@app.command()
def union(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs on the same data.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the table: .csv, .parquet, .md or .tex.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Join the fronts of several runs, of whatever families, into one."""
    from codesign.report.union import union as joined

    if output is not None:
        check_new_file(output, force=force, endings=TABLE_ENDINGS)
    found = joined(folders)
    rows = _rows(found)
    if output is not None:
        write_table(output, {name: [row[name] for row in rows] for name in rows[0]}, caption="Union of fronts.")
    if as_json:
        return print_json({"objectives": found.objectives, "fronts": found.fronts, "front": rows})
    for run, (of_run, kept) in found.fronts.items():
        print(f"{run}: {kept} of {of_run} pairs of its front stay")
    names = [found.judged_by, *found.objectives]
    print_table(
        ("family", "device", *(name.rpartition("_")[0] or name for name in names), "network"),
        ((row["family"], row["device"], *pretty(row, names), row["network"]) for row in rows),
    )
    print("knobs of each design: --json, or a table with -o" if output is None else f"table in {output}")


def _rows(found: Union) -> list[dict[str, Any]]:
    """One row a pair."""
    return [
        {
            "family": member.family,
            "device": member.device,
            **{name: member.pair.objectives[name] for name in (found.judged_by, *found.objectives)},
            "network": member.pair.architecture,
            "design": ", ".join(f"{name} {value}" for name, value in member.pair.hardware.items()),
            "run": member.run,
        }
        for member in found.members
    ]
