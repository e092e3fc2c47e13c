"""Any model type of the library transformers as a Workload: built on the meta device, then traced (extra `hf`).

`model` chooses the class and builds it without weights, `inputs` makes what it is called with, `decoding` says how
attention and the cache of keys and values appear in the trace: as in `hwmodels.workload.zoo.transformer`. A decoder
comes with its language-model head, an encoder as its base model, unless the file names an architecture.

Not modelled: a cache of an encoder-decoder's or a multi-modal model's decoding. States of recurrent layers cost the
same a step whatever came before; how a sequence is scanned is what the library's own code does without kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.from_torch import from_torch
from hwmodels.workload.from_transformers.decoding import as_decoder, takes_cache
from hwmodels.workload.from_transformers.inputs import example_inputs
from hwmodels.workload.from_transformers.model import built, library
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision

__all__ = ["from_transformers"]


def from_transformers(
    content: Mapping[str, Any],
    *,
    where: str,
    name: str,
    batch: int = 1,
    tokens: int = 128,
    past: int = 0,
    precision: Precision | None = None,
) -> Workload:
    """The network of a configuration that transformers can read.

    Parameters
    ----------
    content : of the `config.json`; `model_type` names the type, `architectures` a class of the library if it is there.
    where : the file, for messages. name : of the workload.
    tokens : read at once a sequence. past : tokens that a decoder's cache holds already.

    Raises
    ------
    SpecError : the library is not there, it does not know the type or the fields, or the model cannot be traced.
    """
    import torch

    transformers = library(where, str(content.get("model_type")))
    reason: SpecError | None = None
    for way in _WAYS:
        if past and not way.with_cache:
            break
        model = built(transformers, content, where, own_attention=way.own_attention)
        inputs = example_inputs(model, batch=batch, tokens=tokens)
        if way.with_cache and takes_cache(model):
            as_decoder(model, past)
        elif past:
            kept = f"for a {model.config.model_type}: {type(model).__name__} keeps no cache here"
            raise SpecError("past", past, kept)
        with torch.device("meta") if way.on_meta else nullcontext():
            try:
                return from_torch(model, inputs, name=name, precision=precision)
            except SpecError as error:
                reason = reason or error
    raise reason or SpecError(where, content.get("model_type"), "a model that can be traced")


class _Way(NamedTuple):
    """How a model is traced: with the zoo's attention and cache or the library's, new tensors on the meta device."""

    own_attention: bool
    with_cache: bool
    on_meta: bool


_WAYS = (
    _Way(own_attention=True, with_cache=True, on_meta=False),
    _Way(own_attention=False, with_cache=True, on_meta=False),
    _Way(own_attention=False, with_cache=False, on_meta=False),
    _Way(own_attention=False, with_cache=False, on_meta=True),
)
"""The first that works: some models build masks by themselves, or have a cache or a device of their own."""
