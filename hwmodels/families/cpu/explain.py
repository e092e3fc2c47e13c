"""Why a layer costs what it costs on a CPU: the algorithm, its tile, the threads, cycles and traffic by level.

The kernel keeps none of this: it is computed again for the one layer that somebody asks about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwmodels.families.cpu.kernel import CHOICES, Cost, cost, detail
from hwmodels.families.spec import Spec
from hwmodels.workload.ops import Row
from hwmodels.workload.table import Layers

__all__ = ["explain"]

_TILED = ("gemm", "im2col", "direct", "winograd2", "winograd4", "winograd6")


def explain(row: Row, spec: Spec) -> Mapping[str, Any]:
    """One layer on one CPU; a tile is (rows, vectors, lanes of a vector), bytes and cycles are per batch.

    The cycles are those of one thread at full efficiency; `work_shares` are the pieces that threads divide.
    """
    layers, configs = Layers.of([row]), type(spec).to_table([spec])
    costs, choice = np.empty((1, 1, len(Cost._fields))), np.empty((1, 1), np.int16)
    cost(layers, configs, np.empty(1), costs, choice)
    algorithm, found = CHOICES[choice[0, 0]], detail(layers, configs, int(choice[0, 0]))
    explained: dict[str, Any] = {"algorithm": algorithm}
    if algorithm in _TILED:
        rows, vectors = int(configs.tile_rows[0]), int(configs.tile_vectors[0])
        explained |= {"tile_rows": rows, "tile_vectors": vectors, "lanes": int(found.lanes)}
    explained |= {"threads": int(found.threads), "work_shares": int(found.work_shares)}
    if row.macs > 0:
        explained["one_thread_cycles"] = found.one_thread_cycles
    by_level = ("l1_bytes", "l2_bytes", "l3_bytes", "dram_bytes", "flash_bytes")
    return explained | {name: getattr(found, name) for name in by_level}
