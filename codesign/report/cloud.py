"""The cloud: a stated random sample of the pairs that have costs but no accuracy, pruned and deferred.

Pairs pruned before their full cost was known (duplicates, bounds, constraints on one side alone) have no place in a
picture; the report only counts them. The sample follows from the seed of the run, so a report is the same each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.app.assemble import cost_constraints
from codesign.app.config import RunConfig
from codesign.report.summary import Summary
from codesign.space.architecture import find_rows
from codesign.space.joint import JointSpace
from codesign.store import RunStore
from codesign.two_level.prune import KEPT, Reasons
from hwmodels.families.base import CostModel

__all__ = ["DEFERRED_NAME", "DRAWN_DEFERRED", "DRAWN_PRUNED", "Cloud", "cloud_of", "shown_axes"]

F64 = npt.NDArray[np.float64]
DRAWN_PRUNED, DRAWN_DEFERRED = 4_000, 1_000
DEFERRED_NAME = "deferred"


class Cloud(NamedTuple):
    """Sampled pairs without an accuracy.

    axes : the two costs that pictures show. costs : metric -> (P,).
    kind : (P,) position in `kinds`, which are the prune reasons and, last, "deferred".
    pruned_drawn, pruned_known : pruned pairs in the sample, and those that it was drawn from (full cost known).
    deferred_drawn, deferred_known : likewise; a pair deferred first and evaluated later is not among them.
    costless : pruned pairs whose full cost is not on record: never computed, or met in a whole grid and not listed.
    """

    axes: tuple[str, str]
    costs: dict[str, F64]
    kind: npt.NDArray[np.int64]
    kinds: tuple[str, ...]
    pruned_drawn: int
    pruned_known: int
    deferred_drawn: int
    deferred_known: int
    costless: int

    @property
    def drawn(self) -> list[tuple[str, npt.NDArray[np.int64]]]:
        """(kind, its positions), kinds without pairs left out."""
        groups = ((name, np.flatnonzero(self.kind == i)) for i, name in enumerate(self.kinds))
        return [(name, rows) for name, rows in groups if rows.size]

    @property
    def cost(self) -> str:
        """The cost that accuracies are drawn against: energy where it is shown, else the first axis."""
        return "energy_j" if "energy_j" in self.axes else self.axes[0]

    @property
    def note(self) -> str:
        """One sentence that says which pairs the pictures draw and which they do not."""
        return (
            f"Drawn: a random sample of {self.pruned_drawn:,} of {self.pruned_known:,} pruned pairs with known costs "
            f"and of {self.deferred_drawn:,} of {self.deferred_known:,} deferred pairs, and every evaluated pair. "
            f"Not drawn: {self.costless:,} pairs pruned without a record of their full cost."
        )


def shown_axes(model: CostModel, objectives: Sequence[str]) -> tuple[str, str]:
    """The two costs of the pictures: objectives of which less is better, time across and energy up among the first.

    >>> from hwmodels.families.base import family
    >>> shown_axes(family("spatial"), ["area_mm2", "latency_s"]), shown_axes(family("cpu"), ["energy_j"])
    (('latency_s', 'area_mm2'), ('energy_j', 'latency_s'))
    """
    less = [name for name in objectives if model.metric(name).better == "less"]
    first = [name for name in ("latency_s", "energy_j") if name in less]
    spare = [name for name in ("latency_s", "energy_j", "macs", "weight_bytes") if name in model.names]
    across, up, *_ = dict.fromkeys((*first, *less, *spare))
    return across, up


def cloud_of(
    store: RunStore,
    config: RunConfig,
    space: JointSpace,
    summary: Summary,
    *,
    pruned: int = DRAWN_PRUNED,
    deferred: int = DRAWN_DEFERRED,
) -> Cloud:
    """Sample up to `pruned` pruned and `deferred` deferred pairs of a run."""
    axes = shown_axes(space.hardware.model, summary.objectives)
    metrics = tuple(dict.fromkeys((*axes, *summary.objectives)))
    model = space.hardware.model
    names = Reasons(constraints=cost_constraints(config, model), infeasible=model.infeasible_reasons).names[1:]
    genes = {f"gene_{i}": int(count) for i, count in enumerate(space.cardinalities)}
    columns = store.read_fast(["reason", *metrics, *genes], choices={"reason": len(names) + 1, **genes})
    code = columns["reason"].astype(np.int64)
    whole = np.all([np.isfinite(columns[name]) for name in metrics], axis=0)
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, _PURPOSE]))
    dropped = np.flatnonzero((code != KEPT) & whole)
    waiting = _deferred(columns, space, summary, np.flatnonzero((code == KEPT) & whole))
    chosen = [np.sort(rng.permutation(rows)[:limit]) for rows, limit in ((dropped, pruned), (waiting, deferred))]
    rows = np.concatenate(chosen)
    unlisted = summary.ledger.considered - len(code)
    return Cloud(
        axes=axes,
        costs={name: columns[name][rows].astype(np.float64) for name in metrics},
        kind=np.where(code[rows] == KEPT, len(names), code[rows] - 1),
        kinds=(*names, DEFERRED_NAME),
        pruned_drawn=len(chosen[0]),
        pruned_known=len(dropped),
        deferred_drawn=len(chosen[1]),
        deferred_known=len(waiting),
        costless=int(((code != KEPT) & ~whole).sum()) + unlisted,
    )


_PURPOSE = 7_001  # keeps this stream apart from those of the search


def _deferred(
    columns: Mapping[str, npt.NDArray[Any]], space: JointSpace, summary: Summary, kept: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Rows of `kept` without an evaluated pair."""
    genes = [columns[f"gene_{i}"][kept] for i in range(space.n_genes)]
    survivors = np.stack(genes, axis=1).astype(np.int64)
    told = np.array([pair.genotype for pair in summary.evaluated], np.int64).reshape(-1, space.n_genes)
    return kept[find_rows(survivors, told, space.cardinalities) < 0]
