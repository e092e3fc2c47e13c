"""What `codesign estimate` tells of hardware in several parts: which part runs which layer, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codesign.cli.printing import pretty, print_table
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from hwmodels.families.base import CostModel, Timeline

__all__ = ["ENDINGS", "check_has_timeline", "print_timeline", "timeline_record"]

ENDINGS = (".png", ".svg", ".pdf")


def check_has_timeline(model: CostModel, device: str) -> None:
    """Refuse to draw a family whose layers take turns on one part.

    Raises
    ------
    SpecError : such a family, with those that have a timeline.
    """
    from hwmodels.families.base import families, family

    if model.timeline is None:
        known = ", ".join(name for name in families() if family(name).timeline is not None)
        raise SpecError("--timeline", f"{device} ({model.name})", f"of a family that has a timeline: {known}")


def timeline_record(found: Timeline) -> dict[str, Any]:
    """The timeline as JSON."""
    bars = zip(found.layers, found.lane.tolist(), found.start_s.tolist(), found.end_s.tolist(), strict=True)
    return {
        **found.told,
        "layers": [
            {"layer": layer, "on": found.lanes[lane], "start_s": start, "end_s": end}
            for layer, lane, start, end in bars
        ],
    }


def print_timeline(found: Timeline) -> None:
    """How long each part works, and what the family says beside it."""
    end = float(found.end_s.max(initial=0.0))
    rows: list[tuple[str, ...]] = []
    for lane, name in enumerate(found.lanes):
        mine = found.lane == lane
        busy = float((found.end_s - found.start_s)[mine].sum())
        shown = pretty({"busy_s": busy}, ["busy_s"])
        rows.append((name, str(int(mine.sum())), *shown, f"{100 * busy / end if end else 0.0:.0f} %"))
    print_table(("part", "layers", "busy", "of the time"), rows)
    names = (name.removesuffix("_s").replace("_", " ") for name in found.told)
    told = zip(names, pretty(found.told, list(found.told)), strict=True)
    print("  " + ", ".join(f"{name} {value}" for name, value in told))
