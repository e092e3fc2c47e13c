"""One SI prefix for a whole column or axis, chosen from its values, and the label that goes with it.

The prefix is that of the median magnitude, so most values print as 1 to 999. Areas keep mm² and fractions named
`accuracy`, `error`, `miou` or `spread` are shown in per cent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.units import PREFIX_SCALES, split_unit

__all__ = ["Scale", "axis_label", "digits3", "scale_of", "shared_scale", "spoken", "title"]

_PER_CENT = (
    "accuracy", "accuracy_high", "accuracy_low", "accuracy_test", "accuracy_top5", "error", "miou", "miou_test",
    "pixel_accuracy", "published_top1", "spread",
)  # fmt: skip
_TITLES = {
    "accuracy_top5": "top-5 accuracy",
    "miou": "mIoU",
    "miou_test": "test mIoU",
    "perplexity_test": "test perplexity",
    "psnr": "PSNR",
    "psnr_db": "PSNR",
    "psnr_test": "test PSNR",
    "r2": "R2",
    "r2_test": "test R2",
    "rmse": "RMSE",
    "accuracy_test": "test accuracy",
    "accuracy_low": "95 % from",
    "accuracy_high": "95 % to",
    "published_top1": "published top-1",
}
_FIXED_UNITS = ("mm²", "bit", "dB")


class Scale(NamedTuple):
    """`value / factor` is what is shown; `label` names the quantity and its prefixed unit."""

    factor: float
    unit: str
    label: str

    def apply(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Values as shown on an axis, any shape."""
        return np.asarray(values, np.float64) / self.factor


def scale_of(name: str, values: npt.ArrayLike) -> Scale:
    """The scale of a column called `name`.

    >>> scale_of("energy_j", [2e-6, 40e-6]).label
    'energy (µJ)'
    >>> scale_of("accuracy", [0.5]).label
    'accuracy (%)'
    """
    quantity, unit = split_unit(name)
    if name in _PER_CENT:
        return Scale(0.01, "%", f"{title(name)} (%)")
    shown = title(quantity)
    if unit in _FIXED_UNITS:
        return Scale(1.0, unit, f"{shown} ({unit})")
    numbers = np.abs(np.asarray(values, np.float64))
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    median = float(np.median(numbers)) if numbers.size else 1.0
    prefix = next((p for p, s in PREFIX_SCALES.items() if median >= s * 0.9995), "f")
    if not unit and PREFIX_SCALES[prefix] < 1:
        prefix = ""  # a count or ratio has no milli
    symbol = prefix + unit
    return Scale(PREFIX_SCALES[prefix], symbol, f"{shown} ({symbol})" if symbol else shown)


def title(name: str) -> str:
    """A column name as words.

    >>> title("accuracy_test"), title("accuracy_low"), title("macs")
    ('test accuracy', '95 % from', 'MACs')
    """
    if name in _TITLES:
        return _TITLES[name]
    return " ".join("MACs" if word == "macs" else word for word in name.split("_"))


def digits3(value: float) -> str:
    """Three significant digits without an exponent; a dash where there is no number.

    >>> [digits3(x) for x in (0.0012345, 1.5, 99.96, 12345.0, 0.0, float("nan"))]
    ['0.00123', '1.50', '100', '12300', '0', '–']
    """
    if not np.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    rounded = float(f"{value:.2e}")
    decimals = max(2 - int(np.floor(np.log10(abs(rounded)))), 0)
    return f"{rounded:.{decimals}f}"


def shared_scale(name: str, parts: Sequence[npt.ArrayLike]) -> Scale:
    """One scale for several groups of points on the same axis."""
    return scale_of(name, np.concatenate([np.ravel(np.asarray(part, np.float64)) for part in parts]))


def spoken(name: str, value: float) -> str:
    """One quantity in running text, with its own prefix.

    >>> spoken("latency_s", 0.000389), spoken("accuracy_test", 0.986)
    ('latency 389 µs', 'test accuracy 98.6 %')
    """
    scale = scale_of(name, value)
    quantity = name if scale.unit == "%" else split_unit(name)[0]
    return f"{title(quantity)} {digits3(value / scale.factor)} {scale.unit}".rstrip()


def axis_label(scale: Scale, better: str = "") -> str:
    """An axis label; `better` is "lower" or "higher", or empty where neither is.

    >>> axis_label(scale_of("latency_s", [1e-3]), "lower")
    'latency (ms), lower is better'
    """
    return f"{scale.label}, {better} is better" if better else scale.label
