"""The command line: the only file that prints or exits.

Exit codes: 0 done, 1 interrupted or failed, 2 bad input (one line on standard error, nothing written). Heavy imports
stay inside the commands, so that ``codesign --help`` answers at once. With ``--json`` standard output is JSON alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.explore.loop import Event
    from codesign.run import Run
    from codesign.store import RunStore
    from hwmodels.cost import CostReport
    from hwmodels.families.base import CostModel, Spec
    from hwmodels.workload.graph import Workload
    from hwmodels.workload.ops import Precision
    from hwmodels.workload.rewrite import Semantics

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Simulate and optimise neural networks and the hardware they run on, together.",
)

_networks_app = typer.Typer(rich_markup_mode=None, help="List the published networks that are built in; `show` one.")
app.add_typer(_networks_app, name="networks")

Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, nothing else.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder of the run: new or empty.")]
Assignments = Annotated[list[str] | None, typer.Option("--set", help="Override, as slow.trainings=8 (repeatable).")]
Bits = Annotated[
    int, typer.Option(help="Bits of weights and activations, where an ONNX file does not say.", min=1, max=32)
]
LayerBits = Annotated[
    list[str] | None,
    typer.Option(
        "--layer-bits",
        help="Bits of some layers, as first=8, depthwise=8:16 (weights:activations) or 'layer4*=2' (repeatable).",
    ),
]
Batch = Annotated[int | None, typer.Option(help="Items a batch; 1, or that of the example inputs or the file.", min=1)]
Runtime = Annotated[str, typer.Option(help="compiled (fused, dead branches dropped) or eager.")]
FuseAttention = Annotated[bool, typer.Option("--fuse-attention", help="Attention in one kernel, scores never written.")]
InputShape = Annotated[
    str | None, typer.Option("--input", help="Input of one item in place of the published one: 3x160x160, or tokens.")
]
Past = Annotated[int, typer.Option(help="Tokens that a decoder's cache already holds (--hf-config).", min=0)]
Torch = Annotated[
    str | None,
    typer.Option("--torch", help="module:function or FILE.py:function that returns (torch module, example inputs)."),
]
Onnx = Annotated[Path | None, typer.Option("--onnx", help="ONNX file (needs the extra `onnx`).")]
HfConfig = Annotated[Path | None, typer.Option("--hf-config", help="config.json of a Hugging Face transformer.")]


def main() -> None:
    """Entry point: user errors become one line and exit code 2, an interruption exit code 1."""
    try:
        app(standalone_mode=True)
    except SpecError as error:
        print(f"codesign: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("codesign: interrupted", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)


@app.command()
def devices(
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None, as_json: Json = False
) -> None:
    """List the catalogue of devices."""
    from hwmodels.catalog import device, device_names
    from hwmodels.families.base import families

    if family is not None and family not in families():
        raise SpecError.unknown("--family", family, families())
    found = [d for d in map(device, device_names()) if family in (None, d.model.name)]
    records: list[dict[str, Any]] = [
        {
            "name": d.name,
            "family": d.model.name,
            "summary": d.summary,
            "knobs": {name: getattr(d.spec, name) for name in d.sources},
            "sources": d.sources,
            "verified": d.verified,
        }
        for d in found
    ]
    if as_json:
        return _print_json(records)
    _print_table(("device", "family", "summary"), ((r["name"], r["family"], r["summary"]) for r in records))


@_networks_app.callback(invoke_without_command=True)
def networks(context: typer.Context, as_json: Json = False) -> None:
    """List the published networks that are built in; `show NAME` draws one."""
    from hwmodels.units import format_quantity
    from hwmodels.workload.zoo import ZOO

    if context.invoked_subcommand is not None:
        return
    records: list[dict[str, Any]] = []
    for known in ZOO:
        built = known.build()
        record = {"name": known.name, "aliases": list(known.aliases), "params": built.parameters}
        records.append(record | {"macs": built.macs, "input": known.input, "source": known.source})
    if as_json:
        return _print_json(records)
    _print_table(
        ("network", "parameters", "MACs", "input", "source"),
        (
            (r["name"], format_quantity(r["params"], ""), format_quantity(r["macs"], ""), r["input"], r["source"])
            for r in records
        ),
    )


@_networks_app.command()
def show(
    network: Annotated[str | None, typer.Argument(help="Published network, see `codesign networks`.")] = None,
    torch: Torch = None,
    onnx: Onnx = None,
    hf_config: HfConfig = None,
    input_shape: InputShape = None,
    past: Past = 0,
    batch: Batch = None,
    bits: Bits = 8,
    layer_bits: LayerBits = None,
    runtime: Runtime = "eager",
    fuse_attention: FuseAttention = False,
    view: Annotated[str, typer.Option(help="What -o draws: the layer profile or the graph.")] = "profile",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Picture: .png, .svg or .pdf.")] = None,
    as_json: Json = False,
) -> None:
    """One network by kinds of layers, or layer by layer with --json; -o draws its profile or its graph."""
    from codesign.report.network import figure_of, layer_records, summary_record
    from hwmodels.units import format_quantity

    if view not in ("profile", "graph"):
        raise SpecError.unknown("--view", view, ("profile", "graph"))
    if output is not None and (output.suffix not in (".png", ".svg", ".pdf") or not output.parent.is_dir()):
        raise SpecError("--output", output, "a .png, .svg or .pdf file in an existing folder")
    semantics = _semantics(runtime, fuse_attention=fuse_attention)
    source = _Source(network, torch, onnx, hf_config, input_shape, past)
    workload = _workload(source, batch=batch, bits=bits, layer_bits=layer_bits, semantics=semantics)
    if output is not None:
        figure_of(workload, view=view).savefig(output, dpi=150, bbox_inches="tight", metadata=_no_date(output))
    record = summary_record(workload) | {"runtime": str(semantics)}
    if as_json:
        return _print_json(record | {"layers": layer_records(workload)})
    print(f"{record['name']}, batch {record['batch']}: {semantics}")
    for title, key, unit in (
        ("parameters", "params", ""),
        ("MACs", "macs", ""),
        ("weights", "weight_bytes", "B"),
        ("peak activations", "peak_activation_bytes", "B"),
        ("keys and values", "kv_cache_bytes", "B"),
    ):
        if record[key]:
            print(f"  {title:16s} {format_quantity(record[key], unit)}")
    _print_unknown(record["unknown_operators"])
    _print_table(
        ("kind", "layers", "MACs", "share", "parameters"),
        (
            (
                group["kind"],
                str(group["layers"]),
                format_quantity(group["macs"], ""),
                f"{100 * group['macs'] / max(record['macs'], 1):.1f} %",
                format_quantity(group["params"], ""),
            )
            for group in record["kinds"]
        ),
    )
    if output is not None:
        print(f"{view} in {output}")


@app.command()
def estimate(
    network: Annotated[str | None, typer.Argument(help="Published network, see `codesign networks`.")] = None,
    device: Annotated[
        str, typer.Option(help="Catalogue device or YAML file, see `codesign devices`.", show_default=False)
    ] = ...,  # type: ignore[assignment]
    torch: Torch = None,
    onnx: Onnx = None,
    hf_config: HfConfig = None,
    input_shape: InputShape = None,
    past: Past = 0,
    batch: Batch = None,
    bits: Bits = 8,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    as_json: Json = False,
) -> None:
    """Latency, energy, memory and binding limits of a network on a device: a published one, or your own."""
    from hwmodels.catalog import device as load
    from hwmodels.evaluate import evaluate
    from hwmodels.workload.coverage import unknown_operators

    chosen = load(device)
    semantics = _semantics(runtime, fuse_attention=fuse_attention)
    source = _Source(network, torch, onnx, hf_config, input_shape, past)
    workload = _workload(source, batch=batch, bits=bits, layer_bits=layer_bits, semantics=semantics)
    report = evaluate(workload, chosen.model, chosen.spec)
    unknown = [item._asdict() for item in unknown_operators(workload)]
    if as_json:
        record = _estimate_record(report, chosen.model, chosen.spec, chosen.name)
        return _print_json(record | {"runtime": str(semantics), "unknown_operators": unknown})
    _print_estimate(report, chosen.model, chosen.spec, chosen.name, runtime=str(semantics), unknown=unknown)


@app.command()
def sweep(
    network: Annotated[list[str], typer.Argument(help="Published networks.")],
    family: Annotated[str, typer.Option(help="Hardware family.")],
    knobs: Annotated[list[str], typer.Option("--set", help="knob=value,value,... (repeatable): the grid.")],
    device: Annotated[str | None, typer.Option(help="Device whose other knobs are kept.")] = None,
    batch: Batch = None,
    bits: Bits = 8,
    layer_bits: LayerBits = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the whole table as CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Cost of networks over a grid of hardware knobs."""
    from hwmodels.catalog import device as load
    from hwmodels.evaluate import sweep as evaluate_grid
    from hwmodels.families.base import family as find

    model = find(family)
    base = load(device).spec if device else model.spec()
    if not isinstance(base, model.spec):
        raise SpecError("--device", device, f"a device of the family {family}")
    grid = list(base.grid(dict(_grid_axis(item) for item in knobs)))
    semantics = _semantics(runtime, fuse_attention=fuse_attention)
    workloads = [
        _workload(_Source(name), batch=batch, bits=bits, layer_bits=layer_bits, semantics=semantics) for name in network
    ]
    table = evaluate_grid(workloads, model, grid)
    if output is not None:
        if not output.parent.is_dir():
            raise SpecError("--output", output, "a file in an existing folder")
        table.to_csv(output, index=False)
    if as_json:
        return _print_json(table.to_dict(orient="records"))
    varying = list(table.columns[: table.columns.get_loc(model.layer_metrics[0])])
    shown = [*varying, "latency_s", "energy_j", "area_mm2", "infeasible"]
    _print_table(shown, (_pretty(row, shown) for row in table[shown].to_dict(orient="records")))
    if output is not None:
        print(f"{len(table)} rows in {output}")


