"""Colours that colour-blind readers can tell apart, and grey markers for what has no accuracy.

[Okabe and Ito, "Color Universal Design", 2008] for categories; cividis for accuracy [Nuñez et al., PLOS ONE 2018].
"""

from __future__ import annotations

__all__ = ["ACCENT", "CATEGORIES", "DEFERRED", "GREYS", "SECOND", "SEQUENTIAL", "category"]

CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#8C8C8C")
ACCENT, SECOND = CATEGORIES[3], CATEGORIES[0]
SEQUENTIAL = "cividis"
DEFERRED = "#A9CFE8"
GREYS = (
    ("#6E6E6E", "x", "x-thin"),
    ("#8A8A8A", "^", "triangle-up"),
    ("#A2A2A2", "s", "square"),
    ("#5A5A5A", "v", "triangle-down"),
    ("#B4B4B4", "D", "diamond"),
    ("#7C7C7C", "+", "cross-thin"),
    ("#969696", "<", "triangle-left"),
    ("#C0C0C0", ">", "triangle-right"),
)
"""Colour, matplotlib marker and plotly symbol of a prune reason, by its position."""


def category(index: int) -> str:
    """The colour of the category at this position; they repeat after eight."""
    return CATEGORIES[index % len(CATEGORIES)]
