"""Mixtures of experts: moe_kernels, Triton's kernels in bf16 and in fp8 by blocks, one GPU left out.

A measurement is a layer of experts on one of `moe_tp_size` x `moe_ep_size` GPUs with balanced routing, T tokens of
which each goes to K of E experts: A = T K rows over min(E / ep, A / ep) experts that are used here::

    gate and up    rows an expert x (2 I / tp, I of networks without a gate) x H       down    rows x H x I / tp
    activation, weighted sum over the K experts, and three small kernels that sort tokens by expert

Triton's kernels write zeros for rows of experts that lie on other GPUs (vLLM, fused_moe.py, write_zeros_to_output). The
weights of both products are found again by the next call where they fit: 1.5 and 3 times their own size apart.
FlashInfer's kernels have other rules and are left out by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np

from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.gpu.products import gpu_spec, product_row
from hwmodels.validation.gpu.protocols import Held, few_shot, held_scores, leave_out, predict
from hwmodels.validation.gpu.shared_fit import Case, Constants, part_of
from hwmodels.workload.formats import FLOATS, coded
from hwmodels.workload.ops import Kind, Row

__all__ = ["CONSTANTS", "expert_cases", "expert_scores"]

CONSTANTS = (
    "expert_mac_efficiency", "expert_latency_cycles_per_k", "expert_overhead_cycles", "expert_dram_efficiency",
    "expert_l2_efficiency", "expert_launch_ratio", "stream_launch_ratio", "stream_efficiency",
)  # fmt: skip
_SYSTEMS = ("h100_sxm", "l40s")
_FORMATS = {"bfloat16": "bf16", "fp8_block": "fp8"}
_SCALED_BLOCKS = {"bfloat16": 0, "fp8_block": 128}
"""Steps of k with a scale of their own (vLLM, fused_moe.py: block_shape [128, 128])."""

_WITHOUT_GATE = {(2688, 1856), (1024, 5120)}
"""(hidden, intermediate) sizes of networks whose experts have squared ReLUs and no gate: NVIDIA's Nemotron 3 models."""
_SMALL_KERNELS = 3
_BITS, _CODE = coded(FLOATS["bf16"])


def _stream(inputs: int, outputs: int, operations: int) -> Row:
    """An elementwise kernel in bf16."""
    return Row(
        kind=Kind.ELEMENTWISE, vector_ops=operations, input_elements=inputs, output_elements=outputs,
        weight_bits=_BITS, activation_bits=_BITS, weight_format=_CODE, activation_format=_CODE,
    )  # fmt: skip


def _rows_of(row: Mapping[str, str], number_format: str) -> tuple[list[Row], list[Row]]:
    """(all kernels but the second product, the second product) of one measurement."""
    names = (
        "num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size",
    )  # fmt: skip
    tokens, hidden, inner, chosen, experts, tp, ep = (int(row[name]) for name in names)
    routed, inner_here = tokens * chosen, max(inner // tp, 1)
    gated = 1 if (hidden, inner) in _WITHOUT_GATE else 2
    used = max(1, min(experts // ep, routed // ep))
    each = ceil(routed / experts)
    first = product_row(each, gated * inner_here, hidden, number_format, groups=used)
    second = product_row(each, hidden, inner_here, number_format, groups=used)
    zeros = int(routed * (1 - 1 / ep) * (gated * inner_here + hidden))
    beside = [
        _stream(gated * inner_here * routed, inner_here * routed, 4 * inner_here * routed),
        _stream(routed * hidden, tokens * hidden + zeros, routed * hidden),
        *[_stream(routed, routed, routed)] * _SMALL_KERNELS,
    ]
    if number_format == "fp8":  # both products quantise their input, to half of its bytes
        beside += [_stream(size, size // 2, size) for size in (tokens * hidden, routed * inner_here)]
    return [first, *beside], [second]


def expert_cases(rows: Sequence[Mapping[str, str]], dtype: str) -> list[Case]:
    """Triton's rows of one format by GPU."""
    found = []
    for system in _SYSTEMS:
        some = [
            row
            for row in rows
            if row["system"] == system and row["moe_dtype"] == dtype and "triton_triton" in row["kernel_source"]
        ]
        split = [_rows_of(row, _FORMATS[dtype]) for row in some]
        spec = gpu_spec(system).changed({"scaled_block_k": _SCALED_BLOCKS[dtype]})
        parts = (
            part_of(spec.changed({"weight_copies": 1.5}), [first for first, _ in split]),
            part_of(spec.changed({"weight_copies": 3.0}), [second for _, second in split]),
        )
        found.append(Case(system, parts, np.array([float(row["vllm_ms"]) * 1e-3 for row in some])))
    return found


def expert_scores(tables: ReferenceTables, base: Mapping[str, Constants]) -> list[Score]:
    """Both formats by the constants that the other GPU's bf16 rows give, and after thirty kernels of the own.

    base : of products of the other GPUs, by GPU left out.
    """
    rows = tables.rows("gpu/moe_kernels.csv.gz")
    if rows is None:
        return []
    by_format = {dtype: expert_cases(rows, dtype) for dtype in _FORMATS}
    left = leave_out(by_format["bfloat16"], CONSTANTS, base=base)
    found = []
    for dtype, cases in by_format.items():
        skipped = {"another format or kernel": len(rows) - sum(case.measured.size for case in cases)}
        for case in cases:
            held, constants = left[case.name]
            told = held.fitted_on if dtype == "bfloat16" else f"bf16: {held.fitted_on}"
            protocols = {
                "leave-one-out": [Held(case, predict(case, constants), told)],
                "few-shot-30": few_shot(case, constants, CONSTANTS),
            }
            for protocol, some in protocols.items():
                found += held_scores("moe_kernels", f"{case.name}, {dtype}", protocol, some, len(rows), skipped)
    return found
