"""Timeloop problems: a shape (loops and how they index three tensors) and an instance (iterations of each loop).

Read are versions 0.3 and 0.4, and files without a shape or with the name of one, which are convolutions: C input and M
(or K) output channels, R x S taps, P x Q positions, N items, G groups, strides and dilations by axis. An image is as
large as its positions and taps need; there is no padding in a problem. Densities are not modelled.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from hwmodels.errors import SpecError
from hwmodels.workload.from_layer_list.layer import Layer, extent
from hwmodels.workload.from_layer_list.nest import Nest, Window, layer_of
from hwmodels.workload.ops import Precision

__all__ = ["problems", "without_templates"]

_LOOPS = ("C", "M", "R", "S", "P", "Q", "N", "G")
_AXES = (("Q", "S", "Hstride", "Hdilation"), ("P", "R", "Wstride", "Wdilation"))
_WEIGHTS = re.compile(r"weight|filter|kernel|^[wb]$", re.IGNORECASE)
_NOT_LOOPS = ("shape", "version", "instance", "name", "densities", "data-densities", "data_densities")


def without_templates(text: str) -> str:
    """YAML without the lines that Timeloop's front end expands: ``{{include...}}`` and ``<<<: *anchor``."""
    return re.sub(r"(?m)^[ \t]*(\{\{.*\}\}|<<<:[ \t]*(\*\w+|\[.*\]))[ \t]*$", "", text)


def problems(
    content: Any, *, name: str, where: str, precision: Precision, is_partial: bool = False
) -> list[Layer] | None:
    """The layers of a file: of its problem, or of a list of such; None where it has none.

    is_partial : a problem that has no instance is a shape for other files, and no layer.

    Raises
    ------
    SpecError : a key or a number that is none, loops that make no layer.
    """
    listed = content if isinstance(content, list) else [content]
    found: list[tuple[str, Mapping[str, Any]]] = []
    for index, item in enumerate(listed):
        inside = item.get("problem") if isinstance(item, dict) else None
        place = f"{where}: problem" if len(listed) == 1 else f"{where}: entry {index + 1}: problem"
        for number, problem in enumerate(inside if isinstance(inside, list) else [inside]):
            spot = f"{place} {number + 1}" if isinstance(inside, list) else place
            if isinstance(problem, dict):
                found.append((spot, problem))
            elif problem is not None or len(listed) > 1:
                raise SpecError(spot, problem, "a mapping of shape and instance")
    layers: list[Layer] = []
    for place, problem in found:
        if is_partial and not _instance(problem, place):
            continue
        label = str(problem.get("name") or (name if len(found) == 1 else f"{name}{len(layers) + 1}"))
        layers.append(layer_of(_nest(problem, label, place, precision)))
    return layers if layers or is_partial else None


