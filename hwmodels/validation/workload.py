"""The zoo against published counts: parameters and multiply-accumulates of one item; nothing is fitted.

Sets
----
networks : published networks by name. Rows that say "exact" are met to the digit, rows that state digits to the last
    of them ("3 digits of G" is 0.001 G, "N digits" are significant), and apart from these, as groups "..., rounded",
    the rows that papers print rounded: to half a unit of the last printed digit, or to the deviation that the row
    allows ("+-1%").
nb201_arch : the 15,625 cells of NAS-Bench-201.
ofa_specialized : the specialised networks of once-for-all.
timm_infer : networks of the timm results by timm's names, to the printed digits.

Some sources count otherwise than this project does, and are held against the same sum: NAS-Bench-201 adds the
classifier's ten biases to the MACs; timm adds the elementary operations of normalisation (two an element for batch
norm, five for the others); PC-DARTS on ImageNet adds those and one for every activated element (as P-DARTS does, whose
557 M are then met, too); the FBNet paper and mobile_cv count weights alone as parameters, and mobile_cv adds the
inputs of poolings to the MACs.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from math import floor, log10
from typing import NamedTuple

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.units import GB
from hwmodels.validate import ReferenceTables, Score
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Kind
from hwmodels.workload.zoo import entry
from hwmodels.workload.zoo.nasbench201 import OPERATIONS, nasbench201

__all__ = ["validate"]

_NOT_IN_ZOO = "not in the zoo"
_COLUMNS = {"parameters": "params", "macs": "macs"}
_NB201_BIASES = 10
"""What NAS-Bench-201 counts with its MACs: the biases of the ten classes."""


class _Counts(NamedTuple):
    """Of one item, and what some sources count instead or beside."""

    parameters: int
    macs: int
    weights: int
    norm_ops: int
    activation_ops: int
    pooled: int

    @classmethod
    def of(cls, workload: Workload) -> _Counts:
        rows = [row for _, row in workload.rows()]
        return cls(
            parameters=workload.parameters,
            macs=workload.macs,
            weights=sum(row.weight_elements for row in rows if not row.dynamic_operand),
            norm_ops=sum(row.vector_ops for row in rows if row.kind == Kind.NORM),
            activation_ops=sum(row.vector_ops for row in rows if row.kind == Kind.ACTIVATION),
            pooled=sum(row.input_elements for row in rows if row.kind == Kind.POOL),
        )

    def as_printed(self, group: str, name: str) -> int:
        """The count of `group` by the convention of the source that prints `name`."""
        if group == "parameters":
            return self.weights if name.startswith(("FBNet", "mobile_cv")) else self.parameters
        if name.startswith("NB201"):
            return self.macs + _NB201_BIASES
        if name == "PC-DARTS (ImageNet)":
            return self.macs + self.norm_ops + self.activation_ops
        return self.macs + (self.pooled if name.startswith("mobile_cv") else 0)


def validate(tables: ReferenceTables) -> list[Score]:
    """Shares of the rows that are met; no scores where a file or all its rows are absent."""
    return [*_networks(tables), *_nasbench201(tables), *_specialised(tables), *_timm(tables)]


def _networks(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("nas/networks.csv")
    if rows is None:
        return []
    return [
        found
        for printed in ("", ", rounded")
        for group, column in _COLUMNS.items()
        for found in _shares(rows, "networks", group, column, printed)
    ]


def _shares(rows: list[dict[str, str]], name: str, group: str, column: str, printed: str) -> list[Score]:
    """One score where at least one row can be scored: of the exact rows, or of the rounded ones."""
    met: list[bool] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        published, said = _whole(row.get(column)), row.get("exactness") or ""
        exact = _half_unit(published, said, group) if published is not None else None
        allowed = exact if not printed else _rounding(published, said, group)
        counts = _counts_of(row.get("name") or "")
        if counts is None:
            skipped[_NOT_IN_ZOO] += 1
        elif published is None:
            skipped[f"no {group}"] += 1
        elif allowed is None or (printed and exact is not None):
            skipped["exact" if printed and exact is not None else "not exact"] += 1
        else:
            met.append(abs(counts.as_printed(group, row["name"]) - published) <= allowed)
    return _score(name, group + printed, met, len(rows), skipped)


def _score(
    name: str, group: str, met: list[bool], rows_in_file: int, skipped: Counter[str] | None = None
) -> list[Score]:
    if not met:
        return []
    value = sum(met) / len(met)
    left_out = dict(skipped or {})
    return [Score("workload", name, group, "frozen", len(met), rows_in_file, "exact_fraction", value, left_out)]


@cache
def _counts_of(name: str) -> _Counts | None:
    """Of the zoo's network of that name, or None where there is none."""
    try:
        known = entry(name)
    except SpecError:
        return None
    return _Counts.of(known.build())


