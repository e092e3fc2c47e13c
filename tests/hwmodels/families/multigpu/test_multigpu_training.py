"""Training plans: memory as the papers' formulas, steps against a plain twin, one GPU as its family, limits."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.compose import tensor_of
from hwmodels.families.base import family
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.multigpu.decoder import (
    BACKWARD_ATTENTION,
    Decoder,
    Share,
    backward_rows,
    block_costs,
    forward_rows,
    parameters,
)
from hwmodels.families.multigpu.fabric import fabric_of, group_s
from hwmodels.families.multigpu.memory import held_bytes, layer_activation_bytes, stage_parameters
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.families.multigpu.training import FULL, NONE, REASONS, SELECTIVE, Job, model_flops, plans_of, train
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

GPT = Decoder(24, 2048, 16, 8192, 51_200, positions=1024)
LLAMA = Decoder(
    32, 4096, 32, 14_336, 128_256, kv_heads=8, gated=True, tied=False, biases=False, dropout=False,
    fused_attention=True,
)  # fmt: skip
NODE = MultiGpuSpec()


def cluster(nodes: int = 1, **knobs: object) -> MultiGpuSpec:
    return NODE.changed({"nodes": nodes, **knobs})


@settings(deadline=None)
@given(st.integers(1, 8), st.sampled_from([512, 2048]), st.sampled_from([1, 2, 4, 8]))
def test_activations_are_korthikanti_s_formulas_exactly(b: int, s: int, t: int) -> None:
    """Equations 1 to 6 and table 2 of the paper."""
    h, a = GPT.hidden, GPT.heads

    def kept(*, sequence: bool, recompute: int) -> float:
        return float(layer_activation_bytes(GPT, microbatch=b, tokens=s, tensor=t, sequence=sequence,
                                            recompute=recompute))  # fmt: skip

    assert kept(sequence=False, recompute=NONE) == s * b * h * (10 + 24 / t + 5 * a * s / (h * t))
    assert kept(sequence=True, recompute=NONE) == s * b * h / t * (34 + 5 * a * s / h)
    assert kept(sequence=False, recompute=SELECTIVE) == s * b * h * (10 + 24 / t)
    assert kept(sequence=True, recompute=SELECTIVE) == 34 * s * b * h / t
    assert kept(sequence=False, recompute=FULL) == 2 * s * b * h


def test_parameters_are_published_counts() -> None:
    def total(model: Decoder) -> float:
        of = parameters(model)
        return model.layers * (of["layer"] + of["experts"]) + of["embedding"] + of["head"] + of["last"]

    assert total(LLAMA) == 8_030_261_248  # Llama 3 8B
    gpt3 = Decoder(96, 12_288, 96, 49_152, 51_200, positions=2048)
    assert total(gpt3) == pytest.approx(174.6e9, rel=1e-3)  # Narayanan et al., table 1
    # MPT-70B of llm-foundry, biases and learned positions among them.
    assert total(Decoder(80, 8192, 64, 32_768, 50_368, positions=2048)) == 64_862_437_376
    mixtral = Decoder(32, 4096, 32, 14_336, 32_000, kv_heads=8, gated=True, tied=False, biases=False, experts=8,
                      chosen=2)  # fmt: skip
    assert total(mixtral) == pytest.approx(46.7e9, rel=1e-3)  # Jiang et al., arXiv:2401.04088


def test_what_tensor_shares_do_not_split_is_whole_on_each() -> None:
    one, eight = parameters(GPT), parameters(GPT, tensor=8)
    h = GPT.hidden
    whole = 2 * h + 4 * h  # two output biases, two norms with both vectors
    assert eight["layer"] - whole == pytest.approx((one["layer"] - whole) / 8)
    assert eight["embedding"] == 51_200 * h / 8 + 1024 * h


def test_experts_are_split_over_their_own_gpus_and_states_over_their_copies() -> None:
    moe = Decoder(8, 1024, 16, 4096, 32_000, experts=16, chosen=2, biases=False, tied=False)
    few, many = (stage_parameters(moe, tensor=1, pipeline=1, expert=e)[1][()] for e in (1, 8))
    assert few == 8 * many
    held = [held_bytes(moe, tokens=1024, microbatch=1, microbatches=1, data=16, tensor=1, pipeline=1, interleave=1,
                       sequence=0, recompute=0, zero=zero, expert=8) for zero in (0, 1)]  # fmt: skip
    dense = stage_parameters(moe, tensor=1, pipeline=1, expert=8)[0][()]
    assert float(held[0].states) == 12 * (dense + many)
    assert float(held[1].states) == 12 * (dense / 16 + many / 2)


def test_stages_of_unequal_size_count_by_the_fullest() -> None:
    """26 layers on 4 stages: 7, 7 in the middle, 6 with embedding or head at the ends."""
    model = GPT._replace(layers=26, vocabulary=1000, tied=False)
    of = parameters(model)
    dense, _ = stage_parameters(model, tensor=1, pipeline=4)
    assert float(dense) == 7 * of["layer"]
    wide = stage_parameters(model._replace(vocabulary=10**6), tensor=1, pipeline=4)[0]
    of = parameters(model._replace(vocabulary=10**6))
    assert float(wide) == 6 * of["layer"] + max(of["embedding"], of["head"] + of["last"])


def test_the_first_of_interleaved_stages_holds_more_layers() -> None:
    """L (1 + (p - 1) / (p v)) layers of a microbatch [Korthikanti et al., section 4.2.3]; 1F1B holds L."""

    def activations(interleave: int, microbatches: int = 16) -> float:
        return float(held_bytes(GPT, tokens=1024, microbatch=1, microbatches=microbatches, data=1, tensor=1, pipeline=4,
                                interleave=interleave, sequence=0, recompute=0, zero=0).activations)  # fmt: skip

    each = float(layer_activation_bytes(GPT, microbatch=1, tokens=1024, tensor=1, sequence=0, recompute=0))
    assert activations(1) == GPT.layers * each
    assert activations(3) == pytest.approx(GPT.layers * each * (1 + 3 / 12), rel=1e-12)
    assert activations(3, microbatches=4) == GPT.layers * each  # four are all there are


def test_zero_shares_out_states_then_gradients_then_parameters() -> None:
    totals = []
    for zero in range(4):
        held = held_bytes(GPT, tokens=1024, microbatch=1, microbatches=1, data=8, tensor=1, pipeline=1, interleave=1,
                          sequence=0, recompute=0, zero=zero)  # fmt: skip
        stored = float(stage_parameters(GPT, tensor=1, pipeline=1)[0])
        totals.append(round(float(held.parameters + held.gradients + held.states) / stored, 6))
    assert totals == [18.0, 6 + 12 / 8, 2 + 16 / 8, 18 / 8]


def alone_s(rows: list[Row], spec: GpuSpec) -> float:
    """The kernels of some rows one by one, by the GPU family itself."""
    layerwise = family("gpu").layerwise
    assert layerwise is not None
    costs, _ = tensor_of(layerwise, Layers.of(rows), GpuSpec.to_table([spec]))
    return float(costs[0, :, layerwise.metrics.index("kernels_s")].sum())


@pytest.mark.parametrize("model", [GPT, LLAMA])
def test_one_gpu_takes_the_time_of_its_kernels(model: Decoder) -> None:
    """A step on one device is the GPU family's kernels, m microbatches of them, and the update."""
    spec = cluster(gpus_per_node=1, **{"gpu.memory_bytes": 1e13})
    steps = train(Job(model, 1024, 4), plans_of(microbatch=2), spec)
    share = Share(2, 1024)
    cost = block_costs(model, [share], spec.gpu)[share]
    forward, backward = alone_s(forward_rows(model, share), spec.gpu), alone_s(backward_rows(model, share), spec.gpu)
    assert cost.forward_s == pytest.approx(forward, rel=1e-12)
    fused = BACKWARD_ATTENTION * cost.core_s if model.fused_attention else 0.0
    assert cost.backward_s == pytest.approx(backward + fused, rel=1e-12)
    expected = 2 * (model.layers * (forward + backward + fused) + cost.head_forward_s + cost.head_backward_s)
    assert float(steps.compute_s[0]) == pytest.approx(expected, rel=1e-12)
    assert float(steps.step_s[0]) == pytest.approx(expected + float(steps.optimiser_s[0]), rel=1e-12)
    for zero in (steps.exchange_s, steps.bubble_s, steps.transfer_s, steps.gradient_s, steps.recompute_s):
        assert float(zero[0]) == 0.0
    assert steps.why.tolist() == [0]


