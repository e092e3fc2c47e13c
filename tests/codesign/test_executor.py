"""Executors: the same parts whoever works, lost workers replaced, failures told as they are, no worker left behind."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from codesign.executor.base import Executor, WorkerLost
from codesign.executor.process import ProcessExecutor
from codesign.executor.serial import SerialExecutor
from codesign.testing.executor import ExecutorSuite

TASKS = '''
"""Tasks that workers can import."""
import os, signal, time
from pathlib import Path

def powers(n):
    yield n
    yield n * n

def where(_):
    yield os.getpid(), os.environ.get("OMP_NUM_THREADS")

class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")
        self.handle = lambda: None

def refuse_oddly(n):
    raise Odd(n, n)
    yield

class Mortal:
    """Kills its worker in the middle of some items, as long as there are lives to lose in the folder."""

    def __init__(self, folder, lives):
        self.folder = folder
        for i in range(lives):
            (Path(folder) / str(i)).touch()

    def __call__(self, n):
        yield n
        lives = sorted(Path(self.folder).iterdir())
        if n == 3 and lives:
            lives[0].unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        yield n * n

def sleepy(folder):
    (Path(folder) / str(os.getpid())).touch()
    yield 0
    time.sleep(600)
    yield 1
'''
EXPECTED = sorted((position, part) for position, n in enumerate(range(8)) for part in (n, n * n))


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tasks_of_executors.py").write_text(TASKS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("tasks_of_executors")
    sys.path.remove(str(folder))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone_within(pids: list[int], seconds: float) -> bool:
    deadline = time.perf_counter() + seconds
    while any(map(is_running, pids)) and time.perf_counter() < deadline:
        time.sleep(0.02)
    return not any(map(is_running, pids))


class TestSerial(ExecutorSuite):
    shares_memory = True

    def executor(self) -> Executor:
        return SerialExecutor()


class TestOneProcess(ExecutorSuite):
    def executor(self) -> Executor:
        return ProcessExecutor(1)


class TestThreeProcesses(ExecutorSuite):
    def executor(self) -> Executor:
        return ProcessExecutor(3)


def test_items_are_drawn_when_a_worker_is_free(tasks: ModuleType) -> None:
    drawn = []

    def items():
        for n in range(20):
            drawn.append(n)
            yield n

    with ProcessExecutor(2) as executor:
        stream = executor.stream(tasks.powers, items())
        next(stream)
        assert len(drawn) <= 3
        stream.close()


def test_workers_are_other_processes_with_one_thread(tasks: ModuleType) -> None:
    with ProcessExecutor(2) as executor:
        found = [part for _, part in executor.stream(tasks.where, range(50))]
    assert {threads for _, threads in found} == {"1"}
    assert os.getpid() not in {pid for pid, _ in found}
    assert gone_within([pid for pid, _ in found], 5)


@pytest.mark.parametrize(("lives", "workers"), [(1, 1), (2, 2), (2, 3)])
def test_a_lost_worker_is_replaced_and_nothing_told_twice(
    tasks: ModuleType, tmp_path: Path, lives: int, workers: int
) -> None:
    with ProcessExecutor(workers, retries=2) as executor:
        found = list(executor.stream(tasks.Mortal(tmp_path, lives), range(8)))
    assert sorted(found) == EXPECTED
    assert list(tmp_path.iterdir()) == []


def test_a_worker_lost_too_often_is_one_clear_line(tasks: ModuleType, tmp_path: Path) -> None:
    task = tasks.Mortal(tmp_path, 9)
    with ProcessExecutor(2, retries=1) as executor:
        with pytest.raises(WorkerLost, match=r"^3: its worker was lost 2 times, last by SIGKILL") as caught:
            list(executor.stream(task, range(8)))
        assert "\n" not in str(caught.value)
        for path in tmp_path.iterdir():
            path.unlink()
        assert sorted(executor.stream(task, range(8))) == EXPECTED  # and the executor is still good


def test_an_idle_worker_that_dies_is_replaced(tasks: ModuleType) -> None:
    with ProcessExecutor(2, retries=1) as executor:
        pids = {pid for _, (pid, _) in executor.stream(tasks.where, range(50))}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert gone_within(list(pids), 5)
        assert len(list(executor.stream(tasks.where, range(8)))) == 8


def test_an_exception_that_cannot_travel_sends_its_message(tasks: ModuleType) -> None:
    with ProcessExecutor(1) as executor, pytest.raises(RuntimeError) as caught:
        list(executor.stream(tasks.refuse_oddly, [5]))
    assert str(caught.value) == "Odd: 5 and 5"
    assert "refuse_oddly" in caught.value.__notes__[0]


def test_leaving_early_stops_the_workers(tasks: ModuleType, tmp_path: Path) -> None:
    with ProcessExecutor(2) as executor:
        stream = executor.stream(tasks.sleepy, [tmp_path] * 4)
        next(stream)
        next(stream)
        pids = [int(path.name) for path in tmp_path.iterdir()]
        assert len(pids) == 2
        clock = time.perf_counter()
        stream.close()
        assert gone_within(pids, 5)
        assert time.perf_counter() - clock < 5
        assert sorted(executor.stream(tasks.powers, range(8))) == EXPECTED


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 3)], ids=["killed", "interrupted"])
def test_workers_go_with_their_parent(tasks: ModuleType, tmp_path: Path, how: int, code: int) -> None:
    """Without a guard around the main part, which worker processes of the standard library would need."""
    script = tmp_path / "script.py"
    folder = tmp_path / "pids"
    folder.mkdir()
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(tasks.__file__).parent)!r})
import tasks_of_executors
from codesign.executor.process import ProcessExecutor
try:
    with ProcessExecutor(2) as executor:
        list(executor.stream(tasks_of_executors.sleepy, [{str(folder)!r}] * 2))
except KeyboardInterrupt:
    sys.exit(3)
"""
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.perf_counter() + 60
    while len(list(folder.iterdir())) < 2 and time.perf_counter() < deadline:
        time.sleep(0.02)
    pids = [int(path.name) for path in folder.iterdir()]
    assert len(pids) == 2
    assert all(map(is_running, pids))
    parent.send_signal(how)
    assert parent.wait(10) == code
    assert gone_within(pids, 5)
