"""scikit-learn's digits, 8x8 pixels, plain, noisy and as sequences: nothing to fetch, trained in seconds.

Source: 1,797 images of the test part of [Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI, 1998].
"""

from __future__ import annotations

import numpy as np

from codesign.data.base import F32, I64, SPLIT_SEED, Dataset, Options, Part, split

__all__ = ["read_digit_sequences", "read_digits", "read_noisy_digits"]

_NOISE = 0.3  # of noisy-digits; frozen as the seed is


def read_digits(name: str, options: Options) -> Dataset:
    """The digits, 60, 20 and 20 %."""
    images, labels = _digit_images()
    return split(name, images, labels, 10)


def read_digit_sequences(name: str, options: Options) -> Dataset:
    """The digits read line by line, from the top: 8 steps of 8 features, in the parts of the digits."""
    digits = read_digits(name, options)
    train, validation, test = (
        Part(part.images[:, 0], part.labels) for part in (digits.train, digits.validation, digits.test)
    )
    return Dataset(name, train, validation, test, digits.classes)


def read_noisy_digits(name: str, options: Options) -> Dataset:
    """Digits under white noise, in thirds: hard enough that small networks differ by tens of percent.

    Noise of standard deviation 0.3 of the ink's full range, drawn once, on all three splits.
    """
    images, labels = _digit_images()
    noise = np.random.Generator(np.random.PCG64(SPLIT_SEED)).standard_normal(images.shape)
    images = (images + _NOISE * noise).astype(np.float32)
    return split(name, images, labels, 10, fractions=(1 / 3, 1 / 3))


def _digit_images() -> tuple[F32, I64]:
    """1,797 images (B, 1, 8, 8) in [0, 1] and their labels."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return (bundle.images / 16).astype(np.float32)[:, None], bundle.target.astype(np.int64)
