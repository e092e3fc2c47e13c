"""LayerTable: unique rows, counts, totals, edges and flags, by hand and on the zoo."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.memory import peak_activation_bytes, weight_bytes
from hwmodels.workload.ops import Linear, Precision, Reshape, Row
from hwmodels.workload.table import Layers, LayerTable, RowBank, layer_table
from hwmodels.workload.zoo import network

NAMES = ("resnet18", "mobilenet_v2", "bert_base", "lstm_650")


@pytest.fixture(scope="module")
def zoo() -> tuple[list[Workload], LayerTable]:
    workloads = [network(name) for name in (*NAMES, "resnet18")]
    return workloads, layer_table(workloads)


def test_columns_are_the_fields_of_a_row() -> None:
    assert Layers._fields == Row._fields


def test_rows_are_unique_and_all_in_use(zoo: tuple[list[Workload], LayerTable]) -> None:
    _, table = zoo
    columns = np.stack(table.layers, axis=1)
    assert len(np.unique(columns, axis=0)) == table.n_layers
    assert set(table.networks.sequence) == set(range(table.n_layers))
    assert all(column.dtype == np.int64 for column in (*table.layers, *table.networks))
    assert all(column.flags.c_contiguous for column in table.layers)


def test_sequences_counts_and_totals_are_exact(zoo: tuple[list[Workload], LayerTable]) -> None:
    workloads, table = zoo
    counts = table.counts()
    for i, workload in enumerate(workloads):
        rows = [row for _, row in workload.rows()]
        assert [table.layers.row(int(at)) for at in table.rows_of(i)] == rows
        assert counts[i].sum() == len(rows)
        assert [counts[i, at] for at in range(table.n_layers)] == [
            rows.count(table.layers.row(at)) for at in range(table.n_layers)
        ]
        for column in ("macs", "parameters", "output_elements"):
            assert int(table.totals(column)[i]) == sum(getattr(row, column) for row in rows)
    assert table.names == tuple(workload.name for workload in workloads)


def test_one_network_twice_adds_no_rows(zoo: tuple[list[Workload], LayerTable]) -> None:
    workloads, table = zoo
    assert table.n_layers == layer_table(workloads[:-1]).n_layers
    assert np.array_equal(table.rows_of(0), table.rows_of(len(NAMES)))
    assert np.array_equal(table.edges(0), table.edges(len(NAMES)))


def test_bits_multiply_unique_rows() -> None:
    plain = network("resnet18")
    both = layer_table([plain, network("resnet18", precision=Precision(4, 4))])
    assert both.n_layers == 2 * layer_table([plain]).n_layers


def test_edges_by_hand() -> None:
    """input -> conv -> norm -> relu -> sum -> linear, with a skip from the relu's input and views between."""
    net = Builder("net", (2, 3, 4, 4))
    x = net.conv_norm_act(net.input, 5, 1)
    skip = net.add(Reshape((2, 5, 16, 1)), x)
    y = net.residual(skip, skip)
    table = layer_table([net.finish(net.linear(net.flatten(y), 7))])
    image, hidden = 2 * 3 * 16, 2 * 5 * 16
    assert table.edges(0).tolist() == [
        [-1, 0, image],
        [0, 1, hidden],
        [1, 2, hidden],
        [2, 3, hidden],
        [2, 3, hidden],  # a tensor read twice is two edges
        [3, 4, hidden],
        [4, -1, 14],
    ]
    assert table.layers.input_offchip[table.rows_of(0)].tolist() == [1, 0, 0, 0, 0]
    assert table.layers.output_offchip[table.rows_of(0)].tolist() == [0, 0, 0, 0, 1]


def test_a_table_of_no_networks_is_empty() -> None:
    table = layer_table([])
    assert (table.n_networks, table.n_layers, table.counts().shape) == (0, 0, (0, 0))


def test_a_bank_gives_equal_rows_one_id() -> None:
    bank = RowBank()
    assert [bank.id(row) for row in (Row(0), Row(1), Row(0), Row(0, batch=2))] == [0, 1, 0, 2]
    assert len(bank) == 3
    assert bank.rows == [Row(0), Row(1), Row(0, batch=2)]


def test_a_long_chain_of_views_is_looked_through() -> None:
    """Deeper than Python's stack."""
    net = Builder("views", (1, 4))
    x = net.add(Linear(4), net.input)
    for _ in range(3000):
        x = net.add(Reshape((4, 1) if net.shape(x) == (1, 4) else (1, 4)), x)
    table = layer_table([net.finish(x)])
    assert table.edges(0).tolist() == [[-1, 0, 4], [0, -1, 4]]


def wide(*features: int, rows: int = 1) -> Workload:
    """Layers of these widths behind one another."""
    net = Builder("wide", (rows, features[0]))
    x = net.input
    for width in features[1:]:
        x = net.linear(x, width, bias=False)
    return net.finish(x)


def test_sums_beyond_64_bits_are_the_floats_nearest_to_them() -> None:
    """Twenty layers of 2**59 MACs are 10 x 2**60, beyond int64; a small network beside them is still exact."""
    workloads = [wide(*[2**19] * 21, rows=2**21), wide(3, 5)]
    totals = layer_table(workloads).totals("macs")
    assert totals.tolist() == [20 * 2.0**59, 15.0]
    assert workloads[0].macs == 20 * 2**59


def test_sums_of_bits_are_exact_where_their_product_is_not_64_bit() -> None:
    """2**58 stored weights of 64 bits are 2**61 bytes; a product of int64 would be 0."""
    net = Builder("wide", (1, 2**29), precision=Precision(64, 8, 32))
    table = layer_table([net.finish(net.linear(net.input, 2**29, bias=False))])
    assert weight_bytes(table).tolist() == [2.0**61]


def test_peak_activations_beyond_64_bits_are_not_negative() -> None:
    """2**58 results of 32 bits are 2**63 of them."""
    net = Builder("wide", (2**30, 2), precision=Precision(8, 32, 32))
    table = layer_table([net.finish(net.linear(net.input, 2**28, bias=False))])
    assert peak_activation_bytes(table).tolist() == [2.0**60 + 2.0**33]


@pytest.mark.parametrize("width", [2**30, 2**40])
def test_a_layer_beyond_64_bits_is_refused_by_its_name(width: int) -> None:
    with pytest.raises(SpecError, match=r"^wide: linear1: macs: .* is not < 2\*\*60") as caught:
        layer_table([wide(3, 5), wide(width, width)])
    assert "\n" not in str(caught.value)
    row = next(row for _, row in wide(width, width).rows())
    with pytest.raises(SpecError, match="a layer of kind linear"):
        Layers.of([row])
