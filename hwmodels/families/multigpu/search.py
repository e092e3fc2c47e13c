"""All plans of a cluster, and the best of them: a decoder's training and serving are enumerated, not sampled.

A plan uses every GPU: data x tensor x pipeline x context = GPUs. Each is drawn out over microbatches that divide the
batch, pieces of a stage that divide the layers, sequence shares, recompute and ZeRO. Costs of layers are computed once
a share (`decoder`), and plans are arithmetic on them.

Of serving, every pool of tensor shares and stages whose GPUs divide a node or are whole nodes, at batches up to the
largest, under limits of the time to the first token and from token to token.

Decoders and clusters are enumerated with their plans (`best_designs`). Not modelled: how good a decoder is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.multigpu.decoder import Decoder
from hwmodels.families.multigpu.serving import DEFAULT_ENGINE, Engine, Pool, Request, serve
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.families.multigpu.training import FULL, NONE, REASONS, SELECTIVE, Job, Plans, Steps, train

__all__ = ["BY", "By", "all_plans", "best_designs", "best_plans", "best_pools", "measured_by",
           "ranked"]  # fmt: skip

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

By = Literal["time", "memory", "energy", "cost"]
BY: tuple[By, ...] = ("time", "memory", "energy", "cost")
"""A step's seconds, a GPU's bytes, a step's joules, and GPUs times seconds of a sequence."""
_MICROBATCHES = (1, 2, 4, 8, 16, 32)
_MOST_CONTEXTS = 8


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _splits(job: Job, spec: MultiGpuSpec) -> Iterator[tuple[int, int, int, int]]:
    """(data, tensor, pipeline, context) that use every GPU, with tensor shares inside a node."""
    gpus, model = spec.nodes * spec.gpus_per_node, job.model
    for tensor in _divisors(spec.gpus_per_node):
        if model.heads % tensor:
            continue
        for pipeline in _divisors(gpus // tensor):
            if pipeline > model.layers:
                continue
            for context in _divisors(gpus // (tensor * pipeline)):
                data = gpus // (tensor * pipeline * context)
                if context <= _MOST_CONTEXTS and job.tokens % context == 0 and job.batch % data == 0:
                    yield data, tensor, pipeline, context


def all_plans(job: Job, spec: MultiGpuSpec) -> Plans:
    """Every plan of a decoder on a cluster, those among them that memory does not hold.

    >>> gpt = Job(__import__("hwmodels.families.multigpu.decoder", fromlist=["Decoder"]).Decoder(
    ...     24, 2048, 16, 8192, 51_200), 1024, 64)
    >>> plans = all_plans(gpt, MultiGpuSpec())
    >>> set((plans.data * plans.tensor * plans.pipeline * plans.context).tolist())
    {8}
    """
    found: list[tuple[int, ...]] = []
    recomputes = (NONE, FULL) if job.model.fused_attention else (NONE, SELECTIVE, FULL)
    for data, tensor, pipeline, context in _splits(job, spec):
        experts = [e for e in _divisors(data) if not job.model.experts % e] if job.model.experts else [1]
        for microbatch in _MICROBATCHES:
            if job.batch % (data * microbatch):
                continue
            m = job.batch // (data * microbatch)
            found += [
                (data, tensor, pipeline, context, expert, microbatch, pieces, sequence, recompute, zero, 1, 0, bubble)
                for expert in experts
                for pieces in _pieces(job.model.layers, pipeline, m)
                for sequence in ((0, 1) if tensor > 1 else (0,))
                for recompute in recomputes
                for zero in ((0, 1, 2, 3) if data * context > 1 else (0,))
                for bubble in ((0, 1) if pipeline > 1 and pieces == 1 else (0,))
                # Stages keep gradients until the last microbatch, and would gather weights for each.
                if pipeline == 1 or zero < 2
            ]
    if not found:
        raise SpecError("plans", f"batch {job.batch} on {spec.nodes} x {spec.gpus_per_node} GPUs", "one that divides")
    return Plans(*np.array(found, np.int64).T.copy())


def _pieces(layers: int, pipeline: int, microbatches: int) -> list[int]:
    """Pieces of a stage: 1, and where microbatches come in whole rounds, those that divide its layers."""
    if pipeline < 2 or microbatches % pipeline or layers % pipeline:
        return [1]
    return [pieces for pieces in _divisors(layers // pipeline) if pieces <= 16]


def measured_by(job: Job, steps: Steps, spec: MultiGpuSpec, by: By) -> F64:
    """What plans are ranked by, (P,); less is better.

    energy : idle power of the cluster and the GPUs' power limit while they compute.
    """
    if by not in BY:
        raise SpecError.unknown("by", by, BY)
    gpus = float(spec.nodes * spec.gpus_per_node)
    busy_s = np.minimum(steps.compute_s + steps.recompute_s, steps.step_s)
    idle_w = spec.gpu.idle_w + spec.node_idle_w / spec.gpus_per_node
    energy_j = gpus * (busy_s * (spec.gpu.tdp_w - spec.gpu.idle_w) + steps.step_s * idle_w)
    cost = gpus * steps.step_s / job.batch
    found: F64 = {"time": steps.step_s, "memory": steps.held.total, "energy": energy_j, "cost": cost}[by]
    return found


def ranked(job: Job, steps: Steps, spec: MultiGpuSpec, *, by: By = "time") -> I64:
    """Places of the plans that run, the best first; of equals the first."""
    runs = np.flatnonzero(steps.why == 0)
    order: I64 = runs[np.argsort(measured_by(job, steps, spec, by)[runs], kind="stable")]
    return order


def best_plans(job: Job, spec: MultiGpuSpec, *, by: By = "time", count: int = 5) -> list[dict[str, Any]]:
    """The best plans as records, with the step's seconds by cause and the bytes that a GPU holds.

    Raises
    ------
    SpecError : no plan runs; names the least memory that one of them needs.
    """
    plans = all_plans(job, spec)
    steps = train(job, plans, spec)
    order = ranked(job, steps, spec, by=by)[:count]
    if not order.size:
        reason = REASONS[int(np.bincount(steps.why).argmax()) - 1]
        least = float(steps.held.total.min())
        raise SpecError("plans", reason, f"a plan that runs; the least needs {least / 1e9:.4g} GB a GPU")
    key = measured_by(job, steps, spec, by)
    return [
        {
            **{name: int(column[i]) for name, column in plans._asdict().items()},
            **{name: float(getattr(steps, name)[i]) for name in steps._fields if name.endswith("_s")},
            "held_bytes": float(steps.held.total[i]),
            by: float(key[i]),
        }
        for i in order.tolist()
    ]  # fmt: skip


def best_designs(
    jobs: Mapping[str, Job], clusters: Mapping[str, MultiGpuSpec], *, by: By = "time", count: int = 5
) -> list[dict[str, Any]]:
    """The best of all decoders on all clusters under all plans, as records of `best_plans` with both names.

    Raises
    ------
    SpecError : no decoder runs on any cluster; the reason of the last.
    """
    found: list[dict[str, Any]] = []
    reason: SpecError | None = None
    for network, job in jobs.items():
        for cluster, spec in clusters.items():
            try:
                best = best_plans(job, spec, by=by, count=count)
            except SpecError as error:
                if by not in BY:
                    raise
                reason = error
                continue
            found += [{"network": network, "cluster": cluster, **record} for record in best]
    if not found:
        raise reason or SpecError("plans", "nothing", "a decoder and a cluster at least")
    return sorted(found, key=lambda record: float(record[by]))[:count]


def _pools(model: Decoder, spec: MultiGpuSpec) -> Iterator[Pool]:
    """Shares inside a node, stages over the rest; experts in shares of layers or whole on their ranks."""
    for tensor in _divisors(spec.gpus_per_node):
        if model.heads % tensor:
            continue
        for pipeline in _divisors(spec.nodes * spec.gpus_per_node // tensor):
            if pipeline <= model.layers:
                experts = (1, tensor) if model.experts and tensor > 1 and model.experts % tensor == 0 else (1,)
                yield from (Pool(tensor, pipeline, expert) for expert in experts)


def best_pools(
    model: Decoder, spec: MultiGpuSpec, request: Request, *, first_token_s: float = np.inf, token_s: float = np.inf,
    count: int = 5, engine: Engine = DEFAULT_ENGINE,
) -> list[dict[str, Any]]:  # fmt: skip
    """The pools with the most tokens a second and GPU within the limits, one record a pool, at its best batch.

    Raises
    ------
    SpecError : no pool holds the model within the limits; names the least time from token to token.
    """
    found: list[dict[str, Any]] = []
    least = np.inf
    for pool in _pools(model, spec):
        batches = 2 ** np.arange(12)
        served = serve(model, pool, spec, request, batches, engine)
        if not served.largest:
            continue
        fits = batches <= max(served.largest, 1)
        least = min(least, float(served.token_s[fits].min()))
        good = fits & (served.token_s <= token_s) & (served.first_token_s <= first_token_s)
        if good.any():
            i = int(np.argmax(np.where(good, served.tokens_per_s_per_gpu, -1.0)))
            found.append(
                {**pool._asdict(), "batch": int(served.batch[i]), "largest": served.largest}
                | {name: float(getattr(served, name)[i]) for name in served._fields[:3]}
                | {"held_bytes": float(served.held_bytes[i])}
            )
    if not found:
        told = f"the least is {least:.4g} s from token to token" if np.isfinite(least) else "none holds the model"
        raise SpecError("pools", f"{request.prompt} + {request.answer} tokens", f"within the limits of a pool; {told}")
    return sorted(found, key=lambda record: -record["tokens_per_s_per_gpu"])[:count]
