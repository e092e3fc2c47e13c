"""Why a picture of a run is empty, in one sentence each."""

from __future__ import annotations

from codesign.report.summary import Summary

__all__ = ["NO_MACS", "NO_PROGRESS", "NO_TIME", "why_no_accuracy", "why_no_costs"]

NO_TIME = "No layer of the knee takes time or energy."
NO_MACS = "No layer of the knee multiplies and moves data."
NO_PROGRESS = "No evaluated pair meets all limits: there is no front whose hypervolume could grow."
_NAMED = 3


def why_no_costs(summary: Summary) -> str:
    """Nothing to draw against two costs: every pair was dropped before both were known."""
    return f"No pair has all its costs on record. {_dropped(summary)}"


def why_no_accuracy(summary: Summary) -> str:
    """Nothing to draw against accuracy: no pair was evaluated."""
    return f"No pair has an accuracy. {_dropped(summary)}"


def _dropped(summary: Summary) -> str:
    pruned = sorted(summary.ledger.pruned.items(), key=lambda item: -item[1])
    if not pruned:
        return "No generation has finished with one."
    shown = ", ".join(f"{reason} ({count:,})" for reason, count in pruned[:_NAMED])
    return f"Of {summary.ledger.considered:,} pairs the search dropped {sum(n for _, n in pruned):,}: {shown}."
