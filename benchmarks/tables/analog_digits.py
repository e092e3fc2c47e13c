"""Train every cell of the table `digits-analog` in both ways, to be interrupted and continued at will.

    python benchmarks/tables/analog_digits.py work.jsonl [--workers 2]
    python benchmarks/tables/analog_digits.py work.jsonl --pack codesign/estimate/tables

The 253 cells of `codesign.estimate.digits_analog`, each trained plainly and with noise, and read on the simulated
memory at three times and two resolutions of the ADC. A finished training is one line of the file; `--pack` makes the
table of them when all are there.
"""

from __future__ import annotations

from functools import partial

from work_file import run

from codesign.estimate.digits_analog import DIGITS_ANALOG, CellTraining, Tabulate, trainings, write_analog

if __name__ == "__main__":
    run(
        __doc__,
        trainings(DIGITS_ANALOG),
        Tabulate(DIGITS_ANALOG),
        of_line=lambda line: CellTraining(line["number"]),
        pack=partial(write_analog, DIGITS_ANALOG),
    )
