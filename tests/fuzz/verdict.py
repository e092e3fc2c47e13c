"""What became of one input: taken, refused in one line, or anything else, which is a failure."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from traceback import extract_tb
from typing import Any, NamedTuple

from hwmodels.errors import SpecError

__all__ = ["Verdict", "judge"]

_LONGEST_S = 60.0  # the first input of a surface compiles kernels and loads libraries
_LONGEST_LINE = 2_000
_MOST_WARNINGS = 5


class Verdict(NamedTuple):
    """kind : accepted, refused or failed. words : the line of a refusal, or what went wrong and where."""

    kind: str
    words: str = ""


class _Hang(BaseException):
    """No `Exception`: code that catches those must not swallow it."""


def judge(read: Callable[[], Any]) -> Verdict:
    """Call a reader and say how it ended; what it returns must hold finite numbers alone, where it is plain data."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with _limited():
                result = read()
        except SpecError as error:
            return _of_line(str(error))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # whatever else a reader lets out is a failure of it
            frame = extract_tb(error.__traceback__)[-1]
            own = [
                f for f in extract_tb(error.__traceback__) if "/hwmodels/" in f.filename or "/codesign/" in f.filename
            ]
            place = own[-1] if own else frame
            name = place.filename.rpartition("/")[2]
            return Verdict("failed", f"{type(error).__name__} at {name}:{place.lineno}: {str(error)[:160]}")
    if len(told) > _MOST_WARNINGS:
        return Verdict("failed", f"{len(told)} warnings, the first: {told[0].message}")
    numeric = [str(w.message) for w in told if issubclass(w.category, RuntimeWarning)]
    if numeric:
        return Verdict(
            "failed", f"RuntimeWarning at {told[0].filename.rpartition('/')[2]}:{told[0].lineno}: {numeric[0]}"
        )
    wrong = next(_not_finite(result), None)
    return Verdict("accepted") if wrong is None else Verdict("failed", f"{wrong} among the results")


def _of_line(line: str) -> Verdict:
    if "\n" in line or "\r" in line or not line.strip():
        return Verdict("failed", f"not one line: {line!r:.200}")
    if len(line) > _LONGEST_LINE:
        return Verdict("failed", f"a line of {len(line)} characters: {line:.120}")
    return Verdict("refused", line)


def _not_finite(value: Any) -> Iterator[float]:
    if isinstance(value, float) and not isfinite(value):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _not_finite(item)
    elif isinstance(value, list):
        for item in value:
            yield from _not_finite(item)


@contextmanager
def _limited() -> Iterator[None]:
    """Interrupt what takes longer than `_LONGEST_S`."""

    def stop(*_: object) -> None:
        raise _Hang(f"not done after {_LONGEST_S:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
