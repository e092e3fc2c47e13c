"""Language transformers: one writer for encoders and decoders, and the published models that it covers.

Encoders: BERT [Devlin et al., NAACL 2019], DistilBERT [Sanh et al., 2019]. Decoders: GPT-2 [Radford et al., 2019],
GPT-3 [Brown et al., NeurIPS 2020], OPT [Zhang et al., 2022], Llama 2 and 3 [Touvron et al., 2023; Dubey et al., 2024],
Mistral [Jiang et al., 2023], Mixtral [Jiang et al., 2024], Phi-2 [Javaheripi et al., 2023].

A decoder is a "prefill" (all tokens at once, `past` 0) or a "decode" step (one token over a cache of `past`). The
causal mask and the scale of the scores have no row: kernels fold them into the softmax. Logits are made for every
token that is read. In a layer with a window [Beltagy et al., 2020; Jiang et al., 2023] a token sees as many positions
as the window holds, itself included, and the cache keeps no more; more tokens than that are read in blocks of a window.
Not modelled: encoder-decoder models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Cache,
    Concat,
    Elementwise,
    Embedding,
    Linear,
    MatMul,
    Norm,
    Permute,
    Rearrange,
    Reshape,
    Select,
    Shared,
    Softmax,
    Split,
)
from hwmodels.workload.zoo.record import Entry

__all__ = ["DECODERS", "ENTRIES", "Transformer", "block", "embed", "head", "transformer"]


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """The shape of a language transformer; the defaults are those of GPT-2.

    `kv_heads` heads share keys and values with heads / kv_heads queries each; `positions` learned position vectors
    (0: rotary, over `rotary_features` of each head, or none). `windows` holds the window of each layer, 0 for full
    attention; empty where all are full. `gated` feed-forward networks multiply two branches.
    Of `experts` feed-forward networks, where there are any, a token goes through `chosen`; they have no biases.
    `parallel` blocks feed attention and feed-forward network from the same tensor, through one norm or two. Biases
    of the query, key and value projections, of the attention's output, of the feed-forward network and of the head
    are separate.
    """

    vocabulary: int
    features: int
    depth: int
    heads: int
    hidden: int
    kv_heads: int | None = None
    head_features: int | None = None
    positions: int = 0
    token_types: int = 0
    rotary_features: int = 0
    norm: Literal["layer", "rms"] = "layer"
    pre_norm: bool = True
    embedding_norm: bool = False
    parallel: bool = False
    parallel_norms: int = 1
    head_norm: bool = False
    activation: ActivationName = "gelu"
    gated: bool = False
    fused_qkv: bool = False
    qkv_bias: bool = True
    attention_bias: bool = True
    mlp_bias: bool = True
    causal: bool = True
    pooler: bool = False
    tied_head: bool = True
    head_bias: bool = False
    windows: tuple[int, ...] = ()
    experts: int = 0
    chosen: int = 2

    @property
    def width(self) -> int:
        """Features of one head."""
        return self.head_features or self.features // self.heads

    @property
    def groups(self) -> int:
        """Heads that have keys and values of their own."""
        return self.kv_heads or self.heads


def transformer(shape: Transformer, past: int = 0) -> Callable[[Builder], str | tuple[str, ...]]:
    """The writer of a model over the tokens at ``net.input``, with `past` tokens already in its cache.

    Raises
    ------
    SpecError : heads that do not divide the features, more tokens than positions, a past without causality.
    """

    def write(net: Builder) -> str | tuple[str, ...]:
        _check(net, shape, past)
        x = embed(net, shape)
        for window in shape.windows or (0,) * shape.depth:
            x = block(net, shape, x, past, window)
        if shape.pre_norm:
            x = net.add(Norm(shape.norm), x)
        if shape.causal:
            return head(net, shape, x)
        if shape.pooler:
            return net.add(Activation("tanh"), net.linear(net.add(Select(axis=1), x), shape.features)), x
        return x

    return write


def head(net: Builder, shape: Transformer, x: str) -> str:
    """A score a word; tied to the table of word vectors, it stores its bias alone."""
    scores = Linear(shape.vocabulary, bias=shape.head_bias)
    return net.add(Shared(scores, shape.vocabulary * shape.head_bias) if shape.tied_head else scores, x)


def _check(net: Builder, shape: Transformer, past: int) -> None:
    tokens = net.shape(net.input)[1]
    if shape.head_features is None and shape.features % shape.heads:
        raise SpecError(f"{net.name}: heads", shape.heads, f"a divisor of {shape.features} features")
    if shape.heads % shape.groups:
        raise SpecError(f"{net.name}: key and value heads", shape.groups, f"a divisor of {shape.heads} heads")
    if shape.positions and past + tokens > shape.positions:
        raise SpecError(f"{net.name}: tokens", past + tokens, f"<= {shape.positions}, its learned positions")
    if past and not shape.causal:
        raise SpecError(f"{net.name}: past", past, "0 for an encoder, which keeps nothing")


def embed(net: Builder, shape: Transformer) -> str:
    """Word, position and type vectors, summed; the position and type rows are read once a token."""
    tokens = net.shape(net.input)
    parts = [net.add(Embedding(shape.vocabulary, shape.features), net.input)]
    for name, entries in (("positions", shape.positions), ("types", shape.token_types)):
        if entries:
            parts.append(net.add(Embedding(entries, shape.features), net.source(tokens, name=name)))
    x = net.add(Elementwise("add"), *parts) if len(parts) > 1 else parts[0]
    return net.add(Norm(shape.norm), x) if shape.embedding_norm else x


def block(net: Builder, shape: Transformer, x: str, past: int, window: int) -> str:
    """Attention and a feed-forward network, each with its residual and its norm before or after."""
    if shape.parallel:
        y = z = net.add(Norm(shape.norm), x)
        if shape.parallel_norms == 2:
            z = net.add(Norm(shape.norm), x)
        return net.residual(net.residual(_attention(net, shape, y, past, window), _feed_forward(net, shape, z)), x)
    if shape.pre_norm:
        x = net.residual(x, _attention(net, shape, net.add(Norm(shape.norm), x), past, window))
        return net.residual(x, _feed_forward(net, shape, net.add(Norm(shape.norm), x)))
    x = net.add(Norm(shape.norm), net.residual(x, _attention(net, shape, x, past, window)))
    return net.add(Norm(shape.norm), net.residual(x, _feed_forward(net, shape, x)))


def _attention(net: Builder, shape: Transformer, x: str, past: int, window: int) -> str:
    """Self-attention; the queries of a group stand in one product, so that its keys are read once."""
    batch, tokens, _ = net.shape(x)
    groups, shared, width = shape.groups, shape.heads // shape.groups, shape.width
    query, key, value = (
        net.add(Permute((0, 2, 1, 3)), net.add(Reshape((batch, tokens, heads, width)), part))
        for part, heads in zip(_projections(net, shape, x), (shape.heads, groups, groups), strict=True)
    )
    if shape.head_norm:
        query, key = (net.add(Norm(shape.norm, features=width), part) for part in (query, key))
    if shape.rotary_features:
        query, key = (_rotate(net, part, shape.rotary_features) for part in (query, key))
    if shape.causal:
        kept = min(past, max(window - tokens, 0)) if window else past
        key, value = net.add(Cache(kept), key), net.add(Cache(kept), value)
    blocks = -(-tokens // window) if window else 1
    if blocks > 1:
        query = _in_blocks(net, query, (batch, groups, blocks, shared * window, width), window)
        key, value = (_in_blocks(net, part, (batch, groups, blocks, window, width), window) for part in (key, value))
    else:
        query = net.add(Reshape((batch, groups, shared * tokens, width)), query)
    *outer, rows, columns = range(len(net.shape(key)))
    keys = net.add(Permute((*outer, columns, rows)), key)
    mixed = net.add(MatMul(), net.add(Softmax(), net.add(MatMul(), query, keys)), value)
    mixed = net.add(Reshape((batch, shape.heads, blocks * window if blocks > 1 else tokens, width)), mixed)
    if blocks * window > tokens and blocks > 1:
        mixed = net.add(Split(2, 0, tokens), mixed)
    merged = net.add(Reshape((batch, tokens, shape.heads * width)), net.add(Permute((0, 2, 1, 3)), mixed))
    return net.linear(merged, shape.features, bias=shape.attention_bias)


def _in_blocks(net: Builder, x: str, shape: tuple[int, ...], window: int) -> str:
    """(batch, heads, tokens, width) in blocks of a window, padded where the tokens do not fill the last one.

    Each token meets as many keys as with a window that slides: those of its block.
    """
    batch, heads, tokens, width = net.shape(x)
    padded = -(-tokens // window) * window
    if tokens < padded:
        x = net.add(Rearrange("pad", (batch, heads, padded, width)), x)
    return net.add(Reshape(shape), x)


def _projections(net: Builder, shape: Transformer, x: str) -> tuple[str, str, str]:
    """Queries, keys and values: three products, or one that is split."""
    own, shared = shape.heads * shape.width, shape.groups * shape.width
    if not shape.fused_qkv:
        query, key, value = (net.linear(x, features, bias=shape.qkv_bias) for features in (own, shared, shared))
        return query, key, value
    joined = net.linear(x, own + 2 * shared, bias=shape.qkv_bias)
    starts = ((0, own), (own, shared), (own + shared, shared))
    query, key, value = (net.add(Split(2, start, length), joined) for start, length in starts)
    return query, key, value


def _rotate(net: Builder, x: str, features: int) -> str:
    """Rotary positions [Su et al., 2021]: x cos + rotated x sin over the first `features` of a head."""
    width = net.shape(x)[3]
    turned = x if features == width else net.add(Split(3, 0, features), x)
    low, high = net.add(Split(3, 0, features // 2), turned), net.add(Split(3, features // 2, features // 2), turned)
    swapped = net.add(Concat(3), net.add(Activation("neg"), high), low)
    # The tables of sines and cosines are constants, so each product has one operand that is read.
    turned = net.residual(net.add(Elementwise("mul"), turned), net.add(Elementwise("mul"), swapped))
    if features == width:
        return turned
    return net.add(Concat(3), turned, net.add(Split(3, features, width - features), x))


def _feed_forward(net: Builder, shape: Transformer, x: str) -> str:
    if shape.experts:
        return net.experts(
            x, shape.experts, shape.hidden, chosen=shape.chosen, function=shape.activation, gated=shape.gated
        )
    y = net.add(Activation(shape.activation), net.linear(x, shape.hidden, bias=shape.mlp_bias))
    if shape.gated:
        y = net.add(Elementwise("mul"), y, net.linear(x, shape.hidden, bias=shape.mlp_bias))
    return net.linear(y, shape.features, bias=shape.mlp_bias)


# Shapes as in the papers' tables and the published configurations.

_BERT_BASE = Transformer(
    vocabulary=30522, features=768, depth=12, heads=12, hidden=3072, positions=512, token_types=2, pre_norm=False,
    embedding_norm=True, causal=False, pooler=True,
)  # fmt: skip
_DISTILBERT = replace(_BERT_BASE, depth=6, token_types=0, pooler=False)
_GPT2 = Transformer(
    vocabulary=50257, features=768, depth=12, heads=12, hidden=3072, positions=1024, fused_qkv=True
)  # fmt: skip
_GPT3 = replace(_GPT2, features=12288, depth=96, heads=96, hidden=49152, positions=2048)
# OPT keeps two positions before the first token.
_OPT = replace(_GPT2, vocabulary=50272, positions=2050, fused_qkv=False, activation="relu")
_LLAMA2 = Transformer(
    vocabulary=32000, features=4096, depth=32, heads=32, hidden=11008, rotary_features=128, norm="rms",
    activation="silu", gated=True, qkv_bias=False, attention_bias=False, mlp_bias=False, tied_head=False,
)  # fmt: skip
_LLAMA3 = replace(_LLAMA2, vocabulary=128256, hidden=14336, kv_heads=8)
_PHI2 = Transformer(
    vocabulary=51200, features=2560, depth=32, heads=32, hidden=10240, rotary_features=32, parallel=True,
    tied_head=False, head_bias=True,
)  # fmt: skip

_HF = "its published configuration"
_GPT_PAPER, _LLAMA_PAPER = "Radford et al. 2019 and " + _HF, "Touvron et al. 2023 and " + _HF

_ENCODERS = (
    ("bert_base", _BERT_BASE, f"Devlin et al. 2018 and {_HF}", ("bert-base-uncased",)),
    (
        "bert_large",
        replace(_BERT_BASE, features=1024, depth=24, heads=16, hidden=4096),
        f"Devlin et al. 2018 and {_HF}",
        ("bert-large-uncased",),
    ),
    ("distilbert", _DISTILBERT, f"Sanh et al. 2019 and {_HF}", ("distilbert-base-uncased",)),
)

# (name, shape, tokens of the prefill, source, aliases)
_DECODERS = (
    ("gpt2", _GPT2, 1024, _GPT_PAPER, ("GPT-2 small",)),
    ("gpt2_medium", replace(_GPT2, features=1024, depth=24, heads=16, hidden=4096), 1024, _GPT_PAPER, ()),
    ("gpt2_large", replace(_GPT2, features=1280, depth=36, heads=20, hidden=5120), 1024, _GPT_PAPER, ()),
    ("gpt2_xl", replace(_GPT2, features=1600, depth=48, heads=25, hidden=6400), 1024, _GPT_PAPER, ()),
    ("gpt3_175b", _GPT3, 2048, "Brown et al. 2020, table 2.1", ()),
    (
        "opt_1_3b",
        replace(_OPT, features=2048, depth=24, heads=32, hidden=8192),
        2048,
        f"Zhang et al. 2022 and {_HF}",
        ("facebook/opt-1.3b",),
    ),
    ("llama_2_7b", _LLAMA2, 2048, _LLAMA_PAPER, ("Llama-2-7b-hf",)),
    ("llama_2_13b", replace(_LLAMA2, features=5120, depth=40, heads=40, hidden=13824), 2048, _LLAMA_PAPER, ()),
    (
        "llama_2_70b",
        replace(_LLAMA2, features=8192, depth=80, heads=64, kv_heads=8, hidden=28672),
        2048,
        _LLAMA_PAPER,
        ("Llama-2-70b-hf",),
    ),
    ("llama_3_8b", _LLAMA3, 2048, f"Dubey et al. 2024, table 3, and {_HF}", ("Meta-Llama-3-8B",)),
    (
        "llama_3_70b",
        replace(_LLAMA3, features=8192, depth=80, heads=64, hidden=28672),
        2048,
        f"Dubey et al. 2024, table 3, and {_HF}",
        ("Meta-Llama-3-70B",),
    ),
    (
        "codellama_34b",
        replace(_LLAMA2, features=8192, depth=48, heads=64, kv_heads=8, hidden=22016),
        2048,
        f"Rozière et al. 2023 and {_HF}",
        ("CodeLlama-34b-Instruct-hf",),
    ),
    (
        "mistral_7b",
        replace(_LLAMA2, hidden=14336, kv_heads=8),
        2048,
        "Jiang et al. 2023, table 1; full attention",
        ("Mistral-7B-v0.1",),
    ),
    (
        "mixtral_8x7b",
        replace(_LLAMA2, hidden=14336, kv_heads=8, experts=8),
        2048,
        f"Jiang et al. 2024, table 1, and {_HF}",
        ("Mixtral-8x7B-v0.1",),
    ),
    ("phi_2", _PHI2, 2048, f"Javaheripi et al. 2023 and {_HF}", ("microsoft/phi-2",)),
)


DECODERS = {name: shape for name, shape, *_ in _DECODERS}
"""The shape of every decoder, by the name of its prefill."""


def _decoder_entries() -> tuple[Entry, ...]:
    """Each decoder twice: the prefill of its tokens, and one token more over a cache of that many."""
    found = []
    for name, shape, tokens, source, aliases in _DECODERS:
        # Learned positions end at the prefill's length: the last token of the context is decoded.
        past = tokens - 1 if shape.positions == tokens else tokens
        found.append(Entry(name, transformer(shape), (tokens,), source, aliases))
        found.append(Entry(f"{name}_decode", transformer(shape, past), (1,), f"{source}; cache of {past} tokens"))
    return tuple(found)


ENTRIES = (
    *(Entry(name, transformer(shape), (128,), source, aliases) for name, shape, source, aliases in _ENCODERS),
    *_decoder_entries(),
)
