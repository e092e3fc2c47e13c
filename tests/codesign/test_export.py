"""A pair leaves the tool as files that others read, and scores there as it did in the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from codesign.app.export import open_export, score_export
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.workload.rewrite import COMPILED, rewrite

RUN = """
generations: 1
architecture: {space: chain, stages: 2, kernel: [3], width: [8, 16], depth: [1], stride: [1, 2], bits: [4, 8]}
hardware: {device: systolic_edge, knobs: {array_rows: [8, 16], dataflow: [os, ws]}}
fast: {pairs: 100}
slow: {trainings: 2, classes: 2}
estimator: {name: training, recipe: {epochs: 2}}
executor: {name: serial}
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import codesign

    folder = tmp_path_factory.mktemp("export")
    (folder / "run.yaml").write_text(RUN)
    codesign.search(folder / "run.yaml", folder / "run")
    return folder / "run"


@pytest.fixture
def exported(run, searched: Path, tmp_path: Path) -> Path:
    code, out, err = run("export", searched, "-o", tmp_path / "found")
    assert (code, err) == (0, "")
    assert "score.py" in out
    return tmp_path / "found"


def test_the_score_is_the_archives_in_another_process(exported: Path) -> None:
    record = json.loads((exported / "pair.json").read_text())
    done = subprocess.run(
        [sys.executable, str(exported / "score.py")], env=dict(os.environ), text=True, capture_output=True, check=True
    )
    first = f"accuracy {record['metrics']['accuracy']:.6g} (the search: {record['metrics']['accuracy']:.6g})"
    assert done.stdout.splitlines()[0] == first
    assert dict(score_export(exported).metrics) == record["metrics"]


def test_other_weights_score_otherwise(exported: Path) -> None:
    state = torch.load(exported / "state.pt", weights_only=True)
    torch.save({name: torch.zeros_like(tensor) for name, tensor in state.items()}, exported / "state.pt")
    found = score_export(exported)
    assert found.metrics["accuracy"] < found.archived["accuracy"]


def test_onnx_gives_the_outputs_of_the_module(exported: Path) -> None:
    model = onnx.load(exported / "network.onnx")
    onnx.checker.check_model(model)
    network = open_export(exported).network()
    for batch in (1, 5):
        images = torch.randn((batch, 1, 8, 8), generator=torch.Generator().manual_seed(batch))
        (there,) = ReferenceEvaluator(model).run(None, {"input": images.numpy()})
        np.testing.assert_allclose(there, network(images).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_the_device_file_costs_what_the_run_says(exported: Path) -> None:
    export, found = open_export(exported), device(str(exported / "device.yaml"))
    costs = export.record["costs"]
    totals = evaluate(rewrite(export.meaning.request.workload, COMPILED), found.model, found.spec).totals
    assert totals["latency_s"] == pytest.approx(costs["latency_s"], rel=1e-6)
    assert totals["energy_j"] == pytest.approx(costs["energy_j"], rel=1e-6)
    assert found.sources["array_rows"] == "chosen by the search"


def test_every_row_of_the_front_can_be_exported(run, searched: Path, tmp_path: Path) -> None:
    import codesign

    front = codesign.load(searched).front
    for number, pair in enumerate(front, 1):
        record = json.loads(run("export", searched, "--pair", str(number), "-o", tmp_path / str(number), "--json")[1])
        assert tuple(record["genotype"]) == pair.genotype
        assert record["metrics"]["accuracy"] == pair.objectives["accuracy"]
    code, out, err = run("export", searched, "--pair", str(len(front) + 1), "-o", tmp_path / "none")
    assert (code, out, err.count("\n"), (tmp_path / "none").exists()) == (2, "", 1, False)
    assert f"[1, {len(front)}]" in err


def test_what_cannot_be_exported_is_one_line(run, exported: Path, searched: Path, tmp_path: Path) -> None:
    code, _, err = run("export", searched, "-o", exported)
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run("export", tmp_path / "nothing", "-o", tmp_path / "new")
    assert (code, err.count("\n")) == (2, 1)
    (exported / "state.pt").write_bytes(b"there are no weights")
    with pytest.raises(SpecError, match="state_dict"):
        score_export(exported)
    (exported / "pair.json").write_text("{}")
    with pytest.raises(SpecError, match="as the export wrote it"):
        open_export(exported)


def test_a_run_without_trainings_has_nothing_to_export(run, tmp_path: Path) -> None:
    config = tmp_path / "fixed.yaml"
    config.write_text(
        "generations: 1\narchitecture: {space: fixed, network: [mobilenet_v2]}\n"
        "hardware: {device: systolic_edge, knobs: {array_rows: [8, 16]}}\nexecutor: {name: serial}\n"
    )
    code, _, err = run("search", config, "-o", tmp_path / "run")
    assert code == 0, err
    code, _, err = run("export", tmp_path / "run", "-o", tmp_path / "found")
    assert (code, err.count("\n"), (tmp_path / "found").exists()) == (2, 1, False)
    assert "there are no weights" in err
