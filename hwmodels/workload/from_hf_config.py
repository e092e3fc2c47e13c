"""A Hugging Face `config.json` as a Workload: the common encoders and decoders of language, without weights or torch.

Encoders come as their base model (with pooler where the base model has one), decoders with their language-model head.
What the file leaves out has the default that its model type documents. A field that would change the network in a way
that is not modelled is refused, never passed over. Every type that is not read here goes to
`hwmodels.workload.from_transformers`, which needs the extra `hf`.

Not modelled here: mixtures of experts, encoder-decoder models, relative-position attention.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hwmodels.documents import read_text
from hwmodels.errors import SpecError
from hwmodels.workload.from_transformers import from_transformers
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import ActivationName, Precision
from hwmodels.workload.zoo.transformer import Transformer, transformer

__all__ = ["MODEL_TYPES", "from_hf_config", "shape_of"]

_ACTIVATIONS: dict[str, ActivationName] = {
    "gelu": "gelu",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "quick_gelu": "silu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

_LAYER_TYPES = {"full_attention", "sliding_attention"}
_UNMODELLED: dict[str, tuple[Any, ...]] = {
    "num_local_experts": (0, 1),
    "num_experts": (0, 1),
    "n_routed_experts": (0,),
    "q_lora_rank": (0,),
    "kv_lora_rank": (0,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "position_embedding_type": ("absolute",),
    "layer_norm_elementwise_affine": (True,),
    "_remove_final_layer_norm": (False,),
    "pruned_heads": ({},),
    "num_nextn_predict_layers": (0,),
}
"""Field -> values that leave the network as it is read here."""


def from_hf_config(
    config: Path | str | Mapping[str, Any],
    *,
    batch: int = 1,
    tokens: int = 128,
    past: int = 0,
    precision: Precision | None = None,
) -> Workload:
    """Build the transformer that a configuration describes.

    Parameters
    ----------
    config : the file, or its content. tokens : read at once a sequence. past : tokens that a decoder's cache holds
        already; ``tokens=1, past=2047`` is one step of generation.

    Raises
    ------
    SpecError : no such file, no JSON, an unknown model type (or one that needs the extra `hf`, which is not there), a
        missing or impossible value.

    >>> from_hf_config({"model_type": "gpt2"}, tokens=8).parameters
    124439808
    """
    fields = _Fields(*_read(config))
    model_type = fields.text("model_type")
    for name, value, least in (("batch", batch, 1), ("tokens", tokens, 1), ("past", past, 0)):
        if value < least:
            raise SpecError(name, value, f">= {least}")
    if model_type not in _READERS:
        return from_transformers(
            fields.content, where=fields.where, name=fields.name(model_type), batch=batch, tokens=tokens, past=past,
            precision=precision,
        )  # fmt: skip
    fields.refuse_unmodelled()
    shape = _READERS[model_type](fields)
    net = Builder(fields.name(model_type), (batch, tokens), precision=precision)
    outputs = transformer(shape, past)(net)
    return net.finish(*((outputs,) if isinstance(outputs, str) else outputs))


def shape_of(config: Path | str | Mapping[str, Any]) -> Transformer:
    """The shape that a configuration describes, of the model types that are read here.

    Raises
    ------
    SpecError : as of `from_hf_config`, and every other model type.
    """
    fields = _Fields(*_read(config))
    model_type = fields.text("model_type")
    if model_type not in _READERS:
        raise SpecError.unknown(f"{fields.where}: model_type", model_type, _READERS)
    fields.refuse_unmodelled()
    return _READERS[model_type](fields)


def _read(config: Path | str | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Where the configuration is from, for messages, and its content."""
    if isinstance(config, Mapping):
        return "configuration", config
    path = Path(config)
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(str(path), error, "a JSON file") from None
    if not isinstance(content, dict):
        raise SpecError(str(path), type(content).__name__, "a JSON object")
    return str(path), content


