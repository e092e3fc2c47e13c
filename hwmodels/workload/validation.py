"""The zoo against published counts: parameters exactly, MACs to the last digit that was published.

Scored are the rows of ``networks`` whose name the zoo knows; nothing is fitted. MACs of one item; how many digits are
published is read from the row's `exactness`: "3 digits of G" is 0.001 G, "N digits" alone are significant digits,
"exact" is exact, and what is said of the parameters holds for them alone.
"""

from __future__ import annotations

import re
from collections import Counter
from math import floor, log10

from hwmodels.errors import SpecError
from hwmodels.units import GB
from hwmodels.validate import ReferenceTables, Score
from hwmodels.workload.zoo import network

__all__ = ["validate"]

_SET = "networks"
_NOT_IN_ZOO = "not in the zoo"


def validate(tables: ReferenceTables) -> list[Score]:
    """Shares of the rows of nas/networks.csv that are met; no scores where the file or all its rows are absent."""
    rows = tables.rows(f"nas/{_SET}.csv")
    if rows is None:
        return []
    return [*_score(rows, "parameters", "params"), *_score(rows, "macs", "macs")]


def _score(rows: list[dict[str, str]], group: str, column: str) -> list[Score]:
    """One score where at least one row can be scored."""
    met: list[bool] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        published = _whole(row.get(column))
        half_unit = _half_unit(published, row.get("exactness") or "", group) if published is not None else None
        try:
            workload = network(row.get("name") or "")
        except SpecError:
            skipped[_NOT_IN_ZOO] += 1
            continue
        if published is None:
            skipped[f"no {group}"] += 1
        elif half_unit is None:
            skipped["rounding not stated"] += 1
        else:
            met.append(abs(getattr(workload, group) - published) <= half_unit)
    if not met:
        return []
    value = sum(met) / len(met)
    return [Score("workload", _SET, group, "frozen", len(met), len(rows), "exact_fraction", value, dict(skipped))]


def _half_unit(published: int, exactness: str, group: str) -> float | None:
    """Half a unit of the last published digit, or None where the row does not say how it was rounded.

    >>> said = "params exact; macs to 3 digits of G"
    >>> _half_unit(4_089_000_000, said, "macs"), _half_unit(25_557_032, said, "parameters")
    (500000.0, 0.0)
    >>> _half_unit(244_526_360, "5 digits", "macs"), _half_unit(4_200_000, "rounded as published", "parameters")
    (5000.0, None)
    """
    said = next((part for part in exactness.split(";") if part.strip().startswith(_SAID_OF[group])), exactness)
    digits = re.search(r"(\d+) digits", said)
    if digits and (said is not exactness or " of G" in said):
        return 0.5 * GB * 10.0 ** -int(digits[1])
    if digits:
        return 0.5 * 10.0 ** (floor(log10(max(published, 1))) + 1 - int(digits[1]))
    return 0.0 if said.strip().startswith(("exact", f"{_SAID_OF[group]} exact")) else None


_SAID_OF = {"parameters": "params", "macs": "macs"}


def _whole(text: str | None) -> int | None:
    try:
        value = int(float(text or ""))
    except (ValueError, OverflowError):
        return None
    return value if value > 0 else None
