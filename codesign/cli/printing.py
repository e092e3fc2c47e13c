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
