"""Pairs of an earlier run as points of another space: what `warm_start:` carries over.

A network is carried over where every gene of the new space is one of the old, with that choice: another device, other
data or a later stage of a progressive space leave the networks what they are. Knobs of the hardware are carried over
one by one, by name and value; the others are drawn. The points stand in the manifest, so that a run goes on without the
earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.space.base import Genotypes, Space
from codesign.space.joint import JointSpace
from codesign.two_level.shortfall import even_sample
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.app.config import RunConfig

__all__ = ["carried_points", "checked_points", "with_points"]


def with_points(config: RunConfig, space: JointSpace) -> RunConfig:
    """The configuration with the points that its warm start carries over, where it has one without points.

    Raises
    ------
    SpecError : no run there, an empty front, or none of its networks is one of the space.
    """
    warm = config.warm_start
    if warm is None or warm.points:
        return config
    if warm.run is None:
        raise SpecError("warm_start", "neither run nor points", "enough: one of them is needed")
    points = carried_points(warm.run, space, most=warm.most)
    return config.model_copy(update={"warm_start": warm.model_copy(update={"points": points.tolist()})})


def carried_points(run: Path, space: JointSpace, *, most: int) -> Genotypes:
    """At most `most` pairs of a run's front in another space, evenly along it, (S, G); -1 for a knob that is new.

    Raises
    ------
    SpecError : see `with_points`.
    """
    from codesign.report.summary import config_of, open_store, space_of, summarise

    store = open_store(run)
    earlier = space_of(config_of(store))
    front = summarise(store, space=earlier).front
    store.close()
    if not front:
        raise SpecError("warm_start.run", str(run), "a run with a front")
    pairs = [earlier.decode(np.array(pair.genotype, np.int64)) for pair in front]
    missing = [gene.name for gene in space.architecture.genes if gene.name not in pairs[0]]
    if missing:
        named = ", ".join(gene.name for gene in earlier.architecture.genes)
        raise SpecError("warm_start.run", f"a run without the gene {missing[0]}", "one of the same networks", named)
    found = np.array([_point(pair, space) for pair in pairs], np.int64)
    networks, _ = space.split(found)
    kept = np.flatnonzero((networks >= 0).all(axis=1))
    kept = kept[space.architecture.valid(networks[kept])]
    if not kept.size:
        lost = {gene.name: pairs[0][gene.name] for gene in space.architecture.genes}
        raise SpecError("warm_start.run", f"no network of {run}", "one of this space", f"its first has {lost}")
    _, first = np.unique(found[kept], axis=0, return_index=True)
    distinct: Genotypes = found[kept][np.sort(first)]
    return distinct[even_sample(len(distinct), most)]


def _point(pair: Mapping[str, Any], space: Space) -> list[int]:
    """Choices by gene as a genotype; -1 for a gene that the pair does not have, or not with a choice of this space."""
    return [
        gene.choices.index(pair[gene.name]) if gene.name in pair and pair[gene.name] in gene.choices else -1
        for gene in space.genes
    ]


def checked_points(config: RunConfig, space: JointSpace) -> Genotypes | None:
    """The points of the warm start, (S, G); None without one.

    Raises
    ------
    SpecError : points of another space.
    """
    if config.warm_start is None:
        return None
    for point in config.warm_start.points:
        if len(point) != space.n_genes:
            raise SpecError("warm_start.points", f"{len(point)} genes", f"points of {space.n_genes}")
    points = np.array(config.warm_start.points, np.int64).reshape(-1, space.n_genes)
    networks, designs = space.split(points)
    wrong = ~space.architecture.valid(networks) | (designs < -1).any(axis=1)
    wrong |= (designs >= space.hardware.cardinalities).any(axis=1)
    if wrong.any():
        raise SpecError("warm_start.points", points[wrong][0].tolist(), "points of the space, -1 for a knob to draw")
    return points
