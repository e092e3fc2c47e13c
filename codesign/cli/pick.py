"""`codesign pick`: the published networks that fit a device, the most accurate first."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Batch, Bits, FuseAttention, Json, NumberFormat, Runtime
from codesign.cli.printing import pretty, print_json, print_table

__all__: list[str] = []


@app.command()
def pick(
    device: Annotated[
        str, typer.Option(help="Catalogue device or YAML file, see `codesign devices`.", show_default=False)
    ],
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="Bound of a metric, as latency=20ms, weights<=5MB, 'throughput>=30' or accuracy=75 % (repeatable)."
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Only networks with an accuracy on it: ImageNet-1k, CIFAR-10, MNIST.")
    ] = None,
    unranked: Annotated[
        bool, typer.Option("--unranked", help="Networks without a published accuracy, too, behind the others.")
    ] = False,
    top: Annotated[int, typer.Option(help="Rows that the table shows; JSON has all.", min=1)] = 20,
    batch: Batch = None,
    bits: Bits = None,
    number_format: NumberFormat = None,
    runtime: Runtime = "compiled",
    fuse_attention: FuseAttention = False,
    as_json: Json = False,
) -> None:
    """Pick the published networks that keep every limit on a device, the most accurate first.

    Exit code 1 where none does: the line says which network comes closest.
    """
    from codesign.pick import parse_limits, told
    from codesign.pick import pick as pick_networks
    from hwmodels.by_name import asked_precision, semantics_of
    from hwmodels.catalog import device as load
    from hwmodels.catalog import measured_errors
    from hwmodels.executed_formats import as_stored
    from hwmodels.workload.rewrite import rewrite

    chosen = load(device)
    limits = parse_limits(chosen.model, limit or ())
    semantics = semantics_of(runtime, fuse_attention=fuse_attention, where="--runtime")
    asked = asked_precision(bits, number_format, chosen.spec, where="--format")
    found = pick_networks(
        chosen,
        limits,
        lambda entry: as_stored(
            rewrite(entry.build(batch=batch or 1, precision=asked.precision), semantics), chosen.spec
        ),
        dataset=dataset,
        unranked=unranked,
    )
    errors = measured_errors(chosen.name)
    if as_json:
        print_json(
            {
                "device": chosen.name,
                "default_precision": asked.words,
                "runtime": str(semantics),
                "limits": [str(item) for item in found.limits],
                "examined": found.examined,
                "cannot_run": found.cannot_run,
                "measured_errors": [error._asdict() for error in errors],
                "networks": [choice.as_dict() for choice in found.choices],
                "miss": found.miss or None,
            }
        )
    else:
        print(f"{chosen.name}: {chosen.summary}; {asked.words}, batch {batch or 1}, {semantics}")
        print(f"measured error of this device: {_words(errors)}")
        if found.miss:
            print(found.miss)
        else:
            print(f"limits: {', '.join(map(told, limits)) or 'none'}; {len(found.choices)} of {found.examined} fit")
            _print_choices([choice.as_dict() for choice in found.choices[:top]], len(found.choices) - top)
    if found.miss:
        raise typer.Exit(1)


def _words(errors: Any) -> str:
    """Median errors of the latency by published set; - where nobody measured the device."""
    if not errors:
        return "-"
    return ", ".join(f"{error.median_error_percent:g} % ({error.set}, {error.rows} rows)" for error in errors)


def _print_choices(records: list[dict[str, Any]], more: int) -> None:
    costs = [name for name in records[0] if name not in _PLAIN]
    rows = [
        (
            "*" if record["non_dominated"] else "",
            record["network"],
            "-" if record["top1_percent"] is None else f"{record['top1_percent']:.2f} %",
            record["dataset"] or "-",
            *pretty(record, costs),
            record["source"] or "-",
        )
        for record in records
    ]
    titles = (name.removesuffix("_s").removesuffix("_j").removesuffix("_bytes") for name in costs)
    print_table(("", "network", "top-1", "data", *(title.replace("_", " ") for title in titles), "accuracy from"), rows)
    print("* no other network of its data is as accurate and costs as little of what is limited")
    if more > 0:
        print(f"{more} more fit: --top {len(records) + more}, or --json")


_PLAIN = ("network", "top1_percent", "top5_percent", "dataset", "source", "non_dominated")
