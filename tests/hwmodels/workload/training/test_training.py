"""A training step against torch's own counters, published formulas, and what every step has in common."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.workload.from_hf_config import from_hf_config
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Attention,
    Cache,
    Concat,
    Conv2d,
    Elementwise,
    Kind,
    Linear,
    MatMul,
    Norm,
    Permute,
    Pool2d,
    Precision,
    Recurrent,
    Reshape,
    Shared,
    Softmax,
    Split,
)
from hwmodels.workload.rewrite import fuse_attention
from hwmodels.workload.training import OPTIMISERS, RECOMPUTE, Recompute, TrainingStep, training_step
from hwmodels.workload.zoo import network
from tests.hwmodels.workload.test_random_graphs import graphs

FULL, HALF = Precision(32, 32), Precision(16, 16)
NETWORKS = ["resnet18", "mobilenet_v2", "shufflenet_v2_x1_0", "densenet121", "vit_b_16", "googlenet", "efficientnet_b0"]


@pytest.mark.parametrize("name", NETWORKS)
def test_backward_is_twice_the_forward_pass_without_the_first_input_gradient(name):
    net = network(name)
    step = training_step(net)
    first = next(row for _, row in net.rows() if row.macs)
    assert step.macs("forward") == net.macs
    assert step.macs("backward") == 2 * net.macs - first.macs
    assert step.workload.parameters == net.parameters
    full = training_step(net, recompute="full")
    assert full.memory.saved_bytes < step.memory.saved_bytes
    assert 0 < full.macs("recomputed") < net.macs


def _flops(module, inputs):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    module.train()
    with FlopCounterMode(display=False) as counter:
        out = module(*inputs)
        torch.nn.functional.cross_entropy(
            out.flatten(0, -2), torch.zeros(prod(out.shape[:-1]), dtype=torch.long)
        ).backward()
    return counter.get_total_flops()


def _kept_bytes(module, inputs):
    """Bytes of everything that torch keeps for the backward pass, parameters apart, each storage once."""
    import torch

    kept = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.numel() > 32:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    module.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = module(*inputs).log_softmax(-1)
    assert out.requires_grad
    return sum(size for size, _ in kept.values())


def _convolutions(groups: int = 1):
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
            self.wide = nn.Sequential(nn.Conv2d(16, 16, 5, 1, 2, groups=groups**4), nn.BatchNorm2d(16), nn.Hardswish())
            self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1), nn.Sigmoid())
            self.down = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 0, groups=groups), nn.BatchNorm2d(32), nn.SiLU())
            self.up = nn.ConvTranspose2d(32, 8, 3, 2, 1)
            self.head = nn.Linear(8 * 13 * 13, 20)

        def forward(self, x):
            x = self.wide(self.stem(x))
            x = self.up(self.down(x * self.gate(x)))
            return self.head(x.flatten(1))

    return Net()


def _encoder():
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.qkv, self.mix = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)
            self.mlp = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 128), nn.GELU(), nn.Linear(128, 32))
            self.head = nn.Linear(32, 50)

        def forward(self, x):
            q, k, v = (part.unflatten(-1, (4, 8)).transpose(1, 2) for part in self.qkv(self.norm(x)).split(32, dim=-1))
            scores = (q @ k.transpose(-1, -2)).softmax(-1) @ v
            x = x + self.mix(scores.transpose(1, 2).flatten(2))
            return self.head(x + self.mlp(x))

    return Net()


def _grouped():
    return _convolutions(groups=2)


# The counter of torch takes no account of groups in the gradient of weights.
@pytest.mark.parametrize(("make", "shape"), [(_convolutions, (4, 3, 32, 32)), (_encoder, (2, 24, 32))])
def test_products_are_those_that_torch_counts(make, shape):
    torch = pytest.importorskip("torch")
    from hwmodels.workload.from_torch import from_torch

    module, x = make(), torch.randn(shape)
    step = training_step(from_torch(module, x, precision=FULL))
    assert 2 * step.workload.macs == _flops(module, (x,))


@pytest.mark.parametrize(("make", "shape"), [(_grouped, (4, 3, 32, 32)), (_encoder, (2, 24, 32))])
def test_kept_bytes_are_those_of_torch(make, shape):
    torch = pytest.importorskip("torch")
    from hwmodels.workload.from_torch import from_torch

    module, x = make(), torch.randn(shape)
    step = training_step(from_torch(module, x, precision=FULL))
    # What torch keeps beside: mean and deviation of each normalised row or channel.
    assert step.memory.saved_bytes == pytest.approx(_kept_bytes(module, (x,)), rel=0.01)


def test_attention_in_one_kernel_makes_its_scores_again():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import sdpa_backward_flop_count

    del torch
    net = Builder("attention", (2, 4, 8, 16), precision=HALF)
    linear = [net.linear(net.input, 16) for _ in range(3)]
    fused = net.add(Attention(), linear[0], net.add(Permute((0, 1, 3, 2)), linear[1]), linear[2])
    workload = net.finish(fused)
    step = training_step(workload)
    (row,) = [row for node, row in step.workload.rows() if row.kind == Kind.ATTENTION and "operands" in node.name]
    shape = (2, 4, 8, 16)
    assert 2 * row.macs == sdpa_backward_flop_count(shape, shape, shape, shape)
    # Queries, keys, values and the result are kept, and no scores of 8 x 8 for each of 8 heads.
    assert step.saved_by_kind["attention"] == 2 * prod(shape)
    assert step.saved_by_kind["linear"] == 3 * 2 * prod(shape)


def _transformer(batch: int, tokens: int, width: int, heads: int, layers: int) -> Workload:
    """Layers of a transformer with every dropout of [Korthikanti et al., MLSys 2023], masks as inputs of one byte."""
    net = Builder("transformer", (batch, tokens, width), precision=HALF)

    def dropout(x: str) -> str:
        net.precision = Precision(8, 8)
        mask = net.source(net.shape(x), name=f"mask{len(masks)}")
        net.precision = HALF
        masks.append(mask)
        return net.add(Elementwise("mul"), x, mask)

    masks: list[str] = []
    x = net.linear(net.input, width)  # so that the first layer's input has a gradient
    for _ in range(layers):
        normed = net.add(Norm("layer"), x)
        split = (batch, tokens, heads, width // heads)
        q, k, v = (net.add(Permute((0, 2, 1, 3)), net.add(Reshape(split), net.linear(normed, width))) for _ in range(3))
        weights = dropout(net.add(Softmax(), net.add(MatMul(), q, net.add(Permute((0, 1, 3, 2)), k))))
        mixed = net.add(Permute((0, 2, 1, 3)), net.add(MatMul(), weights, v))
        x = net.residual(x, dropout(net.linear(net.add(Reshape((batch, tokens, width)), mixed), width)))
        hidden = net.add(Activation("gelu"), net.linear(net.add(Norm("layer"), x), 4 * width))
        x = net.residual(x, dropout(net.linear(hidden, width)))
    return net.finish(net.add(Norm("layer"), x))


def _saved(layers: int, recompute: Recompute, blocks: int = 1) -> float:
    return training_step(_transformer(2, 32, 48, 4, layers), recompute=recompute, blocks=blocks).memory.saved_bytes


def test_a_layer_of_a_transformer_keeps_what_was_published():
    """sbh (34 + 5 a s / h) bytes; 34 with selective, 2 with full recompute [Korthikanti et al., MLSys 2023, table 2].

    Masks, which a generator of random numbers could make again, are inputs here and stay: 1 byte of the 5, 2 of the 34.
    """
    s, b, h, a = 32, 2, 48, 4
    for recompute, blocks, expected in (
        ("none", 1, s * b * h * (34 + 5 * a * s / h)),
        ("selective", 1, s * b * h * (34 + a * s / h)),
        ("full", 2, s * b * h * (2 + 2 + a * s / h)),
    ):
        assert _saved(3, recompute, blocks) - _saved(2, recompute, blocks) == expected


def test_mixed_precision_adam_keeps_sixteen_bytes_a_weight():
    """2 of the weight, 2 of its gradient, 4 each of master weight, mean and variance [Rajbhandari et al., SC 2020]."""
    net = network("resnet18", precision=HALF)
    memory = training_step(net, "adam").memory
    kept = memory.weight_bytes + memory.gradient_bytes + memory.state_bytes
    assert kept == 16 * net.parameters
    assert training_step(net, "adam", gradient_bits=32).memory.gradient_bytes == 4 * net.parameters


@pytest.mark.parametrize(("name", "states"), [("sgd", 0), ("momentum", 1), ("adam", 2)])
def test_an_update_reads_and_writes_weights_and_states(name, states):
    net = network("resnet18", precision=FULL)
    step = training_step(net, name)
    updates = [row for node, row in step.workload.rows() if step.phases[node.name] == "update"]
    assert sum(row.input_elements for row in updates) == (3 + 2 * states) * net.parameters
    assert sum(row.vector_ops for row in updates) == OPTIMISERS[name].ops * net.parameters


@given(graphs(), st.sampled_from(RECOMPUTE), st.sampled_from(sorted(OPTIMISERS)))
@settings(max_examples=60, deadline=None)
def test_any_graph_that_has_weights_is_trained(net, recompute, optimiser):
    if not training_is_possible(net):
        with pytest.raises(SpecError):
            training_step(net, optimiser, recompute=recompute)
        return
    step = training_step(net, optimiser, recompute=recompute)
    plain = training_step(net, optimiser)
    assert step.workload.parameters == net.parameters
    assert step.macs("backward") == plain.macs("backward")
    assert step.macs("recomputed") <= net.macs
    assert set(step.phases) >= {node.name for node, _ in step.workload.rows()}
    assert step.memory.peak_bytes >= plain.memory.weight_bytes + plain.memory.state_bytes


def training_is_possible(net: Workload) -> bool:
    """Whether a weight has a path to an output."""
    reached = set(net.outputs)
    for node in reversed(net.nodes):
        if node.name in reached:
            reached.update(node.inputs)
    return any(row.parameters for node, row in net.rows() if node.name in reached)


def test_recompute_lowers_the_peak_of_a_batch_and_raises_the_work():
    net = network("vit_b_16", batch=64, precision=HALF)
    none, selective, full = (training_step(net, "adam", recompute=how) for how in RECOMPUTE)
    assert none.memory.peak_bytes > selective.memory.peak_bytes > full.memory.peak_bytes
    assert none.workload.macs < selective.workload.macs < full.workload.macs
    fused = training_step(fuse_attention(net), recompute="selective")
    assert fused.memory.saved_bytes == selective.memory.saved_bytes


@pytest.mark.parametrize("function", ["relu", "sigmoid", "silu", "gelu", "neg", "prelu"])
def test_a_function_keeps_its_result_or_what_it_read(function: ActivationName):
    net = Builder("pair", (2, 16), precision=FULL)
    x = net.linear(net.input, 16)
    y = net.add(Activation(function), x)
    step = training_step(net.finish(net.add(Elementwise("sub"), y, net.add(Norm("layer"), net.linear(y, 16)))))
    kept = step.saved_by_kind
    # The next linear layer keeps the result in any case; the normalisation keeps what it reads, as silu and gelu do.
    assert kept["activation"] == 4 * 32
    assert kept["linear"] == 4 * 32 * (1 + (function in ("silu", "gelu", "prelu")))


def test_parts_that_cover_a_tensor_send_one_gradient_back():
    net = Builder("parts", (2, 8), precision=FULL)
    x = net.linear(net.input, 12)
    left, right = net.add(Split(-1, 0, 4), x), net.add(Split(-1, 4, 8), x)
    step = training_step(net.finish(net.add(Concat(-1), net.linear(left, 4), net.linear(right, 4))))
    (joined,) = [node for node in step.workload if isinstance(node.operator, Concat) and "joined" in node.name]
    assert joined.shape == (2, 12)
    alone = Builder("part", (2, 8), precision=FULL)
    x = alone.linear(alone.input, 12)
    step = training_step(alone.finish(alone.linear(alone.add(Split(-1, 4, 8), x), 4)))
    assert any("zeros around" in node.name and node.shape == (2, 12) for node in step.workload)


def test_gradients_of_a_fork_are_summed_and_those_of_a_broadcast_reduced():
    net = Builder("fork", (2, 8, 4, 4), precision=FULL)
    x = net.conv_norm_act(net.input, 8, 3)
    gated = net.add(Elementwise("mul"), x, net.add(Activation("sigmoid"), net.add(Pool2d("avg"), x)))
    step = training_step(net.finish(net.residual(gated, x)))
    sums = [node for node in step.workload if node.name.startswith("activation1.sum")]
    assert len(sums) == 2  # three readers: product, pooling, residual
    gradient = step.workload["elementwise1.input1"]
    assert gradient.shape == (2, 8, 1, 1)


def test_weights_of_another_node_have_a_gradient_and_no_update():
    net = Builder("tied", (2, 8), precision=FULL)
    step = training_step(net.finish(net.add(Shared(Linear(8)), net.linear(net.input, 8))))
    assert sum("weights" in node.name for node in step.workload) == 2
    assert sum(node.name.endswith(".update") for node in step.workload) == 1


def test_a_recurrent_layer_has_one_weight_gradient_over_all_steps():
    net = Builder("lstm", (2, 10, 8), precision=FULL)
    x = net.linear(net.input, 8)
    recurrent = Recurrent("lstm", 16)
    step = training_step(net.finish(net.add(recurrent, x, name="lstm")))
    row = recurrent.row(((2, 10, 8),), (2, 10, 16))
    rows = {node.name: made for node, made in step.workload.rows()}
    assert rows["lstm.weights"].macs == rows["lstm.input"].macs == row.macs
    assert rows["lstm.weights"].sequential_steps == 1
    assert rows["lstm.input"].sequential_steps == 10


@pytest.mark.parametrize("name", ["i7_12700h", "systolic_edge"])
def test_any_family_costs_a_step(name):
    chosen = device(name)
    net = network("resnet18", precision=FULL)
    whole = evaluate(training_step(net, "adam").workload, chosen.model, chosen.spec)
    forward = evaluate(net, chosen.model, chosen.spec)
    assert whole.total("latency_s") > 2 * forward.total("latency_s")


def _rows(net: Workload, **options):
    step = training_step(net, **options)
    return {node.name: row for node, row in step.workload.rows()}


def test_a_grouped_convolution_keeps_its_groups_in_both_gradients():
    net = Builder("grouped", (2, 8, 6, 6), precision=FULL)
    x = net.add(Conv2d.square(8, 1, bias=True), net.input, name="first")
    x = net.add(Conv2d.square(12, 3, groups=4), x, name="same")
    rows = _rows(net.finish(net.add(Conv2d.square(16, 3, stride=2, groups=4), x, name="strided")))
    same, strided = rows["same.input"], rows["strided.input"]
    assert (same.kind, same.groups, same.m, same.n, same.k) == (Kind.CONV, 4, 2 * 36, 8 // 4, 12 // 4 * 9)
    assert (strided.kind, strided.m, strided.n, strided.k) == (Kind.CONV_TRANSPOSE, 2 * 9, 12 // 4 * 9, 16 // 4)
    weights = rows["strided.weights"]
    assert (weights.groups, weights.m, weights.n, weights.k) == (4, 16 // 4, 12 // 4 * 9, 2 * 9)
    assert (weights.input_elements, weights.weight_elements) == (2 * 16 * 9, 2 * 12 * 36)
    assert weights.output_elements == 16 * 3 * 9
    assert rows["first.bias"].input_elements == 2 * 8 * 36
    assert rows["first.bias"].output_elements == 8
    assert "same.bias" not in rows


def test_a_depthwise_convolution_passes_over_both_maps_for_its_weights():
    net = Builder("depthwise", (2, 8, 6, 6), precision=FULL)
    x = net.linear(net.input, 6)
    rows = _rows(net.finish(net.add(Conv2d.square(8, 3, groups=8), x, name="depthwise")))
    made = rows["depthwise.weights"]
    assert (made.kind, made.groups, made.macs) == (Kind.CONV, 8, rows["depthwise"].macs)
    assert (made.input_elements, made.output_elements, made.parameters) == (2 * 2 * 8 * 36, 8 * 9, 0)


def test_normalisation_reads_twice_forward_and_backward():
    net = Builder("normed", (2, 4, 6, 6), precision=FULL)
    x = net.conv_norm_act(net.input, 4, 3, activation=None)
    size = 2 * 4 * 36
    rows = _rows(net.finish(x))
    forward, sums, back = rows["norm1"], rows["norm1.weights"], rows["norm1.input"]
    assert (forward.input_elements, forward.output_elements, forward.vector_ops) == (2 * size, size, 5 * size)
    assert (sums.input_elements, sums.output_elements) == (2 * size, 8)
    assert (back.input_elements, back.output_elements) == (2 * size, size)


def test_a_maximum_reads_places_and_not_the_map():
    net = Builder("pooled", (2, 3, 8, 8), precision=FULL)
    x = net.conv_norm_act(net.input, 4, 3)
    rows = _rows(net.finish(net.add(Pool2d("max", 2, 2), x, name="pool")))
    assert rows["pool.input"].input_elements == 2 * (2 * 4 * 16)
    assert rows["pool.input"].output_elements == 2 * 4 * 64


def test_attention_reads_its_result_and_the_gradient_and_writes_three():
    net = Builder("attention", (2, 4, 8, 16), precision=HALF)
    q, k, v = (net.linear(net.input, 16) for _ in range(3))
    rows = _rows(net.finish(net.add(Attention(), q, net.add(Permute((0, 1, 3, 2)), k), v, name="attention")))
    size = 2 * 4 * 8 * 16
    assert rows["attention.operands"].input_elements == 3 * size
    assert rows["attention.operands"].weight_elements == 2 * size
    assert rows["attention.operands"].output_elements == 3 * size
    assert rows["attention.operands"].vector_ops == 2 * rows["attention"].vector_ops


def test_the_last_operator_of_a_segment_is_not_run_again():
    net = Builder("blocks", (2, 8), precision=FULL)
    x = net.linear(net.input, 8)
    for _ in range(2):
        y = net.add(Activation("gelu"), net.linear(x, 8))
        x = net.residual(x, y)
    rows = _rows(net.finish(net.linear(x, 8)), recompute="full")
    again = {name for name in rows if name.endswith(".again")}
    # Nothing reads the first block's activation backwards; the last linear layer, kept, reads the second block's sum.
    assert again == {"linear2.again", "linear3.again", "activation2.again", "elementwise2.again"}
    assert all(rows[name].parameters == 0 for name in again)


def test_what_cannot_be_trained_is_refused():
    net = network("resnet18")
    with pytest.raises(SpecError, match="adam"):
        training_step(net, "adan")
    with pytest.raises(SpecError, match="full"):
        training_step(net, recompute="ful")  # type: ignore[arg-type]
    cached = Builder("cached", (1, 2, 3, 4))
    x = cached.linear(cached.input, 4)
    with pytest.raises(SpecError, match="keys and values"):
        training_step(cached.finish(cached.add(Cache(5), x)))


def test_a_decoder_is_trained_without_its_cache():
    net = from_hf_config({"model_type": "gpt2", "n_layer": 2, "n_embd": 64, "n_head": 4}, tokens=16, precision=HALF)
    step = training_step(net)
    products = sum(row.macs for _, row in net.rows())
    assert not any(row.kind == Kind.CACHE for _, row in step.workload.rows())
    assert step.macs("backward") == 2 * products


def test_phases_and_kinds_add_up():
    step: TrainingStep = training_step(network("resnet18"), "adam", recompute="full")
    assert sum(step.saved_by_kind.values()) == step.memory.saved_bytes
    phases = ("forward", "loss", "backward", "recomputed", "update")
    assert sum(map(step.macs, phases)) == step.workload.macs
