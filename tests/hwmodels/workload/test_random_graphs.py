"""Random graphs: tables of several equal tables of each; liveness against its definition; rewrites keep their word."""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.workload.graph import Builder, Input, Workload
from hwmodels.workload.memory import kv_cache_bytes, peak_activation_bytes, weight_bytes
from hwmodels.workload.ops import Activation, Cache, Concat, Constant, Conv2d, Norm, Pool2d, Precision, Split, Zeros
from hwmodels.workload.precision import with_precision
from hwmodels.workload.rewrite import COMPILED, EAGER, Semantics, fuse, prune_dead_branches, rewrite
from hwmodels.workload.table import LayerTable, layer_table

SHAPE = (2, 4, 5, 5)
moderate = settings(max_examples=60, deadline=None)


@st.composite
def graphs(draw: st.DrawFn, *, zeros: bool = True) -> Workload:
    """Up to ten layers on tensors of one shape, with skips, dead ends, zeros, copies, views, mixed bits.

    Zeros meet live tensors in sums only, and an input is not read in parts: what happens there is tested by hand.
    """
    net = Builder("random", SHAPE)
    tensors = [net.input]
    alive = {net.input}
    if zeros and draw(st.booleans()):
        tensors.append(net.add(Zeros(SHAPE)))
    kinds = ("conv", "conv_norm_act", "depthwise", "norm", "relu", "pool", "sum", "mix", "constant")
    for _ in range(draw(st.integers(1, 10))):
        net.precision = Precision(draw(st.sampled_from([4, 8])), draw(st.sampled_from([4, 8, 16])))
        kind, x = draw(st.sampled_from(kinds)), draw(st.sampled_from(tensors))
        y = draw(st.sampled_from(tensors))
        if kind == "conv":
            new = net.add(Conv2d.square(4, 3, bias=draw(st.booleans())), x)
        elif kind == "conv_norm_act":
            new = net.conv_norm_act(x, 4, 1, activation=draw(st.sampled_from([None, "relu"])))
        elif kind == "depthwise":
            new = net.add(Conv2d.square(4, 3, groups=4), x)
        elif kind == "norm":
            new = net.add(Norm("batch"), x)
        elif kind == "relu":
            new = net.add(Activation("relu"), x)
        elif kind == "pool":
            new = net.add(Pool2d("max", 3, 1, 1), x)
        elif kind == "constant":
            new = net.residual(x, net.add(Constant(SHAPE)))
        elif kind == "mix" and {x, y} <= alive:
            new = net.add(Split(1, 0, 4), net.add(Concat(), x, y))
        else:
            new = net.residual(x, y)
        if x in alive or kind == "constant" or (kind in ("sum", "mix") and y in alive):
            alive.add(new)
        tensors.append(new)
    outputs = draw(st.lists(st.sampled_from(tensors[1:]), min_size=0, max_size=1))
    return net.finish(*dict.fromkeys((tensors[-1], *outputs)))


def _sources(workload: Workload, name: str) -> list[str]:
    """The nodes that store what `name` reads: itself, or what a view looks at."""
    node = workload[name]
    if not node.operator.is_view or isinstance(node.operator, Input):
        return [name]
    return [origin for source in node.inputs for origin in _sources(workload, source)]


def plain_edges(workload: Workload) -> list[list[int]]:
    step = {node.name: i for i, (node, _) in enumerate(workload.rows())}
    reads = [(source, node.name) for node, _ in workload.rows() for source in node.inputs]
    reads += [(output, "") for output in workload.outputs]
    return [
        [step.get(origin, -1), step.get(reader, -1), prod(workload[source].shape)]
        for source, reader in reads
        for origin in _sources(workload, source)
    ]


def plain_peak_bytes(workload: Workload) -> float:
    """At each step, the bits of every tensor made before and still needed, and of what the step itself makes."""
    rows = list(workload.rows())
    step = {node.name: i for i, (node, _) in enumerate(rows)}
    last = dict(step)
    bits = {node.name: row.output_elements * row.activation_bits for node, row in rows}
    for i, (node, row) in enumerate(rows):
        for source in node.inputs:
            for origin in _sources(workload, source):
                last[origin] = max(last.get(origin, 0), i)
                if origin not in step:
                    size = prod(workload[origin].shape) * row.activation_bits
                    bits[origin] = max(bits.get(origin, 0), size)
    for output in workload.outputs:
        for origin in _sources(workload, output):
            if origin in step:
                last[origin] = len(rows) - 1
    live = [sum(bits[name] for name in last if step.get(name, 0) <= t <= last[name]) for t in range(len(rows))]
    return max(live, default=0) / 8


@moderate
@given(st.lists(graphs(), min_size=1, max_size=4))
def test_a_table_of_several_equals_a_table_of_each(workloads: list[Workload]) -> None:
    together = layer_table(workloads)
    assert together.n_layers == len({together.layers.row(i) for i in range(together.n_layers)})
    for i, workload in enumerate(workloads):
        alone = layer_table([workload])
        assert rows_of(together, i) == rows_of(alone, 0)
        assert together.edges(i).tolist() == alone.edges(0).tolist() == plain_edges(workload)
        assert together.totals("macs")[i] == workload.macs
        assert together.totals("parameters")[i] == workload.parameters
        assert weight_bytes(together)[i] == sum(row.parameters * row.weight_bits for _, row in workload.rows()) / 8
    assert np.array_equal(together.counts() @ together.layers.macs, together.totals("macs"))


def rows_of(table: LayerTable, network: int) -> list[object]:
    return [table.layers.row(int(at)) for at in table.rows_of(network)]


