"""NEAT: markings, alignment, distance, species and their shares by hand, invariants of a search, and exclusive or."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.registry import STRATEGIES
from codesign.space.neurons import NeuronSpace
from codesign.space.synapses import Layout, Synapses, topological
from codesign.strategy.base import Problem, Results
from codesign.strategy.innovation import (
    Genome,
    History,
    aligned,
    connected,
    crossed,
    distance,
    marked,
    packed,
    split,
    unpacked,
)
from codesign.strategy.neat import NEAT
from codesign.strategy.species import Species, assigned, quotas, shared
from codesign.testing.strategy import neuron_problem, toy_problem
from hwmodels.errors import SpecError

LAYOUT = Layout(2, 1)  # inputs 0 and 1, bias 2, output 3, hidden neurons from 4
WEIGHTS = np.linspace(-8, 8, 257)
NONE = np.empty(0, np.int64)


def genome(numbers: list[int], levels: list[int] | None = None, enabled: list[bool] | None = None) -> Genome:
    """Genes of given numbers, between neurons that follow from the number."""
    rows = [(number, 100 + number, 0, True) for number in numbers]
    synapses = Synapses.of(rows)
    if levels is not None:
        synapses = synapses._replace(levels=np.array(levels))
    if enabled is not None:
        synapses = synapses._replace(enabled=np.array(enabled))
    return Genome(np.array(numbers), synapses, NONE)


def minimal(history: History) -> Genome:
    return marked(Synapses.of([(source, 3, 128, True) for source in range(3)]), NONE, history)


def test_matching_disjoint_and_excess_genes_by_hand() -> None:
    """The genomes of figure 4 of the paper: 1 to 5 and 8 against 1 to 7 without 8 but with 9 and 10."""
    left, right = genome([1, 2, 3, 4, 5, 8]), genome([1, 2, 3, 4, 5, 6, 7, 9, 10])
    mine, theirs = aligned(left, right)
    assert left.innovations[mine].tolist() == right.innovations[theirs].tolist() == [1, 2, 3, 4, 5]
    # Disjoint: 6, 7 and 8; excess: 9 and 10.
    for first, second in ((left, right), (right, left)):
        assert distance(first, second, WEIGHTS, (1.0, 0.0, 0.0)) == 2
        assert distance(first, second, WEIGHTS, (0.0, 1.0, 0.0)) == 3
    assert distance(left, left, WEIGHTS, (1.0, 1.0, 1.0)) == 0
    # A last gene that matches is no excess; the one that is missing before it is disjoint.
    assert distance(genome([1, 2, 3]), genome([1, 3]), WEIGHTS, (10.0, 1.0, 0.0)) == 1


def test_weights_count_by_their_mean_difference_and_large_genomes_by_their_size() -> None:
    left, right = genome([1, 2, 5], [128, 144, 0]), genome([1, 2, 6], [144, 96, 0])
    assert distance(left, right, WEIGHTS, (0.0, 0.0, 0.4)) == pytest.approx(0.4 * (1.0 + 3.0) / 2)
    whole, part = genome(list(range(25))), genome(list(range(20)))
    assert distance(whole, part, WEIGHTS, (1.0, 1.0, 0.4)) == pytest.approx(5 / 25)
    assert distance(genome(list(range(19))), genome(list(range(9))), WEIGHTS, (1.0, 1.0, 0.4)) == 10


def test_the_same_mutation_has_the_same_number_within_a_generation() -> None:
    history = History(LAYOUT, places=4)
    start = minimal(history)
    reserved = history.reserved
    first, second = (split(start, 144, LAYOUT, history, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.innovations, second.innovations)
    assert first.synapses.hidden(LAYOUT) == second.synapses.hidden(LAYOUT) == [reserved]
    history.turn()
    later = split(start, 144, LAYOUT, history, np.random.default_rng(3))
    assert later.synapses.hidden(LAYOUT) == [reserved + 1]
    assert len(np.intersect1d(later.innovations, first.innovations)) == 3  # the genes of the start
    # A connection between neurons that have their numbers from the layout has its own from them, in any generation.
    assert history.connection(0, 3) == start.innovations[0]


def test_a_split_keeps_the_weight_behind_and_one_before() -> None:
    history = History(LAYOUT, places=4)
    start = marked(Synapses.of([(0, 3, 200, True), (1, 3, 90, False)]), NONE, history)
    child = split(start, 144, LAYOUT, history, np.random.default_rng(0)).synapses
    neuron = child.hidden(LAYOUT)[0]
    found = {pair: (level, on) for pair, level, on in zip(child.pairs(), child.levels, child.enabled, strict=True)}
    assert found == {
        (0, 3): (200, False), (1, 3): (90, False), (0, neuron): (144, True), (neuron, 3): (200, True)
    }  # fmt: skip
    off = marked(Synapses.of([(0, 3, 200, False)]), NONE, history)
    assert split(off, 144, LAYOUT, history, np.random.default_rng(0)) is off


def test_a_connection_joins_what_was_apart() -> None:
    history = History(LAYOUT, places=4)
    start = marked(Synapses.of([(0, 3, 200, True), (2, 3, 0, True)]), NONE, history)
    child = connected(start, 7, LAYOUT, history, np.random.default_rng(0))
    assert set(child.synapses.pairs()) - set(start.synapses.pairs()) == {(1, 3)}
    assert connected(child, 7, LAYOUT, history, np.random.default_rng(0)) is child


def test_a_child_has_the_structure_of_the_fitter_and_weights_of_both() -> None:
    fitter, other = genome([1, 2, 4], [10, 20, 30], [True, False, True]), genome([1, 2, 3, 9], [11, 21, 31, 41])
    rng = np.random.default_rng(0)
    children = [crossed(fitter, other, rng) for _ in range(4000)]
    assert all(np.array_equal(child.innovations, fitter.innovations) for child in children)
    levels = np.array([child.synapses.levels for child in children])
    assert set(levels[:, 0]) == {10, 11}
    assert set(levels[:, 1]) == {20, 21}
    assert set(levels[:, 2]) == {30}
    assert abs((levels[:, 0] == 11).mean() - 0.5) < 4.5 * np.sqrt(0.25 / 4000)
    enabled = np.array([child.synapses.enabled for child in children])
    assert enabled[:, [0, 2]].all()
    assert abs(enabled[:, 1].mean() - 0.25) < 4.5 * np.sqrt(0.1875 / 4000)  # stays disabled in three of four


def test_a_genome_joins_the_first_species_that_is_near() -> None:
    numbers = [genome([i]) for i in (0, 1, 10, 11, 30)]
    found, known = assigned(
        numbers, [genome([11])], lambda a, b: abs(float(a.innovations[0] - b.innovations[0])), threshold=3.0
    )
    assert found.tolist() == [1, 1, 0, 0, 2]
    assert [int(one.innovations[0]) for one in known] == [11, 0, 30]


def test_shared_fitness_gives_children() -> None:
    """Three alike in a crowded species have no more children than one alone."""
    shares = shared(np.array([0.6, 0.6, 0.6, 0.6]), np.array([0, 0, 0, 1]), 2)
    assert quotas(shares, 10).tolist() == [5, 5]
    assert quotas(np.zeros(3), 4).sum() == 4


def test_genomes_are_packed_and_unpacked() -> None:
    genomes = [genome([1, 5], [3, 4], [True, False]), genome([]), genome([2])]
    for before, after in zip(genomes, unpacked(packed(genomes)), strict=True):
        assert np.array_equal(before.innovations, after.innovations)
        assert all(np.array_equal(a, b) for a, b in zip(before.synapses, after.synapses, strict=True))
    assert unpacked(packed([])) == []


# A search.


def made(problem: Problem, **settings: object) -> NEAT:
    found: NEAT = STRATEGIES.parse({"name": "neat", **settings}, "strategy").make(problem)
    return found


def told(strategy: NEAT, error: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One round on a made-up error; the points."""
    proposal = strategy.ask(len(error), rng)
    strategy.tell(proposal, Results.exact(np.column_stack([error, np.ones(len(error))])))
    return proposal.genotypes


