"""Training of transformers: iteration times, throughput and memory of published runs; nothing is fitted to them.

Kernels have the constants that ship, and those of the A100 once more the constants that llm_layer_a100 (layers of
language models) gives alone; collectives those of `collectives`. The one number of training is the share of backward
collectives that gradients of weights hide, 0.4, from table 4 of Korthikanti et al.

Korthikanti et al., table 5, A100: full recompute, and sequence shares with selective recompute. Narayanan et al.,
tables 1 and 2, A100 (Selene), full recompute, nothing hidden (the overlap came later): table 1 says neither microbatch
nor pieces of a stage, so the fastest plan that fits; ZeRO-3 apart. Megatron Bridge, H100 and B200: products in fp8,
attention in one kernel, states shared; of LoRA, weights that rest have neither gradients nor states.

Memory: activations of Korthikanti et al. are a formula, which is met exactly; parameters and optimiser at 18 bytes and
an even split.

Beside each: operations at the rate that suits the rows best, and Calculon where the table has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.multigpu.decoder import Decoder, parameters
from hwmodels.families.multigpu.memory import layer_activation_bytes
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.families.multigpu.training import FULL, NONE, SELECTIVE, Job, Plans, Steps, model_flops, plans_of, train
from hwmodels.units import GIB
from hwmodels.validate import MetricName, ReferenceTables, Score, score
from hwmodels.validation.gpu.language_layers import a100_constants
from hwmodels.validation.multigpu.collectives import node_spec

__all__ = ["LLAMA", "gpt", "nodes_of", "training_scores"]

F64 = npt.NDArray[np.float64]
Line = Mapping[str, str]

_VOCABULARY = 51_200
"""Of the GPT models of both papers (Narayanan et al., section 5)."""
_TOKENS = 2048
_BRIDGE_NODES = {"DGX-H100": "dgx_h100", "DGX-B200": "dgx_b200"}
_PIECES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
_MICROBATCHES = (1, 2, 4, 8, 16, 32)
_SHIPPED = "kernels: constants of the gpu family; collectives: A100 and H100; overlap: table 4 of Korthikanti et al."
_OF_LAYERS = "kernels: llm_layer_a100; collectives: A100 and H100; overlap: table 4 of Korthikanti et al."
_LAYER_ROWS = 400
"""Rows of products, and of other kernels, that constants of the A100 are fitted on."""

# (layers, width, heads) of table 2 of Narayanan et al. and table 3 of Korthikanti et al.
_SIZES = {"174.6": (96, 12288, 96), "529.6": (105, 20480, 128)}
_MEMORY = {
    "22B": (48, 6144, 64, 8, 1, 1, 4),
    "175B": (96, 12288, 96, 8, 8, 3, 1),
    "530B": (105, 20480, 128, 8, 35, 3, 1),
    "1T": (128, 25600, 160, 8, 64, 1, 1),
}
"""Model -> layers, width, heads, tensor, stages, pieces, microbatch."""

LLAMA = {
    "LLAMA3_8B": (32, 4096, 32, 14_336),
    "LLAMA3_70B": (80, 8192, 64, 28_672),
    "LLAMA3.1_405B": (126, 16_384, 128, 53_248),
}
"""Model -> layers, width, heads, inner features. Source: The Llama 3 Herd of Models, arXiv:2407.21783, table 3."""


def gpt(layers: int, hidden: int, heads: int) -> Decoder:
    """A model of Megatron's papers."""
    return Decoder(layers, hidden, heads, 4 * hidden, _VOCABULARY, positions=_TOKENS)


