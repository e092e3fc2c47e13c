"""A real search gives the same run on every executor: whole, with workers killed, killed itself and resumed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from codesign.app.assemble import executor_of
from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.estimate.base import CarriedWeights, Estimate
from codesign.executor.process import ProcessExecutor
from codesign.executor.serial import SerialExecutor
from codesign.report.html import read_report
from codesign.space.chain import ChainSpace
from codesign.store import RunStore
from codesign.two_level.loop import Event
from codesign.two_level.slow import AccuracyClass, SlowLevel
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT

CONFIG = {
    "seed": 5,
    "generations": 2,
    "architecture": {"space": "cell", "channels": 4, "cells": 1, "stages": 1},
    "hardware": {"device": "rram_edge", "knobs": {"array_rows": [32, 64], "adc_bits": [4, 5, 8], "tiles": [1, 2]}},
    "objectives": ["energy_j", "area_mm2"],
    "fast": {"pairs": 300},
    "slow": {"trainings": 3, "classes": 2},
    "estimator": {"draws": 1, "recipe": {"epochs": 1, "batch_size": 64}},
}


KILLED = """
import sys
from codesign.executor.process import WorkerProcess
from tests.codesign.kills import watch_writes

start, write, pids = WorkerProcess.__init__, int(sys.argv[1]), sys.argv[2]

def noted(self, *arguments):
    start(self, *arguments)
    with open(pids, "a") as stream:
        print(self.process.pid, file=stream)

WorkerProcess.__init__ = noted
watch_writes(write)
del sys.argv[1:3]
from codesign.cli import main
main()
"""
"""The command line with the process ids of its workers written down, killed before a write."""


def content(store: RunStore) -> str:
    """All that a run is, times and the order of durable results apart."""
    weights = {key: hashlib.sha256(payload).hexdigest() for key, payload in rows(store, "key, payload", "weights")}
    clock = ("trained", "seconds")
    estimates = {
        key: {name: value for name, value in json.loads(record).items() if name not in clock}
        for key, record in rows(store, "key, record", "estimates")
    }
    states = [{name: array.tolist() for name, array in g.strategy.items()} for g in store.generations()]
    ledgers = [{k: v for k, v in g.ledger.as_dict().items() if k != "seconds"} for g in store.generations()]
    fast = {name: values.tolist() for name, values in store.read_fast(["reason", "energy_j"]).items()}
    pairs = [(g, pair, replace(estimate, trained=False, seconds=0.0)) for g, pair, estimate in store.pairs()]
    front = read_report(store).summary.front
    parts = (sorted(weights.items()), sorted(estimates.items()), pairs, states, ledgers, fast, front)
    return "\n".join(map(repr, parts))


def rows(store: RunStore, columns: str, table: str) -> list[tuple]:
    with closing(sqlite3.connect(store.folder / "run.sqlite")) as db:
        return db.execute(f"SELECT {columns} FROM {table}").fetchall()


def run_content(folder: Path) -> str:
    store = RunStore.open(folder)
    try:
        return content(store)
    finally:
        store.close()


def searched(folder: Path, executor: dict, report=lambda event: None) -> str:
    """Without the pin, so that workers inherit whatever instruction set the tests run under."""
    run = begin(parse_config(CONFIG | {"executor": executor | {"portable": False}}), folder)
    run.go(report)
    run.store.close()
    return run_content(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the run that all others must equal."""
    folder = tmp_path_factory.mktemp("serial") / "run"
    searched(folder, {"name": "serial"})
    return folder


@pytest.fixture(scope="module")
def serial(whole: Path) -> str:
    return run_content(whole)


def test_the_search_trains_and_finds_something(whole: Path) -> None:
    store = RunStore.open(whole)
    weights, estimates = (len(rows(store, "key", table)) for table in ("weights", "estimates"))
    assert 4 <= weights < estimates <= len(store.pairs())
    assert read_report(store).summary.front
    store.close()


@pytest.mark.parametrize("workers", [2, 3])
def test_the_run_is_the_same_on_any_number_of_processes(serial: str, tmp_path: Path, workers: int) -> None:
    assert searched(tmp_path / "run", {"workers": workers}) == serial


def test_one_worker_process_gives_the_same_run_too(serial: str, tmp_path: Path) -> None:
    """`workers: 1` means this process; a pool of one is made by hand."""
    run = begin(parse_config(CONFIG | {"executor": {"workers": 1, "portable": False}}), tmp_path / "run")
    assert isinstance(run.parts.slow.executor, SerialExecutor)
    run.parts.slow.executor = ProcessExecutor(1, portable=False)
    run.go()
    assert content(run.store) == serial


def test_killed_workers_do_not_show_in_the_run(serial: str, tmp_path: Path) -> None:
    killed = []

    def report(event: Event) -> None:
        if event.level == "slow" and event.done == 1:
            victim = children(os.getpid())[0]
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    assert searched(tmp_path / "run", {"workers": 2, "retries": 5}, report) == serial
    assert len(killed) == 2


def children(pid: int) -> list[int]:
    """Worker processes of a process."""
    found = subprocess.run(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(line.split()[0]) for line in found.splitlines() if "executor.process" in line]


