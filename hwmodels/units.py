"""Units: the only place that knows 1e12, and how a quantity is printed.

Inside, everything is in SI base units (seconds, joules, bytes, hertz) except areas, which are mm² as in the
circuit literature. A constant is written with its unit beside it: ``link_bytes_per_s = 300 * GB``.
"""

from __future__ import annotations

import re
import sys
from math import isfinite
from typing import Any

from hwmodels.errors import SpecError

__all__ = [
    "FJ",
    "GB",
    "GHZ",
    "GIB",
    "KB",
    "KHZ",
    "KIB",
    "MB",
    "MHZ",
    "MIB",
    "MS",
    "MW",
    "NJ",
    "NS",
    "PJ",
    "PREFIX_SCALES",
    "TB",
    "UJ",
    "UM2",
    "US",
    "UW",
    "format_quantity",
    "parse_quantity",
    "split_unit",
    "unit_scales",
]

KB, MB, GB, TB = 1e3, 1e6, 1e9, 1e12
KIB, MIB, GIB = 2**10, 2**20, 2**30
KHZ, MHZ, GHZ = 1e3, 1e6, 1e9
MS, US, NS = 1e-3, 1e-6, 1e-9
MW, UW = 1e-3, 1e-6
UJ, NJ, PJ, FJ = 1e-6, 1e-9, 1e-12, 1e-15
UM2 = 1e-6  # in mm²

_PREFIXES = (
    (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"),
    (1e-15, "f"),
)  # fmt: skip

PREFIX_SCALES = {prefix: scale for scale, prefix in _PREFIXES}
"""SI prefix -> factor."""

# Longest ending first: a column name ends in its unit.
_SUFFIXES = (
    ("_j_per_bit_mm", "J/bit/mm"),
    ("_bytes_per_cycle", "B/cycle"),
    ("_bytes_per_s", "B/s"),
    ("_items_per_s", "items/s"),
    ("_macs_per_s", "MAC/s"),
    ("_samples_per_s", "1/s"),
    ("_j_per_byte", "J/B"),
    ("_j_per_bit", "J/bit"),
    ("_w_per_mm2", "W/mm²"),
    ("_mm2_per_byte", "mm²/B"),
    ("_mm2_per_bit", "mm²/bit"),
    ("_bytes", "B"),
    ("_mm2", "mm²"),
    ("_bits", "bit"),
    ("_hz", "Hz"),
    ("_nm", "nm"),
    ("_ohm", "ohm"),
    ("_db", "dB"),
    ("_s", "s"),
    ("_j", "J"),
    ("_w", "W"),
)


def split_unit(name: str) -> tuple[str, str]:
    """Split a column name into its quantity and its unit.

    >>> split_unit("latency_s")
    ('latency', 's')
    >>> split_unit("macs")
    ('macs', '')
    """
    for suffix, unit in _SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], unit
    return name, ""


def format_quantity(value: float, unit: str) -> str:
    """Three significant digits and an SI prefix; areas keep mm², ratios stay as they are, exponents come last.

    >>> format_quantity(0.00123, "s"), format_quantity(25_557_032, "")
    ('1.23 ms', '25.6 M')
    >>> format_quantity(0.002, ""), format_quantity(1.68e19, ""), format_quantity(99.97, "%")
    ('0.002', '1.68e+19', '100 %')
    """
    if value != value:
        return "-"
    first = unit.partition("/")[0]
    if value == 0 or first in _UNPREFIXED or (not unit and abs(value) < 1) or unit == "B/cycle":
        return f"{_digits(value)} {unit}".rstrip()
    for scale, prefix in _PREFIXES:
        if scale * 0.9995 <= abs(value) < scale * 999.5:
            return f"{_digits(value / scale)} {prefix}{unit.removeprefix('1')}".rstrip()
    return f"{value:.3g} {unit}".rstrip()


def _digits(value: float) -> str:
    """Three significant digits, without an exponent where a reader needs none."""
    rounded = float(f"{value:.2e}")
    return f"{rounded:.10f}".rstrip("0").rstrip(".") if 1e-4 <= abs(rounded) < 1e6 else f"{value:.3g}"


