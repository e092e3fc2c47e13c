"""The one family of errors that a user meets: what was wrong, where, what is allowed, the nearest match."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr

__all__ = ["SpecError", "nearest", "shown"]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The closest of `choices` to `word`, or None when nothing is close.

    >>> nearest("latncy_s", ["latency_s", "energy_j"])
    'latency_s'
    """
    lowered = {choice.lower(): choice for choice in choices}
    found = get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.5)
    return lowered[found[0]] if found else None


_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict, _SHORT.maxstring = 3, 12, 12, 8, 80


_LONGEST = 600


def _line(text: str) -> str:
    """A text on one line, its middle left out where a cell or key of the user made it long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:400]} ... {line[-100:]}"


def shown(value: object) -> str:
    """A value on a part of a line: containers of a user's file may be huge, or hold themselves by aliases.

    >>> shown(["a"] * 100)
    "['a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', ...]"
    """
    text = _SHORT.repr(value) if isinstance(value, dict | list | tuple) else str(value)
    return " ".join(text.split())[:120]


class SpecError(ValueError):
    """User input that cannot be taken, told in one line.

    Parameters
    ----------
    where : file and key, as ``"gpu.yaml: clock_hz"``.
    got : the offending value.
    expected : what is allowed, as ``"> 0"`` or ``"one of os, ws, is"``.
    hint : an optional further word, usually the nearest match.

    >>> print(SpecError("a.yaml: seed", -1, ">= 0"))
    a.yaml: seed: -1 is not >= 0
    """

    def __init__(self, where: str, got: object, expected: str, hint: str | None = None) -> None:
        self.where, self.got, self.expected, self.hint = where, got, expected, hint
        tail = f" ({hint})" if hint else ""
        super().__init__(f"{_line(where)}: {shown(got)} is not {_line(expected)}{tail}")

    @classmethod
    def missing(cls, where: str, what: str, hint: str | None = None) -> SpecError:
        """Something that must be there and is not: a file, a key, a column.

        >>> print(SpecError.missing("rows.csv", "column seconds"))
        rows.csv: column seconds is missing
        """
        error = cls(where, what, "there", hint)
        error.args = (f"{_line(where)}: {what} is missing" + (f" ({hint})" if hint else ""),)
        return error

    @classmethod
    def unknown(cls, where: str, got: str, choices: Iterable[str]) -> SpecError:
        """An unknown name: lists what is allowed and names the nearest match."""
        allowed = sorted(choices)
        match = nearest(got, allowed)
        shown = ", ".join(allowed[:12]) + (", ..." if len(allowed) > 12 else "")
        return cls(where, got, f"one of {shown}", f"did you mean {match}?" if match else None)
