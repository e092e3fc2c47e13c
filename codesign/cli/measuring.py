"""Commands about your own machine: time it, fit a device to it, write a device file to fill in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codesign.cli.app import app
from codesign.cli.options import Json, numbers
from codesign.cli.outputs import Force
from codesign.cli.printing import console, print_json, print_table
from hwmodels.errors import SpecError
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from hwmodels.calibrate import Calibration, FitError
    from hwmodels.measurements import Measurement

__all__: list[str] = []

_NETWORKS = (
    "alexnet", "resnet18", "resnet50", "resnext50_32x4d", "vgg11", "squeezenet1_1", "mobilenet_v2",
    "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet1_0", "efficientnet_b0", "densenet121",
    "regnet_y_400mf", "googlenet", "inception_v3", "convnext_tiny", "vit_b_16", "bert_base",
)  # fmt: skip
"""Networks that `measure` times by default."""


@app.command()
def measure(
    network: Annotated[
        list[str] | None, typer.Argument(help="Published networks; eighteen of them by default.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV file, new.", show_default=False)] = ...,  # type: ignore[assignment]
    layers: Annotated[bool, typer.Option(help="Time single layers too: they show most about a machine.")] = True,
    batch: Annotated[str, typer.Option(help="Batch sizes, as 1,8.")] = "1",
    threads: Annotated[str, typer.Option(help="Numbers of threads, as 1,2,4; 0 is torch's own.")] = "1",
    runtime: Annotated[str, typer.Option(help="eager, compiled or both: eager,compiled.")] = "eager",
    context: Annotated[str, typer.Option(help="Contexts of layers: hot, cold or both.")] = "hot,cold",
    number_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="Formats, as fp32,bf16, or all that torch computes in here; int8 and fp8 are timed as products.",
        ),
    ] = "fp32",
    accelerator: Annotated[str, typer.Option(help="cpu, or cuda where torch has a device.")] = "cpu",
    seconds: Annotated[
        float, typer.Option(help="Seconds of timed calls a row; every row gets at least five calls.", min=0.001)
    ] = 0.3,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Time layers and networks in torch on this machine, into a CSV that `calibrate` reads."""
    from codesign.network import to_module
    from hwmodels.measure import GPU_LAYERS, LAYERS, formats_of, plan
    from hwmodels.measure import measure as timed
    from hwmodels.measurements import write_measurements

    check_new_file(output, force=force, endings=(".csv",))
    rows = plan(
        network or _NETWORKS,
        (*LAYERS, *(GPU_LAYERS if accelerator == "cuda" else ())) if layers else (),
        batches=numbers("--batch", batch, least=1),
        threads=numbers("--threads", threads, least=0),
        runtimes=_among("--runtime", runtime, ("eager", "compiled")),
        contexts=_among("--context", context, ("hot", "cold")),
        precisions=formats_of(accelerator) if number_format == "all" else _formats(number_format),
    )
    found: list[Measurement] = []
    try:
        with _counting(len(rows)) as step:
            for row in timed(rows, to_module, accelerator=accelerator, seconds=seconds):
                found.append(row)
                step(row.name)
    except KeyboardInterrupt:
        if found:
            write_measurements(found, output)
        print(f"codesign: interrupted; {len(found)} of {len(rows)} rows in {output}", file=sys.stderr)
        sys.exit(1)
    write_measurements(found, output)
    if as_json:
        return print_json([vars(row) for row in found])
    _print_measured([row for row in found if not row.is_layer])
    print(f"{len(found)} rows in {output}")