@app.command(name="enumerate")
def enumerate_whole(
    config: Annotated[Path, typer.Argument(help="Run configuration (YAML): its spaces, objectives and constraints.")],
    output: Output,
    overrides: Assignments = None,
    accuracy: Annotated[
        Path | None, typer.Option(help="Accuracy of each network: a CSV (genotype, accuracy) or NAS-Bench-201 .npz.")
    ] = None,
    score: Annotated[
        str | None, typer.Option(help="In place of accuracies, more is better: macs or parameters.")
    ] = None,
    no_bounds: Annotated[bool, typer.Option("--no-bounds", help="Cost every pair, rule none out by bounds.")] = False,
    survivors: Annotated[bool, typer.Option("--survivors", help="Write the front of each round as Parquet.")] = False,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Write every pair as Parquet.")] = False,
    as_json: Json = False,
) -> None:
    """The exact front of a whole joint space: every network on every design, without training."""
    from codesign.config import load_config
    from codesign.explore.whole import enumerate_run

    settings = load_config(config, list(overrides or ()))
    try:
        with _counting() as show:
            summary = enumerate_run(
                settings,
                output,
                progress=show,
                accuracy=accuracy,
                score=score,
                bounds=not no_bounds,
                survivors=survivors,
                all_pairs=all_pairs,
            )
    except KeyboardInterrupt:
        print("codesign: interrupted; the same command goes on", file=sys.stderr)
        sys.exit(1)
    if as_json:
        return _print_json(summary)
    print(
        f"{summary['networks']:,} networks ({summary['groups']:,} that cost apart) x {summary['designs']:,} designs: "
        f"{summary['pairs']:,} pairs in {summary['seconds']:.3g} s"
    )
    for name, count in summary["counts"].items():
        print(f"  {count:>16,}  {name}")
    for note in summary["notes"]:
        print(f"note: {note}")
    print(
        f"front of {summary['front']} pairs over {', '.join(summary['objectives'])}; results in {output / 'front.csv'}"
    )


