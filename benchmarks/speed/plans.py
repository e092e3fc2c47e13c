"""Training plans a second: all plans of a decoder on a cluster, layer costs cached and not.

    python benchmarks/speed/plans.py [--json] [--nodes 128] [--repeats 5]

A model of 175 billion parameters on nodes of eight A100s: every split of the GPUs, microbatch, pieces of a stage,
sequence shares, recompute and ZeRO, on one core. `first_seconds` computes the kernels of every distinct share once;
`seconds` is the median of the repeats, which find them. Every plan answers seconds by cause, bytes a GPU and its
reason.
"""

from __future__ import annotations

import argparse
import json
from statistics import median
from time import process_time

from hwmodels.catalog import device
from hwmodels.families.multigpu.decoder import Decoder
from hwmodels.families.multigpu.search import all_plans
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.families.multigpu.training import Job, train

_GPT3 = Decoder(96, 12_288, 96, 49_152, 51_200, positions=2048)
"""Source: Brown et al., NeurIPS 2020, table 2.1; vocabulary as Narayanan et al., SC 2021."""


def measure(nodes: int, repeats: int) -> dict[str, float]:
    """Plans, seconds of the first call and of later ones, plans a second; processor time of one thread."""
    spec = device("dgx_a100").spec
    assert isinstance(spec, MultiGpuSpec)
    job, spec = Job(_GPT3, 2048, 12 * nodes), spec.changed({"nodes": nodes})
    plans = all_plans(job, spec)
    taken = []
    for _ in range(repeats + 1):
        start = process_time()
        train(job, plans, spec)
        taken.append(process_time() - start)
    seconds = median(taken[1:])
    return {
        "plans": plans.data.size,
        "first_seconds": taken[0],
        "seconds": seconds,
        "plans_per_s": plans.data.size / seconds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    result = measure(given.nodes, given.repeats)
    print(json.dumps(result) if given.json else "\n".join(f"{name}: {value:.6g}" for name, value in result.items()))
