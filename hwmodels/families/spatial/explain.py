"""Why a layer costs what it costs on a systolic array: the dataflow, its folds, the streamed length, blocks, cycles.

The kernel keeps none of this: it is computed again for the one layer that somebody asks about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwmodels.families.spatial.kernel import VECTOR, Cost, cost, detail
from hwmodels.families.spatial.spec import DATAFLOWS
from hwmodels.families.spec import Spec
from hwmodels.workload.ops import Row
from hwmodels.workload.table import Layers

__all__ = ["explain"]


def explain(row: Row, spec: Spec) -> Mapping[str, Any]:
    """One layer on one array; cycles and bytes are per batch, folds and blocks those of one sequential step."""
    layers, configs = Layers.of([row]), type(spec).to_table([spec])
    costs, choice = np.empty((1, 1, len(Cost._fields))), np.empty((1, 1), np.int16)
    cost(layers, configs, np.empty(1), costs, choice)
    if choice[0, 0] == VECTOR:
        return {"dataflow": "vector", "array_cycles": 0}
    found = detail(layers, configs, int(choice[0, 0]))._asdict()
    counts = {name: value if name.endswith("_bytes") else int(value) for name, value in found.items()}
    cycles = int(costs[0, 0, Cost._fields.index("array_cycles")])
    return {"dataflow": DATAFLOWS[choice[0, 0]], "array_cycles": cycles, **counts}
