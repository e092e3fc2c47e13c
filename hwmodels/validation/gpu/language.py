"""neusight_e2e: transformers of language on seven GPUs in float32, inference and training, one GPU, batch as stated.

The networks are those of Hugging Face's library as its eager code runs them, which starts more kernels than a graph of
the network has. Beside the products stand, after `modeling_gpt2.py`, `modeling_bert.py`, `modeling_opt.py` and
`activations.py` of transformers 4:

- operands of batched products are permuted views, which `torch.matmul` copies, and merged heads are copied back;
- scores are scaled and masked in two passes before the softmax;
- GPT-2's approximate GELU is written in eight elementwise operators;
- in training, dropout of the scores and of what each half of a layer adds, each with its mask.

The rows named "fusion" ran under torch.compile, and are the graph itself. Widths, depths and heads are published ones;
gpt3_xl has 24 heads of 128 features (3072 wide), as its measured times ask for: with 2048 features, the other reading
of its table, it would be as fast again. Experts (switchxl4) and several GPUs are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from hwmodels.evaluate import evaluate
from hwmodels.families.gpu.model import MODEL
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.validation.gpu.networks import machine, numbers_of
from hwmodels.workload.from_hf_config import from_hf_config
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops import Activation, Elementwise, MatMul, Permute, Precision, Rearrange, Reshape, Softmax
from hwmodels.workload.rewrite import EAGER, RUNTIMES, rewrite
from hwmodels.workload.training import training_step

__all__ = ["as_eager", "neusight_scores"]

_FULL = Precision(32, 32)
_CONFIGS: dict[str, dict[str, Any]] = {
    "bert_large": {
        "model_type": "bert", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
    "gpt2_large": {"model_type": "gpt2", "n_embd": 1280, "n_layer": 36, "n_head": 20},
    "gpt3_xl": {"model_type": "gpt2", "n_embd": 3072, "n_layer": 24, "n_head": 24, "n_positions": 2048},
    "gpt3_27": {"model_type": "gpt2", "n_embd": 2560, "n_layer": 32, "n_head": 32, "n_positions": 2048},
    "opt_13": {
        "model_type": "opt", "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "ffn_dim": 8192,
        "max_position_embeddings": 2048, "vocab_size": 50272,
    },
}  # fmt: skip
_DEVICES = {
    "Tesla_P100-PCIE-16GB": "p100_pcie", "NVIDIA_A100-PCIE-40GB": "a100_40_pcie", "NVIDIA_L4": "l4", "Tesla_P4": "p4",
    "NVIDIA_A100_80GB_PCIe": "a100_80_pcie", "Tesla_T4": "t4", "Tesla_V100-PCIE-32GB": "v100_pcie",
}  # fmt: skip
_TIMES = ("measured_ms", "roofline_ms", "neusight_ms")
_SCORE_PASSES = 2
_GELU_PASSES = 8


def neusight_scores(tables: ReferenceTables) -> list[Score]:
    """Mean and median error by mode, by GPU, and of all; the peers' and the roofline's figures stand in the table."""
    rows = tables.rows("gpu/neusight_e2e.csv")
    if rows is None:
        return []
    skipped: Counter[str] = Counter()
    groups: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for row in rows:
        predicted_s = _predicted(row)
        if isinstance(predicted_s, str):
            skipped[predicted_s] += 1
            continue
        case = (predicted_s * 1e3, *(float(row[name] or "nan") for name in _TIMES))
        for group in ("all", _mode(row), _DEVICES[row["device"]]):
            groups[group].append(case)
    return [
        Score(
            family="gpu", set="neusight_e2e", group=group, protocol="frozen", rows=len(cases), rows_in_file=len(rows),
            metric=metric, value=score(metric, own, measured), skipped=dict(skipped),
            fitted_on=f"products: see the family's README; {numbers_of('torch')}",
            baseline={
                name: score(metric, other[~np.isnan(other)], measured[~np.isnan(other)])
                for name, other in (("roofline", roofline), ("NeuSight", peer)) if not np.isnan(other).all()
            },
        )
        for group, cases in groups.items()
        for own, measured, roofline, peer in [np.array(cases).T]
        for metric in ("mape", "median_error")
    ]  # fmt: skip


def _mode(row: Mapping[str, str]) -> str:
    return {"train": "training", "inf": "inference"}[row["mode"]] + (" compiled" if row["option"] == "fusion" else "")


def _predicted(row: Mapping[str, str]) -> float | str:
    """Seconds of one row, or the reason why it is left out."""
    if row["model"] not in _CONFIGS:
        return "experts"
    if row["option"] not in ("", "fusion"):
        return "several GPUs"
    spec = machine(_DEVICES.get(row["device"], ""), "torch")
    if spec is None:
        return "not in the catalogue"
    workload = _workload(row["model"], int(row["seqlen"]), int(row["batch"]), row["mode"], row["option"])
    # torch's default: products of float32 operands stay in float32.
    return float(evaluate(workload, MODEL, spec.changed({"allow_tf32": False})).totals["latency_s"])


@cache
def _workload(name: str, tokens: int, batch: int, mode: str, option: str) -> Workload:
    net = from_hf_config(_CONFIGS[name], batch=batch, tokens=tokens, precision=_FULL)
    if option == "fusion":
        return rewrite(net, RUNTIMES["compiled"])
    trains = mode == "train"
    eager = as_eager(rewrite(net, EAGER), gelu_passes=_GELU_PASSES if name.startswith("gpt") else 1, has_dropout=trains)
    return training_step(eager, "adam").workload if trains else eager


def as_eager(workload: Workload, *, gelu_passes: int, has_dropout: bool) -> Workload:
    """A transformer with the operators that eager code runs beside the network's own.

    gelu_passes : elementwise operators of one GELU; 1 leaves it as it is.
    """
    nodes: list[Node] = []
    for node in workload:
        operator = node.operator
        if isinstance(operator, MatMul):
            node = _with_copies(workload, node, nodes)
        elif isinstance(operator, Reshape) and isinstance(workload[node.inputs[0]].operator, Permute):
            if node.shape != workload[node.inputs[0]].shape:
                node = replace(node, operator=Rearrange("contiguous", node.shape))
        elif isinstance(operator, Softmax) and isinstance(workload[node.inputs[0]].operator, MatMul):
            node = replace(node, inputs=(_passes(node, node.inputs[0], _SCORE_PASSES, nodes),))
        elif isinstance(operator, Activation) and operator.function == "gelu" and gelu_passes > 1:
            last = _passes(node, node.inputs[0], gelu_passes - 1, nodes)
            node = replace(node, operator=Elementwise("mul"), inputs=(last,))
        nodes.append(node)
    return Workload.of(workload.name, _dropped(nodes) if has_dropout else nodes, workload.outputs)


def _with_copies(workload: Workload, node: Node, nodes: list[Node]) -> Node:
    """A batched product whose permuted operands are copied first; `nodes` gets the copies."""
    inputs = []
    for index, source in enumerate(node.inputs):
        behind = workload[source]
        if behind.operator.is_view:
            copy = Node(f"{node.name}.copy{index}", Rearrange("contiguous", behind.shape), (source,), behind.shape,
                        node.precision)  # fmt: skip
            nodes.append(copy)
            source = copy.name
        inputs.append(source)
    return replace(node, inputs=tuple(inputs))


def _passes(node: Node, source: str, count: int, nodes: list[Node]) -> str:
    """The last of some elementwise operators on one tensor; `nodes` gets them."""
    for index in range(count):
        made = Node(f"{node.name}.pass{index}", Elementwise("mul"), (source,), node.shape, node.precision)
        nodes.append(made)
        source = made.name
    return source


def _dropped(nodes: list[Node]) -> list[Node]:
    """Dropout behind every softmax, and before every sum of a layer's half with what it was given."""
    found: list[Node] = []
    renamed: dict[str, str] = {}
    made_by = {node.name: node for node in nodes}
    for node in nodes:
        is_residual = (
            isinstance(node.operator, Elementwise) and node.operator.function == "add" and len(node.inputs) == 2
        )
        drops = node.inputs[1] if is_residual and type(made_by[node.inputs[1]].operator).__name__ == "Linear" else None
        inputs = tuple(
            _mask(made_by[source], found) if source == drops else renamed.get(source, source) for source in node.inputs
        )
        node = replace(node, inputs=inputs)
        found.append(node)
        if isinstance(node.operator, Softmax):
            renamed[node.name] = _mask(node, found)
    return found


def _mask(node: Node, found: list[Node]) -> str:
    """The product of a tensor with a mask, which a generator of random numbers writes."""
    mask = Node(f"{node.name}.mask", Input(node.shape), (), node.shape, node.precision)
    made = Node(f"{node.name}.dropout", Elementwise("mul"), (node.name, mask.name), node.shape, node.precision)
    found += [mask, made]
    return made.name
