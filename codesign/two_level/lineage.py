"""From whose weights a new training starts: from those of the point that the strategy made its network of.

Only a network that was trained in an earlier generation has weights to hand on. Where several pairs of a network are
proposed, the first one with such a parent decides; where the parent was trained at several fidelities, the child's own
comes first, then the highest.

Not modelled: weights of two parents in one child.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codesign.run_rows import TrainedNetwork
from codesign.space.architecture import find_rows
from codesign.strategy.base import Proposal
from codesign.two_level.archive import Archive
from codesign.two_level.slow import AccuracyClass
from codesign.two_level.verdicts import Verdicts

__all__ = ["parents_of"]


def parents_of(
    archive: Archive, proposal: Proposal, verdicts: Verdicts, wanted: Sequence[AccuracyClass]
) -> dict[TrainedNetwork, TrainedNetwork]:
    """The parent of each network that is to be trained for `wanted`, as far as it has one that was trained."""
    if proposal.parents is None:
        return {}
    space = archive.space.architecture
    fidelities: dict[tuple[int, ...], list[float]] = {}
    for trained in archive.classes:
        fidelities.setdefault(trained.architecture, []).append(trained.fidelity)
    networks = dict.fromkeys(TrainedNetwork(one.architecture, one.fidelity) for one in wanted)
    new = [one for one in networks if one.fidelity not in fidelities.get(one.architecture, [])]
    if not new:
        return {}
    rows = find_rows(np.array([one.architecture for one in new]), verdicts.architectures, space.cardinalities)
    found = {}
    for one, row in zip(new, rows.tolist(), strict=True):
        is_its = (verdicts.architecture_id == row) & (verdicts.fidelity_levels[verdicts.fidelity_id] == one.fidelity)
        points = proposal.parents[verdicts.source[is_its], : space.n_genes]
        points = points[(points >= 0).all(axis=1)]
        for parent in dict.fromkeys(map(tuple, space.canonical(points).tolist())):
            if parent != one.architecture and parent in fidelities:
                known = fidelities[parent]
                found[one] = TrainedNetwork(parent, one.fidelity if one.fidelity in known else max(known))
                break
    return found
