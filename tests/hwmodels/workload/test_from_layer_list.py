"""Layer lists of other tools: MACs as those tools count them, chains for cost models, one line for faults."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwmodels import estimate
from hwmodels.errors import SpecError
from hwmodels.workload.from_layer_list import from_layer_list
from hwmodels.workload.graph import Input, Workload
from hwmodels.workload.ops import Conv2d, Elementwise, Linear, MatMul, Pool2d, Precision


def read(folder: Path, text: str, name: str = "net.csv", **given: object) -> Workload:
    (folder / name).write_text(text, encoding="utf-8")
    return from_layer_list(folder / name, **given)  # type: ignore[arg-type]


def refused(folder: Path, text: str, match: str, name: str = "net.csv") -> None:
    with pytest.raises(SpecError, match=match) as caught:
        read(folder, text, name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(name)


HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"

# SCALE-Sim


def test_a_topology_of_convolutions(tmp_path: Path) -> None:
    """MACs by SCALE-Sim's own formula: ceil((i - f + s) / s) positions along an axis, its last window hanging over."""
    found = read(tmp_path, HEADER + "Conv1, 224, 224, 7, 7, 3, 64, 2,\nFC, 1, 1, 1, 1, 64, 10, 1,\n")
    assert [row.macs for _, row in found.rows()] == [110 * 110 * 49 * 3 * 64, 640]
    assert found.parameters == 49 * 3 * 64 + 640
    assert [type(node.operator).__name__ for node in found] == ["Input", "Conv2d", "View", "Conv2d"]
    assert found.name == "net"


