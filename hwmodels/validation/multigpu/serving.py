"""Serving of language models on H100: llm_serving, times from token to token and to the first.

Llama 3.1 8B in bf16 under TensorRT-LLM; Llama 3.1 70B with products in fp8 and gpt-oss-120b with experts in fp4 beside
16-bit activations, under vLLM. Nothing is fitted: kernels are the `gpu` family's, collectives those that ship. After
six runs of a group, three factors are its own: of a decode step, of the prompts that are read between, and the host's
step. gpt-oss under TensorRT-LLM stands apart. Of more requests than memory holds, the batch is the largest.

The first token is that of an empty pool: measured ones wait in a queue, and are reported, not held to a bar. Beside
each score: weights and keys over the memory's rate, nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.multigpu.decoder import Decoder
from hwmodels.families.multigpu.serving import Engine, Pool, Request, decode_s, prefill_s, serve
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.validate import MetricName, ReferenceTables, Score, score
from hwmodels.validation.multigpu.collectives import node_spec

__all__ = ["MODELS", "NODES", "Answers", "fit_factors", "predicted_s", "serving_scores"]

F64 = npt.NDArray[np.float64]

_LLAMA = Decoder(
    32, 4096, 32, 14_336, 128_256, kv_heads=8, gated=True, tied=False, biases=False, dropout=False,
    fused_attention=True, weight_format="bf16", product_format="bf16",
)  # fmt: skip
MODELS = {
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA,
    "meta-llama/Llama-3.1-70B": _LLAMA._replace(layers=80, hidden=8192, heads=64, inner=28_672),
    "openai/gpt-oss-120b": _LLAMA._replace(
        layers=36, hidden=2880, heads=64, head_features=64, inner=2880, vocabulary=201_088, experts=128, chosen=4,
        expert_format="fp4", window=128,
    ),
}  # fmt: skip
"""Source: The Llama 3 Herd of Models, arXiv:2407.21783, table 3; gpt-oss model card, arXiv:2508.10925."""
NODES = {"a100_sxm": "dgx_a100", "h100_sxm": "dgx_h100", "h200_sxm": "dgx_h200", "b200_sxm": "dgx_b200"}
"""System of the table -> node of the catalogue."""
_FORMATS = {"": "bf16", "bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "fp8_block": "fp8"}
"""As the table names them -> of stored weights and of products."""
_SHOTS, _DRAWS = 6, 5
_SPREAD = 0.1  # ASSUMED: relative, of a time around the model; plausible 0.05 to 0.2
_METRICS: tuple[MetricName, ...] = ("median_error", "mape")


class Answers(NamedTuple):
    """Runs of one group, (N,) each.

    decode_s, reading_s, bare_s : a step without the host's, what prompts add, weights and keys over the memory's rate.
    first_s : of an empty pool.
    """

    decode_s: F64
    reading_s: F64
    bare_s: F64
    first_s: F64
    measured_s: F64
    measured_first_s: F64

    def take(self, which: npt.NDArray[np.int64]) -> Answers:
        """Some of them."""
        return Answers(*(column[which] for column in self))


def predicted_s(answers: Answers, factors: F64) -> F64:
    """From token to token, (N,): factors of decode and of reading, and the host's step in s."""
    found: F64 = factors[0] * answers.decode_s + factors[1] * answers.reading_s + factors[2]
    return found


def fit_factors(answers: Answers) -> F64:
    """The factors that suit some runs best, drawn to those that ship: 1, 1, and the engine's step."""
    from scipy.optimize import least_squares

    shipped = np.log([1.0, 1.0, Engine().step_s])
    width = np.log([1.3, 2.0, 4.0])  # ASSUMED: one standard deviation of each

    def residuals(point: F64) -> F64:
        error = np.log(predicted_s(answers, np.exp(point)) / answers.measured_s) / _SPREAD
        return np.concatenate([error, (point - shipped) / width])

    factors: F64 = np.exp(least_squares(residuals, shipped, loss="cauchy").x)
    return factors


