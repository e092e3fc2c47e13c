"""Weight inheritance in evolution: what it finds at equal epochs, and how it ranks children.

    python benchmarks/tables/inheritance.py [--seeds 6] [--epochs 160] [--children 40] [--keep FILE.json]

Writes `benchmarks/results/inheritance.md`. Regularised evolution of chains by validation error alone, in three ways to
judge a network, each until its trainings have taken the same epochs in total: full trainings; the same evolution with
`inheriting`, children for a quarter of the epochs; and trainings from new weights for a quarter of the epochs, which
shows what of the gain is the shorter trainings'. The found network is the best on validation; its test accuracy is
reported, and that of its architecture trained in full from new weights of another seed. Seeds are paired: data, space,
first networks. With `--keep` what is measured is written to a file, or read from it where it is there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr, t

from codesign.data import Dataset, load
from codesign.estimate.base import Ancestor, Estimate, MemoryWeights, Request
from codesign.estimate.inheritance import InheritingEstimator
from codesign.estimate.recipe import Recipe
from codesign.space.chain import ChainSpace
from codesign.strategy.base import Results
from codesign.strategy.evolution import RegularisedEvolution
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision

F64 = npt.NDArray[np.float64]
Genotype = tuple[int, ...]

RESULT = Path(__file__).parents[1] / "results" / "inheritance.md"
DATA = ("digits", "noisy-digits")
RECIPE = Recipe(epochs=8)
SHARE = 0.25
WIDTHS = (2, 3, 4, 6)  # so narrow that digits tell networks apart
ARMS = ("full", "inheriting", "short")
_BATCH = 4  # networks of a round of evolution
_DRAWS = 2000  # of the bootstrap


class Found(NamedTuple):
    """The best network of an evolution. anew : its architecture, trained in full from new weights."""

    networks: int
    validation: float
    test: float
    validation_anew: float
    test_anew: float


class Judge:
    """Estimates of chains by genotype, with the lineage of each and the epochs that all took."""

    def __init__(self, data: Dataset, arm: str, seed: int) -> None:
        self.space = ChainSpace(
            stages=3, width=WIDTHS, bits=(32,), input_shape=data.shape, classes=data.classes,
            precision=Precision(32, 32),
        )  # fmt: skip
        self.arm, self.seed, self.epochs = arm, seed, 0
        self.estimator = InheritingEstimator(data, RECIPE, MemoryWeights(), epochs_inherited=SHARE)
        self.known: dict[Genotype, Estimate] = {}
        self.lineage: dict[Genotype, tuple[Ancestor, ...]] = {}

    def __call__(self, genotype: Genotype, parent: Genotype | None = None) -> Estimate:
        """The estimate of a network, trained once; `parent` is one that was."""
        if genotype not in self.known:
            inherits = self.arm == "inheriting" and parent is not None
            fidelity = SHARE if self.arm == "short" else 1.0
            own = Ancestor(self.space.workload(np.array(genotype)), fidelity)
            older = self.lineage[parent] if inherits and parent is not None else ()
            request = Request(genotype, own.workload, FLOAT, fidelity, self.seed, older)
            ((_, self.known[genotype]),) = self.estimator.estimate([request])
            self.lineage[genotype] = (own, *older)
            if self.known[genotype].trained:
                self.epochs += RECIPE.epochs_at(SHARE if inherits or self.arm == "short" else 1.0)
        return self.known[genotype]


def evolved(data: Dataset, arm: str, seed: int, epochs: int) -> Found:
    """One evolution until its trainings have taken so many epochs."""
    judge, rng = Judge(data, arm, seed), np.random.default_rng(seed)
    strategy = RegularisedEvolution(judge.space, population=12, sample=4, immigrants=0.0)
    proposal = strategy.ask(8, rng)
    while judge.epochs < epochs:
        parents = proposal.parents if proposal.parents is not None else np.full_like(proposal.genotypes, -1)
        errors = np.full(len(parents), np.nan)
        for i, (own, parent) in enumerate(zip(proposal.genotypes.tolist(), parents.tolist(), strict=True)):
            if judge.epochs < epochs:
                errors[i] = judge(tuple(own), None if parent[0] < 0 else tuple(parent)).error
        strategy.tell(proposal, Results.exact(errors[:, None]))
        proposal = strategy.ask(_BATCH, rng)
    best = min(judge.known, key=lambda genotype: judge.known[genotype].error)
    # Another seed: the full trainings of an evolution were chosen by, those anew were not.
    anew = Judge(data, "full", seed + 1000)(best)
    one = judge.known[best]
    return Found(len(judge.known), one.accuracy, one.accuracy_test, anew.accuracy, anew.accuracy_test)


def ranked(data: Dataset, children: int) -> dict[str, list[float]]:
    """Validation errors of children of six trained networks, by each way to judge them."""
    judges = {arm: Judge(data, arm, 0) for arm in ARMS} | {"other seed": Judge(data, "full", 1)}
    space, rng = judges["full"].space, np.random.default_rng(0)
    parents = [tuple(row) for row in space.sample(6, rng).tolist()]
    for parent in parents:
        judges["inheriting"](parent)
    found: dict[str, list[float]] = {name: [] for name in (*judges, "parameters")}
    seen = set(parents)
    while len(seen) < children + len(parents):
        parent = parents[len(seen) % len(parents)]
        child = tuple(space.mutate(np.array([parent]), rng)[0].tolist())
        if child in seen:
            continue
        seen.add(child)
        for name, judge in judges.items():
            found[name].append(judge(child, parent).error)
        found["parameters"].append(-float(space.workload(np.array(child)).parameters))
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All evolutions and rankings, as JSON."""
    evolutions, rankings = [], {}
    for name in DATA:
        data = load(name)
        for seed in range(options.seeds):
            for arm in ARMS:
                found = evolved(data, arm, seed, options.epochs)
                evolutions.append([name, seed, arm, *found])
                print(name, seed, arm, found, flush=True)
        rankings[name] = ranked(data, options.children)
        print(name, "ranked", flush=True)
    return {"evolutions": evolutions, "rankings": rankings}


