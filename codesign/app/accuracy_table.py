"""Accuracies that a user brings: which network of a space has which, from CSV or npz.

A table may hold several rows a network, one a seed or an epoch: their mean counts, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import ArchitectureSpace
from hwmodels.array_file import read_arrays
from hwmodels.csv_table import CsvRow, CsvTable, read_csv
from hwmodels.errors import SpecError

__all__ = ["Accuracies", "index_weights", "read_accuracies", "read_accuracy_table"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_NUMBERS = re.compile(r"[\[(]?\s*\d+(?:[\s,;\-]+\d+)*\s*[\])]?")
_NAMED_BY = ("network", "architecture", "arch")
"""Columns of architectures in words."""
_DESCRIBED = 1_000_000
"""Points of a space up to which each is described, to find architectures in words."""


class Accuracies(NamedTuple):
    """Accuracy by index in the space (last gene fastest), and what a user should know of it, a line each."""

    by_index: dict[int, float]
    notes: tuple[str, ...]


class _Rows(NamedTuple):
    """Index in the space and accuracy of each row, (K,), and what a row is called in errors."""

    number: I64
    accuracy: F64
    place: Callable[[int], str]


def read_accuracies(path: Path, space: ArchitectureSpace) -> dict[int, float]:
    """Accuracy by index in the space; see `read_accuracy_table`."""
    return read_accuracy_table(path, space).by_index


def read_accuracy_table(path: Path, space: ArchitectureSpace) -> Accuracies:
    """Accuracies of networks of a space, each a share in [0, 1].

    A CSV file has columns `accuracy` and one that names the network: `index`; `genotype` with the choice of each gene
    by number, ``0-3-1``; or `network`, `architecture` or `arch` with the architecture in words, as reports write it. An
    npz file has `accuracy` (K,) and, unless the space is listed whole, `index` (K,).

    Raises
    ------
    SpecError : no such file or column, a network outside the space, a value outside [0, 1]; names line and column.
    """
    found = _from_npz(path, space) if path.suffix == ".npz" else _from_csv(path, space)
    outside = np.flatnonzero((found.number < 0) | (found.number >= space.size))
    if outside.size:
        raise SpecError(f"{found.place(outside[0])}: index", found.number[outside[0]], f"in [0, {space.size - 1}]")
    wrong = np.flatnonzero(~((found.accuracy >= 0) & (found.accuracy <= 1)))
    if wrong.size:
        place = f"{found.place(wrong[0])}: accuracy"
        raise SpecError(place, found.accuracy[wrong[0]], "in [0, 1]", "divide percentages by 100")
    return _means(path, space, found)


def index_weights(space: ArchitectureSpace) -> I64:
    """Genotype @ weights is its index, the last gene varying fastest."""
    return np.append(np.cumprod(space.cardinalities[::-1])[-2::-1], 1).astype(np.int64)[-space.n_genes :]


def _means(path: Path, space: ArchitectureSpace, found: _Rows) -> Accuracies:
    """The mean accuracy of each network."""
    index, first, of, rows = np.unique(found.number, return_index=True, return_inverse=True, return_counts=True)
    of = of.reshape(-1)
    # A network of one row keeps its accuracy to the last bit.
    means = np.where(rows == 1, found.accuracy[first], np.bincount(of, found.accuracy, len(index)) / rows)
    notes = []
    if (rows > 1).any():
        most = int(rows.argmax())
        values = np.sort(found.accuracy[of == most])
        spread = ", ".join(f"{value:.4g}" for value in values[[0, -1]])
        genotype = "-".join(map(str, np.unravel_index(index[most], space.cardinalities.tolist())))
        notes.append(
            f"{path}: {int((rows > 1).sum()):,} of {len(index):,} networks have several rows, and their mean counts: "
            f"{genotype} has {rows[most]} ({spread})"
        )
    return Accuracies(dict(zip(index.tolist(), means.tolist(), strict=True)), tuple(notes))


def _from_npz(path: Path, space: ArchitectureSpace) -> _Rows:
    columns = read_arrays(path)
    if "accuracy" not in columns:
        raise SpecError.missing(str(path), "array accuracy", f"there are {', '.join(sorted(columns)) or 'none'}")
    accuracy = columns["accuracy"]
    if "index" not in columns and accuracy.shape != (space.size,):
        raise SpecError(f"{path}: accuracy", accuracy.shape, f"({space.size},), the whole space, or beside an index")
    index = columns.get("index", np.arange(accuracy.size))
    for name, values in (("accuracy", accuracy), ("index", index)):
        if values.dtype.kind not in "iuf" or values.ndim != 1:
            raise SpecError(f"{path}: {name}", f"{values.dtype} {values.shape}", "one number a network, (K,)")
    if index.shape != accuracy.shape:
        raise SpecError(f"{path}: accuracy", accuracy.shape, f"one value for each of {index.size} networks")
    if (index != np.floor(index)).any():
        raise SpecError(f"{path}: index", index[index != np.floor(index)][0], "a whole number")
    return _Rows(index.astype(np.int64), accuracy.astype(np.float64), lambda row: f"{path}: row {row}")


def _from_csv(path: Path, space: ArchitectureSpace) -> _Rows:
    table = read_csv(path)
    key = next((name for name in ("index", "genotype", *_NAMED_BY) if name in table.columns), None)
    if key is None or "accuracy" not in table.columns:
        shown = ", ".join(map(repr, table.columns))
        raise SpecError(f"{path}: columns", shown, f"accuracy and one of index, genotype, {', '.join(_NAMED_BY)}")
    if not len(table):
        raise SpecError(str(path), "no row", "at least one network")
    index_of = _index_of(table, key, space)
    rows = table.rows
    index = np.array([index_of(row) for row in rows], np.int64)
    accuracy = np.array([row.number("accuracy") for row in rows], np.float64)
    return _Rows(index, accuracy, lambda row: rows[row].where)


def _index_of(table: CsvTable, key: str, space: ArchitectureSpace) -> Callable[[CsvRow], int]:
    """What reads the index of a row's network."""
    if key == "index":
        return lambda row: row.whole("index")
    weights, cardinalities = index_weights(space), space.cardinalities
    by_words: dict[str, int] = {}

    def index(row: CsvRow) -> int:
        text = row[key]
        if _NUMBERS.fullmatch(text):
            genes = [int(word) for word in re.findall(r"\d+", text)]
            if len(genes) != space.n_genes or any(g >= n for g, n in zip(genes, cardinalities.tolist(), strict=True)):
                limits = "-".join(str(n - 1) for n in cardinalities.tolist())
                raise SpecError(f"{row.where}: {key}", text, f"{space.n_genes} choices, each up to that of {limits}")
            return int(np.array(genes) @ weights)
        if not by_words:
            by_words.update(_described(space, f"{row.where}: {key}", text))
        if text not in by_words:
            raise SpecError.unknown(f"{row.where}: {key}", text, list(by_words)[:1000])
        return by_words[text]

    return index


def _described(space: ArchitectureSpace, where: str, text: str) -> dict[str, int]:
    """The index of each network by its architecture in words."""
    if space.size > _DESCRIBED:
        raise SpecError(where, text, "a genotype as 0-3-1: the space is too large to look for words")
    points = space.enumerate()
    return dict(zip(map(space.describe, points), (points @ index_weights(space)).tolist(), strict=True))
