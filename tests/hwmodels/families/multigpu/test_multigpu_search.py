"""Plans enumerated: all of them, once each, the best by each measure, errors that name the least."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.errors import SpecError
from hwmodels.families.multigpu.decoder import Decoder
from hwmodels.families.multigpu.search import BY, all_plans, best_designs, best_plans, best_pools, ranked
from hwmodels.families.multigpu.serving import Pool, Request, serve
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.families.multigpu.training import Job, Plans, train

GPT = Decoder(24, 2048, 16, 8192, 51_200, positions=1024)
JOB = Job(GPT, 1024, 64)
SPEC = MultiGpuSpec(nodes=2)


def test_every_split_of_the_gpus_is_there_once() -> None:
    plans = all_plans(JOB, SPEC)
    rows = np.stack(plans, axis=1)
    assert len(np.unique(rows, axis=0)) == len(rows)
    product = plans.data * plans.tensor * plans.pipeline * plans.context
    assert (product == 16).all()
    found = set(zip(plans.data.tolist(), plans.tensor.tolist(), plans.pipeline.tolist(), strict=True))
    expected = {
        (d, t, p)
        for t in (1, 2, 4, 8) for p in range(1, 17) for c in (1, 2, 4, 8) for d in (1, 2, 4, 8, 16)
        if d * t * p * c == 16
    }  # fmt: skip
    assert found == expected


def test_plans_that_are_listed_are_refused_for_memory_alone() -> None:
    plans = all_plans(JOB, SPEC)
    assert set(train(JOB, plans, SPEC).why.tolist()) <= {0, 3}


@pytest.mark.parametrize("by", BY)
def test_the_first_is_the_best_of_all(by: str) -> None:
    plans = all_plans(JOB, SPEC)
    steps = train(JOB, plans, SPEC)
    order = ranked(JOB, steps, SPEC, by=by)  # type: ignore[arg-type]
    assert set(order.tolist()) == set(np.flatnonzero(steps.why == 0).tolist())
    best = best_plans(JOB, SPEC, by=by, count=1)[0]  # type: ignore[arg-type]
    gpus, busy_s = 16, np.minimum(steps.compute_s + steps.recompute_s, steps.step_s)
    busy_w, idle_w = SPEC.gpu.tdp_w - SPEC.gpu.idle_w, SPEC.gpu.idle_w + SPEC.node_idle_w / 8
    expected = {
        "time": steps.step_s, "memory": steps.held.total, "cost": gpus * steps.step_s / 64,
        "energy": gpus * (busy_s * busy_w + steps.step_s * idle_w),
    }[by]  # fmt: skip
    assert best[by] == pytest.approx(expected[steps.why == 0].min(), rel=1e-12)
    again = train(JOB, Plans(*(np.array([best[name]]) for name in Plans._fields)), SPEC)
    assert float(again.step_s[0]) == best["step_s"]


def test_decoders_clusters_and_plans_are_one_space() -> None:
    """More nodes are faster and cost more a sequence; of two decoders the smaller comes first."""
    jobs = {"wide": JOB, "narrow": JOB._replace(model=GPT._replace(hidden=1024, inner=4096))}
    clusters = {"one": MultiGpuSpec(), "four": MultiGpuSpec(nodes=4)}
    fastest, cheapest = (best_designs(jobs, clusters, by=by, count=100) for by in ("time", "cost"))  # type: ignore[arg-type]
    assert (fastest[0]["network"], fastest[0]["cluster"]) == ("narrow", "four")
    assert (cheapest[0]["network"], cheapest[0]["cluster"]) == ("narrow", "one")
    assert fastest[0]["time"] == best_plans(jobs["narrow"], clusters["four"], count=1)[0]["step_s"]
    assert cheapest[0]["cost"] == pytest.approx(8 * cheapest[0]["step_s"] / 64)
    assert [one["time"] for one in fastest] == sorted(one["time"] for one in fastest)
    huge = {"huge": Job(Decoder(128, 25_600, 160, 102_400, 51_200), 2048, 64)}
    assert best_designs({**huge, **jobs}, clusters, count=1)[0]["network"] == "narrow"
    with pytest.raises(SpecError, match="memory of one GPU"):
        best_designs(huge, clusters)


def test_experts_are_shared_out_where_there_are_some() -> None:
    moe = Decoder(8, 1024, 16, 4096, 32_000, experts=8, chosen=2, fused_attention=True)
    plans = all_plans(Job(moe, 1024, 64), SPEC)
    assert set(plans.expert.tolist()) == {1, 2, 4, 8}
    assert (plans.data % plans.expert == 0).all()


LLAMA = Decoder(
    32, 4096, 32, 14_336, 128_256, kv_heads=8, gated=True, tied=False, biases=False, dropout=False,
    fused_attention=True, weight_format="bf16", product_format="bf16",
)  # fmt: skip


def test_pools_keep_their_limits_and_the_first_serves_most() -> None:
    spec, request = MultiGpuSpec(), Request(1024, 256)
    free = best_pools(LLAMA, spec, request, count=100)
    rates = [pool["tokens_per_s_per_gpu"] for pool in free]
    assert rates == sorted(rates, reverse=True)
    assert {(pool["tensor"], pool["pipeline"]) for pool in free} == {
        (t, p) for t in (1, 2, 4, 8) for p in (1, 2, 4, 8) if t * p <= 8
    }
    bound = free[0]["token_s"] / 3
    quick = best_pools(LLAMA, spec, request, token_s=bound, count=100)
    assert all(pool["token_s"] <= bound for pool in quick)
    assert quick[0]["tokens_per_s_per_gpu"] < rates[0]
    again = serve(LLAMA, Pool(quick[0]["tensor"], quick[0]["pipeline"]), spec, request, [quick[0]["batch"]])
    assert float(again.token_s[0]) == quick[0]["token_s"]


def test_limits_that_no_pool_keeps_name_the_least() -> None:
    with pytest.raises(SpecError, match=r"the least is .* s from token to token"):
        best_pools(LLAMA, MultiGpuSpec(), Request(1024, 256), token_s=1e-6)
    with pytest.raises(SpecError, match="none holds the model"):
        best_pools(LLAMA._replace(hidden=65_536, inner=262_144), MultiGpuSpec(), Request(1024, 256))


def test_what_nothing_can_hold_names_the_least() -> None:
    huge = Decoder(128, 25_600, 160, 102_400, 51_200, positions=2048)
    with pytest.raises(SpecError, match=r"memory of one GPU.*the least needs \d+.* GB a GPU"):
        best_plans(Job(huge, 2048, 64), MultiGpuSpec())
    with pytest.raises(SpecError, match="did you mean time"):
        best_plans(JOB, SPEC, by="tim")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="batch 7"):
        all_plans(Job(Decoder(1, 64, 1, 256, 1000), 1023, 7), MultiGpuSpec(gpus_per_node=2))
