"""What the kernel chose for one layer and does not write down: tile, split, waves, units and the clock that is left.

The kernel keeps none of this: it is computed again for the one layer that somebody asks about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwmodels.families.gpu.backends import BACKENDS
from hwmodels.families.gpu.kernel import detail
from hwmodels.families.spec import Spec
from hwmodels.workload.ops import Row
from hwmodels.workload.table import Layers

__all__ = ["explain"]


def explain(row: Row, spec: Spec) -> Mapping[str, Any]:
    """One layer on one GPU: tile and parts of the reduction where it is a product, waves of tiles, and the clock.

    `clock_share` is what the power limit leaves of the clock; `macs_per_cycle` are those of one multiprocessor's units.
    """
    found = detail(Layers.of([row]), type(spec).to_table([spec]), BACKENDS)
    explained: dict[str, Any] = {}
    if found.tile_rows:
        explained = {
            "tile": f"{found.tile_rows:.0f}x{found.tile_columns:.0f}",
            "split": int(found.split),
            "waves": found.waves,
        }
    if found.macs_per_cycle:
        explained["macs_per_cycle"] = found.macs_per_cycle
    return explained | {"clock_share": found.clock_share}
