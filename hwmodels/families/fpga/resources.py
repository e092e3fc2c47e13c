"""What designs take of their boards, whether that closes timing, at which clock, and what it draws.

    share = used / on the board          a design runs where no share is beyond what closes timing [FINN]
    clock = min(asked, fabric (1 - derating max(0, LUT share - 60 %)) 0.95^(further dies that it covers))

Not modelled: placement, routing, the clock regions of hard blocks, blocks that two designs could share.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.base import Metric, PairRule

__all__ = [
    "FFS_PER_LUT",
    "FLOAT_FFS_PER_LUT",
    "INFEASIBLE",
    "REASONS",
    "RESOURCE_METRICS",
    "Use",
    "closing_clock_hz",
    "logic_j_per_cycle",
    "node_scale",
    "resource_columns",
    "with_flip_flops",
]

F64 = npt.NDArray[np.float64]

FFS_PER_LUT, FLOAT_FFS_PER_LUT = 1.5, 1.1
"""ASSUMED, 1.1 to 2.3: flip-flops a LUT of pipelined arithmetic; AMD PG338's tables have 1.6 to 2.3. Of float: the
design of [Zhang'15]."""
_CROWDED = 0.6
"""ASSUMED, 0.5 to 0.7: share of the LUTs up to which the clock does not fall."""

_NAMES = ("dsps", "luts", "ffs", "bram18s", "urams")
_BOARD_HAS = {name: name for name in _NAMES}
_CLOSURE = {"dsps": "block_closure", "luts": "lut_closure", "ffs": "ff_closure", "bram18s": "block_closure",
            "urams": "block_closure"}  # fmt: skip
_CALLED = {"dsps": "arithmetic blocks", "luts": "LUTs", "ffs": "flip-flops", "bram18s": "BRAMs", "urams": "URAMs"}


class Use(NamedTuple):
    """What C designs take of their boards, (C,) float64 each."""

    dsps: F64
    luts: F64
    ffs: F64
    bram18s: F64
    urams: F64


RESOURCE_METRICS = (
    *(Metric(f"{name}_used", "config", f"{_CALLED[name]} that the design takes, shell included") for name in _NAMES),
    *(Metric(f"{name}_share", "config", f"share of the board's {_CALLED[name]}") for name in _NAMES),
    Metric("binding_share", "config", "largest use over what closes timing; the design runs at 1 and below"),
    Metric(
        "binding_resource", "config",
        "what that is of: " + ", ".join(f"{place} {_CALLED[name]}" for place, name in enumerate(_NAMES)), "neither",
    ),
    Metric("closing_clock_hz", "config", "clock that the design runs at: as asked, or what the board closes", "more"),
)  # fmt: skip


def with_flip_flops(*, dsps: Any, luts: Any, bram18s: Any, urams: Any, is_float: Any = 0) -> Use:
    """The use with a share of flip-flops for each LUT."""
    columns = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (dsps, luts, bram18s, urams)))
    ffs = columns[1] * np.where(is_float, FLOAT_FFS_PER_LUT, FFS_PER_LUT)
    return Use(columns[0], columns[1], ffs, columns[2], columns[3])


def _shares(use: Use, table: Any) -> dict[str, F64]:
    """Of what each board has; infinite where it has none."""
    found = {}
    for name, used in use._asdict().items():
        has = np.asarray(getattr(table, _BOARD_HAS[name]), np.float64)
        found[name] = np.divide(used, has, out=np.where(used > 0, np.inf, 0.0), where=has > 0)
    return found


_NO_BOARD = 1e9
"""A share for a resource that the board does not have at all: figures are finite."""


def resource_columns(use: Use, table: Any) -> dict[str, F64]:
    """The columns of `RESOURCE_METRICS`, (C,) each."""
    shares = {name: np.minimum(share, _NO_BOARD) for name, share in _shares(use, table).items()}
    strained = np.stack([shares[name] / getattr(table, _CLOSURE[name]) for name in _NAMES])
    columns = {f"{name}_used": used for name, used in use._asdict().items()}
    columns |= {f"{name}_share": share for name, share in shares.items()}
    columns |= {"binding_share": strained.max(axis=0), "binding_resource": strained.argmax(axis=0).astype(np.float64)}
    columns["closing_clock_hz"] = closing_clock_hz(use, table)
    return columns


def closing_clock_hz(use: Use, table: Any) -> F64:
    """Hz of each design; never below a tenth of the fabric's clock."""
    crowding = np.maximum(use.luts / table.luts - _CROWDED, 0.0)
    fabric = table.fabric_clock_hz * np.maximum(1.0 - table.clock_derating * crowding, 0.1)
    clock: F64 = np.minimum(table.clock_hz, fabric)
    return clock


def logic_j_per_cycle(use: Use, table: Any) -> F64:
    """Energy of a cycle of everything but the multipliers, at the board's node, J; 28 nm scales by (node/28)^1.25."""
    scale = node_scale(table.node_nm)
    energy: F64 = scale * (use.luts * table.lut_j + (use.bram18s + 16.0 * use.urams) * table.bram_j)
    return energy


def node_scale(node_nm: F64) -> F64:
    """Energies stated at 28 nm, at another node; exponent ASSUMED, 1 to 2."""
    scale: F64 = (np.asarray(node_nm) / 28.0) ** 1.25
    return scale


def _codes(metrics: Any, knobs: Any) -> npt.NDArray[np.int8]:
    """0, or 1 + the resource that is furthest beyond what closes timing."""
    beyond = metrics["binding_share"] > 1.0
    codes: npt.NDArray[np.int8] = np.where(beyond, 1 + metrics["binding_resource"], 0).astype(np.int8)
    return codes


INFEASIBLE = PairRule(frozenset({"binding_share", "binding_resource"}), _codes)
REASONS = tuple(f"more {_CALLED[name]} than the board closes timing with; see {name}_used" for name in _NAMES)