def test_products_of_a_share_make_up_the_whole() -> None:
    """MACs of t shares are those of the layer; backward has twice those of forward."""

    def macs(rows: list[Row]) -> int:
        return sum(row.macs for row in rows)

    whole = forward_rows(GPT, Share(2, 1024))
    for t in (2, 8):
        assert macs(forward_rows(GPT, Share(2, 1024, t))) * t == macs(whole)
    assert macs(backward_rows(GPT, Share(2, 1024))) == 2 * macs(whole)
    fused = forward_rows(LLAMA, Share(2, 1024))
    products = [row for row in fused if row.kind == Kind.LINEAR]
    back = [row for row in backward_rows(LLAMA, Share(2, 1024)) if row.kind == Kind.LINEAR]
    assert macs(back) == 2 * macs(products)


def slow_step(job: Job, spec: MultiGpuSpec, *, data: int, tensor: int, pipeline: int, microbatch: int,
              interleave: int, sequence: bool, recompute: int) -> float:  # fmt: skip
    """One plan, one number at a time: no ZeRO, no experts, no contexts."""
    fabric, model = fabric_of(spec), job.model
    cost = block_costs(model, [Share(microbatch, job.tokens, tensor, sequence)], spec.gpu)
    block = next(iter(cost.values()))
    m = job.batch // (data * microbatch)
    layers = ceil(model.layers / pipeline)
    size = microbatch * job.tokens * model.hidden * 2.0

    def time(what: str, of: float, ranks: int, stride: int = 1) -> float:
        return float(group_s(fabric, what, of, ranks, stride=stride))  # type: ignore[arg-type]

    if sequence:
        gather, scatter = time("all_gather", size, tensor), time("reduce_scatter", size, tensor)
        ahead, back = 2 * (gather + scatter), (3 * gather + 2 * scatter + gather) * (1 - job.overlap)
    else:
        added = time("all_reduce", size, tensor)
        ahead, back = 2 * added, 2 * added * (1 - job.overlap)
    again = {NONE: 0.0, SELECTIVE: block.core_s, FULL: block.forward_s + ahead}[recompute]
    stage = layers * (block.forward_s + ahead + block.backward_s + back + again)
    total = m * (stage + block.head_forward_s + block.head_backward_s)
    if pipeline > 1:
        total += (pipeline - 1) / interleave * stage
        one = time("send", size / tensor, pipeline, tensor * data)
        one += 0.0 if sequence else time("all_gather", size, tensor)
        total += 2 * one * (m * interleave + pipeline - 1)
    stored = float(stage_parameters(model, tensor=tensor, pipeline=pipeline)[0])
    total += time("all_reduce", 4 * stored, data, tensor)
    return total + stored * 38 / (spec.gpu.dram_bytes_per_s * spec.gpu.stream_efficiency)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 8]), st.sampled_from([(1, 1), (2, 1), (4, 1), (4, 2), (2, 3)]),
    st.sampled_from([1, 2]), st.booleans(), st.sampled_from([NONE, SELECTIVE, FULL]),
)  # fmt: skip
def test_a_step_equals_its_twin(
    data: int, tensor: int, stages: tuple[int, int], microbatch: int, sequence: bool, recompute: int
) -> None:
    job, spec = Job(GPT, 1024, 32), cluster(16)
    plan = {"data": data, "tensor": tensor, "pipeline": stages[0], "interleave": stages[1], "microbatch": microbatch,
            "recompute": recompute}  # fmt: skip
    found = train(job, plans_of(**plan, sequence=int(sequence)), spec)
    assert float(found.step_s[0]) == pytest.approx(slow_step(job, spec, sequence=sequence, **plan), rel=1e-9)
    parts = sum(float(getattr(found, name)[0]) for name in found._fields[1:8])
    assert parts == pytest.approx(float(found.step_s[0]), rel=1e-9)


