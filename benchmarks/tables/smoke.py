"""Seconds of a small search by each registered strategy, in one process: is each of them quick to try?

    python benchmarks/tables/smoke.py [--strategies NAME ...]

Prints a table. The search is cells of the shipped table of digits on two designs of an array, three generations of
30 pairs, 4 networks estimated each; strategies that train a mixture do so for 2 epochs; neat evolves networks of
neurons on exclusive or. Three searches follow one that is not counted, which loads and compiles what is needed.
Reported are wall time and the time of the process, which other programs on the machine change less.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from pathlib import Path
from typing import Any

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.registry import STRATEGIES

LIMIT_S = 5.0
"""What three searches may take."""

EXAMPLES = Path(__file__).parents[2] / "examples"
MIXTURES = ("darts", "edgenas", "enas", "fbnet", "la_dnas", "pc_darts", "proxyless")
FIDELITIES = ("bohb", "hyperband", "successive_halving")
CELLS: dict[str, Any] = {
    "generations": 3, "data": {"name": "noisy-digits"},
    "architecture": {
        "space": "cell", "channels": 4, "cells": 1, "stages": 3,
        "operations": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"],
    },
    "hardware": {"device": "systolic_edge", "knobs": {"array_rows": [16, 32]}}, "objectives": ["latency_s"],
    "estimator": {"name": "table"}, "fast": {"pairs": 30}, "slow": {"trainings": 4, "classes": 1},
    "executor": {"name": "serial", "portable": False},
}  # fmt: skip
NEURONS: dict[str, Any] = {
    "data": {
        "name": "table", "root": str(EXAMPLES / "xor.csv"), "label": "xor", "task": "regression", "split": "whole",
    },
    "architecture": {"space": "neurons"}, "estimator": {"name": "genome"},
    "slow": {"trainings": 30, "classes": 1},
}  # fmt: skip


def run_file(name: str) -> dict[str, Any]:
    """The search of a strategy."""
    content = copy.deepcopy(CELLS) | (NEURONS if name == "neat" else {})
    content["strategy"] = {"name": name}
    if name in MIXTURES:
        content["strategy"] |= {"epochs": 2, "epochs_a_batch": 1, "batch_size": 256}
        content["strategy"] |= {"steps": 2} if name == "enas" else {}
    if name in FIDELITIES:
        content["strategy"]["fidelities"] = [1 / 3, 1.0]
    return content


def searched(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = begin(parse_config(run_file(name)), Path(folder) / "run")
        run.go()
        run.store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES.names()))
    options = parser.parse_args()
    print(f"| strategy | three searches, wall (s) | process (s) | under {LIMIT_S:g} s |\n| --- | --- | --- | --- |")
    for name in options.strategies:
        searched(name)
        wall, process = time.perf_counter(), time.process_time()
        for _ in range(3):
            searched(name)
        wall, process = time.perf_counter() - wall, time.process_time() - process
        print(f"| {name} | {wall:.2f} | {process:.2f} | {'yes' if wall < LIMIT_S else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