@app.command()
def calibrate(
    csv: Annotated[Path, typer.Argument(help="Measurements of one machine, as `codesign measure` writes them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Device file, new: .yaml.", show_default=False)] = ...,  # type: ignore[assignment]
    like: Annotated[
        str | None,
        typer.Option(help="Device that the fit starts from: name or YAML file; by default the nearest of --family."),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Family of the device, where --like names none; cpu by default.")
    ] = None,
    networks: Annotated[
        str | None, typer.Option(help="Fit only on these networks (and all layers), as a,b,c; predict the others.")
    ] = None,
    knob: Annotated[
        list[str] | None, typer.Option(help="Fit this knob (repeatable); all that matter by default.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Fit a device to ten or more measurements, and report its error on networks that the fit did not see."""
    from hwmodels.calibrate import calibrate as fit
    from hwmodels.calibrate import error_on, nearest_device, write_device
    from hwmodels.catalog import device as load
    from hwmodels.catalog import devices_of
    from hwmodels.measurements import read_measurements

    check_new_file(output, force=force, endings=(".yaml", ".yml"))
    if like is not None and family is not None:
        raise SpecError("--family", family, f"given beside --like {like}", "the device has its family")
    rows = read_measurements(csv)
    seen, apart = _split(rows, networks)
    start = load(like) if like is not None else nearest_device(devices_of(family or "cpu", where="--family"), seen)
    found = fit(start, seen, knobs=knob)
    error, predicted = error_on(found, apart) if apart else (None, None)
    write_device(found, output, source=csv.name)
    if as_json:
        record = {
            "like": start.name,
            "knobs": found.knobs,
            "factor": found.factor,
            "scaled": found.scaled,
            "fitted_on": found.fitted_on,
            "error": asdict(found.error),
        }
        return print_json(record | {"apart": asdict(error) if error else None, "device": str(output)})
    _print_calibration(found, start.name)
    if error is not None and predicted is not None:
        _print_predicted(apart, predicted.tolist(), error)
    print(f"device in {output}")


def _split(rows: Sequence[Measurement], networks: str | None) -> tuple[list[Measurement], list[Measurement]]:
    """Split rows into those to fit on and the others."""
    if networks is None:
        return list(rows), []
    wanted = [name.strip() for name in networks.split(",")]
    known = sorted({row.network for row in rows if not row.is_layer})
    for name in wanted:
        if name not in known:
            raise SpecError.unknown("--networks", name, known)
    seen = [row for row in rows if row.is_layer or row.network in wanted]
    return seen, [row for row in rows if not row.is_layer and row.network not in wanted]


def _print_measured(rows: Sequence[Measurement]) -> None:
    from hwmodels.units import format_quantity

    columns = ("network", "batch", "threads", "runtime", "format", "median", "spread")
    print_table(
        columns,
        (
            (row.network, str(row.batch), str(row.threads), row.runtime, row.precision,
             format_quantity(row.seconds, "s"),
             f"{100 * row.spread:.0f} %")
            for row in rows
        ),
    )  # fmt: skip


def _print_calibration(found: Calibration, start: str) -> None:
    print(f"fitted on {found.fitted_on}, from {start}")
    if found.scaled:
        print(f"NOTE: {start} times {found.factor:.3g} predicts better than any fit of its knobs, and is the device")
    elif found.factor != 1.0:
        print(f"a free factor of {found.factor:.3g} beside the knobs: threads, load or a clock that no row states")
    print_table(
        ("knob", "before", "after"),
        ((name, f"{before:.4g}", f"{after:.4g}") for name, (before, after) in found.knobs.items()),
    )
    _print_error(found.error)


def _print_error(error: FitError) -> None:
    print(
        f"error {error.protocol} ({error.rows} rows): mean {error.mape:.1f} %, median {error.median:.1f} %, "
        f"90th percentile {error.p90:.1f} %, rank correlation {error.spearman:.3f}; "
        f"before the fit mean {error.before_mape:.1f} %, median {error.before_median:.1f} %"
    )
    for simple in error.baselines:
        print(f"  {simple.name} alone: mean {simple.mape:.1f} %, median {simple.median:.1f} %")
    if error.better_baseline is not None:
        print(f"NOTE: {error.better_baseline.name} would predict better: another --like may be nearer to this machine")


def _print_predicted(rows: Sequence[Measurement], predicted: Sequence[float], error: FitError) -> None:
    from hwmodels.units import format_quantity

    print_table(
        ("network", "batch", "threads", "runtime", "measured", "predicted", "error"),
        (
            (row.network, str(row.batch), str(row.threads), row.runtime, format_quantity(row.seconds, "s"),
             format_quantity(float(value), "s"), f"{100 * (value / row.seconds - 1):+.0f} %")
            for row, value in zip(rows, predicted, strict=True)
        ),
    )  # fmt: skip
    _print_error(error)


def _formats(text: str) -> tuple[str, ...]:
    from hwmodels.workload.formats import format_named

    return tuple(format_named(word.strip(), where="--format").name for word in text.split(","))


def _among(option: str, text: str, allowed: Sequence[str]) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(","))
    for word in words:
        if word not in allowed:
            raise SpecError.unknown(option, word, allowed)
    return words


@contextmanager
def _counting(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar of rows on standard error; none before the first row, so that a refusal is one line."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    bar = Progress(*columns, console=console(error=True))
    task = bar.add_task("", total=total)

    def step(name: str) -> None:
        bar.start()
        bar.update(task, advance=1, description=name)

    try:
        yield step
    finally:
        if bar.live.is_started:
            bar.stop()
