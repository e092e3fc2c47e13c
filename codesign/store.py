"""The run store: one folder a run, with a manifest, one SQLite file and the pruned pairs as Parquet.

Layout::

    manifest.json    what was run: configuration, seed, versions, fingerprints
    run.sqlite       weights, estimates, blobs, evaluated pairs, one row a finished generation (WAL mode)
    fast/00000.parquet   every pair of a generation: genotype, reason, costs

A finished training is durable at once; an estimate survives the end of the process at once, and a loss of power from
the next training or generation on. A generation's pairs, ledger and strategy state are committed in one transaction,
after its Parquet file. So a killed run loses at most the work in flight. Runs of earlier versions are read as they
are: what they did not know has the value that it had then.
"""

from __future__ import annotations

import hashlib
import io
import json
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
from hwmodels.files import check_new_folder, make_folder, strict_json, write_bytes, write_text
from hwmodels.numerics import Numerics

__all__ = ["EvaluatedPair", "Generation", "RunBlobs", "RunStore", "check_run_folder"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS weights (key TEXT PRIMARY KEY, payload BLOB NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS estimates (key TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pairs (
    generation INTEGER NOT NULL, position INTEGER NOT NULL,
    genotype TEXT NOT NULL, numerics TEXT NOT NULL, estimate TEXT NOT NULL, costs TEXT NOT NULL,
    fidelity REAL NOT NULL DEFAULT 1,
    PRIMARY KEY (generation, position)
);
CREATE TABLE IF NOT EXISTS blobs (key TEXT PRIMARY KEY, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS generations (number INTEGER PRIMARY KEY, strategy BLOB NOT NULL, ledger TEXT NOT NULL);
"""


class EvaluatedPair(NamedTuple):
    """One pair with an estimate: genotype as costed, numerics, key of the estimate, cost by metric, fidelity."""

    genotype: tuple[int, ...]
    numerics: tuple[float, ...]
    estimate: str
    costs: dict[str, float]
    fidelity: float = 1.0


class Generation(NamedTuple):
    """A finished generation."""

    number: int
    ledger: Ledger
    strategy: State


class RunStore:
    """Opens or makes the store of one run; the `Weights` of estimators and the `Blobs` of strategies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._db = sqlite3.connect(folder / "run.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        if "fidelity" not in {row[1] for row in self._db.execute("PRAGMA table_info(pairs)")}:
            self._db.execute("ALTER TABLE pairs ADD COLUMN fidelity REAL NOT NULL DEFAULT 1")
        self._dropped: list[str] = []

    @classmethod
    def create(cls, folder: Path, manifest: Mapping[str, Any]) -> RunStore:
        """Start a run in a new or empty folder.

        Raises
        ------
        SpecError : the folder holds something already; nothing is touched.
        """
        check_run_folder(folder)
        make_folder(folder)
        write_text(folder / "manifest.json", strict_json(manifest) + "\n")
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

    # Blobs: durable at once under the hash of their content, so that none ever changes.

    def keep(self, payload: bytes) -> str:
        key = hashlib.sha256(payload).hexdigest()
        self._db.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (key, payload))
        self._dropped = [dropped for dropped in self._dropped if dropped != key]
        return key

    def blob(self, key: str) -> bytes:
        found = self._db.execute("SELECT payload FROM blobs WHERE key = ?", (key,)).fetchone()
        if found is None:
            raise SpecError(str(self.folder / "run.sqlite"), key, "the key of a blob that is kept")
        return bytes(found[0])

    def drop(self, key: str) -> None:
        """Delete a blob with the next generation: until then a resumed run needs it."""
        self._dropped.append(key)

    # Generations: all or nothing.

    def commit(self, number: int, pairs: Sequence[EvaluatedPair], strategy: State, ledger: Ledger) -> None:
        """Make a generation durable in one transaction."""
        rows = [
            (number, i, *map(json.dumps, pair[:2]), pair.estimate, json.dumps(pair.costs), pair.fidelity)
            for i, pair in enumerate(pairs)
        ]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            record = (number, _pack(strategy), json.dumps(ledger.as_dict()))
            self._db.execute("INSERT INTO generations VALUES (?, ?, ?)", record)
            self._db.executemany("DELETE FROM blobs WHERE key = ?", [(key,) for key in self._dropped])
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._dropped.clear()

    def generations(self) -> list[Generation]:
        query = "SELECT number, ledger, strategy FROM generations ORDER BY number"
        return [
            Generation(number, Ledger(**json.loads(ledger)), _unpack(state))
            for number, ledger, state in self._db.execute(query)
        ]

    def pairs(self) -> list[tuple[int, EvaluatedPair, Estimate]]:
        """(generation, pair, its estimate) of every evaluated pair, in the order told."""
        query = """SELECT p.generation, p.genotype, p.numerics, p.estimate, p.costs, p.fidelity, e.record
                   FROM pairs p JOIN estimates e ON e.key = p.estimate ORDER BY p.generation, p.position"""
        return [
            (
                generation,
                EvaluatedPair(tuple(json.loads(genotype)), _numerics(numerics), key, json.loads(costs), fidelity),
                _estimate(record),
            )
            for generation, genotype, numerics, key, costs, fidelity, record in self._db.execute(query)
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
        # Few values a gene: a dictionary; costs hardly repeat. Nobody looks for rows by statistics.
        few = [*(name for name in columns if name.startswith("gene_")), "reason"]
        pq.write_table(
            pa.table(columns), sink, compression="lz4", use_dictionary=few, write_statistics=False,
            row_group_size=max(len(reason), 1),
        )  # fmt: skip
        (self.folder / "fast").mkdir(exist_ok=True)
        write_bytes(self.folder / "fast" / f"{number:05d}.parquet", sink.getvalue())

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


def check_run_folder(folder: Path) -> None:
    """Refuse a folder in which no run can begin; nothing is made.

    Raises
    ------
    SpecError : it holds something already, or it cannot be made.
    """
    check_new_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise SpecError("--output", folder, "a new or empty folder", "codesign resume continues a run")


def _numerics(text: str) -> tuple[float, ...]:
    """Fields that a run of an earlier version did not know yet are 0: ideal."""
    row = json.loads(text)
    return (*row, *(0.0,) * (len(Numerics._fields) - len(row)))


def _estimate(record: str) -> Estimate:
    fields = json.loads(record)
    fields["draws"] = tuple(fields["draws"])
    if "metrics" in fields:
        return Estimate(**fields)
    # An earlier version knew accuracies alone.
    return Estimate.of_accuracy(fields.pop("accuracy"), fields.pop("accuracy_test"), **fields)


_JSON = "json:"
"""Before the name of a value of a state that is no array."""


def _pack(state: State) -> bytes:
    arrays = {
        name if isinstance(value, np.ndarray) else _JSON + name:
        value if isinstance(value, np.ndarray) else np.array(json.dumps(value))
        for name, value in state.items()
    }  # fmt: skip
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **arrays)
    return sink.getvalue()


def _unpack(payload: bytes) -> State:
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        return {
            name.removeprefix(_JSON): json.loads(str(archive[name])) if name.startswith(_JSON) else archive[name]
            for name in archive.files
        }


class RunBlobs:
    """Blobs of a run whose store is made after its strategy: set `store` before the first use."""

    store: RunStore

    def keep(self, payload: bytes) -> str:
        return self.store.keep(payload)

    def blob(self, key: str) -> bytes:
        return self.store.blob(key)

    def drop(self, key: str) -> None:
        self.store.drop(key)
