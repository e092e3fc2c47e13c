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

__all__ = ["print_union", "union_record"]


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
    if output is not None:
        write_table(output, found.columns(), caption="Union of fronts.")
    if as_json:
        return print_json(union_record(found))
    print_union(found)
    print("knobs of each design: --json, or a table with -o" if output is None else f"table in {output}")


def union_record(found: Union) -> dict[str, Any]:
    """A union as JSON."""
    columns = found.columns()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {"objectives": found.objectives, "fronts": found.fronts, "front": rows}


def print_union(found: Union) -> None:
    """How much of each front stays, and the pairs by rising error."""
    for run, (of_run, kept) in found.fronts.items():
        print(f"{run}: {kept} of {of_run} pairs of its front stay")
    names = [found.judged_by, *found.objectives]
    print_table(
        ("family", "device", *(name.rpartition("_")[0] or name for name in names), "network"),
        (
            (member.family, member.device, *pretty(member.pair.objectives, names), member.pair.architecture)
            for member in found.members
        ),
    )
