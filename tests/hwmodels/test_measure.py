"""Timing in every format that torch has, on a processor and on a GPU whose clock is replaced."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import hwmodels.measure as timing
from codesign.network import to_module
from hwmodels.calibrate import calibrate, error_on
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.measure import GPU_LAYERS, LAYERS, formats_of, measure, plan
from hwmodels.measurements import Measurement, layer, read_measurements, workload_of

LINEAR = "linear 32x64 out=48 bias=0"


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What each timed call returns, in place of its time."""
    found: list[torch.Tensor] = []

    def samples(call, *_):
        found.append(call())
        return [1e-3]

    monkeypatch.setattr(timing, "_samples", samples)
    return found


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU of compute capability 9.0 whose tensors are on the processor and whose events tell a millisecond."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(L2_cache_size=50 * 2**20))
    monkeypatch.setattr(timing, "_device", lambda accelerator: "cpu")
    monkeypatch.setattr(timing, "_gpu_seconds", lambda call, block: (call(), 1e-3 * block)[1])


def test_formats_are_those_of_the_machine(gpu) -> None:
    assert set(formats_of("cuda")) == {"fp32", "tf32", "fp16", "bf16", "fp8", "int8"}
    assert set(formats_of("cpu")) == {"fp32", "fp16", "bf16", "int8"}


def test_products_alone_are_planned_where_torch_has_them() -> None:
    rows = plan(["lenet5"], [LINEAR, "linear 1x64 out=48", "linear 32x60 out=48", "softmax 2x3"],
                contexts=("hot",), precisions=("int8", "bf16"))  # fmt: skip
    assert [row.network for row in rows if row.precision == "int8"] == [LINEAR]
    assert len([row for row in rows if row.precision == "bf16"]) == 5
    assert len({row.name for row in rows}) == len(rows)
    with pytest.raises(SpecError, match="networks are not timed in products alone"):
        plan(["lenet5"], precisions=("fp8",))


def test_each_format_computes_the_layer_in_its_type(results) -> None:
    rows = plan([], [LINEAR], contexts=("hot",), precisions=formats_of("cpu"))
    told = list(measure(rows, to_module))
    assert [row.precision for row in told] == list(formats_of("cpu"))
    assert all(result.shape[-2:] == (32, 48) for result in results)
    types = dict(zip(formats_of("cpu"), (result.dtype for result in results), strict=True))
    assert types == {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int32}


def test_fp8_and_tf32_are_a_gpus(results, gpu) -> None:
    before = torch.backends.cuda.matmul.allow_tf32
    list(measure(plan([], [LINEAR], contexts=("hot",), precisions=("fp8", "tf32")), to_module, accelerator="cuda"))
    assert [result.dtype for result in results] == [torch.bfloat16, torch.float32]
    assert torch.backends.cuda.matmul.allow_tf32 == before
    for precision in ("fp8", "tf32", "int4"):
        with pytest.raises(SpecError, match=f"{precision} is not one of"):
            list(measure([Measurement("a", LINEAR, precision=precision)], to_module))


def test_tf32_is_allowed_while_it_is_timed(monkeypatch, gpu) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(timing, "_samples", lambda *_: seen.append(torch.backends.cuda.matmul.allow_tf32) or [1.0])
    rows = plan([], [LINEAR], contexts=("hot",), precisions=("tf32", "fp32"))
    list(measure(rows, to_module, accelerator="cuda"))
    assert seen == [True, False]


def test_a_gpu_is_timed_by_its_events(gpu) -> None:
    rows = plan(["lenet5"], ["attention 2x8x16 causal=1", LINEAR], precisions=("bf16",))
    told = list(measure(rows, to_module, accelerator="cuda", seconds=0.001))
    assert [row.seconds for row in told] == pytest.approx([1e-3] * len(rows))


def test_layers_to_time_are_layers_that_torch_builds() -> None:
    with torch.device("meta"):
        for text in (*LAYERS, *GPU_LAYERS):
            to_module(layer(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("attention 2x8", "heads x tokens x width"),
        ("attention 2x8x4 causal=1 keys=4", "keys"),
        ("attention 2x8x4 shared=0", "shared"),
        ("attention 2x8x4 head=2", "head"),
    ],
)
def test_a_wrong_attention_is_one_line(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        layer(text)


@pytest.mark.parametrize(
    "text",
    ["attention 2x5x8", "attention 2x5x8 causal=1", "attention 2x1x8 shared=3 keys=9 causal=1",
     "attention 2x4x8 shared=3 keys=9 causal=1", "attention 2x4x8 shared=2 keys=9 causal=1 window=3"],
)  # fmt: skip
def test_attention_sees_what_its_words_say(text: str) -> None:
    workload = layer(text, batch=2)
    query, key, value = (torch.randn(shape, generator=torch.Generator().manual_seed(i))
                         for i, shape in enumerate(workload.input_shapes))  # fmt: skip
    operator = workload[workload.outputs[0]].operator
    shared = operator.query_heads
    scores = query.unflatten(-2, (shared, -1)) @ key[:, :, None]
    tokens, keys = scores.shape[-2:]
    for token in range(tokens):
        at = keys - tokens + token  # the last token sees the last key
        for other in range(keys):
            unseen = (operator.causal and other > at) or (operator.window and at - other >= operator.window)
            if unseen:
                scores[..., token, other] = -torch.inf
    expected = (torch.softmax(scores, -1) @ value[:, :, None]).flatten(2, 3)
    torch.testing.assert_close(to_module(workload)(query, key, value), expected, rtol=1e-4, atol=1e-5)


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch, gpu) -> GpuSpec:
    """The GPU is one that is 30 % slower in products, 20 % in memory, with longer launches: timed with 3 % of noise."""
    like = device("h100_sxm")
    truth = like.spec.changed({
        "mac_efficiency": 0.7 * like.spec.mac_efficiency, "dram_efficiency": 0.8 * like.spec.dram_efficiency,
        "launch_s": 3 * like.spec.launch_s,
    })  # fmt: skip
    noise = np.random.default_rng(5)

    def timed(row: Measurement, *_) -> Measurement:
        spec = truth.changed({"context": row.context})
        seconds = evaluate(workload_of(row), like.model, spec).totals["latency_s"]
        return replace(row, seconds=seconds * float(np.exp(0.03 * noise.standard_normal())), spread=0.03)

    monkeypatch.setattr(timing, "_timed", timed)
    return truth


def test_a_gpu_is_measured_and_calibrated_from_thirty_shapes(hidden, tmp_path: Path, capsys, monkeypatch) -> None:
    from codesign.cli import main

    def run(*arguments: str | Path) -> str:
        monkeypatch.setattr("sys.argv", ["codesign", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    csv, fitted = tmp_path / "gpu.csv", tmp_path / "mine.yaml"
    run("measure", "resnet50", "--accelerator", "cuda", "--format", "bf16", "--context", "hot", "-o", csv)
    rows = [row for row in read_measurements(csv) if row.is_layer]
    seen = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:30]]
    found = calibrate(device("h100_sxm"), seen)
    error, _ = error_on(found, [row for row in rows if row not in seen])
    assert error.before_mape > 15 > 6 > error.mape
    told = json.loads(run("calibrate", csv, "--like", "h100_sxm", "-o", fitted, "--json"))
    assert told["error"]["mape"] < 8
    assert device(str(fitted)).spec.launch_s == pytest.approx(hidden.launch_s, rel=0.5)
