"""Networks that the examples' searches find, beside hand-made ones of the same size and guesses that need no network.

    python benchmarks/tables/tasks.py [--only text] [--runs FOLDER] [--seeds 3] [--set KEY=VALUE]

Writes `benchmarks/results/tasks.md`. Each example is searched in full, or read from `--runs` where it was before. Of a
run counts the network of the least error on validation. It and the hand-made one are trained anew by the same
estimator, recipe, arithmetic and seeds, of which the search saw none; so the choice of a lucky training is no part of
what is compared. Hand-made are the plain shapes of the literature, stated in `HAND_MADE` before any search, each as
wide as it takes to have no fewer parameters than the found network. The test split chooses nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

import codesign
from codesign.app.assemble import dataset_of, joint_space
from codesign.app.config import load_config
from codesign.data import Dataset, Part
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.space.architecture import ArchitectureSpace
from codesign.space.chain import ChainSpace
from codesign.space.recurrent import RecurrentSpace
from codesign.space.super_resolution import SuperResolutionSpace
from codesign.space.unet import UNetSpace
from codesign.task import SuperResolution, on_test
from hwmodels.families.spec import numerics_of
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

RESULT = Path(__file__).parents[1] / "results" / "tasks.md"
EXAMPLES = Path(__file__).parents[2] / "examples"

Guess = tuple[str, dict[str, float], dict[str, float]]
"""What it is, and its metrics on validation and test."""


def _only(space: ArchitectureSpace) -> Workload:
    """The network of a space without decisions."""
    return space.workload(np.zeros(space.n_genes, np.int64))


def _lstm(data: Dataset, width: int) -> Workload:
    return _only(RecurrentSpace(cell=("lstm",), depth=(1,), width=(width,), directions=(1,), embedding=16,
                                input_shape=data.input_shape, classes=data.classes))  # fmt: skip


def _espcn(data: Dataset, width: int) -> Workload:
    return _only(SuperResolutionSpace(features=(2 * width,), first=(5,), shrunk=(width,), shrink=(3,), depth=(0,),
                                      activation="tanh", input_shape=data.shape))  # fmt: skip


def _unet(data: Dataset, width: int) -> Workload:
    return _only(UNetSpace(depth=(2,), width=(width,), convs=(2,), operator=("conv",), kernel=(3,), skip=("concat",),
                           upsampling=("transposed",), input_shape=data.shape, classes=data.classes))  # fmt: skip


def _dense(data: Dataset, width: int) -> Workload:
    return _only(ChainSpace(stages=2, kernel=(1,), width=(width,), depth=(1,), stride=(1,), bits=(8,),
                            input_shape=data.shape, classes=data.classes))  # fmt: skip


def _convolutions(data: Dataset, width: int) -> Workload:
    return _only(ChainSpace(stages=3, kernel=(3,), width=(width,), depth=(1,), stride=(2,), bits=(8,),
                            input_shape=data.shape, classes=data.classes))  # fmt: skip


def _no_images(data: Dataset) -> list[Guess]:
    """The class whose mean image is nearest."""
    pixels, labels = data.train.images.reshape(len(data.train.labels), -1), data.train.labels
    means = np.stack([pixels[labels == label].mean(axis=0) for label in range(data.classes)])
    flat = [part.images.reshape(len(part.labels), 1, -1) for part in _parts(data)[1:]]
    answers = [-np.square(images - means).sum(axis=2).astype(np.float32) for images in flat]
    return [("the nearest mean image", *_judged(data, answers))]


def _no_table(data: Dataset) -> list[Guess]:
    """Least squares on the training part."""
    features = [np.column_stack([np.ones(len(part.labels)), part.images[:, :, 0, 0]]) for part in _parts(data)]
    weights = np.linalg.lstsq(features[0], data.train.labels, rcond=None)[0]
    answers = [(rows @ weights).astype(np.float32)[:, None] for rows in features[1:]]
    return [("linear regression, float64", *_judged(data, answers))]


def _no_text(data: Dataset) -> list[Guess]:
    """Frequencies of the training text, each pair counted once more than it is there."""
    counts = np.ones((data.classes, data.classes))
    np.add.at(counts, (data.train.images.ravel(), data.train.labels.ravel()), 1)
    after = np.log(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    alone = np.log(counts.sum(axis=0) / counts.sum()).astype(np.float32)
    parts = _parts(data)[1:]
    return [
        (
            "frequencies of bytes",
            *_judged(data, [np.broadcast_to(alone, (*p.images.shape, alone.size)) for p in parts]),
        ),
        ("frequencies of pairs, 65,536 numbers", *_judged(data, [after[part.images] for part in parts])),
    ]


def _no_super_resolution(data: Dataset) -> list[Guess]:
    """Resampling, float32, patch by patch."""
    found = []
    for mode in ("bilinear", "bicubic"):
        assert isinstance(data.task, SuperResolution)
        larger = [
            F.interpolate(torch.from_numpy(part.images), scale_factor=data.task.factor, mode=mode).numpy()
            for part in _parts(data)[1:]
        ]
        found.append((f"{mode} resampling", *_judged(data, larger)))
    return found


def _no_segmentation(data: Dataset) -> list[Guess]:
    """The class that is most likely at each brightness, by the training part."""
    edges = np.quantile(data.train.images, np.linspace(0, 1, 65)[1:-1])
    counts = np.ones((64, data.classes))
    np.add.at(counts, (np.digitize(data.train.images[:, 0], edges).ravel(), data.train.labels.ravel()), 1)
    scores = np.log(counts).astype(np.float32)
    answers = [np.moveaxis(scores[np.digitize(part.images[:, 0], edges)], -1, 1) for part in _parts(data)[1:]]
    return [("the likeliest class of each brightness", *_judged(data, answers))]


def _parts(data: Dataset) -> tuple[Part, Part, Part]:
    return data.train, data.validation, data.test


def _judged(data: Dataset, answers: Sequence[Any]) -> tuple[dict[str, float], dict[str, float]]:
    """Metrics of answers on validation and test."""
    validation, test = (
        data.task.values(data.task.tally(outputs, part.labels))
        for outputs, part in zip(answers, _parts(data)[1:], strict=True)
    )
    return validation, test


class Case(NamedTuple):
    """An example: its file, the shape that is made by hand at a width, and what needs no network."""

    file: str
    shape: str
    by_hand: Callable[[Dataset, int], Workload]
    without: Callable[[Dataset], list[Guess]]


HAND_MADE = {
    "images": Case(
        "mnist5k_mobile_pi.yaml", "three 3x3 convolutions of one width, stride 2", _convolutions, _no_images
    ),
    "table": Case("diabetes_table.yaml", "two dense layers of one width", _dense, _no_table),
    "text": Case("text_microcontroller.yaml", "LSTM of one layer", _lstm, _no_text),
    "super-resolution": Case("super_resolution_phone.yaml", "ESPCN's shape", _espcn, _no_super_resolution),
    "segmentation": Case("tissue_segmentation.yaml", "U-Net's shape, two halvings", _unet, _no_segmentation),
}


def widened(case: Case, data: Dataset, parameters: int) -> Workload:
    """The hand-made network of the least width that has no fewer parameters."""
    width = next(width for width in range(1, 4096) if case.by_hand(data, width).parameters >= parameters)
    return case.by_hand(data, width)


def trained(estimator: TrainingEstimator, network: Workload, numerics: Any, seeds: int) -> dict[str, Any]:
    """The first metric on validation and test over seeds that no search uses."""
    first = next(iter(estimator.metrics))
    found = [estimator(prune_dead_branches(network), numerics, seed=10_000 + seed) for seed in range(seeds)]
    return {split: np.array([one.metrics[name] for one in found]) for split, name in
            (("validation", first), ("test", on_test(first)))}  # fmt: skip


def told(values: Any) -> str:
    """Mean and standard deviation of the sample."""
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def lines_of(name: str, case: Case, folder: Path, seeds: int, overrides: Sequence[str]) -> list[str]:
    """The table of one example."""
    start = time.perf_counter()
    config = load_config(EXAMPLES / case.file, overrides)
    was_there = (folder / "manifest.json").exists()
    summary = codesign.load(folder) if was_there else codesign.search(EXAMPLES / case.file, folder, overrides=overrides)
    spent = "" if was_there else f"; searched in {time.perf_counter() - start:.0f} s of a shared host"
    data = dataset_of(config.data)
    space, recipe = joint_space(config, data), config.estimator.settings.recipe  # type: ignore[union-attr]
    first, better = next(iter(data.task.metrics.items()))
    pick = min if better == "less" else max
    best = pick(summary.evaluated, key=lambda pair: pair.value(first))
    genotype = np.array(best.genotype, np.int64)
    network = space.architecture.workload(genotype[: space.architecture.n_genes])
    numerics = numerics_of(space.hardware.numerics(genotype[None, space.architecture.n_genes :])[0])
    estimator = TrainingEstimator(data, recipe, MemoryWeights(), draws=1)
    hand = widened(case, data, network.parameters)
    rows = [
        (f"found: {best.architecture}".replace("|", "/"), network, trained(estimator, network, numerics, seeds)),
        (f"by hand: {case.shape}", hand, trained(estimator, hand, numerics, seeds)),
    ]
    gap = (rows[0][2]["test"].mean() - rows[1][2]["test"].mean()) * (-1 if better == "less" else 1)
    verdict = "better" if gap > 0 else "worse"
    lines = [
        f"\n## {name}: `examples/{case.file}`\n",
        f"{len(summary.evaluated)} networks evaluated, {summary.ledger.trained} trained{spent}; {first}, {better} is "
        f"better, mean ± deviation over {seeds} seeds. In the run the found network has {best.value(first):.3f} on "
        f"validation. On test it is {verdict} than the hand-made one by {abs(gap):.3f}.\n",
        "| network | parameters | MACs | validation | test |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {what} | {one.parameters:,} | {one.macs:,} | {told(found['validation'])} | {told(found['test'])} |"
        for what, one, found in rows
    ]
    for what, validation, test in case.without(data):
        lines.append(f"| *{what}* | | | {validation[first]:.3f} | {test[first]:.3f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=HAND_MADE, help="one example, which is printed and not written")
    parser.add_argument("--runs", type=Path, help="where runs are, or are written")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="an assignment for the run files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = options.runs or Path(scratch)
        chosen = [options.only] if options.only else list(HAND_MADE)
        parts = [lines_of(name, HAND_MADE[name], runs / name, options.seeds, options.set) for name in chosen]
    head = [
        "# What the examples' searches find, beside hand-made networks of the same size\n",
        "Written by `python benchmarks/tables/tasks.py`, whose opening says what is compared: networks that the runs "
        "of the examples chose by validation, plain shapes of the literature as wide as it takes to have no fewer "
        "parameters, both trained anew with seeds that no run used, and guesses that need no network. Test chose "
        "nothing.",
    ]
    text = "\n".join([*head, *(line for lines in parts for line in lines)]) + "\n"
    if options.only is None:
        RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