def test_gathers_of_weights_show_where_kernels_are_shorter() -> None:
    """ZeRO 3: a layer takes the longer of its kernels and its wires, each way."""
    spec = cluster(4, network_bytes_per_s=1e9)
    job = Job(GPT, 1024, 32)
    found = train(job, plans_of(data=32, zero=3, overlapped=1), spec)
    layer = float(stage_parameters(GPT, tensor=1, pipeline=1)[0]) / GPT.layers
    fabric = fabric_of(spec)
    gather = float(group_s(fabric, "all_gather", 2 * layer, 32))
    scatter = float(group_s(fabric, "reduce_scatter", 4 * layer, 32))
    cost = next(iter(block_costs(GPT, [Share(1, 1024)], spec.gpu).values()))
    assert gather > cost.forward_s
    waits = GPT.layers * (2 * gather + scatter - cost.forward_s - cost.backward_s)
    assert float(found.exchange_s[0]) == pytest.approx(waits, rel=1e-9)
    in_turn = train(job, plans_of(data=32, zero=3), spec)
    assert float(in_turn.exchange_s[0]) == pytest.approx(GPT.layers * (2 * gather + scatter), rel=1e-9)


def test_tokens_go_to_experts_and_keys_go_round() -> None:
    job, spec = Job(GPT._replace(experts=8, chosen=2), 1024, 32), cluster(4)
    here, away = train(job, plans_of(data=32, expert=[1, 8]), spec).exchange_s
    size = 1024 * 2 * GPT.hidden * 2.0
    moved = 4 * float(group_s(fabric_of(spec), "all_to_all", size, 8))  # there and back, each way
    assert here == 0.0
    assert away == pytest.approx(GPT.layers * moved, rel=1e-9)
    plain = Job(GPT, 1024, 32)
    around = train(plain, plans_of(data=16, context=2), cluster(4))
    keys = 2.0 * 1024 * GPT.hidden * 2.0
    gathered = 0.5 * float(group_s(fabric_of(spec), "all_gather", keys, 2))
    assert float(around.exchange_s[0]) == pytest.approx(2 * GPT.layers * 3 * gathered, rel=1e-9)


