"""DenseNet [Huang et al., CVPR 2017]: every layer reads the concatenation of all before it in its block (DenseNet-BC).

Each concatenation is a copy of everything so far, as in torchvision's default; the shared-memory version of the
technical report is not modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Concat, Conv2d, Norm, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# depth: (layers of each block, growth rate) [Huang'17, table 1; 161 from the authors' published models]
_NETWORKS = {
    121: ((6, 12, 24, 16), 32),
    161: ((6, 12, 36, 24), 48),
    169: ((6, 12, 32, 32), 32),
    201: ((6, 12, 48, 32), 32),
}


def _activated(net: Builder, x: str) -> str:
    return net.add(Activation("relu"), net.add(Norm("batch"), x))


def _dense_layer(net: Builder, x: str, growth: int) -> str:
    """Bottleneck of 4 growth channels, then growth new channels beside what came in."""
    y = net.add(Conv2d.square(4 * growth, 1), _activated(net, x))
    y = net.add(Conv2d.square(growth, 3), _activated(net, y))
    return net.add(Concat(), x, y)


def _densenet(net: Builder, *, layers: Sequence[int], growth: int) -> str:
    x = net.conv_norm_act(net.input, 2 * growth, 7, stride=2)
    x = net.add(Pool2d("max", 3, 2, 1), x)
    for block, repeats in enumerate(layers):
        if block > 0:  # transition: half the channels, half the size
            x = net.add(Conv2d.square(net.shape(x)[1] // 2, 1), _activated(net, x))
            x = net.add(Pool2d("avg", 2), x)
        for _ in range(repeats):
            x = _dense_layer(net, x, growth)
    return net.linear(net.flatten(net.add(Pool2d("avg"), _activated(net, x))), 1000)


ENTRIES = tuple(
    Entry(
        f"densenet{depth}",
        partial(_densenet, layers=layers, growth=growth),
        (3, 224, 224),
        "Huang et al. 2017; torchvision model metadata",
    )
    for depth, (layers, growth) in _NETWORKS.items()
)
