"""`codesign sweep`: the costs of networks over a grid of hardware knobs, streamed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import (
    Batch,
    Bits,
    FuseAttention,
    HfConfigs,
    Inputs,
    Json,
    LayerBits,
    LayerLists,
    NumberFormat,
    Onnxes,
    Past,
    Rate,
    Runtime,
    Torches,
    rate_of,
)
from codesign.cli.outputs import Force
from codesign.cli.printing import console, pretty, print_json, print_table
from codesign.cli.sources import executed, grid_axes, sources_of
from codesign.cli.streams import STREAMED, write_stream
from codesign.report.table_file import TABLE_ENDINGS, write_table
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    import pandas as pd

    from hwmodels.families.base import CostModel
    from hwmodels.grid import Grid
    from hwmodels.workload.graph import Workload

__all__: list[str] = []

_SHOWN = 200
"""Rows that are printed; a larger table goes to a file."""

_WANTED = ("latency_s", "energy_j", "average_power_w", "area_mm2")


@app.command()
def sweep(
    network: Annotated[list[str] | None, typer.Argument(help="Published networks.")] = None,
    family: Annotated[str | None, typer.Option(help="Hardware family; that of the device by default.")] = None,
    knobs: Annotated[
        list[str] | None,
        typer.Option("--set", help="knob=value,value,... (repeatable): the grid; rows=cols=32,64 ties two knobs."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device that sets the other knobs.")] = None,
    torch: Torches = None,
    onnx: Onnxes = None,
    hf_config: HfConfigs = None,
    layers: LayerLists = None,
    inputs: Inputs = None,
    past: Past = 0,
    batch: Batch = None,
    bits: Bits = None,
    number_format: NumberFormat = None,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    rate: Rate = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the whole table: .csv, .parquet, .md or .tex.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Estimate the cost of networks over a grid of hardware knobs."""
    from hwmodels.rate import at_rate

    if output is not None:
        check_new_file(output, force=force, endings=TABLE_ENDINGS)
    base, plain = _base(family, device)
    grid = _grid(base, knobs)
    model = at_rate(plain, rate_of(rate), where="--rate")
    workloads = executed(
        sources_of(network, torch, onnx, hf_config, layers, inputs=inputs, past=past),
        base,
        batch=batch,
        bits=bits,
        number_format=number_format,
        layer_bits=layer_bits,
        runtime=runtime,
        fuse_attention=fuse_attention,
    ).workloads
    rows = len(workloads) * len(grid)
    parts = _parts(workloads, model, grid)
    if output is not None and output.suffix.lower() in STREAMED:
        first = write_stream(output, parts, keep=rows if as_json else _SHOWN)
    elif rows > _MOST_UNWRITTEN:
        raise SpecError("--output", output or "nothing", f"a file that ends in .csv or .parquet for {rows:,} rows")
    else:
        first = _joined(parts)
        if output is not None:
            write_table(output, first.to_dict(orient="list"), caption=f"sweep of {model.name}")
    if as_json:
        return print_json(first.to_dict(orient="records"))
    _print(first.head(_SHOWN), model)
    if rows > _SHOWN:
        print(f"{_SHOWN} of {rows:,} rows" + ("" if output else "; -o FILE.csv writes all"))
    if output is not None:
        print(f"{rows:,} rows in {output}")


_MOST_UNWRITTEN = 100_000
"""Rows of a table that is held in memory; more are streamed into a file."""


def _base(family: str | None, device: str | None) -> tuple[Any, CostModel]:
    """The spec that the grid starts from, and its family."""
    from hwmodels.catalog import device as load
    from hwmodels.families.base import family as find

    if family is None and device is None:
        raise SpecError("--family", "nothing", "a family, or --device")
    if device is None:
        model = find(family or "")
        return model.spec(), model
    chosen = load(device)
    if family is not None and chosen.model is not find(family):
        raise SpecError("--device", device, f"a device of the family {family}")
    return chosen.spec, chosen.model


def _grid(base: Any, knobs: list[str] | None) -> Grid:
    from hwmodels.grid import Grid

    return Grid(base, grid_axes(knobs or ()), where="--set")


def _parts(workloads: list[Workload], model: CostModel, grid: Grid) -> Iterator[pd.DataFrame]:
    """The parts of the table; a long one says how long it takes, and shows how far it is."""
    from hwmodels.evaluate import sweep_parts

    rows, done, timed = len(workloads) * len(grid), 0, 0
    begin = time.perf_counter()
    with _progress(rows) as show:
        for part in sweep_parts(workloads, model, grid):
            yield part
            done += len(part)
            if timed == 0:  # the first part loads the compiled kernel, and says nothing of the others
                begin, timed = time.perf_counter(), done
            else:
                show(done, (time.perf_counter() - begin) * rows / (done - timed))


@contextmanager
def _progress(rows: int) -> Iterator[Callable[[int, float], None]]:
    """A bar on standard error for what takes more than two seconds, with one line of how long it will be."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console(error=True))
    task = bar.add_task("pairs", total=rows)

    def show(done: int, whole_s: float) -> None:
        if not bar.live.is_started and done < rows and whole_s > 2:
            print(f"codesign: {rows:,} pairs, about {whole_s:.0f} s", file=sys.stderr)
            bar.start()
        bar.update(task, completed=done)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def _joined(parts: Iterator[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    found = list(parts)
    return found[0] if len(found) == 1 else pd.concat(found, ignore_index=True)


def _print(table: pd.DataFrame, model: CostModel) -> None:
    """Network, knobs that vary and the metrics that every reader looks for; what does not run has no cost."""
    varying = list(table.columns[: table.columns.get_loc(model.composed_metrics[0])])
    costs = [name for name in _WANTED if name in table.columns]
    shown = [*varying, *costs, "infeasible"]
    rows = table[shown].to_dict(orient="records")
    for row in rows:
        if row["infeasible"]:
            row |= dict.fromkeys(costs, float("nan"))
    print_table(shown, (pretty(row, shown) for row in rows))
