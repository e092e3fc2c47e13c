"""`hybrid` part by part: base, progressive, multi-objective, hardware-aware, each with and without gradients.

    python benchmarks/tables/hybrid.py [--reference FOLDER] [--seeds 24] [--keep FILE.jsonl]

Writes `benchmarks/results/hybrid.md`. Two grounds:

Cells: the published CIFAR-10 accuracies of NAS-Bench-201, read from the reference folder, with costs of a Raspberry Pi
4 and of a T4 at float32. All is looked up. These cells have no stages: everything is open.

Stages: chains of the `progressive` space, trained on noisy digits, with costs of a Raspberry Pi 4. A network is trained
once for all arms and seeds, and kept in the file of `--keep`, with which the script goes on where it was stopped.

On both a strategy proposes a batch, is told errors and costs of all of it, and proposes the next; a network that is
proposed again is paid again. `base` ranks by the error alone; `multi-objective` adds the costs macs and parameters,
which no hardware enters; `hardware-aware` has latency and energy of the device in their place. All are scored alike:
best accuracy, share of the hypervolume of (error, latency, energy) in the box of the front (the true one of cells; of
chains that of all that any arm trained), and the best accuracy within a latency limit, the median latency of that
front; where nothing is within the limit, that of guessing one of ten classes.

`no gradients` has mutants in place of refined points; `model alone` keeps the model and its scalarised worth, but looks
at as many mutants of each start as a climb meets points, so that what is left of the gain is the gradient's.

How good a proposed child is: whether no pair that was known before dominates or equals it, by the run's objectives.
Settings of `hybrid` are its defaults; of those, the share of refined points and the random beginning were chosen on the
shipped table of digits with a Raspberry Pi 4, seeds 100 to 119, nothing on what is reported here. Chains are searched
with few trainings, so that populations and stages are smaller (SMALL), set beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hybrid_arms import (
    SCORED,
    SOFTWARE,
    Arm,
    Found,
    Ground,
    child_lines,
    front_of,
    interval,
    score_lines,
    scores_of,
    searched,
)
from work_file import finished

from codesign.data import load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.published_cells import CELLS_FILE
from codesign.estimate.recipe import Recipe
from codesign.estimate.table import read_nasbench201
from codesign.space.base import Genotypes
from codesign.space.progressive import ProgressiveSpace
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

RESULT = Path(__file__).parents[1] / "results" / "hybrid.md"
FLOAT32 = Precision(32, 32)
DEVICES = ("rpi4", "t4")
BUDGETS, BATCH = (50, 100, 200), 10
STAGE_BUDGET, STAGE_BATCH, STAGE_DEVICE = 48, 4, "rpi4"
RECIPE = Recipe(epochs=6, batch_size=50, learning_rate=0.02)  # that of the shipped table of cells of digits
SMALL: Mapping[str, Any] = {"population": 16, "initial": 12, "stage_estimates": 16}


def hybrid(costs: tuple[str, ...] | None, **settings: Any) -> Arm:
    """An arm of ours; without costs the error alone ranks."""
    return Arm({"name": "hybrid", "multi_objective": costs is not None, **settings}, costs or SCORED)


PLAIN: Mapping[str, Any] = {"refined": 0}
CELL_ARMS: Mapping[str, Arm] = {
    "random": Arm({"name": "random"}, SCORED),
    "evolution": Arm({"name": "evolution"}, SCORED),
    "nsga2": Arm({"name": "nsga2"}, SCORED),
    "base, no gradients": hybrid(None, **PLAIN),
    "base": hybrid(None),
    "+ multi-objective, no gradients": hybrid(SOFTWARE, **PLAIN),
    "+ multi-objective": hybrid(SOFTWARE),
    "+ hardware-aware, no gradients": hybrid(SCORED, **PLAIN),
    "+ hardware-aware": hybrid(SCORED),
}
ALONE_ARMS: Mapping[str, Arm] = {
    "base, model alone": hybrid(None)._replace(ascends=False),
    "base": hybrid(None),
    "+ hardware-aware, model alone": hybrid(SCORED)._replace(ascends=False),
    "+ hardware-aware": hybrid(SCORED),
}
STAGE_ARMS: Mapping[str, Arm] = {
    "random": Arm({"name": "random"}, SCORED),
    "evolution": Arm({"name": "evolution", "population": SMALL["population"]}, SCORED),
    "nsga2": Arm({"name": "nsga2", "population": SMALL["population"]}, SCORED),
    "base": hybrid(None, **SMALL),
    "+ progressive": hybrid(None, **SMALL, progressive=True),
    "+ multi-objective": hybrid(SOFTWARE, **SMALL, progressive=True),
    "+ hardware-aware": hybrid(SCORED, **SMALL, progressive=True),
}
# Cells: all is looked up.


class Cells:
    """The published cells and their accuracies."""

    def __init__(self, reference: Path) -> None:
        table = read_nasbench201(reference / CELLS_FILE)
        self.networks: Any = table.space.at(FLOAT32)  # type: ignore[union-attr]
        self.table = replace(table, space=self.networks)
        self.everything = np.stack([self.networks.genotype_of(int(cell)) for cell in table.cells])
        self.accuracy = table.accuracy(FLOAT)

    def on(self, name: str) -> Ground:
        ground = Ground(self.networks, name, lambda points: 1.0 - self.accuracy[self.table.rows(points)])
        for costs in (SCORED, SOFTWARE):
            ground.costs(costs, self.everything)
        return ground


def cells(known: Cells, seeds: int) -> Iterator[str]:
    yield f"## Cells of NAS-Bench-201: {len(known.everything)} networks, {seeds} seeds, batches of {BATCH}\n"
    anywhere: dict[str, list[Found]] = {}
    for name in DEVICES:
        ground = known.on(name)
        front, limit = front_of(ground.points(known.everything))
        yield f"### {name}: {len(front.points)} networks on the true front, limit {1e3 * limit:.3g} ms\n"
        runs: dict[str, list[Found]] = {}
        for arm, spec in CELL_ARMS.items():
            if arm in anywhere:
                runs[arm] = [one._replace(points=ground.points(one.genotypes)) for one in anywhere[arm]]
                continue
            runs[arm] = _runs(ground, spec, seeds)
            if _is_deviceless(spec):
                anywhere[arm] = runs[arm]
        yield from score_lines(scores_of(runs, BUDGETS, front, limit))
        yield from child_lines(runs)


def alone(known: Cells, seeds: int) -> Iterator[str]:
    """What is left of the gain without the gradient, on the first device."""
    ground = known.on(DEVICES[0])
    front, limit = front_of(ground.points(known.everything))
    yield f"## The model without its gradient: cells on {DEVICES[0]}, {seeds} seeds\n"
    runs = {arm: _runs(ground, spec, seeds) for arm, spec in ALONE_ARMS.items()}
    yield from score_lines(scores_of(runs, BUDGETS, front, limit))
    yield from child_lines(runs)


def _runs(ground: Ground, spec: Arm, seeds: int) -> list[Found]:
    found = [searched(ground, spec, seed, max(BUDGETS), BATCH) for seed in range(seeds)]
    print(f"{dict(spec.section)} {spec.costs}", flush=True)
    return found


def _is_deviceless(arm: Arm) -> bool:
    """Whether no cost of a device enters: such a search is the same on every device, and only scored anew."""
    return arm.costs == SOFTWARE or arm.section.get("multi_objective") is False or arm.section["name"] == "random"


# Stages: trained once, kept.


class Trained:
    """Errors of chains on noisy digits, each trained once; kept line by line in a file where one is given."""

    def __init__(self, keep: Path | None) -> None:
        from codesign.estimate.estimator import TrainingEstimator

        self.data = load("noisy-digits")
        self.space = ProgressiveSpace(
            3, channels=(4, 8), blocks=2, input_shape=self.data.shape, classes=self.data.classes, precision=FLOAT32
        )
        self.keep, self.estimator = keep, TrainingEstimator(self.data, RECIPE, MemoryWeights())
        self.known: dict[tuple[int, ...], tuple[float, float]] = {}
        if keep is not None:
            lines = finished(keep)
            keep.write_text("".join(json.dumps(line) + "\n" for line in lines))
            self.known = {tuple(line["genotype"]): (line["error"], line["test"]) for line in lines}

    def __call__(self, points: Genotypes) -> F64:
        """Validation errors (P,)."""
        keys = [tuple(row) for row in self.space.canonical(points).tolist()]
        return np.array([self._trained(key)[0] for key in keys])

    def test(self, point: npt.NDArray[np.int64]) -> float:
        """Test accuracy of one network, in percent."""
        return 100 * self._trained(tuple(self.space.canonical(point[None])[0].tolist()))[1]

    def _trained(self, key: tuple[int, ...]) -> tuple[float, float]:
        if key not in self.known:
            estimate = self.estimator(self.space.workload(np.array(key)), FLOAT)
            self.estimator.weights = MemoryWeights()
            self.known[key] = estimate.error, estimate.accuracy_test
            if self.keep is not None:
                line = {"genotype": key, "error": estimate.error, "test": estimate.accuracy_test}
                with self.keep.open("a") as stream:
                    stream.write(json.dumps(line) + "\n")
        return self.known[key]


def stages(keep: Path | None, seeds: int) -> Iterator[str]:
    trained = Trained(keep)
    ground = Ground(trained.space, STAGE_DEVICE, trained)
    runs: dict[str, list[Found]] = {arm: [] for arm in STAGE_ARMS}
    for seed in range(seeds):
        for arm, spec in STAGE_ARMS.items():
            runs[arm].append(searched(ground, spec, seed, STAGE_BUDGET, STAGE_BATCH))
            print(f"stages: seed {seed}: {arm}: {len(trained.known)} networks trained", flush=True)
    everything = np.concatenate([one.points for found in runs.values() for one in found])
    front, limit = front_of(everything)
    yield f"## Chains that open in stages: {seeds} seeds, batches of {STAGE_BATCH}\n"
    networks = np.unique(
        trained.space.canonical(np.concatenate([one.genotypes for found in runs.values() for one in found])), axis=0
    )
    yield (
        f"{len(networks)} networks trained on {trained.data.name}, {RECIPE.epochs} epochs, one training each; "
        f"{trained.space.size} points in the space. Accuracies are those on validation, which the searches see. "
        f"{STAGE_DEVICE}: limit {1e6 * limit:.3g} µs.\n"
    )
    budgets = (STAGE_BUDGET // 2, STAGE_BUDGET)
    yield from score_lines(scores_of(runs, budgets, front, limit))
    yield "| arm | test accuracy of the best on validation (%) |"
    yield "| --- | --- |"
    for arm, found in runs.items():
        best = np.array([trained.test(one.genotypes[one.points[:, 0].argmin()]) for one in found])
        yield f"| {arm} | {interval(best, 2)} |"
    yield ""
    yield from child_lines(runs)


HEAD = """# `hybrid`, part by part

Written by `python benchmarks/tables/hybrid.py`, which says what is compared. Means with half of their 95 % interval
(Student); gains are paired, seed by seed. `refined` and `mutants`: share of the proposed children that nothing known
before dominates or equals, by the objectives of the run, from the first batch with gradients on.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--stage-seeds", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="trainings of chains, a line each")
    parser.add_argument("--alone-seeds", type=int, default=10)
    parts = ["cells", "alone", "stages", "all"]
    parser.add_argument("--part", choices=parts, default="all", help="one part alone is printed, not written")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.reference is None and options.part != "stages":
        parser.error("--reference or $CODESIGN_REFERENCE: the folder with the published accuracies")
    lines = [HEAD]
    known = Cells(Path(options.reference)) if options.part != "stages" else None
    if known is not None and options.part != "alone":
        lines += cells(known, options.seeds)
    if known is not None and options.part != "cells":
        lines += alone(known, options.alone_seeds)
    if options.part in ("stages", "all"):
        lines += stages(options.keep, options.stage_seeds)
    if options.part == "all":
        options.output.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
