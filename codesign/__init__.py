"""Which network and which hardware to look at next, and how good the network is.

>>> import codesign
>>> codesign.search("examples/quickstart.yaml", "runs/quickstart").to_frame()  # doctest: +SKIP
>>> codesign.load("runs/quickstart").knee_pair  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codesign.app.design import design
    from codesign.app.exact_front import enumerate_front as enumerate
    from codesign.app.families import search_families
    from codesign.app.run import load, resume, search

__all__ = ["__version__", "design", "enumerate", "load", "resume", "search", "search_families"]

_HOME = {
    "design": ("codesign.app.design", "design"),
    "enumerate": ("codesign.app.exact_front", "enumerate_front"),
    "load": ("codesign.app.run", "load"),
    "resume": ("codesign.app.run", "resume"),
    "search": ("codesign.app.run", "search"),
    "search_families": ("codesign.app.families", "search_families"),
}


def __getattr__(name: str) -> Any:
    """Public names on first use, so that importing the package stays cheap."""
    if name in _HOME:
        module, attribute = _HOME[name]
        return getattr(import_module(module), attribute)
    if name == "__version__":
        from importlib.metadata import version

        return version("codesign")
    raise AttributeError(f"module 'codesign' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion."""
    return list(__all__)