def nodes_of(name: str, gpus: int, constants: Mapping[str, float] | None = None) -> MultiGpuSpec:
    """A cluster of the catalogue's nodes with so many GPUs, whose kernels have these constants."""
    spec = node_spec(name)
    spec = spec.changed({f"gpu.{knob}": value for knob, value in (constants or {}).items()})
    return spec.changed({"nodes": max(gpus // 8, 1), "gpus_per_node": min(gpus, 8)})


def training_scores(tables: ReferenceTables) -> list[Score]:
    """All sets; each is left out where its file is absent."""
    layers = a100_constants(tables, count=_LAYER_ROWS)
    found = []
    for constants, label, told in (({}, "", _SHIPPED), (layers, ", kernels by llm_layer_a100", _OF_LAYERS)):
        if constants is not None:
            found += [*_korthikanti(tables, constants, label, told), *_narayanan(tables, constants, label, told)]
    return [*found, *_memory(tables), *_bridge(tables)]


class _Run(NamedTuple):
    """One published run: seconds predicted and measured, operations a GPU; what a peer says, or NaN."""

    predicted_s: float
    measured_s: float
    operations: float
    peer_s: float = float("nan")


def _scores(
    name: str, group: str, runs: Sequence[_Run], rows_in_file: int, *, fitted_on: str = _SHIPPED, peer: str = "",
    skipped: Mapping[str, int] | None = None, metrics: tuple[MetricName, ...] = ("mape", "max_error"),
) -> list[Score]:  # fmt: skip
    predicted, measured, operations, peers = np.array(runs).T
    rate = np.exp(np.median(np.log(operations / measured)))
    found = []
    for metric in metrics:
        baseline = {"operations at the best rate": score(metric, operations / rate, measured)}
        if peer:
            baseline[peer] = score(metric, peers, measured)
        found.append(
            Score(
                family="multigpu", set=name, group=group, protocol="frozen", rows=len(runs), rows_in_file=rows_in_file,
                metric=metric, value=score(metric, predicted, measured), fitted_on=fitted_on, baseline=baseline,
                skipped=skipped or {},
            )
        )  # fmt: skip
    return found


Constants = Mapping[str, float]


def _korthikanti(tables: ReferenceTables, constants: Constants, label: str, told: str) -> list[Score]:
    rows = tables.rows("gpu/korthikanti22_table5.csv")
    if rows is None:
        return []
    peers = {(row["model"], row["mode"]): float(row["calculon_s"])
             for row in tables.rows("gpu/calculon_validation.csv") or []}  # fmt: skip
    runs = []
    for row in rows:
        model = gpt(int(row["layers"]), int(row["hidden"]), int(row["heads"]))
        job = Job(model, _TOKENS, int(row["batch"]))
        spec = nodes_of("dgx_a100", int(row["gpus"]), constants)
        for mode, recompute, sequence, column in (
            ("full", FULL, 0, "iter_s_full_recompute"), ("seqsel", SELECTIVE, 1, "iter_s_seqpar_selective")
        ):  # fmt: skip
            plans = plans_of(
                tensor=int(row["tp"]), pipeline=int(row["pp"]), interleave=int(row["interleave"]), sequence=sequence,
                microbatch=4 if row["model"] == "22B" else 1, recompute=recompute,
            )  # fmt: skip
            flops = model_flops(job) * (4 / 3 if recompute == FULL else 1) / int(row["gpus"])
            runs.append(_Run(float(train(job, plans, spec).step_s[0]), float(row[column]), flops,
                             peers.get((row["model"], mode), float("nan"))))  # fmt: skip
    return _scores(
        "korthikanti22_table5", f"all{label}", runs, 2 * len(rows), peer="Calculon" if peers else "", fitted_on=told
    )


def _memory(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("gpu/korthikanti22_memory_GiB.csv")
    if rows is None:
        return []
    stored, kept = [], []
    for row in rows:
        layers, hidden, heads, tensor, stages, pieces, microbatch = _MEMORY[row["model"]]
        model = gpt(layers, hidden, heads)
        of = parameters(model)
        total = layers * of["layer"] + of["embedding"] + of["last"]
        mode = row["mode"] == "seqsel"
        each = layer_activation_bytes(
            model, microbatch=microbatch, tokens=_TOKENS, tensor=tensor, sequence=mode,
            recompute=SELECTIVE if mode else NONE,
        )  # fmt: skip
        flying = 1.0 + (stages - 1) / (stages * pieces) if pieces > 1 else 1.0
        stored.append((18.0 * total / (tensor * stages) / GIB, float(row["measured_params_optimizer_GiB"])))
        kept.append((float(each) * layers * flying / GIB, float(row["measured_activations_GiB"])))
    peers = np.array([[float(row["calculon_params_opt"]), float(row["calculon_act"])] for row in rows]).T
    return [
        Score(
            family="multigpu", set="korthikanti22_memory_GiB", group=group, protocol="frozen", rows=len(rows),
            rows_in_file=len(rows), metric="max_error", value=score("max_error", *np.array(pairs).T),
            baseline={"Calculon": score("max_error", peer, np.array(pairs)[:, 1])},
        )
        for group, pairs, peer in (("parameters and optimiser", stored, peers[0]), ("activations", kept, peers[1]))
    ]  # fmt: skip


def _fastest(job: Job, plans: Plans, spec: MultiGpuSpec) -> float:
    """The step of the fastest plan that runs; NaN where none does."""
    steps: Steps = train(job, plans, spec)
    return float(np.min(steps.step_s[steps.why == 0], initial=np.inf)) if (steps.why == 0).any() else float("nan")


def _paper_flops(model: Decoder, batch: int) -> float:
    """Operations of a step as Narayanan et al. count them, equation 3: with full recompute."""
    width, layers = float(model.hidden), model.layers
    share = 1.0 + _TOKENS / (6.0 * width) + model.vocabulary / (16.0 * layers * width)
    return 96.0 * batch * _TOKENS * layers * width**2 * share


def _narayanan(tables: ReferenceTables, constants: Constants, label: str, told: str) -> list[Score]:
    found = []
    first = tables.rows("gpu/megatron_sc21_table1.csv")
    if first is not None:
        runs = [_of_table1(row, constants) for row in first]
        found += _scores(
            "megatron_sc21_table1", f"fastest plan that fits{label}", runs, len(first), fitted_on=told
        )  # fmt: skip
    second = tables.rows("gpu/megatron_sc21_table2.csv")
    if second is not None:
        for scheme, group in (("PTD-P", "tensor, stages and data"), ("ZeRO-3", "ZeRO-3")):
            some = [row for row in second if row["scheme"] == scheme and row["params_B"] in _SIZES]
            runs = [_of_table2(row, constants) for row in some]
            found += _scores("megatron_sc21_table2", f"{group}{label}", runs, len(second), fitted_on=told)
    return found


def _of_table1(row: Line, constants: Constants) -> _Run:
    gpus, tensor, stages = int(row["gpus"]), int(row["tp"]), int(row["pp"])
    model = gpt(int(row["layers"]), int(row["hidden"]), int(row["heads"]))
    microbatch, pieces = (grid.ravel() for grid in np.meshgrid(_MICROBATCHES, _PIECES))
    plans = plans_of(data=gpus // (tensor * stages), tensor=tensor, pipeline=stages, microbatch=microbatch,
                     interleave=pieces, recompute=FULL)  # fmt: skip
    return _by_rate(row, model, plans, nodes_of("dgx_a100", gpus, constants))


def _of_table2(row: Line, constants: Constants) -> _Run:
    gpus, microbatch = int(row["gpus"]), int(row["microbatch"])
    model = gpt(*_SIZES[row["params_B"]])
    if row["scheme"] == "ZeRO-3":
        plans = plans_of(data=gpus, microbatch=microbatch, recompute=FULL, zero=3)
    else:
        stages = int(row["model_parallel"]) // 8
        plans = plans_of(data=gpus // (8 * stages), tensor=8, pipeline=stages, microbatch=microbatch,
                         interleave=np.array(_PIECES), recompute=FULL)  # fmt: skip
    return _by_rate(row, model, plans, nodes_of("dgx_a100", gpus, constants))


def _by_rate(row: Line, model: Decoder, plans: Plans, spec: MultiGpuSpec) -> _Run:
    batch = int(row["global_batch"])
    flops = _paper_flops(model, batch) / int(row["gpus"])
    step_s = _fastest(Job(model, _TOKENS, batch, overlap=0.0), plans, spec)
    return _Run(step_s, flops / (float(row["TFLOPs_per_gpu"]) * 1e12), flops)


def _count(text: str) -> int:
    return int(text) if text else 1


def _bridge(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("gpu/megatron_bridge_training.csv")
    if rows is None:
        return []
    groups: dict[str, list[_Run]] = {}
    skipped: Counter[str] = Counter()
    for row in rows:
        if row["Model"] not in LLAMA or row["System"] not in _BRIDGE_NODES:
            skipped["model" if row["Model"] not in LLAMA else "system"] += 1
            continue
        run = _of_bridge(row)
        for group in ("all", row["System"].removeprefix("DGX-").lower(), row["Model"]):
            groups.setdefault(group, []).append(run)
    return [
        one
        for group, runs in groups.items()
        for one in _scores("megatron_bridge_training", group, runs, len(rows), skipped=dict(skipped))
    ]


def _of_bridge(row: Line) -> _Run:
    layers, hidden, heads, inner = LLAMA[row["Model"]]
    model = Decoder(
        layers, hidden, heads, inner, 128_256, kv_heads=8, gated=True, tied=False, biases=False, dropout=False,
        fused_attention=True, weight_format="bf16",
        product_format="bf16" if row["Precision"].upper().startswith("BF16") else "fp8",
    )  # fmt: skip
    gpus, tensor, stages, context = (_count(row[name]) for name in ("#-GPUs", "TP", "PP", "CP"))
    batch, tokens = int(row["GBS"]), int(row["Sequence Length"])
    job = Job(model, tokens, batch, gradient_bytes=2.0, frozen=row["section"].startswith("LoRA"))
    plans = plans_of(
        data=gpus // (tensor * stages * context), tensor=tensor, pipeline=stages, context=context,
        microbatch=_count(row["MBS"]), interleave=_count(row["VP"]), sequence=int(tensor > 1), zero=1, overlapped=1,
    )  # fmt: skip
    spec = nodes_of(_BRIDGE_NODES[row["System"]], gpus)
    measured_s = batch * tokens / gpus / float(row["Tokens / sec / GPU"].split()[0])
    flops = model_flops(job) * (2 / 3 if job.frozen else 1) / gpus
    return _Run(float(train(job, plans, spec).step_s[0]), measured_s, flops)
