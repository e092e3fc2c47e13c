"""`codesign effects`: what the operations and knobs of a run did to its objectives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.printing import console, print_json

__all__: list[str] = []


@app.command()
def effects(folder: Annotated[Path, typer.Argument(help="Folder of a run.")], as_json: Json = False) -> None:
    """Say what each operation and knob did: effects, importance, share on the front, and why its pairs were pruned."""
    from codesign.report.effects import choices_table, effects_of, importance_table
    from codesign.report.summary import config_of, open_store, space_of, summarise
    from hwmodels.files import finite_or_null

    store = open_store(folder)
    space = space_of(config_of(store))
    found = effects_of(store, summarise(store, space=space), space)
    if as_json:
        return print_json(finite_or_null(found.as_dict()))
    if found.importance:
        console().print(importance_table(found).rich())
    console().print(choices_table(found).rich())
    if not found.importance:
        print("too few pairs are known for the importance of decisions")