def test_invariants_of_genomes_as_they_grow() -> None:
    """No number twice in a genome, one connection a number in all of them, no connection twice, no cycle."""
    problem = neuron_problem()
    strategy, rng = made(problem, population=20, add_neuron=0.5, add_connection=0.5), np.random.default_rng(0)
    meaning: dict[int, tuple[int, int]] = {}
    for _ in range(12):
        told(strategy, rng.random(20), rng)
        for member in strategy._members:
            assert (np.diff(member.innovations) > 0).all()
            pairs = member.synapses.pairs()
            assert len(set(pairs)) == len(pairs)
            topological(member.synapses, strategy.networks.layout)
            for number, pair in zip(member.innovations.tolist(), pairs, strict=True):
                assert meaning.setdefault(number, pair) == pair
    sizes = [len(member.innovations) for member in strategy._members]
    assert max(sizes) == 10  # of all slots: they grew, and no further


def test_it_starts_from_minimal_networks() -> None:
    problem = neuron_problem()
    space = problem.joint.architecture
    assert isinstance(space, NeuronSpace)
    for start, count in (("all", 3), ("one", 2)):
        points = made(problem, start=start).ask(5, np.random.default_rng(0)).genotypes
        for point in points:
            synapses = space.synapses_of(point[: space.n_genes])
            assert (len(synapses.levels), synapses.hidden(space.layout)) == (count, [])
            assert (2, 3) in synapses.pairs()


