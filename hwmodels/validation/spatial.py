"""What the systolic model is held against: SCALE-Sim's cycles and its buffer traffic. Nothing is fitted.

`scalesim_closed_form`: 636 rows of three shipped topologies on four arrays and three dataflows; exact is the claim.
`scalesim_simulated`: complete simulator runs with their access counts. Its buffers prefetch ahead and its reads of
DRAM are not the refill count of this model, so those errors are shown, not claimed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.spatial.kernel import Cost, accesses, cost
from hwmodels.families.spatial.spec import DATAFLOWS, SpatialSpec
from hwmodels.units import KIB
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

__all__ = ["validate"]

F64 = npt.NDArray[np.float64]

_CLOSED_FORM = "spatial/scalesim_closed_form.csv"
_SIMULATED = "spatial/scalesim_simulated.json"
_DIMS = ("ifmap_h", "ifmap_w", "filt_h", "filt_w", "channels", "num_filters", "stride")


class _Case(NamedTuple):
    """One published row: the layer, the array, and what was published."""

    network: str
    dims: tuple[int, ...]
    array_rows: int
    array_cols: int
    dataflow: str
    published: Mapping[str, float]


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of the systolic model; empty where no reference file is present."""
    return [*_closed_form(tables), *_simulated(tables)]


def _closed_form(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows(_CLOSED_FORM)
    if rows is None:
        return []
    cases, skipped = _read(_closed_form_case(row) for row in rows)
    if not cases:
        return []
    published = np.array([case.published["cycles"] for case in cases])
    predicted = _costs(cases)[:, Cost._fields.index("array_cycles")]
    groups = [f"{case.network} {case.dataflow}" for case in cases]
    found = []
    for group in ("all", *dict.fromkeys(groups)):
        chosen = np.array([group in ("all", name) for name in groups])
        found += _pair("scalesim_closed_form", group, predicted[chosen], published[chosen], len(rows), skipped)
    return found


def _simulated(tables: ReferenceTables) -> list[Score]:
    path = tables.path(_SIMULATED)
    if path is None:
        return []
    rows = json.loads(path.read_text(encoding="utf-8")).get("rows", [])
    cases, skipped = _read(_simulated_case(row) for row in rows)
    if not cases:
        return []
    found = []
    for group, predicted in _counts(cases).items():
        published = np.array([case.published[group] for case in cases])
        found += _pair("scalesim_simulated", group, predicted, published, len(rows), skipped)
    return found


def _pair(
    set_: str, group: str, predicted: F64, published: F64, rows_in_file: int, skipped: Mapping[str, int]
) -> list[Score]:
    """The share of exact rows and the largest error, percent."""
    return [
        Score(
            family="spatial",
            set=set_,
            group=group,
            protocol="frozen",
            rows=published.size,
            rows_in_file=rows_in_file,
            metric=metric,
            value=score(metric, predicted, published),
            skipped=skipped,
        )
        for metric in ("exact_fraction", "max_error")
    ]


def _read(cases: Iterable[_Case | str]) -> tuple[list[_Case], dict[str, int]]:
    """Cases, and how many rows were left out by reason."""
    kept, reasons = [], []
    for case in cases:
        if isinstance(case, str):
            reasons.append(case)
        else:
            kept.append(case)
    return kept, dict(Counter(reasons))


def _closed_form_case(row: Mapping[str, Any]) -> _Case | str:
    return _case(
        str(row.get("network", "")),
        row,
        (row.get("array_rows"), row.get("array_cols")),
        str(row.get("dataflow", "")),
        {"cycles": row.get("total_cycles_stall_free")},
    )


def _simulated_case(row: Mapping[str, Any]) -> _Case | str:
    detail = row.get("detail") or {}
    published = {
        "cycles": row.get("sim_total_cycles"),
        "ifmap reads": detail.get("SRAM IFMAP Reads"),
        "filter reads": detail.get("SRAM Filter Reads"),
        "ofmap writes": detail.get("SRAM OFMAP Writes"),
        "dram bytes": _total(detail, ("DRAM IFMAP Reads", "DRAM Filter Reads", "DRAM OFMAP Writes")),
    }
    array = row.get("array") or (None, None)
    return _case(str(row.get("topology", "")), row.get("dims") or {}, array, str(row.get("dataflow", "")), published)


def _total(detail: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return sum(float(detail[name]) for name in names) if all(name in detail for name in names) else None


def _case(
    network: str, dims: Mapping[str, Any], array: Sequence[Any], dataflow: str, published: Mapping[str, Any]
) -> _Case | str:
    """A checked case, or the reason why the row is left out."""
    if dataflow not in DATAFLOWS:
        return "another dataflow"
    try:
        sizes = tuple(int(dims[name]) for name in _DIMS)
        rows, cols = (int(extent) for extent in array)
        values = {name: float(value) for name, value in published.items()}
    except (KeyError, TypeError, ValueError):
        return "a value is missing"
    if min(*sizes, rows, cols) < 1 or min(values.values()) <= 0:
        return "a value is not positive"
    return _Case(network, sizes, rows, cols, dataflow, values)


def _counts(cases: Sequence[_Case]) -> dict[str, F64]:
    """What the simulator counts, from the kernel, (cases,) each; ofmap writes include partial sums."""
    costs = _costs(cases)
    elements = np.array([_accesses(case, _row(case.dims)) for case in cases])
    return {
        "cycles": costs[:, Cost._fields.index("array_cycles")],
        "ifmap reads": elements[:, 0],
        "filter reads": elements[:, 1],
        "ofmap writes": elements[:, 2],
        "dram bytes": costs[:, Cost._fields.index("dram_bytes")],
    }


def _accesses(case: _Case, row: Row) -> tuple[float, float, float]:
    """Input reads, weight reads, sum writes; SCALE-Sim streams a fold in one block."""
    m_rows, k_rows = ceil(row.m / case.array_rows), ceil(row.k / case.array_rows)
    m_cols, n_cols = ceil(row.m / case.array_cols), ceil(row.n / case.array_cols)
    dataflow = DATAFLOWS.index(case.dataflow)
    inputs, weights, sums = accesses(dataflow, row.m, row.n, row.k, m_rows, m_cols, n_cols, k_rows, 1)
    return inputs, weights, sums


def _row(dims: tuple[int, ...]) -> Row:
    """SCALE-Sim's layer: no padding, no groups, its own number of outputs; inputs and outputs are in DRAM.

    out_h and out_w only say which inputs are touched: the outputs that exist.
    """
    height, width, fh, fw, channels, filters, stride = dims
    extents = ((height, fh), (width, fw))
    out_h, out_w = (max((size - f) // stride + 1, 1) for size, f in extents)
    m = prod(max(-(-(size - f + stride) // stride), 1) for size, f in extents)
    k = fh * fw * channels
    return Row(
        kind=Kind.CONV,
        in_channels=channels,
        out_channels=filters,
        in_h=height,
        in_w=width,
        out_h=out_h,
        out_w=out_w,
        kernel_h=fh,
        kernel_w=fw,
        stride_h=stride,
        stride_w=stride,
        m=m,
        n=filters,
        k=k,
        macs=m * filters * k,
        weight_elements=filters * k,
        input_elements=height * width * channels,
        output_elements=m * filters,
        input_offchip=1,
        output_offchip=1,
    )


def _costs(cases: Sequence[_Case]) -> F64:
    """(cases, M); SCALE-Sim's shipped buffers of 64 kB, one byte an element."""
    specs = [
        SpatialSpec(
            dataflow=case.dataflow,
            rules="compat",
            array_rows=case.array_rows,
            array_cols=case.array_cols,
            ifmap_sram_bytes=64 * KIB,
            filter_sram_bytes=64 * KIB,
            ofmap_sram_bytes=64 * KIB,
        )
        for case in cases
    ]
    out = np.empty((len(cases), 1, len(Cost._fields)))
    choice = np.empty((1, 1), np.int16)
    for index, (case, spec) in enumerate(zip(cases, specs, strict=True)):
        cost(Layers.of([_row(case.dims)]), SpatialSpec.to_table([spec]), np.zeros(1), out[index : index + 1], choice)
    return out[:, 0]
