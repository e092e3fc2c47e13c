"""Bits and formats of a network: one precision for all layers, or a mixed policy of rules.

A policy is applied to the network as written, before any rewrite: a convolution that later absorbs its activation
keeps its own bits. Layers that no rule names have the default, normalisation and activations included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from hwmodels.errors import SpecError
from hwmodels.workload.formats import precision_named
from hwmodels.workload.graph import Node, Workload
from hwmodels.workload.ops import Kind, Precision, Row

__all__ = ["PrecisionPolicy", "with_precision"]

_KINDS = {kind.name.lower(): kind for kind in Kind}
_RULE = re.compile(r"(?P<layers>[^=]+)=(?P<weight>\d+)(?::(?P<activation>\d+)(?::(?P<accumulator>\d+))?)?")


@dataclass(frozen=True)
class PrecisionPolicy:
    """Bits by layer: `default`, None to leave the layer's own, and rules of which the last that fits a layer decides.

    A rule's key is "first" or "last" (the first and the last layer with MACs), "depthwise", a kind of layer such as
    "conv" or "linear", or a pattern of layer names such as "layer4*".

    >>> policy = PrecisionPolicy.parse(4, ["first=8", "linear=w4a16"])
    >>> policy.rules[1][1] == precision_named("int4:fp16", where="linear")
    True
    """

    default: Precision | None = None
    rules: tuple[tuple[str, Precision], ...] = ()

    @classmethod
    def parse(cls, bits: int | None, rules: Iterable[str]) -> PrecisionPolicy:
        """From `bits` of weights and activations, if any, and rules ``layers=weight[:activation[:accumulator]]``.

        A rule may name formats instead of bits: ``layers=format``, ``layers=format:format`` or ``layers=w4a16``.

        Raises
        ------
        SpecError : a rule that is none, an unknown format, or bits outside 1 to 32 (accumulators to 64).
        """
        return cls(None if bits is None else Precision(bits, bits), tuple(_parse(rule) for rule in rules))


def with_precision(workload: Workload, policy: Precision | PrecisionPolicy) -> Workload:
    """The same network with these bits.

    Raises
    ------
    SpecError : a rule that fits no layer.
    """
    if isinstance(policy, Precision):
        policy = PrecisionPolicy(policy)
    rows = {node.name: row for node, row in workload.rows()}
    bits = {node.name: policy.default or node.precision for node in workload}
    for layers, precision in policy.rules:
        fits = _selector(layers, rows)
        chosen = [node.name for node in workload if fits(node)]
        if not chosen:
            expected = f"first, last, depthwise, a kind ({', '.join(_KINDS)}) or a pattern of its layer names"
            raise SpecError(f"{workload.name}: bits", layers, expected)
        bits.update(dict.fromkeys(chosen, precision))
    nodes = tuple(replace(node, precision=bits[node.name]) for node in workload)
    return Workload(workload.name, nodes, workload.outputs)


def _selector(layers: str, rows: dict[str, Row]) -> Callable[[Node], bool]:
    """Whether a rule with this key fits a node."""
    with_macs = [name for name, row in rows.items() if row.macs]
    if layers in ("first", "last"):
        chosen = with_macs[:1] if layers == "first" else with_macs[-1:]
        return lambda node: node.name in chosen
    if layers == "depthwise":
        depthwise = {n for n, row in rows.items() if row.kind == Kind.CONV and row.groups == row.in_channels > 1}
        return lambda node: node.name in depthwise
    if layers in _KINDS:
        of_kind = {name for name, row in rows.items() if row.kind == _KINDS[layers]}
        return lambda node: node.name in of_kind
    return lambda node: fnmatchcase(node.name, layers)


def _parse(rule: str) -> tuple[str, Precision]:
    found = _RULE.fullmatch(rule.strip())
    if found is None:
        layers, equals, name = rule.strip().partition("=")
        if not layers or not equals or not name[:1].isalpha():
            expected = "layers=weight[:activation[:accumulator]], as first=8 or conv=4:8, or layers=format"
            raise SpecError("bits", rule, expected)
        return layers.strip(), precision_named(name, where=f"bits of {layers.strip()}")
    weight = int(found["weight"])
    activation = int(found["activation"] or weight)
    accumulator = int(found["accumulator"] or Precision().accumulator_bits)
    if not (1 <= weight <= 32 and 1 <= activation <= 32 and 1 <= accumulator <= 64):
        raise SpecError("bits", rule, "1 to 32 bits, accumulators to 64")
    return found["layers"].strip(), Precision(weight, activation, accumulator)
