"""`codesign effects`: what decides a run, and what sets its front apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codesign.cli.app import app
from codesign.cli.options import Json
from codesign.cli.outputs import Force
from codesign.cli.printing import print_json, print_table
from codesign.report.table_file import TABLE_ENDINGS, write_table
from hwmodels.files import check_new_file

if TYPE_CHECKING:
    from codesign.report.effects import Effects, Measured, Pattern

__all__: list[str] = []

_SHOWN = 12


@app.command()
def effects(
    folder: Annotated[Path, typer.Argument(help="Folder of a run.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write every effect: .csv, .parquet, .md or .tex.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show what decides a run: the effect of each operation and knob, and what sets the front apart."""
    from codesign.report.effects import effects_of
    from codesign.report.summary import config_of, open_store, space_of, summarise

    if output is not None:
        check_new_file(output, force=force, endings=TABLE_ENDINGS)
    store = open_store(folder)
    config = config_of(store)
    space = space_of(config)
    found = effects_of(store, config, space, summarise(store, space=space), forest=True)
    if output is not None:
        write_table(output, _columns(found), caption="Effects of the choices of a run.")
    if as_json:
        return print_json(_record(found))
    _print(found)
    if output is not None:
        print(f"table in {output}")


def _columns(found: Effects) -> dict[str, list[Any]]:
    """One row a metric and choice."""
    rows = [(one.metric, one.is_ratio, effect) for one in found.measured for effect in one.effects]
    return {
        "metric": [metric for metric, _, _ in rows],
        "decision": [effect.decision for _, _, effect in rows],
        "choice": [effect.choice for _, _, effect in rows],
        "pairs": [effect.pairs for _, _, effect in rows],
        "of": ["logarithm" if is_ratio else "value" for _, is_ratio, _ in rows],
        "shift": [effect.shift for _, _, effect in rows],
        "standard_error": [effect.error for _, _, effect in rows],
    }


def _record(found: Effects) -> dict[str, Any]:
    return {
        "metrics": [
            {
                "metric": one.metric,
                "pairs": one.pairs,
                "shifts_are_logarithms": one.is_ratio,
                "forest_r2": one.explained,
                "share_of_variance": dict(one.shares),
                "importance": dict(one.importance),
                "effects": [effect._asdict() for effect in one.effects],
            }
            for one in found.measured
        ],
        "front": found.front,
        "population": found.population,
        "patterns": [pattern._asdict() for pattern in found.patterns],
        "pruned": dict(found.pruned),
        "dropped": [one._asdict() for one in found.dropped],
    }


def _print(found: Effects) -> None:
    if not found.measured:
        print("too few pairs with costs or accuracies to say what decides them")
    for one in found.measured:
        _print_metric(one)
    if found.patterns:
        print(f"more often on the front of {found.front:,} than among {found.population:,} pairs by chance:")
        print_table(("choices", "front", "pairs", "lift", "p"), map(_pattern, found.patterns[:_SHOWN]))
    elif found.front:
        print("no choice is on the front more often than by chance")
    if found.pruned:
        total = sum(found.pruned.values())
        print("why pairs were pruned:")
        print_table(
            ("reason", "pairs", "of the pruned"),
            ((name, f"{count:,}", f"{100 * count / total:.1f} %") for name, count in found.pruned.items() if count),
        )
    if found.dropped:
        print("choices whose pairs FAST dropped most, duplicates aside:")
        rows = (
            (f"{one.decision} {one.choice}", f"{one.considered:,}", f"{100 * one.share:.0f} %", one.reason)
            for one in found.dropped[:_SHOWN]
        )
        print_table(("choice", "pairs", "dropped", "mostly for"), rows)


def _print_metric(one: Measured) -> None:
    fitted = "" if one.explained is None else f"; a forest explains {100 * max(one.explained, 0.0):.0f} % of it"
    print(f"{one.metric}, {one.pairs:,} pairs{fitted}:")
    order = sorted(one.shares, key=lambda name: -max(one.shares[name], one.importance.get(name, 0.0)))
    rows = []
    varied = {effect.decision for effect in one.effects}
    for name in [name for name in order if name in varied][:_SHOWN]:
        best, worst = _extremes(one, name)
        importance = f"{one.importance[name]:.2f}" if name in one.importance else "-"
        rows.append((name, f"{100 * one.shares[name]:.0f} %", importance, best, worst))
    print_table(("decision", "alone", "importance", "lowest", "highest"), rows)


def _extremes(one: Measured, decision: str) -> tuple[str, str]:
    """The choices of the lowest and the highest mean, and how far they are from the mean of all."""
    mine = sorted((effect for effect in one.effects if effect.decision == decision), key=lambda effect: effect.shift)
    low, high = (_shown(one, effect.choice, effect.shift) for effect in (mine[0], mine[-1]))
    return low, high


def _shown(one: Measured, choice: str, shift: float) -> str:
    return f"{choice} (x {exp(shift):.2f})" if one.is_ratio else f"{choice} ({shift:+.3g})"


def _pattern(pattern: Pattern) -> Sequence[str]:
    chance = f"{pattern.p:.2g}" if pattern.p >= 1e-12 else "< 1e-12"
    return " and ".join(pattern.choices), str(pattern.on_front), f"{pattern.among:,}", f"{pattern.lift:.1f}", chance
