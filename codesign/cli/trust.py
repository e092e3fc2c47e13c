"""Commands about what the numbers rest on: agreement with published figures, assumptions, the installation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.printing import print_json, print_table
from hwmodels.errors import SpecError

__all__: list[str] = []


@app.command()
def validate(
    family: Annotated[list[str] | None, typer.Argument(help="Families, or `workload`; all by default.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of reference files; replaces $CODESIGN_REFERENCE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare predicted with published figures: the error of every family on every known set."""
    from codesign.estimate.validation import validate as scores_of_simulation
    from hwmodels.validate import open_tables
    from hwmodels.validate import validate as scores_of

    tables = open_tables(reference)
    scores = scores_of(family, reference=tables)
    if not family or "crossbar" in family:
        scores += scores_of_simulation(tables)
    if as_json:
        return print_json([s.as_dict() for s in scores])
    if tables.missing:
        print(
            f"codesign: {len(tables.missing)} reference files are missing, their sets are not scored: "
            f"{', '.join(tables.missing)} (--reference FOLDER or $CODESIGN_REFERENCE says where they are)",
            file=sys.stderr,
        )
    if not scores:
        return
    print_table(
        ("family", "set", "group", "protocol", "rows", "metric", "value", "baseline"),
        (
            (
                s.family,
                s.set,
                s.group,
                s.protocol,
                f"{s.rows}/{s.rows_in_file}",
                s.metric,
                f"{s.value:.4g}",
                ", ".join(f"{name} {value:.3g}" for name, value in (s.baseline or {}).items()),
            )
            for s in scores
        ),
    )


@app.command()
def assumptions(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None, as_json: Json = False
) -> None:
    """List every modelling choice and default without a source, with its plausible range."""
    from hwmodels.families.base import assumptions_of, families
    from hwmodels.families.base import family as find

    if family is not None and family not in families():
        raise SpecError.unknown("--family", family, families())
    names = families() if family is None else (family,)
    records = [
        {"family": name, **item._asdict()} for name in names for item in assumptions_of(find(name), find(name).spec())
    ]
    if as_json:
        return print_json(records)
    columns = ("family", "name", "value", "plausible", "meaning")
    print_table(columns, (tuple(r[column] for column in columns) for r in records))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the installation: versions, compiler cache, threads, data."""
    import os
    import platform
    import time
    from importlib.metadata import version

    names = ("codesign", "numpy", "numba", "torch", "scikit-learn", "pymoo", "pyarrow", "plotly", "pydantic")
    record: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    record |= {name: version(name) for name in names}
    from codesign.data import load
    from hwmodels.catalog import device
    from hwmodels.evaluate import evaluate
    from hwmodels.workload.zoo import network

    chosen, workload = device("systolic_edge"), network("resnet18")
    clock = time.perf_counter()
    evaluate(workload, chosen.model, chosen.spec)
    record["first_evaluation_s"] = round(time.perf_counter() - clock, 3)
    clock = time.perf_counter()
    evaluate(workload, chosen.model, chosen.spec)
    record["next_evaluation_s"] = round(time.perf_counter() - clock, 4)
    record["digits_images"] = sum(len(part.labels) for part in _parts(load("digits")))
    if as_json:
        return print_json(record)
    print_table(("check", "found"), ((name, str(value)) for name, value in record.items()))


def _parts(data: Any) -> Iterator[Any]:
    yield from (data.train, data.validation, data.test)
