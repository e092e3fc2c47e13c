"""Throw seeded inputs at every surface and count what becomes of them.

``python -m tests.fuzz.run --inputs 10000`` prints the table; an input is made again by its surface and number,
``python -m tests.fuzz.run --surface "run YAML" --first 17 --inputs 1``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

import numpy as np

from tests.fuzz.surfaces import SURFACES
from tests.fuzz.verdict import Verdict, judge

__all__ = ["Outcome", "outcomes"]


class Outcome(NamedTuple):
    """One input: its surface and number, and what became of it."""

    surface: str
    number: int
    verdict: Verdict


def outcomes(surface: str, inputs: int, *, first: int = 0) -> Iterator[Outcome]:
    """Inputs `first` to ``first + inputs`` of a surface, in this process; each has an empty folder of its own."""
    read, key = SURFACES[surface], zlib.crc32(surface.encode())
    for number in range(first, first + inputs):
        with TemporaryDirectory(prefix="codesign-fuzz-") as name:
            folder, rng = Path(name), np.random.default_rng([key, number])
            with _quiet():
                verdict = judge(lambda read=read, rng=rng, folder=folder: read(rng, folder))
        yield Outcome(surface, number, verdict)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What readers print is not looked at here; they should not."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def main() -> None:
    """Print a table, and each kind of failure once; exit code 1 with failures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=500, help="a surface")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--surface", choices=list(SURFACES), action="append", help="all by default (repeatable)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="a surface ends after so long")
    parser.add_argument("--show", action="store_true", help="print every verdict")
    given = parser.parse_args()
    # Files at hand here, and not elsewhere, would make other inputs of the same numbers.
    os.environ.pop("CODESIGN_REFERENCE", None)
    print("| surface | inputs | accepted | refused in one line | anything else |\n|---|---:|---:|---:|---:|")
    failures: list[Outcome] = []
    for surface in given.surface or SURFACES:
        counts: Counter[str] = Counter()
        begin = monotonic()
        for outcome in outcomes(surface, given.inputs, first=given.first):
            counts[outcome.verdict.kind] += 1
            if given.show:
                print(outcome.number, *outcome.verdict)
            if outcome.verdict.kind == "failed":
                failures.append(outcome)
            if monotonic() - begin > given.seconds:
                break
        kinds = (counts.total(), counts["accepted"], counts["refused"], counts["failed"])
        print(f"| {surface} | {' | '.join(f'{n:,}' for n in kinds)} |", flush=True)
    by_kind: dict[str, list[int]] = {}
    for outcome in failures:
        by_kind.setdefault(f"{outcome.surface}: {outcome.verdict.words}", []).append(outcome.number)
    for words, numbers in by_kind.items():
        print(f"{words} (inputs {', '.join(map(str, numbers[:5]))}; {len(numbers)} in all)", file=sys.stderr)
    sys.stdout.flush()
    os._exit(int(bool(failures)))  # a surface that hung may have left threads behind


if __name__ == "__main__":
    main()
