"""What commands print: tables with units, JSON, and what an estimate left out."""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError
from hwmodels.files import strict_json

if TYPE_CHECKING:
    from hwmodels.families.spec import Spec

__all__ = [
    "close_output",
    "console",
    "plain_warnings",
    "pretty",
    "print_doubts",
    "print_error",
    "print_json",
    "print_table",
    "print_unknown",
    "print_usage_error",
    "printable_anywhere",
]

_PLAIN = {"µ": "u", "μ": "u", "²": "2", "³": "3", "×": "x", "…": ".", "–": "-", "—": "-", "≤": "<", "≥": ">"}
"""Replacements for characters that the encoding of a stream lacks."""


def print_unknown(unknown: Sequence[Mapping[str, Any]]) -> None:
    """Print the operators that count as data movement alone, if any, and what that means for the totals."""
    from hwmodels.workload.coverage import LOWER_BOUNDS

    for item in unknown:
        share = f"{100 * item['share']:.3g} % of the data moved"
        print(f"  UNKNOWN operator {item['operator']} x{item['count']}: counted as data movement alone, {share}")
    if unknown:
        print(f"  {LOWER_BOUNDS}")


def print_doubts(name: str, spec: Spec) -> None:
    """Doubt values of a device that no known device comes near, on standard error."""
    for told in spec.implausible():
        print(f"codesign: {name}: {told}", file=sys.stderr)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings to users as one line on standard error, without the place in the code that gave them."""
    with warnings.catch_warnings():
        default = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, UserWarning):
                print(f"codesign: {' '.join(str(message).split())}", file=sys.stderr)
            else:
                default(message, category, *place, **more)

        warnings.showwarning = show
        yield


def console(*, error: bool = False) -> Any:
    """Where tables go, or on standard error where progress is shown."""
    from rich.console import Console

    if error:
        return Console(stderr=True)

    # A pipe has no width: 160 columns keep a table's row on one line there.
    return Console() if sys.stdout is not None and sys.stdout.isatty() else Console(width=160)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table as wide as the terminal: sentences wrap, words and numbers stay whole as long as there is room."""
    from rich import box
    from rich.table import Table

    cells = [tuple(map(str, row)) for row in rows]
    target = console()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    columns = [(header, *(row[i] for row in cells)) for i, header in enumerate(headers)]
    room = target.width - 2 * len(headers) - 1
    for header, width in zip(headers, _widths(columns, room), strict=True):
        table.add_column(header, overflow="fold", width=width)
    for row in cells:
        table.add_row(*row)
    target.print(table)


_NARROWEST = 8  # characters that a column of words keeps where there is no room for its longest one


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int]:
    """Widths of columns, header and cells each: whole words first, then whole cells as far as `room` goes.

    Where not even the words fit, the widest columns without a number are narrowed, and their words fold.

    >>> _widths([("knob", "sram_bytes_per_cycle"), ("value", "1.5e-06")], 20)
    [13, 7]
    >>> _widths([("meaning", "one two three"), ("value", "7")], 14)
    [9, 5]
    """
    whole = [max(map(len, column)) for column in columns]
    is_text = [not any(cell[:1].isdigit() for cell in column[1:]) for column in columns]
    widths = [max(map(_unbroken, column)) for column in columns]
    while sum(widths) > room:
        wide = [i for i, text in enumerate(is_text) if text and widths[i] > _NARROWEST]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    while sum(widths) < min(room, sum(whole)):
        short = [i for i in range(len(widths)) if widths[i] < whole[i]]
        widths[min(short, key=widths.__getitem__)] += 1
    return widths


def _unbroken(cell: str) -> int:
    """The longest part of a cell that shall not be broken: a word, or a number with its unit."""
    is_quantity = cell[:1].isdigit() and cell.count(" ") == 1
    return len(cell) if is_quantity else max(map(len, cell.split()), default=0)


def pretty(row: Mapping[Any, Any], columns: Sequence[str]) -> list[str]:
    from hwmodels.units import format_quantity, split_unit

    return [
        format_quantity(row[name], split_unit(name)[1]) if isinstance(row[name], float) else str(row[name])
        for name in columns
    ]


def print_json(value: Any) -> None:
    """Print JSON by RFC 8259; numbers that are not finite become null."""
    print(strict_json(value))


def print_error(error: SpecError) -> None:
    """One line on standard error; with ``--json`` an object on standard output too."""
    hint = {} if error.hint is None else {"hint": error.hint}
    told = {"message": str(error), "where": error.where, "got": str(error.got), "expected": error.expected}
    _print_json_error(told | hint)
    print(f"codesign: {error}", file=sys.stderr)


def print_usage_error(error: Exception) -> None:
    """Arguments that the command line does not take, already shown: an object on standard output with ``--json``."""
    message = getattr(error, "message", None) or str(error)
    _print_json_error({"message": str(message), "where": "command line"})


def _print_json_error(told: Mapping[str, Any]) -> None:
    if "--json" in sys.argv[1:]:
        with suppress(OSError):  # what is wrong may be standard output itself
            print_json({"error": told})


def close_output(code: int) -> int:
    """Write out what is printed, so that a full disk or a closed pipe is told here and not while Python ends.

    Returns the exit code: 1 where the reader is gone, 2 where standard output cannot be written.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return 1
        print(f"codesign: standard output is not writable: {error.strerror}", file=sys.stderr)
        return 2
    return code


def _discard(stream: Any) -> None:
    """Let what is left in a stream go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
