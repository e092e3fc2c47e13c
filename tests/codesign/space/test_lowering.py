"""Batched lowering against the graph of each network: rows in order, edges, flags, bits, counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.space.architecture import ArchitectureSpace
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from codesign.space.lowering import BatchGraph
from hwmodels.errors import SpecError
from hwmodels.workload.memory import peak_activation_bytes
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import COMPILED, EAGER, Semantics, rewrite
from hwmodels.workload.table import LayerTable, layer_table
from tests.codesign.space.toy_spaces import AttentionSpace, MobileSpace, PairSpace

SEMANTICS = [Semantics(drop, fold) for drop in (False, True) for fold in (False, True)]
SPACES: dict[str, ArchitectureSpace] = {
    "cell": CellSpace(),
    "small cell": CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8), classes=3, batch=2),
    "one stage": CellSpace(channels=3, cells=2, stages=1, input_shape=(3, 7, 7)),
    "few operations": CellSpace(
        cells=1, operations=("none", "avg_pool_3x3", "skip_connect"), precision=Precision(4, 6)
    ),
    "chain": ChainSpace(),
    "short chain": ChainSpace(stages=1, depth=(1, 2, 4), stride=(1, 3), bits=(2,), input_shape=(1, 9, 9), batch=3),
    "wide images": CellSpace(channels=4, cells=1, stages=2, input_shape=(3, 6, 10)),
    "mobile": MobileSpace(),
    "attention": AttentionSpace(),
    "image and sequence": PairSpace(),
    "deep chain": ChainSpace(stages=5, kernel=(3,), depth=(2,), classes=100, precision=Precision(16, 16, 48)),
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
every_semantics = pytest.mark.parametrize(
    "semantics", SEMANTICS, ids=lambda s: f"drop={s.drop_dead_branches}-fuse={s.fuse_norm_activation}"
)


def assert_same_networks(batch: LayerTable, one_by_one: LayerTable) -> None:
    assert batch.n_networks == one_by_one.n_networks
    for i in range(batch.n_networks):
        ours = [batch.layers.row(int(at)) for at in batch.rows_of(i)]
        assert ours == [one_by_one.layers.row(int(at)) for at in one_by_one.rows_of(i)]
        assert batch.edges(i).tolist() == one_by_one.edges(i).tolist()


def check(space: ArchitectureSpace, genotypes: np.ndarray, semantics: Semantics) -> None:
    lowered = space.lower(genotypes, semantics)
    graphs = [rewrite(space.workload(genotype), semantics) for genotype in genotypes]
    expected = layer_table(graphs)
    table, network = lowered.table, lowered.network
    assert network.shape == (len(genotypes),)
    assert table.n_networks == len(np.unique(genotypes, axis=0))
    assert len({table.layers.row(i) for i in range(table.n_layers)}) == table.n_layers
    assert set(table.networks.sequence) == set(range(table.n_layers))
    first = [int(np.flatnonzero(network == i)[0]) for i in range(table.n_networks)]
    assert_same_networks(table, layer_table([graphs[i] for i in first]))
    for column in ("macs", "parameters", "output_elements", "vector_ops"):
        assert np.array_equal(table.totals(column)[network], expected.totals(column))
    assert np.array_equal(peak_activation_bytes(table)[network], peak_activation_bytes(expected))


@every_space
@every_semantics
def test_a_batch_is_its_networks(space: ArchitectureSpace, semantics: Semantics) -> None:
    """Valid points, any points (disconnected cells too), duplicates, in a random order."""
    rng = np.random.default_rng(5)
    some = np.concatenate([space.sample(10, rng), rng.integers(0, space.cardinalities, (10, space.n_genes))])
    genotypes = np.concatenate([some, some[:4], np.zeros((1, space.n_genes), np.int64), space.cardinalities[None] - 1])
    check(space, genotypes[rng.permutation(len(genotypes))], semantics)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(["small cell", "one stage", "few operations", "chain", "short chain", "mobile", "attention"]),
    semantics=st.sampled_from(SEMANTICS),
    n=st.integers(1, 6),
)
def test_any_batch_is_its_networks(seed: int, name: str, semantics: Semantics, n: int) -> None:
    space = SPACES[name]
    check(space, np.random.default_rng(seed).integers(0, space.cardinalities, (n, space.n_genes)), semantics)


@every_semantics
def test_every_cell_of_two_operations(semantics: Semantics) -> None:
    """All 729 cells of none, skip and 1x1 convolution, exhaustively."""
    space = CellSpace(
        channels=2, cells=1, stages=1, input_shape=(1, 4, 4), operations=("none", "skip_connect", "nor_conv_1x1")
    )
    check(space, space.enumerate(), semantics)


def test_order_and_company_change_nothing() -> None:
    space = SPACES["cell"]
    genotypes = space.sample(30, np.random.default_rng(0))
    whole = space.lower(genotypes, COMPILED)
    for i in (0, 7, 29):
        alone = space.lower(genotypes[i : i + 1], COMPILED).table
        at = int(whole.network[i])
        assert [whole.table.layers.row(int(r)) for r in whole.table.rows_of(at)] == [
            alone.layers.row(int(r)) for r in alone.rows_of(0)
        ]
        assert np.array_equal(whole.table.edges(at), alone.edges(0))


def test_a_batch_of_none_is_empty() -> None:
    space = SPACES["small cell"]
    lowered = space.lower(np.empty((0, 6), np.int64), EAGER)
    assert (lowered.table.n_networks, lowered.network.size) == (0, 0)


def test_a_broken_template_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has teeth: a sum that forgets an operand, a norm that is never folded."""
    space = SPACES["small cell"]
    genotypes = np.array([[3, 3, 3, 3, 3, 3]])
    check(space, genotypes, COMPILED)
    with monkeypatch.context() as broken:
        broken.setattr(BatchGraph, "sum", lambda self, contributions: contributions[0])
        with pytest.raises(AssertionError):
            check(space, genotypes, COMPILED)
    with monkeypatch.context() as broken:
        broken.setattr(BatchGraph, "_fuse", lambda self, *arguments: None)
        with pytest.raises(AssertionError):
            check(space, genotypes, COMPILED)


def test_attention_in_one_kernel_is_lowered_by_graphs() -> None:
    space = SPACES["attention"]
    check(space, space.enumerate(), Semantics(True, True, fuse_attention=True))


def test_zeros_that_give_shape_are_refused() -> None:
    """A joined tensor of zeros keeps its shape in the graph: array lowering says that it does not know this."""
    net = BatchGraph(2, [(1, 3, 4, 4)], precision=Precision(), semantics=COMPILED)
    nothing = net.sum([net.only(net.input, np.array([True, False]))])
    with pytest.raises(SpecError, match="Concat: an operand of zeros is not lowered graph by graph"):
        net.concat([net.input, nothing])


def test_several_inputs_are_read_by_number() -> None:
    net = BatchGraph(1, [(1, 3, 4, 4), (1, 2, 4, 4)], precision=Precision(), semantics=EAGER)
    table = net.finish(net.concat([net.inputs[1], net.inputs[0]]))
    assert table.edges(0).tolist() == [[-2, 0, 32], [-1, 0, 48], [0, -1, 80]]
    assert net.shapes_of(net.inputs[1]) == [(1, 2, 4, 4)]
