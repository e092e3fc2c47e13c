"""`neat` on exclusive or, as published, beside evolution of the same genotypes and random search.

    python benchmarks/tables/neat.py [--seeds 100] [--most 20000]

Writes `benchmarks/results/neat.md`. The protocol of Stanley and Miikkulainen [Evolutionary Computation 10(2), 2002,
section 4.2]: inputs 0 and 1, one sigmoid output, fitness (4 - sum of |errors|)^2, populations of 150; a network has
solved it whose output lies on the right side of .5 for all four inputs. Settings are the defaults; nothing was tuned
on this. Every strategy is told the same error, the mean of |errors|. Evaluations are networks told, up to the first
that solves it; champions go on without one. A search that has not solved it after `--most` counts as that many.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.registry import STRATEGIES
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.space.neurons import NeuronSpace
from codesign.strategy.base import Problem, Results
from codesign.testing.strategy import MemoryBlobs
from hwmodels.catalog import device

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "neat.md"
INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
TARGETS = np.array([0, 1, 1, 0], np.float64)
POPULATION = 150
SLOTS, PLACES = 16, 6
SETTINGS: dict[str, dict[str, Any]] = {
    "neat": {"name": "neat", "population": POPULATION},
    "random": {"name": "random"},
    "evolution": {"name": "evolution", "population": POPULATION},
    "neat without species": {"name": "neat", "population": POPULATION, "threshold": 1e6},
}

_NOTES = """
The published networks may be recurrent, these not. Here champions go on beside the 150 that are told. Evolution changes
genes, a weight as often as a state, source or target, and starts from random networks, as random search draws them.
"""


class Solved(NamedTuple):
    """The generation that solved it, evaluations up to then, and hidden neurons and connections of the network.

    Without a solution generation 0, the most evaluations, and NaN.
    """

    generation: int
    evaluations: int
    hidden: float
    connections: float


def problem() -> Problem:
    """The networks, on one design: hardware is not searched."""
    networks = NeuronSpace(connections=SLOTS, hidden=PLACES, output="sigmoid", input_shape=(2, 1, 1), outputs=1)
    chip = device("stm32h743")
    joint = JointSpace(networks, HardwareSpace(chip.model, chip.spec, {}))
    return Problem(joint, joint, (), lambda genotypes: np.empty((len(genotypes), 0)), None, MemoryBlobs(), 0)


def answers_of(space: NeuronSpace, genotypes: npt.NDArray[np.int64]) -> F64:
    """Outputs of some networks for the four inputs, (P, 4)."""
    found = [space.answers(genotype, INPUTS)[:, 0] for genotype in genotypes]
    return np.array(found).reshape(len(genotypes), len(INPUTS))


def searched(section: dict[str, Any], seed: int, most: int) -> Solved:
    """One search until it has solved it."""
    own = problem()
    space = own.joint.architecture
    assert isinstance(space, NeuronSpace)
    strategy, rng = STRATEGIES.parse(section, "strategy").make(own), np.random.default_rng(seed)
    evaluations = generation = 0
    while evaluations < most:
        generation += 1
        proposal = strategy.ask(POPULATION, rng)
        answers = answers_of(space, proposal.genotypes)
        solved = ((answers > 0.5) == (TARGETS > 0.5)).all(axis=1)
        if solved.any():
            first = int(solved.argmax())
            network = space.synapses_of(space.canonical(proposal.genotypes[first][None])[0])
            hidden = len(network.hidden(space.layout))
            return Solved(generation, evaluations + first + 1, hidden, len(network.levels))
        evaluations += len(answers)
        strategy.tell(proposal, Results.exact(np.abs(answers - TARGETS).mean(axis=1)[:, None]))
    return Solved(0, most, np.nan, np.nan)


def row(name: str, found: list[Solved]) -> str:
    evaluations = np.array([one.evaluations for one in found], np.float64)
    solved = [one for one in found if one.generation]
    generations = [one.generation for one in solved]
    half = stats.t.ppf(0.975, len(found) - 1) * evaluations.std(ddof=1) / np.sqrt(len(found))
    cells = [
        name, f"{len(solved)} of {len(found)}",
        f"{np.median(generations):.0f}" if solved else "", f"{np.mean(generations):.1f}" if solved else "",
        f"{np.median(evaluations):,.0f}", f"{evaluations.mean():,.0f} ± {half:,.0f}", f"{evaluations.std(ddof=1):,.0f}",
        f"{np.mean([one.hidden for one in solved]):.2f}" if solved else "",
        f"{np.mean([one.connections for one in solved]):.2f}" if solved else "",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--most", type=int, default=15_000)
    options = parser.parse_args()
    lines = [
        "# NEAT on exclusive or\n",
        f"Written by `python benchmarks/tables/neat.py --seeds {options.seeds} --most {options.most}`: populations of "
        f"{POPULATION}, networks of up to {SLOTS} connections and {PLACES} hidden neurons. A search without a solution "
        f"counts as {options.most:,} evaluations, and in no other column. Means with 95 % intervals (Student). "
        "Settings are the defaults and were not tuned on this.\n",
        "| strategy | solved | generation, median | mean | evaluations, median | mean | deviation | hidden neurons | "
        "connections that compute |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        "| published NEAT [2002, 100 runs] | 100 of 100 | | 32 | | 4,755 | 2,553 | 2.35 | 7.48 |",
    ]
    for name, section in SETTINGS.items():
        found = [searched(section, seed, options.most) for seed in range(options.seeds)]
        lines.append(row(name, found))
        print(lines[-1], flush=True)
        RESULT.write_text("\n".join([*lines, _NOTES]), encoding="utf-8")


if __name__ == "__main__":
    main()