_BINARY = (("Ki", KIB), ("Mi", MIB), ("Gi", GIB), ("Ti", 2**40))
_UNPREFIXED = {
    "mm²": {"mm²": 1.0, "cm²": 100.0, "µm²": UM2},
    "nm": {"nm": 1.0, "µm": 1e3},
    "%": {"%": 1.0},
    "bit": {"bit": 1.0, "bits": 1.0},
    "dB": {"dB": 1.0},
}
"""Units that take no SI prefix: what is taken in their place."""


def unit_scales(unit: str) -> dict[str, float]:
    """The units in which a quantity may be given -> factor to `unit`; a compound one changes its first part.

    >>> unit_scales("mm²/bit")
    {'mm²/bit': 1.0, 'cm²/bit': 100.0, 'µm²/bit': 1e-06}
    >>> unit_scales("B/s")["GiB/s"] == 2**30
    True
    """
    first, slash, rest = unit.partition("/")
    if first in _UNPREFIXED:
        scales = _UNPREFIXED[first]
    else:
        # A millibyte is a megabyte mistyped.
        whole = first in ("B", "Hz", "")
        scales = {first: 1.0}
        scales |= {prefix + first: scale for prefix, scale in PREFIX_SCALES.items() if scale > 1 or not whole}
        if first == "B":
            scales |= {prefix + first: float(scale) for prefix, scale in _BINARY} | {"KB": KB}
        if not unit:
            scales["%"] = 0.01
    return {taken + slash + rest: factor for taken, factor in scales.items()}


def parse_quantity(value: Any, unit: str, *, where: str) -> float:
    """A number in `unit`, or a text with that unit, a prefix of it, or for plain numbers a percent sign.

    Raises
    ------
    SpecError : not a finite number, a truth value, or another unit.

    >>> parse_quantity("2.4 GHz", "Hz", where="board.yaml: clock_hz")
    2400000000.0
    >>> parse_quantity("256 KiB", "B", where="board.yaml: l2_bytes")
    262144.0
    >>> parse_quantity("80 %", "", where="board.yaml: dram_efficiency")
    0.8
    """
    number, symbol = value, ""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?|[-+]?inf|[-+]?nan)\s*(.*?)\s*", value, re.I)
        symbol = "" if found is None else _symbol(found[2])
        try:
            number = None if found is None else float(found[1])
        except ValueError:
            number = None
    scales = unit_scales(unit)
    if isinstance(number, bool) or not isinstance(number, int | float) or (symbol and symbol not in scales):
        raise SpecError(where, value, _taken(unit, scales))
    if not -_LARGEST <= number <= _LARGEST:
        raise SpecError(where, value, "a finite number")
    return float(number) if not symbol else _scaled(float(number), scales[symbol])


_COMMON = {
    "B": ("B", "kB", "MB", "GB", "KiB", "MiB", "GiB"),
    "Hz": ("Hz", "kHz", "MHz", "GHz"),
    "s": ("s", "ms", "µs", "ns"),
    "J": ("J", "mJ", "µJ", "nJ", "pJ", "fJ"),
    "W": ("W", "mW", "µW"),
}
"""The units that an error lists, of the many that are taken."""

_LARGEST = sys.float_info.max


def _scaled(number: float, factor: float) -> float:
    """number * factor; divided by a power of ten where the factor is below one, which rounds once."""
    inverse = round(1.0 / factor) if factor < 1 else 0
    return number / inverse if inverse and isfinite(number) else number * factor


def _symbol(text: str) -> str:
    """A unit as typed on any keyboard: um2 is µm², us is µs; spaces around the slash do not count."""
    plain = re.sub(r"\s*/\s*", "/", text).replace("μ", "µ").replace("^2", "²")
    plain = re.sub(r"m2(?=/|$)", "m²", plain)
    return "µ" + plain[1:] if plain[:1] == "u" else plain


def _taken(unit: str, scales: dict[str, float]) -> str:
    first, slash, rest = unit.partition("/")
    shown = [name + slash + rest for name in _COMMON.get(first, ())] or list(scales)
    return f"a number in {', '.join(shown)}" if unit else "a number"
