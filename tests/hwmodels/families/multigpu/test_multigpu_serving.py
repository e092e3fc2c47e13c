"""Serving: a step against a plain sum, memory by hand, laws of batch, context, pools and pages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.compose import tensor_of
from hwmodels.families.base import family
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.multigpu.collectives import ENGINE
from hwmodels.families.multigpu.decoder import Decoder, Share, parameters, serving_head, serving_rows
from hwmodels.families.multigpu.fabric import fabric_of, group_s
from hwmodels.families.multigpu.serving import (
    Engine,
    Pool,
    Request,
    decode_s,
    disaggregated,
    largest_batch,
    prefill_s,
    serve,
    weight_bytes_of,
)
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

LLAMA = Decoder(
    32, 4096, 32, 14_336, 128_256, kv_heads=8, gated=True, tied=False, biases=False, dropout=False,
    fused_attention=True, weight_format="bf16", product_format="bf16",
)  # fmt: skip
EXPERTS = LLAMA._replace(layers=36, hidden=2880, heads=64, head_features=64, inner=2880, experts=128, chosen=4,
                         expert_format="fp4", window=128)  # fmt: skip
SPEC = MultiGpuSpec()
REQUEST = Request(1024, 256)


def alone_s(rows: list[Row]) -> float:
    """Kernels of some rows one by one, by the GPU family."""
    layerwise = family("gpu").layerwise
    assert layerwise is not None
    costs, _ = tensor_of(layerwise, Layers.of(rows), GpuSpec.to_table([SPEC.gpu]))
    return float(costs[0, :, layerwise.metrics.index("kernels_s")].sum())


@pytest.mark.parametrize("tensor", [1, 4])
def test_a_step_is_its_kernels_and_two_sums_a_layer(tensor: int) -> None:
    batch, engine = 16, Engine()
    share = Share(batch, 1, tensor, past=1024 + 128)
    expected = LLAMA.layers * alone_s(serving_rows(LLAMA, share)) + engine.step_s
    expected += alone_s(serving_head(LLAMA, batch, tensor))
    if tensor > 1:
        fabric = fabric_of(SPEC)
        added = group_s(fabric, "all_reduce", batch * 4096 * 2.0, tensor, algorithms=ENGINE)
        gathered = group_s(fabric, "all_gather", batch * 128_256 * 2.0, tensor)
        expected += 2 * LLAMA.layers * float(added) + float(gathered)
    assert decode_s(LLAMA, Pool(tensor), SPEC, REQUEST, batch) == pytest.approx(expected, rel=1e-9)


def test_tokens_wait_for_the_prompts_that_are_read_between() -> None:
    found = serve(LLAMA, Pool(), SPEC, REQUEST, [32])
    step, first = decode_s(LLAMA, Pool(), SPEC, REQUEST, 32), prefill_s(LLAMA, Pool(), SPEC, REQUEST)
    assert float(found.token_s[0]) == pytest.approx(step + 31 / 256 * first, rel=1e-12)
    assert float(found.tokens_per_s_per_gpu[0]) == pytest.approx(32 / float(found.token_s[0]), rel=1e-12)


def test_memory_is_weights_and_pages_by_hand() -> None:
    of = parameters(LLAMA)
    total = 32 * of["layer"] + of["embedding"] + of["head"] + of["last"]
    assert weight_bytes_of(LLAMA, Pool()) == 2 * total
    page, each = 16, 2 * 32 * 8 * 128 * 2
    pages = -(-1281 // page)
    held = [serve(LLAMA, Pool(), SPEC, Request(1024, 257), [b]).held_bytes[0] for b in (1, 2)]
    assert held[1] - held[0] == pages * page * each
    room = 0.9 * SPEC.gpu.memory_bytes - 2 * total - 1024 * (4 * 4096 + 4 * 14_336) * 2
    assert largest_batch(LLAMA, Pool(), SPEC, Request(1024, 257)) == room // (pages * page * each)


def test_heads_are_never_split_and_windows_end() -> None:
    wide = [serve(LLAMA, Pool(t), MultiGpuSpec(gpus_per_node=16), REQUEST, [1, 2]).held_bytes for t in (8, 16)]
    assert np.diff(wide[0]) == np.diff(wide[1])  # eight key heads: one each is the least
    short, long = (serve(EXPERTS, Pool(4), SPEC, Request(n, 1), [1, 2]).held_bytes for n in (16_384, 32_768))
    whole = np.diff(long)[0] / np.diff(short)[0]
    assert 1.9 < whole < 2.0  # half of the layers keep their window alone
    unbounded = EXPERTS._replace(window=0)
    assert decode_s(EXPERTS, Pool(4), SPEC, Request(32_768, 1), 8) < decode_s(unbounded, Pool(4), SPEC,
                                                                             Request(32_768, 1), 8)  # fmt: skip


def test_what_does_not_fit_is_a_batch_of_none() -> None:
    big = LLAMA._replace(layers=126, hidden=16_384, heads=128, inner=53_248)
    found = serve(big, Pool(), SPEC, REQUEST, [8])
    assert found.largest == 0
    assert float(found.tokens_per_s_per_gpu[0]) == 0.0
    crowded = serve(LLAMA, Pool(), SPEC, Request(8192, 1024), [10**6])
    assert crowded.batch[0] == crowded.largest < 10**6


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 200), st.integers(16, 4096), st.sampled_from([1, 2, 4]))
def test_more_sequences_and_more_context_never_take_less(batch: int, prompt: int, tensor: int) -> None:
    pool, request = Pool(tensor), Request(prompt, 64)
    base = decode_s(LLAMA, pool, SPEC, request, batch)
    # The fastest tile of another size may be a few per cent off.
    assert decode_s(LLAMA, pool, SPEC, request, 2 * batch) >= base * 0.95
    assert decode_s(LLAMA, pool, SPEC, Request(4 * prompt, 64), batch) >= base * 0.95


def test_stages_hold_their_share_and_pass_it_on() -> None:
    one, two = (decode_s(LLAMA, Pool(1, p), SPEC, REQUEST, 64) for p in (1, 2))
    assert two < one  # half of the sequences a stage
    assert weight_bytes_of(LLAMA, Pool(1, 2)) < 0.6 * weight_bytes_of(LLAMA, Pool())


def test_few_tokens_reach_few_experts() -> None:
    def experts(batch: int) -> int:
        return max(row.groups for row in serving_rows(EXPERTS, Share(batch, 1, 4)) if row.kind == Kind.LINEAR)

    assert experts(1) == 4
    assert experts(8) == round(128 * (1 - (127 / 128) ** 32))
    assert experts(4096) == 128


def test_experts_on_parts_of_the_ranks_are_as_many_bytes_and_fewer_of_them() -> None:
    """Two parts of four ranks: half of the experts, twice as wide, each with half of what the tokens chose."""

    def experts(among: int) -> list[tuple[int, int, int]]:
        rows = serving_rows(EXPERTS, Share(4096, 1, 4, among=among))
        return [
            (row.groups, row.weight_elements, row.macs) for row in rows if row.kind == Kind.LINEAR and row.groups > 1
        ]

    for one, two in zip(experts(1), experts(2), strict=True):
        assert two[0] * 2 == one[0]
        assert two[1:] == one[1:]


def test_two_pools_are_both_busy_and_tokens_wait_for_no_prompt() -> None:
    model, batch = LLAMA, 64
    split = disaggregated(model, Pool(2), Pool(1), SPEC.changed({"nodes": 2}), REQUEST, batch=batch)
    prompts = prefill_s(model, Pool(2), SPEC.changed({"nodes": 2}), REQUEST) * 2
    tokens = 256 * split.token_s / batch
    assert split.prefill_share == pytest.approx(prompts / (prompts + tokens), rel=1e-12)
    assert split.requests_per_s_per_gpu == pytest.approx(1 / (prompts + tokens), rel=1e-12)
    together = serve(model, Pool(1), SPEC, REQUEST, [batch])
    assert split.token_s < float(together.token_s[0])
    assert split.first_token_s > prompts / 2
