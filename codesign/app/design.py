"""One call for everybody: data, a device, a budget of time and limits in, the best three networks out.

>>> import codesign
>>> print(codesign.design("digits", "rpi4", budget="5 min", limits={"latency_s": "100 us"}))  # doctest: +SKIP

What it chooses, it chooses by the rules of `codesign.app.design_rules`, and it says so in ten lines. The run file that
it makes stands beside the results: `codesign search` with it finds the same pairs bit for bit, as far as the budget
let this run come. The budget decides how much is planned, by one timed epoch, and no generation begins that would end
after it; what is found never depends on the clock otherwise.

Layout of the folder::

    run.yaml   the run file        run/      the run, with its report
    best-1 ... best-3              exports of the pairs (`codesign.app.export`), the most accurate first
    explanation.txt                the ten lines

Not modelled: hardware that is to be bought beside the device, several devices at once.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.app.design_rules import Plan, Rule, data_section, duration, plan, recipe_of, space_of
from codesign.objectives import Limit
from codesign.pick import parse_limits, told
from hwmodels.catalog import Device
from hwmodels.errors import SpecError
from hwmodels.workload.rewrite import RUNTIMES

if TYPE_CHECKING:
    import pandas as pd

    from codesign.data import Dataset
    from codesign.report.summary import Pair
    from codesign.space.joint import JointSpace
    from codesign.two_level.loop import Event

__all__ = ["Designed", "design"]

_BEST = 3
_SAMPLED = 2_000
"""Pairs that are looked at before the run: how many keep the limits, and which are the largest that do."""
_TIMED_BATCHES = 8  # by which an epoch is timed
_DESCENTS = 8  # nearest pairs from which a reachable one is looked for
_RESERVE = 0.1  # share of the budget that reports and exports take
_FAST_PAIRS, _MOST_PAIRS = 2_000, 100_000
_KEPT_A_TRAINING = 10  # pairs within the limits that a generation should see for each training
Hardware = Literal["fixed", "searched"]


@dataclass(frozen=True)
class Designed:
    """What `design` found.

    best : the most accurate pairs within the limits, three at most. explanation : what was done, a line each.
    config : the run file. folder : where everything lies, None where nothing was kept. seconds : all of it took.
    """

    best: tuple[Pair, ...]
    explanation: tuple[str, ...]
    config: Mapping[str, Any]
    seconds: float
    folder: Path | None = None

    def __str__(self) -> str:
        return "\n".join(self.explanation)

    def __repr__(self) -> str:
        return f"Designed({len(self.best)} pairs)\n{self}"

    def to_frame(self) -> pd.DataFrame:
        """One row a pair: network, knobs, accuracy and costs in SI units."""
        import pandas as pd

        return pd.DataFrame([{"network": p.architecture, **p.hardware, **p.objectives, **p.costs} for p in self.best])

    def _repr_html_(self) -> str:
        lines = "<br>".join(self.explanation)
        return f"<p>{lines}</p>{self.to_frame().to_html(index=False)}"


class _Asked(NamedTuple):
    """What the user asked for, checked."""

    data: Dataset
    section: dict[str, Any]
    device: Device
    name: str
    limits: tuple[Limit, ...]
    budget_s: float
    seed: int
    workers: int
    hardware: Hardware


class _Fitting(NamedTuple):
    """Pairs of a sample that run and keep the limits: how many, and networks by which a training is timed."""

    share: float
    timed: tuple[npt.NDArray[np.int64], ...]


def design(
    data: str | Path | Mapping[str, Any],
    device: str,
    budget: float | str = "10 min",
    limits: Mapping[str, float | str] | Sequence[str] | None = None,
    *,
    output: str | Path | None = None,
    seed: int = 0,
    workers: int = 1,
    hardware: Hardware = "fixed",
) -> Designed:
    """Find the most accurate networks for some data that keep limits on a device, within a budget of time.

    Parameters
    ----------
    data : a data set by name, files of one's own (a folder of images, an npz file, a CSV table, a text), or the
        section `data` of a run file. device : catalogue name or YAML file.
    budget : seconds, or as "10 min". limits : metric -> bound, as ``{"latency_s": "20 ms"}``, or texts as those of
        `codesign pick`, ``["latency=20ms"]``.
    output : new folder of the run and the exports; without one nothing is kept but the answer.
    workers : processes that train. hardware : "fixed", or "searched": the knobs that the family of the device names.

    Raises
    ------
    SpecError : bad input, a budget for less than a few trainings, limits that no pair keeps (with the nearest value
        that one reaches); nothing is written then.
    """
    from codesign.store import check_run_folder

    start = time.perf_counter()
    if output is not None:
        check_run_folder(Path(output))
    if hardware not in ("fixed", "searched"):
        raise SpecError.unknown("hardware", str(hardware), ("fixed", "searched"))
    asked = _asked(data, device, budget, limits, seed=seed, workers=workers, hardware=hardware)
    rule = space_of(asked.data)
    content = _content(asked, rule)
    space = _space(content, asked.data)
    fitting = _fitting(space, asked.limits)
    epoch_s = _epoch_seconds(space, asked.data, content["estimator"]["recipe"], fitting.timed)
    planned = plan(asked.budget_s, epoch_s, content["estimator"]["recipe"]["epochs"], asked.workers)
    content = _planned(content, planned, fitting)
    with _folder(output) as folder:
        best, done = _search(content, folder, asked, start)
        seconds = time.perf_counter() - start
        lines = _explained(asked, rule, space, fitting, epoch_s, planned, best, done, seconds)
        _write(folder, content, lines)
    return Designed(best, lines, content, seconds, None if output is None else Path(output))


def _asked(
    data: str | Path | Mapping[str, Any],
    device: str,
    budget: float | str,
    limits: Mapping[str, float | str] | Sequence[str] | None,
    *,
    seed: int,
    workers: int,
    hardware: Hardware,
) -> _Asked:
    from pydantic import ValidationError

    from codesign.app.assemble import dataset_of
    from codesign.app.config import DataConfig
    from codesign.registry import EXECUTORS, complaint
    from hwmodels.catalog import device as load

    chosen, budget_s = load(str(device)), duration(budget)
    texts = [f"{name}{_bound(value)}" for name, value in limits.items()] if isinstance(limits, Mapping) else limits
    found = parse_limits(chosen.model, tuple(texts or ()), where="limits")
    for limit in found:
        if limit.metric == "top1_percent":
            raise SpecError("limits", "accuracy", "a cost: as accurate as the limits allow is what is searched for")
    # Before the data: it may pin this process, which must not have loaded torch.
    EXECUTORS.parse({"workers": workers}, "workers", default="process").make(None)
    section = data_section(data)
    try:
        config = DataConfig(**section)
    except ValidationError as error:
        raise complaint(error, "data: ", DataConfig) from None
    return _Asked(dataset_of(config), section, chosen, str(device), found, budget_s, seed, workers, hardware)


def _bound(value: float | str) -> str:
    """A bound as a text of a limit: one that says no direction is the metric's own."""
    text = str(value).strip()
    return text if text[:2] in ("<=", ">=") else f"={text}"


