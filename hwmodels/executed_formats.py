"""What a device makes of the number formats that a network asks for.

A family declares it in `Spec.computed`: the formats in which a product of two operands is computed. Here they are
held against what a network asks, and one word says what happens: *widened*, nothing is lost; *rounded*, numbers are.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from hwmodels.families.spec import Spec
from hwmodels.workload.formats import Format, format_of
from hwmodels.workload.graph import Workload

__all__ = ["ExecutedFormat", "executed_formats"]


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


def _shown(operands: tuple[Format, Format]) -> str:
    weight, activation = operands
    return weight.name if weight == activation else f"{weight.name}:{activation.name}"
