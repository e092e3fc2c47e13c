"""A transformer decoder on one of t x c x e GPUs: the kernels of a layer, forward and backward, as rows of GPUs.

Shares [Shoeybi et al.; Korthikanti et al.; Rajbhandari et al.]: t GPUs share heads and inner features of every layer
(tensor), and with `sequence` also the tokens of norms, dropout and sums; c GPUs share the tokens of a sequence
(context), whose keys and values go round; e GPUs share the experts. b sequences of s tokens are a microbatch; T = b s
/ c tokens::

    norm          T h (/t)                     attention out    (T x heads d / t)(h)
    queries ...   (T x h)((heads + 2 kv) d/t)  first, gate      (T x h)(inner / t, twice where gated)
    scores, sum   b heads/t (s/c x s x d)      second           (T x inner/t)(h)
    mask, softmax, dropout of b heads/t s/c s  dropout and sum  T h (/t), twice

Of a product (m x k)(k x n), the backward pass has (m x n)(n x k) and (k x m)(m x n), whose sums go to gradients of 32
bits; an elementwise kernel reads its gradient and what it kept. Attention in one kernel runs its forward pass backward
at `BACKWARD_ATTENTION` of its time.

Not modelled: heads and experts that do not divide (they round up), load of experts beyond a factor, embeddings'
backward scatter beyond its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.compose import tensor_of
from hwmodels.families.gpu.model import MODEL as GPU
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.spec import Spec
from hwmodels.workload.formats import FLOATS, coded
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

__all__ = ["BACKWARD_ATTENTION", "BlockCost", "Decoder", "Share", "backward_rows", "block_costs", "forward_rows",
           "head_rows", "kernels_s", "parameters", "serving_head", "serving_rows"]  # fmt: skip

F64 = npt.NDArray[np.float64]

BACKWARD_ATTENTION = 2.5 * 73 / 63
"""Seven products' worth of work for five of the forward pass's two, at 63 % of the peak in place of 73 %. Source: Dao,
FlashAttention-2, arXiv:2307.08691, abstract and section 3."""


class Decoder(NamedTuple):
    """The shape of a decoder and how it is computed.

    kv_heads, head_features : 0 for those of the queries, for hidden / heads. gated : feed-forward networks multiply two
    branches. fused_attention : attention is one kernel, else scores lie in memory. experts, chosen : of every layer,
    and those a token goes to. weight_format, product_format : of embedding and head, and in which products run;
    expert_format : of stored experts beside activations of 16 bits, where it is another. window : keys that a token
    sees in every second layer, 0 for all.
    """

    layers: int
    hidden: int
    heads: int
    inner: int
    vocabulary: int
    kv_heads: int = 0
    head_features: int = 0
    gated: bool = False
    tied: bool = True
    positions: int = 0
    biases: bool = True
    dropout: bool = True
    fused_attention: bool = False
    experts: int = 0
    chosen: int = 0
    weight_format: str = "fp16"
    product_format: str = "fp16"
    expert_format: str = ""
    window: int = 0

    @property
    def head(self) -> int:
        """Features of a head."""
        return self.head_features or self.hidden // self.heads

    @property
    def keys(self) -> int:
        """Heads of keys and of values."""
        return self.kv_heads or self.heads


class Share(NamedTuple):
    """What one GPU runs of a microbatch: sequences of `tokens`; shares of layers, of sequences and of experts.

    expert : GPUs beside the tensor ranks that share the experts, each with tokens of its own. among : parts that the
    tensor ranks form, each with its own experts, which see the part of the same tokens that chose them. past : cached.
    """

    microbatch: int
    tokens: int
    tensor: int = 1
    sequence: bool = False
    context: int = 1
    expert: int = 1
    among: int = 1
    past: int = 0


def parameters(model: Decoder, *, tensor: int = 1, expert: int = 1) -> dict[str, float]:
    """Stored numbers of one GPU by part: what is split over `tensor` GPUs, norms and output biases whole.

    layer, experts : of one layer, experts apart. embedding : tokens and positions. head : of logits, 0 where tied.

    >>> gpt = Decoder(48, 6144, 64, 24576, 51200, positions=2048)
    >>> of = parameters(gpt)
    >>> round((48 * of["layer"] + of["embedding"] + of["last"]) / 1e9, 2)
    22.07
    """
    h, d, gates = model.hidden, model.head, 2 if model.gated else 1
    attention = h * (model.heads + 2 * model.keys) * d + model.heads * d * h
    feed = (gates + 1) * h * model.inner
    split_biases = ((model.heads + 2 * model.keys) * d + gates * model.inner) if model.biases else 0
    whole = (2 * h if model.biases else 0) + 2 * h * (2 if model.biases else 1)
    experts = model.experts * feed / expert / tensor
    router = h * model.experts
    dense = 0.0 if model.experts else feed
    return {
        "layer": (attention + dense + split_biases) / tensor + whole + router,
        "experts": experts,
        "embedding": model.vocabulary * h / tensor + model.positions * h,
        "head": 0.0 if model.tied else model.vocabulary * h / tensor,
        "last": 2.0 * h if model.biases else float(h),
    }


def _product(
    m: int, n: int, k: int, number_format: str, groups: int = 1, *, dynamic: bool = False, stored: str = ""
) -> Row:
    bits, code = coded(FLOATS[number_format])
    weight_bits, weight_code = coded(FLOATS[stored or number_format])
    return Row(
        kind=Kind.MATMUL if dynamic else Kind.LINEAR, groups=groups, in_channels=k * groups, out_channels=n * groups,
        in_h=m, out_h=m, m=m, n=n, k=k, macs=groups * m * n * k, weight_elements=groups * n * k,
        input_elements=groups * m * k, output_elements=groups * m * n, weight_bits=weight_bits, activation_bits=bits,
        weight_format=weight_code, activation_format=code, dynamic_operand=int(dynamic),
    )  # fmt: skip


def _stream(read: float, written: float, operations: float, kind: Kind = Kind.ELEMENTWISE) -> Row:
    """A kernel without products; elements of 16 bits."""
    bits, code = coded(FLOATS["bf16"])
    return Row(
        kind=kind, vector_ops=int(operations), input_elements=int(read), output_elements=int(written),
        weight_bits=bits, activation_bits=bits, weight_format=code, activation_format=code,
    )  # fmt: skip


def _attention(model: Decoder, share: Share) -> Row:
    """Causal attention in one kernel.

    Of a sequence that c GPUs share, each has an early and a late piece, so that all see as many keys [Llama Team,
    arXiv:2407.21783, section 3.3.2]: s^2 / (2 c) pairs, those of s / c queries that end at key s (1 + 1/c) / 2.
    """
    bits, code = coded(FLOATS["bf16"])
    keys = -(-model.keys // share.tensor)
    grouped = max(model.heads // model.keys, 1)
    groups, d = share.microbatch * keys, model.head
    m = grouped * (share.tokens // share.context)
    n = -(-share.tokens * (share.context + 1) // (2 * share.context)) + share.past
    return Row(
        kind=Kind.ATTENTION, batch=share.microbatch, groups=groups, in_channels=d * groups, out_channels=d * groups,
        in_h=m, out_h=m, m=m, n=n, k=2 * d, macs=groups * m * n * 2 * d, vector_ops=5 * groups * m * n,
        weight_elements=groups * n * 2 * d, input_elements=groups * m * d, output_elements=groups * m * d,
        weight_bits=bits, activation_bits=bits, weight_format=code, activation_format=code, dynamic_operand=1,
        query_heads=grouped, causal=1,
    )  # fmt: skip


def _sizes(model: Decoder, share: Share) -> tuple[int, int, int, int]:
    """(tokens, tokens of norms and sums, heads, elements of the scores) of one GPU."""
    tokens = share.microbatch * share.tokens // share.context
    apart = -(-tokens // share.tensor) if share.sequence else tokens
    heads = -(-model.heads // share.tensor)
    scores = share.microbatch * heads * (share.tokens // share.context) * (share.tokens + share.past)
    return tokens, apart, heads, scores


def _core(model: Decoder, share: Share) -> list[Row]:
    """Attention between its projections."""
    _, _, heads, scores = _sizes(model, share)
    if model.fused_attention:
        return [_attention(model, share)]
    m, n, groups, d = share.tokens // share.context, share.tokens + share.past, share.microbatch * heads, model.head
    rows = [_product(m, n, d, "fp16", groups, dynamic=True), _stream(scores, scores, 5 * scores, Kind.SOFTMAX)]
    if model.dropout:
        rows.append(_stream(scores, 1.5 * scores, 2 * scores))  # the mask is a byte an element
    return [*rows, _product(m, d, n, "fp16", groups, dynamic=True)]


def _weighted(model: Decoder, share: Share) -> list[tuple[int, int, int, int]]:
    """(m, n, k, groups) of the products with weights, in order."""
    tokens, _, heads, _ = _sizes(model, share)
    keys = -(-model.keys // share.tensor)
    inner = -(-model.inner // share.tensor)
    gates = 2 if model.gated else 1
    found = [
        (tokens, (heads + 2 * keys) * model.head, model.hidden, 1), (tokens, model.hidden, heads * model.head, 1),
    ]  # fmt: skip
    if model.experts:
        mine = max(model.experts // share.expert, 1)
        routed = tokens * model.chosen
        if share.among > 1:
            mine, routed = max(mine // share.among, 1), -(-routed // share.among)
            inner = -(-model.inner * share.among // share.tensor)
        # Of few tokens, not every expert gets one: mine (1 - (1 - 1/mine)^routed) do in the mean.
        mine = max(round(mine * (1.0 - (1.0 - 1.0 / mine) ** routed)), 1)
        each = -(-routed // mine)
        return [*found, (each, gates * inner, model.hidden, mine), (each, model.hidden, inner, mine)]
    return [*found, (tokens, gates * inner, model.hidden, 1), (tokens, model.hidden, inner, 1)]


def _beside(model: Decoder, share: Share, *, is_backward: bool) -> list[Row]:
    """Norms, activation, dropout with sums; backward, each reads a gradient beside what it kept."""
    tokens, apart, _, _ = _sizes(model, share)
    wide, inner = apart * model.hidden, tokens * -(-model.inner // share.tensor)
    routed = inner * model.chosen if model.experts else inner
    gates = 2 if model.gated else 1
    mask = 0.5 if model.dropout else 0.0
    if is_backward:
        norm = _stream(2 * wide, wide, 12 * wide, Kind.NORM)
        act = _stream((gates + 1) * routed, gates * routed, 12 * gates * routed)
        add = _stream((1 + mask) * wide, wide, wide) if model.dropout else _stream(2 * wide, wide, wide)
    else:
        norm = _stream(wide, wide, 7 * wide, Kind.NORM)
        act = _stream(gates * routed, routed, 8 * gates * routed, Kind.ACTIVATION)
        add = _stream(2 * wide, (1 + mask) * wide, 3 * wide)
    found = [norm, add, norm, act, add]
    if not model.positions:  # rotary positions of queries and keys, both ways
        turned = tokens * -(-(model.heads + model.keys) // share.tensor) * model.head
        found.append(_stream(turned, turned, 3 * turned))
    if model.experts:  # tokens are sorted by expert and put back
        moved = tokens * model.chosen * model.hidden
        found += [_stream(moved, moved, moved), _stream(moved, moved // max(model.chosen, 1), moved)]
    return found


def _casts(model: Decoder, share: Share, *, is_backward: bool) -> list[Row]:
    """Kernels that write 8 bits, and once more transposed, for products in fp8.

    Forward, norms write them for the products behind them, and the other two inputs are cast; backward, every gradient
    is. Weights are cast once a step. Source: NVIDIA, Transformer Engine, LayerNormLinear and Linear.
    """
    if FLOATS[model.product_format].bits > 8:
        return []
    sizes = [(groups * m * k, groups * m * n) for m, n, k, groups in _weighted(model, share)]
    moved = [out for _, out in sizes] if is_backward else [into for into, _ in sizes[1::2]]
    return [_stream(size, size, 2 * size) for size in moved]


def forward_rows(model: Decoder, share: Share) -> list[Row]:
    """The kernels of one layer, forward."""
    products = [_product(m, n, k, model.product_format, groups) for m, n, k, groups in _weighted(model, share)]
    beside = _beside(model, share, is_backward=False)
    return [*products, *_core(model, share), *beside, *_casts(model, share, is_backward=False)]


def backward_rows(model: Decoder, share: Share) -> list[Row]:
    """The kernels of one layer, backward, without what is made again; one attention kernel stands for its backward."""
    found = []
    for m, n, k, groups in _weighted(model, share):
        found += [
            _product(m, k, n, model.product_format, groups), _product(k, n, m, model.product_format, groups),
            # A gradient of 16 bits is added to one of 32.
            _stream(3 * groups * n * k, 2 * groups * n * k, groups * n * k),
        ]  # fmt: skip
    if not model.fused_attention:
        scores = _sizes(model, share)[3]
        first, *_, last = _core(model, share)
        for row in (first, last):
            found += [
                _product(row.m, row.k, row.n, "fp16", row.groups, dynamic=True),
                _product(row.k, row.n, row.m, "fp16", row.groups, dynamic=True),
            ]  # fmt: skip
        found.append(_stream(2 * scores, scores, 4 * scores, Kind.SOFTMAX))
        if model.dropout:
            found.append(_stream(1.5 * scores, scores, scores))
    return [*found, *_beside(model, share, is_backward=True), *_casts(model, share, is_backward=True)]


def head_rows(model: Decoder, share: Share) -> tuple[list[Row], list[Row]]:
    """(forward, backward) of logits and loss; the loss reads and writes them in 32 bits three times."""
    tokens = share.microbatch * share.tokens // share.context
    n = -(-model.vocabulary // share.tensor)
    logits = tokens * n
    product = _product(tokens, n, model.hidden, model.weight_format)
    loss = [_stream(2 * logits, 2 * logits, 4 * logits)] * 3
    back = [
        _product(tokens, model.hidden, n, model.weight_format), _product(model.hidden, n, tokens, model.weight_format),
        _stream(3 * n * model.hidden, 2 * n * model.hidden, n * model.hidden), loss[0],
    ]  # fmt: skip
    return [product, *loss], back


def serving_rows(model: Decoder, share: Share, *, window: int = 0) -> list[Row]:
    """The kernels of one layer in an engine of inference: sums join norms, keys and values are written to their pages.

    share : `microbatch` sequences of `tokens` new tokens each behind `past` cached ones.
    """
    tokens, _, heads, _ = _sizes(model, share)
    products = [
        _product(m, n, k, "bf16" if groups > 1 and model.expert_format else model.product_format, groups,
                 stored=model.expert_format if groups > 1 else "")
        for m, n, k, groups in _weighted(model, share)
    ]  # fmt: skip
    wide, inner = tokens * model.hidden, tokens * -(-model.inner // share.tensor) * max(model.chosen, 1)
    keys = -(-model.keys // share.tensor) * model.head
    turned, written = tokens * (heads * model.head + keys), 2 * tokens * keys
    gates = 2 if model.gated else 1
    norm = _stream(2 * wide, 2 * wide, 8 * wide, Kind.NORM)
    beside = [norm, _stream(turned, turned, 3 * turned), _stream(written, written, written), norm,
              _stream(gates * inner, inner, 8 * gates * inner, Kind.ACTIVATION)]  # fmt: skip
    if model.experts:  # router, and tokens sorted by expert and summed
        moved = tokens * model.chosen * model.hidden
        beside += [_product(tokens, model.experts, model.hidden, "bf16"), _stream(tokens, tokens, tokens),
                   _stream(moved, moved // max(model.chosen, 1), moved)]  # fmt: skip
    fused = _attention(model._replace(fused_attention=True), share)
    return [*products, fused._replace(window=window), *beside]


def serving_head(model: Decoder, sequences: int, tensor: int) -> list[Row]:
    """Logits of one token of each sequence, and the choice of the next."""
    n = -(-model.vocabulary // tensor)
    logits = sequences * model.vocabulary
    return [_product(sequences, n, model.hidden, model.weight_format), _stream(2 * logits, sequences, 4 * logits)]


class BlockCost(NamedTuple):
    """Seconds of one microbatch on one GPU, collectives apart.

    forward_s, backward_s : of a layer. core_s : of its attention between the projections, forward. weights_s : of the
    half of backward that makes gradients of weights. head_forward_s, head_backward_s : of logits and loss.
    """

    forward_s: float
    backward_s: float
    core_s: float
    weights_s: float
    head_forward_s: float
    head_backward_s: float


def kernels_s(spec: Spec, lists: Sequence[Sequence[Row]]) -> list[float]:
    """Seconds of the kernels of each list on a GPU, in its family's own arithmetic."""
    assert GPU.layerwise is not None
    bank: dict[Row, int] = {}
    places = [[bank.setdefault(row, len(bank)) for row in rows] for rows in lists]
    costs, _ = tensor_of(GPU.layerwise, Layers.of(list(bank)), type(spec).to_table([spec]))
    seconds = costs[0, :, GPU.layerwise.metrics.index("kernels_s")]
    return [float(seconds[place].sum()) for place in places]


@lru_cache(maxsize=65536)
def _block_cost(model: Decoder, share: Share, spec: GpuSpec) -> BlockCost:
    core, forward, backward = _core(model, share), forward_rows(model, share), backward_rows(model, share)
    count = 3 * len(_weighted(model, share))
    weights = [row for place, row in enumerate(backward[:count]) if place % 3 > 0]
    head = head_rows(model, share)
    core_s, forward_s, backward_s, weights_s, *ends = kernels_s(spec, [core, forward, backward, weights, *head])
    if model.fused_attention:
        backward_s += BACKWARD_ATTENTION * core_s
    return BlockCost(forward_s, backward_s, core_s, weights_s, *ends)


def block_costs(model: Decoder, shares: Sequence[Share], spec: GpuSpec) -> Mapping[Share, BlockCost]:
    """Costs by share; each is computed once."""
    return {share: _block_cost(model, share, spec) for share in dict.fromkeys(shares)}
