"""Posteriors of learning curves on curves that taught them nothing: coverage, width, and what early stopping saves.

    python benchmarks/tables/learning_curves.py

Writes `benchmarks/results/learning_curves.md`, out of the recorded curves (`benchmarks/tables/digits_curves.py`). The
shipped prior is taught by one part of them; the other part is predicted here after so many epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codesign.estimate.learning_curve import RecordedCurve, learned, recorded_curves, shipped_prior
from codesign.estimate.recipe import Stopping
from codesign.estimate.stopping import hopeless

F64 = npt.NDArray[np.float64]

RESULT = Path(__file__).parents[1] / "results" / "learning_curves.md"
SEEN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # shares of the epochs
_HEAD = (
    "| epochs seen | within 90 % interval | mean width | over the prior's | error of the median | of the last error |",
    "| --- | --- | --- | --- | --- | --- |",
)


def lines_of(curves: Sequence[F64]) -> list[str]:
    """A line for each share of the epochs, which all curves have as many of."""
    epochs, last = len(curves[0]), np.array([curve[-1] for curve in curves])
    prior = shipped_prior().posterior([], epochs)
    prior_width = prior.quantile(0.95) - prior.quantile(0.05)
    lines = []
    for seen in dict.fromkeys(int(np.ceil(share * epochs)) for share in SEEN):
        found = [shipped_prior().posterior(curve[:seen], epochs) for curve in curves]
        ends = np.array([[one.quantile(0.05), one.quantile(0.5), one.quantile(0.95)] for one in found])
        covered = float(((ends[:, 0] <= last) & (last <= ends[:, 2])).mean())
        width = float((ends[:, 2] - ends[:, 0]).mean())
        missed = np.abs(ends[:, 1] - last).mean()
        stale = np.mean([abs(curve[seen - 1] - curve[-1]) for curve in curves])
        lines.append(
            f"| {seen} of {epochs} | {100 * covered:.1f} % | {width:.3f} | {width / prior_width:.2f} | "
            f"{missed:.3f} | {stale:.3f} |"
        )
    return lines


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
        prior = learned([one.errors for one in taught if getattr(one, title) == keep])
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
    noisy = [one.errors for one in held if one.data == "noisy-digits"]
    parts = [
        "# Learning curves predicted\n",
        "Written by `python benchmarks/tables/learning_curves.py`: the validation error after the last epoch, from the "
        f"first ones, of {len(held)} held-out trainings of cells and chains. The prior was taught by {len(taught)} "
        "others. Beside the error of the posterior's median stands that of the error seen last, taken for the final "
        "one.\n",
        "## Noisy digits, 40 epochs\n",
        *_HEAD,
        *lines_of(noisy),
    ]
    for epochs in (32, 16, 8):
        curves = [one.errors for one in held if one.data == "digits" and len(one.errors) == epochs]
        parts += [f"\n## Digits, {epochs} epochs: {len(curves)} held out\n", *_HEAD, *lines_of(curves)]
    parts += [
        "\n## Early stopping\n",
        f"{len(noisy)} held-out trainings on noisy digits that are to reach an error: epochs saved over all of them, "
        "and the share of those that would have reached it that were ended before. In italics a rule without a model.\n",
        "| to reach | rule | epochs saved | good ones lost |",
        "| --- | --- | --- | --- |",
        *stopping_lines(np.stack(noisy)),
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
