"""Folders of runs that disks, kills and people have damaged, read as `report` and `resume` read them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import codesign
from codesign.app.run import reopen
from codesign.report.html import page, read_report
from codesign.store import RunStore
from tests.codesign.toys import SMALL_RUN
from tests.fuzz.damage import HOSTILE_VALUES, HOSTILE_WORDS, Rng, damaged_data, damaged_text, pick

__all__ = ["run_folder"]

_PAGES = 0.05  # share of the inputs whose page is made too, which takes a hundred times as long as reading


_KEPT = TemporaryDirectory(prefix="codesign-fuzz-")


@cache
def _whole() -> Path:
    """A finished run, its database in one file."""
    folder = Path(_KEPT.name) / "whole"
    codesign.search(SMALL_RUN, folder)
    with sqlite3.connect(folder / "run.sqlite") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for made in folder.iterdir():  # the pictures are not read
        if made.name not in ("manifest.json", "run.sqlite", "fast"):
            made.unlink()
    return folder


def run_folder(rng: Rng, folder: Path) -> Any:
    """A run with one to two damaged parts: reported as far as it goes, or opened to be gone on with."""
    run = Path(shutil.copytree(_whole(), folder / "run"))
    for _ in range(int(rng.integers(1, 3))):
        pick(rng, (_manifest, _manifest, _database, _rows, _rows, _rows, _pairs, _lock, _missing))(run, rng)
    if rng.random() < 0.3:
        store = reopen(run).store
        with store.owned():
            store.generations(), store.pairs()
        return store.close()
    store = RunStore.open(run, tolerant=True)
    try:
        report = read_report(store)
        if rng.random() < _PAGES:
            page(report)
        return json.loads(json.dumps(report.summary.as_dict(), default=str)) if not store.damage else None
    finally:
        store.close()


def _manifest(run: Path, rng: Rng) -> None:
    path = run / "manifest.json"
    if path.is_dir():
        return
    text = path.read_text(errors="replace") if path.is_file() else "{}"
    if rng.random() < 0.5:
        path.write_bytes(damaged_text(text, rng))
        return
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = {}
    path.write_text(json.dumps(damaged_data(data, rng)))


def _database(run: Path, rng: Rng) -> None:
    """Bytes of the file, cut or flipped."""
    path = run / "run.sqlite"
    if not path.is_file():
        return
    content = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        path.write_bytes(content[: int(rng.integers(len(content) + 1))])
        return
    for _ in range(int(rng.integers(1, 200))):
        if content:
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
    path.write_bytes(content)


_COLUMNS = (
    ("pairs", "genotype"), ("pairs", "numerics"), ("pairs", "costs"), ("pairs", "fidelity"), ("pairs", "estimate"),
    ("estimates", "record"), ("generations", "ledger"), ("generations", "strategy"), ("generations", "number"),
    ("weights", "payload"), ("blobs", "payload"), ("pairs", "generation"),
)  # fmt: skip


def _rows(run: Path, rng: Rng) -> None:
    """One value of the database, in a file that is whole otherwise; or a table less."""
    table, column = pick(rng, _COLUMNS)
    try:
        with sqlite3.connect(run / "run.sqlite") as database:
            if rng.random() < 0.05:
                database.execute(f"DROP TABLE {table}")
                return
            found = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            if found:
                row, value = pick(rng, found)
                changed = _changed(value, rng)
                database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, row))
    except (sqlite3.Error, OverflowError, UnicodeError):
        return  # the database is damaged already, or has a rule against this value


def _changed(value: Any, rng: Rng) -> Any:
    if isinstance(value, bytes):
        return damaged_text(value.decode("latin-1"), rng)
    if not isinstance(value, str):
        return pick(rng, (-1, 0, 2**40, 1.5, None, "x", 1e308))
    if rng.random() < 0.3:
        return damaged_text(value, rng).decode("latin-1")
    try:
        return json.dumps(damaged_data(json.loads(value), rng))
    except ValueError:
        return json.dumps(pick(rng, HOSTILE_VALUES))


def _pairs(run: Path, rng: Rng) -> None:
    files = [path for path in sorted((run / "fast").glob("*.parquet")) if path.is_file()]
    if not files:
        return
    path = pick(rng, files)
    content = bytearray(path.read_bytes())
    if rng.random() < 0.3 or not content:
        path.write_bytes(content[: int(rng.integers(len(content) + 1))])
        return
    for _ in range(int(rng.integers(1, 20))):
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
    path.write_bytes(content)


def _lock(run: Path, rng: Rng) -> None:
    (run / "run.lock").write_bytes(damaged_text('{"pid": 999999999, "host": "elsewhere", "started": 7}', rng))


def _missing(run: Path, rng: Rng) -> None:
    """A part less, or a folder in its place."""
    path = run / pick(rng, ("manifest.json", "run.sqlite", "fast", "fast/00000.parquet", "fast/00001.parquet"))
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if rng.random() < 0.3 and path.parent.is_dir():
        path.mkdir()
    elif rng.random() < 0.2 and path.parent.is_dir():
        path.write_text(pick(rng, HOSTILE_WORDS).replace("\x00", ""), errors="replace")
