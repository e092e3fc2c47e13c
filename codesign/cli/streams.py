"""Tables that are written part by part, so that they need not fit into memory: CSV and Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_stream", "write_stream"]

_ENDINGS = (".csv", ".parquet")


def check_stream(path: Path) -> None:
    """Refuse a file that cannot be written, before the work begins.

    Raises
    ------
    SpecError : an unknown ending, or no such folder.
    """
    if path.suffix not in _ENDINGS:
        raise SpecError("--output", path, f"a file that ends in {' or '.join(_ENDINGS)}")
    if not path.parent.is_dir():
        raise SpecError("--output", path, "a file in an existing folder")


def write_stream(path: Path, parts: Iterable[pd.DataFrame], *, keep: int) -> pd.DataFrame:
    """Write the parts as they come, and return the first `keep` rows. The file appears when it is whole."""
    import pandas as pd
    import pyarrow as pa

    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    kept: list[pd.DataFrame] = []
    writer: Any = None
    try:
        for part in parts:
            table = pa.Table.from_pandas(part, preserve_index=False)
            writer = writer or _writer(path.suffix, partial, table.schema)
            writer.write_table(table)
            missing = keep - sum(map(len, kept))
            if missing > 0:
                kept.append(part.head(missing))
        if writer is not None:
            writer.close()
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return pd.concat(kept, ignore_index=True)


def _writer(ending: str, path: Path, schema: Any) -> Any:
    if ending == ".parquet":
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(path, schema)
    from pyarrow.csv import CSVWriter, WriteOptions

    return CSVWriter(path, schema, write_options=WriteOptions(quoting_style="needed"))
