"""Published latencies of whole search spaces on GPUs: NAS-Bench-201, FBNet and once-for-all at three batches.

HELP [Lee et al., NeurIPS 2021] measured them with PyTorch, every operator as written, in float32; once-for-all's hard
sigmoid and hard swish are modules of three and four operators there (`written_out`). Every column whose
GPU the catalogue has is scored, frozen and few-shot-10. Beside each score stand three simpler ones: MACs at the best
rate, the number of kernels at the best time each, and a roofline of the data sheet with a launch for each kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import device, device_names
from hwmodels.families.gpu.model import MODEL
from hwmodels.families.gpu.runtimes import GPU_RUNTIMES, with_runtime
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.units import US
from hwmodels.validate import MetricName, ReferenceTables, Score, score
from hwmodels.validation.block_spaces import fbnet_space, ofa_space
from hwmodels.validation.few_shot import Draws, few_shot, predicted
from hwmodels.validation.gpu.protocols import VIEW
from hwmodels.validation.spaces import Counted, nasbench201_space
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.ops.pointwise import ACTIVATION_OPS
from hwmodels.workload.table import Layers

__all__ = [
    "HOST_KNOBS", "KERNEL_KNOBS", "Group", "baselines_of", "batched", "few_shot_of", "frozen", "machine", "numbers_of",
    "space_scores", "written_out",
]  # fmt: skip

F64 = npt.NDArray[np.float64]

_SHOTS, _DRAWS = 10, 3
_LAUNCH_S = 3 * US  # of the roofline: ASSUMED, a kernel's gap, 2 to 5 us

# Columns of the published tables -> devices of the catalogue.
_COLUMNS = {
    "1080ti": "gtx_1080_ti", "2080ti": "rtx_2080_ti", "titanx": "titan_x_pascal", "titanxp": "titan_xp",
    "titan_xp": "titan_xp", "v100": "v100_sxm2",
}  # fmt: skip
_RUNTIME = "torch_2020"

HOST_KNOBS = ("enqueue_s", "product_enqueue_s", "copy_enqueue_s", "invoke_s")
"""What the host's part of a latency decides."""
KERNEL_KNOBS = (
    "launch_cycles", "stream_efficiency", "reduction_efficiency", "pool_efficiency", "depthwise_efficiency",
    "vector_mac_efficiency", "gather_efficiency", "vector_efficiency",
)  # fmt: skip
"""What that of the kernels decides."""


class Group(NamedTuple):
    """Networks that one GPU ran under one runtime, and what was measured, (N,)."""

    set: str
    name: str
    spec: GpuSpec
    counted: Counted
    latency_s: F64
    rows_in_file: int
    skipped: Mapping[str, int]
    fitted_on: str


def machine(name: str, runtime: str) -> GpuSpec | None:
    """The GPU of the catalogue under a runtime, or None where there is none of that name."""
    if name not in device_names():
        return None
    spec = device(name).spec
    return with_runtime(spec, runtime) if isinstance(spec, GpuSpec) else None


def numbers_of(runtime: str) -> str:
    """Where the numbers of a runtime come from, for a score's `fitted_on`."""
    return f"{runtime} runtime: {GPU_RUNTIMES[runtime].fitted_on}; {VIEW}"


def batched(counted: Counted, batch: int) -> Counted:
    """The same networks of convolutions and linear layers on so many items."""
    layers = counted.layers
    names = ("batch", "m", "macs", "vector_ops", "input_elements", "output_elements")
    return counted._replace(layers=layers._replace(**{name: getattr(layers, name) * batch for name in names}))


def written_out(counted: Counted) -> Counted:
    """Hard sigmoid as relu6(x + 3) / 6 in three kernels, hard swish with one product more.

    Source: once-for-all, ofa/utils/pytorch_modules.py, Hsigmoid and Hswish.
    """
    columns: dict[Row, F64] = {}
    for index in range(counted.layers.kind.size):
        for row, times in _in_parts(counted.layers.row(index)):
            column = columns.setdefault(row, np.zeros(len(counted.counts)))
            column += times * counted.counts[:, index]
    return Counted(Layers.of(list(columns)), np.stack(list(columns.values()), axis=1))


def _in_parts(row: Row) -> list[tuple[Row, int]]:
    """A row as the kernels that it is written in, each with how often."""
    elements = row.output_elements
    hard = {ACTIVATION_OPS[name] * elements: name for name in ("hardsigmoid", "hardswish")}
    if row.kind != Kind.ACTIVATION or row.vector_ops not in hard:
        return [(row, 1)]
    scalar = row._replace(kind=int(Kind.ELEMENTWISE), vector_ops=elements)  # plus 3, over 6
    parts = [(scalar, 2), (row._replace(vector_ops=ACTIVATION_OPS["relu6"] * elements), 1)]
    if hard[row.vector_ops] == "hardswish":
        parts.append((scalar._replace(input_elements=2 * elements), 1))
    return parts


def baselines_of(counted: Counted, spec: GpuSpec) -> dict[str, F64]:
    """Three simpler predictions, (N,) each, without unit but for the roofline."""
    layers = counted.layers
    bits = np.maximum(layers.activation_bits, 8)
    moved = (layers.input_elements + layers.output_elements) * bits + layers.weight_elements * layers.weight_bits
    half = (layers.activation_bits <= 16) & (spec.tensor_fp16_macs_per_cycle > 0)
    rate = np.where(half, spec.tensor_fp16_macs_per_cycle, spec.fp32_macs_per_cycle) * spec.sms * spec.clock_hz
    roofline = np.maximum(layers.macs / rate, moved / 8.0 / spec.dram_bytes_per_s) + _LAUNCH_S
    ones = np.ones(layers.kind.size)
    found = {"MACs at the best rate": layers.macs, "kernels at the best time": ones, "roofline + launch": roofline}
    return {name: counted.counts @ np.asarray(column, np.float64) for name, column in found.items()}


