"""Matrix products: gemm_tensor_kernels in bf16 and fp8, gemm_fp32_kernels, and vector_fp32_kernels beside them.

gemm_tensor_kernels was measured in one recorded graph that takes turns with six copies of the weights (aiconfigurator,
collector/vllm/collect_gemm.py): weights are six times their size apart, inputs and outputs are found again. The bf16
products are cuBLAS's, the fp8 ones CUTLASS's with vLLM's rule of tiles and a kernel that quantises. The fp32 tables
repeat one layer (NeuSight).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwmodels.catalog import device
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.units import GB
from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.gpu.protocols import Held, few_shot, held_scores, leave_out, mean_scores, predict
from hwmodels.validation.gpu.shared_fit import Case, case_of, with_constants
from hwmodels.workload.formats import FLOATS, coded
from hwmodels.workload.ops import Kind, Row

__all__ = [
    "DEVICES",
    "FP32_GROUPS",
    "PRODUCT_CONSTANTS",
    "VECTOR_CONSTANTS",
    "bf16_cases",
    "bf16_left_out",
    "fp8_cases",
    "fp32_cases",
    "fp32_scores",
    "gpu_spec",
    "product_row",
    "tensor_scores",
    "vector_cases",
    "vector_scores",
]

DEVICES = {"a100_sxm": "a100_80_sxm", "h100_sxm": "h100_sxm", "l40s": "l40s"}
"""System of the tables -> device of the catalogue."""

PRODUCT_CONSTANTS = (
    "mac_efficiency", "feed_bytes_per_mac", "latency_cycles_per_k", "tile_overhead_cycles",
    "epilogue_elements_per_cycle", "tail_share", "launch_s", "launch_cycles", "split_s", "dram_efficiency",
    "residency", "overlap_norm",
)  # fmt: skip
_SHOT_CONSTANTS = (*PRODUCT_CONSTANTS, "l2_efficiency")
_FP32_CONSTANTS = (
    "vector_mac_efficiency", "vector_feed_bytes_per_mac", "vector_latency_cycles_per_k", "vector_tile_overhead_cycles",
    "epilogue_elements_per_cycle", "tail_share", "launch_s", "launch_cycles", "split_s", "dram_efficiency",
    "residency", "overlap_norm", "l2_efficiency",
)  # fmt: skip
VECTOR_CONSTANTS = (
    "stream_efficiency", "reduction_efficiency", "vector_efficiency", "launch_s", "launch_cycles", "residency",
    "l2_efficiency", "overlap_norm",
)  # fmt: skip

_COPIES = 6.0  # of a layer's weights that the loop takes turns with
_QUANTISE_ROW_CYCLES = 1300.0
"""ASSUMED: cycles a row of the kernel before an fp8 product; self-fits give 1100 to 1800 on both GPUs."""
_RULES = {"h100_sxm": "vllm_fp8_sm90", "l40s": "vllm_fp8_sm89"}

_EQUAL_FACTS = {
    "l2_partitions": 1, "l2_bytes_per_cycle": 5120.0, "l2_multicast": 1.0, "persistent_kernels": False,
}  # fmt: skip
"""A run with the facts that no data sheet's headline has set equal on all devices says what those facts are worth."""

# Facts of cards that differ from a catalogue device: NVIDIA's data sheets; sitar-lab/NeuSight device_configs.
_CARDS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "NVIDIA A100 80GB PCIe": ("a100_80_sxm", {"dram_bytes_per_s": 1935 * GB, "tdp_w": 300.0}),
    "NVIDIA A100-PCIE-40GB": ("a100_80_sxm", {"dram_bytes_per_s": 1555 * GB, "tdp_w": 250.0}),
    "Tesla V100-PCIE-32GB": ("v100_pcie", {}),
    "Tesla T4": ("t4", {}),
    "Tesla P4": ("p4", {}),
}
FP32_GROUPS = (
    ("NVIDIA A100 80GB PCIe", "NVIDIA A100-PCIE-40GB"),
    ("Tesla V100-PCIE-32GB",),
    ("Tesla T4",),
    ("Tesla P4",),
)
"""Devices that are left out together."""

