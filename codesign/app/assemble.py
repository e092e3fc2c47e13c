"""Configuration to running parts: the one place that knows spaces, strategies and estimators by name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from codesign.app.config import (
    ArchitectureConfig,
    CellConfig,
    DataConfig,
    EvolutionConfig,
    ExecutorConfig,
    HardwareConfig,
    RandomConfig,
    RayConfig,
    RunConfig,
    SerialConfig,
    StrategyConfig,
)
from codesign.data import Dataset
from codesign.executor.base import Executor, cores
from codesign.executor.portable import pin_instruction_set
from codesign.executor.serial import SerialExecutor
from codesign.hardware_search.inner import InnerHardware
from codesign.hardware_search.whole_grid import FrontHardware
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Space
from codesign.space.cell import OPERATIONS, CellSpace
from codesign.space.chain import ChainSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.store import RunStore
from codesign.strategy.base import Strategy
from codesign.strategy.evolution import RegularisedEvolution
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.random import RandomSearch
from codesign.two_level.archive import Archive
from codesign.two_level.fast import FastLevel
from codesign.two_level.loop import Budget, Search
from codesign.two_level.slow import CarriedWeights, SlowLevel, Trainings
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import NETWORK_METRICS
from hwmodels.families.base import CostModel
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import RUNTIMES

__all__ = [
    "architecture_space",
    "check_metrics",
    "dataset_of",
    "executor_of",
    "hardware_space",
    "joint_space",
    "manifest",
    "search_of",
    "strategy_of",
]


def dataset_of(config: DataConfig) -> Dataset:
    """The images of a run."""
    from codesign.data import load

    return load(config.name, config.root)


def architecture_space(config: ArchitectureConfig, image: tuple[int, int, int], classes: int) -> ArchitectureSpace:
    """The networks of a run, for images of this shape."""
    if isinstance(config, CellConfig):
        return CellSpace(
            channels=config.channels,
            cells=config.cells,
            stages=config.stages,
            input_shape=image,
            classes=classes,
            operations=tuple(config.operations or OPERATIONS),
        )
    return ChainSpace(
        stages=config.stages,
        kernel=config.kernel,
        width=config.width,
        depth=config.depth,
        stride=config.stride,
        bits=config.bits,
        input_shape=image,
        classes=classes,
    )


def joint_space(config: RunConfig, data: Dataset) -> JointSpace:
    """Networks for this data on the hardware of this configuration.

    Raises
    ------
    SpecError : an unknown device, knob, value or metric.
    """
    hardware = hardware_space(config.hardware)
    check_metrics(config, hardware.model)
    return JointSpace(architecture_space(config.architecture, data.shape, data.classes), hardware)


def hardware_space(config: HardwareConfig) -> HardwareSpace:
    """The device of a run, or a choice of several of one family, with the knobs to search.

    Raises
    ------
    SpecError : an unknown device, knob or value, a device named twice, or devices of several families.
    """
    if isinstance(config.device, str):
        chosen = device(config.device)
        return HardwareSpace(chosen.model, chosen.spec, config.knobs)
    devices = [device(name) for name in config.device]
    first, bases = devices[0], {found.name: found.spec for found in devices}
    for found in devices:
        if found.model.name != first.model.name:
            raise SpecError("hardware.device", found.name, f"of the family {first.model.name}, as {first.name}")
    if len(bases) < len(devices):
        raise SpecError("hardware.device", [found.name for found in devices], "a list without repeats")
    return HardwareSpace(first.model, bases, config.knobs)


def strategy_of(config: StrategyConfig, space: Space) -> Strategy:
    """Who proposes pairs."""
    if isinstance(config, RandomConfig):
        return RandomSearch(space)
    if isinstance(config, EvolutionConfig):
        return RegularisedEvolution(
            space, population=config.population, sample=config.sample, immigrants=config.immigrants
        )
    return NSGA2(space, population=config.population, crossover=config.crossover, immigrants=config.immigrants)


def _pair_strategy(config: RunConfig, space: JointSpace) -> Strategy:
    """Who proposes pairs: a strategy over both sides, or one over networks with hardware searched for each."""
    if config.hardware.search == "joint":
        return strategy_of(config.strategy, space)
    kind = InnerHardware if config.hardware.search == "inner" else FrontHardware
    return kind(
        space,
        strategy_of(config.strategy, space.architecture),
        RUNTIMES[config.runtime],
        objectives=tuple(config.objectives),
        constraints=config.constraints,
    )


def executor_of(config: ExecutorConfig) -> Executor:
    """Where trainings run; nothing is started yet.

    Raises
    ------
    SpecError : Ray is asked for and not installed.
    """
    if isinstance(config, RayConfig):
        from codesign.executor.ray import RayExecutor

        return RayExecutor(config.workers, retries=config.retries, address=config.address, portable=config.portable)
    # Worker processes inherit a socket, which Windows does not know.
    if isinstance(config, SerialConfig) or (config.workers or cores()) == 1 or os.name != "posix":
        if config.portable and not pin_instruction_set():
            warnings.warn(
                "torch was loaded before the run and keeps its instruction set: another processor may give another "
                "run; take `executor: {workers: 2}`, or start Python afresh",
                stacklevel=2,
            )
        return SerialExecutor()
    from codesign.executor.process import ProcessExecutor

    return ProcessExecutor(config.workers or cores(), retries=config.retries, portable=config.portable)


def search_of(
    config: RunConfig, space: JointSpace, data: Dataset, store: RunStore, *, executor: Executor | None = None
) -> Search:
    """All parts of a run over its store."""
    from codesign.estimate.estimator import TrainingEstimator
    from codesign.estimate.train import training_key

    recipe, weights = config.slow.recipe, CarriedWeights()
    estimator = TrainingEstimator(data, recipe, weights, draws=config.slow.draws)

    def key(workload: Workload, fidelity: float, seed: int) -> str:
        return training_key(workload, data, recipe, fidelity, seed)

    objectives = tuple(config.objectives)
    return Search(
        space=space,
        strategy=_pair_strategy(config, space),
        fast=FastLevel(
            space,
            RUNTIMES[config.runtime],
            objectives=objectives,
            constraints=config.constraints,
            aggressive=config.fast.pruning == "aggressive",
        ),
        slow=SlowLevel(
            space.architecture,
            estimator,
            store,
            fidelity=config.slow.fidelity,
            seed=config.seed,
            trainings=Trainings(key, weights),
            executor=executor or executor_of(config.executor),
        ),
        archive=Archive(space, objectives, least_accuracy=config.least_accuracy),
        budget=Budget(
            generations=config.generations,
            pairs=config.fast.pairs,
            trainings=config.slow.trainings,
            classes=config.slow.classes,
            audits=config.fast.audits,
            selection=config.slow.selection,
        ),
        seed=config.seed,
    )


def _bases(hardware: HardwareSpace) -> dict[str, Any]:
    """Knobs that are not searched: of the device, or of each one by name."""
    if list(hardware.bases) == [""]:
        return hardware.base.model_dump(mode="json")
    return {name: spec.model_dump(mode="json") for name, spec in hardware.bases.items()}


def check_metrics(config: RunConfig, model: CostModel) -> None:
    """Objectives and constraints must be costs that the family answers.

    Raises
    ------
    SpecError : an unknown metric, with the nearest match.
    """
    known = (*(metric.name for metric in model.metrics), *NETWORK_METRICS)
    for key, names in (("objectives", config.objectives), ("constraints", list(config.constraints))):
        for name in names:
            if name not in known:
                raise SpecError.unknown(key, name, known)


def manifest(config: RunConfig, data: Dataset, space: JointSpace) -> Mapping[str, Any]:
    """What a run depends on, for its manifest; where its trainings run is told apart, and binds nobody."""
    packages = ("codesign", "numpy", "numba", "torch", "scikit-learn", "pymoo")
    return {
        "config": config.model_dump(mode="json", exclude={"executor"}),
        "executor": config.executor.model_dump(mode="json"),
        "seed": config.seed,
        "data": data.fingerprint,
        "space": space.architecture.fingerprint,
        "space_size": space.size,
        "family": space.hardware.model.name,
        "model_version": space.hardware.model.model_version,
        "device": _bases(space.hardware),
        "versions": {name: version(name) for name in packages},
    }
