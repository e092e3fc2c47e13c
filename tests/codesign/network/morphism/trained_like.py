"""Networks of small spaces with weights as after a training: no statistic or gain at its first value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from codesign.network.module import Network, to_module
from codesign.space.architecture import ArchitectureSpace
from codesign.space.branches import BranchesSpace
from codesign.space.chain import ChainSpace
from codesign.space.mobile import MobileSpace
from codesign.space.nasbench101 import NasBench101Space
from codesign.space.skeleton import SKELETONS, Stage
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

_WORDS = ("k3e2", "k5e2se", "k3e2g2", "k3e4g2se", "skip")
_STAGES = tuple(
    Stage((channels,), stride, 2, 1, _WORDS, activation)  # type: ignore[arg-type]
    for channels, stride, activation in ((8, 1, "relu"), (12, 2, "relu6"), (16, 2, "hardswish"))
)
_IMAGES = {"input_shape": (1, 8, 8), "classes": 10}
SPACES: dict[str, ArchitectureSpace] = {
    "chain": ChainSpace(stages=2, width=(4, 6, 9), **_IMAGES),  # type: ignore[arg-type]
    "branches": BranchesSpace(channels=(4, 6), places=3, **_IMAGES),  # type: ignore[arg-type]
    "joined": BranchesSpace(channels=(4, 6), places=3, join="concat", **_IMAGES),  # type: ignore[arg-type]
    "mobile": MobileSpace(replace(SKELETONS["small"], stages=_STAGES, features=20), **_IMAGES),  # type: ignore[arg-type]
    "nasbench101": NasBench101Space(channels=8, stacks=2, **_IMAGES),  # type: ignore[arg-type]
}


def network_of(space: str, rng: np.random.Generator) -> Workload:
    """A network drawn from a space."""
    return prune_dead_branches(SPACES[space].workload(SPACES[space].sample(1, rng)[0]))


def trained_like(workload: Workload, rng: np.random.Generator, dtype: torch.dtype = torch.float64) -> Network:
    """Weights, statistics and gains drawn at random, in evaluation mode."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**40)))
    network = to_module(workload).to(dtype)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point() and tensor.dim() > 1:
                bound = (3 / tensor[0].numel()) ** 0.5
                tensor.copy_(bound * (2 * torch.rand(tensor.shape, generator=generator) - 1))
            elif tensor.is_floating_point():
                start = float(name.endswith("weight"))
                tensor.copy_(start + 0.3 * torch.randn(tensor.shape, generator=generator))
    return network.eval()


def arrays(network: Network) -> dict[str, Any]:
    return {name: tensor.detach().numpy().copy() for name, tensor in network.state_dict().items()}


def with_state(workload: Workload, state: Mapping[str, Any], dtype: torch.dtype = torch.float64) -> Network:
    network = to_module(workload).to(dtype)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return network.eval()


def apart(one: Network, other: Network, *, images: int = 3) -> float:
    """Largest difference of the outputs on random images, by the largest output of the first."""
    shape = one.workload.input_shapes[0][1:]
    dtype = next(one.parameters()).dtype
    x = torch.randn((images, *shape), generator=torch.Generator().manual_seed(1), dtype=dtype)
    with torch.no_grad():
        first, second = one(x), other(x)
    return float((first - second).abs().max() / first.abs().max())