def _spearman(one: F64, other: F64) -> str:
    """Rank correlation with the interval of 95 % of a bootstrap over networks."""
    rng, draws = np.random.default_rng(0), []
    for _ in range(_DRAWS):
        rows = rng.integers(len(one), size=len(one))
        draws.append(spearmanr(one[rows], other[rows]).statistic)
    low, high = np.nanpercentile(draws, (2.5, 97.5))
    return f"{spearmanr(one, other).statistic:.2f} [{low:.2f}, {high:.2f}]"


class Difference(NamedTuple):
    """A mean over paired seeds in points, and half of the interval of 95 % of Student's t."""

    points: float
    half: float

    @classmethod
    def of(cls, values: F64, baseline: F64) -> Difference:
        apart = 100 * (values - baseline)
        return cls(float(apart.mean()), float(t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))))

    def __str__(self) -> str:
        return f"{self.points:+.2f} +- {self.half:.2f}"

    @property
    def verdict(self) -> str:
        if abs(self.points) <= self.half:
            return "no difference beyond the seeds'"
        return "better" if self.points > 0 else "worse"


_COLUMNS = ("networks", "validation", "test", "validation anew", "test anew")


def evolution_lines(evolutions: list[list[Any]], name: str) -> list[str]:
    """A row an arm: means over seeds, and differences to full trainings."""
    by_arm = _by_arm(evolutions, name)
    head = "| trainings | " + " | ".join(_COLUMNS) + " | test against full, points | test anew against full, points |"
    lines = [head, "|" + " --- |" * (len(_COLUMNS) + 3)]
    for arm, rows in by_arm.items():
        means = [f"{rows[:, 0].mean():.0f}", *(f"{100 * value:.2f}" for value in rows[:, 1:].mean(axis=0))]
        against = ["", ""] if arm == "full" else [str(Difference.of(rows[:, i], by_arm["full"][:, i])) for i in (2, 4)]
        lines.append(f"| {arm} | " + " | ".join([*means, *against]) + " |")
    return lines


