"""Types that transformers builds: parameters of the module itself, counts of the own readers, one line of refusal."""

from __future__ import annotations

from typing import Any

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.coverage import unknown_operators
from hwmodels.workload.from_hf_config import from_hf_config
from hwmodels.workload.from_transformers import from_transformers
from hwmodels.workload.from_transformers import model as model_file
from hwmodels.workload.graph import Workload
from hwmodels.workload.memory import kv_cache_bytes
from hwmodels.workload.ops import Kind
from hwmodels.workload.table import layer_table

if not model_file.is_installed():
    pytest.skip("the extra hf is not installed", allow_module_level=True)

TWO: dict[str, Any] = {"num_hidden_layers": 2}
BOTH: dict[str, Any] = {"encoder_layers": 2, "decoder_layers": 2}
TOWERS: dict[str, Any] = {"text_config": TWO, "vision_config": TWO}

TYPES: dict[str, dict[str, Any]] = {
    "albert": TWO,
    "bart": BOTH,
    "bloom": {"n_layer": 2},
    "clip": TOWERS,
    "cohere": TWO,
    "convnext": {"depths": [1, 1, 1, 1]},
    "deberta-v2": TWO,
    "deepseek_v3": {"num_hidden_layers": 4},
    "dinov2": TWO,
    "electra": TWO,
    "falcon": TWO,
    "gemma2": TWO,
    "gemma3_text": TWO,
    "glm4": TWO,
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
    "gpt_oss": TWO,
    "gptj": {"n_layer": 2},
    "granitemoe": TWO,
    "llama4_text": {"num_hidden_layers": 4},
    "m2m_100": BOTH,
    "mamba": TWO,
    "marian": BOTH,
    "minimax": TWO,
    "mixtral": TWO,
    "mpt": {"n_layers": 2},
    "mt5": {"num_layers": 2},
    "olmo2": TWO,
    "olmoe": TWO,
    "phi3": TWO,
    "qwen2_moe": TWO,
    "qwen3_moe": TWO,
    "siglip": TOWERS,
    "smollm3": TWO,
    "stablelm": TWO,
    "starcoder2": TWO,
    "t5": {"num_layers": 2},
    "vit": TWO,
    "whisper": BOTH,
}
"""Type -> fields that make it small; every field else has the type's own default."""

UNREAD = {"dinov2": 768}
"""Parameters that training alone reads: the token in the place of a masked patch."""


def opened(content: dict[str, Any], **options: Any) -> Workload:
    return from_transformers(content, where="config.json", name="mine", **options)


@pytest.mark.parametrize("model_type", TYPES)
def test_parameters_are_those_of_the_module(model_type: str) -> None:
    content = {"model_type": model_type, **TYPES[model_type]}
    module = model_file.built(model_file.library("config.json", model_type), content, "config.json")
    workload = opened(content, tokens=4)
    assert unknown_operators(workload) == []
    assert workload.parameters == sum(p.numel() for p in module.parameters()) - UNREAD.get(model_type, 0)
    assert workload.macs > 0


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ({"model_type": "llama", **TWO}, {}),
        ({"model_type": "llama", **TWO, "num_key_value_heads": 8}, {"tokens": 1, "past": 1000, "batch": 3}),
        ({"model_type": "gpt2", "n_layer": 2}, {"tokens": 3, "past": 20, "batch": 2}),
        ({"model_type": "bert", **TWO}, {"batch": 2}),
        ({"model_type": "roberta", **TWO}, {}),
        ({"model_type": "qwen2", **TWO}, {"tokens": 16}),
        ({"model_type": "qwen3", **TWO}, {"tokens": 16}),
        ({"model_type": "gemma", **TWO}, {"tokens": 16}),
        ({"model_type": "opt", **TWO}, {"tokens": 16}),
        ({"model_type": "gpt_neox", **TWO, "attention_bias": False}, {"tokens": 16}),
        ({"model_type": "mistral", **TWO}, {"tokens": 1, "past": 16383}),  # the window of 4096 keeps 4095
        ({"model_type": "mistral", **TWO, "sliding_window": 48}, {"tokens": 100}),  # blocks of the window
        ({"model_type": "mistral", **TWO, "sliding_window": None}, {"tokens": 1, "past": 5000}),
    ],
)
def test_the_types_that_are_read_without_it_are_the_same(content: dict[str, Any], options: dict[str, Any]) -> None:
    """Parameters, products of every size, and what the cache keeps."""
    theirs, ours = opened(content, **options), from_hf_config(content, **options)
    assert (theirs.parameters, theirs.macs) == (ours.parameters, ours.macs)
    assert kv_cache_bytes(layer_table([theirs])).tolist() == kv_cache_bytes(layer_table([ours])).tolist()


