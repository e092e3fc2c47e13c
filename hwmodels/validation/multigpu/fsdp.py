"""MPT training under FSDP, 125 M to 70 B parameters: llmfoundry_fsdp_training, fitted on A100 40 GB.

A step is the sum of five parts of the model, each with a factor of the framework (torch in eager mode, Triton's
attention, gathers that hide in part)::

    step = a products + b attention + b' attention of narrow heads + c other kernels + d collectives

products, attention and others are kernels of the `gpu` family with FlashAttention-2's rules; collectives are the
gathers of every layer's weights before each pass and the scatter of its gradients, for each microbatch. The factors
are fitted on A100 40 GB and predict A100 80 GB and H100; with six runs of H100 they become its own. fp8 apart. Errors
in points of the table's utilisation (MFU), beside the mean of the rows' own group and the mean of A100 40 GB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.multigpu.decoder import (
    BACKWARD_ATTENTION,
    Decoder,
    Share,
    backward_rows,
    forward_rows,
    head_rows,
    kernels_s,
    parameters,
)
from hwmodels.families.multigpu.fabric import fabric_of, group_s
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.validation.multigpu.training import nodes_of
from hwmodels.workload.ops import Kind, Row

__all__ = ["Runs", "fit_factors", "fsdp_scores", "parts_of", "steps_s"]

F64 = npt.NDArray[np.float64]

_SIZES = {
    "125m": (12, 768, 12), "350m": (24, 1024, 16), "760m": (24, 1536, 12), "1b": (24, 2048, 16), "3b": (32, 2560, 20),
    "7b": (32, 4096, 32), "13b": (40, 5120, 40), "30b": (48, 7168, 56), "70b": (80, 8192, 64),
}  # fmt: skip
"""Model -> layers, width, heads. Source: llm-foundry's training configurations mpt-*.yaml; parameter counts agree."""
_VOCABULARY = 50_368
_NODES = {"a100_40gb": "dgx_a100_40", "a100_80gb": "dgx_a100", "h100_80gb": "dgx_h100"}
_NARROW = 64
"""Features of a head up to which Triton's attention has tiles, and so a rate, of its own."""
_LOW, _HIGH = np.array([1.0, 1.0, 1.0, 1.0, 0.0]), np.array([1.5, 3.0, 3.0, 4.0, 1.0])
"""ASSUMED ranges of the factors: kernels of an eager framework are no faster than the model's, and collectives are at
most not hidden at all."""
_SPREAD = 0.05  # ASSUMED: relative, of a run around the model; plausible 0.02 to 0.1
_SHOTS, _DRAWS = 6, 5


class Runs(NamedTuple):
    """Runs of one kind. parts : (N, 5) seconds. measured_s, utilisation : (N,), the latter in percent."""

    parts: F64
    measured_s: F64
    utilisation: F64

    def take(self, which: npt.NDArray[np.int64]) -> Runs:
        """Some of them."""
        return Runs(self.parts[which], self.measured_s[which], self.utilisation[which])


def parts_of(row: Mapping[str, str]) -> tuple[list[float], float, float]:
    """(products, wide and narrow attention, others, collectives) in s, the measured step in s, the utilisation."""
    layers, hidden, heads = _SIZES[row["Model"]]
    tokens, gpus = int(row["SeqLen (T)"]), int(row["# GPUs"])
    is_fp8 = "fp8" in row["Precision"]
    model = Decoder(
        layers, hidden, heads, 4 * hidden, _VOCABULARY, positions=tokens, dropout=False, fused_attention=True,
        weight_format="bf16", product_format="fp8" if is_fp8 else "bf16",
    )  # fmt: skip
    spec = nodes_of(_NODES[row["GPU"]], gpus)
    microbatch, batch = int(row["MicroBatchSize"]), int(row["GlobalBatchSize"])
    count = batch / (gpus * microbatch)
    forwards = 2.0 if row["Activation Checkpointing"] == "True" else 1.0
    kernels = _kernels(model, Share(microbatch, tokens), spec.gpu.changed({"attention_kernels": "flash2"}), forwards)
    fabric, stored = fabric_of(spec), parameters(model)["layer"]
    gradient = 2.0 if row["MP Mode"] == "PURE" else 4.0
    gathered = float(group_s(fabric, "all_gather", 2.0 * stored, gpus))
    scattered = float(group_s(fabric, "reduce_scatter", gradient * stored, gpus))
    gathers = 1.0 if row["Sharding Strategy"] == "SHARD_GRAD_OP" else 2.0
    wires = layers * (gathers * gathered + scattered)
    measured_s = batch * tokens / gpus / float(row["Throughput (T/s/GPU)"])
    products, attention, others = kernels
    split = (0.0, attention) if model.head <= _NARROW else (attention, 0.0)
    return [count * part for part in (products, *split, others, wires)], measured_s, float(row["MFU"])


