"""kill -9 in the middle of a real run, then resume: the archive is that of an uninterrupted run, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codesign.store import RunStore

CONFIG = """
seed: 5
generations: 3
architecture: {space: cell, channels: 4, cells: 1, stages: 1}
hardware:
  device: rram_edge
  knobs: {array_rows: [32, 64], adc_bits: [4, 5, 8], tiles: [1, 2]}
objectives: [energy_j, area_mm2]
fast: {pairs: 500}
slow: {trainings: 2, classes: 2, draws: 1, recipe: {epochs: 1, batch_size: 64}}
executor: {name: serial}
"""
COMMAND = (sys.executable, "-c", "from codesign.cli import main; main()")


def archive(folder: Path) -> str:
    store = RunStore.open(folder)
    try:
        return repr([(g, pair, estimate.accuracy, estimate.draws) for g, pair, estimate in store.pairs()])
    finally:
        store.close()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, float]:
    """Configuration, folder of a whole run, and how long it took."""
    root = tmp_path_factory.mktemp("kill")
    config = root / "run.yaml"
    config.write_text(CONFIG)
    clock = time.perf_counter()
    subprocess.run([*COMMAND, "search", str(config), "-o", str(root / "whole")], check=True, capture_output=True)
    return config, root / "whole", time.perf_counter() - clock


def test_the_whole_run_evaluated_something(uninterrupted: tuple[Path, Path, float]) -> None:
    store = RunStore.open(uninterrupted[1])
    assert len(store.generations()) == 3
    assert len(store.pairs()) >= 4
    store.close()


@pytest.mark.parametrize("attempt", range(3))
def test_killed_and_resumed_runs_end_with_the_same_archive(
    uninterrupted: tuple[Path, Path, float], tmp_path: Path, attempt: int
) -> None:
    config, whole, seconds = uninterrupted
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [*COMMAND, "search", str(config), "-o", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # A random moment of a random run: once the manifest is there a run can be resumed.
    deadline = time.perf_counter() + 120
    while not (folder / "run.sqlite").exists() and time.perf_counter() < deadline:
        time.sleep(0.01)
    time.sleep(random.SystemRandom().uniform(0, seconds * 0.5))
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run([*COMMAND, "resume", str(folder)], check=True, capture_output=True, env=dict(os.environ))
    assert archive(folder) == archive(whole)
