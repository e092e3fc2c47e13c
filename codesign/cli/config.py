"""`codesign config`: a run file to start from, the schemas of run and device files, and the check of a run file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.printing import print_json
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.app.config import RunConfig

__all__: list[str] = []


@app.command()
def config(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SPACE FAMILY | FAMILY | FILE]", help="What --template, --schema or --check is of."),
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="Print a whole commented run file of a SPACE on a FAMILY.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of run files, or of device files of a FAMILY.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check a run FILE, and count its networks and designs.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="Device that the template starts from; by default one that runs the networks.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Key of the space in a template, as channels=8; any key in a check (repeatable)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run file to start from, print the schema of run and device files, check a run file."""
    chosen = [name for name, asked in (("template", template), ("schema", schema), ("check", check)) if asked]
    if len(chosen) != 1:
        raise SpecError(
            "codesign config",
            " and ".join(f"--{name}" for name in chosen) or "no option",
            "one of --template SPACE FAMILY, --schema [FAMILY], --check FILE",
        )
    given, overrides = names or [], assignments or []
    if not template and device is not None:
        raise SpecError("--device", device, "given with --template alone")
    if schema:
        return print_json(_schema(given))
    if check:
        return _check(given, overrides, as_json=as_json)
    _template(given, device, overrides, as_json=as_json)


def _template(names: list[str], device: str | None, settings: list[str], *, as_json: bool) -> None:
    from codesign.app.template import default_run, run_template

    if len(names) != 2:
        raise SpecError("--template", " ".join(names), "a space and a family, as cell crossbar")
    made = default_run(names[0], names[1], device, settings=settings)
    if as_json:
        return print_json(made.model_dump(mode="json"))
    print(run_template(made), end="")


def _schema(names: list[str]) -> dict[str, Any]:
    from codesign.app.schema import device_schema, run_schema
    from hwmodels.families.base import families, family

    if len(names) > 1:
        raise SpecError("--schema", " ".join(names), "nothing, or one family for its device files")
    if names and names[0] not in families():
        raise SpecError.unknown("--schema", names[0], families())
    return device_schema(family(names[0])) if names else run_schema()


def _check(names: list[str], overrides: list[str], *, as_json: bool) -> None:
    from codesign.app.config import parse_config, read_run_file
    from codesign.app.families import family_contents, of_families

    if len(names) != 1:
        raise SpecError("--check", " ".join(names), "one run file")
    where = names[0]
    content = read_run_file(Path(where), overrides)
    contents = family_contents(content, where) if of_families(content) else {"": content}
    records = {name: _checked(parse_config(one, where=where), where) for name, one in contents.items()}
    if as_json:
        return print_json({"file": where, "runs": records} if len(records) > 1 else records[""])
    for record in records.values():
        on = f" on {record['family']}" if len(records) > 1 else ""
        print(f"{where}: a valid run of {record['networks']:,} networks x {record['designs']:,} designs{on}")


def _checked(settings: RunConfig, where: str) -> dict[str, Any]:
    from codesign.app.assemble import dataset_of, joint_space

    space = joint_space(settings, dataset_of(settings.data))
    return {
        "file": where,
        "networks": space.architecture.size,
        "designs": space.hardware.size,
        "family": space.hardware.model.name,
        "objectives": settings.objectives,
        "constraints": settings.constraints,
    }
