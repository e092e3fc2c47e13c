"""What commands print: tables with units, JSON, and what an estimate left out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["console", "pretty", "print_json", "print_table", "print_unknown"]


def print_unknown(unknown: Sequence[Mapping[str, Any]]) -> None:
    """Operators that are counted as data movement, if any."""
    for item in unknown:
        share = f"{100 * item['share']:.2g} % of the data moved"
        print(f"  UNKNOWN operator {item['operator']} x{item['count']}: counted as data movement alone, {share}")


def console(*, error: bool = False) -> Any:
    """Where tables go, or on standard error where progress is shown."""
    from rich.console import Console

    if error:
        return Console(stderr=True)

    # A pipe has no width: 160 columns keep a table's row on one line there.
    return Console() if sys.stdout.isatty() else Console(width=160)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(*headers, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(str, row))
    console().print(table)


def pretty(row: Mapping[Any, Any], columns: Sequence[str]) -> list[str]:
    from hwmodels.units import format_quantity, split_unit

    return [
        format_quantity(row[name], split_unit(name)[1]) if isinstance(row[name], float) else str(row[name])
        for name in columns
    ]


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))
