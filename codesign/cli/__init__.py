"""The command line: the only package that prints or exits.

Exit codes: 0 done, 1 interrupted or failed, 2 bad input (one line on standard error, nothing written). Heavy imports
stay inside the commands, so ``codesign --help`` answers at once. With ``--json`` standard output is JSON alone.
"""

from __future__ import annotations

import sys

from codesign.cli import accuracy, catalogue, crossdevice, estimate, measuring, pick, plugins, runs, sweep
from codesign.cli.app import app
from codesign.cli.printing import printable_anywhere
from hwmodels.errors import SpecError

__all__ = [
    "accuracy", "app", "catalogue", "crossdevice", "estimate", "main", "measuring", "pick", "plugins", "runs",
    "sweep",
]  # fmt: skip


def main() -> None:
    """Entry point: user errors become one line and exit code 2, an interruption exit code 1."""
    printable_anywhere()
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
