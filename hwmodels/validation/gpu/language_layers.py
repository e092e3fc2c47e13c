"""Layers of language models in float16: llm_layer_*, fitted on the A100 and held against A40 and H100.

Products of eight models by tensor parallelism and tokens, and the kernels beside them (normalisation, rotary positions,
activation, residual sums) of 10 us and more; the tables resolve 1 us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.units import GB, GHZ, MIB
from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.gpu.products import PRODUCT_CONSTANTS, VECTOR_CONSTANTS, gpu_spec, product_row
from hwmodels.validation.gpu.protocols import VIEW, Held, held_scores, predict
from hwmodels.validation.gpu.shared_fit import Case, case_of, fit_shared
from hwmodels.workload.formats import FLOATS, coded
from hwmodels.workload.ops import Kind, Row

__all__ = ["a100_constants", "language_scores"]

_MODELS = (
    "CodeLlama-34b-Instruct-hf", "Llama-2-70b-hf", "Llama-2-7b-hf", "Meta-Llama-3-70B", "Meta-Llama-3-8B", "Qwen-72B",
    "phi-2",
)  # fmt: skip
_FILES = tuple(f"gpu/llm_layer_{device}_{model}.csv" for device in ("a100", "a40", "h100") for model in _MODELS)
# Those that were measured; others are not asked for.
_ABSENT = {f"gpu/llm_layer_{name}.csv" for name in (
    "a40_Meta-Llama-3-70B", "a40_Meta-Llama-3-8B", "a40_Qwen-72B", "h100_CodeLlama-34b-Instruct-hf",
    "h100_Llama-2-70b-hf", "h100_Llama-2-7b-hf", "h100_Meta-Llama-3-70B", "h100_Meta-Llama-3-8B",
)}  # fmt: skip
_LEAST_VECTOR_MS = 0.010
_FEW_TOKENS = 32
_DRAWN = 1200

# NVIDIA A40 data sheet (84 multiprocessors, 1740 MHz, 149.7 TFLOP/s fp16 dense, 37.4 fp32, 696 GB/s, 300 W); GA102.
_A40 = {
    "sms": 84, "clock_hz": 1.74 * GHZ, "fp32_macs_per_cycle": 128.0, "fp16_macs_per_cycle": 128.0,
    "tensor_fp16_macs_per_cycle": 512.0, "tensor_bf16_macs_per_cycle": 512.0, "tensor_tf32_macs_per_cycle": 256.0,
    "tensor_int8_macs_per_cycle": 1024.0, "l2_bytes": 6 * MIB, "l2_partitions": 1, "l2_bytes_per_cycle": 2048.0,
    "dram_bytes_per_s": 696 * GB, "tdp_w": 300.0, "idle_w": 50.0, "shared_memory_bytes": 100 * 1024,
}  # fmt: skip


class _Line(NamedTuple):
    """One measured kernel of one device."""

    row: Row
    seconds: float
    tokens: int


def _specs() -> dict[str, GpuSpec]:
    a100 = gpu_spec("a100_80_sxm")
    return {"a100": a100, "a40": a100.changed(_A40), "h100": gpu_spec("h100_sxm")}


def _shapes(line: Mapping[str, str]) -> dict[str, tuple[int, int, int]]:
    """(tokens, outputs, inputs) of the products of a line, on one of its GPUs."""
    tokens, parts = int(float(line["num_tokens"])), int(line["num_tensor_parallel_workers"])
    heads, key_heads = int(line["n_head"]), int(line["n_kv_head"])
    width, hidden = int(line["n_embd"]), int(line["n_expanded_embd"]) // parts
    head = width // heads
    gated = 2 if line["use_gated_mlp"] == "True" else 1
    return {
        "attn_pre_proj_ms": (tokens, (heads // parts + 2 * max(key_heads // parts, 1)) * head, width),
        "attn_post_proj_ms": (tokens, width, heads // parts * head),
        "mlp_up_proj_ms": (tokens, gated * hidden, width),
        "mlp_down_proj_ms": (tokens, width, hidden),
    }


def _streams(line: Mapping[str, str]) -> dict[str, tuple[Kind, int, int, int]]:
    """(kind, elements read, written, operations) of the kernels beside the products."""
    shapes = _shapes(line)
    tokens, width = shapes["mlp_down_proj_ms"][:2]
    hidden = tokens * shapes["mlp_up_proj_ms"][1]
    turned = tokens * (shapes["attn_pre_proj_ms"][1] + shapes["attn_post_proj_ms"][2]) // 2
    kept = hidden // 2 if line["use_gated_mlp"] == "True" else hidden
    size = tokens * width
    return {
        "input_layernorm_ms": (Kind.NORM, size, size, 7 * size),
        "attn_rope_ms": (Kind.ELEMENTWISE, turned, turned, 3 * turned),
        "mlp_act_ms": (Kind.ACTIVATION, hidden, kept, 4 * hidden),
        "add_ms": (Kind.ELEMENTWISE, 2 * size, size, size),
    }


def _lines(tables: ReferenceTables) -> tuple[dict[str, list[_Line]], dict[str, list[_Line]], int]:
    """(products, other kernels of 10 us and more) by device, and how many lines all files have."""
    products: dict[str, list[_Line]] = {}
    streams: dict[str, list[_Line]] = {}
    count = 0
    bits, code = coded(FLOATS["fp16"])
    for file in _FILES:
        for line in (tables.rows(file) or []) if file not in _ABSENT else []:
            count += 1
            for name, (m, n, k) in _shapes(line).items():
                if float(line.get(name) or 0) > 0:
                    row = product_row(m, n, k, "fp16")
                    products.setdefault(line["device"], []).append(_Line(row, float(line[name]) * 1e-3, m))
            for name, (kind, read, written, operations) in _streams(line).items():
                if float(line.get(name) or 0) >= _LEAST_VECTOR_MS:
                    row = Row(
                        kind=kind, vector_ops=operations, input_elements=read, output_elements=written,
                        weight_bits=bits, activation_bits=bits, weight_format=code, activation_format=code,
                    )  # fmt: skip
                    streams.setdefault(line["device"], []).append(_Line(row, float(line[name]) * 1e-3, 0))
    return products, streams, count


def _case(name: str, spec: GpuSpec, lines: Sequence[_Line]) -> Case:
    return case_of(name, spec, [[line.row] for line in lines], [line.seconds for line in lines])


def _fits(
    products: Mapping[str, Sequence[_Line]], streams: Mapping[str, Sequence[_Line]], count: int
) -> dict[str, dict[str, float]]:
    """Constants of products, and of the kernels beside them, by `count` rows of the A100 each."""
    spec = _specs()["a100"]
    return {
        what: fit_shared([_case("a100", spec, lines["a100"]).drawn(0, count)], names)
        for what, lines, names in (("products", products, PRODUCT_CONSTANTS), ("others", streams, VECTOR_CONSTANTS))
    }


def a100_constants(tables: ReferenceTables, *, count: int = _DRAWN) -> dict[str, float] | None:
    """Constants of one GPU that its layers of language models alone give; None where the tables are absent.

    Of constants that products share with other kernels, those of products. count : rows of each kind, drawn.
    """
    products, streams, _ = _lines(tables)
    if "a100" not in products:
        return None
    fits = _fits(products, streams, count)
    return {**fits["others"], **fits["products"]}


def language_scores(tables: ReferenceTables) -> list[Score]:
    """A40 and H100 by constants of the A100: products, those of at most 32 tokens, and the kernels beside them."""
    products, streams, count = _lines(tables)
    if not {"a100", "a40", "h100"} <= set(products):
        return []
    specs, found = _specs(), []
    fits = _fits(products, streams, _DRAWN)
    for device in ("a40", "h100"):
        whole = _case(device, specs[device], products[device])
        few = np.array([line.tokens <= _FEW_TOKENS for line in products[device]])
        beside = _case(device, specs[device], streams[device])
        for group, case, what in (
            (f"{device}, products", whole, "products"),
            (f"{device}, products of at most {_FEW_TOKENS} tokens", whole.take(np.flatnonzero(few)), "products"),
            (f"{device}, other kernels from 10 us", beside, "others"),
        ):
            held = Held(case, predict(case, fits[what]), f"{_DRAWN} rows of a100; {VIEW}")
            found += held_scores("llm_layer", group, "frozen", [held], count, {})
    return found
