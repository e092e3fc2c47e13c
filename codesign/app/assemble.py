"""Configuration to running parts: spaces, strategies, estimators and executors by their registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal

from codesign.app.config import DataConfig, HardwareConfig, RunConfig
from codesign.app.provenance import host
from codesign.app.warm_start import checked_points
from codesign.data import Dataset
from codesign.estimate.base import Estimator, effort_of
from codesign.executor.base import Executor
from codesign.objectives import Limit, limits_of, objectives_of
from codesign.report.search_cost import check_host
from codesign.space.architecture import ArchitectureSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.space.mixed_bits import MixedBitsSpace
from codesign.space.recipe_choices import RecipeChoicesSpace
from codesign.strategy.base import Blobs, Problem, Selecting
from codesign.two_level.archive import Archive
from codesign.two_level.budget import Budget
from codesign.two_level.cost_access import PairCostAccess
from codesign.two_level.fast import FastLevel
from codesign.two_level.loop import Search
from codesign.two_level.slow import SlowLevel
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel
from hwmodels.families.none import NO_HARDWARE, NoHardware
from hwmodels.rate import at_rate
from hwmodels.workload.rewrite import RUNTIMES

__all__ = [
    "archive_of",
    "check_metrics",
    "cost_constraints",
    "dataset_of",
    "executor_of",
    "hardware_space",
    "joint_space",
    "least_accuracy",
    "manifest",
    "problem_of",
    "search_of",
    "task_limits",
]


_BY_RECIPE = ("predictor", "training")
"""Estimators that train each network by its own recipe, or such ones beneath a model."""


def dataset_of(config: DataConfig) -> Dataset:
    """The images of a run."""
    from codesign.data import load

    return load(config.name, config.root, **config.model_dump(exclude={"name", "root"}))


def joint_space(config: RunConfig, data: Dataset) -> JointSpace:
    """Networks for this data on the hardware of this configuration.

    Raises
    ------
    SpecError : an unknown device, knob, value or metric.
    """
    hardware = hardware_space(config.hardware, rate_hz=config.rate_hz)
    check_metrics(config, hardware.model)
    if config.host is not None:
        check_host(config.host)
    networks: ArchitectureSpace = config.architecture.make(data)
    specs = list(hardware.bases.values())
    if config.mixed_bits is not None:
        networks = MixedBitsSpace(networks, choices=config.mixed_bits.choices, groups=config.mixed_bits.groups)
    if config.recipe_choices is not None:
        if config.estimator.name not in _BY_RECIPE:
            raise SpecError(
                "recipe_choices", config.estimator.name, "for an estimator that trains each network: training"
            )
        networks = RecipeChoicesSpace(networks, config.recipe_choices.choices())
    return JointSpace(networks.computed_on(specs).at_batch(config.batch), hardware)


def hardware_space(config: HardwareConfig | None, *, rate_hz: float | None = None) -> HardwareSpace:
    """The device of a run, or a choice of several of one family, with the knobs to search; or no hardware.

    rate_hz : items a second that arrive, see `hwmodels.rate`.

    Raises
    ------
    SpecError : an unknown device, knob or value, a device named twice, or devices of several families.
    """
    if config is None:
        return HardwareSpace(at_rate(NO_HARDWARE, rate_hz), NoHardware(), {})
    if isinstance(config.device, str):
        chosen = device(config.device)
        return HardwareSpace(at_rate(chosen.model, rate_hz), chosen.spec, config.knobs)
    devices = [device(name) for name in config.device]
    first, bases = devices[0], {found.name: found.spec for found in devices}
    for found in devices:
        if found.model.name != first.model.name:
            raise SpecError("hardware.device", found.name, f"of the family {first.model.name}, as {first.name}")
    if len(bases) < len(devices):
        raise SpecError("hardware.device", [found.name for found in devices], "a list without repeats")
    return HardwareSpace(at_rate(first.model, rate_hz), bases, config.knobs)


def _search(config: RunConfig) -> Literal["joint", "inner", "front"]:
    """How designs are searched; without hardware a pair is a network."""
    return "joint" if config.hardware is None else config.hardware.search


def problem_of(config: RunConfig, space: JointSpace, data: Dataset, blobs: Blobs) -> Problem:
    """What the strategy and the estimator of a run are made for."""
    objectives = tuple(config.objectives)
    return Problem(
        space=space if _search(config) == "joint" else space.architecture,
        joint=space,
        objectives=objectives,
        costs=PairCostAccess(space, RUNTIMES[config.runtime], objectives),
        data=data,
        blobs=blobs,
        seed=config.seed,
    )


def executor_of(config: RunConfig) -> Executor:
    """Where trainings run; nothing is started yet.

    Raises
    ------
    SpecError : Ray is asked for and not installed.
    """
    executor: Executor = config.executor.make(None)
    return executor


def cost_constraints(config: RunConfig, model: CostModel) -> dict[str, float | str]:
    """Those constraints of a run that are on costs."""
    return {name: bound for name, bound in config.constraints.items() if name in model.names}


def task_limits(config: RunConfig, model: CostModel) -> tuple[Limit, ...]:
    """Limits on the task's metrics: constraints on what is no cost, which say <= or >=, and `least_accuracy`.

    Raises
    ------
    SpecError : a constraint that names no cost and says no direction: a cost, misspelt.
    """
    found = [Limit("accuracy", config.least_accuracy, least=True)] if config.least_accuracy else []
    for name, bound in config.constraints.items():
        if name in model.names:
            continue
        text = str(bound)
        if text[:2] not in ("<=", ">="):
            raise SpecError.unknown("constraints", name, (*model.names, "accuracy: '>= 0.9'"))
        found.append(Limit(name, float(text[2:]), least=text[:2] == ">="))
    return tuple(found)


def least_accuracy(limits: Sequence[Limit]) -> float:
    """The accuracy that a pair of the front has at least; 0 where nothing is said."""
    return max((limit.bound for limit in limits if limit.least and limit.metric == "accuracy"), default=0.0)


def archive_of(config: RunConfig, space: JointSpace) -> Archive:
    """The archive of a run, empty; where limits on costs close slowly, it holds pairs to the last ones."""
    model = space.hardware.model
    limits = limits_of(model, cost_constraints(config, model)) if config.tightening else ()
    return Archive(space, tuple(config.objectives), limits=task_limits(config, model), cost_limits=limits)


def search_of(
    config: RunConfig, space: JointSpace, data: Dataset, blobs: Blobs, *, executor: Executor | None = None
) -> Search:
    """All parts of a run.

    Raises
    ------
    SpecError : parts that do not fit each other, as a table of other networks than those of the run.
    """
    model = space.hardware.model
    problem = problem_of(config, space, data, blobs)
    strategy, estimator = config.strategy.make(problem), config.estimator.make(problem)
    fast = FastLevel(
        space,
        RUNTIMES[config.runtime],
        objectives=tuple(config.objectives),
        constraints=cost_constraints(config, model),
        tightening={name: float(start) for name, start in config.tightening.items()},
        hardware=_search(config),
        aggressive=config.fast.pruning == "aggressive",
        cost_alone=not estimator.metrics,
    )
    limits = task_limits(config, model)
    if config.slow.selection == "strategy" and not isinstance(strategy, Selecting):
        raise SpecError("slow.selection: strategy", config.strategy.name, "a strategy with a method `select`")
    for limit in limits:
        if limit.metric not in estimator.metrics:
            raise SpecError.unknown("constraints", limit.metric, (*estimator.metrics, *model.names))
    return Search(
        space=space,
        strategy=strategy,
        fast=fast,
        slow=SlowLevel(
            space.architecture,
            estimator,
            fidelity=config.slow.fidelity,
            seed=config.seed,
            executor=executor or executor_of(config),
        ),
        archive=archive_of(config, space),
        budget=Budget(
            generations=config.generations,
            pairs=config.fast.pairs,
            trainings=config.slow.trainings,
            classes=config.slow.classes,
            audits=config.fast.audits,
            selection=_selection(config, estimator),
            enough=config.enough,
        ),
        seed=config.seed,
        first=checked_points(config, space),
    )


def _selection(config: RunConfig, estimator: Estimator) -> str:
    """How networks are chosen: all of them where an estimate costs nothing, unless the strategy is to choose."""
    is_free = effort_of(estimator) == "nothing" and config.slow.selection != "strategy"
    return "all" if is_free else config.slow.selection


def _bases(hardware: HardwareSpace) -> dict[str, Any]:
    """Knobs that are not searched: of the device, or of each one by name."""
    if list(hardware.bases) == [""]:
        return hardware.base.model_dump(mode="json")
    return {name: spec.model_dump(mode="json") for name, spec in hardware.bases.items()}


def check_metrics(config: RunConfig, model: CostModel) -> None:
    """Objectives and constraints must be costs that the family answers, objectives those with a direction.

    Raises
    ------
    SpecError : an unknown metric (with the nearest match), an objective without a direction, a bound that is none.
    """
    objectives_of(model, config.objectives)
    limits_of(model, cost_constraints(config, model))
    task_limits(config, model)


def manifest(config: RunConfig, data: Dataset, space: JointSpace) -> Mapping[str, Any]:
    """What a run depends on, for its manifest; where its trainings run is told apart, and binds nobody."""
    packages = ("codesign", "numpy", "numba", "torch", "scikit-learn", "pymoo")
    return {
        "config": config.model_dump(mode="json", exclude={"executor"}),
        "executor": config.executor.section(),
        "seed": config.seed,
        "data": data.fingerprint,
        "space": space.architecture.fingerprint,
        "space_size": space.size,
        "family": space.hardware.model.name,
        "model_version": space.hardware.model.model_version,
        "device": _bases(space.hardware),
        "versions": {name: version(name) for name in packages},
        "host": host(),
    }
