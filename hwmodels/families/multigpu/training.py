"""Time of a training step of a decoder under a plan; every plan of an array at once, on cached costs of layers.

A plan shares out the batch (data), layers (tensor), sequences (context), experts, and stages of layers (pipeline). Of a
microbatch, one layer takes forward F and backward B: kernels of the `gpu` family on its share (`decoder`), and the
collectives of its shares: two all-reduces each way, or with sequence shares gathers and scatters of the same bytes and
a further gather backward. Of what is sent backward, `overlap` hides behind gradients of weights. Recompute makes the
core of attention (selective) or all of the forward pass with its collectives again. With stages of L / p layers, v
pieces each, and m microbatches::

    step = m (F + B) of the slowest stage + bubble + transfers + gradients + optimiser
    bubble       (p - 1)/v (F + B)                       1F1B, interleaved where v > 1 [Narayanan et al.]
                 (p - 1)(F + B - 2 W)                    zero bubble, W of B makes gradients of weights [Qi et al.]
    transfers    2 v m messages of a microbatch's activations, a share each, that nothing hides; one more a stage
    gradients    buckets of all-reduce (scatter and gather where states are shared) behind the last backward pass,
                 which hides all but the last bucket where `overlapped`
    ZeRO 3       a layer is gathered before forward and backward and scattered behind it; where `overlapped`, a layer
                 ahead of the kernels: max(kernels, wires) each, else their sum
    optimiser    bytes of states, gradients and weights over the memory's rate, or over the host's link where offloaded

Not modelled: stragglers, checkpoints, input, the host's time, GPUs of different speed.
[Narayanan et al.] SC 2021. [Qi et al.] Zero Bubble Pipeline Parallelism, ICLR 2024: their H1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.multigpu.decoder import BlockCost, Decoder, Share, block_costs
from hwmodels.families.multigpu.fabric import Fabric, fabric_of, group_s
from hwmodels.families.multigpu.memory import Held, held_bytes, stage_parameters
from hwmodels.families.multigpu.spec import MultiGpuSpec

__all__ = ["FULL", "NONE", "REASONS", "SELECTIVE", "Job", "Plans", "Steps", "model_flops", "plans_of", "train"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

NONE, SELECTIVE, FULL = range(3)
"""What is made again."""

_OPTIMISER_BYTES = 38.0
"""Bytes a parameter and step: gradients are read for their norm, read again and set to zero (4 each), copy and moments
read and written (24), and 2 of weights written. Source: Kingma and Ba, ICLR 2015, algorithm 1, in mixed precision."""
_BUCKET_BYTES = 25e6 * 4
"""ASSUMED: of one bucket of gradients, 100 MB: four of torch's DistributedDataParallel; plausible 25e6 to 1e9."""


class Plans(NamedTuple):
    """P plans as columns, (P,) int64 each. sequence, overlapped, offload, zero_bubble : 0 or 1.

    data : copies of the model; experts are split over `expert` of them. context : GPUs that share a sequence.
    interleave : pieces of a stage. recompute : 0 none, 1 selective, 2 full. overlapped : gradients are exchanged
    during backward, and weights of ZeRO 3 ahead of their layer.
    """

    data: I64
    tensor: I64
    pipeline: I64
    context: I64
    expert: I64
    microbatch: I64
    interleave: I64
    sequence: I64
    recompute: I64
    zero: I64
    overlapped: I64
    offload: I64
    zero_bubble: I64


_DEFAULTS = dict.fromkeys(Plans._fields, 1) | dict.fromkeys(
    ("sequence", "recompute", "zero", "overlapped", "offload", "zero_bubble"), 0
)


def plans_of(**columns: Any) -> Plans:
    """Plans of the named columns; the others are 1 of each kind of share, and nothing else.

    >>> plans_of(tensor=[1, 2, 4]).data.tolist()
    [1, 1, 1]
    """
    arrays = np.broadcast_arrays(*(np.asarray(columns.get(name, _DEFAULTS[name]), np.int64) for name in Plans._fields))
    return Plans(*(np.atleast_1d(array) for array in arrays))


