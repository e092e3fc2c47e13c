"""Predicted against published: every family's own sets and protocols, scored in one format.

A module with one function, ``validate(tables) -> list[Score]``, says what the families of a folder are held against:
the module of the folder's name in `hwmodels.validation`, or `validation` in the folder of a plugged-in family. A folder
without one has no scores. `tables` opens a reference file by its path under the reference folder, or the small table
of the same name that ships in ``hwmodels/reference``, or answers None where neither is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.csv_table import CsvTable, describe_read, read_csv
from hwmodels.errors import SpecError
from hwmodels.families.base import families, folder_of

__all__ = ["REFERENCE_VARIABLE", "ReferenceTables", "Score", "open_tables", "score", "validate"]

REFERENCE_VARIABLE = "CODESIGN_REFERENCE"

_FARTHEST = 1e300  # percent; a published value may be so small that the quotient is beyond every number

MetricName = Literal[
    "exact_fraction",
    "max_error",
    "mape",
    "median_error",
    "p90_error",
    "bias",
    "mean_absolute_error",
    "spearman",
    "kendall",
    "within_2x",
    "within_3x",
    "interval_coverage",
]


@dataclass(frozen=True)
class Score:
    """One agreement of predicted with published figures; errors in percent.

    set : name of the reference file without its ending. group : device, network or condition, or "all".
    protocol : frozen (nothing fitted now), few-shot-N or leave-one-out. rows : rows scored; rows_in_file : all;
    skipped : rows left out, by reason; fitted_on : what the constants were fitted on; baseline : the same metric
    of the simplest alternative, with its name, or None.
    """

    family: str
    set: str
    group: str
    protocol: str
    rows: int
    rows_in_file: int
    metric: MetricName
    value: float
    skipped: Mapping[str, int] = field(default_factory=dict)
    fitted_on: str = "nothing"
    baseline: Mapping[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        # A Counter that is copied as a dataclass's field would count its items.
        return {**asdict(self), "skipped": dict(self.skipped)}


def score(
    metric: MetricName,
    predicted: npt.ArrayLike,
    published: npt.ArrayLike,
    *,
    relative_tolerance: float = 0.0,
) -> float:
    """One metric of two equally long columns; errors in percent of the published value.

    `relative_tolerance` only concerns exact_fraction: half a unit of the last printed digit, never more. within_2x and
    within_3x are shares of rows, of columns above zero; interval_coverage needs intervals and is not computed here.
    """
    p, q = np.asarray(predicted, np.float64), np.asarray(published, np.float64)
    if metric == "exact_fraction":
        return float(np.mean(np.abs(p - q) <= relative_tolerance * np.abs(q)))
    if metric in ("spearman", "kendall"):
        from scipy.stats import kendalltau, spearmanr

        return float((spearmanr if metric == "spearman" else kendalltau)(p, q).statistic)
    if metric in ("within_2x", "within_3x"):
        return float(np.mean(np.abs(np.log(p / q)) <= np.log(2.0 if metric == "within_2x" else 3.0)))
    if metric == "mean_absolute_error":
        return float(np.mean(np.abs(p - q)))
    with np.errstate(over="ignore"):
        relative = np.clip(100.0 * (p - q) / q, -_FARTHEST, _FARTHEST)
    if metric == "bias":
        return float(np.mean(relative))
    size = np.abs(relative)
    if metric == "max_error":
        return float(np.max(size))
    if metric == "mape":
        return float(np.mean(size))
    return float(np.percentile(size, {"median_error": 50, "p90_error": 90}[metric]))


class ReferenceTables:
    """Opens reference tables: the file under `folder` first, else the shipped table of the same name.

    missing : the files that callers asked for and neither place has, in the order of asking. last_table : the table
    that was opened last.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None and not folder.is_dir():
            raise SpecError("--reference", folder, "a folder")
        self.folder = folder
        self._missing: dict[str, None] = {}
        self.last_table: CsvTable | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(self._missing)

    def path(self, relative: str) -> Path | None:
        """The file at `relative` (as "imc/isaac_table1.csv"), or the shipped table of that name, or None."""
        if self.folder is not None and (self.folder / relative).is_file():
            return self.folder / relative
        shipped = Path(str(files("hwmodels") / "reference" / Path(relative).name))
        if shipped.is_file():
            return shipped
        self._missing[relative] = None
        return None

    def rows(self, relative: str) -> list[dict[str, str]] | None:
        """A CSV file, packed by gzip where it ends in .gz, as dictionaries, or None where it is absent.

        Raises
        ------
        SpecError : a file that is no table; names file and line.
        """
        path = self.path(relative)
        if path is None:
            return None
        self.last_table = read_csv(path)
        return list(self.last_table)


def open_tables(reference: Path | None = None) -> ReferenceTables:
    """The tables under `reference`, or else under the folder that CODESIGN_REFERENCE names."""
    if reference is None and os.environ.get(REFERENCE_VARIABLE):
        reference = Path(os.environ[REFERENCE_VARIABLE])
    return ReferenceTables(reference)


def validate(names: Iterable[str] | None = None, *, reference: Path | ReferenceTables | None = None) -> list[Score]:
    """Scores of the named families ("workload" is one of them), or of all.

    `reference` replaces the variable CODESIGN_REFERENCE, never adds to it: a folder, or its opened tables, which
    remember the files that are missing.
    """
    known = ("workload", *families())
    chosen = tuple(names) if names else known
    for name in chosen:
        if name not in known:
            raise SpecError.unknown("family", name, known)
    tables = reference if isinstance(reference, ReferenceTables) else open_tables(reference)
    modules = dict.fromkeys(found for name in chosen if (found := _validation_module(name)) is not None)
    return [result for module in modules for result in _scores(module, tables)]


def _scores(module: str, tables: ReferenceTables) -> list[Score]:
    """The scores of one module; a table that it cannot take is one line with the place that was read last."""
    run = import_module(module).validate
    try:
        found: list[Score] = run(tables)
    except SpecError:
        raise
    except (ValueError, KeyError, IndexError, TypeError, ArithmeticError, OSError) as error:
        where, value = describe_read(tables.last_table)
        if not where:
            raise
        raise SpecError(where, value, "what this table holds there", f"{type(error).__name__}: {error}") from error
    return found


def _validation_module(name: str) -> str | None:
    """The module in `hwmodels.validation` of a family that ships, `validation` in the folder of a plugged-in one."""
    if name == "workload":
        return "hwmodels.validation.workload"
    folder = folder_of(name)
    package, _, last = folder.rpartition(".")
    module = f"hwmodels.validation.{last}" if package == "hwmodels.families" else f"{folder}.validation"
    return module if folder and find_spec(module) else None
