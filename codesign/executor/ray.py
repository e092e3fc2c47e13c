"""Workers on a Ray cluster: one started here for the occasion, or a running one by its address (extra `ray`).

Each worker is an actor of one CPU. Assumption: all machines of a cluster hold the same versions of the packages and
processors of one kind; otherwise the last bits of a training may differ between machines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from pydantic import Field

from codesign.executor.base import cores
from codesign.executor.pool import WorkerPool
from codesign.executor.portable import pinned_environment
from codesign.executor.task_runner import Reply, TaskRunner
from codesign.registry import Plugin, Settings
from hwmodels.errors import SpecError
from hwmodels.units import MIB

__all__ = ["PLUGIN", "RayExecutor", "RaySettings", "RayWorker"]

_LEAST_STORE_BYTES = 128 * MIB  # Ray refuses less than 75 MB


class RayWorker:
    """An actor and the reply that is awaited from it."""

    def __init__(self, actor: Any, task: Any) -> None:
        self.actor = actor
        self.pending: Any = None
        self.actor.load.remote(task)

    def give(self, item: bytes) -> None:
        """Send an item and ask for its first part."""
        self.actor.begin.remote(item)
        self.pending = self.actor.advance.remote()

    def receive(self) -> Reply:
        """The reply that is there; after a part the next one is asked for at once."""
        import ray

        try:
            reply: Reply = ray.get(self.pending)
        except (ray.exceptions.ActorDiedError, ray.exceptions.ActorUnavailableError) as error:
            return Reply("lost", f"by Ray: {' '.join(str(error).split())[:200]}")
        if reply.kind == "part":
            self.pending = self.actor.advance.remote()
        return reply


class RayExecutor(WorkerPool[RayWorker]):
    """A pool of Ray actors; a lost one is replaced.

    Parameters
    ----------
    workers : actors, at most the CPUs of the cluster; None takes all of them.
    retries : how often an item is given to a new worker after its own was lost.
    address : of a running cluster, as ``"auto"`` or ``"ray://head:10001"``; None starts one on this machine, which
        ends with the executor. A connection that the caller has opened is used and left open.
    portable : pin the instruction set of trainings, see `codesign.executor.portable`.

    Raises
    ------
    SpecError : Ray is not installed.
    """

    def __init__(
        self, workers: int | None = None, *, retries: int = 2, address: str | None = None, portable: bool = True
    ) -> None:
        if find_spec("ray") is None:
            raise SpecError("executor", "ray", "installed", "pip install 'codesign[ray]'")
        super().__init__(workers or 0, retries=retries)
        self.address = address
        self._environment = pinned_environment() if portable else {}
        self._is_ours = False
        self._stored: Any = None

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._stored = None
        if self._is_ours:
            import ray

            ray.shutdown()
            self._is_ours = False

    def _open(self) -> None:
        import ray

        if not ray.is_initialized():
            # A research tool reports to nobody.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            if self.address is None:
                store_bytes = max(_LEAST_STORE_BYTES, 2 * len(self._payload))
                local: dict[str, Any] = {"num_cpus": self.workers or cores(), "object_store_memory": store_bytes}
                ray.init(address="local", include_dashboard=False, **local, **quiet)
            else:
                ray.init(address=self.address, **quiet)
            self._is_ours = True
        # An actor without a CPU would wait for ever with the item that it was given.
        available = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        self.workers = min(self.workers or available, available)
        self._stored = ray.put(self._payload)

    def _start_worker(self, task: bytes) -> RayWorker:
        import ray

        kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(TaskRunner)
        return RayWorker(kind.remote(self._environment), self._stored)

    def _give(self, worker: RayWorker, item: bytes) -> None:
        worker.give(item)

    def _replies(self, workers: Sequence[RayWorker]) -> Iterator[tuple[RayWorker, Reply]]:
        import ray

        pending = {worker.pending: worker for worker in workers}
        ready, _ = ray.wait(list(pending), num_returns=1)
        for reference in ready:
            yield pending[reference], pending[reference].receive()

    def _stop_worker(self, worker: RayWorker) -> None:
        import ray

        ray.kill(worker.actor)


class RaySettings(Settings):
    """Trainings on a Ray cluster; needs the extra `ray`."""

    portable: bool = Field(True, description="train with AVX2 everywhere, so that other processors give the same run")
    workers: int | None = Field(None, ge=1, le=100_000, description="all CPUs of the cluster by default, never more")
    retries: int = Field(2, ge=0, le=100, description="how often a training is tried again when its worker was lost")
    address: str | None = Field(None, description="running cluster; none starts one on this machine")


def _make(settings: RaySettings, problem: None) -> RayExecutor:
    return RayExecutor(settings.workers, retries=settings.retries, address=settings.address, portable=settings.portable)


PLUGIN = Plugin(RaySettings, _make, "trainings on a Ray cluster (extra `ray`)")