def _kernels(model: Decoder, share: Share, spec: GpuSpec, forwards: float) -> tuple[float, float, float]:
    """(products, attention, others) of one microbatch."""
    forward, backward = forward_rows(model, share), backward_rows(model, share)
    ends = [row for rows in head_rows(model, share) for row in rows]

    def split(rows: Sequence[Row]) -> list[list[Row]]:
        fused = [row for row in rows if row.kind == Kind.ATTENTION]
        products = [row for row in rows if row.kind == Kind.LINEAR]
        return [products, fused, [row for row in rows if row.kind not in (Kind.ATTENTION, Kind.LINEAR)]]

    lists = [some for rows in (forward, backward, ends) for some in split(rows)]
    ahead, back, last = np.array(kernels_s(spec, lists)).reshape(3, 3)
    n = model.layers
    return (
        float(n * (forwards * ahead[0] + back[0]) + last[0]),
        float(n * ahead[1] * (forwards + BACKWARD_ATTENTION)),
        float(n * (forwards * ahead[2] + back[2]) + last[2]),
    )


def steps_s(runs: Runs, factors: F64) -> F64:
    """Seconds of a step, (N,)."""
    found: F64 = runs.parts @ factors
    return found


def fit_factors(runs: Runs, *, centre: F64 | None = None, weight: float = 0.0) -> F64:
    """The five factors that suit some runs best; drawn to `centre` with `weight` where there are few."""
    from scipy.optimize import least_squares

    middle = (_LOW + _HIGH) / 2.0 if centre is None else centre

    def residuals(factors: F64) -> F64:
        error = np.log(steps_s(runs, factors) / runs.measured_s) / _SPREAD
        return np.concatenate([error, np.sqrt(weight) * (factors - middle) / (_HIGH - _LOW)])

    start = np.clip(middle, _LOW + 1e-6, _HIGH - 1e-6)
    factors: F64 = least_squares(residuals, start, bounds=(_LOW, _HIGH), loss="soft_l1").x
    return factors


def fsdp_scores(tables: ReferenceTables) -> list[Score]:
    """A100 80 GB, H100 in bf16 and in fp8 by factors of A100 40 GB, and H100 by six of its runs."""
    rows = tables.rows("gpu/llmfoundry_fsdp_training.csv")
    if rows is None:
        return []
    groups: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        if row["GPU"] not in _NODES or row["Model"] not in _SIZES:
            continue
        groups.setdefault(row["GPU"] + (" fp8" if "fp8" in row["Precision"] else ""), []).append(row)
    if "a100_40gb" not in groups:
        return []
    runs = {name: _runs(some) for name, some in groups.items()}
    seen = runs["a100_40gb"]
    factors = fit_factors(seen)
    usual = float(seen.utilisation.mean())
    told = f"{seen.measured_s.size} runs of a100_40gb"
    found = [
        _score(name, "frozen", [runs[name]], [factors], usual, len(rows), told)
        for name in ("a100_80gb", "h100_80gb", "h100_80gb fp8")
        if name in runs
    ]
    if "h100_80gb" not in runs:
        return found
    own = runs["h100_80gb"]
    drawn = [np.random.default_rng([_SHOTS, draw]).permutation(own.measured_s.size) for draw in range(_DRAWS)]
    fits = [fit_factors(own.take(order[:_SHOTS]), centre=factors, weight=1.0) for order in drawn]
    hidden = [own.take(order[_SHOTS:]) for order in drawn]
    few = f"{_SHOTS} runs of the group, mean of {_DRAWS} draws; before, {told}"
    return [*found, _score("h100_80gb", f"few-shot-{_SHOTS}", hidden, fits, usual, len(rows), few)]


def _runs(rows: Sequence[Mapping[str, str]]) -> Runs:
    parts, measured, utilisation = zip(*(parts_of(row) for row in rows), strict=True)
    return Runs(np.array(parts), np.array(measured), np.array(utilisation))


def _score(
    group: str, protocol: str, runs: Sequence[Runs], factors: Sequence[F64], usual: float, rows_in_file: int, told: str
) -> Score:
    """Points of utilisation: that of the table times measured over predicted time; means over draws."""
    errors, own, others = [], [], []
    for some, found in zip(runs, factors, strict=True):
        predicted = some.utilisation * some.measured_s / steps_s(some, found)
        errors.append(score("mean_absolute_error", predicted, some.utilisation))
        own.append(score("mean_absolute_error", np.full(predicted.size, some.utilisation.mean()), some.utilisation))
        others.append(score("mean_absolute_error", np.full(predicted.size, usual), some.utilisation))
    return Score(
        family="multigpu", set="llmfoundry_fsdp_training", group=group, protocol=protocol,
        rows=runs[0].measured_s.size, rows_in_file=rows_in_file, metric="mean_absolute_error",
        value=float(np.mean(errors)), fitted_on=told,
        baseline={"mean of the group": float(np.mean(own)), "mean of a100_40gb": float(np.mean(others))},
    )  # fmt: skip