class Job(NamedTuple):
    """What is trained: sequences of `tokens`, `batch` of them a step.

    overlap : share of backward collectives of tensor shares that gradients of weights hide. Source: the backward passes
    of table 4 of Korthikanti et al. with and without sequence shares, 0.39 and 0.41. gradient_bytes : of what is
    exchanged. frozen : weights rest, as below adapters of few numbers: there are no gradients of weights, none of
    their states, and nothing to update.
    """

    model: Decoder
    tokens: int
    batch: int
    overlap: float = 0.4
    gradient_bytes: float = 4.0
    frozen: bool = False


class Steps(NamedTuple):
    """Seconds by cause, (P,) each, and what one GPU holds; `why` is 0 where a plan runs, else the code of `REASONS`."""

    step_s: F64
    compute_s: F64
    recompute_s: F64
    exchange_s: F64
    bubble_s: F64
    transfer_s: F64
    gradient_s: F64
    optimiser_s: F64
    held: Held
    why: npt.NDArray[np.int8]


REASONS = (
    "shares and stages do not make up the GPUs there are", "layers, heads or the batch do not divide",
    "memory of one GPU does not hold its share", "memory of the host does not hold what is offloaded",
)  # fmt: skip


def model_flops(job: Job, *, attention: bool = True) -> float:
    """Operations of a step without what is made again: 6 a parameter and token, and those of the scores.

    attention : count the products of scores, 12 L s h a token, not halved by the causal mask [Narayanan et al.].
    """
    model, tokens = job.model, float(job.tokens) * job.batch
    queries, keys = model.heads * model.head, model.keys * model.head
    feed = (3 if model.gated else 2) * model.hidden * model.inner * max(model.chosen, 1)
    layer = model.hidden * (queries + 2 * keys) + queries * model.hidden + feed
    scores = 12.0 * model.layers * job.tokens * queries if attention else 0.0
    return tokens * (6.0 * (model.layers * layer + model.vocabulary * model.hidden) + scores)


def _blocks(job: Job, plans: Plans, spec: MultiGpuSpec) -> BlockCost:
    """Costs of layers and head of every plan, (P,) each; one kernel evaluation a distinct share."""
    keys = (plans.microbatch, plans.tensor, plans.sequence, plans.context, plans.expert)
    sizes = [int(key.max(initial=0)) + 1 for key in keys]
    _, first, place = np.unique(np.ravel_multi_index(keys, sizes), return_index=True, return_inverse=True)
    shares = [
        Share(b, job.tokens, t, sequence=bool(s), context=c, expert=e)
        for b, t, s, c, e in np.stack(keys)[:, first].T.tolist()
    ]
    costs = block_costs(job.model, shares, spec.gpu)
    table = np.array([costs[share] for share in shares])[place.reshape(-1)]
    found = BlockCost(*np.ascontiguousarray(table.T))
    # Weights that rest: the half of backward that makes their gradients is not run.
    if job.frozen:
        return found._replace(backward_s=found.backward_s - found.weights_s, weights_s=0.0 * found.weights_s)
    return found


def _tokens(job: Job, plans: Plans) -> F64:
    """Tokens of a microbatch on one GPU."""
    return plans.microbatch * job.tokens / plans.context


def _layer_exchange(job: Job, plans: Plans, fabric: Fabric) -> tuple[F64, F64]:
    """(forward, backward) collectives of a layer's shares, (P,) s; backward what is left of them."""
    size = _tokens(job, plans) * job.model.hidden * 2.0
    t = plans.tensor
    added = group_s(fabric, "all_reduce", size, t)
    gathered = group_s(fabric, "all_gather", size, t)
    scattered = group_s(fabric, "reduce_scatter", size, t)
    shares = plans.sequence == 1
    forward = np.where(shares, 2.0 * (gathered + scattered), 2.0 * added)
    backward = np.where(shares, 2.0 * (gathered + scattered) + 2.0 * gathered, 2.0 * added) * (1.0 - job.overlap)
    routed, back = _experts(job, plans, fabric)
    around = _contexts(job, plans, fabric)
    return forward + routed + around, backward + back + 2.0 * around


def _experts(job: Job, plans: Plans, fabric: Fabric) -> tuple[F64, F64]:
    """Tokens go to their experts and come back, each way."""
    if not job.model.experts:
        return np.zeros(plans.data.size), np.zeros(plans.data.size)
    size = _tokens(job, plans) * job.model.chosen * job.model.hidden * 2.0
    moved = 2.0 * group_s(fabric, "all_to_all", size, plans.expert, stride=plans.tensor * plans.context)
    return moved, moved


