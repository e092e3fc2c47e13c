"""Rewrites by hand: what is folded, what is not, what a dead branch is; and the outputs in torch stay the same."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from codesign.network import to_module
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.memory import peak_activation_bytes
from hwmodels.workload.ops import (
    Activation,
    Attention,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Elementwise,
    Linear,
    MatMul,
    Norm,
    Pool2d,
    Reshape,
    Shared,
    Softmax,
    Zeros,
)
from hwmodels.workload.rewrite import COMPILED, EAGER, Semantics, fuse, fuse_attention, prune_dead_branches, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import ZOO, network

SHAPE = (1, 4, 6, 6)


def kinds(workload: Workload) -> list[str]:
    return [type(node.operator).__name__ for node in workload][1:]


def test_conv_norm_act_becomes_one_layer_with_a_bias() -> None:
    net = Builder("net", SHAPE)
    fused = fuse(net.finish(net.conv_norm_act(net.input, 8, 3)))
    assert kinds(fused) == ["Conv2d"]
    assert fused.parameters == 4 * 8 * 9 + 8
    assert fused.outputs == ("conv2d1",)
    assert fused["conv2d1"].operator == Conv2d.square(8, 3, bias=True)


def test_conv_act_norm_keeps_its_norm() -> None:
    """The scale stands behind the nonlinearity: it cannot move into the weights before it."""
    net = Builder("net", SHAPE)
    x = net.add(Activation("relu"), net.add(Conv2d.square(8, 3), net.input))
    fused = fuse(net.finish(net.add(Norm("batch"), x)))
    assert kinds(fused) == ["Conv2d", "Norm"]
    assert fused.parameters == 4 * 8 * 9 + 16


@pytest.mark.parametrize("mode", ["layer", "group", "instance"])
def test_norms_that_need_statistics_stay(mode: str) -> None:
    net = Builder("net", SHAPE)
    x = net.add(Conv2d.square(8, 3), net.input)
    assert kinds(fuse(net.finish(net.add(Norm(mode), x)))) == ["Conv2d", "Norm"]  # type: ignore[arg-type]


def test_two_readers_prevent_folding_and_so_does_an_output() -> None:
    net = Builder("net", SHAPE)
    x = net.add(Conv2d.square(4, 3), net.input)
    y = net.add(Norm("batch"), x)
    assert kinds(fuse(net.finish(y))) == ["Conv2d"]
    assert kinds(fuse(net.finish(y, x))) == ["Conv2d", "Norm"]
    assert kinds(fuse(net.finish(net.residual(x, y)))) == ["Conv2d", "Norm", "Elementwise"]


def test_a_second_activation_stays_and_linear_folds_too() -> None:
    net = Builder("net", (1, 8))
    x = net.add(Norm("batch"), net.add(Linear(4, bias=False), net.input))
    x = net.add(Activation("tanh"), net.add(Activation("relu"), x))
    fused = fuse(net.finish(x))
    assert kinds(fused) == ["Linear", "Activation"]
    assert fused.parameters == 8 * 4 + 4


def test_pooling_is_no_host() -> None:
    net = Builder("net", SHAPE)
    assert kinds(fuse(net.finish(net.add(Norm("batch"), net.add(Pool2d("max", 2), net.input))))) == ["Pool2d", "Norm"]


@pytest.mark.parametrize("known", ZOO, ids=lambda known: known.name)
def test_published_networks_keep_their_macs_and_lose_their_folded_norms(known: object) -> None:
    workload = network(known.name)  # type: ignore[attr-defined]
    compiled = rewrite(workload, COMPILED)
    assert compiled.macs == workload.macs
    readers = Counter(source for node in workload for source in node.inputs)
    readers.update(workload.outputs)
    expected = sum(row.parameters for node, row in workload.rows() if readers[node.name])
    for node in workload:
        if isinstance(node.operator, Norm) and node.operator.mode == "batch":
            host = workload[node.inputs[0]]
            if isinstance(host.operator, Conv2d | Linear) and readers[host.name] == 1:
                # 2C of a folded batch norm go, C of a bias come where the layer had none.
                expected -= (1 + host.operator.bias) * node.shape[1]
    assert compiled.parameters == expected
    assert list(rewrite(workload, EAGER)) == list(workload)


def dead_network() -> Workload:
    """x -> conv a; zeros -> conv b; (a + b) + zeros; conv c reaches nothing."""
    net = Builder("net", SHAPE)
    void = net.add(Zeros(SHAPE))
    a = net.add(Conv2d.square(4, 3), net.input, name="a")
    b = net.conv_norm_act(void, 4, 3)
    net.add(Conv2d.square(4, 3), a, name="c")
    return net.finish(net.add(Activation("relu"), net.residual(net.residual(a, b), void), name="out"))


def test_dead_branches_go() -> None:
    pruned = prune_dead_branches(dead_network())
    assert [node.name for node in pruned] == ["input", "a", "out"]
    assert pruned["out"].inputs == ("a",)
    assert pruned.outputs == ("out",)


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("fold", [False, True])
def test_semantics_are_independent_switches(drop: bool, fold: bool) -> None:
    executed = rewrite(dead_network(), Semantics(drop_dead_branches=drop, fuse_norm_activation=fold))
    assert ("c" in executed.graph) is not drop
    assert any(isinstance(node.operator, Norm) for node in executed) is not (drop or fold)


def test_a_sum_of_one_operand_is_that_operand() -> None:
    net = Builder("net", SHAPE)
    a = net.add(Activation("relu"), net.input)
    pruned = prune_dead_branches(net.finish(net.residual(a, net.add(Zeros(SHAPE)))))
    assert pruned.outputs == (a,)
    assert kinds(pruned) == ["Activation"]


def test_a_network_of_zeros_is_empty() -> None:
    net = Builder("net", SHAPE)
    pruned = prune_dead_branches(net.finish(net.add(Activation("relu"), net.add(Zeros(SHAPE)))))
    assert (len(pruned), pruned.outputs) == (0, ())


@pytest.mark.parametrize("operator", [Elementwise("mul"), Concat()], ids=["product", "concatenation"])
def test_zeros_beside_a_live_operand_elsewhere_than_in_a_sum(operator: Elementwise | Concat) -> None:
    net = Builder("net", SHAPE)
    live = net.add(Conv2d.square(4, 3), net.input)
    workload = net.finish(net.add(operator, live, net.add(Zeros(SHAPE))))
    assert len(prune_dead_branches(workload).outputs) <= 1


def test_a_broadcast_operand_does_not_stand_for_a_larger_sum() -> None:
    net = Builder("net", SHAPE)
    narrow = net.add(Pool2d("avg"), net.input)
    spread = net.residual(narrow, net.add(Zeros(SHAPE)))
    pruned = prune_dead_branches(net.finish(net.add(Activation("relu"), spread)))
    assert pruned[pruned.outputs[0]].shape == SHAPE


def test_pruning_computes_the_same_function() -> None:
    """The branch that goes is fed by zeros and, at initialisation, gives zeros: here the reference sums without it."""
    net = Builder("net", SHAPE)
    a = net.add(Conv2d.square(4, 3), net.input, name="a")
    net.add(Conv2d.square(4, 3), a, name="c")
    workload = net.finish(net.add(Activation("relu"), a, name="out"))
    assert list(prune_dead_branches(workload)) == list(prune_dead_branches(dead_network()))
    torch.manual_seed(0)
    whole, pruned = to_module(workload).eval(), to_module(prune_dead_branches(workload)).eval()
    for node in pruned.workload:
        operation = pruned.operation(node.name) if node.name != "input" else None
        if isinstance(operation, torch.nn.Module):
            operation.load_state_dict(whole.operation(node.name).state_dict())  # type: ignore[union-attr]
    image = torch.randn(SHAPE)
    assert torch.equal(whole(image), pruned(image))


def attention(*, masked: bool = False, viewed: bool = False, axis: int = -1) -> tuple[Builder, str]:
    """Two heads of four features over six tokens; the scores are named "scores"."""
    net = Builder("attention", (1, 2, 6, 4))
    key, value = net.source((1, 2, 4, 6), name="key"), net.source((1, 2, 6, 4), name="value")
    x = net.add(MatMul(), net.input, key, name="scores")
    if viewed:
        x = net.add(Reshape((2, 1, 6, 6)), x)
    if masked:
        x = net.add(Elementwise("add"), net.source((1, 1, 6, 6), name="mask"), x)
    if viewed:
        x = net.add(Reshape((1, 2, 6, 6)), x)
    return net, net.add(MatMul(), net.add(Softmax(axis), x), value)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("viewed", [False, True])
def test_attention_becomes_one_layer_that_never_writes_its_scores(masked: bool, viewed: bool) -> None:
    net, output = attention(masked=masked, viewed=viewed)
    workload = net.finish(output)
    fused = fuse_attention(workload)
    (row,) = (row for _, row in fused.rows())
    assert row.macs == workload.macs == 2 * (6 * 6 * 4 + 6 * 6 * 4)
    assert row.macs == row.groups * row.m * row.n * row.k
    assert fused[output].operator == Attention(int(masked))
    assert set(fused[output].inputs) == {"input", "key", "value", "mask"} - (set() if masked else {"mask"})
    assert row.vector_ops == 2 * 6 * 6 * (5 + masked)
    # Queries, keys, values and result live together; the scores (2 x 6 x 6) are gone.
    alive = 4 * 2 * 6 * 4 + (36 if masked else 0)
    assert peak_activation_bytes(layer_table([fused])).tolist() == [alive]
    assert peak_activation_bytes(layer_table([workload])).tolist() > [alive]


def test_scores_read_twice_or_shown_stay_and_so_does_another_axis() -> None:
    net, output = attention()
    assert len(fuse_attention(net.finish(output, "scores"))) == len(net.finish(output))
    net, output = attention(axis=-2)
    assert "scores" in [node.name for node in fuse_attention(net.finish(output))]
    net = Builder("no softmax", (1, 2, 6, 4))
    x = net.add(MatMul(), net.input, net.source((1, 2, 4, 6), name="key"))
    plain = net.finish(net.add(MatMul(), x, net.source((1, 2, 6, 4), name="value")))
    assert fuse_attention(plain) == plain


@pytest.mark.parametrize("name", ["vit_b_16", "bert_base"])
def test_fused_attention_keeps_the_counts_of_published_networks(name: str) -> None:
    workload = network(name)
    fused = rewrite(workload, Semantics(drop_dead_branches=False, fuse_norm_activation=False, fuse_attention=True))
    assert (fused.parameters, fused.macs) == (workload.parameters, workload.macs)
    operators = [type(node.operator) for node in fused]
    assert operators.count(Attention) == 12
    assert Softmax not in operators
    assert MatMul not in operators


def test_fused_attention_computes_the_same_in_torch() -> None:
    net = Builder("one layer", (2, 5, 8))
    workload = net.finish(net.attention(net.input, 2))
    torch.manual_seed(0)
    whole, fused = to_module(workload), to_module(fuse_attention(workload))
    for ours, theirs in zip(fused.parameters(), whole.parameters(), strict=True):
        ours.data.copy_(theirs.data)
    tokens = torch.randn(2, 5, 8)
    torch.testing.assert_close(fused(tokens), whole(tokens))


def test_a_transposed_convolution_absorbs_its_norm() -> None:
    net = Builder("net", SHAPE)
    x = net.add(Norm("batch"), net.add(ConvTranspose2d(8, bias=False), net.input))
    fused = fuse(net.finish(x))
    assert kinds(fused) == ["ConvTranspose2d"]
    assert fused.parameters == 4 * 8 * 4 + 8


def test_semantics_say_what_was_done() -> None:
    assert str(EAGER) == "every operator as written"
    assert str(COMPILED) == "dead branches dropped, norm and activation fused"


def test_a_shared_layer_absorbs_its_activation_and_no_norm() -> None:
    """A norm would scale weights on which another layer runs, too."""
    net = Builder("net", SHAPE)
    x = net.add(Shared(Conv2d.square(4, 3)), net.input)
    assert kinds(fuse(net.finish(net.add(Activation("relu"), x)))) == ["Shared"]
    net = Builder("net", SHAPE)
    x = net.add(Shared(Conv2d.square(4, 3)), net.input)
    assert kinds(fuse(net.finish(net.add(Norm("batch"), x)))) == ["Shared", "Norm"]