def test_two_experts_of_eight_answer_every_token() -> None:
    """Mixtral 8x7B, two layers, 128 tokens: 256 rows by three 4096 x 14336 matrices a layer are 90.2 G of 118.0 G."""
    workload = from_hf_config({"model_type": "mixtral", **TWO})
    attention = 2 * 128 * (4096 * (4096 + 2048) + 4096 * 4096 + 2 * 128 * 4096)
    experts = 2 * 256 * 3 * 4096 * 14336
    assert workload.macs == attention + experts + 2 * 128 * 4096 * 8 + 128 * 4096 * 32000 == 117_985_771_520


def test_one_token_moves_the_weights_of_the_experts_that_it_meets() -> None:
    workload = from_hf_config({"model_type": "mixtral", **TWO}, tokens=1, past=10)
    grouped = [row for _, row in workload.rows() if row.groups > 1 and not row.dynamic_operand]
    assert sum(row.weight_elements for row in grouped) == 2 * 2 * 3 * 4096 * 14336
    assert sum(row.parameters for row in grouped) == 2 * 8 * 3 * 4096 * 14336


def test_a_window_that_slides_over_some_layers_keeps_less() -> None:
    """Gemma 2: of two layers, one keeps 4095 + 1 of 10,001 tokens; 4 heads of 256, keys and values, one byte each."""
    workload = from_hf_config({"model_type": "gemma2", **TWO}, tokens=1, past=10_000)
    assert kv_cache_bytes(layer_table([workload])).tolist() == [2 * 4 * 256 * (10_001 + 4096)]
    kept = [row.out_h for _, row in workload.rows() if row.kind == Kind.CACHE]
    assert sorted(kept) == [4096, 4096, 10_001, 10_001]


def test_an_architecture_that_the_file_names_is_built() -> None:
    bare = opened({"model_type": "vit", **TWO})
    headed = opened({"model_type": "vit", **TWO, "architectures": ["ViTForImageClassification"], "num_labels": 1000})
    pooler = 768 * 768 + 768
    assert headed.parameters == bare.parameters - pooler + 768 * 1000 + 1000


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ({"model_type": "lama"}, {}, "did you mean llama"),
        ({"model_type": "mixtral", "hidden_size": "many"}, {}, "config.json: "),
        ({"model_type": "mixtral", "num_hidden_layers": 10**9}, {}, "num_hidden_layers: 1000000000 is not between"),
        ({"model_type": "vit", "architectures": ["Nothing"]}, {}, "architectures: Nothing is not a class"),
        ({"model_type": "vit", **TWO}, {"past": 3}, "past: 3 is not for a vit: ViTModel keeps no cache here"),
    ],
)
def test_refusals(content: dict[str, Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        opened(content, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "is_installed", lambda: False)
    with pytest.raises(SpecError, match=r"mixtral is not one that is read without transformers .*codesign\[hf\]"):
        from_hf_config({"model_type": "mixtral"})
    assert from_hf_config({"model_type": "gpt2"}, tokens=2).parameters == 124_439_808
