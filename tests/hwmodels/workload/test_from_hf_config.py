"""Hugging Face configurations: published totals, defaults, one clear line for what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.from_hf_config import MODEL_TYPES, from_hf_config
from hwmodels.workload.memory import kv_cache_bytes
from hwmodels.workload.ops import Kind
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

# Configurations as published with the weights, and the number of parameters of the base model (encoders) or of the
# causal model (decoders), as `transformers` counts them.
PUBLISHED: tuple[tuple[dict[str, Any], int], ...] = (
    ({"model_type": "bert"}, 109_482_240),
    ({"model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}, 124_645_632),
    ({"model_type": "distilbert", "dim": 768, "n_layers": 6, "hidden_dim": 3072}, 66_362_880),
    ({"model_type": "gpt2", "n_embd": 1600, "n_layer": 48, "n_head": 25}, 1_557_611_200),
    ({"model_type": "opt"}, 125_239_296),
    ({"model_type": "llama"}, 6_738_415_616),
    (
        {
            "model_type": "llama",
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "vocab_size": 128256,
            "tie_word_embeddings": True,
        },
        1_235_814_400,
    ),
    ({"model_type": "mistral", "intermediate_size": 14336, "num_key_value_heads": 8}, 7_241_732_096),
    (
        {
            "model_type": "qwen2",
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
        },
        494_032_768,
    ),
    (
        {
            "model_type": "qwen3",
            "hidden_size": 1024,
            "intermediate_size": 3072,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
        },
        596_049_920,
    ),
    (
        {
            "model_type": "gemma",
            "hidden_size": 2048,
            "intermediate_size": 16384,
            "num_hidden_layers": 18,
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "vocab_size": 256000,
            "hidden_activation": "gelu_pytorch_tanh",
        },
        2_506_172_416,
    ),
    (
        {
            "model_type": "gpt_neox",
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "vocab_size": 50304,
        },
        70_426_624,
    ),
    (
        {
            "model_type": "phi",
            "hidden_size": 2560,
            "intermediate_size": 10240,
            "num_hidden_layers": 32,
            "partial_rotary_factor": 0.4,
        },
        2_779_683_840,
    ),
)


@pytest.mark.parametrize(("config", "parameters"), PUBLISHED, ids=lambda value: str(value)[:40])
def test_published_totals(config: dict[str, Any], parameters: int) -> None:
    assert from_hf_config(config, tokens=4).parameters == parameters


@pytest.mark.parametrize(
    ("model_type", "parameters"),
    [("mistral", 7_241_732_096), ("qwen2", 12_049_846_272), ("qwen3", 12_049_461_248), ("gemma", 8_537_680_896)],
)
def test_what_the_file_leaves_out_is_the_default_of_its_type(model_type: str, parameters: int) -> None:
    """MistralConfig(), Qwen2Config(), Qwen3Config() and GemmaConfig() as transformers documents them."""
    assert from_hf_config({"model_type": model_type}, tokens=2).parameters == parameters


def test_a_flag_of_gpt_neox_takes_its_biases_off() -> None:
    """2 layers of 3,150,336 without the biases of both projections, two tables of 1000 x 512, one norm."""
    shape = {"hidden_size": 512, "num_attention_heads": 8, "num_hidden_layers": 2, "intermediate_size": 2048}
    plain = {"model_type": "gpt_neox", "vocab_size": 1000, **shape}
    assert from_hf_config({**plain, "attention_bias": False}, tokens=2).parameters == 7_325_696
    assert from_hf_config(plain, tokens=2).parameters == 7_325_696 + 2 * (3 * 512 + 512)


SMALL = {
    "model_type": "mistral", "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_hidden_layers": 2, "intermediate_size": 48, "vocab_size": 50,
}  # fmt: skip


def attention_macs(config: dict[str, Any], tokens: int, past: int = 0) -> int:
    workload = from_hf_config(config, tokens=tokens, past=past)
    return sum(row.macs for _, row in workload.rows() if row.kind == Kind.MATMUL)


def test_a_token_sees_its_window_and_the_cache_keeps_no_more() -> None:
    """Two products of heads x width = 32 a token and position, in each of two layers."""
    window = {**SMALL, "sliding_window": 8}
    assert attention_macs(window, 1, past=100) == 2 * 2 * 32 * 8
    assert attention_macs(window, 1, past=3) == 2 * 2 * 32 * 4
    assert attention_macs(window, 32) == 2 * 2 * 32 * 32 * 8
    assert attention_macs(window, 30) == 2 * 2 * 32 * 32 * 8  # the last block is filled up
    assert attention_macs({**SMALL, "sliding_window": None}, 32) == 2 * 2 * 32 * 32 * 32
    kept = kv_cache_bytes(layer_table([from_hf_config(window, tokens=1, past=100)]))
    assert kept.tolist() == [2 * 2 * 2 * 8 * 8]  # layers, keys and values, 2 heads of 8, 8 positions, 1 byte


def test_windows_of_some_layers() -> None:
    types = {**SMALL, "sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"]}
    assert attention_macs(types, 1, past=99) == 2 * 32 * (100 + 8)
    qwen = {**SMALL, "model_type": "qwen2", "sliding_window": 8, "max_window_layers": 1}
    assert attention_macs(qwen, 1, past=99) == 2 * 32 * 200
    assert attention_macs({**qwen, "use_sliding_window": True}, 1, past=99) == 2 * 32 * (100 + 8)


@pytest.mark.parametrize(
    ("name", "config", "tokens", "past"),
    [
        ("bert_base", {"model_type": "bert"}, 128, 0),
        ("distilbert", {"model_type": "distilbert"}, 128, 0),
        ("gpt2", {"model_type": "gpt2"}, 1024, 0),
        ("gpt2_decode", {"model_type": "gpt2"}, 1, 1023),
        ("llama_2_7b", {"model_type": "llama"}, 2048, 0),
        ("llama_2_7b_decode", {"model_type": "llama"}, 1, 2048),
    ],
)
def test_the_same_layers_as_the_zoo(name: str, config: dict[str, Any], tokens: int, past: int) -> None:
    ours, theirs = layer_table([from_hf_config(config, tokens=tokens, past=past)]), layer_table([network(name)])
    assert [ours.layers.row(i) for i in ours.rows_of(0)] == [theirs.layers.row(i) for i in theirs.rows_of(0)]
    assert ours.edges(0).tolist() == theirs.edges(0).tolist()


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_every_model_type_has_defaults_and_scales_with_the_batch(model_type: str) -> None:
    one, four = (from_hf_config({"model_type": model_type}, batch=batch, tokens=3) for batch in (1, 4))
    assert four.macs == 4 * one.macs
    assert four.parameters == one.parameters


def test_a_file_is_read_and_named_after_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "gpt2", "_name_or_path": "someone/small-model", "n_layer": 2}))
    workload = from_hf_config(path, tokens=2)
    assert workload.name == "small-model"
    assert workload.parameters == from_hf_config(str(path)).parameters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON file"),
        ("[1]", "JSON object"),
        ("{}", "model_type: nothing is not a name"),
        ('{"model_type": 3}', "model_type: 3 is not a name"),
        ('{"model_type": "gpt2", "n_layer": 0}', "n_layer: 0 is not a whole number > 0"),
        ('{"model_type": "gpt2", "n_layer": "many"}', "n_layer: many is not"),
        ('{"model_type": "gpt2", "n_layer": true}', "n_layer: True is not"),
        ('{"model_type": "gpt2", "n_head": 7}', "heads: 7 is not a divisor"),
        ('{"model_type": "gpt2", "activation_function": "swoosh"}', "activation_function: swoosh"),
        ('{"model_type": "gpt2", "tie_word_embeddings": 1}', "tie_word_embeddings: 1 is not true or false"),
        ('{"model_type": "phi", "partial_rotary_factor": 2}', "partial_rotary_factor: 2 is not between 0 and 1"),
        ('{"model_type": "opt", "word_embed_proj_dim": 512, "hidden_size": 1024}', "word_embed_proj_dim"),
        ('{"model_type": "llama", "num_key_value_heads": 5}', "key and value heads: 5"),
        ('{"model_type": "mistral", "num_local_experts": 8}', "num_local_experts: 8 is not modelled"),
        ('{"model_type": "bert", "position_embedding_type": "relative_key"}', "position_embedding_type: relative_key"),
        ('{"model_type": "mistral", "sliding_window": 0}', "sliding_window: 0 is not a whole number > 0"),
        ('{"model_type": "mistral", "layer_types": ["full_attention"]}', "layer_types"),
        (
            '{"model_type": "llama", "num_hidden_layers": 1, "layer_types": ["sliding_attention"]}',
            "sliding_window of the layers that slide is missing",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        from_hf_config(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_impossible_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="the file is missing"):
        from_hf_config(tmp_path / "none.json")
    with pytest.raises(SpecError, match="tokens: 0"):
        from_hf_config({"model_type": "bert"}, tokens=0)
    with pytest.raises(SpecError, match="tokens: 513 is not <= 512"):
        from_hf_config({"model_type": "bert"}, tokens=513)


@pytest.mark.parametrize("types", [[["full_attention"], ["full_attention"]], [{}, {}], "full", 3, [None, None]])
def test_layer_types_that_are_no_words_are_one_line(tmp_path: Path, types) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "qwen3", "num_hidden_layers": 2, "layer_types": types}))
    with pytest.raises(SpecError, match="layer_types"):
        from_hf_config(path)
