"""Arrays from .npz files that people bring: numbers and texts, never objects, one line for a damaged file."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError

__all__ = ["read_arrays"]


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Every array of a file by name.

    Raises
    ------
    SpecError : a missing file, one that is no .npz, is damaged, or holds Python objects.
    """
    if not path.is_file():
        raise SpecError.missing(str(path), "the file")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except MemoryError:
        raise SpecError(str(path), "an array", "one that fits into memory") from None
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error, KeyError, NotImplementedError) as error:
        # numpy takes what it does not know for a pickle, and advises to load it unsafely.
        told = "the content" if "pickle" in str(error) else error
        raise SpecError(str(path), told, "an npz file of numbers") from None
    except (AttributeError, TypeError, SyntaxError, OverflowError):  # a lone array, a header that is no header
        raise SpecError(str(path), "the content", "an npz file of numbers") from None
