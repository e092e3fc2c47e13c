"""Five hundred hostile inputs a surface: each is read, or refused in one line. More by hand, see `tests.fuzz.run`."""

from __future__ import annotations

import pytest

from tests.fuzz.run import outcomes
from tests.fuzz.surfaces import SURFACES

INPUTS = 500


@pytest.mark.parametrize("surface", SURFACES)
def test_each_hostile_input_is_read_or_refused_in_one_line(surface: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODESIGN_REFERENCE", raising=False)
    found = list(outcomes(surface, INPUTS))
    failed = [
        f"input {outcome.number}: {outcome.verdict.words}" for outcome in found if outcome.verdict.kind == "failed"
    ]
    assert not failed, "\n".join(failed)
    kinds = {outcome.verdict.kind for outcome in found}
    assert kinds == {"accepted", "refused"}


ONCE_BROKEN = [
    *(
        ("run folder", n)
        for n in (310, 400, 514, 564, 1558, 1646, 1716, 1818, 2052, 2768, 4190, 4222, 5205, 6597, 7666, 8424)
    ),
    *(("layer list", n) for n in (3090, 6140, 6841, 8140, 9773)),
    ("reference folder", 2730),
]
"""Inputs among the first ten thousand that ended in a traceback or in more than a line."""


@pytest.mark.parametrize(("surface", "number"), ONCE_BROKEN)
def test_what_once_broke_is_read_or_refused_in_one_line(
    surface: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODESIGN_REFERENCE", raising=False)
    (found,) = outcomes(surface, 1, first=number)
    assert found.verdict.kind != "failed", found.verdict.words
