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
