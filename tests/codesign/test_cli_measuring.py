"""Your own machine on the command line: timed, fitted, told from others; nothing is overwritten or half written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwmodels.calibrate import calibrate, error_on
from hwmodels.catalog import device, device_template, load_device
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.families.crossbar.macro import macro_from
from hwmodels.measure import plan
from hwmodels.measurements import Measurement, read_measurements, workload_of, write_measurements

NETWORKS = ("resnet18", "mobilenet_v2", "squeezenet1_1", "bert_base", "vgg11", "efficientnet_b0")
LAYERS = (
    "conv 64x56x56 out=64 kernel=3 padding=1", "conv 256x14x14 out=256 kernel=1", "linear 1x2048 out=1000",
    "conv 144x56x56 out=144 kernel=3 padding=1 groups=144", "pool 64x112x112 kernel=3 stride=2 padding=1",
    "activation 256x56x56 function=relu", "norm 128x768 mode=layer", "matmul 12x128x64 12x64x128",
)  # fmt: skip


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A CPU at the family's defaults as a device file."""
    path = tmp_path / "plain.yaml"
    path.write_text("name: plain\nfamily: cpu\nsummary: defaults\nknobs: {}\n")
    return path


def machine(spec: CpuSpec, rng: np.random.Generator) -> list[Measurement]:
    """What a machine of these knobs would measure, with two percent of noise."""
    model = family("cpu")
    rows = plan(NETWORKS, LAYERS, contexts=("cold",))
    timed = []
    for row in rows:
        seconds = evaluate(workload_of(row), model, spec.model_copy(update={"threads": 1})).totals["latency_s"]
        timed.append(replace(row, seconds=seconds * float(np.exp(0.02 * rng.standard_normal())), spread=0.02))
    return timed


def test_measured_rows_are_read_back(run, tmp_path):
    path = tmp_path / "host.csv"
    code, out, err = run("measure", "lenet5", "--no-layers", "--threads", "1,2", "--seconds", "0.01", "-o", path)
    assert code == 0, err
    rows = read_measurements(path)
    assert [(row.network, row.threads) for row in rows] == [("lenet5", 1), ("lenet5", 2)]
    assert all(0 < row.seconds < 1 and row.spread >= 0 for row in rows)
    assert "lenet5" in out
    assert str(path) in out.replace("\n", "")


def test_a_fit_finds_the_machine_and_tells_its_error(run, tmp_path, plain):
    truth = CpuSpec(gemm_efficiency=0.5, depthwise_efficiency=0.1, dispatch_s=5e-6, core_dram_bytes_per_s=4e9)
    csv, fitted = tmp_path / "host.csv", tmp_path / "mine.yaml"
    write_measurements(machine(truth, np.random.default_rng(0)), csv)
    arguments = ("calibrate", csv, "--like", plain, "--networks", "resnet18,mobilenet_v2,bert_base", "-o", fitted)
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["apart"]["rows"] == 3
    assert told["apart"]["before_median"] > 25 > 8 > told["apart"]["median"]
    code, out, err = run("estimate", "resnet50", "--device", fitted, "--json", "--bits", "32")
    estimate = json.loads(out)
    exact = evaluate(workload_of(Measurement("", "resnet50", runtime="compiled")), family("cpu"), truth)
    assert estimate["totals"]["latency_s"] == pytest.approx(exact.totals["latency_s"], rel=0.25)
    # The numbers that are told are those of the file that was written.
    again = load_device(fitted)
    assert {name: getattr(again.spec, name) for name in told["knobs"]} == {
        name: after for name, (_, after) in told["knobs"].items()
    }


def test_an_extrapolation_is_told(run, tmp_path, plain):
    csv, fitted = tmp_path / "host.csv", tmp_path / "mine.yaml"
    write_measurements(machine(CpuSpec(), np.random.default_rng(1)), csv)
    assert run("calibrate", csv, "--like", plain, "-o", fitted)[0] == 0
    code, out, _ = run("estimate", "swin_t", "--device", fitted)
    assert code == 0
    assert "EXTRAPOLATED" in out
    assert "EXTRAPOLATED" not in run("estimate", "resnet18", "--device", fitted)[1]
    assert json.loads(run("estimate", "swin_t", "--device", fitted, "--json")[1])["extrapolated"]


def test_rows_apart_are_predicted_by_the_fitted_device(plain):
    rows = machine(CpuSpec(gemm_efficiency=0.5), np.random.default_rng(2))
    found = calibrate(load_device(plain), [row for row in rows if row.is_layer or row.network == "resnet18"])
    apart = [row for row in rows if row.network == "vgg11"]
    error, predicted = error_on(found, apart)
    spec = found.spec.model_copy(update={"threads": 1})
    assert predicted[0] == pytest.approx(evaluate(workload_of(apart[0]), family("cpu"), spec).totals["latency_s"])
    assert error.mape == pytest.approx(100 * abs(predicted[0] / apart[0].seconds - 1))


