"""The command line: the only package that prints or exits.

Exit codes: 0 done, 1 interrupted or failed, 2 bad input or output (one line on standard error, nothing half-written).
Heavy imports stay inside the commands, so ``codesign --help`` answers at once. With ``--json`` standard output is JSON
alone, and an error is an object there as well: ``{"error": {"message": ..., "where": ...}}``.
"""

from __future__ import annotations

import sqlite3
import sys

from codesign.cli import (
    accuracy,
    clusters,
    config,
    crossdevice,
    design,
    devices,
    effects,
    ensemble,
    estimate,
    measuring,
    networks,
    pick,
    plugins,
    runs,
    sensitivity,
    sweep,
    transfer,
    trust,
    union,
)
from codesign.cli.app import app
from codesign.cli.printing import close_output, plain_warnings, print_error, print_usage_error, printable_anywhere
from hwmodels.errors import SpecError

__all__ = [
    "accuracy", "app", "clusters", "config", "crossdevice", "design", "devices", "effects", "ensemble", "estimate",
    "main", "measuring", "networks", "pick", "plugins", "runs", "sensitivity", "sweep", "transfer",
    "trust", "union",
]  # fmt: skip

_INTERRUPTED = 130


def main() -> None:
    """Entry point: user errors become one line and exit code 2, an interruption exit code 1."""
    printable_anywhere()
    try:
        with plain_warnings():
            code = _call()
    except SystemExit as finished:
        code = finished.code if isinstance(finished.code, int) else int(finished.code is not None)
    except SpecError as error:
        print_error(error)
        code = 2
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        code = 1
    except (OSError, sqlite3.Error) as error:
        print_error(_of_system(error))
        code = 2
    if code == _INTERRUPTED:
        print("codesign: interrupted", file=sys.stderr)
        code = 1
    sys.exit(close_output(code))


def _call() -> int:
    """Run the command that the arguments name; its exit code."""
    try:
        result = app(standalone_mode=False)
    except Exception as error:
        show = getattr(error, "show", None)  # typer may hold a copy of click of its own: its errors know how to show
        if show is None:
            raise
        show()
        print_usage_error(error)
        return int(getattr(error, "exit_code", 2))
    return result if isinstance(result, int) else 0


def _of_system(error: OSError | sqlite3.Error) -> SpecError:
    """What the operating system refuses, with the path where it names one."""
    if isinstance(error, OSError):
        where = error.filename or "standard output"
        where = where.decode(errors="replace") if isinstance(where, bytes) else str(where)
        return SpecError(where, "the file", "usable", error.strerror or str(error))
    return SpecError("run.sqlite", "the database", "usable", str(error))
