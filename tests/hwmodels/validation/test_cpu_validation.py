"""The protocols: what is fitted, what is scored, what is left out and why; and the figures of the README."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hwmodels.catalog import device, device_names, measured_errors
from hwmodels.errors import SpecError
from hwmodels.families.cpu.model import MODEL
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.validate import REFERENCE_VARIABLE, ReferenceTables, Score
from hwmodels.validation.cpu import validate
from hwmodels.validation.cpu.latency_tables import edge_scores, space_scores
from hwmodels.validation.cpu.machines import ENERGY_KNOBS, KNOBS, machine
from hwmodels.validation.cpu.network_tables import ncnn_scores, timm_scores, tiny_scores
from hwmodels.validation.few_shot import few_shot, fit_rows, predicted
from hwmodels.validation.spaces import Counted, first_of_class, nasbench201_space
from hwmodels.validation.tables import Table, frozen_scores
from tests.hwmodels.toy_families import PLACEMENT, StageSpec

CELLS = np.random.default_rng(0).integers(0, 5, (120, 6)).astype(np.int8)
CELLS[-2:] = 0  # cells without an edge
needs_reference = pytest.mark.skipif(not os.environ.get(REFERENCE_VARIABLE), reason=f"{REFERENCE_VARIABLE} is not set")


@cache
def reference() -> ReferenceTables:
    return ReferenceTables(Path(os.environ[REFERENCE_VARIABLE]))


def truth(name: str, runtime: str) -> np.ndarray:
    """Milliseconds of the cells on a catalogue device whose products are half as efficient, (N,)."""
    chosen = machine(name, runtime)
    assert chosen is not None
    spec = chosen.spec.model_copy(update={"gemm_efficiency": chosen.spec.gemm_efficiency / 2})
    return 1e3 * predicted(MODEL, spec, nasbench201_space(CELLS, chosen.semantics, dead_branches=chosen.dead_branches))


def write_space(folder: Path, **columns: np.ndarray) -> ReferenceTables:
    (folder / "nas").mkdir(parents=True)
    np.savez(folder / "nas/nb201_arch.npz", ops=CELLS)
    np.savez(
        folder / "nas/nb201_latency_ms.npz", **{name: values.astype(np.float32) for name, values in columns.items()}
    )
    return ReferenceTables(folder)


def value(scores: list[Score], group: str, protocol: str, metric: str) -> Score:
    (found,) = (s for s in scores if (s.group, s.protocol, s.metric) == (group, protocol, metric))
    return found


def test_columns_that_a_device_stands_for_are_scored_and_gaps_left_out(tmp_path: Path) -> None:
    board, server = truth("rpi4", "tflite"), truth("xeon_gold_6226", "torch_2020")
    server[:20] = np.nan
    scores = space_scores(write_space(tmp_path, raspi4=board, gold_6226=server, titanx_1=server, fpga=board))
    assert {score.group for score in scores} == {"raspi4", "gold_6226"}
    frozen = value(scores, "gold_6226", "frozen", "spearman")
    assert (frozen.rows, frozen.rows_in_file) == (100, 120)
    assert frozen.skipped["not measured"] == 20
    assert "2 columns of other devices" in frozen.skipped
    assert frozen.value > 0.98
    # Half the efficiency is what ten networks show.
    assert value(scores, "gold_6226", "frozen", "median_error").value > 15
    few = value(scores, "gold_6226", "few-shot-10", "median_error")
    assert few.value < 8
    assert few.rows == 90
    dead = value(scores, "raspi4", "frozen", "spearman").skipped["nothing left to execute"]
    assert dead == int((nasbench201_space(CELLS, "compiled").counts.sum(axis=1) == 0).sum()) > 0


def test_no_file_no_score_but_of_what_ships(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert {score.set for score in validate(ReferenceTables(tmp_path / "empty"))} == {"measured_epyc_zen3"}  # ships


def test_few_shot_predicts_what_it_has_not_fitted() -> None:
    space = nasbench201_space(CELLS, "eager")
    spec = CpuSpec(dispatch_s=10e-6)
    hidden = spec.model_copy(update={"dispatch_s": 40e-6, "gemm_efficiency": 0.4})
    drawn = few_shot(
        MODEL, spec, space, {"latency_s": predicted(MODEL, hidden, space)}, knobs=KNOBS, shots=10, draws=3
    )["latency_s"]
    assert drawn.draw.tolist() == sorted([0, 1, 2] * 110)
    np.testing.assert_allclose(drawn.predicted, drawn.measured, rtol=0.15)
    # A measurement that is not drawn cannot move its own prediction.
    latency = predicted(MODEL, hidden, space)
    order = np.random.default_rng([0, 0]).permutation(120)
    changed = latency.copy()
    changed[order[10:]] *= 7
    again = few_shot(MODEL, spec, space, {"latency_s": changed}, knobs=KNOBS, shots=10, draws=1)["latency_s"]
    np.testing.assert_allclose(again.predicted, drawn.predicted[:110], rtol=1e-9)
    np.testing.assert_allclose(again.measured, 7 * drawn.measured[:110])


def test_energies_are_fitted_beside_latencies() -> None:
    space = nasbench201_space(CELLS, "eager")
    hidden = CpuSpec(idle_w=3.0, gemm_efficiency=0.5)
    measured = {name: predicted(MODEL, hidden, space, name) for name in ("latency_s", "energy_j")}
    fitted = fit_rows(MODEL, CpuSpec(), space, measured, seen=np.arange(15), knobs=(*KNOBS, *ENERGY_KNOBS))
    for name, values in measured.items():
        np.testing.assert_allclose(predicted(MODEL, fitted, space, name), values, rtol=0.1)


def test_counts_times_costs_is_the_network() -> None:
    space = nasbench201_space(CELLS[:3], "eager")
    single = [predicted(MODEL, CpuSpec(), Counted(space.layers, space.counts[i : i + 1]))[0] for i in range(3)]
    np.testing.assert_allclose(predicted(MODEL, CpuSpec(), space), single, rtol=1e-12)


def test_frozen_scores_tell_the_alternative() -> None:
    macs, latency = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])
    spearman, median = frozen_scores(
        Table("cpu", "a", 3, {}), "g", latency * 1.1, latency, macs=macs, fitted_on="nothing"
    )
    assert spearman.value == 1.0
    assert median.value == pytest.approx(10.0)
    assert (median.baseline or {})["MACs at the best rate"] == pytest.approx(0.0)


def test_a_machine_is_a_device_under_a_runtime() -> None:
    found = machine("rpi5", "onnx")
    assert found is not None
    assert (found.semantics, found.dead_branches) == ("compiled", "run")
    assert found.spec.layout == "blocked"
    assert found.spec.l3_bytes == device("rpi5").spec.model_dump()["l3_bytes"]
    assert machine("a_phone_of_tomorrow", "onnx") is None
    assert machine("isaac", "onnx") is None


@needs_reference
def test_single_blocks_and_microcontrollers_hold_their_figures() -> None:
    scores = [*_blocks(), *tiny_scores(reference())]
    note10 = value(scores, "note10", "frozen", "spearman")
    assert note10.value > 0.98 > (note10.baseline or {})["MACs at the best rate"]
    assert value(scores, "pixel1", "frozen", "spearman").value > 0.88
    assert value(scores, "xeon6130_1t", "frozen", "spearman").value > 0.9
    tiny = value(scores, "all", "frozen", "mape")
    assert tiny.value < 25
    assert tiny.skipped["fitted"] == 8
    assert tiny.rows == 20


def _blocks() -> list[Score]:
    from hwmodels.validation.cpu import _mobile, _tfnas

    return [*_mobile(reference()), *_tfnas(reference())]


@needs_reference
def test_a_board_under_three_runtimes_holds_its_figures() -> None:
    scores = edge_scores(reference())
    least = {"litert": 0.99, "onnx": 0.98, "torchmobile": 0.93}
    for runtime, latency in least.items():
        for data in ("cifar100", "darcy"):
            group = f"pi5_{runtime}_{data}"
            assert value(scores, group, "few-shot-10", "spearman").value > latency
            assert value(scores, f"{group} energy", "few-shot-10", "spearman").value > 0.94
    for score in scores:
        if score.protocol == "few-shot-10" and score.metric == "median_error":
            assert score.value < 8, score.group


@needs_reference
def test_a_cell_that_was_not_measured_has_the_time_of_its_class() -> None:
    arrays = [np.load(reference().path(f"nas/{name}.npz") or "") for name in ("nb201_arch", "nb201_edge360")]
    times = arrays[1]["pi5_onnx_cifar100__lat_ms"]
    own = times[first_of_class(arrays[0]["ops"])]
    known = ~np.isnan(times) & ~np.isnan(own)
    assert known.sum() > 5000
    assert np.array_equal(times[known], own[known])


@needs_reference
def test_a_phone_that_runs_convolutions_on_zeros_holds_its_figure(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    shutil.copy(reference().path("nas/nb201_arch.npz") or "", tmp_path / "nas")
    with np.load(reference().path("nas/nb201_latency_ms.npz") or "") as content:
        np.savez(tmp_path / "nas/nb201_latency_ms.npz", pixel3=content["pixel3"])
    scores = space_scores(ReferenceTables(tmp_path))
    assert value(scores, "pixel3", "frozen", "spearman").value > 0.94
    assert value(scores, "pixel3", "few-shot-10", "median_error").value < 9


def thinned(folder: Path, name: str, keep: Callable[[int, dict[str, str]], bool], *beside: str) -> ReferenceTables:
    """A reference folder with some rows of one table, and the files beside it."""
    (folder / "gpu").mkdir()
    source = reference().path(name)
    assert source is not None
    with source.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    with (folder / name).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(row for index, row in enumerate(rows) if keep(index, row))
    for other in beside:
        shutil.copy(reference().path(other) or "", folder / other)
    return ReferenceTables(folder)


def test_each_of_two_networks_is_fastest_on_its_own_phone(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    lines = ["name,note", "FBNet-iPhoneX,19.84 ms iPhone X / 23.33 ms S8", "FBNet-S8,27.53 ms iPhone X / 22.12 ms S8"]
    (tmp_path / "nas/networks.csv").write_text("\n".join(lines), encoding="utf-8")
    scores = validate(ReferenceTables(tmp_path))
    orders = value(scores, "all", "frozen", "exact_fraction")
    assert orders.rows == 2
    assert orders.value == 1.0
    assert orders.baseline == {"MACs": 0.5}
    for phone in ("iphone_x", "galaxy_s8"):
        assert value(scores, phone, "frozen", "mape").value < 15
    # The other way round, the order is wrong on both.
    swapped = [lines[0], lines[1].replace("19.84", "30"), lines[2].replace("22.12", "30")]
    (tmp_path / "nas/networks.csv").write_text("\n".join(swapped), encoding="utf-8")
    assert value(validate(ReferenceTables(tmp_path)), "all", "frozen", "exact_fraction").value == 0.0


@needs_reference
def test_timm_holds_its_figures(tmp_path: Path) -> None:
    run = "run(mode-precision-layout-torch-cuda-device)"
    tables = thinned(tmp_path, "gpu/timm_throughput.csv", lambda i, row: "-cpu-" in row[run] and int(row["img"]) <= 224)
    scores = timm_scores(tables)
    assert {score.set for score in scores} == {"timm_throughput"}
    assert all(score.value < 15 for score in scores if score.metric == "median_error")
    assert all("i7-12700H" in score.fitted_on for score in scores if score.protocol == "frozen")


@needs_reference
def test_ncnn_holds_its_figure(tmp_path: Path) -> None:
    names = ("RK3399", "Raspberry Pi 3", "Snapdragon 835", "Threadripper", "Adreno")
    tables = thinned(
        tmp_path, "gpu/ncnn_latency_fp.csv", lambda i, row: any(name in row["device"] for name in names),
        "gpu/ncnn_networks.json",
    )  # fmt: skip
    scores = ncnn_scores(tables)
    everything = value(scores, "all", "few-shot-6", "median_error")
    assert everything.value < 15
    assert everything.skipped["on a graphics processor"] > 0
    assert len({score.group for score in scores}) > 5


def test_the_protocol_serves_any_family_whose_layers_add_up() -> None:
    """A systolic array is predicted by counts and a rule over them; a placement, which is no sum, is refused."""
    chip, space = device("systolic_edge"), nasbench201_space(CELLS[:60], "compiled")
    hidden = chip.spec.model_copy(update={"dram_bytes_per_s": chip.spec.dram_bytes_per_s / 2})
    measured = {"interval_s": predicted(chip.model, hidden, space, "interval_s")}
    assert not np.array_equal(measured["interval_s"], predicted(chip.model, chip.spec, space, "interval_s"))
    fitted = fit_rows(chip.model, hidden, space, measured, seen=np.arange(10), knobs=())
    np.testing.assert_array_equal(predicted(chip.model, fitted, space, "interval_s"), measured["interval_s"])
    with pytest.raises(SpecError, match="toy_placement is not of layers that add up"):
        predicted(PLACEMENT, StageSpec(), space)


@needs_reference
def test_the_catalogue_states_the_errors_that_are_scored() -> None:
    """Every frozen median error of boards and blocks that the catalogue states, to the digit that it prints."""
    stated = {(e.set, e.group): e for name in device_names() for e in measured_errors(name)}
    compared = 0
    for score in [*_blocks(), *tiny_scores(reference())]:
        error = stated.get((score.set, score.group))
        if error is not None and (score.protocol, score.metric) == ("frozen", "median_error"):
            compared += 1
            assert (error.rows, error.median_error_percent) == (score.rows, round(score.value, 1)), error
    assert compared >= 7