def test_a_new_device_file_is_the_device_that_it_is_like(run, tmp_path):
    path = tmp_path / "chip.yaml"
    assert run("devices", "new", "--like", "isaac", "-o", path)[0] == 0
    assert load_device(path).spec == device("isaac").spec
    assert load_device(path).name == "chip"
    text = device_template(device("isaac"), name="chip")
    for name, knob in type(device("isaac").spec).knobs().items():
        assert f"  {name}: " in text
        assert knob.meaning in text


def test_a_new_device_may_be_changed_or_a_published_macro(run, tmp_path):
    path = tmp_path / "chip.yaml"
    code, _, err = run("devices", "new", "--like", "isaac", "--set", "clock_hz=1 GHz", "--set", "tiles=8", "-o", path)
    assert code == 0, err
    assert load_device(path).spec == device("isaac").spec.changed({"clock_hz": 1e9, "tiles": 8})
    assert load_device(path).sources["tiles"].startswith("set by hand")
    columns = {"Tech (nm)": "28", "Compute Model": "DIMC", "N": "64", "N_ADC": "32", "B_x": "1", "B_w": "8",
               "alpha": "8"}  # fmt: skip
    macro = tmp_path / "macro.yaml"
    given = [word for name, value in columns.items() for word in ("--macro", f"{name}={value}")]
    code, _, err = run("devices", "new", *given, "-o", macro)
    assert code == 0, err
    found = load_device(macro)
    assert found.spec == macro_from(columns)
    assert "[SURVEY]" in found.sources["gate_overhead"]
    assert run("estimate", "lenet5", "--device", macro)[0] == 0


def test_networks_across_devices(run, tmp_path):
    path = tmp_path / "cross.csv"
    arguments = ("crossdevice", "resnet18", "mobilenet_v2", "vgg11", "--family", "spatial", "--bits", "8")
    code, out, err = run(*arguments, "-o", path, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert "tpu_v1" in told["devices"]
    for d, name in enumerate(told["devices"]):
        column = [row[d] for row in told["values"]]
        chip = device(name)
        networks = [workload_of(Measurement("", n, precision="int8", runtime="compiled")) for n in told["networks"]]
        assert column == [evaluate(net, chip.model, chip.spec).totals["latency_s"] for net in networks]
        assert told["best"][d] == told["networks"][column.index(min(column))]
    assert len(path.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("measure", "resnet81", "-o", "a.csv"), "resnet8?"),
        (("measure", "lenet5", "--threads", "one", "-o", "a.csv"), "--threads"),
        (("measure", "lenet5", "--runtime", "jit", "-o", "a.csv"), "--runtime"),
        (("measure", "unet_padded", "-o", "a.csv"), "channel shuffle"),
        (("measure", "lenet5", "--accelerator", "tpu", "-o", "a.csv"), "accelerator"),
        (("measure", "lenet5", "-o", "there.csv"), "new file"),
        (("calibrate", "gone.csv", "--like", "isaac", "-o", "a.yaml"), "gone.csv"),
        (("calibrate", "there.csv", "--like", "isaac", "-o", "a.yaml"), "column"),
        (("calibrate", "there.csv", "--like", "rpi5", "--family", "cpu", "-o", "a.yaml"), "--family: cpu"),
        (("calibrate", "there.csv", "--family", "cpo", "-o", "a.yaml"), "column"),
        (("calibrate", "there.csv", "--like", "isaac", "-o", "there.csv"), ".yaml"),
        (("devices", "new", "--like", "isac", "-o", "a.yaml"), "isaac"),
        (("devices", "new", "--like", "isaac", "-o", "a.txt"), ".yaml"),
        (("devices", "new", "-o", "a.yaml"), "device: nothing is not --like"),
        (("devices", "new", "--like", "isaac", "--macro", "N=8", "-o", "a.yaml"), "device: --like and --macro"),
        (("devices", "new", "--like", "isaac", "--set", "tile=8", "-o", "a.yaml"), "tiles"),
        (("devices", "new", "--macro", "N", "-o", "a.yaml"), "column=value"),
        (("devices", "new", "--macro", "N_ADCs=8", "-o", "a.yaml"), "N_ADC"),
        (("devices", "new", "--macro", "Compute Model=QS", "-o", "a.yaml"), "Tech (nm)"),
        (("crossdevice", "resnet18"), "--device"),
        (("crossdevice", "resnet18", "--family", "spacial"), "spatial"),
        (("crossdevice", "resnet18", "--device", "rpi5", "--metric", "area_mm2"), "area_mm2"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(run, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").write_text("speed\n1\n")
    code, out, err = run(*arguments)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.csv"]
    assert (tmp_path / "there.csv").read_text() == "speed\n1\n"
