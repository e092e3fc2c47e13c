"""Rows that do not belong to a run are told apart before the archive keeps them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codesign.estimate.base import Estimate
from codesign.objectives import Limit
from codesign.space.chain import ChainSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.store import EvaluatedPair
from codesign.two_level.archive import Archive
from hwmodels.catalog import device

ESTIMATE = Estimate.of_accuracy(0.9, 0.8, spread=0.0, draws=(0.9,), fidelity=1.0, key="k")


@pytest.fixture
def archive() -> Archive:
    chosen = device("systolic_edge")
    networks = ChainSpace(
        stages=1, kernel=(3,), width=(4, 8), depth=(1,), stride=(2,), bits=(8,), input_shape=(1, 8, 8)
    )
    space = JointSpace(networks, HardwareSpace(chosen.model, chosen.spec, {"array_rows": [8, 16]}))
    return Archive(space, ["energy_j"], limits=[Limit("accuracy", 0.5, least=True)])


def pair_in(archive: Archive) -> EvaluatedPair:
    return EvaluatedPair((0,) * archive.space.n_genes, (8.0, 8.0), "k", {"energy_j": 1e-6})


def test_a_pair_of_the_space_fits(archive: Archive) -> None:
    assert archive.misfit(pair_in(archive), ESTIMATE) is None


def test_what_does_not_fit_says_why(archive: Archive) -> None:
    pair = pair_in(archive)
    assert archive.misfit(pair._replace(genotype=pair.genotype[1:]), ESTIMATE) == "a genotype outside the space"
    assert archive.misfit(pair._replace(genotype=(*pair.genotype[:-1], 2)), ESTIMATE) == "a genotype outside the space"
    assert archive.misfit(pair._replace(genotype=(-1, *pair.genotype[1:])), ESTIMATE) == "a genotype outside the space"
    assert archive.misfit(pair._replace(costs={}), ESTIMATE) == "a pair without a finite energy_j"
    nan = pair._replace(costs={"energy_j": float("nan")})
    assert archive.misfit(nan, ESTIMATE) == "a pair without a finite energy_j"
    assert archive.misfit(pair, replace(ESTIMATE, metrics={})) == "an estimate without accuracy"
