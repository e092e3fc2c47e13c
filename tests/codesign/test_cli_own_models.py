"""Own models on the command line: a timm-style and a Hugging-Face-style one, as torch modules and as ONNX files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from codesign.cli import main
from hwmodels.workload.from_torch import from_torch
from tests.hwmodels.workload.torch_models import MODELS

WORKLOADS = Path(__file__).parents[1] / "hwmodels/workload"


TARGETS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("torch_models_here", {path!r})
models = importlib.util.module_from_spec(spec)
sys.modules["torch_models_here"] = models
spec.loader.exec_module(models)

def timm_style():
    return models.MODELS["mobilenet"]()

def hugging_face_style():
    return models.MODELS["decoder"]()
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> dict:
        monkeypatch.setattr(sys, "argv", ["codesign", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        assert (caught.value.code or 0, printed.err) == (0, "")
        return json.loads(printed.out)

    return call


@pytest.mark.parametrize("style", ["timm_style", "hugging_face_style"])
def test_through_torch(run, tmp_path: Path, style: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(TARGETS.format(path=str(WORKLOADS / "torch_models.py")))
    record = run("estimate", "--torch", f"{path}:{style}", "--device", "systolic_edge")
    module, inputs = MODELS[{"timm_style": "mobilenet", "hugging_face_style": "decoder"}[style]]()
    assert record["totals"]["macs"] == from_torch(module, inputs).macs
    assert record["unknown_operators"] == []
    assert record["totals"]["latency_s"] > 0


@pytest.mark.parametrize(("style", "name"), [("timm", "mobilenet_v3_small"), ("hugging face", "bert_base")])
def test_through_onnx(run, tmp_path: Path, style: str, name: str) -> None:
    """The same figures as the built-in network of which the file is."""
    onnx = pytest.importorskip("onnx")
    from hwmodels.workload.zoo import network
    from tests.hwmodels.workload import onnx_writer as writer

    path = tmp_path / "mine.onnx"
    onnx.save(writer.to_onnx(network(name)), path)
    ours = run("estimate", "--onnx", path, "--device", "systolic_edge")
    built_in = run("estimate", name, "--device", "systolic_edge")
    assert ours["totals"] == pytest.approx(built_in["totals"])
    shown = run("networks", "show", "--onnx", path)
    assert (shown["macs"], shown["params"]) == (network(name).macs, network(name).parameters)


def test_a_quantised_file_keeps_its_bits(run, tmp_path: Path) -> None:
    """16-bit images and 8-bit weights in the file; --bits is for what the file leaves in floating point."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def scaled(source: str, kind: int, made: str) -> list:
        stored.append(helper.make_tensor(f"{made}_zero", kind, (), [0]))
        parts = [source, "scale", f"{made}_zero"]
        quantise = [helper.make_node("QuantizeLinear", parts, [f"{made}_q"])]
        return [*quantise, helper.make_node("DequantizeLinear", [f"{made}_q", *parts[1:]], [made])]

    stored = [helper.make_tensor("scale", TensorProto.FLOAT, (), [1.0])]
    stored.append(helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 3, 3), [0.0] * 108))
    nodes = [*scaled("x", TensorProto.UINT16, "x16"), *scaled("w", TensorProto.INT8, "w8")]
    nodes += [helper.make_node("Conv", ["x16", "w8"], ["y"]), helper.make_node("Sin", ["y"], ["z"])]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (1, 3, 8, 8)), ("z", (1, 4, 6, 6)))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    path = tmp_path / "quantised.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    layers = run("networks", "show", "--onnx", path, "--bits", "4")["layers"]
    (conv,) = (layer for layer in layers if layer["kind"].startswith("conv"))
    assert (conv["weight_bits"], conv["activation_bits"]) == (8, 16)
    (sine,) = (layer for layer in layers if layer["kind"] == "activation")
    assert sine["activation_bits"] == 4