def _content(asked: _Asked, rule: Rule) -> dict[str, Any]:
    """The run file, but for what the budget decides."""
    from codesign.app.template import knob_values

    model = asked.device.model
    known = model.spec.knobs()
    opened = model.searched if asked.hardware == "searched" else ()
    knobs = {knob: knob_values(known[knob], asked.device.spec) for knob in opened}
    costs = [limit.metric for limit in asked.limits if model.metric(limit.metric).better != "neither"]
    return {
        "seed": asked.seed,
        "data": asked.section,
        "architecture": rule.section,
        "hardware": {
            "device": asked.name,
            "knobs": {name: values for name, values in knobs.items() if len(values) > 1},
        },
        "objectives": list(dict.fromkeys(costs)) or ["latency_s"],
        "constraints": {limit.metric: f"{limit.symbol} {limit.bound!r}" for limit in asked.limits},
        "strategy": {"name": "nsga2"},
        "estimator": {"name": "training", "recipe": recipe_of(asked.data)},
        "executor": {"name": "process", "workers": asked.workers},
    }


def _space(content: Mapping[str, Any], data: Dataset) -> JointSpace:
    from codesign.app.assemble import joint_space
    from codesign.app.config import parse_config

    return joint_space(parse_config(dict(content), where="design"), data)