def _nasbench201(tables: ReferenceTables) -> list[Score]:
    """All cells. Every edge of a cell has the same shape, so cells with as many of each operation count the same."""
    path = tables.path("nas/nb201_arch.npz")
    if path is None:
        return []
    with np.load(path) as arrays:
        operations = arrays["ops"]
        published = {"parameters": arrays["params"], "macs": arrays["macs"] - _NB201_BIASES}
    kinds, which = np.unique(np.sort(operations, axis=1), axis=0, return_inverse=True)
    counts = np.array([_cell_counts(tuple(map(int, kind))) for kind in kinds], np.int64)[which.reshape(-1)]
    return [
        found
        for i, (group, column) in enumerate(published.items())
        for found in _score("nb201_arch", group, (counts[:, i] == column).tolist(), len(operations))
    ]


def _cell_counts(operations: tuple[int, ...]) -> _Counts:
    net = Builder("cell", (1, 3, 32, 32))
    return _Counts.of(net.finish(nasbench201(net, [OPERATIONS[i] for i in operations])))


def _specialised(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("nas/ofa_specialized.csv")
    if rows is None:
        return []
    return [
        found
        for group, column in _COLUMNS.items()
        for found in _column_score(rows, "ofa_specialized", group, "name", column, unit=1.0, tolerance=0.0)
    ]


def _timm(tables: ReferenceTables) -> list[Score]:
    """Printed to 0.01 M and 0.01 G; a network of another resolution than the row's is left out."""
    rows = [row for row in tables.rows("nas/timm_infer.csv.gz") or () if _has_size(row)]
    if not rows:
        return []
    printed: dict[str, tuple[str, float]] = {"parameters": ("params_m", 1e6), "macs": ("gmacs", GB)}
    return [
        found
        for group, (column, unit) in printed.items()
        for found in _column_score(rows, "timm_infer", group, "model", column, unit=unit, tolerance=0.005001 * unit)
    ]


def _has_size(row: dict[str, str]) -> bool:
    """Whether the zoo's network of that name, if there is one, is of the row's image size."""
    try:
        known = entry(row["model"])
    except SpecError:
        return True
    return known.input_shape[-1] == int(row["img"])


def _column_score(
    rows: list[dict[str, str]], name: str, group: str, key: str, column: str, *, unit: float, tolerance: float
) -> list[Score]:
    """Share of the rows whose `column`, times its unit, is within the tolerance; `key` is the column of the name."""
    met: list[bool] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        counts = _counts_of(row[key])
        if counts is None:
            skipped[_NOT_IN_ZOO] += 1
        else:
            counted = getattr(counts, group) + (counts.norm_ops if column == "gmacs" else 0)
            met.append(abs(counted - float(row[column]) * unit) <= tolerance)
    return _score(name, group, met, len(rows), skipped)


def _half_unit(published: int, exactness: str, group: str) -> float | None:
    """Half a unit of the last published digit, or None where the row does not say how it was rounded.

    >>> said = "params exact; macs to 3 digits of G"
    >>> _half_unit(4_089_000_000, said, "macs"), _half_unit(25_557_032, said, "parameters")
    (500000.0, 0.0)
    >>> _half_unit(244_526_360, "5 digits", "macs"), _half_unit(4_200_000, "rounded as published", "parameters")
    (5000.0, None)
    """
    said = next((part for part in exactness.split(";") if part.strip().startswith(_COLUMNS[group])), exactness)
    digits = re.search(r"(\d+) digits", said)
    if digits and (said is not exactness or " of G" in said):
        return 0.5 * GB * 10.0 ** -int(digits[1])
    if digits:
        return 0.5 * 10.0 ** (floor(log10(max(published, 1))) + 1 - int(digits[1]))
    return 0.0 if said.strip().startswith(("exact", f"{_COLUMNS[group]} exact")) else None


def _rounding(published: int | None, exactness: str, group: str) -> float | None:
    """What a rounded row allows: half a unit of its last printed digit, or the per cent that it states.

    Papers print parameters in 0.1 M and MACs in M below 1 G: a printed 4.0 M is as narrow as a 4.2 M.

    >>> _rounding(4_000_000, "rounded as published", "parameters"), _rounding(23_800_000_000, "rounded", "macs")
    (50000.0, 50000000.0)
    >>> _rounding(78_666, "verify against own counter (+-1%)", "parameters")
    786.66
    """
    if published is None:
        return None
    stated = re.search(r"\+-(\d+)\s*%", exactness)
    if stated:
        return published * int(stated[1]) / 100
    if not exactness.startswith("rounded"):
        return None
    unit = 10.0 ** (len(str(published)) - len(str(published).rstrip("0")))
    if published < GB:
        unit = min(unit, 1e5 if group == "parameters" else 1e6)
    return 0.5 * unit


def _whole(text: str | None) -> int | None:
    try:
        value = int(float(text or ""))
    except (ValueError, OverflowError):
        return None
    return value if value > 0 else None
