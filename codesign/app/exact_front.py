"""Enumerate from Python: what ``codesign enumerate`` writes, as a table.

>>> import codesign  # doctest: +SKIP
>>> front = codesign.enumerate("examples/quickstart.yaml", "fronts/quickstart", score="macs")  # doctest: +SKIP
>>> front.to_frame()  # doctest: +SKIP
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExactFront", "enumerate_front"]


@dataclass(frozen=True, eq=False, repr=False)
class ExactFront:
    """The exact front of a joint space.

    summary : counts, sizes and notes, as in ``summary.json``. pairs : one record a pair of the front: network,
    genotype, knobs, and every objective in SI units.
    """

    summary: Mapping[str, Any]
    pairs: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        return len(self.pairs)

    def to_frame(self) -> pd.DataFrame:
        """One row a pair of the front."""
        import pandas as pd

        return pd.DataFrame(self.pairs)

    def __repr__(self) -> str:
        found = self.summary
        return (
            f"ExactFront({len(self)} of {found['pairs']:,} pairs: {found['networks']:,} networks on "
            f"{found['designs']:,} designs of {found['family']}, over {', '.join(found['objectives'])})"
        )

    def _repr_html_(self) -> str:
        """The sizes and the pairs, for notebooks."""
        pairs: str = self.to_frame().to_html(index=False, max_rows=30)
        return f"<p>{escape(repr(self))}</p>{pairs}"


def enumerate_front(
    config: str | Path | Mapping[str, Any],
    output: str | Path,
    *,
    overrides: Sequence[str] = (),
    accuracy: str | Path | None = None,
    score: str | None = None,
) -> ExactFront:
    """Every network of a configuration's space on every design of its grid: the exact front, without training.

    Parameters
    ----------
    config : a YAML file or a mapping. output : folder of the results, new or empty, or of an interrupted enumeration.
    overrides : dotted assignments, as ``"objectives=[energy_j]"``, for a file.
    accuracy : CSV or npz file with the accuracy of each network. score : "macs" or "parameters" in its place, more is
        better; with neither the front is one of costs.

    Raises
    ------
    SpecError : bad input, a space that is too large to list, an occupied folder; nothing is written then.
    """
    from codesign.app.config import load_config, parse_config
    from codesign.app.enumerate_run import enumerate_run

    checked = parse_config(dict(config)) if isinstance(config, Mapping) else load_config(Path(config), overrides)
    table = None if accuracy is None else Path(accuracy)
    summary = enumerate_run(checked, Path(output), accuracy=table, score=score)
    return ExactFront(summary, json.loads((Path(output) / "front.json").read_text(encoding="utf-8")))
