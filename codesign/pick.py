"""Which published network to take for a device: those that keep every limit, by published accuracy.

Costs are predicted for every candidate on the device; accuracies are those of the zoo, each with its source. What the
device's predictions were found to be off by, where anyone measured, stands beside them. Networks are compared on one
data set at a time: 97 % of CIFAR-10 is no better than 80 % of ImageNet. Not modelled: what the device's number formats
take from an accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.objectives import Limit
from codesign.pareto import non_dominated
from hwmodels.catalog import Device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.base import CostModel
from hwmodels.units import format_quantity, parse_quantity, split_unit
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import ZOO, Accuracy, Entry, published_accuracy
from hwmodels.workload.zoo.accuracy import datasets

__all__ = ["Choice", "Picked", "candidates", "metric_named", "parse_limits", "pick", "told"]

F64 = npt.NDArray[np.float64]
_ALIASES = {"weights": "weight_bytes", "memory": "memory_bytes_used", "params": "parameters", "rate": "throughput"}
_TOP1 = ("accuracy", "top1", "top1_percent")
_RATES = ("_items_per_s", "_macs_per_s", "_bytes_per_s")


@dataclass(frozen=True)
class Choice:
    """One network on the device.

    costs : metric -> value per batch, SI units. accuracy : the best published one, None where none is.
    is_best : no other network of its data set that fits is as accurate and costs as little of everything limited.
    """

    network: str
    accuracy: Accuracy | None
    costs: Mapping[str, float]
    is_best: bool = False

    def as_dict(self) -> dict[str, object]:
        known = self.accuracy
        return {
            "network": self.network,
            "top1_percent": None if known is None else known.top1_percent,
            "top5_percent": None if known is None else known.top5_percent,
            "dataset": None if known is None else known.dataset,
            "source": None if known is None else known.source,
            "non_dominated": self.is_best,
            **self.costs,
        }


@dataclass(frozen=True)
class Picked:
    """The networks that keep every limit, the best first; where there are none, why, in one line."""

    choices: tuple[Choice, ...]
    limits: tuple[Limit, ...]
    examined: int
    cannot_run: int
    miss: str = ""


def parse_limits(model: CostModel, texts: Sequence[str], *, where: str = "--limit") -> tuple[Limit, ...]:
    """``latency=20ms``, ``weights<=5MB``, ``throughput>=30`` as limits, several of one metric as the tightest.

    A metric may stand without the unit of its name. "=" is a largest value, or a smallest one where more is better;
    "accuracy" is a least top-1 in per cent.

    Raises
    ------
    SpecError : no such metric (with the nearest match), another unit, a bound that is not above zero.
    """
    found: dict[tuple[str, bool], Limit] = {}
    for text in texts:
        symbol = next((symbol for symbol in ("<=", ">=", "=") if symbol in text), None)
        if symbol is None:
            raise SpecError(where, text, "metric=bound, as latency=20ms, weights<=5MB or throughput>=30")
        name, _, value = (part.strip() for part in text.partition(symbol))
        limit = _limit(model, name, symbol, value, where)
        key = (limit.metric, limit.least)
        found[key] = limit.tighter(found[key]) if key in found else limit
    return tuple(found.values())


def _limit(model: CostModel, name: str, symbol: str, value: str, where: str) -> Limit:
    if name.lower() in _TOP1:
        bound = parse_quantity(value, "%", where=f"{where}: {name}")
        if symbol == "<=" or not 0 < bound <= 100:
            raise SpecError(f"{where}: {name}", f"{symbol} {value}", "a least accuracy above 0 up to 100 %")
        return Limit("top1_percent", bound, least=True)
    metric = metric_named(model, name, where=where)
    bound = parse_quantity(value, _unit(metric), where=f"{where}: {name}")
    if not bound > 0:
        raise SpecError(f"{where}: {name}", value, "> 0")
    is_least = symbol == ">=" or (symbol == "=" and model.metric(metric).better == "more")
    return Limit(metric, bound, is_least)


def _unit(metric: str) -> str:
    """The unit of a bound; a rate of items is a plain number."""
    return "" if metric.endswith("_items_per_s") else split_unit(metric)[1]


def metric_named(model: CostModel, name: str, *, where: str) -> str:
    """The metric of a name with or without its unit: latency is latency_s, weights are weight_bytes.

    Raises
    ------
    SpecError : unknown name, with the nearest match.
    """
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    plain = _ALIASES.get(plain, plain)
    names = model.names
    if plain in names:
        return plain
    short = {_without_unit(metric): metric for metric in reversed(names)}
    if plain in short:
        return short[plain]
    raise SpecError.unknown(where, name, {**dict.fromkeys((*names, "accuracy")), **dict.fromkeys(short)})


def _without_unit(metric: str) -> str:
    for ending in _RATES:
        if metric.endswith(ending):
            return metric.removesuffix(ending)
    return split_unit(metric)[0]


def candidates(*, dataset: str | None, unranked: bool) -> list[Entry]:
    """The zoo's networks with a published accuracy (on one data set), or all of them.

    Raises
    ------
    SpecError : an unknown data set, with the nearest match.
    """
    return [
        known
        for known in ZOO
        if published_accuracy(known.name, dataset=dataset) is not None or (unranked and not dataset)
    ]


def pick(
    device: Device,
    limits: Sequence[Limit],
    build: Callable[[Entry], Workload],
    *,
    dataset: str | None = None,
    unranked: bool = False,
) -> Picked:
    """The published networks that keep every limit on a device, the most accurate of each data set first.

    Parameters
    ----------
    limits : see `parse_limits`.
    build : an entry of the zoo as the network that runs, with batch, bits and rewrites.
    dataset : only networks with an accuracy on it.
    unranked : networks without a published accuracy, too, at the end.

    Returns
    -------
    Picked : non-dominated ones are marked, by accuracy and every limited metric (latency where none is).
    """
    known = candidates(dataset=dataset, unranked=unranked)
    table = layer_table([build(entry) for entry in known])
    network = np.arange(len(known))
    configs = type(device.spec).to_table([device.spec])
    costs = evaluate_pairs(device.model, table, configs, network=network, config=np.zeros_like(network))
    runs = costs.infeasible == 0
    ranked = [published_accuracy(entry.name, dataset=dataset) for entry in known]
    top1 = np.array([np.nan if accuracy is None else accuracy.top1_percent for accuracy in ranked])
    shown = tuple(dict.fromkeys(("latency_s", *(limit.metric for limit in limits), "weight_bytes")))
    columns = {name: top1 if name == "top1_percent" else costs.columns[name] for name in shown}
    keeps = runs & np.all([limit.keeps(columns[limit.metric]) for limit in limits] or [runs], axis=0)
    best = _marked(device.model, ranked, columns, limits, keeps)
    order = sorted(np.flatnonzero(keeps), key=lambda i: _rank(ranked[i], float(columns["latency_s"][i])))
    choices = tuple(
        Choice(
            known[i].name,
            ranked[i],
            {name: float(values[i]) for name, values in columns.items() if name != "top1_percent"},
            bool(best[i]),
        )
        for i in order
    )
    miss = "" if choices else _miss([entry.name for entry in known], columns, limits, runs)
    return Picked(choices, tuple(limits), len(known), int(np.sum(~runs)), miss)


def _rank(accuracy: Accuracy | None, latency_s: float) -> tuple[int, float, float]:
    """Data sets in the order of how many networks they have; within one the most accurate, then the fastest, first."""
    if accuracy is None:
        return len(datasets()), 0.0, latency_s
    return datasets().index(accuracy.dataset), -accuracy.top1_percent, latency_s


def _marked(
    model: CostModel,
    ranked: Sequence[Accuracy | None],
    columns: Mapping[str, F64],
    limits: Sequence[Limit],
    keeps: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """The non-dominated networks of each data set among those that fit."""
    named = [limit.metric for limit in limits if limit.metric != "top1_percent"] or ["latency_s"]
    named = [name for name in dict.fromkeys(named) if model.metric(name).better != "neither"] or ["latency_s"]
    costs = [-columns[name] if model.metric(name).better == "more" else columns[name] for name in named]
    best = np.zeros(len(ranked), dtype=np.bool_)
    for dataset in datasets():
        which = [i for i, accuracy in enumerate(ranked) if keeps[i] and accuracy and accuracy.dataset == dataset]
        if which:
            errors = np.array([-accuracy.top1_percent for i in which if (accuracy := ranked[i]) is not None])
            best[which] = non_dominated(np.stack([errors, *(cost[which] for cost in costs)], axis=1))
    return best


def _miss(
    names: Sequence[str], columns: Mapping[str, F64], limits: Sequence[Limit], runs: npt.NDArray[np.bool_]
) -> str:
    """How far off the nearest network is: of the first limit that none keeps, else of all together."""
    able = np.flatnonzero(runs & ~np.isnan(columns.get("top1_percent", np.zeros(len(names)))))
    if not able.size:
        return "no network runs on this device"
    for limit in limits:
        values = columns[limit.metric][able]
        if not np.any(limit.keeps(values)):
            at = int(values.argmax() if limit.least else values.argmin())
            word = "largest" if limit.least else "smallest"
            return f"no network meets {told(limit)}: the {word} seen is {_value(limit, values[at])} ({names[able[at]]})"
    excess = np.max([limit.excess(columns[limit.metric][able]) for limit in limits], axis=0)
    at = int(excess.argmin())
    found = ", ".join(
        f"{_name(limit)} {_value(limit, columns[limit.metric][able[at]])}"
        for limit in limits
        if not limit.keeps(columns[limit.metric][able[at : at + 1]])[0]
    )
    return f"no network meets {' and '.join(map(told, limits))} at once: {names[able[at]]} comes closest with {found}"


def _name(limit: Limit) -> str:
    return "accuracy" if limit.metric == "top1_percent" else _without_unit(limit.metric)


def _value(limit: Limit, value: float) -> str:
    return f"{value:.4g} %" if limit.metric == "top1_percent" else format_quantity(float(value), _unit(limit.metric))


def told(limit: Limit) -> str:
    """A limit as people write it: ``latency <= 20 ms``."""
    return f"{_name(limit)} {limit.symbol} {_value(limit, limit.bound)}"