# Elementary operations an element. ASSUMED: a division, power or hyperbolic function is some ten; softmax and layer
# normalisation pass over their row several times.
_VECTOR_OPS = {"softmax": 5, "ln": 7, "gelu": 10, "tanh": 8, "pow": 10, "powu": 10}
_VECTOR_KINDS = {"softmax": Kind.SOFTMAX, "ln": Kind.NORM, "relu": Kind.ACTIVATION, "gelu": Kind.ACTIVATION,
                 "tanh": Kind.ACTIVATION}  # fmt: skip
_TWO_OPERANDS = ("add", "mul", "div", "pow")


def gpu_spec(name: str) -> GpuSpec:
    """The spec of a catalogue device in a loop that repeats one layer."""
    spec = device(name).spec
    assert isinstance(spec, GpuSpec)
    return spec.changed({"context": "hot"})


def product_row(m: int, n: int, k: int, number_format: str, *, groups: int = 1, dynamic: bool = False) -> Row:
    """(m x k) times (k x n), `groups` of them."""
    bits, code = coded(FLOATS[number_format])
    return Row(
        kind=Kind.MATMUL if dynamic else Kind.LINEAR, groups=groups, in_channels=k * groups, out_channels=n * groups,
        in_h=m, out_h=m, m=m, n=n, k=k, macs=groups * m * n * k, weight_elements=groups * n * k,
        input_elements=groups * m * k, output_elements=groups * m * n, weight_bits=bits, activation_bits=bits,
        weight_format=code, activation_format=code, dynamic_operand=int(dynamic),
    )  # fmt: skip


def _tensor_case(rows: Sequence[Mapping[str, str]], system: str, dtype: str, spec: GpuSpec) -> Case:
    some = [row for row in rows if row["system"] == system and row["gemm_dtype"] == dtype and row["vllm_ms"]]
    name = {"bfloat16": "bf16", "fp8": "fp8"}[dtype]
    layers = [[product_row(int(row["m"]), int(row["n"]), int(row["k"]), name)] for row in some]
    return case_of(system, spec, layers, [float(row["vllm_ms"]) * 1e-3 for row in some])


def bf16_cases(rows: Sequence[Mapping[str, str]]) -> list[Case]:
    """The bf16 products of three GPUs."""
    return [
        _tensor_case(rows, system, "bfloat16", gpu_spec(name).changed({"weight_copies": _COPIES}))
        for system, name in DEVICES.items()
    ]


def fp8_cases(rows: Sequence[Mapping[str, str]]) -> list[Case]:
    """The fp8 products of two GPUs, by vLLM's rules."""
    knobs = {"weight_copies": _COPIES, "quantise_row_cycles": _QUANTISE_ROW_CYCLES}
    return [
        _tensor_case(rows, system, "fp8", gpu_spec(DEVICES[system]).changed({**knobs, "product_kernels": rule}))
        for system, rule in _RULES.items()
    ]


def bf16_left_out(tables: ReferenceTables) -> dict[str, tuple[Held, dict[str, float]]]:
    """Predictions of the bf16 products of each GPU and the constants behind them, fitted on the other two."""
    rows = tables.rows("gpu/gemm_tensor_kernels.csv.gz")
    return leave_out(bf16_cases(rows), PRODUCT_CONSTANTS, law=True) if rows else {}


def tensor_scores(tables: ReferenceTables, left: Mapping[str, tuple[Held, dict[str, float]]]) -> list[Score]:
    """gemm_tensor_kernels: one GPU left out, thirty kernels seen, facts set equal; then fp8 by the bf16 constants.

    left : of `bf16_left_out`.
    """
    rows = tables.rows("gpu/gemm_tensor_kernels.csv.gz")
    if rows is None:
        return []
    cases = bf16_cases(rows)
    kept = sum(case.measured.size for case in cases)
    skipped, name = {"another format": len(rows) - kept}, "gemm_tensor_kernels"
    protocols: dict[str, list[Score]] = {"leave-one-out": [], "few-shot-30": [], "leave-one-out, facts equal": []}
    equal = leave_out([with_constants(case, _EQUAL_FACTS) for case in cases], PRODUCT_CONSTANTS)
    for case in cases:
        held, constants = left[case.name]
        shots = few_shot(case, constants, _SHOT_CONSTANTS)
        for protocol, some in zip(protocols, ([held], shots, [equal[case.name][0]]), strict=True):
            protocols[protocol] += held_scores(name, f"{case.name}, bf16", protocol, some, len(rows), skipped)
    found = [one for some in protocols.values() for one in (*some, *mean_scores(some, "mean of devices, bf16"))]
    return found + _fp8_scores(rows, {system: constants for system, (_, constants) in left.items()})