@pytest.mark.parametrize(("stagnant", "expected"), [((0, 0), {0, 1}), ((9, 0), {0, 1}), ((0, 9), {0}), ((9, 9), {0})])
def test_a_species_that_stands_still_has_no_children_but_the_best_has(
    stagnant: tuple[int, int], expected: set[int]
) -> None:
    """Species 0 holds the best member; nine generations without progress are too many."""
    strategy, rng = made(neuron_problem(), population=12, stagnation=9), np.random.default_rng(0)
    strategy._members = [strategy._first(rng) for _ in range(8)]
    strategy._of_species = np.repeat([0, 1], 4)
    errors = np.repeat([0.2, 0.4], 4)
    strategy._objectives, strategy._fitness = errors[:, None], (1 - errors) ** 2
    strategy._species = [
        Species(strategy._members[4 * place], np.array([error]), generations)
        for place, (error, generations) in enumerate(zip((0.2, 0.4), stagnant, strict=True))
    ]
    strategy._plan_children(rng)
    assert set(strategy._plan.tolist()) == expected
    assert len(strategy._plan) == 12


def test_a_standstill_leaves_the_two_best_species() -> None:
    strategy, rng = made(neuron_problem(), population=12, standstill=3), np.random.default_rng(0)
    strategy._members = [strategy._first(rng) for _ in range(3)]
    strategy._of_species, errors = np.arange(3), np.array([0.5, 0.2, 0.4])
    strategy._objectives, strategy._fitness = errors[:, None], (1 - errors) ** 2
    strategy._species = [Species(strategy._members[i], errors[i : i + 1]) for i in range(3)]
    strategy._count[2] = 4
    strategy._plan_children(rng)
    assert set(strategy._plan.tolist()) == {1, 2}
    assert strategy._count[2] == 0


def test_the_champion_of_a_large_species_goes_on() -> None:
    problem = neuron_problem()
    strategy, rng = made(problem, population=8, threshold=1e6, fitness="error"), np.random.default_rng(1)
    errors = np.array([0.9, 0.8, 0.2, 0.9, 0.9, 0.9, 0.9, 0.9])
    told(strategy, errors, rng)
    told(strategy, np.full(8, 0.95), rng)
    strategy.ask(0, rng)
    assert strategy._objectives[:, 0].min() == 0.2
    assert len(strategy._members) == 8
    assert (
        strategy._members[-1]
        is min(zip(strategy._objectives[:, 0], strategy._members, strict=True), key=lambda one: one[0])[1]
    )


def test_costs_pull_only_where_they_are_to() -> None:
    """Members of equal error: the cheaper half has all parents where costs count, and half of them where not."""
    problem = neuron_problem()
    for fitness, spread in (("all", True), ("error", False)):
        strategy, rng = made(problem, population=10, fitness=fitness), np.random.default_rng(0)
        proposal = strategy.ask(10, rng)
        strategy.tell(proposal, Results.exact(np.column_stack([np.full(10, 0.3), np.arange(10.0)])))
        strategy.ask(0, rng)
        assert (np.ptp(strategy._fitness) > 0) == spread


def test_points_of_others_are_aligned_by_their_places() -> None:
    problem = neuron_problem()
    strategy = made(problem)
    points = problem.space.sample(2, np.random.default_rng(2))
    points[1] = points[0]
    first, second = (strategy._foreign(point) for point in points)
    assert np.array_equal(first.innovations, second.innovations)
    assert np.array_equal(strategy._point(first)[-1:], points[0][-1:])


@pytest.mark.parametrize("seed", [5, 6])
def test_exclusive_or_is_solved(seed: int) -> None:
    """17 and 20 generations in our runs, 40 at the mean; 300 are allowed."""
    items, targets = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0.0, 1, 1, 0])
    networks = NeuronSpace(connections=16, hidden=6, output="sigmoid")

    class Alone:
        architecture = networks

    joint: object = Alone()
    problem = Problem(networks, joint, (), lambda genotypes: np.empty((len(genotypes), 0)), None, None, 0)  # type: ignore[arg-type]
    strategy, rng = made(problem), np.random.default_rng(seed)
    for _ in range(300):
        proposal = strategy.ask(150, rng)
        answers = np.array([networks.answers(point, items)[:, 0] for point in proposal.genotypes])
        if ((answers > 0.5) == (targets > 0.5)).all(axis=1).any():
            return
        strategy.tell(proposal, Results.exact(np.abs(answers - targets).mean(axis=1)[:, None]))
    pytest.fail("not solved")


def test_other_spaces_and_too_few_slots_are_one_line() -> None:
    with pytest.raises(SpecError, match="space: neurons"):
        made(toy_problem())
    wide = NeuronSpace(connections=8, hidden=2, input_shape=(9, 1, 1))

    class Alone:
        architecture = wide

    joint: object = Alone()
    problem = Problem(wide, joint, (), lambda genotypes: np.empty((0, 0)), None, None, 0)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"connections.*at least 10.*start: one"):
        made(problem)
    assert made(problem, start="one").ask(3, np.random.default_rng(0)).genotypes.shape == (3, wide.n_genes)
