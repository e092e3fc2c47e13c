"""Search with a predictor of the error: any model of `codesign.estimate.regressors`, over one-hot genes.

As Bayesian optimisation, with the mean and deviation of a forest, a boosted ensemble, an ensemble of networks or a
Gaussian process [SMAC: Hutter et al., LION 2011; BANANAS: White et al., AAAI 2021, which ours is not: no path encoding,
no Thompson sampling]. A model is fitted anew as the pairs known grow by a fifth, and learns nothing in between.
"""

from __future__ import annotations

from pydantic import Field

from codesign.estimate.regressors import RegressorName, fit
from codesign.registry import Plugin, Settings
from codesign.strategy.base import Problem
from codesign.strategy.model_based import F64, Fitted, ModelBased

__all__ = ["PLUGIN", "Regressor", "SurrogateSettings"]


class Regressor:
    """A model by name; it keeps the last fit with what it was fitted to."""

    def __init__(self, name: RegressorName) -> None:
        self.name: RegressorName = name
        self._fitted: tuple[bytes, Fitted] | None = None

    def __call__(self, basis: tuple[F64, F64], known: tuple[F64, F64]) -> Fitted:
        key = basis[0].tobytes() + basis[1].tobytes()
        if self._fitted is not None and self._fitted[0] == key:
            return self._fitted[1]
        model = fit(self.name, *basis, seed=0)

        def predict(asked: F64) -> tuple[F64, F64]:
            predicted = model(asked)
            return predicted.error, predicted.deviation

        self._fitted = key, predict
        return predict


class SurrogateSettings(Settings):
    """Search with a predictor of the error."""

    model: RegressorName = Field("forest", description="what predicts the error")
    initial: int = Field(20, ge=4, le=100_000, description="evaluated pairs before the first model, drawn at random")
    candidates: int = Field(500, ge=4, le=100_000, description="looked at for a proposal: random, and mutants")
    most: int = Field(1000, ge=10, le=20_000, description="evaluated pairs that are remembered")


def _make(settings: SurrogateSettings, problem: Problem) -> ModelBased:
    return ModelBased(
        problem, Regressor(settings.model), initial=settings.initial, candidates=settings.candidates,
        most=settings.most,
    )  # fmt: skip


PLUGIN = Plugin(SurrogateSettings, _make, "a predictor of the error, by name, says what is worth a training")
