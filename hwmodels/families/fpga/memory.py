"""How memories of a width and a depth fill block RAMs, URAMs and LUTs of an FPGA.

A block of 18 Kib is 1 x 16384, 2 x 8192, 4 x 4096, 9 x 2048, 18 x 1024 or, with one port each way, 36 x 512 [AMD UG473,
UG573]; a memory takes the aspect ratio that needs the fewest. A URAM is 72 x 4096. What is at most 64 deep lies in
LUTs: 32 x 6 or 64 x 3 in four of them [AMD UG474]. Vendors' tools cut depths to powers of two on 7-series and may join
narrow memories; neither is modelled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LUTRAM_DEPTH", "bram18s_of", "lutram_luts", "urams_of"]

I64 = npt.NDArray[np.int64]
_Column = npt.NDArray[Any] | int

_ASPECTS = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
LUTRAM_DEPTH = 64
"""ASSUMED, 32 to 128: memories up to this depth lie in LUTs."""


def bram18s_of(width: _Column, depth: _Column) -> I64:
    """Blocks of one memory: the least of ceil(width / w) ceil(depth / d) over the aspect ratios; 0 where it is empty.

    >>> int(bram18s_of(32, 121)), int(bram18s_of(72, 1024)), int(bram18s_of(1, 20000))
    (1, 4, 2)
    """
    width, depth = np.asarray(width, np.int64), np.asarray(depth, np.int64)
    found: I64 = np.min([-(-width // w) * -(-depth // d) for w, d in _ASPECTS], axis=0)
    return found


def urams_of(width: _Column, depth: _Column) -> I64:
    """ceil(width / 72) ceil(depth / 4096)."""
    found: I64 = -(-np.asarray(width, np.int64) // 72) * -(-np.asarray(depth, np.int64) // 4096)
    return found


def lutram_luts(width: _Column, depth: _Column) -> I64:
    """LUTs of a memory of at most `LUTRAM_DEPTH` words: four for each 6 bits of 32 words or 3 bits of 64.

    >>> int(lutram_luts(16, 9)), int(lutram_luts(16, 49))
    (12, 24)
    """
    width, depth = np.asarray(width, np.int64), np.asarray(depth, np.int64)
    found: I64 = np.where(depth <= 32, 4 * -(-width // 6), 4 * -(-width // 3) * -(-depth // LUTRAM_DEPTH))
    return found
