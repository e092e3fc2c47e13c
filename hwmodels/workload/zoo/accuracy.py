"""Published accuracies of the zoo's networks: `accuracies.csv`, one row for each source, never a number without one.

Sources: the metadata of torchvision's weights (BSD), timm's results tables (Apache-2.0), papers. An accuracy is that of
the network at the zoo's own input, on the validation or test set of its data; where timm names several weights of a
network the best of them counts, pretraining on more data included, as the source says. Networks of which no accuracy
is published have no row. Not modelled: what quantisation or noise take away.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from hwmodels.errors import SpecError

__all__ = ["Accuracy", "accuracies", "datasets", "published_accuracy"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One published accuracy.

    network : its name in the zoo.
    top1_percent, top5_percent : of the data's validation or test images, 0 to 100; None where not published.
    dataset : ImageNet-1k, CIFAR-10 or MNIST.
    input : of one item, as 3x224x224.
    source : paper and table, or the weights that were measured.
    """

    network: str
    top1_percent: float
    top5_percent: float | None
    dataset: str
    input: str
    source: str


@cache
def _by_network() -> dict[str, tuple[Accuracy, ...]]:
    text = (files("hwmodels") / "workload" / "zoo" / "accuracies.csv").read_text(encoding="utf-8")
    found: dict[str, list[Accuracy]] = {}
    for row in csv.DictReader(text.splitlines()):
        top5 = float(row["top5_percent"]) if row["top5_percent"] else None
        accuracy = Accuracy(
            row["network"], float(row["top1_percent"]), top5, row["dataset"], row["input"], row["source"]
        )
        found.setdefault(accuracy.network, []).append(accuracy)
    return {name: tuple(sorted(rows, key=lambda row: -row.top1_percent)) for name, rows in found.items()}


def accuracies(network: str) -> tuple[Accuracy, ...]:
    """Every published accuracy of a network, the best first; empty where there is none.

    >>> [accuracy.source for accuracy in accuracies("squeezenet1_0")]
    ['torchvision weights metadata, IMAGENET1K_V1']
    """
    return _by_network().get(network, ())


def datasets() -> tuple[str, ...]:
    """The data sets that accuracies are published on, the one with the most networks first."""
    counts: dict[str, int] = {}
    for rows in _by_network().values():
        for dataset in {row.dataset for row in rows}:
            counts[dataset] = counts.get(dataset, 0) + 1
    return tuple(sorted(counts, key=lambda dataset: (-counts[dataset], dataset)))


def published_accuracy(network: str, *, dataset: str | None = None) -> Accuracy | None:
    """The best published accuracy of a network on a data set, or on the one that it is published on.

    Raises
    ------
    SpecError : an unknown data set, with the nearest match.

    Examples
    --------
    >>> published_accuracy("squeezenet1_0").top1_percent
    58.092
    >>> published_accuracy("gpt2") is None
    True
    """
    if dataset is not None and dataset not in datasets():
        raise SpecError.unknown("dataset", dataset, datasets())
    return next((row for row in accuracies(network) if dataset in (None, row.dataset)), None)
