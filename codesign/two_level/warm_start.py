"""A first generation that is known: pairs carried over from elsewhere, in place of what the strategy would draw.

The networks of an earlier front are trained first, and the strategy is told what became of them as if it had proposed
them (transfer of architectures; a survey is Wistuba et al., arXiv:1905.01392). Nothing else is carried over: no
accuracy, which may be of other data, and no state of a strategy.
"""

from __future__ import annotations

import numpy as np

from codesign.space.base import Genotypes, Space
from codesign.space.joint import JointSpace
from codesign.strategy.base import Proposal

__all__ = ["first_proposal"]


def first_proposal(space: Space, joint: JointSpace, points: Genotypes, n: int, rng: np.random.Generator) -> Proposal:
    """At most `n` pairs: the points, then their networks on other designs; or the networks, where those are proposed.

    Parameters
    ----------
    space : what is proposed, pairs of `joint` or its networks. points : (S, G) of `joint`, -1 for a knob of the
        hardware that nothing is known of, which is drawn.
    """
    networks, known = joint.split(points)
    if space is not joint:
        _, first = np.unique(joint.architecture.canonical(networks), axis=0, return_index=True)
        return Proposal.full(networks[np.sort(first)[:n]])
    count = n if joint.hardware.n_genes else min(n, len(points))
    row = np.arange(count) % len(points)
    drawn = joint.hardware.sample(count, rng)
    as_known = np.arange(count) < len(points)
    designs = np.where(as_known[:, None] & (known[row] >= 0), known[row], drawn)
    designs = np.where(joint.hardware.valid(designs)[:, None], designs, drawn)
    return Proposal.full(joint.join(networks[row], designs))