def _fitting(space: JointSpace, limits: tuple[Limit, ...]) -> _Fitting:
    """Which pairs of a sample keep the limits; where none does, those that descents from the nearest ones reach.

    Raises
    ------
    SpecError : no pair keeps them, with the nearest value that one reaches.
    """
    from codesign.two_level.shortfall import cost_shortfall

    pairs = space.canonical(space.sample(_SAMPLED, np.random.default_rng(0)))
    excess = _excess(pairs, space, limits)
    share = float((excess <= 0).mean())
    if not share:
        pairs = _descended(pairs, excess, space, limits)
        excess = _excess(pairs, space, limits)
        if not (excess <= 0).any():
            why = cost_shortfall(pairs, space, RUNTIMES["compiled"], limits)
            wanted = " and ".join(map(told, limits)) or "a network that runs"
            raise SpecError("limits", wanted, "within reach", "; ".join(why))
    kept = pairs[excess <= 0]
    sizes = [space.architecture.workload(network).macs for network in space.split(kept[:256])[0]]
    order = np.argsort(sizes, kind="stable")
    networks = space.split(kept)[0]
    return _Fitting(max(share, 1 / _SAMPLED), (networks[order[len(order) // 2]], networks[order[-1]]))


def _excess(pairs: npt.NDArray[np.int64], space: JointSpace, limits: tuple[Limit, ...]) -> npt.NDArray[np.float64]:
    """By how much pairs break the worst limit, (P,); infinite where they do not run."""
    from hwmodels.evaluate import evaluate_pairs

    networks, designs = space.split(pairs)
    table, network = space.architecture.lower(networks, RUNTIMES["compiled"])
    found = evaluate_pairs(
        space.hardware.model, table, space.hardware.table(designs), network=network, config=np.arange(len(pairs))
    )
    worst = np.full(len(pairs), -1.0)
    for limit in limits:
        worst = np.maximum(worst, limit.excess(np.broadcast_to(found.columns[limit.metric], len(pairs))))
    return np.where(np.asarray(found.infeasible) == 0, worst, np.inf)


def _descended(
    pairs: npt.NDArray[np.int64], excess: npt.NDArray[np.float64], space: JointSpace, limits: tuple[Limit, ...]
) -> npt.NDArray[np.int64]:
    """The ends of descents by single decisions from the nearest pairs."""
    ends = []
    for start in np.argsort(excess, kind="stable")[:_DESCENTS]:
        at, best = pairs[start], excess[start]
        while best > 0:
            around = space.canonical(space.neighbours(at))
            found = _excess(around, space, limits)
            if not len(around) or found.min() >= best:
                break
            at, best = around[found.argmin()], found.min()
        ends.append(at)
    return np.stack(ends)


def _epoch_seconds(
    space: JointSpace, data: Dataset, recipe: Mapping[str, Any], networks: tuple[npt.NDArray[np.int64], ...]
) -> float:
    """Seconds of an epoch, the mean over a middling and the largest network, by a part of the items.

    What a first call loads is left out.
    """
    from codesign.data.base import Part
    from codesign.estimate.recipe import Recipe
    from codesign.estimate.train import train
    from hwmodels.workload.rewrite import prune_dead_branches

    once, items = Recipe(**{**recipe, "epochs": 1}), len(data.train.labels)
    timed = min(items, _TIMED_BATCHES * once.batch_size)
    part = replace(data, train=Part(data.train.images[:timed], data.train.labels[:timed]))
    seconds = []
    for network in (networks[0], *networks):
        workload, start = prune_dead_branches(space.architecture.workload(network)), time.perf_counter()
        train(workload, part, once, 0)
        seconds.append(time.perf_counter() - start)
    return float(np.mean(seconds[1:])) * items / timed


def _planned(content: Mapping[str, Any], planned: Plan, fitting: _Fitting) -> dict[str, Any]:
    """The run file with what the budget decides."""
    estimator = dict(content["estimator"])
    estimator["recipe"] = {**estimator["recipe"], "epochs": planned.epochs}
    pairs = int(min(max(_FAST_PAIRS, _KEPT_A_TRAINING * planned.trainings / fitting.share), _MOST_PAIRS))
    return {
        **content,
        "generations": planned.generations,
        "fast": {"pairs": pairs},
        "slow": {"trainings": planned.trainings, "classes": 2, "selection": "surrogate"},
        "estimator": estimator,
    }


class _OutOfTime(Exception):
    """The next generation would end after the budget."""


def _search(content: Mapping[str, Any], folder: Path, asked: _Asked, start: float) -> tuple[tuple[Pair, ...], int]:
    """Run, report and export; the best pairs, and the networks that were trained."""
    from codesign.app.config import parse_config
    from codesign.app.export import export_pair
    from codesign.app.run import begin
    from codesign.report.html import read_report, write_report

    run = begin(parse_config(dict(content), where="design"), folder / "run")
    began, until = time.perf_counter(), start + (1 - _RESERVE) * asked.budget_s

    def watch(event: Event) -> None:
        if event.level == "fast" and event.generation > 0:
            now = time.perf_counter()
            if now + (now - began) / event.generation > until:
                raise _OutOfTime

    with suppress(_OutOfTime):
        run.go(watch)
    contents = read_report(run.store, space=run.space)
    write_report(contents, run.store.folder)
    summary = contents.summary
    best = summary.front[:_BEST]
    for row in range(1, len(best) + 1):
        export_pair(run.store.folder, row, folder / f"best-{row}")
    run.store.close()
    return best, summary.ledger.trained


@contextmanager
def _folder(output: str | Path | None) -> Iterator[Path]:
    """Where a run writes; one that nobody named is gone afterwards."""
    if output is not None:
        yield Path(output)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _write(folder: Path, content: Mapping[str, Any], lines: Sequence[str]) -> None:
    import yaml

    from hwmodels.files import write_text

    write_text(folder / "run.yaml", yaml.safe_dump(dict(content), sort_keys=False))
    write_text(folder / "explanation.txt", "\n".join(lines) + "\n")


def _explained(
    asked: _Asked, rule: Rule, space: JointSpace, fitting: _Fitting, epoch_s: float, planned: Plan,
    best: tuple[Pair, ...], done: int, seconds: float,
) -> tuple[str, ...]:  # fmt: skip
    """What was done, in ten lines at most."""
    from codesign.report.scale import spoken

    data, device = asked.data, asked.device
    shape = " x ".join(map(str, data.input_shape))
    limits = ", ".join(map(told, asked.limits)) or "none"
    knobs = space.hardware.genes
    hardware = f"as it is: {device.summary}" if not knobs else "searched: " + ", ".join(gene.name for gene in knobs)
    lines = [
        f"data: {data.name}, {len(data.train.labels):,} items of {shape} to learn from, {data.task.name}",
        f"device: {device.name}, {hardware}",
        f"limits: {limits}; about {100 * fitting.share:.2g} % of all pairs keep them",
        f"space: {rule.section['space']}, {space.architecture.size:,} networks, because the data is {rule.why}",
        f"accuracy: each network is trained for {planned.epochs} epochs of {epoch_s:.2g} s and evaluated in the "
        "arithmetic of the device",
        f"search: nsga2 proposes, costs prune, a model of the errors picks {planned.trainings} networks a generation",
        f"budget: {asked.budget_s:.4g} s; {planned.total} trainings planned, {done} done, {seconds:.0f} s taken",
    ]
    for place, pair in enumerate(best, start=1):
        values = {name: value for name, value in pair.objectives.items() if name in pair.costs}
        judged = next(name for name in pair.objectives if name not in pair.costs)
        shown = ", ".join(spoken(name, value) for name, value in ({judged: pair.objectives[judged]} | values).items())
        on = "".join(f", {name} = {value}" for name, value in pair.hardware.items())
        lines.append(f"best {place}: {shown}: {pair.architecture}{on}")
    return tuple(lines)
