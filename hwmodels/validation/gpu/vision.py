"""timm's benchmark of image networks on GeForce and RTX PRO GPUs, mixed precision, batches of some hundreds.

timm_throughput names PyTorch's version, layout and compilation of each run; timm_infer has one column a GPU. Networks
are those that the zoo builds. The numbers of the runtime come from every second family of networks of one run on an
RTX 3090 (`runtimes`); all scores are on the other families. Under torch.compile pointwise operators are fused with each
other but not into convolutions, which cuDNN runs. Attention is one kernel from PyTorch 2 on. Training is a step with
momentum, as the benchmark's; it has no row of its own in the fit.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.gpu.networks import Group, frozen, machine, numbers_of
from hwmodels.validation.layer_lists import count_networks
from hwmodels.workload.graph import Node, Workload
from hwmodels.workload.ops import Activation, Elementwise, Norm, Precision, Row, View
from hwmodels.workload.rewrite import fuse_attention
from hwmodels.workload.training import training_step
from hwmodels.workload.zoo import entry

__all__ = ["joined_pointwise", "timm_scores"]

_HALF = Precision(16, 16)
_DEVICES = {"rtx3090": "rtx_3090", "rtx4090": "rtx_4090", "4090": "rtx_4090", "5090": "rtx_5090",
            "rtxpro6000": "rtx_pro_6000"}  # fmt: skip
_FITTED_RUN = "infer-amp-nhwc-pt240-cu124-rtx3090"
_FIRST_FUSED = 200  # PyTorch 2.0 brought attention in one kernel to timm


class _Run(NamedTuple):
    """How a run executed its networks."""

    device: str
    layout: str
    is_training: bool
    is_compiled: bool
    fuses_attention: bool


Line = tuple[str, int, int, float]
"""Network, pixels, batch, items a second."""


def timm_scores(tables: ReferenceTables) -> list[Score]:
    """Every run on a GPU of the catalogue, the families of networks that no number was fitted on."""
    rows = tables.rows("gpu/timm_throughput.csv")
    if rows is None:
        return []
    lines: dict[str, list[Line]] = defaultdict(list)
    for row in rows:
        if float(row["samples_per_s"] or 0) > 0:
            line = (row["model"], int(row["img"]), int(float(row["batch"])), float(row["samples_per_s"]))
            lines[row[next(iter(row))]].append(line)
    fitted = _fitted_families(lines.get(_FITTED_RUN, []))
    found: list[Score] = []
    for name, told in lines.items():
        run = _run_of(name)
        if run is not None:
            found += _scored("timm_throughput", name, run, told, len(rows), fitted)
    return found + _columns(tables, fitted)


def _fitted_families(lines: Sequence[Line]) -> frozenset[str]:
    """Every second family, in the order of their names, of the run that numbers were fitted on."""
    run = _run_of(_FITTED_RUN)
    assert run is not None
    known = {_family(line[0]) for line in lines if _rows(line[0], line[1], line[2], run) is not None}
    return frozenset(sorted(known)[::2])


def _run_of(name: str) -> _Run | None:
    """A run by its name, as ``infer-amp-nhwc-pt240-cu124-rtx3090``; None where it is no GPU of the catalogue."""
    match = re.fullmatch(r"(infer|train)-amp-(nhwc|nchw)-pt(\d+)-cu\d+-(\w+?)(-dynamo)?", name)
    if match is None or match[4] not in _DEVICES:
        return None
    is_compiled = match[5] is not None
    layout = "nhwc" if is_compiled else match[2]  # inductor brings convolutions into channels last
    return _Run(_DEVICES[match[4]], layout, match[1] == "train", is_compiled, int(match[3]) >= _FIRST_FUSED)


def _columns(tables: ReferenceTables, fitted: frozenset[str]) -> list[Score]:
    """timm_infer: a column a GPU, as ``rtx4090_amp_nchw_pt291_img_s``."""
    rows = tables.rows("nas/timm_infer.csv.gz") or []
    found: list[Score] = []
    for column in rows[0] if rows else ():
        match = re.fullmatch(r"(\w+?)_amp_(nhwc|nchw)(?:_pt(\d+))?_img_s", column)
        if match is None or match[1] not in _DEVICES:
            continue
        batches = column.removesuffix("img_s") + "batch"
        told = [
            (row["model"], int(row["img"]), int(float(row[batches])), float(row[column]))
            for row in rows
            if float(row[column] or 0) > 0 and float(row[batches] or 0) > 0
        ]
        run = _Run(_DEVICES[match[1]], match[2], False, False, int(match[3] or 0) >= _FIRST_FUSED)
        found += _scored("timm_infer", column.removesuffix("_img_s"), run, told, len(rows), fitted)
    return found


def _scored(
    name: str, group: str, run: _Run, lines: Sequence[Line], rows_in_file: int, fitted: frozenset[str]
) -> list[Score]:
    """`fitted` : families that numbers were fitted on; they count in training alone."""
    runtime = "torch_compiled" if run.is_compiled else "torch_amp"
    spec = machine(run.device, runtime)
    if spec is None:
        return []
    skipped = Counter({"another run": rows_in_file - len(lines)})
    kept: list[Line] = []
    lists: list[tuple[Row, ...]] = []
    for line in lines:
        rows = _rows(line[0], line[1], line[2], run)
        if rows is None:
            skipped["not in the zoo"] += 1
        elif _family(line[0]) in fitted and not run.is_training:
            skipped["of a family that numbers were fitted on"] += 1
        else:
            kept.append(line)
            lists.append(rows)
    if len(kept) < 3:
        return []
    measured = np.array([batch / rate for _, _, batch, rate in kept])
    fitted_on = numbers_of(runtime)
    spec = spec.changed({"layout": run.layout})
    return frozen(Group(name, group, spec, count_networks(lists), measured, rows_in_file, skipped, fitted_on))


def _family(name: str) -> str:
    """The family of a network, as resnet of resnet50."""
    return re.sub(r"^(tf_|legacy_)", "", name).split("_")[0].rstrip("0123456789")


@cache
def _rows(name: str, pixels: int, batch: int, run: _Run) -> tuple[Row, ...] | None:
    """Rows of the zoo's network of that name as a run executes it, or None where it has none."""
    try:
        known = entry(name)
        shape = known.input_shape if known.input_shape[-1] == pixels else (3, pixels, pixels)
        workload = known.build(batch=batch, precision=_HALF, input_shape=shape)
    except SpecError:
        return None
    if run.fuses_attention:
        workload = fuse_attention(workload)
    if run.is_compiled:
        workload = joined_pointwise(workload)
    if run.is_training:
        workload = training_step(workload, "momentum").workload
    return tuple(row for _, row in workload.rows())


def joined_pointwise(workload: Workload) -> Workload:
    """Pointwise operators that one other pointwise operator alone reads are part of its pass: views without a row."""
    readers: dict[str, list[Node]] = defaultdict(list)
    for node in workload:
        for source in node.inputs:
            readers[source].append(node)

    def joins(node: Node) -> bool:
        following = readers[node.name]
        if len(following) != 1 or len(node.inputs) != 1 or node.name in workload.outputs:
            return False
        return _is_pointwise(node) and _is_pointwise(following[0]) and following[0].shape == node.shape

    nodes = (replace(node, operator=View(node.shape)) if joins(node) else node for node in workload)
    return Workload.of(workload.name, nodes, workload.outputs)


def _is_pointwise(node: Node) -> bool:
    operator = node.operator
    return isinstance(operator, Activation | Elementwise) or (isinstance(operator, Norm) and operator.mode == "batch")
