"""`codesign pick`: limits as people write them, costs as `estimate` has them, the front by brute force, near misses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from codesign.objectives import Limit
from codesign.pick import Picked, parse_limits, pick, told
from hwmodels import estimate
from hwmodels.catalog import device, device_names, measured_errors
from hwmodels.errors import SpecError
from hwmodels.families.base import family
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.zoo import Entry, published_accuracy

CPU = device("rpi4")


def picked(limits: Sequence[str] | None = None, *, dataset: str | None = "CIFAR-10", name: str = "rpi4") -> Picked:
    chosen = device(name)

    def build(entry: Entry) -> object:
        return rewrite(entry.build(precision=Precision(8, 8)), COMPILED)

    return pick(chosen, parse_limits(chosen.model, limits or ()), build, dataset=dataset)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("latency=20ms", Limit("latency_s", 0.02)),
        ("latency_s = 0.02", Limit("latency_s", 0.02)),
        ("Latency<=20 ms", Limit("latency_s", 0.02)),
        ("latency>=20us", Limit("latency_s", 2e-5, least=True)),
        ("weights=5MB", Limit("weight_bytes", 5e6)),
        ("weight_bytes<=5MiB", Limit("weight_bytes", 5 * 2**20)),
        ("energy=2mJ", Limit("energy_j", 2e-3)),
        ("throughput=30", Limit("throughput_items_per_s", 30.0, least=True)),
        ("throughput_items_per_s>=30", Limit("throughput_items_per_s", 30.0, least=True)),
        ("macs=300M", Limit("macs", 300e6)),
        ("params=4M", Limit("parameters", 4e6)),
        ("peak-activation=1MB", Limit("peak_activation_bytes", 1e6)),
        ("accuracy=75%", Limit("top1_percent", 75.0, least=True)),
        ("top1>=75", Limit("top1_percent", 75.0, least=True)),
    ],
)
def test_limits_as_people_write_them(text: str, limit: Limit) -> None:
    assert parse_limits(CPU.model, [text]) == (limit,)


def test_the_tightest_of_two_limits_counts() -> None:
    assert parse_limits(CPU.model, ["latency=20ms", "latency=10ms", "weights=1MB"]) == (
        Limit("latency_s", 0.01),
        Limit("weight_bytes", 1e6),
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("latency", r"--limit: latency is not metric=bound"),
        ("latncy=20ms", r"--limit: latncy is not one of .*did you mean latency"),
        ("area=5mm2", r"--limit: area is not one of"),
        ("latency=20MB", r"--limit: latency: 20MB is not a number in s"),
        ("latency=", r"--limit: latency: .* is not a number"),
        ("latency=-1ms", r"--limit: latency: -1ms is not > 0"),
        ("latency=nan", r"--limit: latency: nan is not"),
        ("accuracy<=75%", r"--limit: accuracy: <= 75% is not a least accuracy"),
        ("accuracy=750", r"--limit: accuracy: = 750 is not a least accuracy"),
    ],
)
def test_limits_that_are_none(text: str, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        parse_limits(CPU.model, [text])


def test_every_metric_of_every_family_can_be_named_without_its_unit() -> None:
    from codesign.pick import metric_named

    for name in ("cpu", "crossbar", "spatial"):
        model = family(name)
        assert metric_named(model, "latency", where="x") == "latency_s"
        for metric in model.names:
            assert metric_named(model, metric, where="x") == metric


def test_costs_are_those_of_an_estimate() -> None:
    found = picked(["latency=1s"])
    assert len(found.choices) >= 10
    for choice in found.choices[:3]:
        report = estimate(choice.network, "rpi4", bits=8)
        assert choice.costs["latency_s"] == pytest.approx(report.total("latency_s"), rel=1e-12)
        assert choice.costs["weight_bytes"] == report.total("weight_bytes")


def test_the_order_and_the_marks_by_brute_force() -> None:
    found = picked(["latency=1s", "weights=100MB"])
    top1 = [choice.accuracy.top1_percent for choice in found.choices if choice.accuracy]
    assert top1 == sorted(top1, reverse=True)
    points = np.array(
        [(-t, c.costs["latency_s"], c.costs["weight_bytes"]) for t, c in zip(top1, found.choices, strict=True)]
    )
    for choice, point in zip(found.choices, points, strict=True):
        beaten = np.any(np.all(points <= point, axis=1) & np.any(points < point, axis=1))
        assert choice.is_best == (not beaten)
    assert any(choice.is_best for choice in found.choices)
    assert not all(choice.is_best for choice in found.choices)


def test_only_what_keeps_every_limit_is_picked() -> None:
    everything = picked().choices
    median = float(np.median([choice.costs["latency_s"] for choice in everything]))
    found = picked([f"latency={median}", "accuracy=94%"])
    assert found.choices
    kept = [c for c in everything if c.costs["latency_s"] <= median and c.accuracy and c.accuracy.top1_percent >= 94]
    assert {choice.network for choice in found.choices} == {choice.network for choice in kept}


def test_the_nearest_miss_of_one_limit() -> None:
    everything = picked().choices
    fastest = min(everything, key=lambda choice: choice.costs["latency_s"])
    found = picked(["latency=1us"])
    assert found.choices == ()
    assert found.miss.startswith("no network meets latency <= 1 µs: the smallest seen is ")
    assert found.miss.endswith(f"({fastest.network})")
    found = picked(["accuracy=99.9%"])
    assert found.miss.startswith("no network meets accuracy >= 99.9 %: the largest seen is 97.")


def test_the_nearest_miss_of_limits_that_exclude_each_other() -> None:
    everything = picked().choices
    fastest = min(choice.costs["latency_s"] for choice in everything)
    found = picked([f"latency={fastest * 1.01}", "accuracy=97%"])
    assert found.choices == ()
    assert "at once: " in found.miss
    assert " comes closest with " in found.miss


def test_what_does_not_run_is_not_picked() -> None:
    """A microcontroller of 512 KiB holds few networks."""
    found = picked(["latency=1000s"], dataset=None, name="nucleo_l4r5zi")
    assert found.cannot_run > 0
    assert len(found.choices) + found.cannot_run <= found.examined


def test_a_data_set_that_nobody_published_on() -> None:
    with pytest.raises(SpecError, match=r"dataset: cifar is not one of .*did you mean CIFAR-10"):
        picked(dataset="cifar")


def test_limits_read_as_written() -> None:
    shown = [
        told(limit) for limit in parse_limits(CPU.model, ["latency=20ms", "weights=5MB", "throughput=30", "top1=75"])
    ]
    assert shown == ["latency <= 20 ms", "weight <= 5 MB", "throughput >= 30", "accuracy >= 75 %"]


def test_measured_errors_are_of_catalogue_devices() -> None:
    known = [name for name in device_names() if measured_errors(name)]
    assert len(known) >= 15
    for name in known:
        for error in measured_errors(name):
            assert error.rows > 0
            assert 0 < error.median_error_percent < 200
            assert error.metric in device(name).model.names
    assert measured_errors("rpi4") == ()
    assert measured_errors("no such device") == ()


def test_the_command(run) -> None:
    code, out, _ = run("pick", "--device", "rpi4", "--limit", "latency=1s", "--dataset", "CIFAR-10")
    assert code == 0
    assert "measured error of this device: -" in out
    assert "cifar_resnet20" in out
    code, out, _ = run(
        "pick", "--device", "rpi5", "--limit", "latency=1s", "--dataset", "MNIST", "--bits", "8", "--json"
    )
    told_json = json.loads(out)
    assert code == 0
    assert [network["network"] for network in told_json["networks"]] == ["lenet5"]
    best = published_accuracy("lenet5")
    assert best is not None
    assert told_json["networks"][0]["top1_percent"] == best.top1_percent
    assert told_json["networks"][0]["source"] == best.source
    assert told_json["measured_errors"][0]["set"] == "nb201_edge360"
    assert told_json["miss"] is None


def test_the_command_where_nothing_fits(run) -> None:
    words = ("--device", "rpi4", "--limit", "latency=1us", "--dataset", "MNIST")
    code, out, _ = run("pick", *words)
    assert code == 1
    assert "no network meets latency <= 1 µs: the smallest seen is " in out.replace("us", "µs")
    assert "(lenet5)" in out
    code, out, _ = run("pick", *words, "--json")
    assert code == 1
    assert json.loads(out)["networks"] == []


def test_bad_input_is_one_line(run) -> None:
    for words in (
        ("--device", "rpi44"),
        ("--device", "rpi4", "--limit", "x=1"),
        ("--device", "rpi4", "--dataset", "x"),
    ):
        code, out, err = run("pick", *words)
        assert (code, out) == (2, "")
        assert err.startswith("codesign: ")
        assert len(err.splitlines()) == 1


def test_bytes_are_those_that_the_device_keeps(run) -> None:
    """An 8-bit array runs 32 bits as 8, and a limit on weights judges what it runs."""
    found = [
        json.loads(run("pick", "--device", "systolic_edge", "--dataset", "MNIST", "--bits", bits, "--json")[1])
        for bits in ("8", "32")
    ]
    narrow, wide = ([network["weight_bytes"] for network in one["networks"]] for one in found)
    assert narrow == wide != []
