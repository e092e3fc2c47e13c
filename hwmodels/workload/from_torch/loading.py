"""A module by the name of the function that makes it: ``package.module:function`` or ``path/to/file.py:function``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hwmodels.errors import SpecError

__all__ = ["call_target"]


def call_target(target: str) -> tuple[Any, Any]:
    """What the named function returns: (module, example_inputs).

    Raises
    ------
    SpecError : no such module, file or function, a failure inside it, or another result; one line each.
    """
    place, colon, name = target.rpartition(":")
    if not (place and colon and name):
        raise SpecError("torch", target, "package.module:function or path/to/file.py:function")
    function = _function(target, place, name)
    try:
        made = function()
    except Exception as error:
        raise SpecError(f"torch: {target}", _told(error), "a function that runs without arguments") from None
    if not (isinstance(made, tuple) and len(made) == 2):
        got = f"a {type(made).__name__} of {len(made)}" if isinstance(made, tuple) else type(made).__name__
        raise SpecError(f"torch: {target}", got, "a pair (module, example_inputs)")
    return made


def _function(target: str, place: str, name: str) -> Callable[[], Any]:
    try:
        home = _file(target, Path(place)) if place.endswith(".py") else import_module(place)
    except SpecError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise SpecError(f"torch: {target}", _told(error), "a module that can be imported") from None
        raise SpecError(f"torch: {target}", place, "a module that is installed or on the path") from None
    except Exception as error:
        raise SpecError(f"torch: {target}", _told(error), "a module that can be imported") from None
    found = getattr(home, name, None)
    if found is None:
        public = [key for key, value in vars(home).items() if callable(value) and not key.startswith("_")]
        raise SpecError.unknown(f"torch: {place}", name, public)
    if not callable(found):
        raise SpecError(f"torch: {target}", type(found).__name__, "a function")
    function: Callable[[], Any] = found
    return function


def _file(target: str, path: Path) -> ModuleType:
    """Run a file as a module of its own; its neighbours can be imported."""
    if not path.is_file():
        raise SpecError(f"torch: {target}", path, "a file")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SpecError(f"torch: {target}", path, "a Python file")
    module = module_from_spec(spec)
    before = list(sys.path)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


def _told(error: Exception) -> str:
    """Type and message of a failure, in one line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