@pytest.mark.parametrize("size", [7, 10, 11, 12, 13, 14])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_positions_as_scale_sim_counts_them(size: int, stride: int, tmp_path: Path) -> None:
    found = read(tmp_path, HEADER + f"a, {size}, 9, 7, 3, 2, 4, {stride},\n")
    high, wide = (-((f - i - stride) // stride) for i, f in ((size, 7), (9, 3)))
    assert found.macs == high * wide * 21 * 2 * 4


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "a, 8, 6, 3, 3, 4, 16, 1,\n",
        HEADER.rstrip(",\n") + "\na,8,6,3,3,4,16,1\n",
        "\ufeff" + HEADER + "\n\n  a , 8 , 6 , 3 , 3 , 4 , 16 , 1 , # remark\n\n",
        HEADER.replace("Strides", "Stride height, Stride width") + "a,8,6,3,3,4,16,1,1,\n",
        "Layer,ifmap_h,ifmap_w,filter_h,filter_w,num_channels,num_filters,stride,Sparsity,\na,8,6,3,3,4,16,1,1:1,\n",
        "a, 8, 6, 3, 3, 4, 16, 1,\n",
        "Num Filter,Layer,Channels,Stride,IFMAP Width,IFMAP Height,Filter Height,Filter Width\n16,a,4,1,6,8,3,3\n",
    ],
)
def test_spellings_of_one_topology(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert [node.operator for node in found][1:] == [Conv2d(16, (3, 3), (1, 1), (0, 0), bias=False)]
    assert found.input_shapes == ((1, 4, 8, 6),)


def test_strides_of_both_axes(tmp_path: Path) -> None:
    header = HEADER.replace("Strides,", "Stride height, Stride width,")
    assert read(tmp_path, header + "a, 9, 9, 3, 3, 1, 1, 2, 3,\n").macs == 4 * 3 * 9


def test_a_depthwise_layer_by_its_name(tmp_path: Path) -> None:
    """SCALE-Sim writes a layer with DP in its name out as one layer of one channel for each channel."""
    found = read(tmp_path, HEADER + "Conv2_DP, 10, 10, 3, 3, 32, 1, 1,\n")
    assert (found.macs, found.parameters) == (64 * 9 * 32, 9 * 32)
    assert found["Conv2_DP"].operator == Conv2d(32, (3, 3), groups=32, padding=(0, 0), bias=False)


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("Layer, M, N, K,\nq, 128, 64, 32,\n", 128 * 64 * 32),
        ("Layer name,M,N,K\nq,128,64,32\n", 128 * 64 * 32),
        ("Layer,M,K,N,\nq,128,64,32,\n", 128 * 64 * 32),
        ("Layer,M,N,K,Sparsity,Batch,\nq,128,64,32,1:1,8,\n", 8 * 128 * 64 * 32),
        ("q,128,64,32,\n", 128 * 64 * 32),
    ],
)
def test_a_topology_of_products(text: str, macs: int, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert found.macs == macs
    assert isinstance(found["q"].operator, Linear)


def test_a_sparse_layer_is_dense_with_a_warning(tmp_path: Path) -> None:
    header = HEADER.rstrip(",\n") + ", Sparsity,\n"
    with pytest.warns(UserWarning, match=r"net.csv: line 2, column Sparsity: sparsity 2:4 is not modelled"):
        assert read(tmp_path, header + "a, 8, 8, 3, 3, 4, 16, 1, 2:4,\n").macs == 36 * 9 * 64
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path, header + "a, 8, 8, 3, 3, 4, 16, 1, 4:4,\nb, 8, 8, 3, 3, 4, 16, 1,\n")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "an empty file"),
        ("\n\n", "an empty file"),
        (HEADER, "a header alone"),
        (HEADER + "a, 8, 8, 3, 3, 4, x, 1,\n", r"line 2, column Num Filter: x is not a whole number"),
        (HEADER + "a, 8, 8, 3, 3, 4, 16,\n", r"line 2, column Strides: an empty field is not a whole number"),
        (HEADER + "a, 8, 8, 3, 3, 0, 16, 1,\n", r"line 2, column Channels: 0 is not a whole number from 1"),
        (HEADER + "a, 8, 8, 3, 3, 4, 1.5, 1,\n", r"column Num Filter: 1.5 is not"),
        (HEADER + "a, 8, 8, 3, 3, 4, -2, 1,\n", r"column Num Filter: -2 is not"),
        (HEADER + f"a, 8, 8, 3, 3, 4, {2**40}, 1,\n", "column Num Filter"),
        (HEADER + "ok, 8, 8, 3, 3, 4, 16, 1,\nb, 2, 8, 3, 3, 4, 16, 1,\n", r"line 3, column Filter Height: 3 is not"),
        (HEADER.replace("Num Filter,", "") + "a, 8, 8, 3, 3, 4, 1,\n", "line 1: column numfilter is missing"),
        (HEADER.replace("Channels", "Chanels") + "a\n", "column: Chanels is not one of .*did you mean channels"),
        (HEADER.replace("Channels", "Strides") + "a\n", "column: Strides is not given once"),
        ("Layer,M,N,\nq,1,2,\n", "line 1: column k is missing"),
        ("Layer,M,N,K,Sparsity,\nq,1,2,3,half,\n", "column Sparsity: half is not a ratio"),
        ("Layer,M,N,K,Sparsity,\nq,1,2,3,4:2,\n", "column Sparsity: 4:2 is not a ratio of at most one"),
        ("Layer,M,N,K,\n" + "q,2147483647,2147483647,2147483647,\n", "countable in 63 bits|positive extents"),
    ],
)  # fmt: skip
def test_a_malformed_topology_is_one_line(text: str, match: str, tmp_path: Path) -> None:
    refused(tmp_path, text, match)


# Timeloop

CNN = """
problem:
  version: 0.4
  shape:
    name: CNN
    dimensions: [C, M, R, S, N, P, Q]
    coefficients:
    - {name: Wstride, default: 1}
    - {name: Hstride, default: 1}
    - {name: Wdilation, default: 1}
    - {name: Hdilation, default: 1}
    SPACES:
    - name: Weights
      projection: [[[C]], [[M]], [[R]], [[S]]]
    - name: Inputs
      projection:
      - [[N]]
      - [[C]]
      - [[R, Wdilation], [P, Wstride]]
      - [[S, Hdilation], [Q, Hstride]]
    - name: Outputs
      projection: [[[N]], [[M]], [[Q]], [[P]]]
      WRITE: True
  instance: {C: 3, M: 64, R: 7, S: 5, P: 112, Q: 56, N: 1, Wstride: 2, Hstride: 4, Hdilation: 3}
"""
PLAIN = "problem:\n  instance: {C: 3, M: 64, R: 7, S: 5, P: 112, Q: 56, N: 1, Wstride: 2, Hstride: 4, Hdilation: 3}\n"


