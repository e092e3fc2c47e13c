"""One run file for several families: each run as it is alone, trainings made once, one front, stopped and gone on."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import codesign
from codesign.app.config import parse_config
from codesign.app.families import FAMILIES_FILE, begin_families, family_contents, reopen_families, run_folders
from codesign.app.run import begin
from codesign.cli import main
from codesign.report.summary import summarise
from codesign.store import RunStore
from codesign.two_level.loop import Event
from hwmodels.errors import SpecError

CPU = {"device": "rpi4", "knobs": {"threads": [1, 4]}}
CHIP = {"device": "systolic_edge", "knobs": {"array_rows": [8, 16]}}


def run_file(*hardware: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "generations": 2,
        "architecture": {"space": "chain", "stages": 1, "width": [4, 8], "depth": [1, 2], "bits": [8]},
        "hardware": list(hardware) or [CPU, CHIP],
        "objectives": ["latency_s", "energy_j"],
        "strategy": "random",
        "fast": {"pairs": 40},
        "slow": {"trainings": 2, "classes": 1, "selection": "random"},
        "estimator": {"name": "training", "draws": 1, "recipe": {"epochs": 1}},
        "executor": "serial",
        **changes,
    }


def evaluated(folder: Path) -> list[tuple[tuple[int, ...], dict[str, float]]]:
    return [(pair.genotype, pair.objectives) for pair in summarise(folder).evaluated]


def trainings(folder: Path) -> tuple[set[str], set[str]]:
    """Keys of the weights of a run, and of those that it has trained itself."""
    store = RunStore.open(folder)
    rows = store._db.execute("SELECT key, seconds FROM weights").fetchall()
    store.close()
    return {key for key, _ in rows}, {key for key, seconds in rows if seconds > 0}


def test_each_run_is_what_its_section_alone_gives_and_nothing_is_trained_twice(tmp_path: Path) -> None:
    pi = {"device": "rpi5", "knobs": {"threads": [1, 4]}}
    runs = begin_families(run_file(CPU, CHIP, pi), tmp_path / "all")
    runs.go()
    runs.close()
    assert list(runs.runs) == ["cpu-1", "spatial", "cpu-2"]
    assert [path.name for path in run_folders(tmp_path / "all")] == ["cpu-1", "spatial", "cpu-2"]
    for name, section in (("cpu-1", CPU), ("spatial", CHIP), ("cpu-2", pi)):
        alone = begin(parse_config({**run_file(), "hardware": section}), tmp_path / name)
        alone.go()
        alone.store.close()
        assert evaluated(tmp_path / "all" / name) == evaluated(tmp_path / name)
    # Both processors are searched alike here, so that the second finds all that it trains with the first.
    assert trainings(tmp_path / "all" / "cpu-2") == (trainings(tmp_path / "cpu-2")[0], set())
    assert trainings(tmp_path / "all" / "cpu-1")[1] == trainings(tmp_path / "cpu-1")[0]


def test_what_was_stopped_goes_on_wherever_it_was(tmp_path: Path) -> None:
    whole = begin_families(run_file(), tmp_path / "whole")
    whole.go()
    whole.close()

    class Stop(Exception):
        pass

    def stop(name: str, event: Event) -> None:
        if name == "spatial" and event.generation == 1:
            raise Stop

    parts = begin_families(run_file(), tmp_path / "parts")
    with pytest.raises(Stop):
        parts.go(stop)
    parts.close()
    again = reopen_families(tmp_path / "parts")
    again.go()
    again.close()
    shutil.rmtree(tmp_path / "parts" / "spatial")  # killed between the two folders
    fresh = reopen_families(tmp_path / "parts")
    fresh.go()
    fresh.close()
    for name in ("cpu", "spatial"):
        assert evaluated(tmp_path / "parts" / name) == evaluated(tmp_path / "whole" / name)


def test_objectives_that_nobody_names_are_those_of_all_families() -> None:
    content = {**run_file({"device": "rpi4"}, {"device": "rram_edge"})}
    del content["objectives"]
    found = family_contents(content, "a.yaml")
    assert list(found) == ["cpu", "crossbar"]
    shared = {tuple(one["objectives"]) for one in found.values()}
    assert len(shared) == 1
    assert "area_mm2" not in next(iter(shared))


@pytest.mark.parametrize(
    ("hardware", "said"),
    [
        ([CPU], "hardware: a list of 1"),
        ([CPU, {"knobs": {}}], "a section with a device"),
        ([CPU, 3], "a section with a device"),
        ([CPU, {"device": "rpi44"}], "did you mean rpi4"),
        ([CPU, {"device": "systolic_edge", "knobs": {"rows": [3]}}], "rows"),
    ],
)
def test_a_list_that_cannot_run_is_refused_and_nothing_is_made(tmp_path: Path, hardware: list[Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        begin_families({**run_file(), "hardware": hardware}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_damaged_list_of_runs_is_one_line(tmp_path: Path) -> None:
    (tmp_path / FAMILIES_FILE).write_text('{"runs": {"../a": {}}}')
    with pytest.raises(SpecError, match="runs by the names of their folders"):
        run_folders(tmp_path)
    (tmp_path / FAMILIES_FILE).write_text("{")
    with pytest.raises(SpecError, match=FAMILIES_FILE):
        reopen_families(tmp_path)


def test_from_python_it_is_one_front(tmp_path: Path) -> None:
    found = codesign.search_families(run_file(), tmp_path / "runs")
    assert set(found.to_frame()["family"]) <= {"cpu", "spatial"}
    assert (tmp_path / "runs" / "cpu" / "report.html").is_file()
    assert (tmp_path / "runs" / "front.csv").read_text().count("\n") == 1 + len(found.members)
    with pytest.raises(SpecError, match="a list of sections"):
        codesign.search_families({**run_file(), "hardware": CPU}, tmp_path / "one")
    with pytest.raises(SpecError, match="hardware: a list of sections"):
        codesign.search(run_file(), tmp_path / "one")


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs.yaml").write_text(yaml.safe_dump(run_file()))

    def called(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["codesign", *words])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    file, folder = str(tmp_path / "runs.yaml"), str(tmp_path / "runs")
    code, out, _ = called("config", "--check", file)
    assert code == 0
    assert out.count("a valid run of") == 2
    begin_families(run_file(), tmp_path / "runs").close()
    code, out, _ = called("search", file, "-o", folder)
    assert code == 2
    shutil.rmtree(folder)
    code, out, _ = called("search", file, "-o", folder)
    assert code == 0
    assert "one front of" in out
    assert {path.name for path in Path(folder).iterdir()} == {FAMILIES_FILE, "front.csv", "front.png", "cpu", "spatial"}
    code, out, _ = called("resume", folder, "--json")
    assert code == 0
    record = json.loads(out)
    assert set(record["runs"]) == {"cpu", "spatial"}
    assert set(record["union"]["front"][0]) >= {"family", "device", "accuracy", "latency_s", "energy_j"}
    code, _, err = called("effects", folder)
    assert code == 2
    assert "it holds the runs cpu, spatial" in err
    code, _, err = called("enumerate", file, "-o", str(tmp_path / "exact"))
    assert code == 2
    assert "hardware" in err
