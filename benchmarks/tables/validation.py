"""The README's table of validation: `codesign validate --json > validation.json`, then `python validation.py`.

With a file name the script takes its records from there and keeps the part that the table needs in `validation.json`
beside it; without one it reads that file. Either way it writes the table between the markers of the README. One line
of the table is one set of published or measured figures; where a set has several groups (devices, dataflows, columns),
an entry is the range over the groups. A set that is scored by a mean error shows that, with the word.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "kept", "replaced", "table"]

ROOT = Path(__file__).parents[2]
RECORDS = Path(__file__).with_name("validation.json")
BEGIN, END = "<!-- validation: begin -->", "<!-- validation: end -->"
_KEYS = ("family", "set", "group", "protocol", "rows", "metric", "value", "fitted_on")
_SHIPPED = ROOT / "hwmodels" / "reference"
_HEADER = ("family", "set", "ships", "rows", "within tolerance", "median error", "rank correlation", "protocol")

Records = Sequence[Mapping[str, Any]]


def kept(records: Records) -> list[dict[str, Any]]:
    """The keys that the table needs."""
    return [{key: record[key] for key in _KEYS} for record in records]


def table(records: Records) -> str:
    """The Markdown table of all sets, in the order of `codesign validate`."""
    places = list(dict.fromkeys((one["family"], one["set"], one["protocol"]) for one in records))
    lines = ["| " + " | ".join(_HEADER) + " |", "|---|---|---|---:|---:|---:|---:|---|"]
    for place in places:
        of_set = [one for one in records if (one["family"], one["set"], one["protocol"]) == place]
        lines.append("| " + " | ".join(_row(*place, of_set)) + " |")
    return "\n".join(lines)


def _row(family: str, name: str, protocol: str, records: Records) -> tuple[str, ...]:
    ships = "yes" if any(_SHIPPED.glob(f"{name}.*")) else ""
    rows = [one["rows"] for one in records]
    counted = f"{min(rows):,}" if min(rows) == max(rows) else f"{min(rows):,} to {max(rows):,}"
    return (
        family,
        name,
        ships,
        counted,
        _range(records, ("exact_fraction",), 100, " %"),
        _error(records),
        _range(records, ("spearman",), 1, ""),
        protocol,
    )


def _error(records: Records) -> str:
    """The median error; of sets that are scored otherwise the mean, relative or in the unit of the set, said so."""
    ways = (("median_error", " %"), ("mape", " % (mean)"), ("mean_absolute_error", " (mean absolute)"))
    return next(filter(None, (_range(records, (name,), 1, unit) for name, unit in ways)), "")


def _range(records: Records, metrics: tuple[str, ...], scale: float, unit: str) -> str:
    """The range of a metric over the groups of a set; empty where it is not asked."""
    values = [scale * one["value"] for one in records if one["metric"] in metrics and one["value"] is not None]
    if not values:
        return ""
    low, high = (f"{value:.3g}" for value in (min(values), max(values)))
    return f"{low}{unit}" if low == high else f"{low} to {high}{unit}"


def replaced(readme: str, records: Records) -> str:
    """The README with the table between its markers."""
    before, _, rest = readme.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{table(records)}\n{END}{after}"


def _main(arguments: Sequence[str]) -> None:
    if arguments:
        records = kept(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
        lines = ",\n".join(json.dumps(record) for record in records)
        RECORDS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    readme = ROOT / "README.md"
    records = json.loads(RECORDS.read_text(encoding="utf-8"))
    readme.write_text(replaced(readme.read_text(encoding="utf-8"), records), encoding="utf-8")


if __name__ == "__main__":
    _main(sys.argv[1:])