@pytest.mark.parametrize(
    "text",
    [
        CNN.replace("SPACES", "data_spaces").replace("WRITE", "read_write"),
        CNN.replace("SPACES", "data-spaces").replace("WRITE", "read-write").replace("  version: 0.4\n", ""),
        PLAIN,
        PLAIN.replace("problem:\n", "{{include_text('../base.yaml')}}\nproblem:\n  <<<: *base\n  shape: cnn-layer\n"),
        PLAIN.replace("problem:\n  instance: {", "problem: {shape: cnn-layer, ").replace("M:", "K:"),
    ],
)
def test_a_convolution_in_every_form_of_a_problem(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, text, "conv1.yaml")
    assert found.macs == 112 * 56 * 64 * 3 * 35
    (layer,) = (node for node in found if not isinstance(node.operator, Input))
    assert layer.operator == Conv2d(64, (5, 7), (4, 2), (0, 0), (3, 1), bias=False)
    assert layer.shape == (1, 64, 56, 112)
    assert found.input_shapes == ((1, 3, 55 * 4 + 4 * 3 + 1, 111 * 2 + 7),)


def test_groups_and_batches_of_problems(tmp_path: Path) -> None:
    text = "problem: {instance: {C: 2, M: 4, G: 8, R: 3, S: 3, P: 6, Q: 6, N: 5}}"
    found = read(tmp_path, text, "a.yaml")
    assert (found.macs, found.parameters, found.batch) == (5 * 36 * 9 * 2 * 4 * 8, 9 * 2 * 4 * 8, 5)
    with pytest.raises(SpecError, match="batch: 3 is not 5, the batch of the list"):
        read(tmp_path, text, "a.yaml", batch=3)
    assert read(tmp_path, text.replace("N: 5", "N: 1"), "a.yaml", batch=3).batch == 3


GEMM = """
problem:
  version: 0.4
  shape:
    name: GEMM
    dimensions: [M, N, K]
    data_spaces:
    - {name: A, projection: [[[M]], [[K]]]}
    - {name: B, projection: [[[N]], [[K]]]}
    - {name: Z, projection: [[[M]], [[N]]], read_write: true}
  instance: {M: 6, N: 7, K: 8}
"""


def test_a_product_by_its_projections(tmp_path: Path) -> None:
    found = read(tmp_path, GEMM, "gemm.yaml")
    assert (found.macs, found.parameters) == (6 * 7 * 8, 7 * 8)
    assert [node.operator for node in found][1:] == [Linear(7, bias=False)]


def test_a_folder_and_a_list_of_problems(tmp_path: Path) -> None:
    """Files in the order of their numbers; those that hold a shape alone are no layers."""
    folder = tmp_path / "alexnet"
    folder.mkdir()
    for number in (2, 10, 1):
        (folder / f"layer{number}.yaml").write_text(f"problem: {{instance: {{C: {number}, M: 4, P: 2, Q: 2}}}}")
    (folder / "base.yaml").write_text("problem:\n  shape: {name: CNN, dimensions: [C]}\n")
    (folder / "arch.yaml").write_text("architecture: {version: 0.4}\n")
    found = from_layer_list(folder)
    assert [node.name for node in found if isinstance(node.operator, Conv2d)] == ["layer1", "layer2", "layer10"]
    assert (found.name, found.macs) == ("alexnet", (1 + 2 + 10) * 16)
    listed = "\n".join(f"- problem: {{instance: {{C: {c}, M: 4, P: 2, Q: 2}}}}" for c in (1, 2, 10))
    assert read(tmp_path, listed, "list.yaml").macs == found.macs
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(SpecError, match="empty: a folder without Timeloop problems"):
        from_layer_list(empty)


