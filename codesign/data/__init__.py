"""Data sets with frozen splits: those that packages ship, published ones from local files, and one's own.

One file a source; `codesign.data.sources` names them. Nothing is downloaded.
"""

from codesign.data.base import Dataset, Part
from codesign.data.sources import load

__all__ = ["Dataset", "Part", "load"]
