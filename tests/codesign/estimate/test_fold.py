"""Folding changes the arithmetic's order and not the function."""

import torch

from codesign.estimate.fold import fold_norms
from codesign.network import Network, to_module
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, Linear, Norm


def branched() -> Workload:
    net = Builder("branched", (1, 3, 8, 8))
    x = net.conv_norm_act(net.input, 8, 3, groups=1)
    shared = net.add(Conv2d.square(8, 3, groups=8), x)
    x = net.residual(net.add(Norm("batch"), shared), shared)
    x = net.add(Norm("batch", affine=False), net.add(Conv2d.square(4, 1, bias=True), net.add(Norm("batch"), x)))
    x = net.flatten(net.add(Activation("relu"), x))
    return net.finish(net.add(Norm("batch"), net.add(Linear(5), x)))


def with_statistics(workload: Workload) -> Network:
    torch.manual_seed(0)
    network = to_module(workload)
    network.train()
    for _ in range(3):
        network(torch.randn(16, *workload.input_shapes[0][1:]) * 2 + 1)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


def test_folded_network_computes_the_same() -> None:
    network = with_statistics(branched())
    folded = fold_norms(network)
    images = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(folded(images), network(images), rtol=1e-4, atol=1e-5)


def test_only_norms_that_follow_a_private_product_fold() -> None:
    network = with_statistics(branched())
    folded = fold_norms(network)
    kinds = {node.name: type(folded.operation(node.name)).__name__ for node in network.nodes[1:]}
    assert [kinds[f"norm{i}"] for i in range(1, 6)] == [
        "Identity",
        "BatchNorm2d",  # its convolution has a second reader
        "BatchNorm2d",  # follows a sum
        "Identity",
        "Identity",
    ]
    assert isinstance(network.operation("norm1"), torch.nn.BatchNorm2d), "the original is left untouched"
