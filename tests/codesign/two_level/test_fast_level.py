"""FAST: every pair gets a reason, reasons are true, and no pair of the true front is ever pruned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codesign.estimate.base import Estimate, Request
from codesign.pareto import non_dominated
from codesign.space.cell import CellSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.strategy.base import Proposal
from codesign.two_level.archive import Archive, Member, class_arrays
from codesign.two_level.fast import FastLevel
from codesign.two_level.prune import KEPT, Reasons, dominated_at_capacity, dominated_by_known
from codesign.two_level.slow import AccuracyClass
from hwmodels.catalog import device
from hwmodels.evaluate import evaluate
from hwmodels.families.spec import numerics_of
from hwmodels.workload.rewrite import COMPILED, EAGER, prune_dead_branches, rewrite
from tests.codesign.toys import FormulaEstimator, toy_space

OBJECTIVES = ("energy_j", "latency_s", "area_mm2")


@pytest.fixture(scope="module")
def everything():
    """All pairs of the toy space with their costs and accuracies, by brute force on the pair level."""
    space = toy_space()
    genotypes = space.enumerate()
    verdicts = FastLevel(space, COMPILED, objectives=OBJECTIVES, constraints={}).evaluate(*_asked(space, genotypes))
    costs = np.column_stack([_full_costs(space, genotypes)[name] for name in OBJECTIVES])
    estimator, cut = FormulaEstimator(), space.architecture.n_genes
    accuracy: dict[AccuracyClass, float] = {}
    error = np.empty(len(genotypes))
    for i, genotype in enumerate(genotypes):
        known = AccuracyClass(
            tuple(genotype[:cut].tolist()), tuple(verdicts.numerics[verdicts.numerics_id[i]].tolist())
        )
        if known not in accuracy:
            network = prune_dead_branches(space.architecture.workload(genotype[:cut]))
            accuracy[known] = estimator.one(
                Request((), network, numerics_of(np.array(known.numerics)), 1.0, 3)
            ).accuracy
        error[i] = 1 - accuracy[known]
    return space, genotypes, costs, error


def _asked(space, genotypes, archive=None):
    """What `evaluate` takes: the pairs, at full fidelity, what is known of accuracies, and a generator."""
    known = (archive or Archive(space, OBJECTIVES)).known()
    return Proposal.full(genotypes), known, np.random.default_rng(0)


def _full_costs(space, genotypes):
    """Costs of all pairs without any pruning, through the public evaluation."""
    from hwmodels.evaluate import evaluate_pairs

    networks, devices = space.split(genotypes)
    lowered = space.architecture.lower(networks, COMPILED)
    table = space.hardware.table(devices)
    found = evaluate_pairs(
        space.hardware.model, lowered.table, table, network=lowered.network, config=np.arange(len(genotypes))
    )
    feasible = found.infeasible == 0
    return {name: np.where(feasible, values, np.inf) for name, values in found.columns.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), tightness=st.floats(0.2, 1.0), n_known=st.integers(0, 300))
def test_sound_pruning_keeps_every_pair_of_the_true_front(everything, seed, tightness, n_known):
    space, genotypes, costs, error = everything
    rng = np.random.default_rng(seed)
    limits = {
        name: float(np.nanquantile(costs[np.isfinite(costs[:, k]), k], tightness)) for k, name in enumerate(OBJECTIVES)
    }
    feasible = (costs <= np.array(list(limits.values()))).all(axis=1)
    front = np.flatnonzero(feasible)[non_dominated(np.column_stack([error, costs])[feasible])]
    fast = FastLevel(space, COMPILED, objectives=OBJECTIVES, constraints=limits)
    archive = _archive_of(space, fast, genotypes, costs, error, rng.permutation(np.flatnonzero(feasible))[:n_known])
    order = rng.permutation(len(genotypes))
    verdicts = fast.evaluate(*_asked(space, genotypes[order], archive))
    lost = [fast.reasons.names[r] for r in verdicts.reason[np.isin(order, front)] if r != KEPT]
    assert not lost


def _archive_of(space, fast, genotypes, costs, error, chosen):
    archive = Archive(space, OBJECTIVES)
    numerics = space.hardware.numerics(space.split(genotypes[chosen])[1]) if len(chosen) else np.empty((0, 9))
    for i, row in zip(chosen, numerics, strict=True):
        estimate = Estimate(float(error[i]), 0.0, {}, 1.0, "k")
        named = dict(zip(OBJECTIVES, costs[i].tolist(), strict=True))
        archive.add(Member(tuple(genotypes[i].tolist()), tuple(row.tolist()), named, "k", estimate, 0))
    return archive


def test_every_reason_is_true_and_pruning_is_not_vacuous(everything):
    space, genotypes, costs, error = everything
    finite = costs[np.isfinite(costs).all(axis=1)]
    limits = {name: float(np.quantile(finite[:, k], 0.5)) for k, name in enumerate(OBJECTIVES)}
    limits["latency_s"] = float(np.quantile(finite[:, 1], 0.2))
    fast = FastLevel(space, COMPILED, objectives=OBJECTIVES, constraints=limits)
    archive = _archive_of(space, fast, genotypes, costs, error, np.flatnonzero(np.isfinite(costs).all(axis=1))[::3])
    twice = np.concatenate([genotypes, genotypes[:5]])
    verdicts = fast.evaluate(*_asked(space, twice, archive))
    names = np.array(fast.reasons.names)[verdicts.reason]
    assert (names[-5:] == "duplicate").all()
    for k, name in enumerate(OBJECTIVES):
        over = costs[:, k] > limits[name]
        assert over[(names[:-5] == f"constraint {name}") | (names[:-5] == f"bound {name}")].all()
    misfits = np.char.startswith(names[:-5], "infeasible")
    assert misfits.any()
    assert np.isinf(costs[misfits]).all()
    assert np.isfinite(costs[names[:-5] == "kept"]).all()
    met = set(names.tolist())
    assert {"kept", "duplicate", "constraint area_mm2", "bound latency_s"} <= met
    assert "dominated by a proven accuracy" in met
    assert sum(fast.reasons.counts(verdicts.reason).values()) + (verdicts.reason == KEPT).sum() == len(twice)


def test_costs_of_the_survivors_are_those_of_a_single_evaluation():
    space = toy_space()
    genotypes = space.sample(200, np.random.default_rng(0))
    fast = FastLevel(space, COMPILED, objectives=OBJECTIVES, constraints={})
    verdicts = fast.evaluate(*_asked(space, genotypes))
    for i in verdicts.survivors[:10]:
        network, chip = space.split(verdicts.genotypes[i : i + 1])
        workload = rewrite(space.architecture.workload(network[0]), COMPILED)
        report = evaluate(workload, space.hardware.model, space.hardware.spec(chip[0]))
        for name in OBJECTIVES:
            assert verdicts.costs[name][i] == pytest.approx(report.total(name), rel=1e-12)


@pytest.mark.parametrize("semantics", [COMPILED, EAGER], ids=["compiled", "eager"])
def test_a_cell_costs_what_its_runtime_executes(semantics):
    """Equal cells share an accuracy; they share a cost only where the runtime drops what makes them differ."""
    chip = device("systolic_edge")
    hardware = HardwareSpace(chip.model, chip.spec, {"array_rows": [16, 32]})
    space = JointSpace(CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8)), hardware)
    genotypes = space.sample(400, np.random.default_rng(5))
    fast = FastLevel(space, semantics, objectives=("energy_j",), constraints={})
    costed = ~np.isnan(fast.evaluate(*_asked(space, genotypes)).costs["energy_j"])
    verdicts = fast.evaluate(*_asked(space, genotypes[costed][:40]))
    for i in np.flatnonzero(~np.isnan(verdicts.costs["energy_j"])):
        network, design = space.split(genotypes[costed][i : i + 1])
        executed = rewrite(space.architecture.workload(network[0]), semantics)
        report = evaluate(executed, hardware.model, hardware.spec(design[0]))
        assert verdicts.costs["energy_j"][i] == pytest.approx(report.total("energy_j"), rel=1e-12)
        assert verdicts.costs["macs"][i] == executed.macs


def test_dominance_never_crosses_an_accuracy_class():
    """Two pairs of one network that differ in ADC bits alone: the cheaper one must not remove the other."""
    space = toy_space()
    base = np.zeros(space.n_genes, np.int64)
    adc = [gene.name for gene in space.genes].index("adc_bits")
    fine = [gene.name for gene in space.genes].index("tiles")
    base[fine] = 2  # enough tiles for any network of the space
    both = np.stack([base, base])
    both[0, adc], both[1, adc] = 0, 2
    fast = FastLevel(space, COMPILED, objectives=("energy_j",), constraints={})
    verdicts = fast.evaluate(*_asked(space, both))
    assert verdicts.costs["energy_j"][0] < verdicts.costs["energy_j"][1]
    assert (verdicts.reason == KEPT).all()


def test_a_better_pair_of_the_same_class_does_prune():
    space = toy_space()
    names = [gene.name for gene in space.genes]
    base = np.zeros(space.n_genes, np.int64)
    base[names.index("tiles")] = 1
    larger = base.copy()
    larger[names.index("tiles")] = 2  # only more silicon, same arithmetic
    fast = FastLevel(space, COMPILED, objectives=("energy_j", "area_mm2"), constraints={})
    verdicts = fast.evaluate(*_asked(space, np.stack([base, larger])))
    assert fast.reasons.names[verdicts.reason[1]] == "dominated in its accuracy class"
    assert verdicts.reason[0] == KEPT


def test_only_a_proven_accuracy_prunes_across_classes():
    costs, known = np.array([[2.0, 2.0]]), np.array([[1.0, 1.0]])
    assert not dominated_by_known(costs, np.array([0.0]), known, np.array([0.1]))[0]
    assert dominated_by_known(costs, np.array([0.2]), known, np.array([0.1]))[0]
    assert dominated_by_known(costs, np.array([0.0]), known, np.array([0.0]))[0]


def test_reason_codes_fit_int8_and_are_distinct():
    reasons = Reasons(constraints=["a", "b"], infeasible=["x", "y"])
    assert len(set(reasons.names)) == len(reasons.names) < 128
    assert reasons.names[reasons.first_infeasible] == "infeasible: x"


def test_class_arrays_of_nothing_have_the_right_width():
    architectures, numerics, fidelity = class_arrays([], 6)
    assert architectures.shape == (0, 6)
    assert numerics.shape[0] == fidelity.shape[0] == 0


def test_a_guess_by_capacity_needs_equal_numerics_and_a_lower_cost():
    costs = np.array([[1.0, 1.0], [2.0, 2.0], [2.0, 2.0], [2.0, 2.0]])
    capacity = np.array([10.0, 10.0, 11.0, 5.0])
    numerics = np.array([0, 0, 0, 1])
    assert dominated_at_capacity(costs, capacity, numerics).tolist() == [False, True, False, False]
