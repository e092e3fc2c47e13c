"""Files damaged at random, and what is said of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from codesign.data import load
from hwmodels.errors import SpecError


def refusal(name: str, root: Path, **keys: int | str | None) -> str:
    """What is said of the files; nothing where they are read."""
    try:
        load(name, root, **keys)  # type: ignore[arg-type]
    except SpecError as error:
        return str(error)
    return ""


def damaged(content: bytes, trials: int) -> Iterator[bytes]:
    """A third cut at a random place; one to four bytes of each are another value."""
    generator = np.random.default_rng(0)
    for trial in range(trials):
        bad = bytearray(content)
        if trial % 3 == 0:
            del bad[int(generator.integers(len(bad))) :]
        for at in generator.integers(0, max(len(bad), 1), 1 + trial % 4):
            bad[at : at + 1] = bytes([int(generator.integers(256))])
        yield bytes(bad)
