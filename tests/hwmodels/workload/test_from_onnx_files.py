"""Files that are no ONNX models, or damaged, or hostile: one line each; no crash, no hang, no large allocation."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx import from_onnx
from hwmodels.workload.graph import Workload
from tests.hwmodels.workload import onnx_damage as damage

SHAPE = (1, 3, 8, 8)


def model(*nodes: onnx.NodeProto, stored: Any = (), shape: Any = SHAPE, output: str = "y", opset: int = 17) -> Any:
    """A file of one input `x`."""
    declared = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "graph", [declared], [result], list(stored))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), name=f"{kind}_{outputs}", **attributes)


def small() -> Any:
    """A network with a little of everything: products, shapes computed in the file, a written-out function."""
    kernel = helper.make_tensor("k", TensorProto.FLOAT, (4, 3, 3, 3), [0.1] * 108)
    matrix = helper.make_tensor("m", TensorProto.FLOAT, (144, 5), [0.1] * 720)
    minus = helper.make_tensor("minus", TensorProto.INT64, (1,), [-1])
    one = helper.make_tensor("one", TensorProto.INT64, (1,), [1])
    zero = helper.make_tensor("zero", TensorProto.INT64, (1,), [0])
    nodes = (
        node("Conv", "x k", "a", kernel_shape=[3, 3], pads=[0, 0, 0, 0]),
        node("Sigmoid", "a", "s"),
        node("Mul", "a s", "b"),
        node("Shape", "b", "shape"),
        node("Slice", "shape zero one", "batch"),
        node("Concat", "batch minus", "target", axis=0),
        node("Reshape", "b target", "r"),
        node("MatMul", "r m", "p"),
        node("Softmax", "p", "y", axis=-1),
    )
    return model(*nodes, stored=(kernel, matrix, minus, one, zero))


def written(folder: Path, content: Any) -> Path:
    path = folder / "file.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def refused(folder: Path, content: Any, match: str | None) -> None:
    """One line that names the file."""
    with pytest.raises(SpecError, match=match) as caught:
        from_onnx(written(folder, content))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("file.onnx")


def outcome(path: Path) -> Workload | str:
    """A network or the line that says why not; nothing else comes out of it."""
    try:
        return from_onnx(path)
    except SpecError as error:
        return str(error)


def test_the_small_network_is_read(tmp_path: Path) -> None:
    found = from_onnx(written(tmp_path, small()))
    assert (found.parameters, found.macs) == (108 + 720, 36 * 108 + 720)


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"# not a model\n" * 100, b"{}", bytes(range(256)) * 50, b"\xff" * 1000, b"\x08\x07"]
)
def test_what_is_no_model(content: bytes, tmp_path: Path) -> None:
    refused(tmp_path, content, "is not an ONNX model")


def test_a_folder_and_a_path_of_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.onnx", ""):
        with pytest.raises(SpecError, match="is not a file"):
            from_onnx(path)
    with pytest.raises(SpecError, match="File name too long is not a readable file"):
        from_onnx("x" * 5000)


@pytest.mark.parametrize("length", [1, 7, 50, 300, 1000, 3000])
def test_a_truncated_file(length: int, tmp_path: Path) -> None:
    refused(tmp_path, small().SerializeToString()[:length], None)


def test_graphs_that_cannot_run(tmp_path: Path) -> None:
    relu = node("Relu", "x", "y")
    refused(tmp_path, model(node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "a", "y")), "acyclic")
    refused(tmp_path, model(node("Relu", "missing", "y")), "missing is not a tensor of this graph")
    refused(tmp_path, model(relu, output="z"), "outputs: z is not a tensor of this graph")
    refused(tmp_path, model(relu, node("Neg", "x", "y")), "y is not a tensor that nothing else makes")
    refused(tmp_path, model(node("Relu", "x", "x")), "x is not a tensor that nothing else makes")
    twice = [helper.make_tensor("k", TensorProto.FLOAT, (1,), [0.0])] * 2
    refused(tmp_path, model(relu, stored=twice), "k is not a unique name")
    without = model(relu)
    del without.graph.output[:]
    refused(tmp_path, without, "at least one output")


def test_steps_in_any_order_are_sorted(tmp_path: Path) -> None:
    found = from_onnx(written(tmp_path, model(node("Neg", "a", "y"), node("Relu", "x", "a"))))
    assert [type(n.operator).__name__ for n in found] == ["Input", "Activation", "Activation"]


@pytest.mark.parametrize("shape", [(1, -3, 8), (0, 3), (1, 2**62, 2**62), (2**31,)])
def test_extents_that_no_tensor_has(shape: tuple[int, ...], tmp_path: Path) -> None:
    refused(tmp_path, model(node("Relu", "x", "y"), shape=shape), "a shape of positive extents")


def test_data_of_another_size_than_declared(tmp_path: Path) -> None:
    for dims, data in (
        ((4, 4), b"\0" * 60),
        ((4,), b""),
        ((100, 100), b"\0" * 60),
        ((-4,), b"\0" * 16),
        ((2**40,) * 3, b"\0" * 4),
    ):
        tensor = TensorProto(name="k", dims=dims, data_type=TensorProto.FLOAT, raw_data=data)
        refused(tmp_path, model(node("Add", "x k", "y"), stored=[tensor]), "file.onnx: k: ")


def test_a_declared_size_is_not_allocated(tmp_path: Path) -> None:
    """Four tebibytes beside the file, shapes that ask for as much, a range of 10^12."""
    huge = TensorProto(name="k", dims=(2**20, 2**20), data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    shape = helper.make_tensor("s", TensorProto.INT64, (2,), [2**20, 2**20])
    nodes = [node("MatMul", "x k", "a"), node("ConstantOfShape", "s", "c"), node("Expand", "c s", "e")]
    path = written(tmp_path, model(*nodes, node("Add", "a e", "y"), stored=[huge, shape], shape=(2**20, 2**20)))
    tracemalloc.start()
    try:
        found = from_onnx(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert found.parameters == 2**40


def test_numbers_beyond_a_table(tmp_path: Path) -> None:
    huge = TensorProto(name="k", dims=(2**24, 2**24), data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    refused(tmp_path, model(node("MatMul", "x k", "y"), stored=[huge], shape=(2**24, 2**24)), "countable in 63 bits")
    counts = helper.make_tensor("s", TensorProto.INT64, (2,), [2**40, 2**40])
    refused(tmp_path, model(node("Tile", "x s", "y"), stored=[counts], shape=(1, 1)), "elements")


@pytest.mark.parametrize("opset", [-1, 0, 6, 10**6, 2**62])
def test_operator_sets_that_do_not_exist(opset: int, tmp_path: Path) -> None:
    refused(tmp_path, model(node("Relu", "x", "y"), opset=opset), f"operator set: {opset} is not one of 7 to ")


def chain(kind: str, length: int, **attributes: Any) -> Any:
    steps = [node(kind, "x" if not i else f"t{i}", f"t{i + 1}", **attributes) for i in range(length)]
    return model(*steps, output=f"t{length}")


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("Relu", {}), ("Identity", {}), ("Flatten", {"axis": 1}), ("Transpose", {"perm": [0, 1, 3, 2]}), ("Sigmoid", {})],
)
def test_a_chain_of_a_hundred_thousand(kind: str, attributes: dict[str, Any], tmp_path: Path) -> None:
    found = from_onnx(written(tmp_path, chain(kind, 100_000, **attributes)))
    assert len(found) <= 100_001


def test_a_long_computation_of_a_weight(tmp_path: Path) -> None:
    """Sixty thousand functions of a stored tensor: it is one weight, however it is read."""
    stored = helper.make_tensor("t0", TensorProto.FLOAT, (3, 8, 8), [0.1] * 192)
    big = TensorProto(name="t0", dims=(3, 800, 800), data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for tensor, shape in ((stored, SHAPE), (big, (1, 3, 800, 800))):
        steps = [node("Relu", f"t{i}", f"t{i + 1}") for i in range(20_000)]
        found = from_onnx(written(tmp_path, model(*steps, node("Add", "x t20000", "y"), stored=[tensor], shape=shape)))
        assert found[found.outputs[0]].shape == shape


def nested(depth: int) -> onnx.NodeProto:
    inner = node("Relu", "x", "y")
    for _ in range(depth):
        graph = helper.make_graph([inner], "branch", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        inner = node("If", "x", "y", then_branch=graph, else_branch=graph) if depth < 12 else node(
            "If", "x", "y", then_branch=graph)  # fmt: skip
    return inner


@pytest.mark.parametrize("depth", [1, 8, 30])
def test_control_flow_is_named(depth: int, tmp_path: Path) -> None:
    refused(tmp_path, model(nested(depth)), "If whose condition x the data decide|If_y: else_branch is missing")


def test_subgraphs_deeper_than_the_parser_goes(tmp_path: Path) -> None:
    """Written by hand: the library refuses to nest so deep itself."""
    content = node("Relu", "x", "y").SerializeToString()
    for _ in range(400):
        graph = b"\x0a" + _varint(len(content)) + content  # GraphProto.node
        attribute = b"\x0a\x01g\x32" + _varint(len(graph)) + graph + b"\xa0\x01\x05"  # name, g, type
        content = b"\x22\x02If\x2a" + _varint(len(attribute)) + attribute  # NodeProto.op_type, attribute
    graph = b"\x0a" + _varint(len(content)) + content
    refused(tmp_path, b"\x08\x08\x3a" + _varint(len(graph)) + graph, None)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))


def with_functions(*bodies: tuple[str, str]) -> Any:
    """Functions by name, each of which calls another twice."""
    content = model(helper.make_node(bodies[0][0], ["x"], ["y"], domain="own"))
    for name, called in bodies:
        domain = "own" if called != "Relu" else ""
        steps = [
            helper.make_node(called, ["a"], ["b"], domain=domain),
            helper.make_node(called, ["b"], ["c"], domain=domain),
        ]
        content.functions.append(helper.make_function("own", name, ["a"], ["c"], steps, content.opset_import))
    content.opset_import.append(helper.make_opsetid("own", 1))
    return content


def test_functions_that_call_themselves_or_grow_without_bound(tmp_path: Path) -> None:
    refused(tmp_path, with_functions(("f", "g"), ("g", "f")), "free of calls to itself")
    doubling = [(f"f{i}", f"f{i + 1}") for i in range(60)]
    refused(tmp_path, with_functions(*doubling, ("f60", "Relu")), "at most 2000000 when written out")
    assert len(from_onnx(written(tmp_path, with_functions(("f", "g"), ("g", "Relu"))))) == 5


def test_operators_whose_shape_the_data_decide(tmp_path: Path) -> None:
    refused(
        tmp_path, model(node("NonZero", "x", "y")), "NonZero_y: NonZero is not an operator whose result has a shape"
    )
    refused(tmp_path, model(node("Frobnicate", "x", "y")), "Frobnicate is not an operator whose result has a shape")
    refused(tmp_path, model(node("Reshape", "x x", "y")), "Reshape by x is not decided by shapes")


def test_inputs_that_are_no_tensors(tmp_path: Path) -> None:
    content = model(node("Relu", "x", "y"))
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, (1,)))
    content.graph.input.append(helper.make_value_info("many", kind))
    refused(tmp_path, content, "input many: sequence_type is not a tensor")
    refused(tmp_path, model(node("Relu", "x", "y"), shape=None), "of unknown rank is not of a known shape")


@pytest.mark.parametrize(
    ("step", "match"),
    [
        (node("Conv", "x k", "y", strides=[0, 0]), "strides"),
        (node("Conv", "x k", "y", strides=[-1, 1]), "strides"),
        (node("Conv", "x k", "y", dilations=[2**40, 1]), "dilations"),
        (node("Conv", "x k", "y", group=0), "groups"),
        (node("Conv", "x k", "y", group=7), "groups"),
        (node("Conv", "x k", "y", pads=[1]), "valid operator"),
        (node("Conv", "x", "y"), "Conv of 1 operands and 1 results"),
        (node("MaxPool", "x", "y", kernel_shape=[9, 9]), "valid layer"),
        (node("MaxPool", "x", "y"), "Pool"),
        (node("MatMul", "x k", "y"), "product that fits"),
        (node("Transpose", "x", "y", perm=[0, 0, 1, 2]), "valid layer"),
        (node("Concat", "x k", "y", axis=9), "valid|Concat"),
        (node("Softmax", "x", "y", axis="one"), "valid operator"),
        (node("Einsum", "x", "y", equation="ab,c->d"), ""),
        (node("Split", "x", "a b y", axis=1, num_outputs=2**60), ""),
        (node("DepthToSpace", "x", "y", blocksize=0), "valid"),
        (node("LSTM", "x k k", "y"), ""),
    ],
)
def test_attributes_that_no_operator_takes(step: onnx.NodeProto, match: str, tmp_path: Path) -> None:
    kernel = helper.make_tensor("k", TensorProto.FLOAT, (4, 3, 3, 3), [0.1] * 108)
    if step.op_type in ("Split", "LSTM", "Einsum"):
        outcome(written(tmp_path, model(step, stored=[kernel])))
        return
    refused(tmp_path, model(step, stored=[kernel]), match)


WHOLE = small().SerializeToString()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, len(WHOLE)),
    st.booleans(),
)
def test_a_damaged_file_is_a_workload_or_one_line(
    tmp_path: Path, flips: list[tuple[int, int]], cut: int, is_cut: bool
) -> None:
    content = bytearray(WHOLE)
    for place, value in flips:
        content[place] = value
    path = written(tmp_path, bytes(content[:cut] if is_cut else content))
    told = outcome(path)
    assert isinstance(told, Workload) or "\n" not in told


def test_without_the_package_one_line_names_the_extra(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["onnx"] = None
from hwmodels.workload.from_onnx import from_onnx
try:
    from_onnx({str(written(tmp_path, small()))!r})
except ValueError as error:
    assert "pip install codesign[onnx]" in str(error), error
else:
    raise AssertionError("read all the same")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_importing_it_loads_neither_onnx_nor_torch() -> None:
    code = "import sys, hwmodels.workload.from_onnx; assert not {'onnx', 'torch'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("base", damage.BASES)
def test_the_files_that_are_damaged_are_read_before(base: Any, tmp_path: Path) -> None:
    assert from_onnx(written(tmp_path, base())).macs > 0


@pytest.mark.parametrize("block", range(10))
def test_files_damaged_in_every_way(block: int, tmp_path: Path) -> None:
    """Five hundred files: each is a network or one line that names the file, and most are refused."""
    refusals = 0
    for seed in range(50 * block, 50 * block + 50):
        told = outcome(written(tmp_path, damage.damaged(seed)))
        if isinstance(told, str):
            refusals += 1
            assert "\n" not in told, (seed, told)
            assert told.startswith("file.onnx"), (seed, told)
    assert refusals > 10
