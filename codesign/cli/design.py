"""`codesign design`: data and a device in, the best three networks out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.printing import print_json

__all__: list[str] = []


@app.command()
def design(
    data: Annotated[str, typer.Argument(help="Data set by name, or own: a folder of images, .npz, .csv, .txt.")],
    device: Annotated[
        str, typer.Option(help="Catalogue device or YAML file, see `codesign devices`.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the run and the exports: new or empty.")],
    budget: Annotated[str, typer.Option(help="Time that all of it may take, as 90 s, 10 min or 2 h.")] = "10 min",
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Bound of a cost, as latency=20ms, weights<=5MB or 'throughput>=30' (repeatable)."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder or file of a data set that needs one.")] = None,
    search_hardware: Annotated[
        bool, typer.Option("--search-hardware", help="Search knobs of the device, too, around their values.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that train.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Design networks for some data on a device, without a run file: the most accurate three that keep the limits.

    Limits that nothing keeps are refused with the nearest value that a pair reaches.
    """
    from codesign.app.design import design as find

    found = find(
        data if root is None else {"name": data, "root": str(root)},
        device,
        budget,
        list(limit or ()),
        output=output,
        seed=seed,
        workers=workers,
        hardware="searched" if search_hardware else "fixed",
    )
    if as_json:
        return print_json(
            {
                "explanation": list(found.explanation),
                "best": [pair.as_dict() for pair in found.best],
                "config": dict(found.config),
                "seconds": found.seconds,
                "folder": str(output),
            }
        )
    print(found)
    print(f"exported to {output / 'best-1'} and its like; the report is {output / 'run' / 'report.html'}")
