"""Whole spaces as tables: every network of an architecture space lowered once, every design of a hardware space costed.

Networks come in chunks, so that a space of a million networks needs the memory of its counts and of one chunk. A space
that is too large for that is refused with its size and the limit: it can be searched, not listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.exact.front import Enumeration, Settings, enumerate_blocks, enumerate_pairs
from codesign.exact.pairs import PairTables
from codesign.executor.base import cores
from codesign.objectives import Constraints, Limit, Objective, limits_of, objectives_of
from codesign.space.architecture import ArchitectureSpace, unique_rows
from codesign.space.base import Genotypes, Space
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.compose import tensor_of
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs, layerwise_of, network_metrics
from hwmodels.families.base import Layerwise
from hwmodels.families.spec import columns_of, n_configs, take
from hwmodels.workload.ops import Row
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import Layers

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
    """All pairs of a listed space; layer costs are made slab by slab.

    Raises
    ------
    SpecError : a family whose layers do not add up.
    """
    model, configs = designs.space.model, designs.configs
    layerwise = layerwise_of(model, "tables of pairs")
    return PairTables(
        networks.counts,
        lambda which: kernel_costs(layerwise, networks.layers, take(configs, which)),
        layerwise.metrics,
        score=score,
        score_name=score_name,
        config_columns=designs.columns,
        network_columns=networks.columns,
        largest=frozenset(name for name, reduction in layerwise.reductions.items() if reduction == "max"),
        knobs=columns_of(configs),
        rules=model.rules,
        infeasible=model.infeasible,
        n_designs=len(designs.genotypes),
    )


def kernel_costs(layerwise: Layerwise, layers: Layers, configs: Any) -> F64:
    """Layer costs of all of `configs`, (C, L, M), a thread a core over chunks of them."""
    size, n_layers, n_metrics = n_configs(configs), layers.kind.size, len(layerwise.reductions)
    height = max(_KERNEL_VALUES // max(n_layers * n_metrics, 1), 1)
    out = np.empty((size, n_layers, n_metrics))

    def fill(first: int) -> None:
        part = np.arange(first, min(first + height, size))
        out[part], _ = tensor_of(layerwise, layers, take(configs, part))

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(fill, range(0, size, height)))
    return out


def enumerate_space(
    space: JointSpace,
    networks: ListedNetworks,
    designs: ListedDesigns,
    *,
    objectives: tuple[str, ...],
    constraints: Constraints = (),
    score: F64 | None = None,
    score_name: str = "error",
    bounds: bool = True,
    settings: Settings | None = None,
) -> SpaceFront:
    """The exact front of a joint space whose two sides are listed; `score` (N,) is minimised and holds on all designs.

    Raises
    ------
    SpecError : an objective or constraint that the family does not answer, or an objective without a direction.
    """
    model = space.hardware.model
    wanted, limits = objectives_of(model, objectives), limits_of(model, constraints)
    if model.layerwise is not None:
        tables = pair_tables(networks, designs, score=score, score_name=score_name)
        found = enumerate_pairs(tables, objectives=wanted, constraints=limits, bounds=bounds, settings=settings)
    else:
        found = _composed(networks, designs, wanted, limits, score, score_name, settings)
    return SpaceFront(found, networks.genotypes[found.network], designs.genotypes[found.design])


def _composed(
    networks: ListedNetworks,
    designs: ListedDesigns,
    objectives: tuple[Objective, ...],
    limits: tuple[Limit, ...],
    score: F64 | None,
    score_name: str,
    settings: Settings | None,
) -> Enumeration:
    """Families whose layers do not add up: every pair through `evaluate_pairs`, block by block."""
    model = designs.space.model

    def evaluate(which: I64, first: int, after: int) -> tuple[F64, npt.NDArray[np.bool_]]:
        table, place = networks.space.lower(networks.genotypes[which], networks.semantics)
        configs = take(designs.configs, np.arange(first, after))
        config = np.tile(np.arange(after - first), which.size)
        costs = evaluate_pairs(model, table, configs, network=np.repeat(place, after - first), config=config)
        shape = (which.size, after - first)
        allowed = costs.infeasible == 0
        for limit in limits:
            allowed &= limit.keeps(costs.columns[limit.metric])
        values = [one.minimised(costs.columns[one.metric]).reshape(shape) for one in objectives]
        if score is not None:
            values.insert(0, np.broadcast_to(score[which][:, None], shape))
        return np.stack(values), allowed.reshape(shape)

    names = tuple(one.metric for one in objectives)
    found = enumerate_blocks(
        evaluate,
        len(networks.genotypes),
        len(designs.genotypes),
        objectives=names if score is None else (score_name, *names),
        fingerprint=repr((networks.space.fingerprint, designs.space.genes, model.name, objectives, limits)),
        order=None if score is None else np.argsort(score, kind="stable"),
        settings=settings,
    )
    signs = np.array([1.0] * (score is not None) + [-1.0 if one.more else 1.0 for one in objectives])
    return replace(found, values=found.values * signs)


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
