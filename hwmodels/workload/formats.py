"""Number formats: a format is not a width, since 16 bits may be an integer, float16 or bfloat16.

A tensor of the table has two columns: its bits, as they are stored, and the code of its format. Code 0 says that the
width decides, and this is the only place that says how:

    64 bits   float64
    32 bits   float32
    16 bits   float16 to a cost model of hardware that computes in float, else an integer
    others    an integer

The accuracy side takes every width below 32 for an integer where no format is given. So a network that states bits
alone means what it always did, and `coded` writes a format that its width gives away with code 0: equal tensors are
equal rows. TF32 has 19 bits that count and is stored in 32. Floats of 8 bits are those of the Open Compute Project:
[Micikevicius et al., FP8 formats for deep learning, arXiv:2209.05433; OCP Microscaling Formats v1.0] for fp4.

Not modelled: block floats with a shared scale, posits, logarithmic numbers, ternary and binary weights as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.ops import Precision

__all__ = [
    "BY_WIDTH",
    "FLOATS",
    "FORMAT_NAMES",
    "INTEGER",
    "Format",
    "coded",
    "format_named",
    "format_of",
    "held",
    "integer",
    "of_fields",
    "precision_named",
]


class Format(NamedTuple):
    """A number format; `bits` are those of storage. Integers have no exponent, and bits - 1 below their sign."""

    name: str
    bits: int
    exponent_bits: int
    mantissa_bits: int

    @property
    def is_float(self) -> bool:
        return self.exponent_bits > 0

    def holds(self, other: Format) -> bool:
        """Whether every number of `other` is one of this format.

        >>> FLOATS["fp16"].holds(FLOATS["fp8_e5m2"]), FLOATS["fp16"].holds(FLOATS["bf16"])
        (True, False)
        >>> FLOATS["fp16"].holds(integer(8)), FLOATS["fp16"].holds(integer(16))
        (True, False)
        """
        if not other.is_float:  # a float counts without gaps up to 2^(mantissa + 1)
            return other.bits <= self.bits if not self.is_float else other.bits - 1 <= self.mantissa_bits + 1
        wide = self.exponent_bits >= other.exponent_bits and self.mantissa_bits >= other.mantissa_bits
        return self.is_float and wide


FLOATS = {
    name: Format(name, *widths)
    for name, widths in {
        "fp4": (4, 2, 1),
        "fp8": (8, 4, 3),
        "fp8_e5m2": (8, 5, 2),
        "fp16": (16, 5, 10),
        "bf16": (16, 8, 7),
        "tf32": (32, 8, 10),
        "fp32": (32, 8, 23),
        "fp64": (64, 11, 52),
    }.items()
}
"""Float formats by name; fp8 is e4m3, the one of weights and activations."""
_SYNONYMS = {"fp8_e4m3": "fp8", "fp4_e2m1": "fp4", "float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
FORMAT_NAMES = (*(f"int{bits}" for bits in (2, 4, 8, 16, 32)), *FLOATS, "w4a16")
"""Names that messages show; any int1 to int32, and any w<bits>a<bits>, is a format too."""

BY_WIDTH, INTEGER = 0, 1
_CODES = {name: code for code, name in enumerate(FLOATS, 2)}
_BY_CODE = {code: FLOATS[name] for name, code in _CODES.items()}
_MIXED = re.compile(r"w(\d+)a(\d+)")


def integer(bits: int) -> Format:
    """Signed integers of so many bits."""
    return Format(f"int{bits}", bits, 0, bits - 1)


def format_of(bits: int, code: int, *, in_float: bool = False) -> Format:
    """The format of a tensor by its two columns; `in_float` for hardware that computes in float.

    >>> [format_of(bits, BY_WIDTH).name for bits in (4, 16, 32)], format_of(16, BY_WIDTH, in_float=True).name
    (['int4', 'int16', 'fp32'], 'fp16')
    """
    if code != BY_WIDTH:
        return _BY_CODE[code] if code in _BY_CODE else integer(bits)
    if bits == 16 and in_float:
        return FLOATS["fp16"]
    return {32: FLOATS["fp32"], 64: FLOATS["fp64"]}.get(bits) or integer(bits)


def coded(asked: Format) -> tuple[int, int]:
    """The two columns of a format: bits, and the code, 0 wherever the width gives the format away."""
    if asked.name in ("fp32", "fp64"):
        return asked.bits, BY_WIDTH
    if asked.is_float:
        return asked.bits, _CODES[asked.name]
    return asked.bits, INTEGER if asked.bits in (16, 32) else BY_WIDTH


def held(asked: Format, widest: Format) -> Format:
    """What hardware whose widest format is `widest` makes of `asked`.

    Integers take floats of at most their width as integers of the same width; float32 and wider limit nothing; a
    narrower float takes what it does not hold with the exponent and the mantissa that both have.

    >>> held(FLOATS["fp16"], integer(8)).name, held(FLOATS["bf16"], FLOATS["fp16"])[2:]
    ('int8', (5, 7))
    """
    if not widest.is_float:
        return integer(min(asked.bits, widest.bits))
    if widest.bits >= 32 and widest.name != "tf32":
        return asked
    if widest.holds(asked):
        return asked
    if not asked.is_float:
        return widest
    exponent, mantissa = min(asked.exponent_bits, widest.exponent_bits), min(asked.mantissa_bits, widest.mantissa_bits)
    return _float(exponent, mantissa)


def _float(exponent_bits: int, mantissa_bits: int) -> Format:
    """The float of these fields, by its name where it has one."""
    for known in FLOATS.values():
        if (known.exponent_bits, known.mantissa_bits) == (exponent_bits, mantissa_bits):
            return known
    return Format(f"e{exponent_bits}m{mantissa_bits}", 1 + exponent_bits + mantissa_bits, exponent_bits, mantissa_bits)


def of_fields(bits: int, exponent_bits: int) -> Format:
    """The format of `bits` that count, `exponent_bits` of them of an exponent: 0 for integers, and for the widths
    that are floats by themselves.

    >>> of_fields(19, 8).name, of_fields(16, 5).name, of_fields(16, 0).name, of_fields(32, 0).name
    ('tf32', 'fp16', 'int16', 'fp32')
    """
    return _float(exponent_bits, bits - 1 - exponent_bits) if exponent_bits else format_of(bits, BY_WIDTH)


def format_named(name: str, *, where: str) -> Format:
    """The format that a user names.

    Raises
    ------
    SpecError : an unknown name, with the nearest match, or an integer outside 1 to 32 bits.
    """
    name = _SYNONYMS.get(name, name)
    if name in FLOATS:
        return FLOATS[name]
    digits = name.removeprefix("int")
    if digits == name or not digits.isdigit():
        raise SpecError.unknown(where, name, FORMAT_NAMES)
    if not 1 <= int(digits) <= 32:
        raise SpecError(where, name, "int1 to int32")
    return integer(int(digits))


def precision_named(text: str, *, where: str) -> Precision:
    """A precision by name: one format for both operands, ``weights:activations``, or w4a16 and its like.

    In ``w<bits>a<bits>`` weights are integers; activations of 16 and 32 bits are floats, others integers.

    >>> precision_named("w4a16", where="--format") == precision_named("int4:fp16", where="--format")
    True
    """
    mixed = _MIXED.fullmatch(text)
    if mixed:
        floats = {"16": "fp16", "32": "fp32"}
        names: Iterable[str] = (f"int{mixed[1]}", floats.get(mixed[2], f"int{mixed[2]}"))
    else:
        names = text.split(":") if text.count(":") == 1 else (text, text)
    (weight, weight_code), (activation, activation_code) = (coded(format_named(name, where=where)) for name in names)
    return Precision(weight, activation, weight_format=weight_code, activation_format=activation_code)
