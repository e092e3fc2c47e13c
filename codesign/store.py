"""The run store: one folder a run, with a manifest, one SQLite file and the pruned pairs as Parquet.

Layout::

    manifest.json    what was run: configuration, seed, versions, fingerprints
    run.sqlite       weights, estimates, evaluated pairs, one row a finished generation (WAL mode)
    fast/00000.parquet   every pair of a generation: genotype, reason, costs

A finished training is durable at once; an estimate survives the end of the process at once, and a loss of power from
the next training or generation on. A generation's pairs, ledger and strategy state are committed in one transaction,
after its Parquet file. So a killed run loses at most the work in flight.
"""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate
from codesign.strategy.base import State
from codesign.two_level.ledger import Ledger
from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics

__all__ = ["EvaluatedPair", "Generation", "RunStore"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS weights (key TEXT PRIMARY KEY, payload BLOB NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS estimates (key TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pairs (
    generation INTEGER NOT NULL, position INTEGER NOT NULL,
    genotype TEXT NOT NULL, numerics TEXT NOT NULL, estimate TEXT NOT NULL, costs TEXT NOT NULL,
    PRIMARY KEY (generation, position)
);
CREATE TABLE IF NOT EXISTS generations (number INTEGER PRIMARY KEY, strategy BLOB NOT NULL, ledger TEXT NOT NULL);
"""


class EvaluatedPair(NamedTuple):
    """One pair with an accuracy: genotype as costed, numerics, key of its estimate, cost by metric."""

    genotype: tuple[int, ...]
    numerics: tuple[float, ...]
    estimate: str
    costs: dict[str, float]


class Generation(NamedTuple):
    """A finished generation."""

    number: int
    ledger: Ledger
    strategy: State


class RunStore:
    """Opens or makes the store of one run; implements the `Weights` protocol of the estimators."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db = sqlite3.connect(folder / "run.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    @classmethod
    def create(cls, folder: Path, manifest: Mapping[str, Any]) -> RunStore:
        """Start a run in a new or empty folder.

        Raises
        ------
        SpecError : the folder holds something already; nothing is touched.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SpecError("--output", folder, "a new or empty folder", "codesign resume continues a run")
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> RunStore:
        """Open an existing run."""
        if not (folder / "manifest.json").is_file():
            raise SpecError("run", folder, "a folder with a manifest.json")
        return cls(folder)

    @property
    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return content

    def close(self) -> None:
        self._db.close()

    # Weights and estimates: durable at once.

    def get(self, key: str) -> bytes | None:
        found = self._db.execute("SELECT payload FROM weights WHERE key = ?", (key,)).fetchone()
        return None if found is None else bytes(found[0])

    def put(self, key: str, payload: bytes, seconds: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO weights VALUES (?, ?, ?)", (key, payload, seconds))

    def estimate(self, key: str) -> Estimate | None:
        found = self._db.execute("SELECT record FROM estimates WHERE key = ?", (key,)).fetchone()
        return None if found is None else _estimate(found[0])

    def keep_estimate(self, key: str, estimate: Estimate) -> None:
        # Milliseconds of waiting for the disk an estimate, for what its training can answer again: see the module.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("INSERT OR REPLACE INTO estimates VALUES (?, ?)", (key, json.dumps(asdict(estimate))))
        self._db.execute("PRAGMA synchronous=FULL")

    # Generations: all or nothing.

    def commit(self, number: int, pairs: Sequence[EvaluatedPair], strategy: State, ledger: Ledger) -> None:
        """Make a generation durable in one transaction."""
        rows = [
            (number, i, json.dumps(pair.genotype), json.dumps(pair.numerics), pair.estimate, json.dumps(pair.costs))
            for i, pair in enumerate(pairs)
        ]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?)", rows)
            record = (number, _pack(strategy), json.dumps(ledger.as_dict()))
            self._db.execute("INSERT INTO generations VALUES (?, ?, ?)", record)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def generations(self) -> list[Generation]:
        query = "SELECT number, ledger, strategy FROM generations ORDER BY number"
        return [
            Generation(number, Ledger(**json.loads(ledger)), _unpack(state))
            for number, ledger, state in self._db.execute(query)
        ]

    def pairs(self) -> list[tuple[int, EvaluatedPair, Estimate]]:
        """(generation, pair, its estimate) of every evaluated pair, in the order told."""
        query = """SELECT p.generation, p.genotype, p.numerics, p.estimate, p.costs, e.record
                   FROM pairs p JOIN estimates e ON e.key = p.estimate ORDER BY p.generation, p.position"""
        return [
            (
                generation,
                EvaluatedPair(tuple(json.loads(genotype)), _numerics(numerics), key, json.loads(costs)),
                _estimate(record),
            )
            for generation, genotype, numerics, key, costs, record in self._db.execute(query)
        ]

    # Pairs of the FAST level: a file a generation.

    def write_fast(
        self,
        number: int,
        genotypes: npt.NDArray[np.int64],
        reason: npt.NDArray[np.int8],
        costs: Mapping[str, npt.NDArray[np.float64]],
    ) -> None:
        """All pairs of a generation; a file appears whole or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {f"gene_{i}": column.astype(np.int16) for i, column in enumerate(genotypes.T)}
        columns |= {"reason": reason, **{name: values.astype(np.float32) for name, values in costs.items()}}
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        (self.folder / "fast").mkdir(exist_ok=True)
        _write_whole(self.folder / "fast" / f"{number:05d}.parquet", sink.getvalue())

    def read_fast(self, columns: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Named columns over all finished generations, each (P,)."""
        import pyarrow.parquet as pq

        finished = {row[0] for row in self._db.execute("SELECT number FROM generations")}
        paths = [path for path in sorted((self.folder / "fast").glob("*.parquet")) if int(path.stem) in finished]
        tables = [pq.read_table(path, columns=list(columns)) for path in paths]
        return {
            name: np.concatenate([table[name].to_numpy() for table in tables]) if tables else np.empty(0)
            for name in columns
        }


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def _numerics(text: str) -> tuple[float, ...]:
    """Fields that a run of an earlier version did not know yet are 0: ideal."""
    row = json.loads(text)
    return (*row, *(0.0,) * (len(Numerics._fields) - len(row)))


def _estimate(record: str) -> Estimate:
    fields = json.loads(record)
    return Estimate(**{**fields, "draws": tuple(fields["draws"])})


def _pack(state: State) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **state)
    return sink.getvalue()


def _unpack(payload: bytes) -> State:
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