@app.command()
def search(
    config: Annotated[Path, typer.Argument(help="Run configuration (YAML).")],
    output: Output,
    overrides: Assignments = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the seed of the configuration.", min=0)] = None,
    as_json: Json = False,
) -> None:
    """Run the two-level co-design loop."""
    from codesign.config import load_config
    from codesign.run import begin

    assignments = [*(overrides or ()), *([f"seed={seed}"] if seed is not None else [])]
    _explore(begin(load_config(config, assignments), output), as_json=as_json)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    workers: Annotated[
        int | None, typer.Option(help="Train in this many processes from now on; as it began by default.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was interrupted; it ends as an uninterrupted one would."""
    from codesign.run import reopen

    _explore(reopen(folder, executor=None if workers is None else {"workers": workers}), as_json=as_json)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="Folder of a run.")], as_json: Json = False) -> None:
    """Tables, pictures and the interactive page of a run."""
    from codesign.store import RunStore

    _report(RunStore.open(folder), as_json=as_json)


@app.command()
def validate(
    family: Annotated[list[str] | None, typer.Argument(help="Families, or `workload`; all by default.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of reference files; replaces $CODESIGN_REFERENCE.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predicted against published: the error of every family on every known set."""
    from hwmodels.validate import validate as scores_of

    scores = scores_of(family, reference=reference)
    if as_json:
        return _print_json([s.as_dict() for s in scores])
    _print_table(
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
    """Every modelling choice and default without a source, with its plausible range."""
    from hwmodels.families.base import assumptions_of, families
    from hwmodels.families.base import family as find

    if family is not None and family not in families():
        raise SpecError.unknown("--family", family, families())
    names = families() if family is None else (family,)
    records = [
        {"family": name, **item._asdict()} for name in names for item in assumptions_of(find(name), find(name).spec())
    ]
    if as_json:
        return _print_json(records)
    columns = ("family", "name", "value", "plausible", "meaning")
    _print_table(columns, (tuple(r[column] for column in columns) for r in records))


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
        return _print_json(record)
    _print_table(("check", "found"), ((name, str(value)) for name, value in record.items()))


# Workloads and grids from the command line.


class _Source(NamedTuple):
    """Where a network comes from: exactly one of the first four."""

    network: str | None = None
    torch: str | None = None
    onnx: Path | None = None
    hf_config: Path | None = None
    input_shape: str | None = None
    past: int = 0


def _workload(
    source: _Source, *, batch: int | None, bits: int, layer_bits: list[str] | None, semantics: Semantics
) -> Workload:
    """The network that a user names, with its bits, as its runtime executes it."""
    from hwmodels.workload.ops import Precision
    from hwmodels.workload.precision import PrecisionPolicy, with_precision
    from hwmodels.workload.rewrite import rewrite

    rules = PrecisionPolicy.parse(None, layer_bits or ())
    return rewrite(with_precision(_read(source, batch, Precision(bits, bits)), rules), semantics)


def _read(source: _Source, batch: int | None, precision: Precision) -> Workload:
    given = [name for name in ("network", "torch", "onnx", "hf_config") if getattr(source, name) is not None]
    if len(given) != 1:
        raise SpecError("network", " and ".join(given) or "nothing", "one of NAME, --torch, --onnx, --hf-config")
    shape = _input_shape(source.input_shape)
    if shape is not None and given[0] in ("torch", "onnx"):
        raise SpecError("--input", source.input_shape, "for published networks and --hf-config; others bring theirs")
    if source.past and source.hf_config is None:
        raise SpecError("--past", source.past, "for --hf-config")
    if source.torch is not None:
        from hwmodels.workload.from_torch import load_torch

        return load_torch(source.torch, batch=batch, precision=precision)
    if source.onnx is not None:
        from hwmodels.workload.from_onnx import from_onnx

        return from_onnx(source.onnx, batch=batch, precision=precision)
    if source.hf_config is not None:
        from hwmodels.workload.from_hf_config import from_hf_config

        tokens = 128 if shape is None else shape[0]
        return from_hf_config(source.hf_config, batch=batch or 1, tokens=tokens, past=source.past, precision=precision)
    from hwmodels.workload.zoo import network

    return network(source.network or "", batch=batch or 1, precision=precision, input_shape=shape)


def _input_shape(text: str | None) -> tuple[int, ...] | None:
    """``3x160x160`` or ``512`` as extents."""
    if text is None:
        return None
    words = text.lower().split("x")
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise SpecError("--input", text, "like 3x160x160, or a number of tokens")
    return tuple(map(int, words))


def _semantics(runtime: str, *, fuse_attention: bool) -> Semantics:
    from hwmodels.workload.rewrite import RUNTIMES

    if runtime not in RUNTIMES:
        raise SpecError.unknown("--runtime", runtime, RUNTIMES)
    return replace(RUNTIMES[runtime], fuse_attention=fuse_attention)


def _no_date(output: Path) -> dict[str, None]:
    """Metadata without the time of writing: the same network gives the same file."""
    return {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[output.suffix]


def _print_unknown(unknown: Sequence[Mapping[str, Any]]) -> None:
    """Operators that are counted as data movement, if any."""
    for item in unknown:
        share = f"{100 * item['share']:.2g} % of the data moved"
        print(f"  UNKNOWN operator {item['operator']} x{item['count']}: counted as data movement alone, {share}")


def _grid_axis(item: str) -> tuple[str, list[Any]]:
    """``rows=32,64`` as a knob and its values."""
    name, equals, text = item.partition("=")
    if not equals or not text:
        raise SpecError("--set", item, "knob=value,value,...")
    return name, [_plain_value(word) for word in text.split(",")]


def _plain_value(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(word.lower(), word)


def _parts(data: Any) -> Iterator[Any]:
    yield from (data.train, data.validation, data.test)


# Running and reporting.


def _explore(run: Run, *, as_json: bool) -> None:
    from codesign.executor.base import WorkerLost

    try:
        with _progress(run.config.generations) as show:
            run.go(show)
    except KeyboardInterrupt:
        print(f"codesign: interrupted; `codesign resume {run.store.folder}` goes on", file=sys.stderr)
        sys.exit(1)
    except WorkerLost as error:
        print(f"codesign: {error}; `codesign resume {run.store.folder}` goes on", file=sys.stderr)
        sys.exit(1)
    _report(run.store, as_json=as_json)


@contextmanager
def _progress(generations: int) -> Iterator[Callable[[Event], None]]:
    """A progress bar on standard error, fed by the loop's events."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        whole = bar.add_task("generations", total=generations)
        inner = bar.add_task("FAST", total=None)

        def show(event: Event) -> None:
            bar.update(whole, completed=event.generation)
            label = {"fast": "FAST: pairs by cost", "slow": "SLOW: accuracies"}.get(event.level, "done")
            bar.update(inner, description=label, completed=event.done, total=event.total or None)

        yield show


@contextmanager
def _counting() -> Iterator[Callable[[Any], None]]:
    """A progress bar of pairs on standard error, with the time left; none before the first pair."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("pairs", total=None)

    def show(progress: Any) -> None:
        bar.start()
        bar.update(task, completed=progress.pairs, total=progress.total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def _report(store: RunStore, *, as_json: bool) -> None:
    from codesign.report.html import read_report, write_report
    from codesign.report.tables import pareto_table

    contents = read_report(store)
    summary, paths = contents.summary, write_report(contents, store.folder)
    if as_json:
        return _print_json(summary.as_dict())
    ledger = summary.ledger
    _console().print(pareto_table(summary).rich())
    print(f"considered {ledger.considered:,} pairs, evaluated {ledger.evaluated:,}, deferred {ledger.deferred:,}")
    for reason, count in sorted(ledger.pruned.items(), key=lambda item: -item[1]):
        print(f"  pruned {count:>9,}  {reason}")
    seconds = ", ".join(f"{level.upper()} {value:.1f} s" for level, value in ledger.seconds.items())
    if ledger.audited:
        rate = f"{ledger.misjudged} of {ledger.audited} audited, {ledger.misjudged / ledger.audited:.1%}"
        print(f"false prunes of the guess by capacity: {rate}")
    print(f"trained {ledger.trained} networks, {ledger.estimates} accuracies; {seconds}")
    page = next((path for path in paths if path.name == "report.html"), store.folder)
    print(f"front of {len(summary.front)} pairs; results in {page}")


# What an estimate shows.


def _estimate_record(report: CostReport, model: CostModel, spec: Spec, device: str) -> dict[str, Any]:
    from hwmodels.families.base import assumptions_of

    return {
        "network": report.network,
        "device": device,
        "family": report.family,
        "batch": report.batch,
        "infeasible": report.infeasible,
        "totals": report.totals,
        "items_per_s": report.items_per_s,
        "energy_breakdown_j": report.breakdown(),
        "limits": report.bottleneck(),
        "groups": report.groups(),
        "assumptions": [item._asdict() for item in assumptions_of(model, spec)],
    }


def _print_estimate(
    report: CostReport,
    model: CostModel,
    spec: Spec,
    device: str,
    *,
    runtime: str,
    unknown: Sequence[Mapping[str, Any]],
) -> None:
    from hwmodels.families.base import assumptions_of
    from hwmodels.units import format_quantity, split_unit

    def shown(name: str) -> str:
        return format_quantity(report.totals[name], split_unit(name)[1])

    print(f"{report.network} on {device} ({report.family}), batch {report.batch}: {runtime}")
    _print_unknown(unknown)
    if report.infeasible:
        print(f"INFEASIBLE: {report.infeasible}")
    print(f"  latency     {shown('latency_s')}   throughput {report.items_per_s:.4g} items/s")
    parts = ", ".join(
        f"{term.removesuffix('_j')} {format_quantity(value, 'J')}"
        for term, value in sorted(report.breakdown().items(), key=lambda item: -item[1])[:4]
    )
    print(f"  energy      {shown('energy_j')}   ({parts})")
    kept = f", keys and values {shown('kv_cache_bytes')}" if report.totals["kv_cache_bytes"] else ""
    print(f"  memory      weights {shown('weight_bytes')}, peak activations {shown('peak_activation_bytes')}{kept}")
    print(f"  area        {shown('area_mm2')}")
    latency = report.totals["latency_s"] or 1.0
    _print_table(
        ("layer group", "binding limit", "layers", "MACs", "latency", "share", "energy"),
        (
            (
                group["group"],
                group["limit"].removesuffix("_s"),
                str(group["layers"]),
                format_quantity(group["macs"], ""),
                format_quantity(group["latency_s"], "s"),
                f"{100 * group['latency_s'] / latency:.1f} %",
                format_quantity(group["energy_j"], "J"),
            )
            for group in report.groups()
        ),
    )
    print("assumptions used (no source; plausible range):")
    for item in assumptions_of(model, spec):
        print(f"  {item.name} = {item.value} ({item.plausible}): {item.meaning}")


# Printing.


def _console() -> Any:
    from rich.console import Console

    # A pipe has no width: 160 columns keep a table's row on one line there.
    return Console() if sys.stdout.isatty() else Console(width=160)


def _print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(*headers, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(str, row))
    _console().print(table)


def _pretty(row: Mapping[Any, Any], columns: Sequence[str]) -> list[str]:
    from hwmodels.units import format_quantity, split_unit

    return [
        format_quantity(row[name], split_unit(name)[1]) if isinstance(row[name], float) else str(row[name])
        for name in columns
    ]


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))
