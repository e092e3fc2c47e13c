"""Units: the only place that knows 1e12, and how a quantity is printed.

Inside, everything is in SI base units (seconds, joules, bytes, hertz) except areas, which are mm² as in the
circuit literature. A constant is written with its unit beside it: ``link_bytes_per_s = 300 * GB``.
"""

from __future__ import annotations

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
    "split_unit",
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
    ("_bytes_per_s", "B/s"),
    ("_macs_per_s", "MAC/s"),
    ("_bytes", "B"),
    ("_mm2", "mm²"),
    ("_bits", "bit"),
    ("_hz", "Hz"),
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
    """Three significant digits and an SI prefix; areas keep mm².

    >>> format_quantity(0.00123, "s")
    '1.23 ms'
    >>> format_quantity(25_557_032, "")
    '25.6 M'
    """
    if value != value:
        return "-"
    if value == 0 or unit in ("mm²", "bit", "%"):
        return f"{value:.3g} {unit}".rstrip()
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale * 0.9995:
            return f"{value / scale:.3g} {prefix}{unit}".rstrip()
    return f"{value:.3g} {unit}".rstrip()
