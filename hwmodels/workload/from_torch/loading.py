"""A module by its name: ``package.module:name`` or ``path/to/file.py:name``.

The name is that of a module, of a class of modules that takes no arguments, of a pair (module, example inputs), of an
exported program, or of a function without arguments that returns one of these.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hwmodels.errors import SpecError

__all__ = ["module_named"]

_ALLOWED = "a module, a pair (module, example_inputs), an exported program, or a function that returns one"


def module_named(target: str) -> tuple[Any, Any]:
    """The module (or exported program) that a name stands for, and its example inputs; None where it has none.

    Raises
    ------
    SpecError : no such module, file or name, a failure inside it, or something else; one line each.
    """
    import torch

    place, colon, name = target.rpartition(":")
    if not (place and colon and name):
        raise SpecError("torch", target, "package.module:name or path/to/file.py:name")
    found = _found(target, place, name)
    modules = (torch.nn.Module, torch.export.ExportedProgram)
    if callable(found) and not isinstance(found, modules):
        try:
            found = found()
        except Exception as error:
            what = "a class that takes no arguments" if isinstance(found, type) else "a function that runs without any"
            raise SpecError(f"torch: {target}", _told(error), what) from None
    if isinstance(found, modules):
        return found, None
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], modules):
        return found
    got = f"a {type(found).__name__} of {len(found)}" if isinstance(found, tuple) else type(found).__name__
    raise SpecError(f"torch: {target}", got, _ALLOWED)


def _found(target: str, place: str, name: str) -> Any:
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
    if not hasattr(home, name):
        public = [key for key, value in vars(home).items() if callable(value) and not key.startswith("_")]
        raise SpecError.unknown(f"torch: {place}", name, public)
    return getattr(home, name)


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
