"""CSV tables that people bring, read as they come, with the place of whatever is wrong.

Accepted: UTF-8 with or without a byte order mark, UTF-16 with one (a spreadsheet's "Unicode text"), gzip by the ending
.gz; commas, semicolons or tabs between cells, which the first line decides; spaces around names and cells; empty lines;
decimal commas between semicolons. Refused: lines with more or fewer cells than the header, names that stand twice.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hwmodels.errors import SpecError

__all__ = ["CsvRow", "CsvTable", "describe_read", "read_csv"]

_LARGEST_BYTES = 1 << 30
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")


class CsvRow(dict[str, str]):
    """One line by column. `where` is its file and line; a column that is not there is an error that says so."""

    def __init__(self, cells: dict[str, str], table: CsvTable, line: int) -> None:
        super().__init__(cells)
        self._table, self.line = table, line

    @property
    def where(self) -> str:
        return f"{self._table.path}: line {self.line}"

    def __getitem__(self, column: str) -> str:
        self._table.last_read = (self.line, column)
        return super().__getitem__(column)

    def __missing__(self, column: str) -> str:
        raise SpecError.missing(str(self._table.path), f"column {column}")

    def number(self, column: str) -> float:
        """The cell as a number.

        Raises
        ------
        SpecError : a column that is not there, or a cell that is no number.
        """
        text = self[column]
        if self._table.delimiter == ";" and _DECIMAL_COMMA.fullmatch(text):
            text = text.replace(",", ".")
        try:
            return float(text)
        except ValueError:
            raise SpecError(f"{self.where}: {column}", text or "an empty cell", "a number") from None

    def whole(self, column: str) -> int:
        """The cell as a whole number; see `number`."""
        value = self.number(column)
        if not value.is_integer():
            raise SpecError(f"{self.where}: {column}", self[column], "a whole number")
        return int(value)


class CsvTable:
    """Columns in their order and one `CsvRow` a line; `last_read` is the line and column that was asked for last."""

    def __init__(self, path: Path, columns: Sequence[str], delimiter: str) -> None:
        self.path, self.columns, self.delimiter = path, tuple(columns), delimiter
        self.rows: list[CsvRow] = []
        self.last_read: tuple[int, str] | None = None

    def __iter__(self) -> Iterator[CsvRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def read_csv(path: Path) -> CsvTable:
    """Read a table.

    Raises
    ------
    SpecError : a missing or unreadable file, another encoding, no header, a name that stands twice, or a line with
        another number of cells; names file and line.
    """
    text = _text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=_outside_quotes(first).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    table: CsvTable | None = None
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if table is None:
                table = CsvTable(path, _header(path, cells), delimiter)
                continue
            cells = _fitted(cells, len(table.columns), f"{path}: line {reader.line_num}")
            table.rows.append(CsvRow(dict(zip(table.columns, cells, strict=True)), table, reader.line_num))
    except csv.Error as error:
        raise SpecError(f"{path}: line {reader.line_num}", error, "a line of a CSV table") from None
    if table is None:
        raise SpecError(str(path), "empty", "a CSV table with a header")
    return table


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SpecError(str(path), f"{path.stat().st_size} bytes", f"at most {_LARGEST_BYTES} bytes")
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except FileNotFoundError:
        raise SpecError.missing(str(path), "the file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise SpecError(str(path), getattr(error, "strerror", None) or error, "a readable file") from None
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SpecError(f"{path}: line {line}", f"byte {content[error.start]:#04x}", "UTF-8 text") from None


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _header(path: Path, cells: list[str]) -> list[str]:
    while cells and not cells[-1]:  # a delimiter at the end of every line
        cells.pop()
    for name in cells:
        if name and cells.count(name) > 1:
            raise SpecError(f"{path}: header", repr(name), "a name that one column has")
    return cells


def _fitted(cells: list[str], size: int, where: str) -> list[str]:
    if len(cells) > size and not any(cells[size:]):
        return cells[:size]
    if len(cells) != size:
        raise SpecError(where, f"{len(cells)} cells", f"{size} cells, as the header has")
    return cells


def describe_read(table: CsvTable | None) -> tuple[str, Any]:
    """Where and what was read last, for an error of who reads a table."""
    if table is None or table.last_read is None:
        return "", ""
    line, column = table.last_read
    value = next((row.get(column, "") for row in table.rows if row.line == line), "")
    return f"{table.path}: line {line}: {column}", value or "an empty cell"
