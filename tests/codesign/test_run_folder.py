"""Folders of runs: opened and never made, held by one process, reported as far as they are whole."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import codesign
from codesign.app.provenance import changed_host, changed_keys
from codesign.estimate.interval import wilson
from codesign.run_lock import held
from codesign.store import RunStore
from hwmodels.errors import SpecError
from tests.codesign.toys import SMALL_RUN


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    codesign.search(SMALL_RUN, folder)
    with sqlite3.connect(folder / "run.sqlite") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


# Opened, never made.


@pytest.mark.parametrize("command", ["report", "resume"])
@pytest.mark.parametrize("place", ["none", "file", "empty"])
def test_a_folder_that_is_no_run_stays_as_it_is(run, tmp_path: Path, command: str, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    code, out, err = run(command, tmp_path / place)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty", "file"]


@pytest.mark.parametrize("command", ["report", "resume"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "JSON"),
        ("[]", "JSON object"),
        ("{}", "config"),
        ('{"name": "npm package", "config": 3}', "config"),
        ("[" * 100_000, "JSON"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_damaged_manifest_is_one_line(run, folder: Path, command: str, content: str, words: str) -> None:
    (folder / "manifest.json").write_bytes(content.encode("latin-1"))
    code, out, err = run(command, folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "manifest.json" in err
    assert words in err


# Damaged parts are named, the rest is reported.


def damage_database(folder: Path) -> None:
    (folder / "run.sqlite").write_bytes(b"no database at all" * 100)


def remove_database(folder: Path) -> None:
    (folder / "run.sqlite").unlink()


def damage_pages(folder: Path) -> None:
    path = folder / "run.sqlite"
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def damage_row(folder: Path) -> None:
    with sqlite3.connect(folder / "run.sqlite") as database:
        database.execute("UPDATE pairs SET costs = '{' WHERE generation = 0")


def damage_state(folder: Path) -> None:
    with sqlite3.connect(folder / "run.sqlite") as database:
        database.execute("UPDATE generations SET strategy = x'00' WHERE number = 1")


def damage_parquet(folder: Path) -> None:
    path = folder / "fast" / "00000.parquet"
    path.write_bytes(path.read_bytes()[:100])


def remove_parquet(folder: Path) -> None:
    (folder / "fast" / "00001.parquet").unlink()


@pytest.mark.parametrize(
    "damage",
    [damage_database, remove_database, damage_pages, damage_row, damage_state, damage_parquet, remove_parquet],
    ids=lambda one: one.__name__,
)
def test_a_damaged_part_is_named_and_the_rest_is_reported(run, folder: Path, damage) -> None:
    (folder / "report.html").unlink()
    damage(folder)
    code, out, err = run("report", folder, "--json")
    part = "parquet" if "parquet" in damage.__name__ else "run.sqlite"
    assert code == 1
    assert "Traceback" not in err
    assert part in err
    assert all(line.startswith("codesign: ") for line in err.splitlines())
    json.loads(out)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert part in page
    if part == "parquet":
        assert json.loads(out)["front"]


@pytest.mark.parametrize(
    "damage", [damage_database, remove_database, damage_row, damage_state], ids=lambda one: one.__name__
)
def test_a_damaged_run_does_not_go_on(run, folder: Path, damage) -> None:
    damage(folder)
    code, out, err = run("resume", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "run.sqlite" in err


def test_blobs_are_held_to_their_keys(new_store) -> None:
    store = new_store("run")
    key = store.keep(b"weights")
    with sqlite3.connect(store.folder / "run.sqlite") as database:
        database.execute("UPDATE blobs SET payload = x'00'")
    with pytest.raises(SpecError, match=f"blob {key[:12]}"):
        store.blob(key)


# One process holds a run.


def sleeping() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def write_lock(path: Path, pid: int, **changes) -> None:
    import platform

    stat = Path(f"/proc/{pid}/stat")
    started = int(stat.read_text().rpartition(")")[2].split()[19]) if stat.exists() else None
    path.write_text(json.dumps({"pid": pid, "host": platform.node(), "started": started} | changes))


def test_a_living_owner_refuses_and_a_dead_one_does_not(run, folder: Path) -> None:
    owner = sleeping()
    try:
        write_lock(folder / "run.lock", owner.pid)
        code, out, err = run("resume", folder)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"process {owner.pid} is running it" in err
    finally:
        owner.kill()
        owner.wait()
    assert run("resume", folder, "--json")[0] == 0
    assert not (folder / "run.lock").exists()


def test_a_process_of_the_same_number_that_began_later_is_another_one(tmp_path: Path) -> None:
    owner = sleeping()
    try:
        write_lock(tmp_path / "lock", owner.pid, started=1)
        with held(tmp_path / "lock"):
            assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    finally:
        owner.kill()
        owner.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 99999999999999999999}'])
def test_a_damaged_lock_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    with held(tmp_path / "lock"):
        pass
    assert not (tmp_path / "lock").exists()


def test_a_lock_of_another_machine_is_trusted(tmp_path: Path) -> None:
    write_lock(tmp_path / "lock", os.getpid(), host="elsewhere")
    with pytest.raises(SpecError, match="on elsewhere"), held(tmp_path / "lock"):
        pass
    assert (tmp_path / "lock").exists()


def test_a_lock_is_given_back_after_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), held(tmp_path / "lock"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


# Where it was made.


def test_another_processor_is_one_line_and_no_obstacle(run, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["host"]) == {"processor", "instruction_set"}
    manifest["host"]["processor"] = "Abacus 1"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = run("resume", folder, "--json")
    assert code == 0
    assert "processor Abacus 1 (here " in err


def test_a_report_names_versions_that_differ(run, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["versions"]["torch"] = "1.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = run("report", folder, "--json")
    assert (code, err.count("\n")) == (0, 1)
    assert "torch 1.0 (here " in err
    assert run("resume", folder)[0] == 2


def test_genotypes_of_another_space_are_not_reported(run, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["architecture"]["width"] = [8, 16]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    code, out, err = run("report", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "space" in err


def test_hosts_are_compared_where_both_are_known() -> None:
    here = {"host": {"processor": "a", "instruction_set": "avx2"}}
    assert changed_host({}, here) == changed_host(here, here) == ()
    (line,) = changed_host({"host": {"processor": "a", "instruction_set": "avx512"}}, here)
    assert "instruction set avx512 (here avx2)" in line
    assert "other weights" in line
    assert changed_keys({"versions": {"numpy": "1"}}, {"versions": {"numpy": "1"}}) == ()


def test_a_run_is_opened_as_it_was(folder: Path) -> None:
    store = RunStore.open(folder)
    assert len(store.generations()) == 2
    assert isinstance(store.generations()[0].strategy, dict)
    assert np.isfinite(store.read_fast(["reason"])["reason"]).all()


def test_accuracies_have_their_interval_and_one_draw_has_no_spread(folder: Path) -> None:
    for pair in codesign.load(folder).front:
        told = pair.objectives
        assert told["accuracy_low"] < told["accuracy"] < told["accuracy_high"]
        assert (told["accuracy_low"], told["accuracy_high"]) == wilson(told["accuracy"], 360)
        assert np.isnan(told["spread"])
        assert pair.as_dict()["objectives"]["spread"] is None
