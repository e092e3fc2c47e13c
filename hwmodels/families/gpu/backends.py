"""What libraries of kernels have, as data: the tiles of a product, and rules by which a library picks one.

Tiles are output elements of one block of threads, (rows, columns) of the product. Facts only; each with its source.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "BACKENDS", "NARROW_TILES", "PACKED_TILES", "PRODUCT_RULES", "SPLITS", "TENSOR_TILES", "TILES", "VECTOR_TILES",
    "Backends",
]  # fmt: skip

_ANY = np.inf

TENSOR_TILES = (
    (16, 64), (16, 128), (64, 64), (64, 128), (64, 256), (128, 64), (128, 128), (128, 256), (256, 64), (256, 128),
)  # fmt: skip
"""Tiles of products on tensor units. Source: names of cuBLAS and CUTLASS kernels (``tensorop_..._128x64_...``) in the
documentation of CUTLASS's profiler and in public traces; 16 rows: the least operand of ``mma.m16n8k16`` (PTX guide)."""

NARROW_TILES = ((32, 32), (32, 64), (32, 128), (64, 32), (128, 32))
"""Tiles on tensor units that grouped products (vLLM, fused_moe.py: BLOCK_SIZE_M of 16 to 128) and rules below take, and
cuBLAS seldom."""

VECTOR_TILES = ((32, 32), (32, 128), (64, 32), (64, 64), (64, 128), (128, 32), (128, 64), (128, 128), (256, 64))
"""Tiles of products on vector units. Source: cuBLAS's kernel names in gemm_fp32_kernels, as volta_sgemm_128x64_tn."""

PACKED_TILES = (
    (1, 64), (1, 256), (4, 64), (4, 256), (32, 8), (32, 16), (64, 4), (64, 8), (64, 16), (128, 4), (128, 8), (128, 16),
    (256, 4), (256, 8), (256, 16),
)  # fmt: skip
"""Tiles of products on channels in packs of four, as phones run them: a wave of 32 to 128 threads, each with a block of
1 to 4 positions and 4 to 16 channels, and waves along the channels where there is one position. Source: TensorFlow
Lite, delegates/gpu/common/tasks/conv_generic.cc (block_size), recalled; ASSUMED set."""

TILES = tuple(dict.fromkeys((*TENSOR_TILES, *NARROW_TILES, *VECTOR_TILES, *PACKED_TILES)))
"""All of them; a `choice` is a position here."""

SPLITS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128)
"""Parts that a reduction is cut into. Source: cuBLAS's heuristics take any number (cublasLt's SPLITK_NUM attribute);
ASSUMED steps, plausible 1, 2, 4, 8 to every number."""


PRODUCT_RULES: dict[str, tuple[tuple[float, float, tuple[int, int]], ...]] = {
    "vllm_fp8_sm89": (
        (32, 8192, (32, 64)), (32, 16384, (32, 128)), (32, _ANY, (32, 64)),
        (64, 8192, (64, 64)), (64, 16384, (64, 128)), (64, _ANY, (64, 64)),
        (128, 8192, (64, 128)), (128, 16384, (128, 128)), (128, _ANY, (128, 64)),
        (256, 4096, (64, 128)), (256, _ANY, (128, 128)),
        (_ANY, 4096, (128, 128)), (_ANY, 8192, (256, 128)), (_ANY, _ANY, (128, 128)),
    ),
    "vllm_fp8_sm90": ((64, _ANY, (64, 64)), (128, _ANY, (64, 128)), (_ANY, _ANY, (128, 128))),
}  # fmt: skip
"""Libraries that take the tile of an fp8 product by its size, and never cut the reduction: (rows up to, columns up to,
tile), the first that fits. Source: vLLM, csrc/quantization/cutlass_w8a8, scaled_mm_c2x_sm89_fp8_dispatch.cuh at 51cccd6
(where its size is rounded to a power of two, of at least 32 rows) and c3x/scaled_mm_sm90_fp8_dispatch.cuh at 44d638a,
both read; later versions have more cases for few rows."""


class Backends(NamedTuple):
    """The tables of this file as the kernel reads them.

    tiles : (T, 7) rows, columns, on tensor units (0.5: grouped products and rules only), on vector units, one over rows
    and columns, which are powers of two, so that these are exact, and on packed channels. splits : (S,), rising.
    rules : (R, 4) position of the rule in the Spec's choices, rows up to, columns up to, position of the tile.
    """

    tiles: Any
    splits: Any
    rules: Any


def _on_tensor_units(tile: tuple[int, int]) -> float:
    return 1.0 if tile in TENSOR_TILES else 0.5 if tile in NARROW_TILES else 0.0


def _rules() -> np.ndarray:
    lines = [
        (number, rows, columns, TILES.index(tile))
        for number, rule in enumerate(PRODUCT_RULES.values(), 1)
        for rows, columns, tile in rule
    ]
    return np.array(lines, np.float64)


BACKENDS = Backends(
    np.array(
        [
            [a, b, _on_tensor_units((a, b)), (a, b) in VECTOR_TILES, 1 / a, 1 / b, (a, b) in PACKED_TILES]
            for a, b in TILES
        ],
        np.float64,
    ),
    np.array(SPLITS, np.float64),
    _rules(),
)