def frozen(
    group: Group, *, metrics: Sequence[MetricName] = ("spearman", "median_error"), protocol: str = "frozen",
    scored: npt.NDArray[np.bool_] | None = None,
) -> list[Score]:  # fmt: skip
    """Scores without any fit to the rows; `scored` : the networks that count."""
    kept = np.ones(group.latency_s.size, bool) if scored is None else scored
    counted = Counted(group.counted.layers, group.counted.counts[kept])
    measured = group.latency_s[kept]
    if measured.size < 3:
        return []
    own, others = predicted(MODEL, group.spec, counted), baselines_of(counted, group.spec)
    for name in ("MACs at the best rate", "kernels at the best time"):
        others[name] = others[name] * np.exp(np.median(np.log(measured / np.maximum(others[name], 1e-30))))
    return [
        Score(
            family="gpu", set=group.set, group=group.name, protocol=protocol, rows=measured.size,
            rows_in_file=group.rows_in_file, metric=metric, value=score(metric, own, measured), skipped=group.skipped,
            fitted_on=group.fitted_on,
            baseline={name: score(metric, column, measured) for name, column in others.items()},
        )
        for metric in metrics
    ]  # fmt: skip


def few_shot_of(
    group: Group, *, shots: int = _SHOTS, knobs: Sequence[str] = (*HOST_KNOBS, *KERNEL_KNOBS),
    metrics: Sequence[MetricName] = ("spearman", "median_error"),
) -> tuple[list[Score], Draws | None]:  # fmt: skip
    """Scores of the networks that a fit to `shots` others predicts, means over draws; and the draws themselves."""
    if group.latency_s.size < shots + 3:
        return [], None
    usable = [name for name in knobs if group.spec.values()[name] > 0]
    drawn = few_shot(
        MODEL, group.spec, group.counted, {"latency_s": group.latency_s}, knobs=usable, shots=shots, draws=_DRAWS
    )["latency_s"]
    parts = [drawn.draw == draw for draw in np.unique(drawn.draw)]
    others = baselines_of(group.counted, group.spec) if group.counted.counts.size else {}
    ranks = {name: score("spearman", column, group.latency_s) for name, column in others.items()}
    found = [
        Score(
            family="gpu", set=group.set, group=group.name, protocol=f"few-shot-{shots}", rows=int(parts[0].sum()),
            rows_in_file=group.rows_in_file, metric=metric,
            value=float(np.mean([score(metric, drawn.predicted[part], drawn.measured[part]) for part in parts])),
            skipped=group.skipped,
            fitted_on=f"{shots} rows of the group, mean of {len(parts)} draws; {group.fitted_on}",
            baseline=ranks if metric == "spearman" else None,
        )
        for metric in metrics
    ]  # fmt: skip
    return found, drawn


def space_scores(tables: ReferenceTables) -> list[Score]:
    """nb201_latency_ms, fbnet5000_latency_ms and ofa5000_latency_ms: GPUs."""
    found: list[Score] = []
    cells = _arrays(tables, "nas/nb201_arch.npz")
    for name in ("nb201", "fbnet5000", "ofa5000"):
        arrays = _arrays(tables, f"nas/{name}_latency_ms.npz")
        if arrays and (cells or name != "nb201"):
            for group in _groups(f"{name}_latency_ms", arrays, partial(_lowered, name, arrays | cells)):
                found += frozen(group) + few_shot_of(group)[0]
    return found


def _lowered(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Counted:
    """The networks of one space as the runtime executes them."""
    semantics = GPU_RUNTIMES[_RUNTIME].semantics
    if name == "nb201":
        return nasbench201_space(arrays["ops"], semantics)
    if name == "fbnet5000":
        return fbnet_space(arrays["arch"], semantics)
    return written_out(ofa_space(arrays["ks"], arrays["e"], arrays["d"], arrays["r"], semantics))


def _groups(name: str, arrays: Mapping[str, npt.NDArray[Any]], lower: Callable[[], Counted]) -> Iterator[Group]:
    """Every column of a GPU of the catalogue."""
    columns = {key: match for key in arrays if (match := re.fullmatch(r"(.+)_(\d+)", key)) and match[1] in _COLUMNS}
    counted = lower() if columns else None
    for key, match in columns.items():
        spec = machine(_COLUMNS[match[1]], _RUNTIME)
        if spec is None or counted is None:
            continue
        measured = arrays[key].astype(np.float64) * 1e-3
        kept = ~np.isnan(measured)
        networks = batched(counted, int(match[2]))
        yield Group(
            name, key, spec, Counted(networks.layers, networks.counts[kept]), measured[kept], kept.size,
            {"not measured": int((~kept).sum())}, numbers_of(_RUNTIME),
        )  # fmt: skip


def _arrays(tables: ReferenceTables, relative: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file, empty where it is absent."""
    path = tables.path(relative)
    if path is None:
        return {}
    with np.load(path) as content:
        return {key: content[key] for key in content.files}
