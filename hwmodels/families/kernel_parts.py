"""What the kernels of several families share: records of layers and configurations, geometry, widths, scaling.

A kernel reads a layer as `row = rows[i]` and a configuration as `knobs = configs[c]`, records with the names of
`Row` and of the Spec's fields, so that no kernel copies columns one by one.

numba's cache notices an edit of the file that holds a cached function and of no other. So every kernel follows one
rule: functions marked `inner` are compiled into their caller and never cached by themselves; a function marked
`entry` is made inside a function that hands it `source_stamp` of all its files as a free variable, which enters the
key of the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from hwmodels.kernel_cache import cached_njit

__all__ = [
    "BFLOAT16",
    "BY_WIDTH",
    "CONV",
    "EMBEDDING",
    "INTEGER",
    "NORM",
    "POOL",
    "Listed",
    "ceil_div",
    "entry",
    "inner",
    "listed",
    "records",
    "rounded_width",
    "scaled_to_node",
    "source_stamp",
    "touched_share",
]

I64 = npt.NDArray[np.int64]

# Codes of Kind and of number formats; a test holds them to their definitions.
CONV, POOL, NORM, EMBEDDING = 0, 4, 5, 9
BY_WIDTH, INTEGER, BFLOAT16 = 0, 1, 6

inner = njit(nogil=True, error_model="numpy")
entry = cached_njit(error_model="numpy")

_BLOCK = 1024  # records written at a time: their columns and they stay in the second cache
_REFERENCE_NODE_NM = 45.0


def source_stamp(*files: str | None) -> int:
    """A positive number of the contents of `files` and of this file."""
    digest = sha256()
    for file in (__file__, *files):
        digest.update(Path(str(file)).read_bytes())
    return int.from_bytes(digest.digest()[:7], "little") + 1


def records(columns: Any, derived: Mapping[str, type] | None = None) -> npt.NDArray[np.void]:
    """A NamedTuple of columns (N,) as one array of records (N,) with the same names and types.

    derived : further fields, name -> int or float, zero until the kernel writes them.
    """
    names = (*columns._fields, *(derived or ()))
    types = (*(column.dtype for column in columns), *(np.dtype(type_) for type_ in (derived or {}).values()))
    out = np.zeros(columns[0].size, _record_type(names, types))
    for first in range(0, out.size, _BLOCK):
        part = slice(first, first + _BLOCK)
        block = out[part]
        for name, column in zip(columns._fields, columns, strict=True):
            block[name] = column[part]
    return out


@lru_cache(maxsize=64)
def _record_type(names: tuple[str, ...], types: tuple[np.dtype[Any], ...]) -> np.dtype[np.void]:
    return np.dtype(list(zip(names, types, strict=True)), align=True)


class Listed(NamedTuple):
    """Listed pairs by configuration: columns of what some pair has, and the pairs as runs of one configuration.

    Configuration run_config[r] of `configs` has the layers layer[run_start[r]:run_start[r + 1]] of `layers`.
    """

    layers: Any
    configs: Any
    layer: I64
    run_config: I64
    run_start: I64


def listed(layers: Any, configs: Any, layer_index: I64, config_index: I64) -> Listed:
    """layers, configs : NamedTuples of columns. layer_index, config_index : (Q,), best in order of configuration."""
    starts = np.flatnonzero(np.diff(config_index, prepend=-1))
    used, run_config = np.unique(config_index[starts], return_inverse=True)
    has_pair = np.zeros(layers[0].size, np.bool_)
    has_pair[layer_index] = True
    position = np.cumsum(has_pair) - 1
    return Listed(
        layers=_take(layers, np.flatnonzero(has_pair)),
        configs=_take(configs, used),
        layer=position[layer_index],
        run_config=run_config,
        run_start=np.append(starts, layer_index.size),
    )


def _take(columns: Any, index: I64) -> Any:
    return columns._make(np.ascontiguousarray(column[index]) for column in columns)


@inner
def ceil_div(a: int, b: int) -> int:
    """ceil(a / b) of non-negative integers."""
    return (a + b - 1) // b


@inner
def touched_share(extent: int, outputs: int, kernel: int, stride: int, dilation: int) -> float:
    """Share of the input's rows (columns) that some window covers: a stride beyond the kernel leaves holes."""
    span = dilation * (kernel - 1) + 1
    return min(extent, (outputs - 1) * min(stride, span) + span) / extent


@inner
def rounded_width(bits: int, least: int, most: int) -> int:
    """The narrowest of least, 2 least, 4 least and so on that holds `bits`; `most` where none does."""
    found = least
    while found < bits and found < most:
        found *= 2
    return min(found, most)


@inner
def scaled_to_node(value: float, node_nm: float, exponent: float) -> float:
    """An energy or area stated at 45 nm, at another node: value (node / 45)^exponent."""
    scaled: float = value * (node_nm / _REFERENCE_NODE_NM) ** exponent
    return scaled
