"""Pairs as Parquet files: those that each round of an enumeration adds, or all of them, chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codesign.exact.pairs import PairTables, dense_columns, is_infeasible
from codesign.exact.rounds import Front
from hwmodels.files import make_folder, write_whole

__all__ = ["PairParts", "write_pairs"]

_ROWS = 1 << 20
"""Pairs of a row group."""
_DESIGNS = 1 << 12
"""Designs whose layer costs are held at once."""


class PairParts:
    """A sink that writes the pairs of each round into a file of its own, whole or not at all.

    Columns: network, design (positions) and `names`, the objectives.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, tuple(names)

    def __call__(self, part: int, pairs: Front) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: pairs.values[:, i] for i, name in enumerate(self.names)}
        table = pa.table({"network": pairs.network, "design": pairs.design, **columns})
        make_folder(self.folder)
        write_whole(self.folder / f"{part:05d}.parquet", lambda path: pq.write_table(table, path, compression="zstd"))


def write_pairs(path: Path, tables: PairTables, names: Sequence[str]) -> None:
    """Every pair with the metrics `names` (the score among them) and whether its design can run it, into one file.

    Columns: network, design (positions), names, infeasible. Memory is that of one row group.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("network", pa.int32()),
            ("design", pa.int32()),
            *((name, pa.float64()) for name in names),
            ("infeasible", pa.bool_()),
        ]
    )

    def write(part: Path) -> None:
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for first in range(0, tables.n_designs, _DESIGNS):
                designs = np.arange(first, min(first + _DESIGNS, tables.n_designs))
                costs = np.ascontiguousarray(tables.costs_of(designs).transpose(2, 1, 0))
                height = max(_ROWS // designs.size, 1)
                for at in range(0, tables.n_networks, height):
                    networks = np.arange(at, min(at + height, tables.n_networks))
                    writer.write_table(pa.table(_block(tables, networks, designs, costs, names), schema=schema))

    write_whole(path, write)


def _block(
    tables: PairTables,
    networks: npt.NDArray[np.int64],
    designs: npt.NDArray[np.int64],
    costs: npt.NDArray[np.float64],
    names: Sequence[str],
) -> dict[str, npt.NDArray[np.generic]]:
    """Columns of all pairs of some networks and designs."""
    columns = dense_columns(tables, networks, designs, costs)
    network = np.repeat(networks, designs.size)
    block: dict[str, npt.NDArray[np.generic]] = {
        "network": network.astype(np.int32),
        "design": np.tile(designs, networks.size).astype(np.int32),
    }
    for name in names:
        scored = tables.score is not None and name == tables.score_name
        block[name] = tables.score[network] if scored and tables.score is not None else columns[name]
    return {**block, "infeasible": is_infeasible(tables, columns, network.size)}
