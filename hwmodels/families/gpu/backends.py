"""What libraries of kernels have, as data: the tiles of a product, and rules by which a library picks one.

Tiles are output elements of one block of threads, (rows, columns) of the product. Facts only; each with its source.
"""

from __future__ import annotations

import numpy as np

__all__ = ["SPLITS", "SPLIT_COLUMN", "TENSOR_TILES", "TILES", "TILE_COLUMNS", "VECTOR_TILES"]

TENSOR_TILES = (
    (16, 64), (16, 128), (32, 32), (32, 64), (32, 128), (64, 32), (64, 64), (64, 128), (64, 256), (128, 32), (128, 64),
    (128, 128), (128, 256), (256, 64), (256, 128),
)  # fmt: skip
"""Tiles of products on tensor units. Source: names of cuBLAS and CUTLASS kernels (``tensorop_..._128x64_...``) in the
documentation of CUTLASS's profiler and in public traces; 16 rows: the least operand of ``mma.m16n8k16`` (PTX guide)."""

VECTOR_TILES = ((32, 32), (32, 128), (64, 32), (64, 64), (64, 128), (128, 32), (128, 64), (128, 128), (256, 64))
"""Tiles of products on vector units. Source: cuBLAS's kernel names in gemm_fp32_kernels, as volta_sgemm_128x64_tn."""

TILES = tuple(dict.fromkeys((*TENSOR_TILES, *VECTOR_TILES)))
"""All of them; a `choice` is a position here."""

SPLITS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)
"""Parts that a reduction is cut into. Source: cuBLAS's heuristics take any number (cublasLt's SPLITK_NUM attribute);
ASSUMED steps, plausible 1, 2, 4, 8 to every number."""


TILE_COLUMNS = np.array([[*tile, tile in TENSOR_TILES, tile in VECTOR_TILES] for tile in TILES], np.float64)
"""The tiles as the kernel reads them, (T, 4): rows, columns, on tensor units, on vector units."""

SPLIT_COLUMN = np.array(SPLITS, np.float64)
"""The splits as the kernel reads them, in rising order."""
