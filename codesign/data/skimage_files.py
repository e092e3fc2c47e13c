"""Photographs and images that the package scikit-image brings inside its wheel; nothing is downloaded.

Files are read where the package lies, and not by its loaders, which would fetch what is not there.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["opened_image", "shipped_file"]


def shipped_file(name: str, file: str) -> Path:
    """Where a data file of scikit-image lies, for the data set `name`.

    Raises
    ------
    SpecError : scikit-image is not installed, or does not ship the file.
    """
    package = find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise SpecError(f"data: {name}", "scikit-image", "installed", "pip install 'codesign[data]'")
    path = Path(package.submodule_search_locations[0]) / "data" / file
    if not path.is_file():
        raise SpecError(f"data: {name}", f"scikit-image without {file}", "one that ships it, as 0.22 to 0.26 do")
    return path


def opened_image(name: str, file: str, mode: str) -> Image:
    """One of its images in a mode of Pillow.

    Raises
    ------
    SpecError : it is not there, or cannot be read.
    """
    from PIL import Image

    path = shipped_file(name, file)
    try:
        with Image.open(path) as opened:
            return opened.convert(mode)
    except Exception as error:  # a damaged file raises anything
        raise SpecError(str(path), error, "an image") from None
