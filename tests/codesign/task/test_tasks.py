"""Each task's metrics against slow twins, its goodness, and what an answer without numbers counts as."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.task import Classification, Language, Regression, Segmentation, SuperResolution, Task, on_test

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Classification(7), Regression(3.0), Language(11), Segmentation(3, 1), SuperResolution(2, 0.4, 0.25),
    )
}  # fmt: skip


def batch(task: Task, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers of a network that knows little, and targets."""
    rng = np.random.default_rng(seed)
    if isinstance(task, Classification):
        target, high = (), task.classes
    elif isinstance(task, Language):
        target, high = (5,), task.vocabulary
    elif isinstance(task, Segmentation):
        target, high = (4, 6), task.classes
    else:
        target, high = (() if isinstance(task, Regression) else (1, 4, 6)), None
    outputs = rng.normal(size=(n, *task.output_shape(target))).astype(np.float32)
    shape = (n, *target)
    targets = rng.normal(size=shape).astype(np.float32) if high is None else rng.integers(0, high, shape)
    return outputs, targets


def measured(task: Task, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    return task.values(task.tally(outputs, targets))


def twin(task: Task, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """The metrics item by item, from their equations."""
    if isinstance(task, Classification):
        order = [sorted(range(task.classes), key=lambda k, row=row: (-row[k], k)) for row in outputs]
        ranks = [line.index(label) for line, label in zip(order, targets, strict=True)]
        share = [sum(rank < most for rank in ranks) / len(ranks) for most in (1, 5)]
        return {"accuracy": share[0], "accuracy_top5": share[1]}
    if isinstance(task, Regression):
        errors = [(float(answer[0]) - float(y)) ** 2 for answer, y in zip(outputs, targets, strict=True)]
        middle = sum(map(float, targets)) / len(targets)
        around = [(float(y) - middle) ** 2 for y in targets]
        mean = sum(errors) / len(errors)
        return {"r2": 1 - sum(errors) / sum(around), "rmse": task.deviation * math.sqrt(mean)}
    if isinstance(task, Language):
        nats = []
        for scores, token in zip(outputs.reshape(-1, task.vocabulary), targets.ravel(), strict=True):
            chances = [math.exp(float(score)) for score in scores]
            nats.append(-math.log(chances[token] / sum(chances)))
        mean = sum(nats) / len(nats)
        return {"perplexity": math.exp(mean), "bits_per_token": mean / math.log(2)}
    if isinstance(task, Segmentation):
        answers = outputs.argmax(axis=1).ravel().tolist()
        pairs = list(zip(answers, targets.ravel().tolist(), strict=True))
        ious = []
        for k in range(task.classes):
            either = sum(k in pair for pair in pairs)
            if either:
                ious.append(sum(pair == (k, k) for pair in pairs) / either)
        return {"miou": sum(ious) / len(ious), "pixel_accuracy": sum(a == b for a, b in pairs) / len(pairs)}
    assert isinstance(task, SuperResolution)
    shown = [
        [min(max(float(v) * task.deviation + task.mean, 0.0), 1.0) for v in part.ravel()] for part in (outputs, targets)
    ]
    squares = [(a - b) ** 2 for a, b in zip(*shown, strict=True)]
    return {"psnr_db": 20 * math.log10(1 / math.sqrt(sum(squares) / len(squares)))}


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 12), seed=st.integers(0, 10**6))
def test_metrics_are_those_of_a_plain_twin(name: str, n: int, seed: int) -> None:
    outputs, targets = batch(TASKS[name], n, seed)
    assert measured(TASKS[name], outputs, targets) == pytest.approx(twin(TASKS[name], outputs, targets), rel=1e-6)


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 12), cut=st.integers(1, 11), seed=st.integers(0, 10**6))
def test_batches_add_up(name: str, n: int, cut: int, seed: int) -> None:
    task = TASKS[name]
    outputs, targets = batch(task, n, seed)
    parts = [task.tally(o, t) for o, t in ((outputs[:cut], targets[:cut]), (outputs[cut:], targets[cut:])) if len(o)]
    assert task.values(np.sum(parts, axis=0)) == pytest.approx(measured(task, outputs, targets))


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_goodness_is_a_share_that_rises_with_what_is_better(name: str, seed: int) -> None:
    """Answers that come closer to the truth are never judged worse by goodness than by the first metric."""
    task = TASKS[name]
    first, better = next(iter(task.metrics.items()))
    values = sorted(measured(task, *batch(task, 6, seed + i))[first] for i in range(6))
    goods = [task.goodness(value) for value in values]
    assert all(0.0 <= good <= 1.0 for good in goods)
    assert goods == sorted(goods, reverse=better == "less")


@pytest.mark.parametrize("name", TASKS)
def test_a_perfect_answer_has_no_error(name: str) -> None:
    task = TASKS[name]
    outputs, targets = batch(task, 8, 3)
    if isinstance(task, Regression | SuperResolution):
        exact = targets[:, None] if isinstance(task, Regression) else targets
        best = task.goodness(next(iter(measured(task, exact.astype(np.float32), targets).values())))
    else:
        axis = 1 if isinstance(task, Segmentation) else -1
        certain = 100.0 * np.moveaxis(np.eye(outputs.shape[axis], dtype=np.float32)[targets], -1, axis)
        best = task.goodness(next(iter(measured(task, certain, targets).values())))
    assert best == pytest.approx(1.0, abs=1e-5)


GUESSES = {
    "classification": {"accuracy": 1 / 7, "accuracy_top5": 5 / 7},
    "language": {"perplexity": 11.0, "bits_per_token": math.log2(11)},
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_answers_without_numbers_are_a_constant_guess(name: str, broken: float) -> None:
    task = TASKS[name]
    outputs, targets = batch(task, 9, 5)
    outputs[:] = broken
    found = measured(task, outputs, targets)
    if isinstance(task, Segmentation):
        share = float((targets == task.frequent).mean())
        assert found == pytest.approx({"miou": share / task.classes, "pixel_accuracy": share})
    elif name in GUESSES:
        assert found == pytest.approx(GUESSES[name])
    else:
        assert found == measured(task, np.zeros_like(outputs), targets)


@pytest.mark.parametrize("name", TASKS)
def test_one_answer_without_numbers_spoils_no_other(name: str) -> None:
    """A language has as many answers as tokens, the others one an item."""
    task = TASKS[name]
    outputs, targets = batch(task, 9, 7)
    healthy = task.tally(outputs[1:], targets[1:])
    outputs[0] = math.nan
    assert task.tally(outputs, targets) == pytest.approx(healthy + task.tally(outputs[:1], targets[:1]))


def test_an_image_without_scores_is_right_as_often_as_a_guess() -> None:
    scores = np.array([[math.nan, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]], np.float32)
    assert measured(Classification(4), scores, np.array([0, 1, 0])) == pytest.approx({"accuracy": (0.25 + 1) / 3})


def test_a_network_worse_than_the_mean_counts_as_the_mean() -> None:
    assert Regression(1.0).goodness(-3.0) == 0.0
    assert Language(256).goodness(300.0) == 0.0


def test_names_on_the_test_split_keep_their_unit_last() -> None:
    assert [on_test(name) for task in TASKS.values() for name in list(task.metrics)[:1]] == [
        "accuracy_test", "r2_test", "perplexity_test", "miou_test", "psnr_test_db",
    ]  # fmt: skip
