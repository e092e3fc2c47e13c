"""Learning curves of our own: validation errors after every epoch of 560 trainings on noisy and on clean digits.

    python benchmarks/tables/digits_curves.py

Writes `codesign/estimate/tables/digits-curves.csv`, a row a training: data, kind and genotype of the network, whether
`codesign.estimate.learning_curve` is taught by it or it is held out, and how many of the validation images were told
wrong after each epoch, float32. Networks alternate between the cells of `digits-cells` and chains of convolutions, no
two of one data set equal. On noisy digits all have 40 epochs of the recipe of `digits-cells`, on clean ones 8, 16 and
32 epochs in turn of the default recipe. Seed 0 throughout. Rows that are there already are kept, so that the command
can be interrupted.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from codesign.data import Dataset, load
from codesign.estimate.ensemble import accuracy_of
from codesign.estimate.recipe import Recipe
from codesign.estimate.table import DIGITS_CELLS
from codesign.estimate.train import train
from codesign.network.module import Network
from codesign.space.chain import ChainSpace
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

RESULT = Path(__file__).parents[2] / "codesign" / "estimate" / "tables" / "digits-curves.csv"
HEADER = ("data", "kind", "network", "part", "wrong")
NOISY, CLEAN = (300, 80), (100, 80)  # trainings that teach, and that are held out
_POINTS = 1200  # chains that are drawn


class Drawn(NamedTuple):
    """A training: where it belongs, its network and its recipe."""

    data: str
    kind: str
    name: str
    part: str
    workload: Workload
    recipe: Recipe


def trainings() -> Iterator[Drawn]:
    """Those that teach on noisy, then on clean digits; then those that are held out."""
    precision = Precision(32, 32)
    cells = DIGITS_CELLS.space(precision)
    chains = ChainSpace(
        stages=3, kernel=(1, 3, 5), width=(4, 6, 8), depth=(1, 2), stride=(1, 2), bits=(32,), input_shape=(1, 8, 8)
    )
    rng = np.random.default_rng(0)
    numbers = rng.permutation(cells.representatives)
    points = np.unique(chains.sample(_POINTS, rng), axis=0)
    points = points[rng.permutation(len(points))]

    def drawn(data: str, i: int, part: str) -> Drawn:
        at = i // 2 if data == "noisy-digits" else -1 - i // 2
        space, genotype = (cells, cells.genotype_of(int(numbers[at]))) if i % 2 == 0 else (chains, points[at])
        noisy = DIGITS_CELLS.recipe.model_copy(update={"epochs": 40})
        recipe = noisy if data == "noisy-digits" else Recipe(epochs=(8, 16, 32)[i % 3])
        name, kind = "-".join(map(str, genotype.tolist())), "cell" if i % 2 == 0 else "chain"
        return Drawn(data, kind, name, part, prune_dead_branches(space.workload(genotype)), recipe)

    for part, bounds in (("taught", (0, 1)), ("held out", (1, 2))):
        for data, counts in (("noisy-digits", NOISY), ("digits", CLEAN)):
            start, end = (sum(counts[:bound]) for bound in bounds)
            yield from (drawn(data, i, part) for i in range(start, end))


def curve_of(training: Drawn, dataset: Dataset) -> list[int]:
    """How many validation images are told wrong after each epoch."""
    images, labels = torch.from_numpy(dataset.validation.images), dataset.validation.labels
    wrong: list[int] = []

    def note(epochs: int, network: Network) -> bool:
        wrong.append(round((1.0 - accuracy_of(network(images).numpy()[None], labels)) * len(labels)))
        return False

    train(training.workload, dataset, training.recipe, 0, watch=note)
    return wrong


def main() -> None:
    there = list(csv.reader(RESULT.open(encoding="utf-8"))) if RESULT.exists() else []
    known = {tuple(row[:3]) for row in there[1:]}
    datasets = {name: load(name) for name in ("noisy-digits", "digits")}
    with RESULT.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if not there:
            writer.writerow(HEADER)
        for count, training in enumerate(trainings(), start=1):
            if (training.data, training.kind, training.name) in known:
                continue
            wrong = curve_of(training, datasets[training.data])
            row = (training.data, training.kind, training.name, training.part)
            writer.writerow([*row, " ".join(map(str, wrong))])
            stream.flush()
            print(f"{count} of {sum(NOISY) + sum(CLEAN)}", flush=True)


if __name__ == "__main__":
    main()