def test_densities_are_warned_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="densities are not modelled"):
        read(tmp_path, "problem: {instance: {C: 2, densities: {Inputs: 0.5}}}", "a.yaml")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "a file of another kind"),
        ("architecture: {}", "a file of another kind"),
        ("3", "a file of another kind"),
        ("problem: 3", "problem: 3 is not a mapping|another kind"),
        ("problem: {}", "problem: instance is missing"),
        ("problem: {instance: 3}", "instance: 3 is not a mapping"),
        ("problem: {instance: {C: x}}", "problem: C: x is not a whole number"),
        ("problem: {instance: {C: 2.5}}", "problem: C: 2.5 is not"),
        ("problem: {instance: {C: true}}", "problem: C: True is not"),
        ("problem: {instance: {C: 1, Hstrid: 2}}", "instance: Hstrid is not one of .*did you mean Hstride"),
        ("problem: {shape: [1], instance: {C: 1}}", "shape: .* is not a mapping"),
        ("problem: {instance: {C: 1", "line 1"),
        (GEMM.replace("N: 7, ", ""), "instance: N is missing"),
        (GEMM.replace("N: 7", "O: 7"), "instance: O is not one of"),
        (GEMM.replace("[M, N, K]", "[M, N]"), "projection|instance"),
        (GEMM.replace(", read_write: true", ""), "0 tensors with read_write is not one"),
        (GEMM.replace("[[[N]], [[K]]]", "[[[N]], [[Q]]]"), "B: projection: .* is not a sum of one or two of M, N, K"),
        (GEMM.replace("[[[N]], [[K]]]", "[[[N]], [[K], [M]]]"), "a sum of a position and of a tap|projection"),
        (GEMM.replace("projection: [[[M]], [[K]]]", "projection: 7"), "A: 7 is not a list of axes"),
        (GEMM.replace("[[[M]], [[N]]]", "[[[M]]]").replace("M: 6, N: 7", "M: 6, N: 7"), "loop N is not one that two"),
    ],
)  # fmt: skip
def test_a_malformed_problem_is_one_line(text: str, match: str, tmp_path: Path) -> None:
    refused(tmp_path, text, match, "a.yaml")


# ZigZag

ZIGZAG = """
- id: 0
  operator_type: Conv
  equation: O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]
  dimension_relations: [ix=2*ox+1*fx, iy=1*oy+2*fy]
  loop_dims: [B, K, C, OY, OX, FY, FX]
  loop_sizes: [1, 64, 3, 56, 112, 5, 7]
  operand_precision: {W: 4, I: 8, O: 24, O_final: 8}
  operand_source: {I: 0, W: 0}
- id: 1
  operator_type: Pooling
  equation: O[b][g][oy][ox]+=W[fx][fy]*I[b][g][iy][ix]
  dimension_relations: [ix=2*ox+1*fx, iy=2*oy+1*fy]
  loop_dims: [B, G, OY, OX, FX, FY]
  loop_sizes: [1, 64, 28, 56, 2, 2]
  operand_precision: {W: 0, I: 8, O: 16, O_final: 8}
  operand_source: {I: 0, W: 1}
- id: 2
  name: depthwise
  operator_type: Conv
  equation: O[b][g][oy][ox]+=W[g][fy][fx]*I[b][g][iy][ix]
  dimension_relations: [ix=1*ox+1*fx, iy=1*oy+1*fy]
  loop_dims: [B, G, OY, OX, FY, FX]
  loop_sizes: [1, 64, 28, 56, 3, 3]
  pr_loop_dims: [IX, IY]
  padding: [[1, 1], [1, 1]]
  operand_source: {I: 1, W: 2}
- id: 3
  operator_type: Add
  equation: O[b][g][oy][ox]=W[b][g][oy][ox]+I[b][g][oy][ox]
  loop_dims: [B, G, OY, OX]
  loop_sizes: [1, 64, 28, 56]
  operand_source: {W: 1, I: 2}
"""


def test_a_zigzag_workload(tmp_path: Path) -> None:
    """Convolution with stride and dilation, pool, padded depthwise layer, sum of two earlier results."""
    found = read(tmp_path, ZIGZAG, "net.yaml")
    assert [(node.name, node.operator) for node in found][1:] == [
        ("layer0", Conv2d(64, (5, 7), (1, 2), (0, 0), (2, 1), bias=False)),
        ("layer1", Pool2d("max", (2, 2), (2, 2), (0, 0))),
        ("depthwise", Conv2d(64, (3, 3), (1, 1), (1, 1), groups=64, bias=False)),
        ("layer3", Elementwise("add")),
    ]
    assert found["layer3"].inputs == ("depthwise", "layer1")
    assert found["layer0"].precision == Precision(4, 8, 24)
    assert found["depthwise"].precision == Precision()
    assert found["layer1"].precision == Precision(8, 8, 16)
    assert found.macs == 56 * 112 * 64 * 3 * 35 + 28 * 56 * 64 * 9
    assert found.outputs == ("layer3",)


