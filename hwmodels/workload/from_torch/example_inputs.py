"""Example inputs of a module from the shapes that a user states, by name or for the one input that there is.

Only shapes and types matter to a trace, so inputs are empty tensors. Floats have the type of the module's first
floating parameter; whole numbers, which tokens are, are int64.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError
from hwmodels.workload.ops import Shape

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.nn import Module

__all__ = ["inputs_of_program", "inputs_of_shapes"]

_TOKEN_WORDS = ("ids", "token", "index", "indices", "position", "mask")


def inputs_of_shapes(
    name: str, module: Module, shapes: Mapping[str, Shape], example: Any = None
) -> Iterator[dict[str, Any]]:
    """Keyword inputs of these shapes, the likeliest types first: floats, or whole numbers where a name says so.

    Parameters
    ----------
    shapes : by the name of the argument of `forward`, batch included; "" is the one input that has no name.
    example : inputs that came with the module: they keep their types, and those without a shape here stay.

    Raises
    ------
    SpecError : no such argument, an argument without a shape, a shape that is none; one line.
    """
    import torch

    _check_extents(name, shapes)
    names = [parameter.name for parameter in _parameters(module)]
    named = _named(name, (_required(module) or names or ["input"])[0], names, shapes)
    given = _example_by_name(module, example)
    missing = [key for key in _required(module) if key not in named and key not in given]
    if missing:
        raise SpecError.missing(f"{name}: input", f"the shape of {', '.join(missing)}", "name=1x3x224x224 for each")
    number = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    likely = {key: any(word in key for word in _TOKEN_WORDS) for key in named}
    guesses = [likely, dict.fromkeys(named, False), dict.fromkeys(named, True)]
    seen: list[dict[str, bool]] = []
    for guess in guesses:
        if guess in seen:
            continue
        seen.append(guess)
        yield given | {
            key: torch.empty(shape, dtype=_type_of(given.get(key), torch.int64 if guess[key] else number))
            for key, shape in named.items()
        }
        if all(key in given for key in named):
            return


def inputs_of_program(name: str, program: ExportedProgram, shapes: Mapping[str, Shape]) -> tuple[Any, ...]:
    """The inputs that a program was exported with, in other shapes; their types stay.

    Raises
    ------
    SpecError : no such input, or a program that was stored without its inputs or exported with keywords; one line.
    """
    import torch

    names = [holder for holder in program.graph_signature.user_inputs if isinstance(holder, str)]
    args, keywords = program.example_inputs or ((), {})
    if keywords or len(args) != len(names):
        raise SpecError(name, "an exported program without its inputs in order", "one that takes other shapes")
    _check_extents(name, shapes)
    wanted = _named(name, names[0] if names else "input", names, shapes)
    return tuple(
        torch.empty(wanted[key], dtype=value.dtype) if key in wanted else value
        for key, value in zip(names, args, strict=True)
    )


def _type_of(example: Any, otherwise: Any) -> Any:
    return otherwise if example is None else example.dtype


def _parameters(module: Module) -> list[inspect.Parameter]:
    """Of `forward`, by position or name."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    try:
        return [p for p in inspect.signature(module.forward).parameters.values() if p.kind in kinds]
    except (TypeError, ValueError):
        return []


def _required(module: Module) -> list[str]:
    return [parameter.name for parameter in _parameters(module) if parameter.default is inspect.Parameter.empty]


def _check_extents(name: str, shapes: Mapping[str, Shape]) -> None:
    for key, shape in shapes.items():
        if not shape or min(shape) < 1:
            raise SpecError(f"{name}: input {key}".rstrip(), "x".join(map(str, shape)) or "nothing", "extents >= 1")


def _named(name: str, first: str, names: Collection[str], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """With the first argument's name in the place of none."""
    if "" in shapes and len(shapes) > 1:
        raise SpecError(f"{name}: input", "a shape without a name beside others", "a name for each of several")
    for key in shapes:
        if key and key not in names:
            raise SpecError.unknown(f"{name}: input", key, names)
    return {key or first: tuple(shape) for key, shape in shapes.items()}


def _example_by_name(module: Module, example: Any) -> dict[str, Any]:
    """The inputs that came with the module as keywords."""
    if example is None:
        return {}
    if isinstance(example, Mapping):
        return dict(example)
    values = example if isinstance(example, tuple | list) else (example,)
    return dict(zip((parameter.name for parameter in _parameters(module)), values, strict=False))
