"""Commands about accuracy on hardware: how ADC bits and array size change accuracy and energy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.app import app
from codesign.cli.options import Json, numbers
from codesign.cli.outputs import Force
from codesign.cli.printing import print_json, print_table
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from codesign.estimate.tradeoff import Tradeoff

__all__: list[str] = []

_SURVEY = "imc/silicon_macros_survey.csv"


@app.command()
def tradeoff(
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Picture: .png, .svg or .pdf; the table as .csv beside it.", show_default=False
        ),
    ],
    device: Annotated[str, typer.Option(help="Crossbar device: name or YAML file.")] = "rram_edge",
    data: Annotated[str, typer.Option(help="Images to train a small network on: digits or noisy-digits.")] = "digits",
    array_rows: Annotated[str, typer.Option(help="Sizes of square arrays.")] = "32,64,128,256",
    adc_bits: Annotated[str, typer.Option(help="Resolutions of the ADCs.")] = "3,4,5,6,7,8",
    tiles: Annotated[
        int, typer.Option(help="Tiles of the device at its own array size; other sizes get equal cells.", min=1)
    ] = 4,
    draws: Annotated[int, typer.Option(help="Programmings of a varying crossbar.", min=1)] = 10,
    statistical: Annotated[
        bool, typer.Option("--statistical", help="Use the statistical shortcut for reads: several times faster.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the training and of the draws.", min=0)] = 0,
    macros: Annotated[
        bool,
        typer.Option(
            "--macros", help="Instead: efficiency of published macros against ADC bits, beside the predicted front."
        ),
    ] = False,
    nodes: Annotated[str, typer.Option(help="Nodes of that front, nm.")] = "7,28,65",
    reference: Annotated[
        Path | None, typer.Option(help="Folder of reference files; replaces $CODESIGN_REFERENCE.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Plot accuracy against energy of one trained network over ADC bits and array size, and write the table."""
    if macros:
        return _macros(output, nodes, adc_bits, reference, force=force, as_json=as_json)
    from codesign.executor.portable import pin_instruction_set

    pin_instruction_set()
    from codesign.data import load
    from codesign.estimate.base import MemoryWeights
    from codesign.estimate.estimator import TrainingEstimator
    from codesign.estimate.recipe import Recipe
    from codesign.estimate.tradeoff import accuracy_against_energy, image_network
    from hwmodels.catalog import device as find

    check_new_file(output, force=force, endings=(".pdf", ".png", ".svg"))
    check_new_file(output.with_suffix(".csv"), force=force)
    chip, dataset = find(device), load(data)
    if not chip.spec.numerics().is_crossbar:
        raise SpecError("--device", device, "a crossbar of analogue cells")
    rows, bits = (
        numbers(option, text, least=1) for option, text in (("--array-rows", array_rows), ("--adc-bits", adc_bits))
    )
    estimator = TrainingEstimator(
        dataset, Recipe(epochs=12), MemoryWeights(), draws=draws, reading="statistical" if statistical else "exact"
    )
    found = accuracy_against_energy(
        image_network(dataset.shape, dataset.classes), estimator, model=chip.model,
        spec=chip.spec.revised({"tiles": tiles}, where="--tiles"), array_rows=rows, adc_bits=bits, seed=seed,
    )  # fmt: skip
    table = _write(found, output)
    if as_json:
        return print_json(found.rows())
    _print(found)
    print(f"picture in {output}, table in {table}")


def _macros(output: Path, nodes: str, adc_bits: str, reference: Path | None, *, force: bool, as_json: bool) -> None:
    """Published macros beside the predicted front, as a picture and a table."""
    from codesign.estimate.macro_front import macro_front, published_points, table_rows
    from codesign.report.macros import save_macros
    from codesign.report.table_file import write_table
    from hwmodels.validate import open_tables

    check_new_file(output, force=force, endings=(".pdf", ".png", ".svg"))
    check_new_file(output.with_suffix(".csv"), force=force)
    listed = open_tables(reference).rows(_SURVEY)
    if listed is None:
        raise SpecError("--macros", _SURVEY, "a file under --reference FOLDER or $CODESIGN_REFERENCE")
    front = macro_front(numbers("--nodes", nodes, least=3), numbers("--adc-bits", adc_bits, least=1))
    published = published_points(listed)
    save_macros(front, published, output)
    rows, path = table_rows(front, published), output.with_suffix(".csv")
    write_table(path, {name: [row[name] for row in rows] for name in rows[0]})
    if as_json:
        return print_json(rows)
    print_table(
        ("node", "ADC bits", "TOPS/W", "80 % of published", "summed by", "rows"),
        (
            (
                f"{point.node_nm:g} nm", str(point.adc_bits), f"{point.tops_per_w:,.0f}",
                f"{point.low:,.0f} to {point.high:,.0f}", point.kind, str(point.summed),
            )
            for point in front
        ),
    )  # fmt: skip
    print(f"picture of {len(published)} published macros in {output}, table in {path}")


def _write(found: Tradeoff, output: Path) -> Path:
    """Write the picture and the table beside it; return the table's path."""
    from codesign.report.table_file import write_table
    from codesign.report.tradeoff import save_tradeoff

    save_tradeoff(found, output)
    rows, path = found.rows(), output.with_suffix(".csv")
    write_table(path, {name: [row[name] for row in rows] for name in rows[0]})
    return path


def _print(found: Tradeoff) -> None:
    from hwmodels.units import format_quantity

    print_table(
        ("array", "ADC bits", "accuracy", "95 % interval", "spread", "energy an image", "latency", "area", ""),
        (
            (
                f"{row['array_rows']} x {row['array_rows']}",
                str(row["adc_bits"]),
                f"{100 * row['accuracy']:.1f} %",
                _interval(row["accuracy_low"], row["accuracy_high"]),
                f"{100 * row['spread']:.1f} %" if row["draws"] > 1 else "-",
                format_quantity(row["energy_j"], "J"),
                format_quantity(row["latency_s"], "s"),
                format_quantity(row["area_mm2"], "mm²"),
                row["infeasible"],
            )
            for row in found.rows()
        ),
    )


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f} %" if low == low else "-"
