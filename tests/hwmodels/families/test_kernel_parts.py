"""What kernels share, each part against a plain twin, and the cache that notices an edit of the shared file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwmodels
from hwmodels.families import kernel_parts
from hwmodels.families.base import family
from hwmodels.families.kernel_parts import (
    ceil_div,
    listed,
    records,
    rounded_width,
    scaled_to_node,
    source_stamp,
    touched_share,
)
from hwmodels.workload import formats
from hwmodels.workload.formats import FLOATS, coded
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers


class Columns(NamedTuple):
    size: np.ndarray
    rate: np.ndarray


def columns(size: int) -> Columns:
    rng = np.random.default_rng(size)
    return Columns(rng.integers(0, 99, size), rng.uniform(0, 1, size))


@pytest.mark.parametrize("size", [0, 1, 3, 1024, 2500])
def test_records_hold_the_columns_whatever_their_number(size: int) -> None:
    given_ = columns(size)
    made = records(given_, {"sum": float, "steps": int})
    assert made.shape == (size,)
    for name in Columns._fields:
        np.testing.assert_array_equal(made[name], getattr(given_, name))
        assert made[name].dtype == getattr(given_, name).dtype
    assert (made["sum"].dtype, made["steps"].dtype) == (np.float64, np.int64)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), max_size=30))
def test_listed_pairs_stay_the_pairs_in_their_order(pairs: list[tuple[int, int]]) -> None:
    layers, configs = columns(7), columns(5)
    layer, config = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    found = listed(layers, configs, layer, config)
    owner = np.repeat(found.run_config, np.diff(found.run_start))
    np.testing.assert_array_equal(found.layers.rate[found.layer], layers.rate[layer])
    np.testing.assert_array_equal(found.configs.rate[owner], configs.rate[config])
    assert found.configs.rate.size == len(set(config.tolist()))  # a configuration is derived once, however many runs
    assert found.layers.rate.size == len(set(layer.tolist()))


@pytest.mark.parametrize("name", ["cpu", "crossbar", "fpga", "fpga_overlay", "gpu", "spatial"])
def test_no_pairs_cost_nothing(name: str) -> None:
    model = family(name)
    empty = np.zeros(0, np.int64)
    assert model.layerwise is not None
    out = np.zeros((0, len(model.layerwise.metrics)))
    configs = model.spec.to_table([model.spec()])
    model.layerwise.cost_at(Layers.of([Row(Kind.CONV)]), configs, empty, empty, np.zeros(1), out, np.zeros(0, np.int16))


def test_codes_of_kinds_are_those_of_their_definition() -> None:
    names = ("CONV", "POOL", "NORM", "EMBEDDING")
    assert {name: getattr(kernel_parts, name) for name in names} == {name: Kind[name] for name in names}


def test_codes_of_formats_are_those_of_their_definition() -> None:
    assert (kernel_parts.BY_WIDTH, kernel_parts.INTEGER) == (formats.BY_WIDTH, formats.INTEGER)
    assert coded(FLOATS["bf16"]) == (16, kernel_parts.BFLOAT16)


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_ceil_div_counts_groups(a: int, b: int) -> None:
    assert ceil_div(a, b) == len(range(0, a, b))


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 6), st.integers(1, 3))
def test_touched_share_marks_lines_under_windows(outputs: int, kernel: int, stride: int, dilation: int) -> None:
    span = dilation * (kernel - 1) + 1
    extent = (outputs - 1) * stride + span
    marked = {o * stride + t for o in range(outputs) for t in range(span)}
    assert touched_share(extent, outputs, kernel, stride, dilation) == len(marked) / extent


@settings(deadline=None)
@given(st.integers(1, 64), st.integers(1, 8), st.integers(0, 4))
def test_rounded_width_is_the_narrowest_that_holds(bits: int, least: int, doublings: int) -> None:
    widths = [least * 2**i for i in range(doublings + 1)]
    assert rounded_width(bits, least, widths[-1]) == next((w for w in widths if w >= bits), widths[-1])


def test_scaling_to_the_node_of_the_statement_changes_nothing() -> None:
    assert scaled_to_node(3.7, 45.0, 1.3) == 3.7
    assert scaled_to_node(8.0, 22.5, 2.0) == 2.0


def test_a_stamp_changes_with_each_of_its_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("1")
    second.write_text("1")
    stamp = source_stamp(str(first), str(second))
    assert stamp > 0
    assert source_stamp(str(first), str(second)) == stamp
    second.write_text("2")
    assert source_stamp(str(first), str(second)) != stamp


PROBE = """
import json, numpy as np
from hwmodels.families.crossbar import kernel
from hwmodels.families.crossbar.chip import chip_table
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers
out = np.zeros((1, len(kernel.Mapping._fields)), np.int64)
kernel.mapping(Layers.of([Row(Kind.LINEAR, m=8, n=64, k=256, macs=8 * 64 * 256)]), chip_table(CrossbarSpec.to_table([CrossbarSpec()])), out)
print(json.dumps([kernel.__file__, out[0].tolist(), sum(kernel._mappings.stats.cache_hits.values())]))
"""  # noqa: E501


def test_an_edit_of_the_shared_part_is_seen_by_the_next_process(tmp_path: Path) -> None:
    """numba alone would go on running the numbers of before: the file of the cached function has not changed."""
    package = tmp_path / "hwmodels"
    shutil.copytree(Path(hwmodels.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def mapped() -> tuple[list[int], int]:
        done = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stderr
        file, numbers, hits = json.loads(done.stdout)
        assert Path(file).is_relative_to(tmp_path)
        return numbers, hits

    first, hits = mapped()
    assert hits == 0
    assert mapped() == (first, 1)  # the cache is used while nothing changes
    shared = package / "families" / "kernel_parts.py"
    source = shared.read_text(encoding="utf-8")
    assert "return (a + b - 1) // b" in source
    shared.write_text(source.replace("return (a + b - 1) // b", "return (a + b - 1) // b + 1"), encoding="utf-8")
    edited, hits = mapped()
    assert hits == 0
    assert edited != first