def _contexts(job: Job, plans: Plans, fabric: Fabric) -> F64:
    """Keys and values of the other GPUs of a sequence, gathered; the kernels of attention hide half of it.

    ASSUMED: half; plausible 0 to 1, by rings and how the mask balances them.
    """
    keys = -(-job.model.keys // plans.tensor) * job.model.head
    size = 2.0 * plans.microbatch * job.tokens * keys * 2.0
    return 0.5 * group_s(fabric, "all_gather", size, plans.context, stride=plans.tensor)


def _gradients(job: Job, plans: Plans, fabric: Fabric, dense: F64, experts: F64, backward_s: F64) -> F64:
    """What the exchange of gradients adds behind the last backward pass, (P,) s."""
    ranks, stride = plans.data * plans.context, plans.tensor
    total = np.zeros(plans.data.size)
    for size, n, step in (
        (dense, ranks, stride), (experts, np.maximum(ranks // plans.expert, 1), stride * plans.expert)
    ):  # fmt: skip
        weights, gradients = 2.0 * size, job.gradient_bytes * size
        added = group_s(fabric, "all_reduce", gradients, n, stride=step)
        shared = (group_s(fabric, "reduce_scatter", gradients, n, stride=step)
                  + group_s(fabric, "all_gather", weights, n, stride=step))  # fmt: skip
        total += np.where((plans.zero == 1) | (plans.zero == 2), shared, np.where(plans.zero == 0, added, 0.0))
    last = total * np.minimum(_BUCKET_BYTES / np.maximum(job.gradient_bytes * (dense + experts), 1.0), 1.0)
    return np.where(plans.overlapped == 1, np.maximum(total - backward_s, last), total)


def _fully_shared(job: Job, plans: Plans, fabric: Fabric, dense: F64, layers: F64) -> tuple[F64, F64]:
    """ZeRO 3: (gather of a layer, scatter of its gradients) in s, (P,) each; 0 elsewhere, and of weights that rest."""
    ranks = plans.data * plans.context
    each = dense / layers
    gathered = group_s(fabric, "all_gather", 2.0 * each, ranks, stride=plans.tensor)
    scattered = group_s(fabric, "reduce_scatter", job.gradient_bytes * each, ranks, stride=plans.tensor)
    on = plans.zero == 3
    return np.where(on, gathered, 0.0), np.where(on & (not job.frozen), scattered, 0.0)


def _beside(kernels_s: F64, wires_s: F64, plans: Plans) -> F64:
    """The longer of both where collectives run ahead of the kernels, else their sum."""
    return np.where(plans.overlapped == 1, np.maximum(kernels_s, wires_s), kernels_s + wires_s)


def train(job: Job, plans: Plans, spec: MultiGpuSpec) -> Steps:
    """Steps of every plan on a cluster; a plan that does not run keeps its figures and says why."""
    fabric, block = fabric_of(spec), _blocks(job, plans, spec)
    p, v = plans.pipeline.astype(np.float64), plans.interleave.astype(np.float64)
    m = np.ceil(job.batch / (plans.data * plans.microbatch))
    layers = np.ceil(job.model.layers / p)
    dense, experts = stage_parameters(job.model, tensor=plans.tensor, pipeline=plans.pipeline, expert=plans.expert)
    forward_x, backward_x = _layer_exchange(job, plans, fabric)
    full, selective = plans.recompute == FULL, plans.recompute == SELECTIVE
    again_s = np.where(full, block.forward_s, np.where(selective & (not job.model.fused_attention), block.core_s, 0.0))
    again_x = np.where(full, forward_x, 0.0)
    gathered, scattered = _fully_shared(job, plans, fabric, dense, layers)
    forward = _beside(block.forward_s + forward_x, gathered, plans)
    back = _beside(block.backward_s + again_s + backward_x + again_x, gathered + scattered, plans)
    waits = forward + back - (block.forward_s + forward_x + block.backward_s + again_s + backward_x + again_x)
    head = block.head_forward_s + block.head_backward_s
    stage = layers * (forward + back)
    slowest = stage + head  # the last stage has the head beside its layers
    bubble = (p - 1.0) / v * stage
    eager = (p - 1.0) * np.maximum(stage - 2.0 * layers * block.weights_s, 0.0)
    bubble = np.where(plans.zero_bubble == 1, np.minimum(eager, bubble), bubble)
    transfer = _transfers(job, plans, fabric, m)
    trained = 0.0 if job.frozen else 1.0
    gradients = trained * _gradients(job, plans, fabric, dense, experts, layers * back)
    optimiser = trained * _optimiser(plans, spec, dense + experts)
    held = held_bytes(
        job.model, tokens=job.tokens, microbatch=plans.microbatch, microbatches=m, data=plans.data,
        tensor=plans.tensor, pipeline=plans.pipeline, interleave=plans.interleave, sequence=plans.sequence,
        recompute=plans.recompute, zero=plans.zero, expert=plans.expert, context=plans.context,
        offload=plans.offload,
    )  # fmt: skip
    held = held._replace(gradients=trained * held.gradients, states=trained * held.states)
    exchange = m * layers * (forward_x + backward_x + again_x + waits)
    return Steps(
        m * slowest + bubble + transfer + gradients + optimiser,
        m * (layers * (block.forward_s + block.backward_s) + head), m * layers * again_s, exchange, bubble,
        transfer, gradients, optimiser, held, _why(job, plans, spec, held, dense + experts),
    )  # fmt: skip


def _transfers(job: Job, plans: Plans, fabric: Fabric, m: F64) -> F64:
    """Activations and their gradients from stage to stage, each GPU its share [Narayanan et al., 4.1]."""
    size = _tokens(job, plans) * job.model.hidden * 2.0 / plans.tensor
    stride = plans.tensor * plans.context * plans.data
    one = group_s(fabric, "send", size, plans.pipeline, stride=stride)
    # The network's cards carry them; on the way into a layer without sequence shares, they are gathered.
    whole = group_s(fabric, "all_gather", size * plans.tensor, plans.tensor)
    one = one + np.where(plans.sequence == 1, 0.0, whole)
    return np.where(plans.pipeline > 1, 2.0 * one * (m * plans.interleave + plans.pipeline - 1), 0.0)


def _optimiser(plans: Plans, spec: MultiGpuSpec, stored: F64) -> F64:
    """The update of this GPU's share of the states, (P,) s."""
    mine = stored / np.where(plans.zero >= 1, plans.data * plans.context, 1)
    near = spec.gpu.dram_bytes_per_s * spec.gpu.stream_efficiency
    # Offloaded: gradients of 32 bits go to the host, weights of 16 come back, and its processors read the rest there.
    far = spec.host_bytes_per_s * spec.link_efficiency
    found: F64 = np.where(plans.offload == 1, mine * 6.0 / far, mine * _OPTIMISER_BYTES / near)
    return found


def _why(job: Job, plans: Plans, spec: MultiGpuSpec, held: Held, stored: F64) -> npt.NDArray[np.int8]:
    """0 where a plan runs, else 1 + the place of its reason."""
    model = job.model
    gpus = plans.data * plans.tensor * plans.pipeline * plans.context
    wrong = gpus != spec.nodes * spec.gpus_per_node
    uneven = (model.heads % plans.tensor > 0) | (job.batch % (plans.data * plans.microbatch) > 0)
    uneven |= (plans.pipeline > model.layers) | (job.tokens % plans.context > 0)
    m = job.batch // np.maximum(plans.data * plans.microbatch, 1)
    pieces = plans.pipeline * plans.interleave
    uneven |= (plans.interleave > 1) & ((plans.pipeline < 2) | (m % plans.pipeline > 0) | (model.layers % pieces > 0))
    uneven |= (plans.expert > 1) & ((max(model.experts, 1) % plans.expert > 0) | (plans.data % plans.expert > 0))
    too_large = held.total > spec.gpu.memory_bytes
    shared = np.where(plans.zero >= 1, plans.data * plans.context, 1)
    on_host = np.where(plans.offload == 1, 12.0 * stored / shared * spec.gpus_per_node, 0.0)
    codes: npt.NDArray[np.int8] = np.select(
        [wrong, uneven, too_large, on_host > spec.host_memory_bytes], [1, 2, 3, 4], 0
    ).astype(np.int8)
    return codes
