"""Train every cell of the table `digits-cells`, to be interrupted and continued at will.

    python benchmarks/tables/digits_cells.py work.jsonl [--workers 2]
    python benchmarks/tables/digits_cells.py work.jsonl --pack codesign/estimate/tables

The cells of the NAS-Bench-201 topology over {none, skip_connect, nor_conv_1x1, nor_conv_3x3}: 4,096 genotypes, of
which 1,236 are unique as published and 1,010 are distinct connected networks to the parameter. Each of the 1,010 is
trained with three seeds at two fidelities, and the one training is read under every arithmetic of the definition. A
finished training is one line of the file; `--pack` makes the table of them when all are there.
"""

from __future__ import annotations

from functools import partial

from work_file import run

from codesign.estimate.table import DIGITS_CELLS, write_table
from codesign.estimate.tabulate import Tabulate, Training, trainings

if __name__ == "__main__":
    run(
        __doc__,
        trainings(DIGITS_CELLS),
        Tabulate(DIGITS_CELLS),
        of_line=lambda line: Training(line["cell"], line["seed"], line["fidelity"]),
        pack=partial(write_table, DIGITS_CELLS),
    )
