"""Effects that are known: planted ones are found and chance is not; those of a run, on page and terminal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.report.effects import _Decision, effects_html, effects_of, importance_of, patterns_of, shares_of
from codesign.report.summary import config_of, space_of, summarise
from codesign.report.transfer import transfer
from hwmodels.errors import SpecError
from tests.codesign.report.test_report_run import make_run

DECISIONS = [_Decision(name, ("0", "1", "2")) for name in "abcd"]


def points(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (n, 4))


def test_shares_of_a_full_factorial_are_its_variances() -> None:
    """y = 2 a + b over all 81 points: variances of 4 and 1 parts in 5, less 2 degrees of freedom of what is within."""
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    assert shares_of(grid, 2.0 * grid[:, 0] + grid[:, 1]) == pytest.approx(
        [0.8 - 2 * 0.2 / 78, 0.2 - 2 * 0.8 / 78, 0, 0]
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 100), st.floats(-5, 5))
def test_shares_lie_between_none_and_all_and_know_no_unit(seed: int, scale: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    some, values = points(30, seed), rng.random(30)
    shares = shares_of(some, values)
    assert ((shares >= 0) & (shares <= 1 + 1e-12)).all()
    np.testing.assert_allclose(shares_of(some, scale * values + offset), shares, atol=1e-9)


def test_a_forest_sees_what_two_decisions_do_together() -> None:
    """y is 1 where a and b are equal: neither decides anything alone, both matter."""
    some = points(900)
    values = (some[:, 0] == some[:, 1]).astype(float)
    importance, explained = importance_of(some, values, seed=0)
    assert explained > 0.9
    assert min(importance[:2]) > 0.5 > 0.05 > max(importance[2:])
    assert shares_of(some, values).max() < 0.05


def test_a_planted_pattern_is_found_and_chance_is_not() -> None:
    some = points(600)
    front = some[(some[:, 0] == 2) & (some[:, 1] == 1)][:25]
    found = patterns_of(front, some, DECISIONS)
    assert found[0].choices == ("a 2", "b 1")
    assert found[0].on_front == len(front) == 25
    assert found[0].lift == pytest.approx(600 / found[0].among)
    assert {one.choices for one in found} >= {("a 2",), ("b 1",)}
    by_chance = [
        len(patterns_of(some[np.random.default_rng(i).permutation(600)[:25]], some, DECISIONS)) for i in range(40)
    ]
    assert sum(map(bool, by_chance)) <= 8  # 5 % of 40 is 2; at most 8 with a probability of 0.999


def test_nothing_is_said_of_an_empty_front_or_of_a_front_that_is_everything() -> None:
    some = points(5)
    assert patterns_of(some[:0], some, DECISIONS) == patterns_of(some, some, DECISIONS) == []


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory):
    return make_run(tmp_path_factory.mktemp("run") / "a")


def test_effects_of_a_run(store) -> None:
    config = config_of(store)
    space = space_of(config)
    summary = summarise(store, space=space)
    found = effects_of(store, config, space, summary, forest=True)
    by_metric = {one.metric: one for one in found.measured}
    assert {"energy_j", "latency_s"} <= set(by_metric)
    energy = by_metric["energy_j"]
    assert energy.is_ratio
    accuracy = by_metric["accuracy"]
    assert "adc_bits" in accuracy.shares  # of a crossbar it changes what is computed
    assert not {"tiles", "columns_per_adc"} & set(accuracy.shares)
    assert set(energy.shares) == {gene.name for gene in (*space.architecture.genes, *space.hardware.genes)}
    # A wider second stage has more weights and windows: more energy whatever else is chosen.
    width = {effect.choice: effect.shift for effect in energy.effects if effect.decision == "width1"}
    assert width["16"] > 0 > width["8"]
    # Shifts of a decision balance over its pairs.
    for decision in energy.shares:
        mine = [effect for effect in energy.effects if effect.decision == decision]
        assert sum(effect.pairs * effect.shift for effect in mine) == pytest.approx(0, abs=1e-8 * energy.pairs)
        assert sum(effect.pairs for effect in mine) in (0, energy.pairs)
    assert sum(found.pruned.values()) == sum(summary.ledger.pruned.values())
    page = effects_html(found)
    assert "width1" in page
    assert "% of variance" in page


def test_effects_and_transfer_on_the_command_line(store, run, tmp_path: Path) -> None:
    folder = str(store.folder)
    code, out, _ = run("effects", folder, "--json")
    assert code == 0
    assert {one["metric"] for one in json.loads(out)["metrics"]} >= {"energy_j", "latency_s"}
    table = tmp_path / "effects.csv"
    code, out, _ = run("effects", folder, "-o", str(table))
    assert code == 0
    assert "why pairs were pruned" in out
    assert table.read_text(encoding="utf-8").startswith("metric,decision,choice,pairs,of,shift")
    assert run("effects", folder, "-o", str(table))[0] == 2
    code, out, _ = run("transfer", folder, "--device", "rpi4", "--device", "rram_edge", "--json")
    assert code == 0
    found = json.loads(out)
    assert np.diag(found["kept"]) == pytest.approx(1.0)
    assert all(0 <= share <= 1 + 1e-12 for line in found["kept"] for share in line)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("transfer", "RUN"), "--device: nothing"),
        (("transfer", "RUN", "--device", "rpi44"), "rpi4"),
        (("transfer", "RUN", "--device", "rpi4", "--metric", "latency"), "latency_s"),
        (("effects", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_told_is_one_line(store, run, arguments: tuple[str, ...], told: str) -> None:
    code, _, error = run(*(str(store.folder) if part == "RUN" else part for part in arguments))
    assert code == 2
    assert told in error
    assert error.count("\n") == 1


def test_a_front_is_worth_what_it_covers_elsewhere() -> None:
    """Two networks: on a the first is better in both; on b it costs more. Boxes of b by hand, reference 0.22 x 2.2."""
    found = transfer(["a", "b"], np.array([[0.1, 0.1], [0.2, 0.2]]), np.array([[1.0, 2.0], [2.0, 1.0]]))
    whole = 0.12 * 0.2 + 0.02 * 1.2 - 0.02 * 0.2
    assert found.front == (1, 2)
    assert found.kept == pytest.approx(np.array([[1.0, 0.12 * 0.2 / whole], [1.0, 1.0]]))


def test_networks_that_do_not_run_on_a_device_cover_nothing_there() -> None:
    costs = np.array([[1.0, np.inf], [2.0, 1.0]])
    found = transfer(["a", "b"], np.array([[0.1, 0.1], [0.2, 0.2]]), costs)
    assert found.kept[0, 1] == 0.0
    with pytest.raises(SpecError, match="transfer: b is not"):
        transfer(["a", "b"], np.full((2, 2), 0.1), np.array([[1.0, np.inf]] * 2))
