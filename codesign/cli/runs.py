"""Commands that explore a joint space: enumerate it, search it in two levels, go on, report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Assignments, Json, Output
from codesign.cli.printing import console, print_json

if TYPE_CHECKING:
    from codesign.app.families import FamilyRuns
    from codesign.app.run import Run
    from codesign.report.summary import Summary
    from codesign.store import RunStore
    from codesign.two_level.loop import Event

__all__: list[str] = []


@app.command(name="enumerate")
def enumerate_whole(
    config: Annotated[Path, typer.Argument(help="Run configuration (YAML): its spaces, objectives and constraints.")],
    output: Output,
    overrides: Assignments = None,
    accuracy: Annotated[
        Path | None, typer.Option(help="Accuracy of each network: a CSV (genotype, accuracy) or NAS-Bench-201 .npz.")
    ] = None,
    score: Annotated[
        str | None, typer.Option(help="Score in place of accuracies, more is better: macs or parameters.")
    ] = None,
    no_bounds: Annotated[bool, typer.Option("--no-bounds", help="Cost every pair, rule none out by bounds.")] = False,
    survivors: Annotated[bool, typer.Option("--survivors", help="Write the front of each round as Parquet.")] = False,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Write every pair as Parquet.")] = False,
    as_json: Json = False,
) -> None:
    """Find the exact front of a whole joint space: every network on every design, without training."""
    from codesign.app.config import load_config
    from codesign.app.enumerate_run import enumerate_run

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
        return print_json(summary)
    print(
        f"{summary['networks']:,} networks ({summary['groups']:,} that cost apart) x {summary['designs']:,} designs: "
        f"{summary['pairs']:,} pairs in {summary['seconds']:.3g} s"
    )
    for name, count in summary["counts"].items():
        print(f"  {count:>16,}  {name}")
    for note in summary["notes"]:
        print(f"note: {note}")
    for sentence in summary["shortfall"]:
        print(sentence)
    print(
        f"front of {summary['front']} pairs over {', '.join(summary['objectives'])}; results in {output / 'front.csv'}"
    )


@app.command()
def search(
    config: Annotated[Path, typer.Argument(help="Run configuration (YAML).")],
    output: Output,
    overrides: Assignments = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the seed of the configuration.", min=0)] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Folder of reference files, for a published table; short for estimator.path.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run the two-level co-design loop; for hardware of several families, once for each."""
    from codesign.app.config import parse_config, read_run_file
    from codesign.app.families import begin_families, of_families
    from codesign.app.run import begin

    assignments = [*(overrides or ()), *([f"seed={seed}"] if seed is not None else [])]
    if reference is not None:
        assignments.append(f"estimator.path={json.dumps(str(reference))}")
    content = read_run_file(config, assignments)
    if of_families(content):
        return _run_families(begin_families(content, output, where=str(config)), as_json=as_json)
    _run(begin(parse_config(content, where=str(config)), output), as_json=as_json)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    workers: Annotated[
        int | None,
        typer.Option(help="Train in this many processes from now on; by default in as many as before.", min=1),
    ] = None,
    as_json: Json = False,
) -> None:
    """Continue an interrupted run; it ends as an uninterrupted one would."""
    from codesign.app.families import reopen_families, run_folders
    from codesign.app.run import reopen

    executor = None if workers is None else {"workers": workers}
    if run_folders(folder):
        return _run_families(reopen_families(folder, executor=executor), as_json=as_json)
    _run(reopen(folder, executor=executor), as_json=as_json)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="Folder of a run.")], as_json: Json = False) -> None:
    """Write tables, pictures and the interactive page of a run."""
    from codesign.app.families import run_folders
    from codesign.store import RunStore

    if folders := run_folders(folder):
        return _report_families(folder, [RunStore.open(run, tolerant=True) for run in folders], as_json=as_json)
    _report(RunStore.open(folder, tolerant=True), as_json=as_json)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    output: Output,
    pair: Annotated[int | None, typer.Option(help="Row of the front, from 1; by default its knee.", min=1)] = None,
    as_json: Json = False,
) -> None:
    """Write one pair of a front as files: weights, ONNX, device, and a script that scores them."""
    from codesign.app.export import export_pair

    written = export_pair(folder, pair, output)
    if as_json:
        return print_json(written.record)
    from codesign.report.scale import spoken

    record = written.record
    shown = ", ".join(spoken(name, value) for name, value in {**record["metrics"], **record["costs"]}.items() if value)
    print(f"exported: {shown}")
    print(f"{output / 'score.py'} loads the network and scores it again")


def _run(run: Run, *, as_json: bool) -> None:
    _go(run, run.store.folder)
    _report(run.store, as_json=as_json)


