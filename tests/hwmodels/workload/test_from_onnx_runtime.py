"""Operators of ONNX Runtime that stand for several: attention, embeddings, norms, packed weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from hwmodels.errors import SpecError
from hwmodels.workload.ops import Activation, Constant, Elementwise, Embedding, Kind, Linear, MatMul, Norm, Softmax
from tests.hwmodels.workload.onnx_writer import Writer
from tests.hwmodels.workload.onnx_writer import read_known as read

MICROSOFT = {"domain": "com.microsoft"}
INT = TensorProto.INT64


@pytest.mark.parametrize("is_packed", [False, True])
def test_grouped_attention_with_rotary_positions(is_packed: bool, tmp_path: Path) -> None:
    """One token behind 9: 8 heads x 10 keys x 16 features, twice; 2 heads of keys; rotary rows of both."""
    w = Writer()
    inputs: dict[str, Any] = {"past_k": (1, 2, 9, 16), "past_v": (1, 2, 9, 16)}
    if is_packed:
        inputs = {"q": (1, 1, 12 * 16), **inputs}
        operands = ["q", "", "", "past_k", "past_v"]
    else:
        inputs = {"q": (1, 1, 128), "k": (1, 1, 32), "v": (1, 1, 32), **inputs}
        operands = ["q", "k", "v", "past_k", "past_v"]
    w.nodes.append(
        helper.make_node(
            "GroupQueryAttention",
            operands,
            ["y", "k_out", "v_out"],
            num_heads=8,
            kv_num_heads=2,
            do_rotary=1,
            **MICROSOFT,
        )
    )
    found = read(w, tmp_path, inputs, "y")
    assert found.macs == 2 * 8 * 10 * 16
    assert found[found.outputs[0]].shape == (1, 1, 128)
    assert sum(isinstance(node.operator, Elementwise) for node in found) == 6


def test_heads_that_do_not_fit_packed_features(tmp_path: Path) -> None:
    w = Writer()
    w.nodes.append(
        helper.make_node("GroupQueryAttention", ["q", "", ""], ["y"], num_heads=7, kv_num_heads=2, **MICROSOFT)
    )
    with pytest.raises(SpecError, match="7 heads and 2 of keys is not those of 190 features side by side"):
        read(w, tmp_path, {"q": (1, 1, 190)}, "y")


def test_an_embedding_with_its_norm(tmp_path: Path) -> None:
    """Words, positions and segments: three tables, two sums, one norm."""
    w = Writer()
    tables = [w.weight(1000, 32), w.weight(512, 32), w.weight(2, 32)]
    y = w.add(
        "EmbedLayerNormalization",
        "ids",
        "segments",
        *tables,
        w.weight(32),
        w.weight(32),
        made="y",
        outputs=3,
        **MICROSOFT,
    )
    found = read(w, tmp_path, {"ids": (1, 7), "segments": (1, 7)}, y, ids=INT, segments=INT)
    assert found.parameters == (1000 + 512 + 2 + 2) * 32
    kinds = [type(node.operator) for node, _ in found.rows()]
    assert kinds == [Embedding, Embedding, Elementwise, Embedding, Elementwise, Norm]
    assert found[found.outputs[0]].shape == (1, 7, 32)


def test_biases_of_softmax_and_dropout(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("BiasSoftmax", "x", "mask", axis=-1, **MICROSOFT)
    y = w.add("BiasDropout", x, w.weight(5), "x", made="y", **MICROSOFT)
    found = read(w, tmp_path, {"x": (2, 3, 5), "mask": (2, 3, 5)}, y)
    assert [type(node.operator) for node, _ in found.rows()] == [
        Elementwise, Softmax, Constant, Elementwise, Elementwise
    ]  # fmt: skip
    assert found.parameters == 5


@pytest.mark.parametrize("skips", [0, 2])
def test_group_norm_with_channels_last(skips: int, tmp_path: Path) -> None:
    w = Writer()
    affine = [w.weight(8), w.weight(8)]
    kind, more = ("SkipGroupNorm", ["x", w.weight(8)]) if skips else ("GroupNorm", [])
    y = w.add(kind, "x", *affine, *more, made="y", groups=4, activation=1, **MICROSOFT)
    found = read(w, tmp_path, {"x": (1, 4, 6, 8)}, y)
    operators = [node.operator for node, _ in found.rows()]
    assert operators[-2:] == [Norm("group"), Activation("silu")]
    assert sum(isinstance(operator, Elementwise) for operator in operators) == skips
    assert found[found.outputs[0]].shape == (1, 4, 6, 8)


def test_a_table_in_blocks_of_four_bits_that_the_head_shares(tmp_path: Path) -> None:
    """1000 x 32 elements of four bits in 16,000 bytes, read twice and counted once; a table of 500 x 32 beside them."""
    w = Writer()
    packed, scales = w.weight(1000, 2, 16, kind=TensorProto.UINT8), w.weight(1000, 2)
    flat = w.weight(500, 16, kind=TensorProto.UINT8)
    rows = w.add("GatherBlockQuantized", flat, "x", w.weight(500, 1), bits=4, block_size=32, **MICROSOFT)
    head = w.add("MatMulNBits", rows, packed, scales, N=1000, K=32, bits=4, block_size=16, **MICROSOFT)
    y = w.add("MatMulNBits", rows, packed, scales, made="y2", N=1000, K=32, bits=4, block_size=16, **MICROSOFT)
    found = read(w, tmp_path, {"x": (1, 3)}, w.add("Add", head, y, made="y"), x=INT)
    assert found.parameters == 500 * 32 + 1000 * 32
    assert next(node for node in found if isinstance(node.operator, Embedding)).precision.weight_bits == 4


def test_quantised_attention_has_the_bits_of_its_weights(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("QuantizeLinear", "x", w.number(0.1), w.value(0, "uint8"))
    weight = w.weight(32, 96, kind=TensorProto.INT8)
    y = w.add("QAttention", x, weight, w.weight(96), w.number(0.1), w.number(0.1), made="y", num_heads=4, **MICROSOFT)
    found = read(w, tmp_path, {"x": (1, 6, 32)}, y)
    assert found.macs == 6 * 32 * 96 + 2 * 4 * 36 * 8
    assert found.parameters == 32 * 96 + 96
    projection = next(node for node, row in found.rows() if row.kind == Kind.LINEAR)
    assert isinstance(projection.operator, Linear)
    assert projection.precision[:2] == (8, 8)
    assert sum(isinstance(node.operator, MatMul) for node in found) == 2
