"""Options of commands that write a file of the user's choice."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Force"]

Force = Annotated[bool, typer.Option("--force", help="Write over an existing file.")]
