"""What one GPU of a plan holds in training: parameters, gradients, states of the optimiser, activations.

Bytes a parameter of mixed precision with Adam [Rajbhandari et al.]: 2 of 16 bits, 4 of the gradient that sums are made
in, 12 of a full copy and two moments; 18 together. ZeRO shares out states (1), gradients (2) and parameters (3) over
the d data-parallel GPUs. What tensor shares do not split (norms, output biases, routers, learned positions) is whole on
each; experts are split over e GPUs and have d / e copies; a stage holds its layers, the first the embedding, the last
the head, and the copy of a tied embedding where it is another stage.

Activations of a layer in 16 bits with masks of a byte [Korthikanti et al., equations 1 to 6], b s tokens of h
features::

    none         s b h (10 + 24/t + 5 a s/(h t))      with sequence shares (s b h/t)(34 + 5 a s/h)
    selective    without 5 a s/h                      full: 2 s b h, of the layer's input alone

made here from what each kernel keeps, so that gates, few key heads, fused attention and missing dropout count as they
are. The first stage holds p microbatches of its layers under 1F1B, interleaved L (1 + (p - 1)/(p v)) layers.

Not modelled: fragmentation, buffers of collectives and of kernels, temporaries of the backward pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.multigpu.decoder import Decoder, parameters

__all__ = ["Held", "held_bytes", "layer_activation_bytes", "stage_parameters", "state_bytes"]

F64 = npt.NDArray[np.float64]

_PARAMETER, _GRADIENT, _STATES = 2.0, 4.0, 12.0
"""Bytes a parameter: 16 bits; a gradient of 32; a copy and two moments of 32."""


class Held(NamedTuple):
    """Bytes of one GPU of the fullest stage, (P,) each."""

    parameters: F64
    gradients: F64
    states: F64
    activations: F64

    @property
    def total(self) -> F64:
        """All of it."""
        return self.parameters + self.gradients + self.states + self.activations


def layer_activation_bytes(
    model: Decoder, *, microbatch: Any, tokens: Any, tensor: Any, sequence: Any, recompute: Any, context: Any = 1
) -> F64:
    """Bytes that a layer keeps of a microbatch, (P,). recompute : 0 none, 1 selective, 2 full.

    >>> gpt = Decoder(48, 6144, 64, 24576, 51200)
    >>> kept = layer_activation_bytes(gpt, microbatch=4, tokens=2048, tensor=8, sequence=True, recompute=0)
    >>> round(float(kept)), round(4 * 2048 * 6144 / 8 * (34 + 5 * 64 * 2048 / 6144))
    (884998144, 884998144)
    """
    b, s, t = (np.asarray(value, np.float64) for value in (microbatch, tokens, tensor))
    seen = s / np.asarray(context, np.float64)
    rows, h = b * seen, float(model.hidden)
    apart = np.where(np.asarray(sequence, np.bool_), t, 1.0)
    queries, keys = model.heads * model.head, model.keys * model.head
    mask = 1.0 if model.dropout else 0.0
    gates, routed = (2.0 if model.gated else 1.0), float(max(model.chosen, 1))
    # Inputs of norms and of the first products of each half; masks of the dropout behind each half.
    whole = rows * h / apart * (2.0 * 2.0 + 2.0 * 2.0 + 2.0 * mask)
    projected = rows / t * (2.0 * (queries + 2.0 * keys) + 2.0 * queries)
    feed = rows / t * 2.0 * model.inner * (gates + 1.0 + (gates - 1.0)) * routed
    # Scores behind the softmax, their mask, and what dropout leaves of them.
    scores = b * model.heads / t * seen * s * (2.0 + 3.0 * mask)
    core = np.zeros_like(scores) if model.fused_attention else scores
    how = np.asarray(recompute, np.int64)
    found: F64 = np.where(
        how == 2, 2.0 * rows * h / apart, whole + projected + feed + np.where(how == 1, 0.0, core)
    )  # fmt: skip
    return found


def stage_parameters(model: Decoder, *, tensor: Any, pipeline: Any, expert: Any = 1) -> tuple[F64, F64]:
    """(all but experts, experts) that a GPU of the fullest stage stores, (P,) each; stages differ by a layer."""
    t, p, e = np.broadcast_arrays(*(np.asarray(value, np.int64) for value in (tensor, pipeline, expert)))
    dense, sparse = np.zeros(t.shape), np.zeros(t.shape)
    for key in set(zip(t.ravel().tolist(), p.ravel().tolist(), e.ravel().tolist(), strict=True)):
        which = (t == key[0]) & (p == key[1]) & (e == key[2])
        of = parameters(model, tensor=key[0], expert=key[2])
        most = -(-model.layers // key[1])
        last = of["head"] + of["last"] + (of["embedding"] if model.tied and key[1] > 1 else 0.0)
        # Where layers do not divide, the ends have the fewer ones.
        at_ends = model.layers // key[1] if model.layers % key[1] else most
        if key[1] == 1:
            found = most * of["layer"] + of["embedding"] + last
        else:
            ends = at_ends * of["layer"] + max(of["embedding"], last)
            found = max(ends, most * of["layer"])
        dense[which], sparse[which] = found, most * of["experts"]
    return dense, sparse


def state_bytes(dense: F64, experts: F64, *, data: Any, expert: Any, zero: Any) -> tuple[F64, F64, F64]:
    """(parameters, gradients, states) in bytes of so many stored numbers, (P,) each."""
    d, e, stage = (np.asarray(value, np.float64) for value in (data, expert, zero))
    found = []
    for each, from_stage in ((_PARAMETER, 3), (_GRADIENT, 2), (_STATES, 1)):
        shared = stage >= from_stage
        copies = np.maximum(d / e, 1.0)
        found.append(each * (dense / np.where(shared, d, 1.0) + experts / np.where(shared, copies, 1.0)))
    return found[0], found[1], found[2]


def held_bytes(
    model: Decoder, *, tokens: Any, microbatch: Any, microbatches: Any, data: Any, tensor: Any, pipeline: Any,
    interleave: Any, sequence: Any, recompute: Any, zero: Any, expert: Any = 1, context: Any = 1, offload: Any = False,
) -> Held:  # fmt: skip
    """What a GPU of the fullest stage holds, (P,) each; offloaded states lie in the host's memory."""
    dense, experts = stage_parameters(model, tensor=tensor, pipeline=pipeline, expert=expert)
    ranks = np.asarray(data) * np.asarray(context)
    stored, gradients, states = state_bytes(dense, experts, data=ranks, expert=expert, zero=zero)
    states = np.where(np.asarray(offload, np.bool_), 0.0, states)
    p, v, m = (np.asarray(value, np.float64) for value in (pipeline, interleave, microbatches))
    layers = np.ceil(model.layers / p)
    flying = np.where(v > 1, p * (1.0 + (p - 1.0) / (p * v)), p)
    kept = layer_activation_bytes(
        model, microbatch=microbatch, tokens=tokens, tensor=tensor, sequence=sequence, recompute=recompute,
        context=context,
    )  # fmt: skip
    activations = layers * kept * np.minimum(flying, np.maximum(m, 1.0))
    # One layer is whole while it is made again.
    again = layer_activation_bytes(
        model, microbatch=microbatch, tokens=tokens, tensor=tensor, sequence=sequence, recompute=0, context=context
    )
    activations = activations + np.where(np.asarray(recompute) > 0, again - kept, 0.0)
    logits = 4.0 * np.asarray(microbatch) * np.asarray(tokens) / np.asarray(context) * model.vocabulary
    activations = activations + np.where(p == 1, logits / np.asarray(tensor), 0.0)
    return Held(stored, gradients, states, activations)