def test_operands_in_8_bits_are_cast_once_each_way() -> None:
    """Forward the inputs that no norm writes, of attention's output and the second product; backward every gradient."""
    share, narrow = Share(1, 64), LLAMA._replace(product_format="fp8")
    for rows, sizes in (
        (forward_rows, [64 * 4096, 64 * 14_336]), (backward_rows, [64 * 6144, 64 * 4096, 64 * 28_672, 64 * 4096])
    ):  # fmt: skip
        wide = len(rows(LLAMA, share))
        found = rows(narrow, share)[wide:]
        assert [row.input_elements for row in found] == sizes
        assert [row.output_elements for row in found] == sizes


@pytest.mark.parametrize("context", [1, 2, 4, 8])
def test_a_shared_sequence_has_its_share_of_the_causal_pairs(context: int) -> None:
    """Queries that end at the last key see n, n - 1, ... keys: one in c of s (s + 1) / 2, but for half a row."""
    row = next(row for row in forward_rows(LLAMA, Share(1, 1024, context=context)) if row.kind == Kind.ATTENTION)
    queries, keys = row.m // row.query_heads, row.n
    pairs = sum(keys - i for i in range(queries))
    assert queries * context == 1024
    assert pairs == pytest.approx(1024 * 1025 / 2 / context, abs=queries)


@pytest.mark.parametrize("model", [GPT, LLAMA])
def test_weights_of_the_products_are_the_stored_numbers(model: Decoder) -> None:
    """Without biases and norms, which are no products."""
    products = [row for row in forward_rows(model, Share(1, 64)) if row.kind == Kind.LINEAR]
    bare = parameters(model._replace(biases=False))["layer"] - 2 * model.hidden
    assert sum(row.weight_elements for row in products) == bare
    assert sum(row.macs for row in products) == 64 * bare


