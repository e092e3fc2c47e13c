"""A toy search: real spaces and cost models, and an accuracy that is a formula instead of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from codesign.estimate.base import Estimate
from codesign.objectives import Limit
from codesign.space.chain import ChainSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.strategy.base import Blobs, Problem, Strategy
from codesign.strategy.evolution import RegularisedEvolution
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.random import RandomSearch
from codesign.testing.strategy import MemoryBlobs
from codesign.two_level.archive import Archive
from codesign.two_level.budget import Budget
from codesign.two_level.cost_access import PairCostAccess
from codesign.two_level.fast import FastLevel
from codesign.two_level.loop import Search
from codesign.two_level.slow import SlowLevel
from hwmodels.catalog import device
from hwmodels.workload.rewrite import COMPILED


class FormulaEstimator:
    """Accuracy rises with MACs and ADC bits, with a fixed pseudo-random part for each network."""

    def __init__(self, *, fail_after: int | None = None) -> None:
        self.calls, self.fail_after = 0, fail_after

    metrics = {"accuracy": "more", "accuracy_test": "neither"}  # noqa: RUF012

    def key(self, request):
        _, workload, numerics, fidelity, seed, *_ = request
        shape = [str(node.operator) for node in workload]
        return hashlib.sha256(json.dumps([shape, list(numerics), fidelity, seed]).encode()).hexdigest()

    def estimate(self, requests):
        for position, request in enumerate(requests):
            yield position, self.one(request)

    def one(self, request):
        self.calls += 1
        if self.fail_after is not None and self.calls > self.fail_after:
            raise KeyboardInterrupt
        key, (_, workload, numerics, fidelity, *_) = self.key(request), request
        noise = int(key[:8], 16) / 2**32
        size = workload.macs / (workload.macs + 2e5)
        accuracy = round(0.3 + 0.5 * size + 0.02 * min(numerics.adc_bits, 7) + 0.05 * noise, 6)
        return Estimate.of_accuracy(
            accuracy, accuracy - 0.01, spread=0.0, draws=(accuracy,), fidelity=fidelity, key=key
        )


STRATEGIES = {
    "random": lambda problem: RandomSearch(problem.space),
    "evolution": lambda problem: RegularisedEvolution(problem.space, population=20, sample=5),
    "nsga2": lambda problem: NSGA2(problem.space, population=16),
}
OBJECTIVES = ("energy_j", "latency_s", "area_mm2")


def toy_space() -> JointSpace:
    chip = device("rram_edge")
    knobs = {"array_rows": [32, 64, 128], "adc_bits": [4, 6, 8], "tiles": [1, 2, 8], "columns_per_adc": [4, 16]}
    networks = ChainSpace(
        stages=2, kernel=(1, 3), width=(8, 16), depth=(1, 2), stride=(1, 2), bits=(8,), input_shape=(1, 8, 8)
    )
    # Four arrays a tile: the larger networks do not fit the smaller chips.
    base = chip.spec.model_copy(update={"imas_per_tile": 1, "arrays_per_ima": 4})
    return JointSpace(networks, HardwareSpace(chip.model, base, knobs))


def toy_search(
    *,
    strategy: str | Callable[[Problem], Strategy] = "nsga2",
    blobs: Blobs | None = None,
    estimator: FormulaEstimator | None = None,
    constraints: dict[str, float] | None = None,
    least_accuracy: float = 0.0,
    generations: int = 4,
    pairs: int = 400,
    aggressive: bool = False,
    selection: str = "stratified",
    trainings: int = 3,
    classes: int = 3,
) -> Search:
    space = toy_space()
    costs = PairCostAccess(space, COMPILED, OBJECTIVES)
    problem = Problem(space, space, OBJECTIVES, costs, None, blobs or MemoryBlobs(), 3)
    limits = (Limit("accuracy", least_accuracy, least=True),) if least_accuracy else ()
    return Search(
        space=space,
        strategy=(STRATEGIES[strategy] if isinstance(strategy, str) else strategy)(problem),
        fast=FastLevel(space, COMPILED, objectives=OBJECTIVES, constraints=constraints or {}, aggressive=aggressive),
        slow=SlowLevel(space.architecture, estimator or FormulaEstimator(), fidelity=1.0, seed=3),
        archive=Archive(space, OBJECTIVES, limits=limits),
        budget=Budget(
            generations=generations,
            pairs=pairs,
            trainings=trainings,
            classes=classes,
            audits=2 if aggressive else 0,
            selection=selection,
        ),
        seed=3,
    )


SMALL_RUN = {
    "generations": 2,
    "architecture": {"space": "chain", "stages": 1, "width": [4, 8], "kernel": [1, 3], "bits": [8]},
    "hardware": {"device": "rram_edge", "knobs": {"adc_bits": [5, 7]}},
    "objectives": ["energy_j"],
    "fast": {"pairs": 20},
    "slow": {"trainings": 1, "classes": 1},
    "estimator": {"draws": 1, "recipe": {"epochs": 1, "batch_size": 256}},
    "executor": {"name": "serial", "portable": False},
}
"""A configuration whose search takes seconds: two generations of a chain on a crossbar."""
