"""Learning curves of our own: validation error after every epoch of 300 trainings on noisy digits.

    python benchmarks/tables/digits_curves.py [--networks 300]

Writes `benchmarks/results/digits_curves.csv`, a row a training: its kind and network, then the share told wrong of the
599 validation images after each epoch, float32. Networks alternate between the cells of `digits-cells` and chains of
convolutions, each drawn once; seed 0, 40 epochs, otherwise the recipe of `digits-cells`. A row that is there already
is kept, so that the command can be interrupted.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from codesign.data import Dataset, load
from codesign.estimate.divergence import share_right
from codesign.estimate.table import DIGITS_CELLS
from codesign.estimate.train import train
from codesign.network.module import Network
from codesign.space.chain import ChainSpace
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

RESULT = Path(__file__).parents[1] / "results" / "digits_curves.csv"
RECIPE = DIGITS_CELLS.recipe.model_copy(update={"epochs": 40})


class Drawn(NamedTuple):
    """A network of one of the two spaces."""

    kind: str
    name: str
    workload: Workload


def networks(count: int) -> Iterator[Drawn]:
    """Cells and chains in turn, each a network that no other one equals."""
    precision = Precision(32, 32)
    cells = DIGITS_CELLS.space(precision)
    chains = ChainSpace(
        stages=3, kernel=(1, 3, 5), width=(4, 6, 8), depth=(1, 2), stride=(1, 2), bits=(32,), input_shape=(1, 8, 8)
    )
    rng = np.random.default_rng(0)
    numbers = rng.permutation(cells.representatives)[: (count + 1) // 2]
    points = np.unique(chains.sample(4 * count, rng), axis=0)
    points = points[rng.permutation(len(points))[: count // 2]]
    for i in range(count):
        space, genotype = (cells, cells.genotype_of(int(numbers[i // 2]))) if i % 2 == 0 else (chains, points[i // 2])
        kind = "cell" if i % 2 == 0 else "chain"
        name = "-".join(map(str, genotype.tolist()))
        yield Drawn(kind, name, prune_dead_branches(space.workload(genotype)))


def curve_of(workload: Workload, dataset: Dataset) -> list[float]:
    """The share of validation images told wrong after each epoch."""
    images, labels = torch.from_numpy(dataset.validation.images), dataset.validation.labels
    errors: list[float] = []

    def note(epochs: int, network: Network) -> bool:
        errors.append(1.0 - share_right(network(images), labels))
        return False

    train(workload, dataset, RECIPE, 0, watch=note)
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=300)
    options = parser.parse_args()
    dataset = load(DIGITS_CELLS.dataset)
    there = list(csv.reader(RESULT.open())) if RESULT.exists() else []
    known = {(row[0], row[1]) for row in there[1:]}
    with RESULT.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if not there:
            writer.writerow(["kind", "network", *(f"error_{epoch + 1}" for epoch in range(RECIPE.epochs))])
        for count, drawn in enumerate(networks(options.networks)):
            if (drawn.kind, drawn.name) in known:
                continue
            writer.writerow([drawn.kind, drawn.name, *(f"{e:.5f}" for e in curve_of(drawn.workload, dataset))])
            stream.flush()
            print(f"{count + 1} of {options.networks}", flush=True)


if __name__ == "__main__":
    main()
