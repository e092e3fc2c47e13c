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
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate
from codesign.run_lock import held
from codesign.run_rows import (
    EvaluatedPair,
    TrainedNetwork,
    estimate_of,
    ledger_of,
    pair_of,
    parent_of,
    seconds_of,
)
from codesign.strategy.base import State
from codesign.two_level.ledger import Ledger
from hwmodels.documents import read_text
from hwmodels.errors import SpecError, shown
from hwmodels.files import check_new_folder, make_folder, strict_json, write_bytes, write_text

__all__ = ["EvaluatedPair", "Generation", "RunBlobs", "RunStore", "check_run_folder", "checked_manifest"]

_Made = TypeVar("_Made")
# What readers of JSON, of npz files and of zip files raise where bytes are damaged.
_UNREADABLE = (
    ValueError, TypeError, KeyError, OSError, EOFError, BadZipFile, NotImplementedError, RuntimeError, RecursionError,
    MemoryError, zlib.error,
)  # fmt: skip
_SCHEMA = """
CREATE TABLE IF NOT EXISTS weights (key TEXT PRIMARY KEY, payload BLOB NOT NULL, seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS estimates (key TEXT PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pairs (
    generation INTEGER NOT NULL, position INTEGER NOT NULL,
    genotype TEXT NOT NULL, numerics TEXT NOT NULL, estimate TEXT NOT NULL, costs TEXT NOT NULL,
    fidelity REAL NOT NULL DEFAULT 1,
    PRIMARY KEY (generation, position)
);
CREATE TABLE IF NOT EXISTS parents (
    network TEXT NOT NULL, fidelity REAL NOT NULL, parent TEXT NOT NULL, parent_fidelity REAL NOT NULL,
    PRIMARY KEY (network, fidelity)
);
CREATE TABLE IF NOT EXISTS blobs (key TEXT PRIMARY KEY, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS generations (number INTEGER PRIMARY KEY, strategy BLOB NOT NULL, ledger TEXT NOT NULL);
"""


class Generation(NamedTuple):
    """A finished generation."""

    number: int
    ledger: Ledger
    strategy: State