@pytest.mark.parametrize(
    ("equation", "loops", "sizes", "source", "operator", "macs"),
    [
        ("O[b][k]+=I[b][c]*W[c][k]", "[B, C, K]", "[4, 8, 16]", "{I: 0, W: 0}", Linear(16, bias=False), 512),
        ("O[b][k]+=W[c][k]*I[b][c]", "[B, C, K]", "[4, 8, 16]", "{I: 0}", Linear(16, bias=False), 512),
        ("O[m][n]+=A[m][k]*W[k][n]", "[M, N, K]", "[4, 8, 16]", "{A: 0, W: 0}", Linear(8, bias=False), 512),
        ("O[h][m][n]+=I[h][m][k]*W[h][k][n]", "[H, M, N, K]", "[2, 4, 8, 16]", "{I: 0, W: 9}", MatMul(), 1024),
        ("O[g][m][n]+=I[g][m][k]*W[g][k][n]", "[G, M, N, K]", "[2, 4, 8, 16]", "{I: 0, W: 0}",
         Conv2d(16, (1, 1), (1, 1), (0, 0), groups=2, bias=False), 1024),
    ],
)  # fmt: skip
def test_products_of_zigzag(
    equation: str, loops: str, sizes: str, source: str, operator: object, macs: int, tmp_path: Path
) -> None:
    first = (
        "- {id: 9, equation: 'O[h][k][n]+=W[c][n]*I[h][k][c]', loop_dims: [H, K, N, C], loop_sizes: [2, 16, 8, 8]}\n"
        if "9" in source
        else ""
    )
    entry = f"- {{id: 0, equation: '{equation}', loop_dims: {loops}, loop_sizes: {sizes}, operand_source: {source}}}\n"
    found = read(tmp_path, first + entry, "net.yaml")
    assert found["layer0"].operator == operator
    assert found.macs == macs + (2 * 16 * 64 if first else 0)


def test_relations_in_either_order(tmp_path: Path) -> None:
    """A tap before its position is the same window."""
    turned = ZIGZAG.replace("[ix=2*ox+1*fx, iy=1*oy+2*fy]", "[iy=2*fy+oy, ix=fx + 2*ox]")
    assert read(tmp_path, turned, "a.yaml")["layer0"].operator == read(tmp_path, ZIGZAG, "b.yaml")["layer0"].operator


def test_an_average_pool_by_its_name(tmp_path: Path) -> None:
    text = ZIGZAG.replace("operator_type: Pooling", "operator_type: AveragePool")
    assert read(tmp_path, text, "net.yaml")["layer1"].operator == Pool2d("avg", (2, 2), (2, 2), (0, 0))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("equation: O[b][k]", "equation: P b k = ", "entry 1: equation: .* is not like"),
        ("loop_sizes: [1, 64, 3, 56, 112, 5, 7]", "loop_sizes: [1, 64]", "entry 1: loop_sizes: .* is not as many"),
        ("[1, 64, 3, 56, 112, 5, 7]", "[1, 64, -3, 56, 112, 5, 7]", "entry 1: C: -3 is not a whole number"),
        ("loop_dims: [B, K, C,", "loop_dims: [B, K, D,", "equation: C is not one of"),
        ("[ix=2*ox+1*fx, iy=1*oy+2*fy]", "[ix=2*ox]", "dimension_relations: ix=2.ox is not like"),
        ("[ix=2*ox+1*fx, iy=1*oy+2*fy]", "[ix=2*oz+1*fx]", "dimension_relations: OZ is not one of"),
        ("[ix=2*ox+1*fx, iy=1*oy+2*fy]", "[]", "equation: IX is not one of"),
        ("operand_source: {W: 1, I: 2}", "operand_source: {W: 1, I: 7}", "operand_source: I: 7 is not one of"),
        ("id: 3", "id: 2", "entry 4: id: 2 is not a unique number"),
        ("operator_type: Add", "operator_typ: Add", "entry 4: operator_typ is not one of .*did you mean operator_type"),
        ("{W: 4, I: 8, O: 24, O_final: 8}", "{W: four}", "operand_precision: W: four is not a whole number"),
        ("{W: 4, I: 8, O: 24, O_final: 8}", "{W: 100}", "operand_precision: W: 100 is not at most 64 bits"),
        ("{W: 4, I: 8, O: 24, O_final: 8}", "8", "operand_precision: 8 is not a mapping"),
        ("padding: [[1, 1], [1, 1]]", "padding: [[1, 1]]", "padding: .* is not as many pairs"),
        ("padding: [[1, 1], [1, 1]]", "padding: [[9, 90], [60, 60]]", "entry 3: .* is not a"),
        ("- id: 0\n", "- 3\n- id: 0\n", "entry 1: 3 is not a layer"),
        ("  loop_dims: [B, G, OY, OX]\n", "", "entry 4: loop_dims is missing"),
    ],
)  # fmt: skip
def test_a_malformed_workload_is_one_line(old: str, new: str, match: str, tmp_path: Path) -> None:
    assert old in ZIGZAG
    refused(tmp_path, ZIGZAG.replace(old, new), match, "net.yaml")


