"""Which network and which hardware to look at next, and how good the network is.

>>> from codesign import search  # doctest: +SKIP
>>> search("examples/quickstart.yaml", "runs/quickstart").front[0]  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

__all__ = ["search"]


def __getattr__(name: str) -> Any:
    """Public names on first use, so that importing the package stays cheap."""
    if name == "search":
        from codesign.app.run import search

        return search
    raise AttributeError(f"module 'codesign' has no attribute {name!r}")
