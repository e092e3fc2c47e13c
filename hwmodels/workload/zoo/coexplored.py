"""Three CIFAR-10 networks co-explored with an FPGA [Jiang et al., IEEE TCAD 2020].

Chains of convolutions with bias, ReLU and batch norm, then one linear layer on the flattened image. The published
totals count four values a channel of every normalisation, the running statistics among them; parameters here count
the affine two.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# (kernel, filters, stride) of every layer [the networks of the Co-Explore-NAS repository]
_HARDWARE_FIXED = (
    (5, 24, 1), (1, 64, 1), (5, 48, 1), (7, 24, 1), (5, 36, 1),
    (1, 24, 1), (5, 48, 1), (3, 24, 1), (7, 24, 1), (3, 36, 1),
)  # fmt: skip
_HARDWARE_PREDICTABLE = ((3, 36, 1), (5, 36, 1), (1, 64, 1), (3, 48, 2), (7, 24, 1), (1, 64, 1))
_SOFTWARE_PREDICTABLE = (
    (1, 24, 1), (7, 64, 1), (1, 64, 1), (5, 48, 2), (5, 48, 1), (7, 24, 1), (7, 64, 1),
    (5, 24, 2), (1, 48, 1), (5, 36, 1), (1, 48, 1), (7, 24, 2), (1, 64, 1), (7, 36, 1),
)  # fmt: skip


def _chain(net: Builder, *, layers: tuple[tuple[int, int, int], ...]) -> str:
    x = net.input
    for kernel, filters, stride in layers:
        x = net.add(Conv2d.square(filters, kernel, stride=stride, bias=True), x)
        x = net.add(Norm("batch"), net.add(Activation("relu"), x))
    return net.linear(net.flatten(x), 10)


_SOURCE = "Jiang et al. 2020; Co-Explore-NAS"

ENTRIES = (
    Entry("coexplored_opthw_fixed", partial(_chain, layers=_HARDWARE_FIXED), (3, 32, 32), _SOURCE),
    Entry("coexplored_opthw_predictable", partial(_chain, layers=_HARDWARE_PREDICTABLE), (3, 32, 32), _SOURCE),
    Entry("coexplored_optsw_predictable", partial(_chain, layers=_SOFTWARE_PREDICTABLE), (3, 32, 32), _SOURCE),
)
