"""BoTorch's Gaussian process over choices: a length of its own for each gene (extra `bayesian`).

    cov(x, y) = amplitude x exp(-mean over genes of [x_g differs from y_g] / length_g)

that is BoTorch's categorical kernel with its priors [Balandat et al., NeurIPS 2020], where the process of scikit-learn
has one length for all genes. Hyperparameters maximise the posterior given the basis; the process is then conditioned on
all that is known. BoTorch's acquisitions are not used: they draw costs from a model, and costs are known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.strategy.model_based import F64, Fitted
from hwmodels.errors import SpecError

__all__ = ["CategoricalProcess"]


class CategoricalProcess:
    """The model; it keeps the hyperparameters that it chose last with the pairs that they were chosen by.

    cardinalities : (G,) choices of each gene.

    Raises
    ------
    SpecError : BoTorch is not installed.
    """

    def __init__(self, cardinalities: npt.NDArray[np.int64]) -> None:
        # Only looked for: it loads torch, whose instruction set a run pins first.
        if find_spec("botorch") is None:
            raise SpecError("strategy.process", "botorch", "installed", "pip install 'codesign[bayesian]'")
        self._starts = np.concatenate([[0], np.cumsum(cardinalities)[:-1]])
        self._chosen: tuple[bytes, Any] | None = None

    def __call__(self, basis: tuple[F64, F64], known: tuple[F64, F64]) -> Fitted:
        from botorch.fit import fit_gpytorch_mll
        from gpytorch.mlls import ExactMarginalLogLikelihood

        key = basis[0].tobytes() + basis[1].tobytes()
        with _alone():
            if self._chosen is None or self._chosen[0] != key:
                first = self._process(*basis)
                fit_gpytorch_mll(ExactMarginalLogLikelihood(first.likelihood, first))
                self._chosen = key, first.state_dict()
            model = self._process(*known)
            model.load_state_dict(self._chosen[1])
            model.eval()

        def predict(asked: F64) -> tuple[F64, F64]:
            import torch

            with _alone(), torch.no_grad():
                posterior = model.posterior(self._choices(asked))
                mean, variance = posterior.mean[:, 0].numpy(), posterior.variance[:, 0].numpy()
            return mean, np.sqrt(variance)

        return predict

    def _process(self, features: F64, errors: F64) -> Any:
        import torch
        from botorch.models import MixedSingleTaskGP

        genes = list(range(len(self._starts)))
        targets = torch.from_numpy(np.ascontiguousarray(errors)[:, None])
        # Errors come with mean 0 and deviation 1.
        return MixedSingleTaskGP(self._choices(features), targets, cat_dims=genes, outcome_transform=None)

    def _choices(self, features: F64) -> Any:
        """One-hot genes (P, sum of cardinalities) as choices (P, G)."""
        import torch

        places = np.maximum.reduceat(features * np.arange(features.shape[1]), self._starts, axis=1)
        return torch.from_numpy(places - self._starts)


@contextmanager
def _alone() -> Iterator[None]:
    """One thread, and no warnings of what the climb of the likelihood met."""
    import warnings

    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
