"""Attention and the cache of keys and values of transformers, as the zoo writes them.

Attention: two products around a softmax; within a sliding window, blocks of it, in which each token meets as many
keys as with a window that slides. The cache: new keys and values are written, the kept ones are read where they are
used; a layer with a sliding window keeps no more than the window needs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hwmodels.workload.from_transformers.inputs import forward_arguments

__all__ = ["ATTENTION", "as_decoder", "register_attention", "takes_cache"]

ATTENTION = "hwmodels"
"""The name of the attention among those that the library chooses from."""

_CACHE_ARGUMENTS = ("past_key_values", "cache")


def takes_cache(model: Any) -> bool:
    """Whether the model is a decoder alone, whose keys and values are kept."""
    config = model.config
    decodes = model.can_generate() and not getattr(config, "is_encoder_decoder", False)
    return decodes and model.main_input_name == "input_ids" and _cache_argument(model) is not None


def _cache_argument(model: Any) -> str | None:
    taken = forward_arguments(model)
    return next((name for name in _CACHE_ARGUMENTS if name in taken), None)


def as_decoder(model: Any, past: int) -> None:
    """Let the model's `forward` run on a cache that holds `past` tokens."""
    forward, argument = model.forward, _cache_argument(model) or _CACHE_ARGUMENTS[0]

    def decode(input_ids: Any) -> Any:
        return forward(input_ids=input_ids, use_cache=True, **{argument: _cache_of(model.config, past)})

    model.forward = decode


def _cache_of(config: Any, past: int) -> Any:
    """The library's own cache for this configuration, with layers that keep `past` tokens."""
    from transformers import cache_utils

    kept = cache_utils.DynamicCache(config=config)
    if not kept.layers:
        depth = config.get_text_config(decoder=True).num_hidden_layers
        kept.layers = [cache_utils.DynamicLayer() for _ in range(depth)]
    for index, layer in enumerate(kept.layers):
        if type(layer) is cache_utils.DynamicLayer:
            kept.layers[index] = _kept_layer()(past, past, False)
        elif type(layer) is cache_utils.DynamicSlidingWindowLayer:
            kept.layers[index] = _kept_layer()(past, min(past, layer.sliding_window - 1), True)
    return kept


@cache
def _kept_layer() -> Any:
    """The class of a layer of the cache; made when the library is there."""
    import torch
    from transformers.cache_utils import CacheLayerMixin

    @torch.library.custom_op("hwmodels::keep", mutates_args=(), schema="(Tensor new, int past) -> Tensor")
    def keep(new: Any, past: int) -> Any:
        raise NotImplementedError("only shapes are traced")

    @keep.register_fake
    def _(new: Any, past: int) -> Any:
        return new.new_empty((*new.shape[:-2], past + new.shape[-2], new.shape[-1]))

    class Kept(CacheLayerMixin):  # type: ignore[misc]  # the library has no types
        """Keys and values of `held` tokens, of `past` that have been."""

        def __init__(self, past: int, held: int, is_sliding: bool) -> None:
            super().__init__()
            self.past, self.held, self.is_sliding = past, held, is_sliding

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            self.is_initialized = True

        def update(self, key_states: Any, value_states: Any, *others: Any, **more: Any) -> tuple[Any, Any]:
            self.is_initialized = True
            return keep(key_states, self.held), keep(value_states, self.held)

        def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
            return self.held + query_length, self.past - self.held

        def get_seq_length(self) -> int:
            return self.past

        def get_max_length(self) -> int:
            return -1

    return Kept


@cache
def register_attention() -> None:
    """Offer `_attend` to the library under the name `ATTENTION`."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attend)


def _attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    position_bias: Any = None,
    s_aux: Any = None,
    **others: Any,
) -> tuple[Any, None]:
    """Attention in the library's signature: (batch, heads, tokens, width) in, (batch, tokens, heads, width) out.

    s_aux : a logit a head that takes a share of the softmax and gives nothing: the result is scaled by what is left.
    """
    from torch.nn.functional import scaled_dot_product_attention

    tokens = query.shape[2]
    bias = position_bias if position_bias is not None else attention_mask
    if softcap is not None or bias is not None:
        mixed = _written_out(query, key, value, softcap, bias)
    elif sliding_window and tokens > sliding_window and key.shape[2] == tokens:
        queries, keys, values = (_in_blocks(part, sliding_window) for part in (query, key, value))
        mixed = scaled_dot_product_attention(queries, keys, values, enable_gqa=query.shape[1] != key.shape[1])
        mixed = mixed.reshape(query.shape[0], -1, *mixed.shape[1:]).transpose(1, 2)
        mixed = mixed.reshape(*mixed.shape[:2], -1, mixed.shape[-1])[:, :, :tokens]
    else:
        mixed = scaled_dot_product_attention(query, key, value, enable_gqa=query.shape[1] != key.shape[1])
    if s_aux is not None:
        mixed = mixed * s_aux.sigmoid().reshape(1, -1, 1, 1)
    return mixed.transpose(1, 2), None


def _in_blocks(x: Any, window: int) -> Any:
    """(batch, heads, tokens, width) as (batch blocks, heads, window, width), padded to whole blocks."""
    from torch.nn.functional import pad

    batch, heads, tokens, width = x.shape
    x = pad(x, (0, 0, 0, -tokens % window))
    return x.reshape(batch, heads, -1, window, width).transpose(1, 2).reshape(-1, heads, window, width)


def _written_out(query: Any, key: Any, value: Any, softcap: float | None, bias: Any) -> Any:
    """With scores that are bounded by a tanh, or to which positions or a mask are added."""
    import torch

    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (
            part[:, :, None].expand(-1, -1, repeats, -1, -1).reshape(part.shape[0], -1, *part.shape[2:])
            for part in (key, value)
        )
    scores = query @ key.transpose(-1, -2)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if bias is not None:
        scores = scores + bias[..., : key.shape[2]]
    return scores.softmax(-1) @ value
