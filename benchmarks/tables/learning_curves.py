"""Posteriors of learning curves on curves that taught them nothing: coverage, width, and what early stopping saves.

    python benchmarks/tables/learning_curves.py

Writes `benchmarks/results/learning_curves.md`, out of the recorded curves (`benchmarks/tables/digits_curves.py`). The
shipped prior is taught by one part of them; the other part is predicted here after so many epochs. That curves are
grouped by data set and number of epochs was chosen by cross-validation among those that teach.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codesign.estimate.learning_curve import RecordedCurve, grouped, learned, recorded_curves, shipped_prior
from codesign.estimate.recipe import Stopping
from codesign.estimate.stopping import hopeless

F64 = npt.NDArray[np.float64]

RESULT = Path(__file__).parents[1] / "results" / "learning_curves.md"
SEEN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # shares of the epochs
_HEAD = (
    "| epochs seen | within 90 % interval | mean width | over the prior's | error of the median | of the last error |",
    "| --- | --- | --- | --- | --- | --- |",
)


def lines_of(held: Sequence[RecordedCurve]) -> list[str]:
    """A line for each share of the epochs."""
    return [line_of(held, share) for share in SEEN]


def line_of(held: Sequence[RecordedCurve], share: float) -> str:
    """How well the last errors are predicted after a share of the epochs, rounded up."""
    rows = []
    for curve in held:
        epochs, last = len(curve.errors), float(curve.errors[-1])
        seen = int(np.ceil(round(share * epochs, 9)))
        prior, found = (shipped_prior().posterior(curve.errors[:count], epochs) for count in (0, seen))
        low, middle, high = (found.quantile(at) for at in (0.05, 0.5, 0.95))
        prior_width = prior.quantile(0.95) - prior.quantile(0.05)
        stale = abs(float(curve.errors[seen - 1]) - last)
        rows.append((low <= last <= high, high - low, prior_width, abs(middle - last), stale))
    covered, width, prior_width, missed, stale = np.mean(rows, axis=0)
    return (
        f"| {100 * share:.0f} % | {100 * covered:.1f} % | {width:.3f} | {width / prior_width:.2f} | "
        f"{missed:.3f} | {stale:.3f} |"
    )


def stopping_lines(curves: F64) -> list[str]:
    """What is saved and lost where trainings are to beat the quartile or the median of all."""
    lines = []
    for name, share in (("best quarter", 0.25), ("best half", 0.5)):
        target = float(np.quantile(curves[:, -1], share))
        ended = [ends_at(curve, Stopping(error=target, chance=0.05)) for curve in curves]
        half = curves.shape[1] // 2
        plain = [half if curve[half - 1] > target else len(curve) for curve in curves]
        for rule, at in (("posterior, chance below 5 %", ended), ("*error above it after half the epochs*", plain)):
            good = curves[:, -1] <= target
            lost = float(np.mean(np.array(at)[good] < curves.shape[1]))
            lines.append(
                f"| {name}, {target:.3f} | {rule} | {100 * (1 - np.mean(at) / curves.shape[1]):.0f} % | "
                f"{100 * lost:.1f} % |"
            )
    return lines


def ends_at(curve: Sequence[float] | F64, stopping: Stopping) -> int:
    """After how many epochs a training with this curve ends."""
    return next((n for n in range(1, len(curve)) if hopeless(list(curve[:n]), len(curve), stopping)), len(curve))


def across(taught: Sequence[RecordedCurve], held: Sequence[RecordedCurve]) -> str:
    """How often intervals hold where curves of one kind or one data set are to say something of the other."""
    lines = []
    for title, keep in (("kind", "cell"), ("kind", "chain"), ("data", "noisy-digits"), ("data", "digits")):
        prior = learned(grouped(one for one in taught if getattr(one, title) == keep))
        others = [one.errors for one in held if getattr(one, title) != keep]
        inside = []
        for curve in others:
            found = prior.posterior(curve[: len(curve) // 2], len(curve))
            inside.append(found.quantile(0.05) <= curve[-1] <= found.quantile(0.95))
        lines.append(f"| {title} {keep} | {100 * np.mean(inside):.0f} % of {len(others)} |")
    return "\n".join(lines)


def main() -> None:
    recorded = list(recorded_curves())
    taught, held = ([one for one in recorded if one.held_out is part] for part in (False, True))
    noisy, clean = ([one for one in held if (one.data == "digits") is part] for part in (False, True))
    parts = [
        "# Learning curves predicted\n",
        "Written by `python benchmarks/tables/learning_curves.py`: the validation error after the last epoch, from the "
        f"first ones, of {len(held)} held-out trainings of cells and chains. The prior was taught by {len(taught)} "
        "others. Beside the error of the posterior's median stands that of the error seen last, taken for the final "
        "one.\n",
        f"## All {len(held)}\n",
        *_HEAD,
        *lines_of(held),
        f"\n## Noisy digits, 40 epochs: {len(noisy)}\n",
        *_HEAD,
        *lines_of(noisy),
        f"\n## Digits, 8, 16 and 32 epochs: {len(clean)}\n",
        *_HEAD,
        *lines_of(clean),
        "\n## Early stopping\n",
        f"{len(noisy)} held-out trainings on noisy digits that are to reach an error: epochs saved over all of them, "
        "and the share of those that would have reached it that were ended before. In italics a rule without a "
        "model.\n",
        "| to reach | rule | epochs saved | good ones lost |",
        "| --- | --- | --- | --- |",
        *stopping_lines(np.stack([one.errors for one in noisy])),
        "\n## Curves unlike those that taught it\n",
        "90 % intervals that hold after half the epochs, for held-out curves of the other kind, or the other data:\n",
        "| taught by | held |",
        "| --- | --- |",
        across(taught, held),
    ]
    text = "\n".join(parts) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