def _case(row: Mapping[str, str]) -> tuple[Decoder, MultiGpuSpec] | str:
    """The model as it is stored and the node of one row, or why it is left out."""
    if row["model_path"] not in MODELS:
        return "model"
    if row["system"] not in NODES:
        return "system"
    model, stored = MODELS[row["model_path"]], row["gemm_quant_mode"]
    if model.experts:  # gpt-oss is published in one format
        return model, node_spec(NODES[row["system"]])
    if stored not in _FORMATS:
        return "format"
    return model._replace(product_format=_FORMATS[stored]), node_spec(NODES[row["system"]])


def _run(row: Mapping[str, str], model: Decoder, spec: MultiGpuSpec) -> list[float]:
    """One row of `Answers`."""
    engine = Engine()
    pool = Pool(int(row["tp_size"]), int(row["pp_size"]), int(row["moe_ep_size"] or 1))
    request = Request(int(row["isl"]), int(row["osl"]))
    served = serve(model, pool, spec, request, [int(row["batch_size"])])
    batch = int(served.batch[0])
    step, first = decode_s(model, pool, spec, request, batch), prefill_s(model, pool, spec, request)
    return [
        step - engine.step_s, float(served.token_s[0]) - step, float(served.held_bytes[0]) / spec.gpu.dram_bytes_per_s,
        first, float(row["silicon_tpot_ms"]) * 1e-3, float(row["silicon_ttft_ms"]) * 1e-3,
    ]  # fmt: skip


def serving_scores(tables: ReferenceTables) -> list[Score]:
    """Every group frozen and after six runs, all of them together, and first tokens."""
    rows = tables.rows("gpu/llm_serving.csv.gz")
    if rows is None:
        return []
    groups: dict[str, list[list[float]]] = {}
    skipped: Counter[str] = Counter()
    for row in rows:
        case = _case(row)
        if isinstance(case, str):
            skipped[case] += 1
            continue
        name = f"{row['model_path'].rpartition('/')[2]}, {row['backend']}"
        for group in ("all", name):
            groups.setdefault(group, []).append(_run(row, *case))
    answers = {name: Answers(*np.array(some).T) for name, some in groups.items()}
    frozen = np.array([1.0, 1.0, Engine().step_s])
    found = []
    for name, some in answers.items():
        found += _scores(name, "frozen", [(some, predicted_s(some, frozen))], len(rows), "nothing of serving")
        found += _first_tokens(name, some, len(rows))
        if name != "all" and some.measured_s.size > 2 * _SHOTS:
            found += _scores(
                name, f"few-shot-{_SHOTS}", _few(some), len(rows), f"{_SHOTS} runs, mean of {_DRAWS} draws"
            )
    return [replace(one, skipped=dict(skipped)) for one in found]


def _few(answers: Answers) -> list[tuple[Answers, F64]]:
    """What six random runs say of the others, by draw."""
    found = []
    for draw in range(_DRAWS):
        order = np.random.default_rng([_SHOTS, draw]).permutation(answers.measured_s.size)
        factors, unseen = fit_factors(answers.take(order[:_SHOTS])), answers.take(order[_SHOTS:])
        found.append((unseen, predicted_s(unseen, factors)))
    return found


def _scores(
    group: str, protocol: str, drawn: Sequence[tuple[Answers, F64]], rows_in_file: int, told: str
) -> list[Score]:
    return [
        Score(
            family="multigpu", set="llm_serving", group=f"{group}, token to token", protocol=protocol,
            rows=drawn[0][1].size, rows_in_file=rows_in_file, metric=metric,
            value=float(np.mean([score(metric, own, some.measured_s) for some, own in drawn])),
            fitted_on=f"{told}; kernels: constants of the gpu family",
            baseline={"weights and keys over the memory's rate": float(
                np.mean([score(metric, some.bare_s, some.measured_s) for some, _ in drawn]))},
        )
        for metric in _METRICS
    ]  # fmt: skip


def _first_tokens(group: str, answers: Answers, rows_in_file: int) -> list[Score]:
    """An empty pool against pools that were not."""
    return [
        Score(
            family="multigpu", set="llm_serving", group=f"{group}, first token, unloaded", protocol="frozen",
            rows=answers.first_s.size, rows_in_file=rows_in_file, metric=metric,
            value=score(metric, answers.first_s, answers.measured_first_s), fitted_on="nothing of serving",
        )
        for metric in ("median_error", "bias")
    ]  # fmt: skip