def _instance(problem: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Iterations by loop and coefficients by name; in old files they stand in the problem itself."""
    given = problem.get("instance")
    if given is None:
        return {key: value for key, value in problem.items() if key not in _NOT_LOOPS}
    if not isinstance(given, dict):
        raise SpecError(f"{where}: instance", given, "a mapping of loops to numbers")
    return given


def _nest(problem: Mapping[str, Any], name: str, where: str, precision: Precision) -> Nest:
    instance = dict(_instance(problem, where))
    for key in _NOT_LOOPS:
        if key.endswith("densities") and (problem.get(key) or instance.pop(key, None)):
            warnings.warn(f"{where}: {key} are not modelled, every weight counts", stacklevel=2)
    if not instance:
        raise SpecError.missing(where, "instance")
    shape = problem.get("shape")
    if isinstance(shape, dict):
        return _of_shape(shape, instance, name, where, precision)
    if shape is not None and not isinstance(shape, str):
        raise SpecError(f"{where}: shape", shape, "a mapping, or the name of the shape of convolutions")
    return _convolution(instance, name, where, precision)


def _convolution(instance: dict[str, Any], name: str, where: str, precision: Precision) -> Nest:
    if "K" in instance and "M" not in instance:
        instance["M"] = instance.pop("K")
    coefficients = [key for axis in _AXES for key in axis[2:]]
    for key in instance:
        if key not in _LOOPS and key not in coefficients:
            raise SpecError.unknown(f"{where}: instance", key, (*_LOOPS, *coefficients))
    numbers = {key: extent(instance.get(key, 1), f"{where}: {key}") for key in (*_LOOPS, *coefficients)}
    windows = tuple(Window(p, r, numbers[stride], numbers[dilation]) for p, r, stride, dilation in _AXES)
    return Nest(
        name, {loop: numbers[loop] for loop in _LOOPS}, frozenset("CMRSG"), frozenset("NCRSPQG"), frozenset("NMPQG"),
        windows, precision, where,
    )  # fmt: skip


def _of_shape(
    shape: Mapping[str, Any], instance: Mapping[str, Any], name: str, where: str, precision: Precision
) -> Nest:
    """Any shape of three tensors, by their projections."""
    loops = _texts(shape.get("dimensions"), f"{where}: shape: dimensions")
    coefficients: dict[str, int] = {}
    for entry in shape.get("coefficients") or ():
        if not isinstance(entry, dict) or "name" not in entry:
            raise SpecError(f"{where}: shape: coefficients", entry, "a name with its default")
        key = str(entry["name"])
        value = instance.get(key, entry.get("default", 1))
        coefficients[key] = extent(value, f"{where}: {key}")
    for key, value in instance.items():
        if key not in loops and key not in coefficients:
            raise SpecError.unknown(f"{where}: instance", key, (*loops, *coefficients))
        extent(value, f"{where}: {key}")
    missing = next((loop for loop in loops if loop not in instance), None)
    if missing is not None:
        raise SpecError.missing(f"{where}: instance", missing)
    sizes = {loop: extent(instance[loop], f"{where}: {loop}") for loop in loops}
    spaces = shape.get("data_spaces", shape.get("data-spaces", shape.get("dataspaces")))
    return _of_spaces(spaces, sizes, coefficients, name, f"{where}: shape: data_spaces", precision)


def _texts(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise SpecError(where, value, "a list of names")
    return value


def _of_spaces(
    spaces: Any,
    sizes: Mapping[str, int],
    coefficients: Mapping[str, int],
    name: str,
    where: str,
    precision: Precision,
) -> Nest:
    if not isinstance(spaces, list) or len(spaces) != 3 or not all(isinstance(space, dict) for space in spaces):
        raise SpecError(where, spaces, "a list of three tensors: weights, inputs, outputs")
    results = [space for space in spaces if space.get("read_write", space.get("read-write", False))]
    if len(results) != 1:
        raise SpecError(where, f"{len(results)} tensors with read_write", "one, the result")
    result = results[0]
    first, second = (space for space in spaces if space is not result)
    swap = bool(_WEIGHTS.search(str(second.get("name", "")))) and not _WEIGHTS.search(str(first.get("name", "")))
    weights, data = (second, first) if swap else (first, second)
    if _has_windows(weights) and not _has_windows(data):
        weights, data = data, weights
    indices = {id(space): _indices(space, sizes, where) for space in spaces}
    of_weights = frozenset(term[0] for terms in indices[id(weights)] for term in terms)
    windows = tuple(_window(terms, of_weights, coefficients, where) for terms in indices[id(data)] if len(terms) == 2)
    if any(key.startswith("W") for key in coefficients) and len(windows) == 2 and _is_along_width(indices[id(data)]):
        windows = windows[::-1]
    of_data = frozenset(term[0] for terms in indices[id(data)] for term in terms)
    of_result = frozenset(term[0] for terms in indices[id(result)] for term in terms)
    return Nest(name, sizes, of_weights, of_data, of_result, windows, precision, where)


def _has_windows(space: Mapping[str, Any]) -> bool:
    return any(isinstance(terms, list) and len(terms) > 1 for terms in space.get("projection") or ())


def _is_along_width(indices: list[list[list[str]]]) -> bool:
    """Whether the first window has the coefficients of a width, as Timeloop's examples write R and P."""
    first = next(terms for terms in indices if len(terms) == 2)
    return any(len(term) == 2 and term[1].startswith("W") for term in first)


def _indices(space: Mapping[str, Any], sizes: Mapping[str, int], where: str) -> list[list[list[str]]]:
    """The projection of a tensor: for each of its axes the terms that are added, (loop) or (loop, coefficient)."""
    where = f"{where}: {space.get('name', 'tensor')}"
    projection = space.get("projection")
    if not isinstance(projection, list):
        raise SpecError(where, projection, "a list of axes as its projection")
    for terms in projection:
        is_sum = isinstance(terms, list) and 1 <= len(terms) <= 2
        if not is_sum or not all(isinstance(t, list) and 1 <= len(t) <= 2 and str(t[0]) in sizes for t in terms):
            raise SpecError(f"{where}: projection", terms, f"a sum of one or two of {', '.join(sizes)}")
    return [[list(map(str, term)) for term in terms] for terms in projection]


def _window(
    terms: list[list[str]], weights: frozenset[str], coefficients: Mapping[str, int], where: str
) -> Window:  # fmt: skip
    first, second = terms
    tap, position = (first, second) if first[0] in weights else (second, first)
    if tap[0] not in weights or position[0] in weights:
        raise SpecError(where, f"{first[0]} + {second[0]}", "a sum of a position and of a tap that the weights have")
    factors = []
    for term in (position, tap):
        name = term[1] if len(term) == 2 else ""
        if name and name not in coefficients and not name.isdecimal():
            raise SpecError.unknown(f"{where}: coefficient", name, coefficients)
        factors.append(coefficients.get(name) or extent(name or 1, where))
    return Window(position[0], tap[0], *factors)
