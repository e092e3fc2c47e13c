"""Does a front found for one device, or on one data set, serve another? Fronts of error and cost, carried over.

A context is a column of errors and a column of costs over the same N networks. The front F_a of context a is judged in
context b by what it covers there::

    kept(a, b) = hypervolume of the points of F_a in b / hypervolume of b's own front

with the reference at 1.1 times the worst error and cost of b. It is 1 where a's front is all that b needs, and 1 on
the diagonal. Rank correlation says the same of all networks, not of the best.

Contexts of one run are devices; of several runs on other data, each data set on each device, over the networks that all
the runs have judged (a run that begins with the front of another, `warm_start`, judges the same).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.app.config import RunConfig
from codesign.pareto import hypervolume, non_dominated
from codesign.report.summary import REFERENCE_MARGIN, config_of, open_store, space_of
from codesign.space.architecture import ArchitectureSpace
from codesign.store import RunStore
from hwmodels.catalog import Device
from hwmodels.crossdevice import cross_devices, rank_agreement
from hwmodels.errors import SpecError
from hwmodels.workload.rewrite import RUNTIMES, rewrite

__all__ = ["RunTransfer", "Transfer", "transfer", "transfer_of_runs"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Transfer:
    """Fronts of D contexts. kept : (D, D), row a judged in column b. front : sizes. networks : compared."""

    contexts: tuple[str, ...]
    kept: F64
    front: tuple[int, ...]
    networks: int


def transfer(contexts: Sequence[str], errors: F64, costs: F64) -> Transfer:
    """Carry the front of each context to each other one.

    Parameters
    ----------
    errors, costs : (N, D), minimised; infinite where a network does not run there.

    >>> transfer(["a", "b"], np.array([[0.1, 0.1], [0.2, 0.2]]), np.array([[1.0, 2.0], [2.0, 1.0]])).kept.round(2)
    array([[1.  , 0.55],
           [1.  , 1.  ]])

    Raises
    ------
    SpecError : a context in which no network runs.
    """
    points = [np.stack([errors[:, d], costs[:, d]], axis=1) for d in range(len(contexts))]
    runs: list[npt.NDArray[np.bool_]] = [np.asarray(np.isfinite(own).all(axis=1)) for own in points]
    for context, mine in zip(contexts, runs, strict=True):
        if not mine.any():
            raise SpecError("transfer", context, "a device that runs one of the networks")
    fronts = [np.flatnonzero(mine)[non_dominated(own[mine])] for own, mine in zip(points, runs, strict=True)]
    kept = np.empty((len(contexts),) * 2)
    for b, (own, mine) in enumerate(zip(points, runs, strict=True)):
        worst = own[mine].max(axis=0)
        reference = REFERENCE_MARGIN * np.where(worst > 0, worst, 1.0)
        whole = hypervolume(own[fronts[b]], reference)
        for a, front in enumerate(fronts):
            carried = own[front[mine[front]]]
            kept[a, b] = hypervolume(carried, reference) / whole if len(carried) else 0.0
    return Transfer(tuple(contexts), kept, tuple(map(len, fronts)), len(errors))


class RunTransfer(NamedTuple):
    """What runs say of transfer: fronts carried over, and rank correlations of all networks.

    costs : (D, D) of the contexts. runs : their names. errors : (R, R) of the runs.
    """

    carried: Transfer
    costs: F64
    runs: tuple[str, ...]
    errors: F64


class _Judged(NamedTuple):
    """A run: its networks by what is chosen, with the error of each, in [0, 1], the least over its hardware."""

    data: str
    config: RunConfig
    space: ArchitectureSpace
    errors: dict[tuple[int, ...], float]


def transfer_of_runs(folders: Sequence[Path], devices: Sequence[Device], metric: str) -> RunTransfer:
    """Carry fronts of error and one cost over the devices, and over the data of several runs.

    Raises
    ------
    SpecError : no run, no network with an accuracy, other networks in one of them, or fewer than two that all know.
    """
    runs = [_judged(folder) for folder in folders]
    first = runs[0]
    for folder, run in zip(folders, runs, strict=True):
        if run.space.genes != first.space.genes:
            raise SpecError("transfer", f"{folder}, with other decisions", f"a run of the networks of {folders[0]}")
    networks = [network for network in first.errors if all(network in run.errors for run in runs)]
    if len(runs) > 1 and len(networks) < 2:
        hint = "a run with `warm_start` judges the networks of another's front"
        raise SpecError("transfer", f"{len(networks)} networks that all runs have judged", "at least two", hint)
    data = tuple(run.data for run in runs)
    names = data if len(set(data)) == len(data) else tuple(str(folder) for folder in folders)
    costs = np.concatenate([_costs(run, networks, devices, metric) for run in runs], axis=1)
    errors = np.array([[run.errors[network] for run in runs] for network in networks])
    contexts = [f"{name}, {one.name}" if len(runs) > 1 else one.name for name in names for one in devices]
    carried = transfer(contexts, np.repeat(errors, len(devices), axis=1), costs)
    return RunTransfer(carried, rank_agreement(costs), names, rank_agreement(errors))


def _judged(folder: Path) -> _Judged:
    store = open_store(folder)
    config = config_of(store)
    space = space_of(config).architecture
    return _Judged(config.data.name, config, space, _errors(store, space.n_genes))


def _errors(store: RunStore, genes: int) -> dict[tuple[int, ...], float]:
    found: dict[tuple[int, ...], float] = {}
    for _, pair, estimate in store.pairs():
        if estimate.metrics:  # else costs alone are compared, and the error says nothing
            network = pair.genotype[:genes]
            found[network] = min(estimate.error, found.get(network, float("inf")))
    if not found:
        raise SpecError("transfer", f"no network with an accuracy in {store.folder}", "at least one")
    return found


def _costs(run: _Judged, networks: Sequence[tuple[int, ...]], devices: Sequence[Device], metric: str) -> F64:
    """Minimised (N, D): of what more is better the reciprocal; infinite where a network does not run."""
    semantics = RUNTIMES[run.config.runtime]
    workloads = [rewrite(run.space.workload(np.array(genes, np.int64)), semantics) for genes in networks]
    table = cross_devices(workloads, devices, metric=metric)
    costs: F64 = np.where(np.isfinite(table.values), 1.0 / table.values, np.inf) if table.more else table.values
    return costs
