"""What a search took: the store's times added up, and the energy by the host's device."""

from __future__ import annotations

import pytest

from codesign.estimate.base import Estimate
from codesign.report.search_cost import check_host, search_cost
from codesign.two_level.ledger import Ledger
from hwmodels.catalog import device
from hwmodels.errors import SpecError

LEDGER = Ledger(trained=2, seconds={"fast": 4.0, "slow": 50.0})


@pytest.fixture
def spent(new_store):
    """Two trainings of 30 and 60 s, three evaluations of 2, 3 and 5 s, the first two of them beside the training."""
    store = new_store("run")
    for key, seconds in (("a", 30.0), ("b", 60.0)):
        store.put(key, b"weights", seconds)
    for key, training, seconds in (("a8", "a", 32.0), ("b8", "b", 63.0), ("b4", "b", 5.0)):
        found = Estimate.of_accuracy(0.9, 0.9, spread=0.0, draws=(0.9,), fidelity=1.0, key=training, seconds=seconds)
        store.keep_estimate(key, found)
    return store


def test_times_add_up_and_none_counts_twice(spent) -> None:
    found = search_cost(spent, LEDGER, None)
    assert found.training_core_s == 90.0
    assert found.evaluation_core_s == pytest.approx(2 + 3 + 5)
    assert (found.costs_core_s, found.wall_s, found.trainings) == (4.0, 54.0, 2)
    assert found.as_dict()["core_hours"] == pytest.approx(104 / 3600)
    assert found.energy_j is None
    assert "host: DEVICE" in str(found)


def test_the_energy_is_busy_cores_and_the_chip_over_the_wall_time(spent) -> None:
    spec = device("rpi4").spec
    found = search_cost(spent, LEDGER, "rpi4")
    assert found.energy_j == pytest.approx(0.8 * 104 + 2.7 * 54)  # 6.4 W with four busy cores, 2.7 W idle
    assert (spec.core_w, spec.idle_w) == (0.8, 2.7)
    assert "63.6 mWh on rpi4" in str(found)


def test_a_host_is_a_processor() -> None:
    with pytest.raises(SpecError, match="family cpu"):
        check_host("isaac")
    with pytest.raises(SpecError, match="did you mean rpi4"):
        check_host("rpi44")


def test_an_empty_run_took_nothing(new_store) -> None:
    assert str(search_cost(new_store("run"), Ledger(), None)).startswith("no processor time")