def _run_families(runs: FamilyRuns, *, as_json: bool) -> None:
    for name, run in runs.in_turn():
        print(f"codesign: {name}", file=sys.stderr)
        _go(run, runs.folder)
    _report_families(runs.folder, [run.store for run in runs.runs.values()], as_json=as_json)


def _go(run: Run, resumed: Path) -> None:
    """Run to the end with a progress bar; `resumed` is the folder that `codesign resume` is to be given."""
    from codesign.executor.base import WorkerLost

    for note in run.notes:
        print(f"codesign: {note}", file=sys.stderr)
    try:
        with _progress(run.config.generations) as show:
            run.go(show)
    except KeyboardInterrupt:
        print(f"codesign: interrupted; `codesign resume {resumed}` goes on", file=sys.stderr)
        sys.exit(1)
    except WorkerLost as error:
        print(f"codesign: {error}; `codesign resume {resumed}` goes on", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _progress(generations: int) -> Iterator[Callable[[Event], None]]:
    """A progress bar on standard error, fed by the events of the loop; none before the first: a refusal is one line."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=console(error=True))
    whole = bar.add_task("generations", total=generations)
    inner = bar.add_task("FAST", total=None)

    def show(event: Event) -> None:
        bar.start()
        bar.update(whole, completed=event.generation)
        label = {"fast": "FAST: pairs by cost", "slow": "SLOW: accuracies"}.get(event.level, "done")
        bar.update(inner, description=label, completed=event.done, total=event.total or None)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def _counting() -> Iterator[Callable[[Any], None]]:
    """A progress bar of pairs on standard error, with the time left; none before the first pair."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console(error=True))
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
    summary, page = _written(store)
    if as_json:
        print_json(summary.as_dict())
    else:
        _print_summary(summary, page)
    if store.damage:
        sys.exit(1)


def _report_families(folder: Path, stores: Sequence[RunStore], *, as_json: bool) -> None:
    """The report of each run, and one front of all of them where there is any."""
    from codesign.cli.union import print_union, union_record
    from codesign.report.union import union, write_union

    reports = {store.folder.name: _written(store) for store in stores}
    found = None
    if any(summary.front for summary, _ in reports.values()):
        found = union([store.folder for store in stores])
        write_union(found, folder)
    if as_json:
        runs = {name: summary.as_dict() for name, (summary, _) in reports.items()}
        print_json({"runs": runs, "union": None if found is None else union_record(found)})
    else:
        for name, (summary, page) in reports.items():
            print(f"{name}:")
            _print_summary(summary, page)
        if found is not None:
            print_union(found)
            print(f"one front of {len(found.members)} pairs in {folder / 'front.csv'}")
    if any(store.damage for store in stores):
        sys.exit(1)


def _written(store: RunStore) -> tuple[Summary, Path]:
    """The report of a run, written into its folder: its summary, and its page."""
    from codesign.report.html import read_report, write_report

    contents = read_report(store)
    summary, paths = contents.summary, write_report(contents, store.folder)
    for note in contents.notes:
        print(f"codesign: {note}", file=sys.stderr)
    if summary.ledger.diverged:
        share = f"{summary.ledger.diverged} of {summary.ledger.estimates} accuracies count as chance"
        print(f"codesign: {share}: diverged (a smaller learning_rate may help)", file=sys.stderr)
    return summary, next((path for path in paths if path.name == "report.html"), store.folder)


def _print_summary(summary: Summary, page: Path) -> None:
    from codesign.report.tables import reading_table

    ledger = summary.ledger
    if summary.front:
        console().print(reading_table(summary).rich())
    print(f"considered {ledger.considered:,} pairs, evaluated {ledger.evaluated:,}, deferred {ledger.deferred:,}")
    for reason, count in sorted(ledger.pruned.items(), key=lambda item: -item[1]):
        print(f"  pruned {count:>9,}  {reason}")
    seconds = ", ".join(f"{level.upper()} {value:.1f} s" for level, value in ledger.seconds.items())
    if ledger.audited:
        rate = f"{ledger.misjudged} of {ledger.audited} audited, {ledger.misjudged / ledger.audited:.1%}"
        print(f"false prunes of the guess by capacity: {rate}")
    judged = f"trained {ledger.trained} networks, {ledger.estimates} accuracies" if summary.judged_by else "costs alone"
    print(f"{judged}; {seconds}")
    if summary.cost is not None:
        print(f"the search took {summary.cost}")
    for sentence in summary.shortfall:
        print(sentence)
    pairs = "1 pair" if len(summary.front) == 1 else f"{len(summary.front)} pairs"
    print(f"front of {pairs}; results in {page}")
