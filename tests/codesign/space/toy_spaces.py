"""Toy spaces of every shape: wide images with grouped convolutions and gates, sequences, several inputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.lowering import BatchGraph, Tensor
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import (
    Activation,
    Concat,
    Conv2d,
    Elementwise,
    MatMul,
    Norm,
    Permute,
    Pool2d,
    Recurrent,
    Reshape,
    Softmax,
)
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

Point = npt.NDArray[np.integer]


class MobileSpace(ArchitectureSpace):
    """Inverted residuals on images wider than high: depthwise, dilated, grouped, gated, joined to the stem."""

    def __init__(self) -> None:
        genes = [
            Gene("kernel", (3, 5)),
            Gene("expansion", (1, 2, 3)),
            Gene("dilation", (1, 2)),
            Gene("groups", (1, 2)),
            Gene("gate", (False, True)),
            Gene("join", (False, True)),
        ]
        super().__init__(genes, inputs=[(3, 8, 12)], batch=2)

    def workload(self, genotype: Point) -> Workload:
        point, net = self.decode(genotype), self.builder("mobile")
        stem = net.conv_norm_act(net.input, 4, 3, stride=2, activation="hardswish")
        width = 4 * point["expansion"]
        x = net.add(Conv2d.square(width, 1, groups=point["groups"]), stem)
        x = net.add(Activation("relu"), net.add(Norm("batch"), x))
        x = net.add(Conv2d.square(width, point["kernel"], dilation=point["dilation"], groups=width), x)
        x = net.add(Norm("batch"), x)
        if point["gate"]:
            x = net.squeeze_excite(x, 2)
        x = net.residual(net.conv_norm_act(x, 4, 1, activation=None), stem)
        if point["join"]:
            x = net.add(Concat(1), x, stem)
        return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 5))

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        net = self.batch_graph(len(genotypes), semantics)
        kernel, expansion, dilation, groups, gate, join = (self.column(genotypes, gene.name) for gene in self.genes)
        stem = net.activation(net.norm(net.conv(net.input, 4, 3, stride=2)), "hardswish")
        width = 4 * expansion
        x = net.activation(net.norm(net.conv(stem, width, 1, groups=groups)))
        x = net.norm(net.conv(x, width, kernel, dilation=dilation, groups=width))
        x = net.squeeze_excite(x, 2, present=gate)
        x = net.sum([net.norm(net.conv(x, 4, 1)), stem])
        x = net.concat([x, stem], present=join)
        return net.finish(net.linear(net.flatten(net.pool(x, Pool2d("avg"))), 5))


class AttentionSpace(ArchitectureSpace):
    """Transformer layers over a sequence: heads and width of each, one layer or two."""

    def __init__(self) -> None:
        genes = [Gene("layers", (1, 2)), *(Gene(f"heads{i}", (1, 2, 4)) for i in (0, 1)), Gene("width", (8, 16))]
        super().__init__(genes, inputs=[(6, 8)], batch=1)

    def workload(self, genotype: Point) -> Workload:
        point, net = self.decode(genotype), self.builder("attention")
        x = net.input
        for layer in range(point["layers"]):
            x = net.residual(x, net.attention(net.add(Norm("layer"), x), point[f"heads{layer}"]))
            y = net.add(Activation("gelu"), net.linear(net.add(Norm("layer"), x), point["width"]))
            x = net.residual(x, net.linear(y, 8))
        return net.finish(net.linear(net.add(Norm("layer"), x), 3))

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        net = self.batch_graph(len(genotypes), semantics)
        layers, width = self.column(genotypes, "layers"), self.column(genotypes, "width")
        x = net.input
        for layer in range(2):
            there = layers > layer
            y = net.add(lambda: Norm("layer"), x, present=there)
            y = lower_attention(net, y, self.column(genotypes, f"heads{layer}"), there, self.batch)
            x = net.add(lambda: Elementwise("add"), x, y, present=there)
            y = net.linear(net.add(lambda: Norm("layer"), x, present=there), width, present=there)
            y = net.linear(net.activation(y, "gelu", present=there), 8, present=there)
            x = net.add(lambda: Elementwise("add"), x, y, present=there)
        return net.finish(net.linear(net.add(lambda: Norm("layer"), x), 3))


def lower_attention(
    net: BatchGraph, x: Tensor, heads: npt.NDArray[np.int64], there: npt.NDArray[np.bool_], batch: int
) -> Tensor:
    """`Builder.attention` of 6 tokens and 8 features in all networks at once."""

    def split(heads: int) -> Reshape:
        return Reshape((batch, 6, heads, 8 // heads))

    query, key, value = (
        net.add(
            lambda: Permute((0, 2, 1, 3)),
            net.add(split, net.linear(x, 8, present=there), columns=(heads,), present=there),
            present=there,
        )
        for _ in range(3)
    )
    keys = net.add(lambda: Permute((0, 1, 3, 2)), key, present=there)
    scores = net.add(lambda: Softmax(), net.add(lambda: MatMul(), query, keys, present=there), present=there)
    mixed = net.add(lambda: MatMul(), scores, value, present=there)
    merged = net.add(lambda: Permute((0, 2, 1, 3)), mixed, present=there)
    return net.linear(net.add(lambda: Reshape((batch, 6, 8)), merged, present=there), 8, present=there)


class PairSpace(ArchitectureSpace):
    """An image beside a sequence, by the default lowering: nothing but graphs."""

    def __init__(self) -> None:
        genes = [Gene("cell", ("lstm", "gru")), Gene("width", (4, 6)), Gene("product", (False, True))]
        super().__init__(genes, inputs=[(1, 6, 9), (5, 3)], batch=2)

    def workload(self, genotype: Point) -> Workload:
        point, net = self.decode(genotype), self.builder("pair")
        sequence = net.source(self.batched_inputs[1], name="sequence")
        seen = net.add(Pool2d("avg"), net.conv_norm_act(net.input, point["width"], 3))
        seen = net.linear(net.flatten(seen), 8)
        heard = net.flatten(net.add(Recurrent(point["cell"], point["width"]), sequence))
        heard = net.linear(heard, 8)
        joined = net.add(Elementwise("mul" if point["product"] else "add"), seen, heard)
        return net.finish(net.linear(joined, 2))
