"""What a device makes of the number formats that a network asks for.

A family declares it in `Spec.computed`: the formats in which a product of two operands is computed. Here they are
held against what a network asks, and one word says what happens: *widened*, nothing is lost; *rounded*, numbers are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

from hwmodels.families.spec import Spec
from hwmodels.workload.formats import Format, coded, format_of
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision

__all__ = ["ExecutedFormat", "as_stored", "executed_formats"]


class ExecutedFormat(NamedTuple):
    """Operands as asked and as computed, ``weights:activations`` where the two differ, and what that means."""

    asked: str
    computed: str
    how: Literal["widened", "rounded"]


def executed_formats(workload: Workload, spec: Spec) -> tuple[ExecutedFormat, ...]:
    """The formats of a network's products that the device computes in others, each once in order of first use.

    >>> from hwmodels.catalog import device
    >>> from hwmodels.workload.formats import precision_named
    >>> from hwmodels.workload.zoo import network
    >>> tiny = network("mobilenet_v2", precision=precision_named("fp16", where="precision"))
    >>> executed_formats(tiny, device("tpu_v1").spec)
    (ExecutedFormat(asked='fp16', computed='int8', how='rounded'),)
    """
    in_float = spec.numerics().weight_format.is_float
    found: dict[ExecutedFormat, None] = {}
    for _, row in workload.rows():
        if not row.macs:
            continue
        activation = format_of(row.activation_bits, row.activation_format, in_float=in_float)
        weight = format_of(row.weight_bits, row.weight_format, in_float=in_float)
        asked = (activation if row.dynamic_operand else weight, activation)
        computed = spec.computed(*asked)
        if computed != asked:
            is_exact = all(made.holds(given) for made, given in zip(computed, asked, strict=True))
            found[ExecutedFormat(_shown(asked), _shown(computed), "widened" if is_exact else "rounded")] = None
    return tuple(found)


def as_stored(workload: Workload, spec: Spec) -> Workload:
    """The network in the formats in which the device keeps it: its bytes are those that the device moves and holds.

    Costs are the same, since the device computes in these formats anyway.

    >>> from hwmodels.catalog import device
    >>> from hwmodels.workload.ops import Precision
    >>> from hwmodels.workload.zoo import network
    >>> wide = network("lenet5", precision=Precision(32, 32))
    >>> {node.precision.weight_bits for node in as_stored(wide, device("systolic_edge").spec)}
    {8}
    """
    in_float = spec.numerics().weight_format.is_float
    kept: dict[Precision, Precision] = {}

    def stored(precision: Precision) -> Precision:
        if precision not in kept:
            asked = (
                format_of(precision.weight_bits, precision.weight_format, in_float=in_float),
                format_of(precision.activation_bits, precision.activation_format, in_float=in_float),
            )
            made = spec.stored(*asked)
            (weight_bits, weight_code), (activation_bits, activation_code) = map(coded, made)
            kept[precision] = (
                precision
                if made == asked
                else Precision(weight_bits, activation_bits, precision.accumulator_bits, weight_code, activation_code)
            )
        return kept[precision]

    nodes = tuple(replace(node, precision=stored(node.precision)) for node in workload)
    return Workload(workload.name, nodes, workload.outputs)


def _shown(operands: tuple[Format, Format]) -> str:
    weight, activation = operands
    return weight.name if weight == activation else f"{weight.name}:{activation.name}"
