"""Whole spaces as tables: every network of an architecture space lowered once, every design of a hardware space costed.

Networks come in chunks, so that a space of a million networks needs the memory of its counts and of one chunk. A space
that is too large for that is refused with its size and the limit: it can be searched, not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.exact.front import Enumeration, Settings, enumerate_blocks, enumerate_pairs
from codesign.exact.pairs import PairTables
from codesign.executor.base import cores
from codesign.space.architecture import ArchitectureSpace, unique_rows
from codesign.space.base import Genotypes, Space
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs, layer_costs, network_metrics
from hwmodels.families.base import CostModel
from hwmodels.workload.ops import Row
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import Layers, LayerTable, Networks

__all__ = [
    "LISTABLE",
    "ListedDesigns",
    "ListedNetworks",
    "SpaceFront",
    "enumerate_space",
    "kernel_costs",
    "list_designs",
    "list_networks",
    "pair_tables",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

LISTABLE = 20_000_000
"""Points of a space that can be listed."""
_COUNT_BYTES = 1 << 30
"""Networks times layer shapes that can be listed, a byte each as a rule."""
_CHUNK = 50_000
_KERNEL_VALUES = 1 << 20
"""Values of a kernel's output made by a thread at a time."""


@dataclass(frozen=True, eq=False)
class ListedNetworks:
    """Every network of a space.

    genotypes : (N, G), canonical and distinct where dead branches are dropped, else every valid one. layers : the L
    distinct rows; counts : (N, L) small integers. columns : metrics of the network alone, (N,).
    """

    space: ArchitectureSpace
    semantics: Semantics
    genotypes: Genotypes
    layers: Layers
    counts: npt.NDArray[Any]
    columns: Mapping[str, F64]


@dataclass(frozen=True, eq=False)
class ListedDesigns:
    """Every design of a grid: genotypes (H, G), the family's table of them, metrics of the design alone (H,)."""

    space: HardwareSpace
    genotypes: Genotypes
    configs: Any
    columns: Mapping[str, F64]


@dataclass(frozen=True, eq=False)
class SpaceFront:
    """The front of a joint space: the enumeration, and the genotypes of its pairs, (F, Ga) and (F, Gh)."""

    enumeration: Enumeration
    architecture: Genotypes
    hardware: Genotypes


def list_networks(space: ArchitectureSpace, semantics: Semantics) -> ListedNetworks:
    """Lower every network of a space.

    Raises
    ------
    SpecError : more points than `LISTABLE`, or more than 2^30 counts.
    """
    _check_size("architecture", space)
    rows: dict[Row, int] = {}
    genotypes, counts, columns = [], [], []
    n_networks = 0
    for part in _chunks(space, semantics):
        lowered = space.lower(part, semantics)
        table = lowered.table
        at = np.array([rows.setdefault(table.layers.row(i), len(rows)) for i in range(table.n_layers)], np.int64)
        counted = table.counts()
        placed = np.zeros((table.n_networks, len(rows)), np.uint8 if counted.max(initial=0) < 256 else np.uint16)
        placed[:, at] = counted
        genotypes.append(part)
        counts.append(placed[lowered.network])
        columns.append({name: values[lowered.network] for name, values in network_metrics(table).items()})
        n_networks += len(part)
        if n_networks * len(rows) > _COUNT_BYTES:
            raise SpecError("architecture", f"{space.size} points of {len(rows)} layer shapes and more", "listable")
    if not genotypes:
        raise SpecError("architecture", "no valid network", "a space with at least one")
    whole = np.zeros((n_networks, len(rows)), np.result_type(*counts))
    while counts:
        part = counts.pop()
        whole[n_networks - len(part) : n_networks, : part.shape[1]] = part
        n_networks -= len(part)
    return ListedNetworks(
        space,
        semantics,
        np.concatenate(genotypes),
        Layers.of(list(rows)),
        whole,
        {name: np.concatenate([part[name] for part in columns]) for name in columns[0]},
    )


def list_designs(space: HardwareSpace) -> ListedDesigns:
    """Every design of a grid.

    Raises
    ------
    SpecError : more than `LISTABLE`.
    """
    _check_size("hardware", space)
    genotypes = _points(space, 0, space.size)
    configs = space.table(genotypes)
    return ListedDesigns(space, genotypes, configs, space.model.config_metrics(configs))


def pair_tables(
    networks: ListedNetworks, designs: ListedDesigns, *, score: F64 | None = None, score_name: str = "error"
) -> PairTables:
    """All pairs of a listed space, for a family whose layers add up; layer costs are made slab by slab."""
    model, configs = designs.space.model, designs.configs
    names = set(model.layer_metrics)
    return PairTables(
        networks.counts,
        lambda which: kernel_costs(model, networks.layers, _rows_of(configs, which)),
        model.layer_metrics,
        score=score,
        score_name=score_name,
        config_columns=designs.columns,
        network_columns=networks.columns,
        largest=frozenset(name for name in names if model.reduction(name) == "max"),
        knobs=configs._asdict(),
        epilogue=model.epilogue,
        epilogue_metrics=tuple(metric.name for metric in model.metrics if metric.reduction == "epilogue"),
        infeasible=model.infeasible,
        n_designs=len(designs.genotypes),
    )


