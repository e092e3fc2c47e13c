"""Shares of networks: regions as Megatron cuts a transformer, sums of work, whole shares to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.workload.from_hf_config import from_hf_config
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Kind, Precision
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.shard import batch_share, shard
from hwmodels.workload.table import LayerTable, layer_table
from hwmodels.workload.zoo import network

LLAMA = {
    "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 4, "intermediate_size": 1024, "vocab_size": 1024,
}  # fmt: skip


def llama(batch: int = 2) -> LayerTable:
    net = from_hf_config(LLAMA, batch=batch, tokens=64, precision=Precision(16, 16))
    return layer_table([rewrite(net, COMPILED)])


def compiled(*names: str, batch: int = 1) -> LayerTable:
    return layer_table([rewrite(network(name, batch=batch), COMPILED) for name in names])


def test_a_transformer_adds_twice_a_layer_and_gathers_its_logits() -> None:
    """[Shoeybi et al.]: one all-reduce behind attention, one behind the feed-forward network, of tokens x width."""
    found = shard(llama(), layers=4)
    assert found.gathers.tolist() == [False] * 6 + [True]
    assert found.size_bytes[:6].tolist() == [2 * 64 * 512 * 2.0] * 6
    assert found.size_bytes[6] == 2 * 64 * 1024 * 2.0


def test_every_mac_of_an_even_transformer_is_shared() -> None:
    table = llama()
    for parts in (2, 4):
        assert shard(table, layers=parts).table.totals("macs")[0] * parts == table.totals("macs")[0]


def test_norms_and_embeddings_are_whole_on_every_device() -> None:
    table, found = llama(), shard(llama(), layers=4)

    def parameters(of: LayerTable, *kinds: Kind) -> int:
        sizes = of.layers.parameters * np.isin(of.layers.kind, kinds)
        return int(sizes[of.networks.sequence].sum())

    whole, mine = (parameters(one.table if hasattr(one, "table") else one, Kind.NORM, Kind.EMBEDDING)
                   for one in (table, found))  # fmt: skip
    assert whole == mine > 0
    assert parameters(found.table, Kind.LINEAR) * 4 == parameters(table, Kind.LINEAR)


def test_a_branch_that_leaves_the_region_keeps_it_whole() -> None:
    """The block of a residual network sums behind its second convolution; what the branch reads is not split."""
    found = shard(compiled("resnet18"), layers=4)
    assert int((~found.gathers).sum()) == 8  # two convolutions a block: column, row
    assert int(found.gathers.sum()) == 5  # the stem, three projections, the classifier


def test_what_is_read_outside_of_a_region_is_gathered() -> None:
    """Between two products, an activation that a third reads as well: no device has all of it unless it is gathered."""

    def net(*, leaves: bool) -> LayerTable:
        made = Builder("net", (1, 8, 8, 8))
        first = made.add(Activation("silu"), made.add(Conv2d.square(16, 3), made.input))
        second = made.add(Conv2d.square(8, 3), first)
        return layer_table([made.finish(second, first) if leaves else made.finish(second)])

    assert shard(net(leaves=False), layers=2).gathers.tolist() == [False]
    assert shard(net(leaves=True), layers=2).gathers.tolist() == [True, True]


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["resnet18", "mobilenet_v2", "gpt2", "swin_t", "densenet121"]), st.sampled_from([2, 3, 8]))
def test_a_share_is_no_more_than_all_and_no_less_than_its_part(name: str, parts: int) -> None:
    table = compiled(name)
    mine = shard(table, layers=parts).table
    for column in ("macs", "parameters", "weight_elements"):
        whole, share = int(table.totals(column)[0]), int(mine.totals(column)[0])
        assert share * parts >= whole * 0.999, column
        assert share <= whole, column
    rows = mine.layers
    product = rows.macs > 0
    found = rows.groups * rows.m * rows.n * rows.k * rows.sequential_steps
    assert (found[product] == rows.macs[product]).all()


def test_one_share_is_the_table() -> None:
    table = llama()
    found = shard(table)
    assert found.table is table
    assert found.position.size == 0


@pytest.mark.parametrize("name", ["resnet18", "gpt2", "mobilenet_v2"])
@pytest.mark.parametrize("shares", [1, 2, 4, 8])
def test_a_share_of_the_batch_is_the_smaller_batch(name: str, shares: int) -> None:
    whole, part = compiled(name, batch=8), compiled(name, batch=8 // shares)
    mine = batch_share(whole.layers, shares)
    for field, column in mine._asdict().items():
        if field not in ("in_h", "out_h"):  # of single rows, which kernels do not read
            assert column.tolist() == getattr(part.layers, field).tolist(), field


def test_a_batch_that_does_not_divide_is_rounded_up() -> None:
    layers = compiled("resnet18", batch=5).layers
    assert (batch_share(layers, 2).batch == 3).all()
    assert (batch_share(layers, 8).batch == 1).all()
