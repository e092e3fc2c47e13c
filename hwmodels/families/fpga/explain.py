"""Why a layer costs what it costs on a tiled engine: the engine, what stays, tiles, trips, bursts and traffic.

The kernel keeps none of this: it is computed again for the one layer that somebody asks about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwmodels.families.fpga import kernel
from hwmodels.families.fpga.engine import engine_table
from hwmodels.families.fpga.kernel import CHOICES, DEPTHWISE, VECTOR, Cost, detail
from hwmodels.families.spec import Spec
from hwmodels.workload.ops import Row
from hwmodels.workload.table import Layers

__all__ = ["explain"]


def explain(row: Row, spec: Spec) -> Mapping[str, Any]:
    """One layer on one engine; cycles and bytes are per batch, trips and tiles those of one group and image."""
    layers, engines = Layers.of([row]), engine_table(type(spec).to_table([spec]))
    costs, choice = np.empty((1, 1, len(Cost._fields))), np.empty((1, 1), np.int16)
    kernel.all_pairs(layers, engines, costs, choice)
    chosen = int(choice[0, 0])
    if chosen >= DEPTHWISE + 1:
        return {"engine": "vector" if chosen == VECTOR else "compat", "compute_cycles": int(costs[0, 0, -2])}
    found = detail(layers, engines, 0 if chosen == DEPTHWISE else chosen)._asdict()
    counts = {name: value if name.endswith("_bytes") else int(value) for name, value in found.items()}
    engine = {"engine": "depthwise"} if chosen == DEPTHWISE else {"engine": "dense", "stays": CHOICES[chosen]}
    return {**engine, **counts}
