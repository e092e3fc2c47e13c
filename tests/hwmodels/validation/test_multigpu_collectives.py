"""Collectives held to the errors that the README states; a fit that finds what made its rows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.validate import Score, open_tables
from hwmodels.validation.multigpu.collectives import collective_scores, node_cases, node_spec
from hwmodels.validation.multigpu.protocol_fit import PROTOCOL, Curve, fitted, predicted

MADE = {"start_cycles": 30_000.0, "ramp_cycles": 8_000.0, "link_efficiency": 0.6}


def test_a_fit_finds_the_constants_that_made_the_rows() -> None:
    spec = node_spec("dgx_a100")
    sizes = np.geomspace(1e5, 1e9, 25)
    empty = np.ones(sizes.size)
    curves = [Curve("all_reduce", n, sizes, empty) for n in (4, 8)]
    made = [(spec, curve._replace(seconds=predicted(curve, spec, MADE))) for curve in curves]
    found = fitted(made, tuple(MADE), weight=1e-4)
    assert found == {name: pytest.approx(value, rel=0.05) for name, value in MADE.items()}
    assert set(MADE) < set(PROTOCOL)


def test_the_constants_that_ship_are_the_fit_to_both_switched_systems() -> None:
    rows = open_tables().rows("gpu/nccl_node_collectives.csv.gz")
    if rows is None:
        pytest.skip("CODESIGN_REFERENCE is not set")
    cases = node_cases(rows)
    found = fitted([*cases["a100_sxm"], *cases["h100_sxm"]], PROTOCOL)
    shipped = MultiGpuSpec().values()
    assert found == {name: pytest.approx(shipped[name], rel=0.02) for name in PROTOCOL}


@cache
def scores() -> tuple[Score, ...]:
    return tuple(collective_scores(open_tables()))


def value(name: str, group: str, protocol: str, metric: str) -> float:
    tables = open_tables()
    if tables.path("gpu/nccl_node_collectives.csv.gz") is None:
        pytest.skip("CODESIGN_REFERENCE is not set")
    found = [
        one.value for one in scores()
        if (one.set, one.group, one.protocol, one.metric) == (name, group, protocol, metric)
    ]  # fmt: skip
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("system", ["a100_sxm", "h100_sxm", "l40s, 2 GPUs"])
def test_a_system_that_gave_no_row(system: str) -> None:
    assert value("nccl_node_collectives", system, "leave-one-out", "mape") <= 20.0


@pytest.mark.parametrize("system", ["a100_sxm", "h100_sxm", "l40s"])
def test_four_sizes_of_a_curve(system: str) -> None:
    assert value("nccl_node_collectives", system, "few-shot-4", "mape") <= 10.0


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("collective_a100_dgx_all_reduce", "2 GPUs of a node"), ("collective_a100_dgx_all_reduce", "4 GPUs of a node"),
        ("collective_a100_dgx_all_reduce", "8 GPUs of a node"), ("collective_a100_dgx_send_recv", "2 GPUs of a node"),
        ("collective_a100_pairwise_nvlink_all_reduce", "2 GPUs of a node"),
        ("collective_a100_pairwise_nvlink_all_reduce", "4 GPUs of a node"),
        ("collective_h100_pairwise_nvlink_all_reduce", "4 GPUs of a node"),
    ],
)  # fmt: skip
def test_inside_a_node_by_the_curve_of_another(name: str, group: str) -> None:
    assert value(name, group, "frozen", "median_error") <= 15.0


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("collective_a100_dgx_all_reduce", "2 GPUs, 1 a node"), ("collective_a100_dgx_send_recv", "2 GPUs, 1 a node"),
        ("collective_a100_dgx_all_reduce", "8 GPUs, 4 a node, switches its algorithm"),
        ("collective_a100_dgx_all_reduce", "16 GPUs, 8 a node, switches its algorithm"),
    ],
)  # fmt: skip
def test_between_nodes_by_four_named_sizes(name: str, group: str) -> None:
    assert value(name, group, "few-shot-4", "median_error") <= 20.0
