"""A run's trainings made anew: its data, space and estimator by its configuration, under its instruction set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from codesign.app.assemble import dataset_of, joint_space, problem_of
from codesign.app.config import RunConfig
from codesign.estimate.base import Trainer
from codesign.executor.serial import in_this_process
from codesign.space.joint import JointSpace
from codesign.store import RunBlobs
from codesign.two_level.slow import SlowLevel
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["TrainedRun", "pin", "trained_run"]


class TrainedRun(NamedTuple):
    """What a configuration stands for. slow : makes requests of its accuracy classes."""

    data: Dataset
    space: JointSpace
    estimator: Trainer
    slow: SlowLevel


def pin(record: Mapping[str, Any]) -> None:
    """Work under the instruction set that a run trained under, by its manifest; before torch is loaded."""
    executor = record.get("executor")
    in_this_process(portable=not isinstance(executor, Mapping) or bool(executor.get("portable", True)))


def trained_run(config: RunConfig) -> TrainedRun:
    """The run of a configuration.

    Raises
    ------
    SpecError : an estimator that does not train each network.
    """
    data = dataset_of(config.data)
    space = joint_space(config, data)
    estimator = config.estimator.make(problem_of(config, space, data, RunBlobs()))
    slow = SlowLevel(space.architecture, estimator, fidelity=config.slow.fidelity, seed=config.seed)
    if not slow.trains or not isinstance(estimator, Trainer):
        wanted = "one that trains each network: there are no weights of its own"
        raise SpecError("estimator", config.estimator.name, wanted)
    return TrainedRun(data, space, estimator, slow)