@moderate
@given(st.lists(graphs(), min_size=1, max_size=3), st.sampled_from([EAGER, COMPILED]))
def test_peak_memory_is_its_definition(workloads: list[Workload], semantics: Semantics) -> None:
    executed = [rewrite(workload, semantics) for workload in workloads]
    expected = [plain_peak_bytes(workload) for workload in executed]
    assert peak_activation_bytes(layer_table(executed)).tolist() == expected


@moderate
@given(graphs(zeros=False))
def test_fusion_keeps_the_work_and_the_outputs(workload: Workload) -> None:
    fused = fuse(workload)
    assert fused.macs == workload.macs
    assert [fused[a].shape for a in fused.outputs] == [workload[b].shape for b in workload.outputs]
    assert len(fused) <= len(workload)


@moderate
@given(graphs())
def test_fused_parameters_are_counted(workload: Workload) -> None:
    """A folded norm gives its 2C and leaves a bias of C, where there was none."""
    fused = fuse(workload)
    gone = {node.name: node for node in workload if node.name not in fused.graph}
    norms = [node for node in gone.values() if isinstance(node.operator, Norm)]
    biased = [
        node
        for node in fused
        if isinstance(node.operator, Conv2d) and node.operator.bias and not workload[node.name].operator.bias
    ]
    expected = workload.parameters - sum(2 * node.shape[1] for node in norms) + sum(node.shape[1] for node in biased)
    assert fused.parameters == expected
    assert {type(node.operator) for node in gone.values()} <= {Norm, Activation}


@moderate
@given(graphs())
def test_pruning_leaves_what_reaches_an_output_and_carries_something(workload: Workload) -> None:
    pruned = prune_dead_branches(workload)
    assert pruned.macs <= workload.macs
    assert not any(isinstance(node.operator, Zeros) for node in pruned)
    reached = set(pruned.outputs)
    for node in reversed(list(pruned)):
        assert node.name in reached
        reached.update(node.inputs)
    assert list(prune_dead_branches(pruned)) == list(pruned)
    assert len(pruned.outputs) <= len(workload.outputs)


@given(graphs(zeros=False))
def test_eager_changes_nothing_and_bits_change_only_bits(workload: Workload) -> None:
    assert list(rewrite(workload, EAGER)) == list(workload)
    narrow = with_precision(workload, Precision(2, 3))
    assert [row._replace(weight_bits=0, activation_bits=0) for _, row in narrow.rows()] == [
        row._replace(weight_bits=0, activation_bits=0) for _, row in workload.rows()
    ]
    assert {(row.weight_bits, row.activation_bits) for _, row in narrow.rows()} <= {(2, 3)}


def test_memory_of_a_chain_by_hand() -> None:
    """8-bit tensors of 200 (input), 400, 100 and 100 elements: the first layer holds input and output."""
    net = Builder("chain", (2, 4, 5, 5))
    x = net.add(Conv2d.square(8, 1), net.input)
    x = net.add(Conv2d.square(2, 1), x)
    table = layer_table([net.finish(net.add(Activation("relu"), x))])
    assert peak_activation_bytes(table).tolist() == [600.0]
    assert weight_bytes(table).tolist() == [4 * 8 + 8 * 2]


def test_memory_of_a_residual_by_hand() -> None:
    """input 200 -> a 400 -> b 400 -> a + b 400: at the sum a, b and the result are live, the input is not."""
    net = Builder("residual", (2, 4, 5, 5))
    a = net.add(Conv2d.square(8, 1), net.input)
    b = net.add(Activation("relu"), a)
    assert peak_activation_bytes(layer_table([net.finish(net.residual(a, b))])).tolist() == [1200.0]


def test_memory_counts_the_bits_of_each_tensor() -> None:
    net = Builder("bits", (1, 1, 1, 8), precision=Precision(8, 4))
    x = net.add(Activation("relu"), net.input)  # 4 bits: 4 bytes in, 4 bytes out
    net.precision = Precision(8, 16)
    table = layer_table([net.finish(net.add(Activation("tanh"), x))])  # 4 bytes in, 16 bytes out
    assert peak_activation_bytes(table).tolist() == [20.0]


def test_two_inputs_are_two_tensors() -> None:
    net = Builder("two", (1, 100))
    second = net.source((1, 100), name="second")
    assert peak_activation_bytes(layer_table([net.finish(net.residual(net.input, second))])).tolist() == [300.0]


def test_an_input_read_in_halves_is_live_as_a_whole() -> None:
    net = Builder("halves", (1, 200))
    left, right = (net.add(Split(1, start, 100), net.input) for start in (0, 100))
    assert peak_activation_bytes(layer_table([net.finish(net.residual(left, right))])).tolist() == [300.0]


def test_kept_keys_and_values_are_no_activations() -> None:
    """Two caches of 10 tokens, 3 heads of 4 features, 2 sequences, 8 bits; alive are the new tokens and their copy."""
    net = Builder("decode", (2, 3, 1, 4))
    keys, values = net.add(Cache(9), net.input), net.add(Cache(9), net.input)
    table = layer_table([net.finish(keys, values)])
    assert kv_cache_bytes(table).tolist() == [2 * (2 * 10 * 3 * 4)]
    assert peak_activation_bytes(table).tolist() == [3 * (2 * 3 * 4)]
    half = layer_table([with_precision(net.finish(keys, values), Precision(8, 4))])
    assert kv_cache_bytes(half).tolist() == [2 * (2 * 10 * 3 * 4) / 2]