def test_an_interrupted_run_is_resumed_with_other_workers(serial: str, tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.generation == 1 and event.level == "slow" and event.done == 1:
            raise KeyboardInterrupt

    run = begin(parse_config(CONFIG | {"executor": {"workers": 2, "portable": False}}), tmp_path / "run")
    clock = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        run.go(interrupt)
    assert children(os.getpid()) == []
    assert time.perf_counter() - clock < 60
    run.store.close()
    assert len(RunStore.open(tmp_path / "run").generations()) == 1
    again = reopen(tmp_path / "run", executor={"workers": 3})
    assert again.parts.slow.executor.workers == 3
    again.go()
    assert content(again.store) == serial
    assert again.store.manifest["executor"]["workers"] == 2


@pytest.mark.parametrize("write", [3, 6])
def test_a_killed_run_leaves_no_worker_and_is_resumed(serial: str, tmp_path: Path, write: int) -> None:
    """The run kills itself before one of its writes, while its workers train."""
    config, folder, pids = tmp_path / "run.yaml", tmp_path / "run", tmp_path / "pids"
    config.write_text(json.dumps(CONFIG | {"executor": {"name": "process", "workers": 2, "portable": False}}))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *sys.path]))
    }
    command = (sys.executable, "-c", KILLED, str(write), str(pids), "search", str(config), "-o", str(folder))
    parent = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    workers, deadline = {int(line) for line in pids.read_text().split()}, time.perf_counter() + 60
    assert len(workers) == 2
    while running() & workers and time.perf_counter() < deadline:
        time.sleep(0.02)
    assert running() & workers == set()
    again = reopen(folder, executor={"name": "serial"})
    assert rows(again.store, "key", "weights")
    assert len(again.store.generations()) < CONFIG["generations"]
    again.go()
    assert content(again.store) == serial


def running() -> set[int]:
    """Processes that are alive; one that waits to be reaped is not."""
    listed = subprocess.run(["ps", "-eo", "pid=,stat="], capture_output=True, text=True, check=True).stdout
    return {int(line.split()[0]) for line in listed.splitlines() if "Z" not in line.split()[1]}


class Trainer:
    """Trains by counting, evaluates by looking."""

    metrics: ClassVar = {"accuracy": "more"}

    def __init__(self, weights: CarriedWeights) -> None:
        self.weights, self.trainings = weights, 0

    def training_key(self, request):
        return f"{request.workload.macs} {request.fidelity} {request.seed}"

    def key(self, request):
        bits = [node.precision.weight_bits for node in request.workload]
        return f"{self.training_key(request)} {bits} {list(request.numerics)}"

    def estimate(self, requests):
        for position, request in enumerate(requests):
            key = self.training_key(request)
            if self.weights.get(key) is None:
                self.trainings += 1
                self.weights.put(key, key.encode(), 1.0)
            yield position, Estimate(0.5, 0.0, {}, request.fidelity, key)


def test_networks_that_share_a_training_are_one_unit_of_work(tmp_path: Path) -> None:
    """They differ in their bits alone; the second visit finds the weights in the store."""
    space = ChainSpace(
        stages=1, kernel=(3,), width=(8,), depth=(1,), stride=(1,), bits=(4, 8), input_shape=(1, 8, 8), classes=10
    )
    store = RunStore.create(tmp_path / "run", {})
    trainer = Trainer(CarriedWeights())
    slow = SlowLevel(space, trainer, fidelity=1.0, seed=1)
    eight = FLOAT._replace(weight_bits=8, activation_bits=8)
    networks = {tuple(map(int, row)) for row in space.canonical(space.enumerate())}
    assert len(networks) == 2
    wanted = [AccuracyClass(network, tuple(map(float, eight))) for network in sorted(networks)]
    found = dict(slow.evaluate(store, wanted))
    assert list(found) == wanted
    assert len({key for key, _ in found.values()}) == 2
    assert trainer.trainings == len(rows(store, "key", "weights")) == 1
    other = AccuracyClass(wanted[0].architecture, tuple(map(float, eight._replace(activation_bits=6))))
    assert len(dict(slow.evaluate(store, [*wanted, other]))) == 3
    assert trainer.trainings == 1


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"name": "proces"}, ["executor.name", "proces", "did you mean process?"]),
        ({"workers": 0}, ["executor.workers", "0", ">= 1"]),
        ({"worker": 2}, ["executor", "worker", "did you mean workers?"]),
        ({"name": "serial", "workers": 2}, ["executor", "workers"]),
        ({"name": "process", "address": "auto"}, ["executor", "address"]),
    ],
)
def test_mistakes_in_the_section_are_told_in_one_line(section: dict, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse_config(CONFIG | {"executor": section})
    for word in words:
        assert word in str(caught.value)


def test_the_section_chooses_the_executor() -> None:
    for section, kind in (({"name": "serial"}, SerialExecutor), ({"workers": 1}, SerialExecutor)):
        assert isinstance(executor_of(parse_config(CONFIG | {"executor": section})), kind)
    chosen = executor_of(parse_config(CONFIG | {"executor": {"workers": 5, "retries": 1}}))
    assert isinstance(chosen, ProcessExecutor)
    assert (chosen.workers, chosen.retries) == (5, 1)
    assert parse_config(CONFIG).executor.name == "process"
