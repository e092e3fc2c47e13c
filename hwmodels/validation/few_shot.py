"""The few-shot protocol: a device fitted to a handful of networks, held against the others.

N networks are drawn at random, the knobs of the device are fitted to them as `calibrate` does, and all other networks
are predicted. Draws are seeded; a figure is the mean over them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hwmodels.compose import Gathered, LayerCounts, PairColumns, reduce_pairs, tensor_of
from hwmodels.evaluate import design_metrics, layerwise_of
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Spec, columns_of, n_configs
from hwmodels.fit import fit_knobs
from hwmodels.validation.spaces import Counted
from hwmodels.workload.table import Layers

__all__ = ["Draws", "few_shot", "fit_rows", "predicted"]

F64 = npt.NDArray[np.float64]
_S = TypeVar("_S", bound=Spec)

_SIGMA = 0.05  # ASSUMED: spread of a published median, relative; plausible 0.01 to 0.1


class Draws(NamedTuple):
    """Pooled over draws: predictions and measurements of the networks that were not fitted, and the draw of each."""

    predicted: F64
    measured: F64
    draw: npt.NDArray[np.int64]


def predicted(model: CostModel, spec: Spec, counted: Counted, metric: str = "latency_s") -> F64:
    """One metric of every network on one device, (N,).

    Raises
    ------
    SpecError : a family whose layers do not add up: counts of layers do not say what its networks cost.
    """
    found: F64 = _costs(model, counted, type(spec).to_table([spec]), (metric,))[0, 0]
    return found


def _costs(model: CostModel, counted: Counted, configs: Any, metrics: Sequence[str]) -> F64:
    """Some metrics of all networks on all of `configs`, (len(metrics), C, N)."""
    layerwise = layerwise_of(model, "networks by counts of their layers")
    shape = n_configs(configs), len(counted.counts)
    config, network = (index.ravel() for index in np.indices(shape))
    values, _ = tensor_of(layerwise, counted.layers, configs)
    counts, is_max = LayerCounts.of_matrix(counted.counts), layerwise.is_max(layerwise.metrics)
    reduced = dict(zip(layerwise.metrics, reduce_pairs(values, config, network, counts, is_max).T, strict=True))
    columns = PairColumns(
        layerwise.metrics, lambda name: reduced, config=Gathered(design_metrics(model, configs), config), network={},
        rules=model.rules, knobs=Gathered(columns_of(configs), config),
    )  # fmt: skip
    return np.stack([columns[name].reshape(shape) for name in metrics])


def few_shot(
    model: CostModel, spec: Spec, counted: Counted, measured: Mapping[str, F64], *, knobs: Sequence[str], shots: int,
    draws: int, seed: int = 0,
) -> dict[str, Draws]:  # fmt: skip
    """Fit to `shots` networks and predict the others, `draws` times.

    Parameters
    ----------
    model, spec : a family whose layers add up, and the device that the fits start from. knobs : what is fitted.
    measured : metric ("latency_s", "energy_j") -> (N,) of the networks of `counted`, all of them known.
    """
    pooled: dict[str, list[tuple[F64, F64, npt.NDArray[np.int64]]]] = {metric: [] for metric in measured}
    for draw in range(draws):
        shuffled = np.random.default_rng([seed, draw]).permutation(counted.counts.shape[0])
        seen, unseen = shuffled[:shots], shuffled[shots:]
        fitted = fit_rows(model, spec, counted, measured, seen=seen, knobs=knobs)
        for metric, values in measured.items():
            found = predicted(model, fitted, Counted(counted.layers, counted.counts[unseen]), metric)
            pooled[metric].append((found, values[unseen], np.full(unseen.size, draw)))
    return {name: Draws(*(np.concatenate(part) for part in zip(*parts, strict=True))) for name, parts in pooled.items()}


def fit_rows(
    model: CostModel, spec: _S, counted: Counted, measured: Mapping[str, F64], *, seen: npt.NDArray[np.int64],
    knobs: Sequence[str],
) -> _S:  # fmt: skip
    """`spec` fitted to the networks `seen`, (S,) positions; only their rows are evaluated."""
    counts = counted.counts[seen]
    used = np.flatnonzero(counts.any(axis=0))
    part = Counted(Layers(*(np.ascontiguousarray(column[used]) for column in counted.layers)), counts[:, used])

    def predict(start: Spec, columns: Mapping[str, F64]) -> F64:
        found = _costs(model, part, type(start).table_from(start, columns), tuple(measured))
        logarithms: F64 = np.log(np.concatenate(list(found), axis=1))
        return logarithms

    targets = np.log(np.concatenate([values[seen] for values in measured.values()]))
    return fit_knobs(predict, spec, knobs, measured=targets, sigma=np.full(targets.size, _SIGMA)).spec
