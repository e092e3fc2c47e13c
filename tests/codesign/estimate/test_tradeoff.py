"""Accuracy against energy: every design once, costs of the family, accuracies of the estimator, one picture."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import pytest

from codesign.estimate.base import Estimate, Request
from codesign.estimate.tradeoff import Tradeoff, accuracy_against_energy, image_network
from codesign.report.tradeoff import plot_tradeoff
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.numerics import Numerics


class ByBits:
    """An accuracy that tells the design: more bits and fewer rows are better."""

    def __init__(self) -> None:
        self.asked: list[Numerics] = []

    metrics: Mapping[str, Literal["less", "more", "neither"]] = {"accuracy": "more"}

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, (_, _, numerics, fidelity, *_) in enumerate(requests):
            self.asked.append(numerics)
            accuracy = 0.5 + 0.05 * numerics.adc_bits - numerics.active_rows / 1e4
            draws = (accuracy,) * 10
            yield (
                position,
                Estimate.of_accuracy(accuracy, accuracy, spread=0.01, draws=draws, fidelity=fidelity, key=""),
            )

    def key(self, request: Request) -> str:
        return str(request.numerics)


@pytest.fixture(scope="module")
def tradeoff() -> Tradeoff:
    chip = device("rram_edge")
    return accuracy_against_energy(
        image_network((1, 8, 8), 10), ByBits(), model=chip.model, spec=chip.spec, array_rows=(64, 128), adc_bits=(5, 8)
    )


def test_every_design_has_the_cost_and_accuracy_of_its_own_knobs(tradeoff: Tradeoff) -> None:
    chip, workload = device("rram_edge"), image_network((1, 8, 8), 10)
    assert [(row["array_rows"], row["adc_bits"]) for row in tradeoff.rows()] == [(64, 5), (64, 8), (128, 5), (128, 8)]
    for row in tradeoff.rows():
        knobs = {"array_rows": row["array_rows"], "array_cols": row["array_rows"], "adc_bits": row["adc_bits"]}
        spec = chip.spec.model_copy(update={**knobs, "tiles": 48 * 128**2 // row["array_rows"] ** 2})
        totals = evaluate(workload, chip.model, spec).totals
        assert row["energy_j"] == pytest.approx(totals["energy_j"], rel=1e-12)
        assert row["area_mm2"] == pytest.approx(totals["area_mm2"], rel=1e-12)
        assert row["accuracy"] == pytest.approx(0.5 + 0.05 * row["adc_bits"] - row["array_rows"] / 1e4)
        assert (row["draws"], row["spread"], row["infeasible"]) == (10, 0.01, "")
    by_bits = tradeoff.energy_j.reshape(2, 2)
    assert (np.diff(by_bits, axis=1) > 0).all(), "more ADC bits cost more energy"


def test_costs_are_per_image(tradeoff: Tradeoff) -> None:
    from hwmodels.workload.graph import Builder

    chip = device("rram_edge")
    found = []
    for batch in (1, 16):
        net = Builder("batched", (batch, 1, 8, 8))
        workload = net.finish(net.linear(net.flatten(net.conv_norm_act(net.input, 8, 3)), 10))
        one = accuracy_against_energy(
            workload, ByBits(), model=chip.model, spec=chip.spec, array_rows=(128,), adc_bits=(6,)
        )
        found.append(float(one.energy_j[0]))
    assert 0.2 * found[0] < found[1] <= found[0] * 1.01


def test_a_size_that_the_family_does_not_take_is_named() -> None:
    chip = device("rram_edge")
    with pytest.raises(SpecError, match="array_rows"):
        accuracy_against_energy(
            image_network((1, 8, 8), 10), ByBits(), model=chip.model, spec=chip.spec, array_rows=(7,)
        )


def test_the_picture_has_a_line_an_array_size_and_says_its_units(tradeoff: Tradeoff) -> None:
    axes = plot_tradeoff(tradeoff)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["64 x 64", "128 x 128"]
    assert "energy" in axes.get_xlabel()
    assert "J)" in axes.get_xlabel()
    assert "accuracy (%)" in axes.get_ylabel()
    assert sorted(text.get_text() for text in axes.texts) == ["5", "5", "8", "8"]
    lines = [container.lines[0] for container in axes.containers]
    np.testing.assert_allclose(lines[0].get_ydata(), 100 * tradeoff.accuracy[:2])
