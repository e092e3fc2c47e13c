"""Tables that are written part by part, so that they need not fit into memory: CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwmodels.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STREAMED", "write_stream"]

STREAMED = (".csv", ".parquet")
"""Endings of files that are written part by part."""


def write_stream(path: Path, parts: Iterable[pd.DataFrame], *, keep: int) -> pd.DataFrame:
    """Write the parts, at least one, as they come; return the first `keep` rows. The file appears when it is whole.

    Raises
    ------
    SpecError : the operating system refuses.
    """
    import pandas as pd
    import pyarrow as pa

    kept: list[pd.DataFrame] = []

    def write(partial: Path) -> None:
        writer: Any = None
        for part in parts:
            table = pa.Table.from_pandas(part, preserve_index=False)
            writer = writer or _writer(path.suffix.lower(), partial, table.schema)
            writer.write_table(table)
            missing = keep - sum(map(len, kept))
            if missing > 0:
                kept.append(part.head(missing))
        writer.close()

    write_whole(path, write)
    return pd.concat(kept, ignore_index=True)


def _writer(ending: str, path: Path, schema: Any) -> Any:
    if ending == ".parquet":
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(path, schema)
    from pyarrow.csv import CSVWriter, WriteOptions

    return CSVWriter(path, schema, write_options=WriteOptions(quoting_style="needed"))
