"""What commands print: tables with units, JSON, and what an estimate left out."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwmodels.families.spec import Spec

__all__ = ["console", "pretty", "print_doubts", "print_json", "print_table", "print_unknown", "printable_anywhere"]

_PLAIN = {"µ": "u", "μ": "u", "²": "2", "³": "3", "×": "x", "…": ".", "–": "-", "—": "-", "≤": "<", "≥": ">"}
"""Replacements for characters that the encoding of a stream lacks."""


def print_unknown(unknown: Sequence[Mapping[str, Any]]) -> None:
    """Print the operators that count as data movement alone, if any."""
    for item in unknown:
        share = f"{100 * item['share']:.3g} % of the data moved"
        print(f"  UNKNOWN operator {item['operator']} x{item['count']}: counted as data movement alone, {share}")


def print_doubts(name: str, spec: Spec) -> None:
    """Doubt values of a device that no known device comes near, on standard error."""
    for told in spec.implausible():
        print(f"codesign: {name}: {told}", file=sys.stderr)


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
    """Print JSON by RFC 8259; numbers that are not finite become null."""
    print(json.dumps(_finite(value), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def printable_anywhere() -> None:
    """Let standard output and error take every character, whatever their encoding: µs becomes us, mm² becomes mm2."""
    codecs.register_error("codesign", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="codesign")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(
        _PLAIN.get(character, "-" if "\u2500" <= character <= "\u257f" else "?") for character in found
    ), error.end