def _by_arm(evolutions: list[list[Any]], name: str) -> dict[str, F64]:
    return {arm: np.array([row[3:] for row in evolutions if row[:3:2] == [name, arm]], float) for arm in ARMS}


def verdict_lines(content: dict[str, Any]) -> list[str]:
    """What comes out, a line a data set; at full epochs of all, to say whether architectures or weights are better."""
    lines = []
    for name in DATA:
        arms = _by_arm(content["evolutions"], name)
        found, anew = (Difference.of(arms["inheriting"][:, i], arms["full"][:, i]) for i in (2, 4))
        ranks = {key: np.array(values) for key, values in content["rankings"][name].items()}
        own, short = (spearmanr(ranks[key], ranks["full"]).statistic for key in ("inheriting", "short"))
        lines.append(
            f"- {name}: test accuracy of the network found with inherited weights against full trainings: "
            f"{found} points, {found.verdict}; of its architecture trained anew: {anew} points, {anew.verdict}. "
            f"Rank correlation of children with full trainings: {own:.2f} with inherited weights, {short:.2f} from new "
            "weights for as many epochs."
        )
    return lines


def ranking_lines(found: dict[str, list[float]]) -> list[str]:
    """A row a judge: rank correlation with full trainings."""
    full = np.array(found["full"])
    names = {
        "inheriting": "inheriting, a quarter of the epochs", "short": "from new weights, a quarter of the epochs",
        "parameters": "number of parameters", "other seed": "full, another seed (what a ranking can reach)",
    }  # fmt: skip
    lines = [
        "| judged by | Spearman with full trainings [95 %] | mean validation accuracy (%) |",
        "| --- | --- | --- |",
    ]
    for key, name in names.items():
        mean = "" if key == "parameters" else f"{100 * (1 - np.mean(found[key])):.2f}"
        lines.append(f"| {name} | {_spearman(np.array(found[key]), full)} | {mean} |")
    return [*lines, f"\nFull trainings: {100 * (1 - full.mean()):.2f} % on average, {100 * full.std():.2f} % apart."]


def report(content: dict[str, Any], options: argparse.Namespace) -> str:
    parts = [
        "# Weight inheritance in evolution\n",
        "Written by `python benchmarks/tables/inheritance.py`. Chains of three stages (kernel 1, 3, 5; 2 to 6 "
        f"channels; one or two layers; stride 1 or 2), the default recipe: {RECIPE.epochs} epochs, those that inherit "
        f"{RECIPE.epochs_at(SHARE)}. Regularised evolution, population 12, tournaments of 4, eight networks at first, "
        f"{_BATCH} a round, until its trainings have taken {options.epochs} epochs; {options.seeds} paired seeds. "
        "Accuracies in %, of the best network on validation; anew: its architecture, trained in full from "
        "new weights of another seed, so that what was chosen by is not what is scored. "
        "Intervals of differences: 95 %, Student's t over seeds. Nothing is fitted.\n",
        "What comes out:\n",
        *verdict_lines(content),
        "\nWeights that are handed on hold the epochs of all ancestors: a gain of the found network is one of its "
        "weights as far as its architecture, trained anew, does not show it.",
    ]
    for name in DATA:
        parts += [f"\n## {name}\n", *evolution_lines(content["evolutions"], name)]
        children = len(content["rankings"][name]["full"])
        parts += [f"\nThe ranking of {children} children of six trained networks:\n"]
        parts += ranking_lines(content["rankings"][name])
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6, help="paired evolutions")
    parser.add_argument("--epochs", type=int, default=160, help="of all trainings of an evolution")
    parser.add_argument("--children", type=int, default=40, help="networks of the ranking")
    parser.add_argument("--keep", type=Path, help="file of what was measured")
    options = parser.parse_args()
    if options.keep is not None and options.keep.exists():
        content = json.loads(options.keep.read_text(encoding="utf-8"))
    else:
        content = measure(options)
        if options.keep is not None:
            options.keep.write_text(json.dumps(content), encoding="utf-8")
    text = report(content, options)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
