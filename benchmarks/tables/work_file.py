"""Many trainings, a line of a file each, to be interrupted and continued at will: what makes tables that ship."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codesign.executor.process import ProcessExecutor

Line = dict[str, Any]


def finished(path: Path) -> list[Line]:
    """The lines of a work file; a last one that was cut short is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def run(
    description: str | None,
    trainings: Sequence[Any],
    task: Callable[[Any], Any],
    *,
    of_line: Callable[[Line], Any],
    pack: Callable[[list[Line], Path], object],
) -> None:
    """Do what is left of the trainings, or make the table of them.

    of_line : the training that a line is of. pack : (lines, folder) -> what is printed.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--pack", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    lines = finished(options.work)
    done = {of_line(line) for line in lines}
    left = [training for training in trainings if training not in done]
    if options.pack is not None:
        if left:
            sys.exit(f"{options.work}: {len(left)} trainings are missing")
        print(pack(lines, options.pack))
        return
    options.work.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with options.work.open("a") as stream, ProcessExecutor(options.workers) as executor:
        for count, (_, line) in enumerate(executor.stream(task, left), start=1):
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            print(f"\r{count} of {len(left)}", end="", file=sys.stderr)
