"""A real local Ray cluster: a worker is killed in the middle, the run equals a serial one, nothing stays behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.executor.ray import RayExecutor
from codesign.store import RunStore
from codesign.two_level.loop import Event
from hwmodels.errors import SpecError

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")

CONFIG = {
    "seed": 5,
    "generations": 1,
    "architecture": {"space": "cell", "channels": 4, "cells": 1, "stages": 1},
    "hardware": {"device": "rram_edge", "knobs": {"array_rows": [32, 64], "adc_bits": [4, 5, 8], "tiles": [1, 2]}},
    "objectives": ["energy_j", "area_mm2"],
    "fast": {"pairs": 300},
    "slow": {"trainings": 4, "classes": 2},
    "estimator": {"draws": 1, "recipe": {"epochs": 1, "batch_size": 64}},
}
REFUSE = """
from hwmodels.errors import SpecError

def refuse(n):
    yield n
    raise SpecError("item", n, "odd")
"""


def archive(store: RunStore) -> str:
    return repr([(g, pair, estimate.accuracy, estimate.key) for g, pair, estimate in store.pairs()])


def descendants() -> dict[int, str]:
    """Processes below this one, by id with their titles."""
    import psutil

    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            found[process.pid] = " ".join(process.cmdline())
        except psutil.Error:
            continue
    return found


@needs_ray
def test_a_cluster_that_loses_a_worker_gives_the_serial_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tasks_of_ray.py").write_text(REFUSE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    serial = begin(parse_config(CONFIG | {"executor": {"name": "serial", "portable": False}}), tmp_path / "serial")
    serial.go()
    before, killed = set(descendants()), []

    def report(event: Event) -> None:
        if event.level == "slow" and event.done == 1:
            victim = next(pid for pid, title in descendants().items() if title.startswith("ray::TaskRunner"))
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    run = begin(
        parse_config(CONFIG | {"executor": {"name": "ray", "workers": 2, "retries": 3, "portable": False}}),
        tmp_path / "ray",
    )
    run.go(report)
    assert len(killed) == 1
    assert len(run.store.pairs()) > 2
    assert archive(run.store) == archive(serial.store)

    # A failure keeps its message, and is not tried again.
    from tasks_of_ray import refuse

    parts = []
    with RayExecutor(1) as executor, pytest.raises(SpecError, match="item: 7 is not"):
        parts += executor.stream(refuse, [7])

    deadline = time.perf_counter() + 20
    while set(descendants()) - before and time.perf_counter() < deadline:
        time.sleep(0.1)
    assert {pid: title for pid, title in descendants().items() if pid not in before} == {}


def test_without_ray_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpecError, match=r"codesign\[ray\]"):
        begin(parse_config(CONFIG | {"executor": {"name": "ray"}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
