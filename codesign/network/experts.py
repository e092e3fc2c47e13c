"""Mixtures of experts in torch: rows in the order of their experts, and back (see `hwmodels.workload.ops.experts`).

Who is chosen follows from the shares alone, so each operator finds it again from them. Equal arguments give equal
routes; a token's route does not depend on who else is in the batch.
"""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ExpertLinear", "combine", "dispatch", "rows_an_expert"]


def dispatch(x: Tensor, shares: Tensor, *, chosen: int) -> Tensor:
    """(B, T, F) tokens as (B T chosen, F) rows, expert by expert."""
    order = _order(shares, chosen)
    return x.flatten(0, -2)[order // chosen]


def rows_an_expert(rows: int, shares: Tensor) -> Tensor:
    """How many of the rows each expert has, (E,)."""
    experts = shares.shape[-1]
    chosen = rows // (shares.numel() // experts)
    return torch.bincount(shares.topk(chosen, dim=-1).indices.flatten(), minlength=experts)


def combine(rows: Tensor, shares: Tensor, *, chosen: int) -> Tensor:
    """(B T chosen, F) rows, expert by expert, as the (B, T, F) sums that a token's shares weigh."""
    order = _order(shares, chosen)
    back = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel(), device=order.device))
    weights = shares.topk(chosen, dim=-1).values
    if chosen > 1:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    of_token = rows[back].reshape(*shares.shape[:-1], chosen, rows.shape[-1])
    return (of_token * weights[..., None]).sum(dim=-2)


def _order(shares: Tensor, chosen: int) -> Tensor:
    """The places (token, choice) in the order of the experts that are chosen there, tokens of one expert in theirs."""
    return shares.topk(chosen, dim=-1).indices.flatten().argsort(stable=True)


class ExpertLinear(nn.Module):
    """Matrices of experts, (E N, K) one below the other, each over its own rows; drawn as `torch.nn.Linear` does."""

    def __init__(self, experts: int, features: int, out_features: int) -> None:
        super().__init__()
        limit = 1 / sqrt(features)
        self.weight = nn.Parameter(torch.empty(experts * out_features, features).uniform_(-limit, limit))

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        counts = rows_an_expert(len(x), shares).tolist()
        matrices = self.weight.chunk(len(counts))
        parts = [F.linear(part, matrix) for part, matrix in zip(torch.split(x, counts), matrices, strict=True)]
        return torch.cat(parts)