def _fp8_scores(rows: Sequence[Mapping[str, str]], constants: Mapping[str, Mapping[str, float]]) -> list[Score]:
    """fp8 by the constants that the bf16 products of the other two GPUs give."""
    cases = fp8_cases(rows)
    skipped = {"another format": len(rows) - sum(case.measured.size for case in cases)}
    found = []
    for case in cases:
        own = constants[case.name]
        told = "bf16 rows of the other GPUs; quantise_row_cycles 1300 in view of both; vLLM's rules of tiles"
        protocols = {
            "leave-one-out": [Held(case, predict(case, own), told)],
            "few-shot-30": few_shot(case, own, _SHOT_CONSTANTS),
        }
        for protocol, held in protocols.items():
            found += held_scores("gemm_tensor_kernels", f"{case.name}, fp8", protocol, held, len(rows), skipped)
    return found


def fp32_cases(rows: Sequence[Mapping[str, str]]) -> list[Case]:
    """Linear and batched products in float32 on five cards."""
    found = []
    for card in _CARDS:
        some = [row for row in rows if row["device"] == card]
        layers = [
            [
                product_row(
                    int(row["M"]), int(row["N"]), int(row["K"]), "fp32", groups=int(row["batch"]),
                    dynamic=row["op"] == "bmm",
                )
            ]
            for row in some
        ]  # fmt: skip
        found.append(case_of(card, _card(card), layers, [float(row["latency_ms_fp32"]) * 1e-3 for row in some]))
    return found


def _card(name: str) -> GpuSpec:
    like, facts = _CARDS[name]
    return gpu_spec(like).changed(facts)


def fp32_scores(tables: ReferenceTables) -> list[Score]:
    """gemm_fp32_kernels: each generation left out."""
    rows = tables.rows("gpu/gemm_fp32_kernels.csv")
    return _left_out("gemm_fp32_kernels", rows, fp32_cases(rows), _FP32_CONSTANTS) if rows else []


def vector_cases(rows: Sequence[Mapping[str, str]]) -> list[Case]:
    """Elementwise kernels, softmax and layer normalisation in float32."""
    found = []
    for card in _CARDS:
        some = [row for row in rows if row["device"] == card]
        layers = [[_vector_row(row["op"], int(row["rows"]) * int(row["hidden"]))] for row in some]
        found.append(case_of(card, _card(card), layers, [float(row["latency_ms_fp32"]) * 1e-3 for row in some]))
    return found


def _vector_row(op: str, elements: int) -> Row:
    return Row(
        kind=_VECTOR_KINDS.get(op, Kind.ELEMENTWISE), vector_ops=elements * _VECTOR_OPS.get(op, 1),
        input_elements=elements * (2 if op in _TWO_OPERANDS else 1), output_elements=elements, weight_bits=32,
        activation_bits=32,
    )  # fmt: skip


def vector_scores(tables: ReferenceTables) -> list[Score]:
    """vector_fp32_kernels: each generation left out."""
    rows = tables.rows("gpu/vector_fp32_kernels.csv")
    return _left_out("vector_fp32_kernels", rows, vector_cases(rows), VECTOR_CONSTANTS) if rows else []


def _left_out(
    name: str, rows: Sequence[Mapping[str, str]], cases: Sequence[Case], constants: Sequence[str]
) -> list[Score]:
    left = leave_out(cases, constants, groups=FP32_GROUPS)
    skipped = {"another device": len(rows) - sum(case.measured.size for case in cases)}
    found = [
        one
        for case in cases
        for one in held_scores(name, case.name, "leave-one-out", [left[case.name][0]], len(rows), skipped)
    ]
    return found + mean_scores(found, "mean of devices")
