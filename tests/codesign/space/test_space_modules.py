"""One description, two readings: random points of both spaces as torch modules count what their workloads count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from codesign.network import to_module
from codesign.space.architecture import ArchitectureSpace
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from hwmodels.workload.graph import Input
from hwmodels.workload.rewrite import prune_dead_branches

SPACES = {
    "cell": CellSpace(channels=4, cells=1, input_shape=(3, 16, 16), batch=2),
    "published cell": CellSpace(cells=1),
    "chain": ChainSpace(input_shape=(1, 12, 12), batch=2),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
def test_module_and_workload_agree(space: ArchitectureSpace, seed: int) -> None:
    genotype = space.sample(1, np.random.default_rng(seed))[0]
    workload = prune_dead_branches(space.workload(genotype))
    network = to_module(workload).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == workload.parameters
    image = torch.zeros(workload.input_shapes[0])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        values = network.run([image])
    assert counter.get_total_flops() == 2 * workload.macs
    for node in workload:
        if not isinstance(node.operator, Input):
            assert tuple(values[node.name].shape) == node.shape


def test_a_cell_with_an_empty_node_runs_as_written() -> None:
    space = SPACES["cell"]
    workload = space.workload(np.array([0, 0, 0, 3, 2, 1]))  # nodes 1 and 2 hold zeros
    network = to_module(workload).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) == workload.parameters
