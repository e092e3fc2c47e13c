"""Layers of a child that stand for none of its parent: put in so that they change nothing, where they can.

A convolution or linear layer of ones; a batch norm that undoes itself; an activation where it is the identity; a sum
whose new terms start at zero; a concatenation of which what is new is not read. See `codesign.network.morphism.follow`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from codesign.network.morphism.channels import Channels, Index, is_depthwise
from codesign.network.morphism.ranges import keeps, maps_zero_to_zero, value_ranges
from codesign.network.morphism.weights import Array, identity, reads_its_place
from hwmodels.workload import ops
from hwmodels.workload.graph import Node, Workload
from hwmodels.workload.ops.row import channels_of

__all__ = ["Insertion", "Stands", "Statistics"]

Statistics = Mapping[str, tuple[Array, Array]]
"""Mean and variance of each channel, by the parent's tensor."""

_EPSILON = 1e-5  # [torch.nn.BatchNorm2d] what joins the variance under the root
_NO_IDENTITY = "a new layer that cannot be the identity"


class Stands(NamedTuple):
    """A child's tensor as one of its parent: which, by which channels, and whether it equals it."""

    source: str
    channels: Index
    exact: bool


class Insertion:
    """Puts layers into a child.

    Parameters
    ----------
    new : the child's weights by layer, which are written to. channels, statistics : as of a walk over the child.
    judge : is told of each layer whether the function stays, and if not why; it returns the former.
    """

    def __init__(
        self,
        parent: Workload,
        child: Workload,
        *,
        pairs: Mapping[str, str],
        new: dict[str, dict[str, Array]],
        channels: Channels,
        statistics: Statistics,
        judge: Callable[[Node, bool, str], bool],
    ) -> None:
        self.parent, self.child, self.pairs, self.new = parent, child, pairs, new
        self.channels, self.statistics, self._judge = channels, statistics, judge
        self.ranges = value_ranges(parent)
        self.readers = Counter([*child.outputs, *(source for node in child for source in node.inputs)])
        # What the parent's layers read where the child's read a tensor, looking through what is put in.
        self._expected: dict[str, set[str]] = {}
        for node in reversed(child.nodes):
            was, passed = pairs.get(node.name), self._expected.get(node.name, set())
            for source in node.inputs:
                reads = passed if was is None else set(parent[was].inputs)
                self._expected.setdefault(source, set()).update(reads)

    def put_in(self, node: Node, given: Sequence[Stands | None]) -> Stands | None:
        """What a new layer makes, as a tensor of the parent where it stands for one; it writes the layer's weights.

        given : what its operands stand for.
        """
        operator = node.operator
        if isinstance(operator, ops.Elementwise):
            return self._sum_put_in(node, given)
        if isinstance(operator, ops.Concat) and _joins_channels(node):
            return self._concatenation_put_in(node, given)
        if len(given) != 1 or given[0] is None:
            return None
        stands = given[0]
        if isinstance(operator, ops.Conv2d | ops.Linear):
            return self._identity_product(node, stands)
        if node.shape != self.child[node.inputs[0]].shape:
            return None
        if isinstance(operator, ops.Norm):
            equal = operator.mode == "batch" and self._identity_norm(node, operator, stands)
        else:
            equal = isinstance(operator, ops.Activation) and keeps(operator, self.ranges[stands.source])
        equal = self._judge(node, equal or not stands.exact, _NO_IDENTITY)
        return stands._replace(exact=stands.exact and equal)

    def _identity_product(self, node: Node, stands: Stands) -> Stands | None:
        """A convolution or linear layer of ones: each output takes a channel that stands for what it stands for."""
        before, layer = self.child[node.inputs[0]].shape, self.new[node.name]
        if before[2:] != node.shape[2:] if len(before) == 4 else before[:-1] != node.shape[:-1]:
            return None
        depthwise = is_depthwise(self.child, node)
        leaving = stands.channels if depthwise else self.channels.of(node.name, stands.source)
        groups = node.operator.groups if isinstance(node.operator, ops.Conv2d) else 1
        made = identity(layer["weight"], leaving, stands.channels, groups)
        stays = made is not None and reads_its_place(node.operator)
        self._judge(node, stays or not stands.exact, _NO_IDENTITY)
        if made is None or not stays:
            return Stands(stands.source, leaving, False)
        layer["weight"] = made
        if "bias" in layer:
            layer["bias"] = np.zeros_like(layer["bias"])
        return Stands(stands.source, leaving, stands.exact)

    def _identity_norm(self, node: Node, operator: ops.Norm, stands: Stands) -> bool:
        """A batch norm that undoes itself."""
        layer, count = self.new[node.name], len(stands.channels)
        prefix = "norm." if "norm.running_mean" in layer else ""
        mean, variance = self.statistics.get(stands.source, (np.zeros(1), np.ones(1)))
        is_known = operator.affine and len(mean) > stands.channels.max(initial=0)
        chosen = np.where(stands.channels >= 0, stands.channels, 0) if is_known else np.zeros(count, np.int64)
        mean, variance = (mean, variance) if is_known else (np.zeros(1), np.full(1, 1 - _EPSILON))
        values = {"running_mean": mean[chosen], "running_var": variance[chosen]}
        if operator.affine:
            values |= {"bias": mean[chosen], "weight": np.sqrt(variance[chosen] + _EPSILON)}
        for key, value in values.items():
            layer[prefix + key] = value.astype(layer[prefix + key].dtype)
        return True

    def _sum_put_in(self, node: Node, given: Sequence[Stands | None]) -> Stands | None:
        """A sum whose new terms start at zero, and what is left of it."""
        full = [i for i, name in enumerate(node.inputs) if self.child[name].shape == node.shape]
        silent = [i for i in range(len(given)) if self._end_of_branch(node.inputs[i]) is not None]
        expected = self._expected.get(node.name, set())
        known = [(i not in silent, one.source in expected, -i) for i, one in enumerate(given) if one and i in full]
        if not known:
            return None
        kept = -max(known)[2]
        others = [i for i in range(len(given)) if i != kept]
        stands = given[kept]
        assert stands is not None
        is_sum = isinstance(node.operator, ops.Elementwise) and node.operator.function == "add"
        equal = is_sum and all(i in silent for i in others)
        if equal:
            for i in others:
                self._silence(node.inputs[i])
        equal = self._judge(node, equal or not stands.exact, "new terms that cannot start at zero")
        return stands._replace(exact=stands.exact and equal)

    def _end_of_branch(self, name: str) -> str | None:
        """The last new layer with weights before a term of a sum, where nothing else reads what lies between."""
        while name not in self.pairs and self.readers[name] == 1:
            operator = self.child[name].operator
            is_norm = isinstance(operator, ops.Norm) and operator.mode == "batch" and operator.affine
            if is_norm or isinstance(operator, ops.Conv2d | ops.ConvTranspose2d | ops.Linear):
                return name
            passes = isinstance(operator, ops.Activation) and maps_zero_to_zero(operator)
            if not passes and not isinstance(operator, ops.Pool2d):
                return None
            name = self.child[name].inputs[0]
        return None

    def _silence(self, name: str) -> None:
        """Make the branch that ends at a term of a sum zero."""
        end = self._end_of_branch(name)
        assert end is not None
        layer = self.new[end]
        for key in layer:
            if key.rpartition(".")[2] in ("weight", "bias"):
                layer[key] = np.zeros_like(layer[key])

    def _concatenation_put_in(self, node: Node, given: Sequence[Stands | None]) -> Stands | None:
        """One tensor stands for one of the parent's; what is joined to it is new."""
        expected = self._expected.get(node.name, set())
        known = [(one.source in expected, -i) for i, one in enumerate(given) if one is not None]
        if not known:
            return None
        main = -max(known)[1]
        stands = given[main]
        assert stands is not None
        sizes = [channels_of(self.child[name].shape) for name in node.inputs]
        parts = [stands.channels if i == main else np.full(size, -1) for i, size in enumerate(sizes)]
        return stands._replace(channels=np.concatenate(parts))


def _joins_channels(node: Node) -> bool:
    """Whether a concatenation joins channels."""
    axis = getattr(node.operator, "axis", None)
    return axis in ((1, -3) if len(node.shape) == 4 else (-1, len(node.shape) - 1))
