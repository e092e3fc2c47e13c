"""Train every cell of the table `digits-analog` in both ways, to be interrupted and continued at will.

    python benchmarks/tables/analog_digits.py work.jsonl [--workers 2]
    python benchmarks/tables/analog_digits.py work.jsonl --pack codesign/estimate/tables

The 253 cells of `codesign.estimate.digits_analog`, each trained plainly and with noise, and read on the simulated
memory at three times and two resolutions of the ADC. A finished training is one line of the file; `--pack` makes the
table of them when all are there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from codesign.estimate.digits_analog import DIGITS_ANALOG, CellTraining, Tabulate, trainings, write_analog
from codesign.executor.process import ProcessExecutor


def finished(path: Path) -> list[dict[str, Any]]:
    """The lines of a work file; a last one that was cut short is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--pack", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    definition, lines = DIGITS_ANALOG, finished(options.work)
    done = {CellTraining(line["number"]) for line in lines}
    left = [training for training in trainings(definition) if training not in done]
    if options.pack is not None:
        if left:
            sys.exit(f"{options.work}: {len(left)} trainings are missing")
        print(write_analog(definition, lines, options.pack))
        return
    options.work.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with options.work.open("a") as stream, ProcessExecutor(options.workers) as executor:
        for count, (_, line) in enumerate(executor.stream(Tabulate(definition), left), start=1):
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            print(f"\r{count} of {len(left)}", end="", file=sys.stderr)


if __name__ == "__main__":
    main()