# All of them


def test_files_that_are_no_lists(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.csv: the file is missing"):
        from_layer_list(tmp_path / "none.csv")
    with pytest.raises(SpecError, match=r"none\.txt: the file is missing"):
        from_layer_list(tmp_path / "none.txt")
    refused(tmp_path, "x", r"net.txt: .txt is not a SCALE-Sim topology", "net.txt")
    with pytest.raises(SpecError, match="File name too long is not a readable file"):
        from_layer_list("x" * 5000)
    with pytest.raises(SpecError, match="batch: 0 is not >= 1"):
        read(tmp_path, GEMM, "a.yaml", batch=0)


def test_a_list_is_a_network_for_every_cost_model(tmp_path: Path) -> None:
    """Two layers whose extents do not meet are a chain: the first reads, the last writes off chip."""
    found = read(tmp_path, HEADER + "a, 34, 34, 3, 3, 3, 16, 1,\nb, 18, 18, 3, 3, 16, 32, 2,\n", batch=4)
    assert [(row.input_offchip, row.output_offchip) for _, row in found.rows()] == [(1, 0), (0, 1)]
    assert found.batch == 4
    assert estimate(found, "tpu_v1").total("macs") == found.macs == 4 * (32 * 32 * 27 * 16 + 81 * 9 * 16 * 32)


def assert_told(folder: Path, text: str, name: str) -> None:
    """A network, or one line that names the file."""
    try:
        told = str(read(folder, text, name).macs)
    except SpecError as error:
        told = str(error)
    assert told.splitlines() == [told]


LINES = st.lists(st.text(st.sampled_from("0123456789abx,:.-# \t\"'\n"), max_size=40), max_size=6)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, st.booleans())
def test_any_text_is_a_network_or_one_line(tmp_path: Path, lines: list[str], has_header: bool) -> None:
    assert_told(tmp_path, (HEADER if has_header else "") + "\n".join(lines), "net.csv")


YAML = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 9), st.floats(allow_nan=False), st.sampled_from(
        ["C", "M", "ox", "O[b][k]+=W[k][c]*I[b][c]", "ix=1*ox+1*fx", "x"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(
        ["problem", "instance", "shape", "C", "M", "P", "dimensions", "data_spaces", "name", "projection", "read_write",
         "id", "equation", "loop_dims", "loop_sizes", "operand_source", "operand_precision", "dimension_relations",
         "coefficients", "I", "W"]), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(YAML)
def test_any_document_is_a_network_or_one_line(tmp_path: Path, content: object) -> None:
    assert_told(tmp_path, yaml.safe_dump(content), "a.yaml")


def test_importing_it_loads_no_framework() -> None:
    code = "import sys, hwmodels.workload.from_layer_list; assert not {'torch', 'pandas', 'onnx'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_line_that_ends_before_its_name_is_a_layer_without_one(tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    head = "IFMAP Height,IFMAP Width,Filter Height,Filter Width,Channels,Num Filter,Strides,Layer name"
    path.write_text(f"{head}\n8,8,3,3,3,4,1\n")
    assert from_layer_list(path).macs == 6 * 6 * 27 * 4
