"""Enumerate the joint space of a run configuration: every network on every design, the exact front into a folder.

Accuracies come from a table (a file), or a named score stands for them (more is better), or the front is one of costs
alone. A table knows nothing of the hardware: one accuracy a network holds on all designs, whatever their numerics,
which `summary.json` notes where the designs differ in them.

Files: front.csv, front.json, summary.json, on request pairs/*.parquet; an interrupted enumeration leaves
enumerate.npz, from which the same call goes on.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.app.accuracy_table import Accuracies, index_weights, read_accuracy_table
from codesign.exact.front import Settings
from codesign.exact.listing import (
    ListedDesigns,
    ListedNetworks,
    SpaceFront,
    enumerate_space,
    list_designs,
    list_networks,
    pair_tables,
)
from codesign.exact.parquet import PairParts, write_pairs
from codesign.exact.rounds import Progress
from codesign.objectives import limits_of
from codesign.two_level.shortfall import MOST_PAIRS, cost_shortfall, even_sample, idle_limits
from hwmodels.errors import SpecError
from hwmodels.evaluate import layerwise_of
from hwmodels.files import check_new_folder, is_partial, make_folder, strict_json, write_text
from hwmodels.workload.rewrite import RUNTIMES

if TYPE_CHECKING:
    from codesign.app.config import RunConfig
    from codesign.space.joint import JointSpace

__all__ = ["SCORES", "enumerate_run"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

SCORES = ("macs", "parameters")
"""Named scores, larger is better: the plainest stand-ins for an accuracy."""
_CHECKPOINT = "enumerate.npz"


def enumerate_run(
    config: RunConfig,
    folder: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    accuracy: Path | None = None,
    score: str | None = None,
    bounds: bool = True,
    survivors: bool = False,
    all_pairs: bool = False,
    lanes: int | None = None,
) -> dict[str, Any]:
    """Write the exact front of a configuration's joint space into a new or empty folder; returns its summary.

    Parameters
    ----------
    accuracy : a CSV or npz file, see `codesign.app.accuracy_table`. score : one of `SCORES` in its place; with neither
        the front is one of costs. bounds : rule out tiles of designs by their least costs. survivors, all_pairs : write
        Parquet, too: the pairs that were on the front of their round, a file a round; every pair, in a pass of its own.
        lanes : threads.

    Raises
    ------
    SpecError : a space that cannot be listed, an unknown score, a table that is not complete, an occupied folder;
        nothing is written then.
    """
    from codesign.app.assemble import cost_constraints, dataset_of, joint_space, least_accuracy, task_limits

    began = perf_counter()
    if score is not None and (accuracy is not None or score not in SCORES):
        raise SpecError.unknown("score", score, SCORES if accuracy is None else ["no score beside accuracies"])
    _check_folder(folder)
    space = joint_space(config, dataset_of(config.data))
    if all_pairs:
        layerwise_of(space.hardware.model, "all pairs")
    table = None if accuracy is None else read_accuracy_table(accuracy, space.architecture)
    semantics = RUNTIMES[config.runtime]
    designs = list_designs(space.hardware)
    networks = list_networks(space.architecture, semantics)
    minimised, notes = _score(networks, accuracy, table, score)
    limits, on_task = cost_constraints(config, space.hardware.model), task_limits(config, space.hardware.model)
    for limit in on_task:
        if (limit.metric, limit.least) != ("accuracy", True):
            raise SpecError("constraints", str(limit), "on a cost, or accuracy with >=, where a space is enumerated")
    least = least_accuracy(on_task)
    if accuracy is not None and minimised is not None and least > 0:
        networks, minimised = _at_least(networks, minimised, 1.0 - least)
    make_folder(folder)
    name = "error" if accuracy is not None else f"minus_{score}"
    result = enumerate_space(
        space,
        networks,
        designs,
        objectives=tuple(config.objectives),
        constraints=limits,
        score=minimised,
        score_name=name,
        bounds=bounds,
        settings=Settings(
            threads=lanes,
            progress=progress,
            checkpoint=folder / _CHECKPOINT,
            sink=PairParts(folder / "pairs", _objective_names(config, minimised, name)) if survivors else None,
        ),
    )
    if all_pairs:
        make_folder(folder / "pairs")
        tables = pair_tables(networks, designs, score=minimised, score_name=name)
        write_pairs(folder / "pairs" / "all.parquet", tables, _objective_names(config, minimised, name))
    summary = _summary(config, space, networks, result, accuracy, score)
    summary["notes"] += notes
    summary["notes"] += idle_limits(space, semantics, limits_of(space.hardware.model, limits))
    classes = np.unique(space.hardware.numerics(designs.genotypes), axis=0)
    if minimised is not None and len(classes) > 1:
        summary["notes"].append(f"one score a network on all designs, though they have {len(classes)} numerics")
    if accuracy is None and least > 0:
        summary["notes"].append(f"least_accuracy {least:g} is not applied: no accuracies are given")
    summary["shortfall"] = [] if summary["front"] else _shortfall(config, space, networks, designs)
    summary["seconds"] = round(perf_counter() - began, 3)
    _write(folder, space, result, summary, score)
    return summary


def _shortfall(config: RunConfig, space: JointSpace, networks: ListedNetworks, designs: ListedDesigns) -> list[str]:
    """How far off an empty front is, on an even sample of networks by size and of designs where there are many."""
    from codesign.app.assemble import cost_constraints

    by_size = np.argsort(networks.columns["macs"], kind="stable")
    device = even_sample(len(designs.genotypes), MOST_PAIRS // 16)
    network = by_size[even_sample(len(by_size), max(MOST_PAIRS // max(device.size, 1), 2))]
    pairs = space.join(
        np.repeat(networks.genotypes[network], device.size, axis=0),
        np.tile(designs.genotypes[device], (network.size, 1)),
    )
    limits = limits_of(space.hardware.model, cost_constraints(config, space.hardware.model))
    whole = len(networks.genotypes) * len(designs.genotypes)
    return list(cost_shortfall(pairs, space, networks.semantics, limits, considered=whole))


def _objective_names(config: RunConfig, minimised: F64 | None, name: str) -> tuple[str, ...]:
    """Objectives of the enumeration in order."""
    objectives = tuple(dict.fromkeys(config.objectives))
    return objectives if minimised is None else (name, *objectives)


class _Score(NamedTuple):
    """What the front minimises beside the costs, (N,), or None; and what a user should know of it."""

    minimised: F64 | None
    notes: tuple[str, ...] = ()


def _score(networks: ListedNetworks, accuracy: Path | None, table: Accuracies | None, score: str | None) -> _Score:
    if score is not None:
        return _Score(-networks.columns[score])
    if table is None:
        return _Score(None)
    space, (known, notes) = networks.space, table
    weights = index_weights(space)
    own, alike = networks.genotypes @ weights, space.canonical(networks.genotypes) @ weights
    found = np.array([known.get(i, known.get(j, np.nan)) for i, j in zip(own.tolist(), alike.tolist(), strict=True)])
    missing = np.flatnonzero(np.isnan(found))
    if missing.size:
        first = "-".join(map(str, networks.genotypes[missing[0]]))
        raise SpecError(str(accuracy), f"without {missing.size} of {found.size} networks, as {first}", "complete")
    return _Score(1.0 - found, notes)


def _at_least(networks: ListedNetworks, error: F64, largest: float) -> tuple[ListedNetworks, F64]:
    """Networks whose error is small enough."""
    kept = error <= largest
    if not kept.any():
        best = networks.space.describe(networks.genotypes[int(error.argmin())])
        raise SpecError(
            "least_accuracy", f"{1 - largest:g}", f"met: the largest accuracy is {1 - error.min():.6g} ({best})"
        )
    columns = {name: values[kept] for name, values in networks.columns.items()}
    return (
        ListedNetworks(
            networks.space,
            networks.semantics,
            networks.genotypes[kept],
            networks.layers,
            networks.counts[kept],
            columns,
        ),
        error[kept],
    )


def _check_folder(folder: Path) -> None:
    """New, empty, or left by an enumeration that was interrupted."""
    check_new_folder(folder)
    names = {path.name for path in folder.iterdir() if not is_partial(path)} if folder.exists() else set()
    if names and not (_CHECKPOINT in names and names <= {_CHECKPOINT, f"{_CHECKPOINT}.part", "pairs"}):
        raise SpecError("--output", folder, "a new or empty folder, or one of an interrupted enumeration")


def _summary(
    config: RunConfig,
    space: JointSpace,
    networks: ListedNetworks,
    result: SpaceFront,
    accuracy: Path | None,
    score: str | None,
) -> dict[str, Any]:
    found = result.enumeration
    return {
        "family": space.hardware.model.name,
        "model_version": space.hardware.model.model_version,
        "runtime": config.runtime,
        "score": str(accuracy) if accuracy is not None else score,
        "objectives": list(found.objectives),
        "constraints": dict(config.constraints),
        "space": space.architecture.fingerprint,
        "architectures": space.architecture.size,
        "networks": len(networks.genotypes),
        "groups": found.groups,
        "designs": space.hardware.size,
        "pairs": found.pairs,
        "counts": dict(found.counts),
        "feasible": found.feasible,
        "front": len(found.network),
        "notes": [],
        "versions": {name: version(name) for name in ("codesign", "numpy", "numba")},
    }


class _Output(NamedTuple):
    name: str
    content: str


def _write(folder: Path, space: JointSpace, result: SpaceFront, summary: Mapping[str, Any], score: str | None) -> None:
    """The three files, each whole or not at all, the summary last: where it is, the others are complete."""
    records = _records(space, result, score)
    table = io.StringIO()
    writer = csv.DictWriter(table, list(records[0]) if records else _names(space, result, score), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    outputs: Sequence[_Output] = (
        _Output("front.csv", table.getvalue()),
        _Output("front.json", strict_json(records) + "\n"),
        _Output("summary.json", strict_json(summary) + "\n"),
    )
    for name, content in outputs:
        write_text(folder / name, content)


def _names(space: JointSpace, result: SpaceFront, score: str | None) -> list[str]:
    shown = [_shown(name, 0.0, score)[0] for name in result.enumeration.objectives]
    return ["network", "genotype", *(gene.name for gene in space.hardware.genes), *shown]


def _records(space: JointSpace, result: SpaceFront, score: str | None) -> list[dict[str, Any]]:
    """One pair of the front after the other."""
    found = result.enumeration
    out = []
    for network, design, values in zip(result.architecture, result.hardware, found.values, strict=True):
        record: dict[str, Any] = {
            "network": space.architecture.describe(network),
            "genotype": "-".join(map(str, network.tolist())),
            **space.hardware.decode(design),
        }
        record |= dict(
            _shown(name, value, score) for name, value in zip(found.objectives, values.tolist(), strict=True)
        )
        out.append(record)
    return out


def _shown(name: str, value: float, score: str | None) -> tuple[str, float]:
    """An objective as people read it: the accuracy for the error, the score for its negative."""
    if name == "error":
        return "accuracy", 1.0 - value
    return (score, -value) if score is not None and name == f"minus_{score}" else (name, value)
