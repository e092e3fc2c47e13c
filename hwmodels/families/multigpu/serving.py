"""Serving of a decoder: prompts and tokens on one pool of GPUs or on two, with keys and values in pages.

A pool is a copy of the model on tensor x pipeline GPUs (experts over the tensor ranks or in shares of layers). Of B
sequences under way with prompts of I tokens and answers of O, and kernels and collectives of a layer of the engine::

    prefill  one prompt: L layers on I tokens + logits of one + the host's step            TTFT, unloaded
    decode   one token of each of B: L layers over I + O/2 keys + logits + the host's step
    TPOT     decode + (B - 1) / O prefill       what arrives in place of what leaves is read between the tokens
    tokens/s = B / TPOT

Stages of a pipeline hold B / p sequences each: a token passes p stages of that batch, and B tokens come a round.
Keys and values lie in pages; the largest batch is what weights, one prompt's activations and a reserve leave. More
requests than that wait: the batch is the largest, and the first token waits for a place, which is not modelled.

Two pools: prompts on one, tokens on the other, keys and values sent between them; their sizes are in the ratio that
keeps both busy.

Not modelled: queues (TTFT is that of an empty pool), prefix caches, speculation, prompts of unequal length.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.multigpu.collectives import ENGINE
from hwmodels.families.multigpu.decoder import Decoder, Share, kernels_s, parameters, serving_head, serving_rows
from hwmodels.families.multigpu.fabric import fabric_of, group_s
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.units import US
from hwmodels.workload.formats import FLOATS

__all__ = ["DEFAULT_ENGINE", "Engine", "Pool", "Request", "Served", "Split", "decode_s", "disaggregated",
"largest_batch", "prefill_s", "serve", "weight_bytes_of"]  # fmt: skip

F64 = npt.NDArray[np.float64]


class Request(NamedTuple):
    """prompt, answer : tokens."""

    prompt: int
    answer: int


class Engine(NamedTuple):
    """What runs a pool.

    step_s : the host's time for a step. ASSUMED: scheduling and sampling, as the runtime `llm_engine` of the gpu family
    has it; plausible 0.1 to 3 ms. page_tokens : of a page of keys and values. Source: vLLM, block_size 16.
    memory_share : of a GPU's memory that the engine takes. Source: vLLM, gpu_memory_utilization 0.9. cache_format : of
    keys and values.
    """

    step_s: float = 300 * US
    page_tokens: int = 16
    memory_share: float = 0.9
    cache_format: str = "bf16"


DEFAULT_ENGINE = Engine()


class Pool(NamedTuple):
    """GPUs of one copy of a model: shares of layers, stages, parts of the tensor ranks with experts of their own."""

    tensor: int = 1
    pipeline: int = 1
    expert: int = 1


class Served(NamedTuple):
    """Figures of a pool by batch, (B,) each.

    first_token_s : of a prompt that meets an empty pool. token_s : from token to token of one answer.
    tokens_per_s_per_gpu : of answers. batch : what runs together, at most the largest. largest : that memory holds; 0
    where the model does not fit.
    """

    first_token_s: F64
    token_s: F64
    tokens_per_s_per_gpu: F64
    batch: npt.NDArray[np.int64]
    largest: int
    held_bytes: F64


def _bytes(name: str) -> float:
    return FLOATS[name].bits / 8.0


def weight_bytes_of(model: Decoder, pool: Pool) -> float:
    """Weights of one GPU of the fullest stage: layers in the format of products, experts in theirs."""
    of = parameters(model, tensor=pool.tensor)
    layers = -(-model.layers // pool.pipeline)
    narrow = _bytes(model.product_format)
    experts = _bytes(model.expert_format or model.product_format)
    ends = (of["embedding"] + of["head"] + of["last"]) * _bytes(model.weight_format)
    if pool.pipeline > 1:
        ends = max(of["embedding"], of["head"] or of["embedding"]) * _bytes(model.weight_format)
    return layers * (of["layer"] * narrow + of["experts"] * experts) + ends


def _cached_tokens(model: Decoder, tokens: int, engine: Engine) -> float:
    """Places of keys and values of a sequence in a mean layer, in whole pages."""
    pages = -(-tokens // engine.page_tokens)
    if not model.window:
        return float(pages * engine.page_tokens)
    seen = min(pages, -(-model.window // engine.page_tokens) + 1)
    return (pages + seen) / 2.0 * engine.page_tokens


def _sequence_bytes(model: Decoder, pool: Pool, tokens: int, engine: Engine) -> float:
    """Keys and values of one sequence on one GPU; a head is whole on one at least."""
    keys = -(-model.keys // pool.tensor)
    layers = -(-model.layers // pool.pipeline)
    return 2.0 * layers * keys * model.head * _bytes(engine.cache_format) * _cached_tokens(model, tokens, engine)


def largest_batch(
    model: Decoder, pool: Pool, spec: MultiGpuSpec, request: Request, engine: Engine = DEFAULT_ENGINE
) -> int:
    """Sequences that memory holds to their last token; 0 where the weights alone do not fit."""
    prompt = request.prompt * (4.0 * model.hidden + 4.0 * model.inner / pool.tensor) * 2.0
    room = engine.memory_share * spec.gpu.memory_bytes - weight_bytes_of(model, pool) - prompt
    each = _sequence_bytes(model, pool, request.prompt + request.answer, engine)
    return max(int(room // each), 0)


def _layer_s(model: Decoder, share: Share, spec: MultiGpuSpec) -> tuple[float, float]:
    """(a mean layer's kernels, logits and choice) in s."""
    head = serving_head(model, share.microbatch, share.tensor)
    lists = [serving_rows(model, share), serving_rows(model, share, window=model.window), head]
    full, windowed, last = kernels_s(spec.gpu, lists)
    return ((full + windowed) / 2.0 if model.window else full), last


def _exchange_s(model: Decoder, tokens: int, pool: Pool, spec: MultiGpuSpec) -> float:
    """Collectives of a layer: two sums over the ranks of its shares."""
    size = tokens * model.hidden * 2.0
    return 2.0 * float(group_s(fabric_of(spec), "all_reduce", size, pool.tensor, algorithms=ENGINE))


@lru_cache(maxsize=65536)
def _pass_s(
    model: Decoder, sequences: int, tokens: int, past: int, pool: Pool, spec: MultiGpuSpec, step_s: float
) -> float:
    """One pass of all layers for `tokens` of each sequence, from stage to stage."""
    layer_s, head_s = _layer_s(model, Share(sequences, tokens, pool.tensor, among=pool.expert, past=past), spec)
    total = model.layers * (layer_s + _exchange_s(model, sequences * tokens, pool, spec)) + head_s + step_s
    if pool.tensor > 1:
        logits = sequences * model.vocabulary * 2.0
        total += float(group_s(fabric_of(spec), "all_gather", logits, pool.tensor))
    if pool.pipeline > 1:
        size = sequences * tokens * model.hidden * 2.0
        hop = float(group_s(fabric_of(spec), "send", size, pool.pipeline, stride=pool.tensor))
        total += (pool.pipeline - 1) * hop
    return total


def prefill_s(
    model: Decoder, pool: Pool, spec: MultiGpuSpec, request: Request, engine: Engine = DEFAULT_ENGINE
) -> float:
    """One prompt on an empty pool."""
    return _pass_s(model, 1, request.prompt, 0, pool, spec, engine.step_s)


def decode_s(
    model: Decoder, pool: Pool, spec: MultiGpuSpec, request: Request, batch: int, engine: Engine = DEFAULT_ENGINE
) -> float:
    """One token of each of `batch` sequences, half of their answers cached."""
    # Stages work side by side: a token passes every one with its share of the sequences.
    mine = max(-(-batch // pool.pipeline), 1)
    past = request.prompt + request.answer // 2
    return _pass_s(model, mine, 1, past, pool, spec, engine.step_s)


def serve(
    model: Decoder,
    pool: Pool,
    spec: MultiGpuSpec,
    request: Request,
    batches: npt.ArrayLike,
    engine: Engine = DEFAULT_ENGINE,
) -> Served:
    """A pool under `batches` requests at a time, (B,).

    >>> from hwmodels.families.multigpu.decoder import Decoder
    >>> llama = Decoder(32, 4096, 32, 14_336, 128_256, kv_heads=8, gated=True, tied=False, biases=False,
    ...                 weight_format="bf16", product_format="bf16")
    >>> found = serve(llama, Pool(), MultiGpuSpec(tensor=1), Request(1024, 256), [1, 64])
    >>> bool(found.token_s[0] < found.token_s[1] < 8 * found.token_s[0])
    True
    """
    asked = np.atleast_1d(np.asarray(batches, np.int64))
    largest = largest_batch(model, pool, spec, request, engine)
    batch = np.clip(asked, 1, max(largest, 1))
    first = prefill_s(model, pool, spec, request, engine)
    steps = np.array([decode_s(model, pool, spec, request, int(b), engine) for b in batch])
    token = steps + (batch - 1) / max(request.answer, 1) * first
    each = _sequence_bytes(model, pool, request.prompt + request.answer, engine)
    gpus = pool.tensor * pool.pipeline
    return Served(
        np.full(batch.size, first), token, np.where(largest > 0, batch / token / gpus, 0.0), batch, largest,
        np.asarray(weight_bytes_of(model, pool) + batch * each, np.float64),
    )  # fmt: skip


class Split(NamedTuple):
    """Prompts and tokens on pools of their own.

    prefill_share : of the GPUs that read prompts. requests_per_s_per_gpu : of all GPUs together.
    """

    first_token_s: float
    token_s: float
    tokens_per_s_per_gpu: float
    requests_per_s_per_gpu: float
    prefill_share: float


def disaggregated(
    model: Decoder, prefill: Pool, decode: Pool, spec: MultiGpuSpec, request: Request, *, batch: int,
    engine: Engine = DEFAULT_ENGINE,
) -> Split:  # fmt: skip
    """Pools in the ratio that keeps both busy; a prompt's keys and values cross the network once.

    prompts come at R a second: GPUs of prompts R t_p g_p, GPUs of tokens R O t_d g_d / B.
    """
    reads = prefill_s(model, prefill, spec, request, engine)
    largest = largest_batch(model, decode, spec, request, engine)
    together = min(batch, max(largest, 1))
    token = decode_s(model, decode, spec, request, together, engine)
    kept = _sequence_bytes(model, decode, request.prompt, engine)
    sent = float(group_s(fabric_of(spec), "send", kept, 2, stride=spec.gpus_per_node))
    of_prompts = reads * prefill.tensor * prefill.pipeline
    of_tokens = request.answer * token * decode.tensor * decode.pipeline / together
    rate = 1.0 / (of_prompts + of_tokens) if largest else 0.0
    return Split(
        reads + sent + token, token, rate * request.answer, rate, of_prompts / (of_prompts + of_tokens)
    )  # fmt: skip
