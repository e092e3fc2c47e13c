"""Tables as files in the format that the ending names: .csv and .parquet with plain numbers, .md and .tex for readers.

CSV and Parquet hold the numbers in SI units, unrounded, under their column names; Markdown and LaTeX the table that
people read, one prefix a column and three digits.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwmodels.errors import SpecError
from hwmodels.files import write_bytes, write_text, write_whole

__all__ = ["TABLE_ENDINGS", "write_table"]

TABLE_ENDINGS = (".csv", ".md", ".parquet", ".tex")


def write_table(path: Path, columns: Mapping[str, Sequence[Any]], *, caption: str = "") -> None:
    """Named columns of equal length as a file.

    Parameters
    ----------
    columns : name with its unit last (``energy_j``) -> values in that unit. caption : of the tables that people read.

    Raises
    ------
    SpecError : another ending, or a file that cannot be written.
    """
    from codesign.report.tables import build_table

    ending = path.suffix.lower()
    if ending not in TABLE_ENDINGS:
        raise SpecError("--output", path, f"a table that ends in {', '.join(TABLE_ENDINGS)}")
    if ending == ".csv":
        write_text(path, _csv(columns))
    elif ending == ".parquet":
        _write_parquet(path, columns)
    else:
        table = build_table(columns, caption=caption)
        write_bytes(path, (table.markdown() if ending == ".md" else table.latex()).encode("utf-8"))


def _csv(columns: Mapping[str, Sequence[Any]]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return sink.getvalue()


def _cell(value: Any) -> Any:
    """Numbers to the last digit; a number that is none is an empty cell."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


def _write_parquet(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pa.table({name: list(values) for name, values in columns.items()})
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a knob whose values are of several types
        texts = {name: [None if value is None else str(value) for value in values] for name, values in columns.items()}
        table = pa.table({name: _alike(list(columns[name]), texts[name]) for name in columns})
    write_whole(path, lambda part: pq.write_table(table, part, compression="zstd"))


def _alike(values: list[Any], texts: list[str | None]) -> list[Any]:
    """The values where they are of one type, else what they read as."""
    return values if len({type(value) for value in values}) <= 1 else texts
