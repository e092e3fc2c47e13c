"""Bayesian optimisation with a Gaussian process over choices: expected improvement, or expected hypervolume.

The covariance of two points falls by one factor for each gene that differs, exp(-differing / length^2): a squared
exponential over one-hot genes. Its amplitude, length and noise are those of maximal marginal likelihood [Rasmussen and
Williams, MIT Press 2006, ch. 5], chosen anew as the pairs known grow by a fifth; in between the process is conditioned
on all that is known. Points that are one network are one point. scikit-learn's process, on one thread; BoTorch's, with
a length for each gene, is `codesign.strategy.categorical_process`.

Not modelled: the order of choices, as of widths.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.strategy.base import Problem
from codesign.strategy.categorical_process import CategoricalProcess
from codesign.strategy.model_based import F64, Fitted, ModelBased

__all__ = ["PLUGIN", "BayesianSettings", "GaussianProcess"]


class GaussianProcess:
    """The model; it keeps the kernel that it chose last with the pairs that it was chosen by."""

    def __init__(self) -> None:
        self._chosen: tuple[bytes, Any] | None = None

    def __call__(self, basis: tuple[F64, F64], known: tuple[F64, F64]) -> Fitted:
        import warnings

        from sklearn.gaussian_process import GaussianProcessRegressor
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        key = basis[0].tobytes() + basis[1].tobytes()
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a length or noise at its bound
            if self._chosen is None or self._chosen[0] != key:
                self._chosen = key, GaussianProcessRegressor(_start(), random_state=0).fit(*basis).kernel_
            model = GaussianProcessRegressor(self._chosen[1], optimizer=None).fit(*known)

        def predict(asked: F64) -> tuple[F64, F64]:
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mean, deviation = model.predict(asked, return_std=True)
            return mean, deviation

        return predict


def _start() -> Any:
    """Where the likelihood is climbed from; amplitude and noise of errors of deviation 1."""
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    return ConstantKernel(1.0, (1e-2, 1e2)) * RBF(1.5, (0.3, 30.0)) + WhiteKernel(0.1, (1e-4, 1.0))


class BayesianSettings(Settings):
    """Bayesian optimisation with a Gaussian process over choices."""

    process: Literal["scikit-learn", "botorch"] = Field(
        "scikit-learn", description="whose process: one length for all genes, or one for each (extra `bayesian`)"
    )
    initial: int = Field(10, ge=2, le=100_000, description="evaluated pairs before the first model, drawn at random")
    candidates: int = Field(500, ge=4, le=100_000, description="looked at for a proposal: random, and mutants")
    most: int = Field(400, ge=10, le=5_000, description="evaluated pairs that are remembered")


def _make(settings: BayesianSettings, problem: Problem) -> ModelBased:
    own = settings.process == "scikit-learn"
    model = GaussianProcess() if own else CategoricalProcess(problem.space.cardinalities)
    return ModelBased(problem, model, **settings.model_dump(exclude={"process"}))


PLUGIN = Plugin(BayesianSettings, _make, "Gaussian process over choices, expected improvement or expected hypervolume")