class RunStore:
    """The store of one run, opened or made by its class methods; the `Weights` of estimators, `Blobs` of strategies.

    damage : one line for each part that cannot be read, as far as that is tolerated.
    """

    def __init__(self, folder: Path, *, tolerant: bool = False) -> None:
        self.folder, self.tolerant = folder, tolerant
        self.damage: list[str] = []
        self._dropped: list[str] = []
        self._lenders: tuple[RunStore, ...] = ()
        self._db = self._connected()

    def _connected(self) -> sqlite3.Connection:
        """The database, which must be there; an empty one in memory where it is damaged and that is tolerated."""
        try:
            return _opened(f"{self._path.absolute().as_uri()}?mode=rw")
        except (sqlite3.Error, UnicodeDecodeError) as error:  # an error of SQLite may quote bytes of the file
            self._damaged(self._path, "missing" if not self._path.exists() else str(error))
            return _opened("file::memory:")

    @property
    def _path(self) -> Path:
        return self.folder / "run.sqlite"

    def _damaged(self, path: Path, what: str) -> None:
        """Note what is wrong with a part of the run.

        Raises
        ------
        SpecError : where damage is not tolerated.
        """
        error = SpecError(str(path), "this part of the run", "whole", what)
        if not self.tolerant:
            raise error from None
        if str(error) not in self.damage:
            self.damage.append(str(error))

    @classmethod
    def create(cls, folder: Path, manifest: Mapping[str, Any]) -> RunStore:
        """Start a run in a new or empty folder; the manifest comes last, so that with it everything is there.

        Raises
        ------
        SpecError : the folder holds something already, or cannot be made; nothing is touched.
        """
        check_run_folder(folder)
        make_folder(folder)
        try:
            _opened(f"{(folder / 'run.sqlite').absolute().as_uri()}?mode=rwc").close()
        except sqlite3.Error as error:
            raise SpecError(str(folder / "run.sqlite"), "the database", "one that can be made", str(error)) from None
        write_text(folder / "manifest.json", strict_json(manifest) + "\n")
        return cls(folder)

    @classmethod
    def open(cls, folder: Path, *, tolerant: bool = False) -> RunStore:
        """Open an existing run; nothing is made.

        Parameters
        ----------
        tolerant : damaged parts are left out and listed in `damage`; else they are errors.

        Raises
        ------
        SpecError : no run there, or a damaged manifest.
        """
        if not (folder / "manifest.json").is_file():
            holds = sorted(path.parent.name for path in folder.glob("*/manifest.json"))
            hint = f"it holds the runs {', '.join(holds)}" if holds else None
            raise SpecError("run", folder, "a folder with a manifest.json", hint)
        store = cls(folder, tolerant=tolerant)
        _ = store.manifest
        return store

    @property
    def manifest(self) -> dict[str, Any]:
        """What was run.

        Raises
        ------
        SpecError : a file that is not the JSON of a manifest.
        """
        path = self.folder / "manifest.json"
        try:
            content = json.loads(read_text(path))
        except (ValueError, RecursionError) as error:
            if isinstance(error, SpecError):
                raise
            raise SpecError(str(path), "the manifest", "JSON", str(error)) from None
        if not isinstance(content, dict):
            raise SpecError(str(path), "the manifest", "a JSON object")
        return content

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the run for this process while it is written to.

        Raises
        ------
        SpecError : another process that lives holds it.
        """
        with held(self.folder / "run.lock"):
            yield

    def close(self) -> None:
        self._db.close()

    # Weights and estimates: durable at once.

    def borrow(self, *lenders: RunStore) -> None:
        """Look in other runs for trainings that are missing here; what is found there is kept here."""
        self._lenders = lenders

    def get(self, key: str) -> bytes | None:
        found = self._execute("SELECT payload FROM weights WHERE key = ?", (key,)).fetchone()
        if found is not None:
            return bytes(found[0])
        lent = next((payload for lender in self._lenders if (payload := lender.get(key)) is not None), None)
        if lent is not None:
            self.put(key, lent, 0.0)
        return lent

    def put(self, key: str, payload: bytes, seconds: float) -> None:
        self._execute("INSERT OR REPLACE INTO weights VALUES (?, ?, ?)", (key, payload, seconds))

    def estimate(self, key: str) -> Estimate | None:
        found = self._execute("SELECT record FROM estimates WHERE key = ?", (key,)).fetchone()
        return None if found is None else estimate_of(found[0])

    def keep_estimate(self, key: str, estimate: Estimate) -> None:
        # Milliseconds of waiting for the disk an estimate, for what its training can answer again: see the module.
        self._execute("PRAGMA synchronous=NORMAL")
        self._execute("INSERT OR REPLACE INTO estimates VALUES (?, ?)", (key, json.dumps(asdict(estimate))))
        self._execute("PRAGMA synchronous=FULL")

    def keep_parent(self, child: TrainedNetwork, parent: TrainedNetwork) -> None:
        """Keep which training another one starts from."""
        row = (json.dumps(child[0]), child[1], json.dumps(parent[0]), parent[1])
        self._execute("INSERT OR REPLACE INTO parents VALUES (?, ?, ?, ?)", row)

    def parents(self) -> dict[TrainedNetwork, TrainedNetwork]:
        """What each training starts from that inherits weights."""
        query = "SELECT network, fidelity, parent, parent_fidelity FROM parents"
        return dict(self._read(query, parent_of))

    def seconds(self) -> tuple[float, float]:
        """Core-seconds that all trainings took, and all evaluations of what was trained or found."""
        trainings = sum(self._read("SELECT seconds FROM weights", lambda row: seconds_of(row[0])))
        # The estimate that trains tells the time of both.
        estimates = sum(self._read("SELECT record FROM estimates", lambda row: estimate_of(row[0]).seconds))
        return trainings, max(estimates - trainings, 0.0)

    # Blobs: durable at once under the hash of their content, so that none ever changes.

    def keep(self, payload: bytes) -> str:
        key = hashlib.sha256(payload).hexdigest()
        self._execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (key, payload))
        self._dropped = [dropped for dropped in self._dropped if dropped != key]
        return key

    def blob(self, key: str) -> bytes:
        found = self._execute("SELECT payload FROM blobs WHERE key = ?", (key,)).fetchone()
        if found is None:
            raise SpecError(str(self._path), key, "the key of a blob that is kept")
        payload = bytes(found[0])
        if hashlib.sha256(payload).hexdigest() != key:
            raise SpecError(str(self._path), f"blob {key[:12]}", "whole", "its content is not that of its key")
        return payload

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
        self._execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            record = (number, _pack(strategy), json.dumps(ledger.as_dict()))
            self._db.execute("INSERT INTO generations VALUES (?, ?, ?)", record)
            self._db.executemany("DELETE FROM blobs WHERE key = ?", [(key,) for key in self._dropped])
            self._db.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                self._db.execute("ROLLBACK")
            # A broken rule of the schema is an error of ours, and shows itself as such.
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
                raise SpecError(str(self._path), "the database", "writable", str(error)) from None
            raise
        self._dropped.clear()

    def generations(self) -> list[Generation]:
        query = "SELECT number, ledger, strategy FROM generations ORDER BY number"
        return self._read(query, lambda row: Generation(row[0], ledger_of(row[1]), _unpack(row[2])))

    def lose(self, what: str) -> None:
        """Note a row that cannot mean what it says; see `_damaged`."""
        self._damaged(self._path, what)

    def pairs(self) -> list[tuple[int, EvaluatedPair, Estimate]]:
        """(generation, pair, its estimate) of every evaluated pair, in the order told."""
        query = """SELECT p.generation, p.genotype, p.numerics, p.estimate, p.costs, p.fidelity, e.record
                   FROM pairs p JOIN estimates e ON e.key = p.estimate ORDER BY p.generation, p.position"""
        return self._read(query, _evaluated)

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise SpecError(str(self._path), "the database", "usable", str(error)) from None

    def _read(self, query: str, made: Callable[[Any], _Made]) -> list[_Made]:
        """What is made of the rows of a query, as far as they are whole."""
        found: list[_Made] = []
        try:
            for row in self._db.execute(query):
                try:
                    found.append(made(row))
                except _UNREADABLE as error:
                    self._damaged(self._path, f"a row of it: {shown(error)}")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._damaged(self._path, str(error))
        return found

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
        make_folder(self.folder / "fast")
        write_bytes(self.folder / "fast" / f"{number:05d}.parquet", sink.getvalue())

    def read_fast(
        self, columns: Sequence[str], *, choices: Mapping[str, int] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Named columns over all finished generations, each (P,); files that are damaged are left out and noted.

        choices : column of whole numbers -> how many values it has, from 0 on; a file with others is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        finished = set(self._read("SELECT number FROM generations", lambda row: int(row[0])))
        paths = [self.folder / "fast" / f"{number:05d}.parquet" for number in sorted(finished)]
        tables = []
        for path in paths:
            try:
                table = pq.read_table(path, columns=list(columns))
                _check_choices(table, choices or {})
                tables.append(table)
            except FileNotFoundError:
                self._lost(path, "missing")
            except (pa.ArrowException, OSError, ValueError, KeyError) as error:
                self._lost(path, str(error).splitlines()[0])
        return {
            name: np.concatenate([table[name].to_numpy() for table in tables]) if tables else np.empty(0)
            for name in columns
        }

    def _lost(self, path: Path, what: str) -> None:
        """Note a file of pairs that cannot be read: it serves pictures alone, so that nothing stops at it."""
        error = str(SpecError(str(path), "this part of the run", "whole", what))
        if error not in self.damage:
            self.damage.append(error)


def _check_choices(table: Any, choices: Mapping[str, int]) -> None:
    """ValueError where a column holds what is none of its choices."""
    for name, count in choices.items():
        values = table[name].to_numpy()
        if values.dtype.kind not in "iu" or (values.size and not 0 <= int(values.min()) <= int(values.max()) < count):
            raise ValueError(f"{name} holds values outside the space")


_MAPPINGS = ("config", "versions", "device")
_KEYS = (*_MAPPINGS, "data", "space", "family", "model_version")


def checked_manifest(store: RunStore) -> dict[str, Any]:
    """The manifest of a run, with everything that going on and reporting need.

    Raises
    ------
    SpecError : names the key that is missing or of another kind.
    """
    content, where = store.manifest, str(store.folder / "manifest.json")
    for key in (*_MAPPINGS, "executor", "host", "metrics"):
        if not isinstance(content.get(key, {}), dict):
            raise SpecError(f"{where}: {key}", content[key], "a mapping")
    for key in _KEYS:
        if key not in content:
            raise SpecError.missing(where, f"key {key}")
    return content


def check_run_folder(folder: Path) -> None:
    """Refuse a folder in which no run can begin; nothing is made.

    Raises
    ------
    SpecError : it holds something already, or it cannot be made.
    """
    check_new_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise SpecError("--output", folder, "a new or empty folder", "codesign resume continues a run")


def _opened(uri: str) -> sqlite3.Connection:
    database = sqlite3.connect(uri, isolation_level=None, uri=True)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.executescript(_SCHEMA)
    if "fidelity" not in {row[1] for row in database.execute("PRAGMA table_info(pairs)")}:
        database.execute("ALTER TABLE pairs ADD COLUMN fidelity REAL NOT NULL DEFAULT 1")
    return database


def _evaluated(row: Any) -> tuple[int, EvaluatedPair, Estimate]:
    *pair, record = row
    return *pair_of(pair), estimate_of(record)


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
