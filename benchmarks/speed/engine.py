"""What the engine of a search costs beside training: milliseconds a trained candidate, microseconds a pruned pair.

    python benchmarks/speed/engine.py [--json] [--repeats 3] [--executors serial process] [--workers 2]
                                      [--hardware joint front]

The estimator answers at once, under the keys and with weights of the size that the real one would have; everything
else is the search: choosing, lowering, content keys, the executor, the store with its fsyncs, archive and strategy.
Per trained candidate counts all that is not the FAST level, its estimates included. The first generation compiles
and starts the workers; it is left out. Medians over repeats. `joint` samples pairs and writes a row for each; `front`
meets every design of the grid for each network, and its pruned pairs are counts.

    python benchmarks/speed/engine.py --training [--config examples/quickstart.yaml] [--workers 2]

runs the search of a configuration with real trainings, in turn in one process and on worker processes, and gives the
seconds of its SLOW level.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from zlib import crc32

from codesign.app.config import load_config
from codesign.app.run import Run, begin
from codesign.data import load
from codesign.estimate.base import CarriedWeights, Estimate, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.two_level.slow import SlowLevel

CONFIG = Path(__file__).parents[2] / "examples/quickstart.yaml"
PAIRS = {"joint": 40_000, "front": 4_000_000}  # a generation
WEIGHTS = bytes(55_206)  # of the first network that the quickstart trains


class NullEstimator(TrainingEstimator):
    """The keys of a training without the training."""

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            key = self.training_key(request)
            if self.weights.get(key) is None:
                self.weights.put(key, WEIGHTS, 0.0)
            accuracy = crc32(f"{key} {request.numerics}".encode()) / 2**32
            yield (
                position,
                Estimate.of_accuracy(
                    accuracy, accuracy, spread=0.0, draws=(accuracy,), fidelity=request.fidelity, key=key, trained=True
                ),
            )


def overhead(executor: Mapping[str, Any], hardware: str, *, generations: int, trainings: int) -> dict[str, float]:
    """One search with the null estimator."""
    settings = {
        "generations": generations,
        "slow.trainings": trainings,
        "executor": json.dumps(dict(executor)),
        "hardware.search": hardware,
        "fast.pairs": PAIRS[hardware],
    }
    config = load_config(CONFIG, [f"{key}={value}" for key, value in settings.items()])
    with tempfile.TemporaryDirectory() as folder:
        run = begin(config, Path(folder) / "run")
        _without_training(run)
        stamps: list[float] = []
        run.go(lambda event: stamps.append(perf_counter()) if event.level in ("fast", "done") else None)
        ledgers = [generation.ledger for generation in run.store.generations()][1:]
        run.store.close()
    seconds = stamps[-1] - stamps[1]
    fast = sum(ledger.seconds["fast"] for ledger in ledgers)
    trained = sum(ledger.trained for ledger in ledgers)
    pruned = sum(sum(ledger.pruned.values()) for ledger in ledgers)
    return {
        "ms_a_trained_candidate": 1e3 * (seconds - fast) / trained,
        "us_a_pruned_pair": 1e6 * fast / pruned,
        "trained": trained,
        "estimates": sum(ledger.estimates for ledger in ledgers),
        "pruned": pruned,
    }


def _without_training(run: Run) -> None:
    """Put the null estimator where the real one is."""
    slow = run.parts.slow
    null = NullEstimator(load(run.config.data.name), run.config.estimator.settings.recipe, CarriedWeights())
    without = SlowLevel(slow.space, null, fidelity=slow.fidelity, seed=slow.seed, executor=slow.executor)
    run.parts = replace(run.parts, slow=without)


def training(path: Path, workers: int, repeats: int) -> dict[str, float]:
    """Seconds of the SLOW level with real trainings, in this process and on workers, in turn."""
    seconds: dict[str, list[float]] = {"serial": [], "process": []}
    for _ in range(repeats):
        for name, section in (("serial", {"name": "serial"}), ("process", {"name": "process", "workers": workers})):
            with tempfile.TemporaryDirectory() as folder:
                run = begin(load_config(path, [f"executor={json.dumps(section)}"]), Path(folder) / "run")
                run.go()
                slow = sum(generation.ledger.seconds["slow"] for generation in run.store.generations())
                seconds[name].append(slow)
                run.store.close()
    ratios = [one / many for one, many in zip(*seconds.values(), strict=True)]
    best = {f"{name}_slow_s": median(values) for name, values in seconds.items()}
    return best | {"speed_up": median(ratios), "least_speed_up": min(ratios), "workers": workers}


def measure(executors: list[str], searches: list[str], workers: int, repeats: int) -> dict[str, Any]:
    """Medians of the overhead on each executor, with each way to search hardware."""
    result: dict[str, Any] = {}
    for name, hardware in product(executors, searches):
        section = {"name": name} if name == "serial" else {"name": name, "workers": workers}
        runs = [overhead(section, hardware, generations=4, trainings=50) for _ in range(repeats)]
        result |= {f"{name}_{hardware}_{key}": median(run[key] for run in runs) for key in runs[0]}
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--executors", nargs="+", default=["serial", "process"])
    parser.add_argument("--hardware", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--training", action="store_true", help="real trainings, in one process and on workers")
    parser.add_argument("--config", type=Path, default=CONFIG, help="configuration for --training")
    options = parser.parse_args()
    if options.training:
        figures = training(options.config, options.workers, options.repeats)
    else:
        figures = measure(options.executors, options.hardware, options.workers, options.repeats)
    lines = (f"{name:40}{value:14.4g}" for name, value in figures.items())
    print(json.dumps(figures) if options.json else "\n".join(lines))


if __name__ == "__main__":
    # Workers import classes by the module's name, which is not __main__ for them.
    from engine import main as run_main

    run_main()
