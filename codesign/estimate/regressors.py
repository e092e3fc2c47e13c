"""Models of an error over features, each with a mean and a standard deviation, fitted to a few dozen trainings.

    gaussian_process  squared exponential of one length, with noise; all three by maximal marginal likelihood
                      [Rasmussen and Williams, Gaussian Processes for Machine Learning, MIT Press 2006, ch. 2, 5]
    forest            300 trees on bootstrap samples; deviation over the trees [Hutter et al., Artif. Intell. 206, 2014]
    boosting          10 boosted ensembles on bootstrap samples
    mlp               5 networks of 2 x 32 units, each from a start of its own on four fifths of the trainings

The members of the last two differ by less than they miss [as deep ensembles do, Lakshminarayanan et al., NeurIPS'17]:
what they miss of trainings that they have not seen is added to the deviation.

Errors are fitted through the power transform of Yeo and Johnson [Biometrika 87 (2000)], which the fitted errors choose:
errors crowd at the good end and are spread out at the bad one. So a prediction is the median of the error, and its
deviation half the way between the errors at one deviation to either side. A model fits on one thread and draws its
randomness from its seed: equal fits predict equal bits.

Not modelled: noise that differs between networks; correlation between the predictions of two networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["REGRESSORS", "Predicted", "RegressorName", "fit"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

RegressorName = Literal["boosting", "forest", "gaussian_process", "mlp"]

_TREES, _BOOSTED, _NETWORKS = 300, 10, 5
_REACH = 1.0  # deviations beyond the fitted errors up to which a prediction goes; ASSUMED, plausible 0.5 to 2


class Predicted(NamedTuple):
    """Errors that a model expects, (N,), and the standard deviation of each, (N,)."""

    error: F64
    deviation: F64


_Model = Callable[[F64], Predicted]


def fit(name: RegressorName, features: F64, errors: F64, *, seed: int) -> _Model:
    """A model fitted to the errors (N,) of networks with features (N, D): features (M, D) -> what it predicts.

    >>> x = np.linspace(-1, 1, 20)[:, None]
    >>> model = fit("gaussian_process", x, 0.3 + 0.1 * x[:, 0], seed=0)
    >>> np.round(model(np.array([[0.5]])).error, 2)
    array([0.35])
    """
    from sklearn.preprocessing import PowerTransformer

    if features.shape[1] == 0 or np.ptp(errors) == 0:  # nothing tells the networks apart
        middle, deviation = float(np.median(errors)), float(errors.std())
        return lambda asked: Predicted(np.full(len(asked), middle), np.full(len(asked), deviation))
    with _reproducible():
        power = PowerTransformer().fit(errors[:, None])
        targets: F64 = power.transform(errors[:, None])[:, 0]
        model = REGRESSORS[name](features, targets, seed)

    def errors_of(values: F64) -> F64:
        found: F64 = power.inverse_transform(values[:, None])[:, 0]
        return found

    # A power transform may end before the reach does: what is fitted is always within it.
    ends = np.array([targets.min(), targets.max()])
    wider = ends + np.array([-_REACH, _REACH])
    with _reproducible():
        low, high = np.where(np.isfinite(errors_of(wider)), wider, ends)

    def back(values: F64) -> F64:
        return errors_of(np.clip(values, low, high))

    def predict(asked: F64) -> Predicted:
        with _reproducible():
            mean, deviation = model(asked)
            return Predicted(back(mean), (back(mean + deviation) - back(mean - deviation)) / 2)

    return predict


@contextmanager
def _reproducible() -> Iterator[None]:
    """One thread of linear algebra, and no word of a fit that ends at its limit of steps or a transform that ends."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _gaussian_process(x: F64, y: F64, seed: int) -> _Model:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(0.1)  # where the likelihood is climbed from
    # The likelihood has a hill where all is noise: climbed from two more places, drawn by the seed.
    model = GaussianProcessRegressor(kernel, n_restarts_optimizer=2, random_state=seed).fit(x, y)
    return lambda asked: Predicted(*model.predict(asked, return_std=True))


def _forest(x: F64, y: F64, seed: int) -> _Model:
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(_TREES, max_features=1 / 3, random_state=seed).fit(x, y)
    trees = [tree.tree_ for tree in model.estimators_]  # without the checks of each call: 300 a prediction
    return lambda asked: _over([tree.predict(asked.astype(np.float32))[:, 0] for tree in trees])


def _boosting(x: F64, y: F64, seed: int) -> _Model:
    from sklearn.ensemble import GradientBoostingRegressor

    settings: dict[str, Any] = {"n_estimators": 100, "learning_rate": 0.05, "max_depth": 3, "subsample": 0.7}
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(len(x), size=len(x)) for _ in range(_BOOSTED)]
    models = [
        GradientBoostingRegressor(**settings, random_state=seed + i).fit(x[rows], y[rows])
        for i, rows in enumerate(drawn)
    ]
    left = [np.setdiff1d(np.arange(len(x)), rows) for rows in drawn]
    return _ensemble([model.predict for model in models], left, x, y)


def _mlp(x: F64, y: F64, seed: int) -> _Model:
    from sklearn.neural_network import MLPRegressor

    scale = np.sqrt(x.shape[1] / max(float((x**2).sum(axis=1).mean()), 1e-12))  # inputs of unit variance on the whole
    left = np.array_split(np.random.default_rng(seed).permutation(len(x)), _NETWORKS)
    models = []
    for i, rows in enumerate(left):
        model = MLPRegressor(
            hidden_layer_sizes=(32, 32), solver="lbfgs", alpha=1.0, max_iter=300, random_state=seed + i
        )
        models.append(model.fit(scale * np.delete(x, rows, axis=0), np.delete(y, rows)))
    members = [model.predict for model in models]
    scaled = _ensemble(members, left, scale * x, y)
    return lambda asked: scaled(scale * asked)


def _ensemble(members: Sequence[Callable[[F64], F64]], left: Sequence[I64], x: F64, y: F64) -> _Model:
    """The mean of members, with a deviation from two parts: between them, and of what they all miss.

    left : the rows that each member did not see. What all miss is the mean square of their errors there, less what the
    members differ by, which is in it too.
    """
    misses = np.concatenate([member(x[rows]) - y[rows] for member, rows in zip(members, left, strict=True)])
    between = _over([member(x) for member in members]).deviation
    missed = max(float((misses**2).mean() - (between**2).mean()), 0.0)

    def predict(asked: F64) -> Predicted:
        mean, deviation = _over([member(asked) for member in members])
        return Predicted(mean, np.sqrt(deviation**2 + missed))

    return predict


def _over(predictions: list[F64]) -> Predicted:
    stacked = np.stack(predictions)
    return Predicted(stacked.mean(axis=0), stacked.std(axis=0, ddof=1))


REGRESSORS: Mapping[RegressorName, Callable[[F64, F64, int], _Model]] = {
    "boosting": _boosting,
    "forest": _forest,
    "gaussian_process": _gaussian_process,
    "mlp": _mlp,
}
"""(features (N, D), transformed errors (N,), seed) -> a model of transformed errors."""
