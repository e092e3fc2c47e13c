"""`codesign.design` on digits for three devices, against the best known at the same limits.

    python benchmarks/tables/design.py [--devices rpi4 ...] [--budget "3 min"] [--seeds 3] [--networks 150]

Writes `benchmarks/results/design.md`, in which the lines of devices that are not asked for stay. What is scored is the
test accuracy of the first of the best three, which chose nothing. The best known is looked for without regard to time:
networks of the space that keep the limits, half of them random and half the largest by multiply-accumulates of many
random ones, each trained with the same recipe at full length; the best by validation, of these and of all designs, is
the best known. Beside it stand the random ones: what their best by validation reaches after as many trainings as the
design had.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import codesign
from codesign.app.assemble import dataset_of, joint_space
from codesign.app.config import parse_config
from codesign.app.design import Designed
from codesign.app.design_rules import recipe_of
from codesign.app.trained import trained_run
from codesign.store import RunStore
from codesign.two_level.cost_access import PairCostAccess
from codesign.two_level.slow import AccuracyClass
from hwmodels.workload.rewrite import RUNTIMES

RESULT = Path(__file__).parents[1] / "results" / "design.md"
DEVICES = {"rpi4": "80 us", "stm32h743": "900 us", "rram_edge": "40 us"}
"""Latency limits that about a fifth to a quarter of the networks keep."""
SAMPLED = 4_000


class Known(NamedTuple):
    """Validation and test accuracy of the networks trained, in order, and how many of them were drawn at random."""

    validation: npt.NDArray[np.float64]
    test: npt.NDArray[np.float64]
    random: int


def known(config: dict[str, Any], limit_s: float, networks: int) -> Known:
    """The accuracies of random networks within the limit, then of the largest ones."""
    data = dataset_of(parse_config(config).data)
    parsed = parse_config({**config, "estimator": {**config["estimator"], "recipe": recipe_of(data)}})
    space = joint_space(parsed, data)
    costs = PairCostAccess(space, RUNTIMES["compiled"], ("latency_s",))
    pairs = np.unique(space.canonical(space.sample(SAMPLED, np.random.default_rng(1))), axis=0)
    pairs = np.random.default_rng(2).permutation(pairs[costs(pairs)[:, 0] <= limit_s])
    sizes = np.array([space.architecture.workload(pair[: space.architecture.n_genes]).macs for pair in pairs])
    half = networks // 2
    chosen = np.concatenate([pairs[:half], pairs[half:][np.argsort(-sizes[half:], kind="stable")][:half]])
    run = trained_run(parsed)
    numerics = tuple(space.hardware.numerics(space.split(chosen[:1])[1])[0].tolist())
    wanted = [AccuracyClass(tuple(pair[: space.architecture.n_genes].tolist()), numerics) for pair in chosen]
    found: dict[AccuracyClass, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore.create(Path(folder) / "run", {})
        for one, answer in run.slow.evaluate(store, wanted):
            found[one] = answer.estimate.accuracy, answer.estimate.accuracy_test
        store.close()
    values = np.array([found[one] for one in wanted])
    return Known(values[:, 0], values[:, 1], half)


def designed(device: str, limit: str, budget: str, seed: int) -> tuple[Designed, int]:
    """A design, and the networks that it trained."""
    with tempfile.TemporaryDirectory() as folder:
        found = codesign.design(
            "digits", device, budget, {"latency_s": limit}, output=Path(folder) / "found", seed=seed
        )
        return found, codesign.load(Path(folder) / "found" / "run").ledger.trained


HEADER = (
    "device", "limit", "budget", "seed", "trainings", "seconds", "validation", "test", "known by",
    "best known: validation", "its test", "behind in test", "random, equal trainings: test",
)  # fmt: skip


def kept(devices: Sequence[str]) -> list[str]:
    """Lines of the stored table that are of other devices."""
    lines = RESULT.read_text(encoding="utf-8").splitlines() if RESULT.is_file() else []
    rows = [line for line in lines if line.startswith("| ") and line.split(" ")[1] in DEVICES]
    return [line for line in rows if line.split(" ")[1] not in devices]


def write(rows: Sequence[str]) -> None:
    order = list(DEVICES)
    text = (
        "# One call on digits\n\n"
        'Written by `python benchmarks/tables/design.py`: `codesign.design("digits", device, budget)` under a limit on '
        "the latency, on a shared host, whose load decides how many trainings fit. The best known is the best by "
        "validation of so many networks trained for it (`known by`) and of all designs of the device. Accuracies in "
        "%; one image of the validation or test split is 0.28.\n\n"
    )
    table = ["| " + " | ".join(HEADER) + " |", "| " + " | ".join("---" for _ in HEADER) + " |"]
    lines = [*table, *sorted(rows, key=lambda row: order.index(row.split(" ")[1]))]
    RESULT.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+", default=list(DEVICES), choices=list(DEVICES))
    parser.add_argument("--budget", default="3 min")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=150, help="trained for the best known")
    options = parser.parse_args()
    rows = kept(options.devices)
    for device in options.devices:
        limit = DEVICES[device]
        designs = [designed(device, limit, options.budget, seed) for seed in range(options.seeds)]
        start = perf_counter()
        others = known(dict(designs[0][0].config), float(limit.split()[0]) * 1e-6, options.networks)
        print(f"{device}: {perf_counter() - start:.0f} s for the best known", flush=True)
        pool = [(pair.objectives["accuracy"], pair.objectives["accuracy_test"]) for d, _ in designs for pair in d.best]
        pool += list(zip(others.validation.tolist(), others.test.tolist(), strict=True))
        best = max(pool)
        for seed, (found, trained) in enumerate(designs):
            own = found.best[0].objectives
            at = int(others.validation[: min(trained, others.random)].argmax())
            values = (
                device, limit, options.budget, seed, trained, f"{found.seconds:.0f}", f"{100 * own['accuracy']:.1f}",
                f"{100 * own['accuracy_test']:.1f}", options.networks, f"{100 * best[0]:.1f}", f"{100 * best[1]:.1f}",
                f"{100 * (best[1] - own['accuracy_test']):+.1f}", f"{100 * others.test[at]:.1f}",
            )  # fmt: skip
            rows.append("| " + " | ".join(map(str, values)) + " |")
            print(rows[-1], flush=True)
        write(rows)


if __name__ == "__main__":
    main()
