"""Which network and which hardware to look at next, and how good the network is.

>>> import codesign  # doctest: +SKIP
>>> codesign.search("examples/quickstart.yaml", "runs/quickstart").front[0]  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codesign.app.run import search

__all__ = ["__version__", "search"]

_HOME = {"search": "codesign.app.run"}


def __getattr__(name: str) -> Any:
    """Public names on first use, so that importing the package stays cheap."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("codesign")
    raise AttributeError(f"module 'codesign' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion."""
    return list(__all__)