class _Fields:
    """Checked reading of a configuration."""

    def __init__(self, where: str, content: Mapping[str, Any]) -> None:
        self.where, self.content = where, content

    def _get(self, keys: tuple[str, ...], default: Any) -> tuple[str, Any]:
        for key in keys:
            if self.content.get(key) is not None:
                return key, self.content[key]
        return keys[0], default

    def text(self, *keys: str, default: str | None = None) -> str:
        key, value = self._get(keys, default)
        if not isinstance(value, str):
            raise SpecError(f"{self.where}: {key}", "nothing" if value is None else value, "a name")
        return value

    def size(self, *keys: str, default: int | None = None) -> int:
        """A whole number above zero under the first key that is there."""
        key, value = self._get(keys, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 10**9:
            raise SpecError(f"{self.where}: {key}", "nothing" if value is None else value, "a whole number > 0")
        return value

    def share(self, *keys: str, default: float) -> float:
        key, value = self._get(keys, default)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise SpecError(f"{self.where}: {key}", value, "between 0 and 1")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        _, value = self._get((key,), default)
        if not isinstance(value, bool):
            raise SpecError(f"{self.where}: {key}", value, "true or false")
        return value

    def activation(self, *keys: str, default: str) -> ActivationName:
        name = self.text(*keys, default=default)
        if name not in _ACTIVATIONS:
            raise SpecError.unknown(f"{self.where}: {keys[0]}", name, _ACTIVATIONS)
        return _ACTIVATIONS[name]

    def windows(self, depth: int, *, default: int, first: int = 0) -> tuple[int, ...]:
        """The window of each layer, 0 for full attention: `layer_types` where they are given, else from `first` on."""
        types = self.content.get("layer_types")
        if "sliding_window" in self.content and self.content["sliding_window"] is None:
            return ()
        window = self.size("sliding_window", default=default) if default or "sliding_window" in self.content else 0
        if types is None:
            return (0,) * min(first, depth) + (window,) * (depth - first) if window else ()
        known = isinstance(types, list) and all(isinstance(name, str) and name in _LAYER_TYPES for name in types)
        if not known or len(types) != depth:
            raise SpecError(f"{self.where}: layer_types", types, f"{depth} of {', '.join(sorted(_LAYER_TYPES))}")
        if not window and "sliding_attention" in types:
            raise SpecError.missing(self.where, "sliding_window of the layers that slide")
        return tuple(window if name == "sliding_attention" else 0 for name in types)

    def refuse_unmodelled(self) -> None:
        """Fields that change the network in a way that no reader here models."""
        for key, harmless in _UNMODELLED.items():
            value = self.content.get(key)
            if value is not None and value not in harmless:
                allowed = " or ".join(map(str, harmless)) or "left out"
                raise SpecError(f"{self.where}: {key}", value, f"modelled (only {allowed})")

    def name(self, default: str) -> str:
        """The name of the workload: that of the weights, without their owner."""
        given = self.content.get("_name_or_path")
        return given.rstrip("/").rsplit("/", 1)[-1] or default if isinstance(given, str) else default


def _bert(fields: _Fields, *, vocabulary: int = 30522) -> Transformer:
    return Transformer(
        vocabulary=fields.size("vocab_size", default=vocabulary),
        features=fields.size("hidden_size", default=768),
        depth=fields.size("num_hidden_layers", default=12),
        heads=fields.size("num_attention_heads", default=12),
        hidden=fields.size("intermediate_size", default=3072),
        positions=fields.size("max_position_embeddings", default=512),
        token_types=fields.size("type_vocab_size", default=2),
        activation=fields.activation("hidden_act", default="gelu"),
        pre_norm=False,
        embedding_norm=True,
        causal=False,
        pooler=True,
    )


def _distilbert(fields: _Fields) -> Transformer:
    return Transformer(
        vocabulary=fields.size("vocab_size", default=30522),
        features=fields.size("dim", "hidden_size", default=768),
        depth=fields.size("n_layers", "num_hidden_layers", default=6),
        heads=fields.size("n_heads", "num_attention_heads", default=12),
        hidden=fields.size("hidden_dim", default=3072),
        positions=fields.size("max_position_embeddings", default=512),
        activation=fields.activation("activation", default="gelu"),
        pre_norm=False,
        embedding_norm=True,
        causal=False,
    )


def _gpt2(fields: _Fields) -> Transformer:
    features = fields.size("n_embd", "hidden_size", default=768)
    return Transformer(
        vocabulary=fields.size("vocab_size", default=50257),
        features=features,
        depth=fields.size("n_layer", "num_hidden_layers", default=12),
        heads=fields.size("n_head", "num_attention_heads", default=12),
        hidden=fields.size("n_inner", default=4 * features),
        positions=fields.size("n_positions", default=1024),
        activation=fields.activation("activation_function", default="gelu_new"),
        fused_qkv=True,
        tied_head=fields.flag("tie_word_embeddings", default=True),
    )


def _opt(fields: _Fields) -> Transformer:
    features = fields.size("hidden_size", default=768)
    projected = fields.size("word_embed_proj_dim", default=features)
    if projected != features:
        raise SpecError(f"{fields.where}: word_embed_proj_dim", projected, f"{features}, as hidden_size")
    bias = fields.flag("enable_bias", default=True)
    return Transformer(
        vocabulary=fields.size("vocab_size", default=50272),
        features=features,
        depth=fields.size("num_hidden_layers", default=12),
        heads=fields.size("num_attention_heads", default=12),
        hidden=fields.size("ffn_dim", default=3072),
        positions=fields.size("max_position_embeddings", default=2048) + 2,  # two stand before the first token
        activation=fields.activation("activation_function", default="relu"),
        pre_norm=fields.flag("do_layer_norm_before", default=True),
        qkv_bias=bias,
        attention_bias=bias,
        mlp_bias=bias,
        tied_head=fields.flag("tie_word_embeddings", default=True),
    )


class _LlamaDefaults(NamedTuple):
    """What the documented configuration of a type says where it differs from Llama's."""

    vocabulary: int = 32000
    features: int = 4096
    hidden: int = 11008
    depth: int = 32
    heads: int = 32
    kv_heads: int | None = None
    head_features: int | None = None
    activation: str = "silu"
    tied: bool = False
    window: int = 0


# Defaults of MistralConfig, Qwen2Config, Qwen3Config and GemmaConfig [transformers 4.57].
_MISTRAL = _LlamaDefaults(hidden=14336, kv_heads=8, window=4096)
_QWEN2 = _LlamaDefaults(vocabulary=151936, hidden=22016, kv_heads=32)
_QWEN3 = _QWEN2._replace(head_features=128)
_GEMMA = _LlamaDefaults(
    vocabulary=256000, features=3072, hidden=24576, depth=28, heads=16, kv_heads=16, head_features=256,
    activation="gelu_pytorch_tanh", tied=True,
)  # fmt: skip


def _llama(fields: _Fields, default: _LlamaDefaults, *, qkv_bias: bool = False, head_norm: bool = False) -> Transformer:
    """Llama and its heirs: RMS norms, rotary positions, gated feed-forward networks, grouped keys and values."""
    features = fields.size("hidden_size", default=default.features)
    heads = fields.size("num_attention_heads", default=default.heads)
    width = fields.size("head_dim", default=default.head_features or max(features // heads, 1))
    bias = fields.flag("attention_bias", default=False)
    depth = fields.size("num_hidden_layers", default=default.depth)
    return Transformer(
        vocabulary=fields.size("vocab_size", default=default.vocabulary),
        features=features,
        depth=depth,
        heads=heads,
        kv_heads=fields.size("num_key_value_heads", default=default.kv_heads or heads),
        head_features=width,
        hidden=fields.size("intermediate_size", default=default.hidden),
        rotary_features=width,
        norm="rms",
        head_norm=head_norm,
        activation=fields.activation("hidden_activation", "hidden_act", default=default.activation),
        gated=True,
        qkv_bias=qkv_bias or bias,
        attention_bias=bias,
        mlp_bias=fields.flag("mlp_bias", default=False),
        tied_head=fields.flag("tie_word_embeddings", default=default.tied),
        windows=fields.windows(depth, default=default.window),
    )


def _qwen(fields: _Fields, default: _LlamaDefaults, *, qkv_bias: bool, head_norm: bool) -> Transformer:
    """Qwen slides a window only where it is told to, from its layer `max_window_layers` on."""
    shape = _llama(fields, default, qkv_bias=qkv_bias, head_norm=head_norm)
    if not fields.flag("use_sliding_window", default=False):
        return replace(shape, windows=())
    first = fields.size("max_window_layers", default=28)
    return replace(shape, windows=fields.windows(shape.depth, default=4096, first=first))


def _gpt_neox(fields: _Fields) -> Transformer:
    features = fields.size("hidden_size", default=6144)
    heads = fields.size("num_attention_heads", default=64)
    rotary = fields.share("rotary_pct", default=0.25)
    return Transformer(
        vocabulary=fields.size("vocab_size", default=50432),
        features=features,
        depth=fields.size("num_hidden_layers", default=44),
        heads=heads,
        hidden=fields.size("intermediate_size", default=24576),
        rotary_features=int(features // heads * rotary),
        activation=fields.activation("hidden_act", default="gelu"),
        fused_qkv=True,
        qkv_bias=fields.flag("attention_bias", default=True),
        attention_bias=fields.flag("attention_bias", default=True),
        parallel=fields.flag("use_parallel_residual", default=True),
        parallel_norms=2,
        tied_head=fields.flag("tie_word_embeddings", default=False),
    )


def _phi(fields: _Fields) -> Transformer:
    features = fields.size("hidden_size", default=2048)
    heads = fields.size("num_attention_heads", default=32)
    rotary = fields.share("partial_rotary_factor", default=0.5)
    return Transformer(
        vocabulary=fields.size("vocab_size", default=51200),
        features=features,
        depth=fields.size("num_hidden_layers", default=24),
        heads=heads,
        kv_heads=fields.size("num_key_value_heads", default=heads),
        hidden=fields.size("intermediate_size", default=8192),
        rotary_features=int(features // heads * rotary),
        activation=fields.activation("hidden_act", default="gelu_new"),
        parallel=True,
        head_norm=fields.flag("qk_layernorm", default=False),
        tied_head=fields.flag("tie_word_embeddings", default=False),
        head_bias=True,
    )


_READERS: dict[str, Callable[[_Fields], Transformer]] = {
    "bert": _bert,
    "camembert": _bert,
    "distilbert": _distilbert,
    "gemma": lambda fields: _llama(fields, _GEMMA),
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": lambda fields: _llama(fields, _LlamaDefaults()),
    "mistral": lambda fields: _llama(fields, _MISTRAL),
    "opt": _opt,
    "phi": _phi,
    "qwen2": lambda fields: _qwen(fields, _QWEN2, qkv_bias=True, head_norm=False),
    "qwen3": lambda fields: _qwen(fields, _QWEN3, qkv_bias=False, head_norm=True),
    "roberta": lambda fields: _bert(fields, vocabulary=50265),
    "xlm-roberta": _bert,
}

MODEL_TYPES = tuple(_READERS)
"""The values of `model_type` that are read without transformers."""
