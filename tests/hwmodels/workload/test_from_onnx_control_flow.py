"""If and Loop in ONNX files: what the file decides is written out, what the data decide is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Activation
from tests.hwmodels.workload.onnx_writer import Writer, read


def shape_of_output(found: Workload) -> tuple[int, ...]:
    return found[found.outputs[0]].shape


def graph(nodes: list[Any], inputs: tuple[str, ...], outputs: tuple[str, ...], stored: Any = ()) -> Any:
    values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in n] for n in (inputs, outputs)]
    return helper.make_graph(nodes, "body", *values, list(stored))


def linear(source: str, name: str, *, features: int = 4) -> tuple[list[Any], list[Any]]:
    """A linear layer inside a body, its matrix stored there: (steps, stored)."""
    stored = Writer()
    stored.weight(4, features, name=f"{name}.w")
    return [helper.make_node("MatMul", [source, f"{name}.w"], [name])], stored.stored


@pytest.mark.parametrize(("condition", "macs"), [(True, 3 * 16), (False, 3 * 4 * 32)])
def test_a_stored_condition_takes_its_branch(condition: bool, macs: int, tmp_path: Path) -> None:
    w = Writer()
    branches = [
        graph(nodes, (), ("r",), stored)
        for nodes, stored in (linear("x", "r"), linear("x", "r", features=32))
    ]  # fmt: skip
    w.nodes.append(
        helper.make_node("If", [w.value(condition, "bool")], ["y"], then_branch=branches[0], else_branch=branches[1])
    )
    found = read(w, tmp_path, {"x": (3, 4)}, "y")
    assert (found.macs, found.parameters) == (macs, macs // 3)


def test_a_condition_that_a_shape_decides(tmp_path: Path) -> None:
    """What exporters write for `squeeze`: If(size of axis 1 == 1)."""
    for extent, shape in ((1, (2, 5)), (3, (2, 3, 5))):
        w = Writer()
        x = w.add("Relu", "x")
        size = w.add("Gather", w.add("Shape", x), w.value(1))
        is_one = w.add("Equal", size, w.value(1))
        then = graph([helper.make_node("Squeeze", [x, w.value([1])], ["s"])], (), ("s",))
        other = graph([helper.make_node("Identity", [x], ["i"])], (), ("i",))
        w.nodes.append(helper.make_node("If", [is_one], ["z"], then_branch=then, else_branch=other))
        found = read(w, tmp_path, {"x": (2, extent, 5)}, w.add("Neg", "z", made="y"))
        assert shape_of_output(found) == shape


def test_a_condition_that_the_data_decide_is_refused(tmp_path: Path) -> None:
    w = Writer()
    body = graph(linear("x", "r")[0], (), ("r",), linear("x", "r")[1])
    w.nodes.append(helper.make_node("If", ["c"], ["y"], name="choice", then_branch=body, else_branch=body))
    with pytest.raises(SpecError, match=r"net.onnx: choice: If whose condition c the data decide is not an operator"):
        read(w, tmp_path, {"x": (3, 4), "c": ()}, "y", c=TensorProto.BOOL)


def loop_body(condition: Any, *, output: str = "go") -> Any:
    """h = relu(h W), with W stored in the body, and h as the value of each iteration, too."""
    nodes, stored = linear("h", "p")
    nodes = [*nodes, helper.make_node("Relu", ["p"], ["next"]), *condition]
    values = [
        [helper.make_tensor_value_info("i", TensorProto.INT64, ()), helper.make_tensor_value_info("c", 9, ()),
         helper.make_tensor_value_info("h", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(output, 9, ()), helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
         helper.make_tensor_value_info("next", TensorProto.FLOAT, None)],
    ]  # fmt: skip
    return helper.make_graph(nodes, "body", *values, stored)


def test_a_loop_of_a_stored_count_is_written_out(tmp_path: Path) -> None:
    """Five times one layer of 4 x 4, whose weights are stored once."""
    w = Writer()
    body = loop_body([helper.make_node("Identity", ["c"], ["go"])])
    w.nodes.append(helper.make_node("Loop", [w.value(5), "", "x"], ["last", "all"], body=body))
    found = read(w, tmp_path, {"x": (3, 4)}, w.add("Neg", "all", made="y"))
    assert (found.macs, found.parameters, shape_of_output(found)) == (5 * 3 * 16, 16, (5, 3, 4))


def test_a_loop_that_a_counter_ends(tmp_path: Path) -> None:
    """while i < 3, by the number of the iteration: i = 0, 1, 2 go on, so four iterations run."""
    w = Writer()
    three = numpy_helper.from_array(np.asarray(3), "three")
    body = loop_body([helper.make_node("Less", ["i", "three"], ["go"])])
    w.stored.append(three)
    w.nodes.append(helper.make_node("Loop", ["", w.value(True, "bool"), "x"], ["y", "all"], body=body))
    found = read(w, tmp_path, {"x": (3, 4)}, "y")
    assert (found.macs, found.parameters, shape_of_output(found)) == (4 * 3 * 16, 16, (3, 4))


def test_a_loop_of_no_iteration_hands_over_what_it_was_given(tmp_path: Path) -> None:
    w = Writer()
    body = loop_body([helper.make_node("Identity", ["c"], ["go"])])
    w.nodes.append(helper.make_node("Loop", [w.value(0), "", "x"], ["last", "all"], body=body))
    found = read(w, tmp_path, {"x": (3, 4)}, w.add("Neg", "last", made="y"))
    assert (found.macs, shape_of_output(found)) == (0, (3, 4))


def test_a_branch_inside_a_loop(tmp_path: Path) -> None:
    """The first iteration has a layer of 4 x 4, the other two copy."""
    w = Writer()
    nodes, stored = linear("h", "r")
    then, other = graph(nodes, (), ("r",), stored), graph([helper.make_node("Abs", ["h"], ["r"])], (), ("r",))
    choice = [
        helper.make_node("Equal", ["i", "zero"], ["first"]),
        helper.make_node("If", ["first"], ["next"], then_branch=then, else_branch=other),
        helper.make_node("Identity", ["c"], ["go"]),
    ]
    body = loop_body(choice)
    del body.node[0:2], body.output[2], body.initializer[:]
    w.stored.append(numpy_helper.from_array(np.asarray(0), "zero"))
    w.nodes.append(helper.make_node("Loop", [w.value(3), "", "x"], ["y"], body=body))
    found = read(w, tmp_path, {"x": (3, 4)}, "y")
    assert (found.macs, found.parameters) == (3 * 16, 16)
    assert [node.operator for node, _ in found.rows()][1:] == [Activation("abs")] * 2


@pytest.mark.parametrize(
    ("trips", "condition", "match"),
    [
        ("n", "", "net.onnx: again: Loop whose trip count n the data decide"),
        ("", "b", "net.onnx: again: Loop whose condition b the data decide"),
        ("", "", "again.0: a loop is not one that ends after 5000 iterations"),
        ("many", "", "1000000 iterations is not at most 200000 steps"),
    ],
)
def test_loops_without_a_known_end(trips: str, condition: str, match: str, tmp_path: Path) -> None:
    w = Writer()
    body = loop_body([helper.make_node("Identity", ["c"], ["go"])])
    w.nodes.append(helper.make_node("Loop", [trips, condition, "x"], ["y", "all"], name="again", body=body))
    w.stored.append(numpy_helper.from_array(np.asarray(10**6), "many"))
    inputs = {"x": (3, 4), "n": (), "b": ()}
    with pytest.raises(SpecError, match=match):
        read(w, tmp_path, inputs, "y", n=TensorProto.INT64, b=TensorProto.BOOL)


def test_a_body_that_does_not_fit_its_operator(tmp_path: Path) -> None:
    w = Writer()
    body = loop_body([helper.make_node("Identity", ["c"], ["go"])])
    w.nodes.append(helper.make_node("Loop", [w.value(2), ""], ["y"], name="again", body=body))
    w.nodes.append(helper.make_node("If", [w.value(True, "bool")], ["z"], name="choice"))
    with pytest.raises(SpecError, match=r"again.*: a body of 3 operands is not one that fits"):
        read(w, tmp_path, {"x": (3, 4)}, "y")
    del w.nodes[0]
    with pytest.raises(SpecError, match="choice: then_branch is missing"):
        read(w, tmp_path, {"x": (3, 4)}, "z")
