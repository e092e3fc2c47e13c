"""Attention of prompts and of single tokens: attention_prefill_kernels and attention_decode_kernels, bf16, by GPU.

A measurement is the kernel that writes keys and values to the cache and attention itself, of FlashAttention-2 (A100,
L40S) and -3 (H100), repeated on the same tensors. Keys in fp8 and FlashAttention-4 are kernels of their own and are
left out by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.gpu.products import DEVICES, gpu_spec
from hwmodels.validation.gpu.protocols import few_shot, held_scores, leave_out, mean_scores
from hwmodels.validation.gpu.shared_fit import Case, Constants, case_of
from hwmodels.workload.formats import FLOATS, coded
from hwmodels.workload.ops import Kind, Row

__all__ = ["CONSTANTS", "attention_cases", "attention_row", "attention_scores"]

Phase = Literal["prefill", "decode"]

_SHARED = (
    "launch_s", "launch_cycles", "attention_launch_ratio", "stream_launch_ratio", "attention_dram_efficiency",
    "attention_l2_efficiency", "attention_mac_efficiency",
)  # fmt: skip
CONSTANTS: Mapping[Phase, tuple[str, ...]] = {
    "prefill": (
        *_SHARED, "attention_softmax_cost", "attention_overhead_cycles", "attention_tail", "attention_overlap_norm",
    ),
    "decode": (
        *_SHARED, "decode_block_cycles", "decode_overhead_cycles", "decode_part_cycles", "decode_combine_s",
        "decode_copy_ratio", "decode_overlap_norm", "residency",
    ),
}  # fmt: skip

_BITS, _CODE = coded(FLOATS["bf16"])


def attention_row(
    batch: int, query_heads: int, key_heads: int, width: int, *, tokens: int, keys: int, window: int = 0
) -> Row:
    """Causal attention in one kernel, heads of queries that share keys one below the other."""
    shared, groups = query_heads // key_heads, batch * key_heads
    m, k = shared * tokens, 2 * width
    return Row(
        kind=Kind.ATTENTION, batch=batch, groups=groups, in_channels=width * groups, out_channels=width * groups,
        in_h=m, out_h=m, m=m, n=keys, k=k, macs=groups * m * keys * k, vector_ops=5 * groups * m * keys,
        weight_elements=groups * keys * k, input_elements=groups * m * width, output_elements=groups * m * width,
        weight_bits=_BITS, activation_bits=_BITS, weight_format=_CODE, activation_format=_CODE, dynamic_operand=1,
        query_heads=shared, causal=1, window=window,
    )  # fmt: skip


def _rows_of(row: Mapping[str, str], phase: Phase) -> list[Row]:
    names = ("batch_size", "num_heads", "num_key_value_heads", "head_dim", "isl", "step", "window_size")
    batch, heads, key_heads, width, prompt, step, window = (int(row[name]) for name in names)
    tokens, keys = (prompt, prompt) if phase == "prefill" else (1, step + 1)
    written = 2 * batch * key_heads * width * tokens
    cache = Row(
        kind=Kind.CACHE, batch=batch, input_elements=written, output_elements=written, weight_bits=_BITS,
        activation_bits=_BITS, weight_format=_CODE, activation_format=_CODE,
    )  # fmt: skip
    attention = attention_row(batch, heads, key_heads, width, tokens=tokens, keys=keys, window=window)
    return [cache, attention]


def attention_cases(rows: Sequence[Mapping[str, str]], phase: Phase) -> list[Case]:
    """The rows in bf16 under FlashAttention-2 and -3, by GPU."""
    found = []
    for system, name in DEVICES.items():
        some = [
            row
            for row in rows
            if row["system"] == system and row["kv_cache_dtype"] == "bfloat16" and "fa4" not in row["kernel_source"]
        ]
        layers = [_rows_of(row, phase) for row in some]
        found.append(case_of(system, gpu_spec(name), layers, [float(row["vllm_ms"]) * 1e-3 for row in some]))
    return found


def attention_scores(tables: ReferenceTables, base: Mapping[str, Constants]) -> list[Score]:
    """Both phases: one GPU left out, and thirty kernels of it seen. base : of the others' products, by GPU left out."""
    found: list[Score] = []
    phases: tuple[Phase, ...] = ("prefill", "decode")
    for phase in phases:
        rows = tables.rows(f"gpu/attention_{phase}_kernels.csv.gz")
        if rows is None:
            continue
        cases, name = attention_cases(rows, phase), f"attention_{phase}_kernels"
        skipped = {"fp8 keys or FlashAttention-4": len(rows) - sum(case.measured.size for case in cases)}
        left = leave_out(cases, CONSTANTS[phase], law=True, base=base)
        protocols: dict[str, list[Score]] = {"leave-one-out": [], "few-shot-30": []}
        for case in cases:
            held, constants = left[case.name]
            shots = few_shot(case, constants, CONSTANTS[phase])
            for protocol, some in zip(protocols, ([held], shots), strict=True):
                protocols[protocol] += held_scores(name, case.name, protocol, some, len(rows), skipped)
        found += [one for some in protocols.values() for one in (*some, *mean_scores(some, "mean of devices"))]
    return found
