"""Worker processes on this machine.

Each is a fresh interpreter, so it inherits no threads and no locks, and the caller's script needs no guard around
its main part. Caller and worker share a pair of sockets and nothing else: when the caller goes, however it goes, the
worker reads the end of its socket and goes too. One thread a worker: the cores are busy with other workers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Thread

from pydantic import Field

from codesign.executor.base import Executor, cores
from codesign.executor.pool import WorkerPool
from codesign.executor.portable import pinned_environment
from codesign.executor.serial import in_this_process
from codesign.executor.task_runner import Reply, TaskRunner
from codesign.registry import Plugin, Settings

__all__ = ["PLUGIN", "ProcessExecutor", "ProcessSettings", "WorkerProcess", "serve"]

_START = "import sys; sys.path[:] = {path!r}; from codesign.executor.process import serve; serve({descriptor})"
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
_DEAD_WITHIN_S = 10.0  # a process whose socket has closed is on its way out


class WorkerProcess:
    """A worker process and the caller's end of its socket."""

    def __init__(self, task: bytes, environment: dict[str, str]) -> None:
        self.connection, theirs = Pipe()
        descriptor = theirs.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=[str(part) for part in sys.path], descriptor=descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the caller's may be read by a program
            pass_fds=(descriptor,),
            process_group=0,  # an interruption from the keyboard is the caller's to handle
            env=os.environ | _ONE_THREAD | environment,
        )
        theirs.close()
        # A socket holds little of a task: the rest waits until the worker is up, and the caller need not.
        self._loading = Thread(target=self._send, args=("task", task), daemon=True)
        self._loading.start()

    def give(self, item: bytes) -> None:
        """Send an item, after the task."""
        self._loading.join()
        self._send("item", item)

    def _send(self, kind: str, content: bytes) -> None:
        """Send without regard to a worker that is gone: the end of its socket tells it."""
        with suppress(OSError):
            self.connection.send((kind, content))

    def receive(self) -> Reply:
        """The next reply; a closed socket is the worker's loss."""
        try:
            reply: Reply = self.connection.recv()
        except (EOFError, OSError):
            return Reply("lost", self._end())
        return reply

    def stop(self) -> None:
        """Kill it: it holds nothing that the caller has not got."""
        self.process.kill()
        self.process.wait()
        self._loading.join()
        self.connection.close()

    def _end(self) -> str:
        try:
            code = self.process.wait(_DEAD_WITHIN_S)
        except subprocess.TimeoutExpired:
            return "without a word"
        if code >= 0:
            return f"with exit code {code}"
        name = signal.Signals(-code).name
        return f"by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


class ProcessExecutor(WorkerPool[WorkerProcess]):
    """A pool of worker processes; a lost one is replaced.

    Parameters
    ----------
    workers : processes. retries : how often an item is given to a new worker after its own was lost.
    portable : pin the instruction set of trainings, see `codesign.executor.portable`.
    """

    def __init__(self, workers: int, *, retries: int = 2, portable: bool = True) -> None:
        super().__init__(workers, retries=retries)
        self._environment = pinned_environment() if portable else {}

    def _start_worker(self, task: bytes) -> WorkerProcess:
        return WorkerProcess(task, self._environment)

    def _give(self, worker: WorkerProcess, item: bytes) -> None:
        worker.give(item)

    def _replies(self, workers: Sequence[WorkerProcess]) -> Iterator[tuple[WorkerProcess, Reply]]:
        ready = set(wait([worker.connection for worker in workers]))
        for worker in workers:
            if worker.connection in ready:
                yield worker, worker.receive()

    def _stop_worker(self, worker: WorkerProcess) -> None:
        worker.stop()


def serve(descriptor: int) -> None:
    """The life of a worker process: messages in, replies out, until the caller is gone."""
    connection = Connection(descriptor)
    inbox: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    runner = TaskRunner()
    while True:
        kind, content = inbox.get()
        if kind == "task":
            runner.load(content)
            continue
        runner.begin(content)
        kind = "part"
        while kind == "part":
            reply = runner.advance()
            kind = reply.kind
            with suppress(BrokenPipeError):  # the caller is gone: the other thread ends this process
                connection.send(reply)


def _listen(connection: Connection, inbox: SimpleQueue[tuple[str, bytes]]) -> None:
    """Read ahead, so that the end of the socket is seen while the worker works; it ends the process then."""
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGKILL)


class ProcessSettings(Settings):
    """Trainings in worker processes on this machine."""

    portable: bool = Field(True, description="train with AVX2 everywhere, so that other processors give the same run")
    workers: int | None = Field(None, ge=1, le=1024, description="all cores by default; 1 trains in the search's own")
    retries: int = Field(2, ge=0, le=100, description="how often a training is tried again when its worker was lost")


def _make(settings: ProcessSettings, problem: None) -> Executor:
    workers = settings.workers or cores()
    # Worker processes inherit a socket, which Windows does not know.
    if workers == 1 or os.name != "posix":
        return in_this_process(portable=settings.portable)
    return ProcessExecutor(workers, retries=settings.retries, portable=settings.portable)


PLUGIN = Plugin(ProcessSettings, _make, "trainings in worker processes on this machine")
