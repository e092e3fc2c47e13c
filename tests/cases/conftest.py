"""The command line, called in this process."""

from tests.codesign.conftest import run

__all__ = ["run"]
