"""One score of each family of the folder; `opened` holds the tables of every call."""

from __future__ import annotations

from hwmodels.validate import ReferenceTables, Score

__all__ = ["opened", "validate"]

opened: list[ReferenceTables] = []


def validate(tables: ReferenceTables) -> list[Score]:
    opened.append(tables)
    return [
        Score(name, "toy_rows", "all", "frozen", rows=2, rows_in_file=2, metric="mape", value=1.5)
        for name in ("toy_folder", "toy_folder_streaming")
    ]
