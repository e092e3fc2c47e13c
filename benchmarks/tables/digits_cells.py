"""Train every cell of the table `digits-cells`, to be interrupted and continued at will.

    python benchmarks/tables/digits_cells.py work.jsonl [--workers 2]
    python benchmarks/tables/digits_cells.py work.jsonl --pack codesign/estimate/tables

The cells of the NAS-Bench-201 topology over {none, skip_connect, nor_conv_1x1, nor_conv_3x3}: 4,096 genotypes, of
which 1,236 are unique as published and 1,010 are distinct connected networks to the parameter. Each of the 1,010 is
trained with three seeds at two fidelities, and the one training is read under every arithmetic of the definition. A
finished training is one line of the file; `--pack` makes the table of them when all are there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from codesign.estimate.table import DIGITS_CELLS, write_table
from codesign.estimate.tabulate import Tabulate, Training, trainings
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
    definition, lines = DIGITS_CELLS, finished(options.work)
    done = {Training(line["cell"], line["seed"], line["fidelity"]) for line in lines}
    left = [training for training in trainings(definition) if training not in done]
    if options.pack is not None:
        if left:
            sys.exit(f"{options.work}: {len(left)} trainings are missing")
        print(write_table(definition, lines, options.pack))
        return
    options.work.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with options.work.open("a") as stream, ProcessExecutor(options.workers) as executor:
        for count, (_, line) in enumerate(executor.stream(Tabulate(definition), left), start=1):
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            print(f"\r{count} of {len(left)}", end="", file=sys.stderr)


if __name__ == "__main__":
    main()