def test_many_plans_at_once_cost_what_each_costs_alone() -> None:
    job, spec = Job(GPT, 1024, 32), cluster(4)
    grid = [(d, t, 32 // (d * t)) for d in (1, 2, 4, 8) for t in (1, 2, 4) if 32 % (d * t) == 0]
    columns = {"data": [d for d, _, _ in grid], "tensor": [t for _, t, _ in grid], "pipeline": [p for *_, p in grid]}
    many = train(job, plans_of(**columns), spec)
    for i in range(len(grid)):
        one = train(job, plans_of(**{name: values[i] for name, values in columns.items()}), spec)
        assert one.step_s[0] == many.step_s[i]
        assert one.why[0] == many.why[i]


def test_laws_of_plans() -> None:
    """Pieces shrink the bubble, zero bubble still more; hidden gradients cost less; ZeRO 3 holds least."""
    job, spec = Job(GPT, 1024, 64), cluster(4)
    bubbles = train(job, plans_of(data=4, tensor=2, pipeline=4, interleave=[1, 2, 3]), spec).bubble_s
    assert (np.diff(bubbles) < 0).all()
    zero = train(job, plans_of(data=4, tensor=2, pipeline=4, zero_bubble=1), spec)
    assert zero.bubble_s[0] < bubbles[0]
    shown, hidden = train(job, plans_of(data=32, overlapped=[0, 1]), spec).gradient_s
    assert 0.0 < hidden < shown
    held = train(job, plans_of(data=32, zero=[0, 1, 2, 3]), spec).held.total
    assert (np.diff(held) < 0).all()
    offloaded = train(job, plans_of(data=32, zero=1, offload=[0, 1]), spec)
    assert offloaded.held.total[1] < offloaded.held.total[0]
    assert offloaded.optimiser_s[1] > offloaded.optimiser_s[0]


def test_a_plan_that_does_not_run_says_why_and_keeps_its_number() -> None:
    big = Decoder(96, 12_288, 96, 49_152, 51_200, positions=2048)
    found = train(Job(big, 2048, 64), plans_of(tensor=8, data=[1, 2]), cluster())
    assert [REASONS[code - 1] for code in found.why] == [REASONS[2], REASONS[0]]
    assert float(found.held.total[0]) > 18 * 174.6e9 / 8
    uneven = train(Job(GPT, 1024, 30), plans_of(data=4, tensor=2), cluster())
    assert REASONS[uneven.why[0] - 1] == REASONS[1]
    host = train(Job(GPT, 1024, 32), plans_of(data=8, offload=1), cluster(host_memory_bytes=1e9))
    assert REASONS[host.why[0] - 1] == REASONS[3]


def test_weights_that_rest_have_neither_gradients_nor_states() -> None:
    job, spec = Job(LLAMA, 1024, 8), cluster()
    whole, rest = (train(job._replace(frozen=frozen), plans_of(data=8), spec) for frozen in (False, True))
    assert float(rest.held.states[0]) == float(rest.held.gradients[0]) == 0.0
    assert float(rest.gradient_s[0]) == float(rest.optimiser_s[0]) == 0.0
    assert 0.55 < float(rest.compute_s[0] / whole.compute_s[0]) < 0.75
    both = (job, job._replace(frozen=True))
    scattered, nothing = (train(one, plans_of(data=8, zero=3), spec).exchange_s[0] for one in both)
    assert nothing < scattered  # weights are gathered, no gradients are scattered
    eager = train(both[1], plans_of(data=1, pipeline=8, zero_bubble=[0, 1]), spec).bubble_s
    assert eager[0] == eager[1] > 0.0  # nothing is left to fill a bubble with


def test_operations_of_a_step_are_the_paper_s() -> None:
    """Narayanan et al., equation 3, without what is made again: three quarters of 96 B s L h^2 (...)."""
    model = Decoder(96, 12_288, 96, 49_152, 51_200)
    h, s, layers, vocabulary = 12_288.0, 2048.0, 96.0, 51_200.0
    paper = 72 * 8 * s * layers * h**2 * (1 + s / (6 * h) + vocabulary / (12 * layers * h))
    assert model_flops(Job(model, 2048, 8)) == pytest.approx(paper, rel=1e-12)
