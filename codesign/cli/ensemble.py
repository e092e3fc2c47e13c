"""`codesign ensemble`: the networks of a run that tell most together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.printing import pretty, print_json, print_table

if TYPE_CHECKING:
    from codesign.app.ensemble import Found

__all__: list[str] = []


@app.command()
def ensemble(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    members: Annotated[int, typer.Option(help="Networks that it has at most.", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Average the outputs of found networks: greedily chosen on validation, at the sum of their costs."""
    from codesign.app.ensemble import ensemble_of

    found = ensemble_of(folder, most=members)
    if as_json:
        return print_json(found.as_dict())
    _print_steps(found)


def _print_steps(found: Found) -> None:
    from codesign.report.scale import spoken, title
    from hwmodels.units import split_unit

    objectives, first = list(found.costs[0]), found.parts[0].hardware
    knobs = [name for name in first if len({str(part.hardware[name]) for part in found.parts}) > 1]
    rows = [
        (
            "*" if count == found.size else "",
            str(count),
            part.network,
            ", ".join(f"{name}={part.hardware[name]}" for name in knobs) or "-",
            *(f"{100 * value:.1f} %" for value in (part.accuracy, part.accuracy_test)),
            *(f"{100 * value:.1f} %" for value in (step.accuracy, step.accuracy_test)),
            *pretty(costs, objectives),
        )
        for count, (part, step, costs) in enumerate(zip(found.parts, found.steps, found.costs, strict=True), start=1)
    ]
    alone = ("alone", "on test", "together", "on test")
    print_table(("", "", "network", "design", *alone, *(title(split_unit(name)[0]) for name in objectives)), rows)
    best, single = found.steps[found.size - 1], found.parts[0]
    told = [spoken("accuracy", best.accuracy), spoken("accuracy_test", best.accuracy_test)]
    told += [spoken(name, value) for name, value in found.costs[found.size - 1].items()]
    print(f"* {found.size} of {found.library} networks, best on validation: {', '.join(told)}")
    alone_told = [spoken("accuracy", single.accuracy), spoken("accuracy_test", single.accuracy_test)]
    print(f"the best network alone: {', '.join([*alone_told, *(spoken(*cost) for cost in single.costs.items())])}")