def kernel_costs(model: CostModel, layers: Layers, configs: Any) -> F64:
    """Layer costs of all of `configs`, (C, L, M), a thread a core over chunks of them."""
    n_configs, n_layers = configs[0].size, layers.kind.size
    height = max(_KERNEL_VALUES // max(n_layers * len(model.layer_metrics), 1), 1)
    nothing, start = np.zeros(0, np.int64), np.zeros(1, np.int64)
    alone = LayerTable(layers, Networks(nothing, start, nothing, nothing, nothing, start), ())
    out = np.empty((n_configs, n_layers, len(model.layer_metrics)))

    def fill(first: int) -> None:
        part = np.arange(first, min(first + height, n_configs))
        out[part] = layer_costs(model, alone, _rows_of(configs, part)).values

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(fill, range(0, n_configs, height)))
    return out


def enumerate_space(
    space: JointSpace,
    networks: ListedNetworks,
    designs: ListedDesigns,
    *,
    objectives: tuple[str, ...],
    constraints: Mapping[str, float] | None = None,
    score: F64 | None = None,
    score_name: str = "error",
    bounds: bool = True,
    settings: Settings | None = None,
) -> SpaceFront:
    """The exact front of a joint space whose two sides are listed; `score` (N,) is minimised and holds on all designs.

    Raises
    ------
    SpecError : an objective or constraint that the family does not answer.
    """
    model = space.hardware.model
    if model.composition == "sum":
        tables = pair_tables(networks, designs, score=score, score_name=score_name)
        found = enumerate_pairs(
            tables, objectives=objectives, constraints=constraints, bounds=bounds, settings=settings
        )
    else:
        found = _composed(networks, designs, objectives, constraints or {}, score, score_name, settings)
    return SpaceFront(found, networks.genotypes[found.network], designs.genotypes[found.design])


def _composed(
    networks: ListedNetworks,
    designs: ListedDesigns,
    objectives: tuple[str, ...],
    limits: Mapping[str, float],
    score: F64 | None,
    score_name: str,
    settings: Settings | None,
) -> Enumeration:
    """Families whose layers do not simply add up: every pair through `evaluate_pairs`, block by block."""
    model = designs.space.model
    known = (*(metric.name for metric in model.metrics), *networks.columns)
    for where, names in (("objectives", objectives), ("constraints", tuple(limits))):
        for name in names:
            if name not in known:
                raise SpecError.unknown(where, name, known)

    def evaluate(which: I64, first: int, after: int) -> tuple[F64, npt.NDArray[np.bool_]]:
        table, place = networks.space.lower(networks.genotypes[which], networks.semantics)
        configs = _rows_of(designs.configs, np.arange(first, after))
        config = np.tile(np.arange(after - first), which.size)
        costs = evaluate_pairs(model, table, configs, network=np.repeat(place, after - first), config=config)
        shape = (which.size, after - first)
        allowed = costs.infeasible == 0
        for name, limit in limits.items():
            allowed &= costs.columns[name] <= limit
        values = [costs.columns[name].reshape(shape) for name in objectives]
        if score is not None:
            values.insert(0, np.broadcast_to(score[which][:, None], shape))
        return np.stack(values), allowed.reshape(shape)

    return enumerate_blocks(
        evaluate,
        len(networks.genotypes),
        len(designs.genotypes),
        objectives=objectives if score is None else (score_name, *objectives),
        fingerprint=repr((networks.space.fingerprint, designs.space.genes, model.name, objectives, dict(limits))),
        order=None if score is None else np.argsort(score, kind="stable"),
        settings=settings,
    )


def _rows_of(configs: Any, which: I64) -> Any:
    """Some rows of a configuration table."""
    return type(configs)(*(np.ascontiguousarray(column[which]) for column in configs))


def _chunks(space: ArchitectureSpace, semantics: Semantics) -> Iterator[Genotypes]:
    """Networks to be listed, in chunks: all valid ones, or one of each that are the same without dead branches."""
    for first in range(0, space.size, _CHUNK):
        points = _points(space, first, min(first + _CHUNK, space.size))
        points = points[space.valid(points)]
        if semantics.drop_dead_branches and len(points):
            # A representative stands for itself: so each is listed once, whichever chunk it is in.
            points = points[(space.canonical(points) == points).all(axis=1)]
        if len(points):
            yield unique_rows(points, space.cardinalities)[0]


def _points(space: Space, first: int, after: int) -> Genotypes:
    """Points by position, the last gene varying fastest, as `Space.enumerate` lists them."""
    if not space.genes:
        return np.zeros((after - first, 0), np.int64)
    return np.stack(np.unravel_index(np.arange(first, after), space.cardinalities.tolist()), axis=1).astype(np.int64)


def _check_size(where: str, space: Space) -> None:
    if space.size > LISTABLE:
        raise SpecError(where, f"a space of {space.size} points", f"listable (at most {LISTABLE} points)")
