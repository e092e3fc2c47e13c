"""A model of the error of accuracy classes, from the few that are known: a Gaussian process over choices and sizes.

The covariance of two classes falls with what sets them apart, exp(-distance / (2 length^2)): 1 for each gene that
differs, 1 for another arithmetic, and half the square of ln((1 + a) / (1 + b)) for each size. Amplitude, length and
noise are those of maximal marginal likelihood [Rasmussen and Williams, MIT Press 2006, ch. 5]. No column stands for a
pair of genes, as in a linear model: the process learns such effects from neighbours, and costs the same for many genes.

Not modelled: the order of choices, as of widths; skewed errors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["Predicted", "features", "fitted_errors"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

Predicted = Callable[[F64], tuple[F64, F64]]
"""Features (C, F) -> mean (C,) and deviation (C,) of errors, without noise."""

_TUNED_ON, _MOST = 128, 512
"""Classes that choose amplitude, length and noise, and classes known at most: both bound the time of a generation."""
_BLOCK = 4096  # classes that are predicted at once


def features(genotypes: I64, cardinalities: I64, sizes: F64, numerics: I64, n_numerics: int) -> F64:
    """Classes (B,) as rows whose squared distance is 1 for each choice that differs, (B, F).

    genotypes : (B, G). sizes : (B, S), not negative. numerics : (B,) which of `n_numerics` a class has.

    >>> features(np.array([[0], [1]]), np.array([2]), np.zeros((2, 1)), np.array([0, 0]), 1).round(2).tolist()
    [[0.0, 0.71, 0.71, 0.0], [0.0, 0.71, 0.0, 0.71]]
    """
    choices = [np.eye(int(count))[genotypes[:, i]] for i, count in enumerate(cardinalities)]
    rows: F64 = np.hstack([np.log1p(sizes), np.eye(n_numerics)[numerics], *choices]) * np.sqrt(0.5)
    return rows


def fitted_errors(known: F64, error: F64) -> Predicted:
    """The process given classes (B, F) of known errors (B,); of more than it takes, the youngest."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    known, error = known[-_MOST:], error[-_MOST:]
    offset, scale = float(error.mean()), float(error.std()) or 1.0
    told = (error - offset) / scale
    tuned_on = np.unique(np.linspace(0, len(known) - 1, min(len(known), _TUNED_ON)).round().astype(np.int64))
    with _Quietly():
        kernel = GaussianProcessRegressor(_start(), random_state=0).fit(known[tuned_on], told[tuned_on]).kernel_
        process = GaussianProcessRegressor(kernel, optimizer=None).fit(known, told)
    noise = float(kernel.k2.noise_level)

    def predict(asked: F64) -> tuple[F64, F64]:
        mean, variance = np.empty(len(asked)), np.empty(len(asked))
        with _Quietly():
            for first in range(0, len(asked), _BLOCK):
                part = slice(first, first + _BLOCK)
                mean[part], deviation = process.predict(asked[part], return_std=True)
                variance[part] = deviation**2 - noise
        return offset + scale * mean, scale * np.sqrt(np.maximum(variance, 1e-8))

    return predict


def _start() -> object:
    """Where the likelihood is climbed from; amplitude and noise of errors of deviation 1.

    However few are known, choices are never believed to decide nothing: a quarter of the variance at least (ASSUMED,
    as the other bounds are).
    """
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    return ConstantKernel(1.0, (0.25, 1e2)) * RBF(1.5, (0.3, 10.0)) + WhiteKernel(0.05, (1e-4, 1.0))


class _Quietly:
    """One thread, and no warnings of a length or noise at its bound."""

    def __enter__(self) -> None:
        import warnings

        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        self._threads, self._warnings = threadpool_limits(1), warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *_: object) -> None:
        self._warnings.__exit__(None, None, None)
        self._threads.restore_original_limits()
