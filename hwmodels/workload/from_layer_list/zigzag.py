"""ZigZag workloads: a YAML list of layers, each an equation over loops, their sizes, bits and the sources of operands.

``O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]`` with ``iy=2*oy+1*fy`` is a convolution of stride 2; without such
relations a matrix product; with weights of taps alone a pool; ``O[..]=W[..]+I[..]`` a sum. Equations decide, not the
name of the operator type. Bits of `operand_precision`: W of weights, I of activations, O of accumulators.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.from_layer_list.layer import Layer, extent
from hwmodels.workload.from_layer_list.nest import Nest, Window, layer_of
from hwmodels.workload.ops import Elementwise, Precision

__all__ = ["is_zigzag", "zigzag_layers"]

_EQUATION = re.compile(
    r"\s*(\w+)((?:\[\w+\])+)\s*\+?=\s*(\w+)((?:\[\w+\])+)\s*([*+])\s*(\w+)((?:\[\w+\])+)\s*", re.ASCII
)
_RELATION = re.compile(r"\s*(\w+)\s*=\s*(?:(\d+)\s*\*\s*)?(\w+)\s*\+\s*(?:(\d+)\s*\*\s*)?(\w+)\s*", re.ASCII)
_KEYS = (
    "id", "name", "operator_type", "equation", "dimension_relations", "loop_dims", "loop_sizes", "operand_precision",
    "operand_source", "pr_loop_dims", "pr_loop_sizes", "padding", "constant_operands", "memory_operand_links",
    "core_allocation", "spatial_mapping", "temporal_ordering", "core_allocation_is_fixed",
)  # fmt: skip
_MOST_BITS = 64


class _Equation(NamedTuple):
    """Result, the operand that may be stored, the other one, each with its indices; and how they join."""

    result: tuple[str, ...]
    weight: str
    weight_indices: tuple[str, ...]
    data: str
    data_indices: tuple[str, ...]
    is_sum: bool


def is_zigzag(content: Any) -> bool:
    """Whether a document is a list of layers with equations or loops."""
    return isinstance(content, list) and any(
        isinstance(entry, dict) and ("equation" in entry or "loop_dims" in entry) for entry in content
    )


def zigzag_layers(content: list[Any], *, where: str, precision: Precision) -> list[Layer]:
    """The layers of a workload.

    Raises
    ------
    SpecError : a key that is missing or unknown, an equation of another form, a loop without a size, a source that
        is no layer.
    """
    names: dict[str, str] = {}
    layers: list[Layer] = []
    for index, entry in enumerate(content):
        place = f"{where}: entry {index + 1}"
        if not isinstance(entry, dict):
            raise SpecError(place, entry, "a layer with its equation and loops")
        for key in entry:
            if key not in _KEYS:
                raise SpecError.unknown(place, key, _KEYS)
        for key in ("equation", "loop_dims", "loop_sizes"):
            if key not in entry:
                raise SpecError.missing(place, key)
        number = str(entry.get("id", index))
        if number in names:
            raise SpecError(f"{place}: id", number, "a unique number")
        wanted = str(entry.get("name") or f"layer{number}")
        names[number] = wanted if wanted not in names.values() else f"{wanted}_{number}"
        layers.append(_layer(entry, number, names, place, precision))
    return layers


def _layer(entry: Mapping[str, Any], number: str, names: Mapping[str, str], where: str, precision: Precision) -> Layer:
    equation = _equation(entry["equation"], f"{where}: equation")
    sizes = _sizes(entry, where)
    bits = _precision(entry.get("operand_precision"), equation, precision, f"{where}: operand_precision")
    sources, is_stored = _sources(entry, number, equation, names, f"{where}: operand_source")
    windows = _windows(entry, sizes, where)
    inner = {name: {window.position, window.tap} for name, window in windows.items()}
    used = [{loop for index in indices for loop in inner.get(index, {index})} for indices in (
        equation.weight_indices, equation.data_indices, equation.result)]  # fmt: skip
    for loop in sorted(set().union(*used)):
        if loop not in sizes:
            raise SpecError.unknown(f"{where}: equation", loop, sizes)
    label = names[number]
    if equation.is_sum:
        shape = tuple(sizes[loop] for loop in equation.result)
        return Layer(label, Elementwise("add"), (shape, shape), bits, where, sources)
    along = {index: window for index, window in windows.items() if index in equation.data_indices}
    ordered = tuple(along[index] for index in sorted(along, key=lambda index: not index.endswith("Y")))
    kind = f"{entry.get('operator_type', '')} {label}".lower()
    weights, data, result = map(frozenset, used)
    return layer_of(
        Nest(
            label, sizes, weights, data, result, ordered, bits, where, is_stored, sources,
            "avg" if "av" in kind else "max",
        )
    )  # fmt: skip


def _equation(text: Any, where: str) -> _Equation:
    found = _EQUATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise SpecError(where, text, "like O[b][k]+=W[k][c]*I[b][c]")
    _, result, first, first_indices, joint, second, second_indices = found.groups()
    of_first, of_second, of_result = (
        tuple(index.upper() for index in re.findall(r"\w+", indices))
        for indices in (first_indices, second_indices, result)
    )
    if first == "I" or second == "W":  # the weights stand first unless the names say otherwise
        first, of_first, second, of_second = second, of_second, first, of_first
    return _Equation(of_result, first, of_first, second, of_second, joint == "+")


def _sizes(entry: Mapping[str, Any], where: str) -> dict[str, int]:
    loops, sizes = entry["loop_dims"], entry["loop_sizes"]
    if not isinstance(loops, list) or not isinstance(sizes, list) or len(loops) != len(sizes):
        raise SpecError(f"{where}: loop_sizes", sizes, "as many numbers as loop_dims has names")
    names = [str(loop).upper() for loop in loops]
    if len(set(names)) < len(names):
        raise SpecError(f"{where}: loop_dims", loops, "free of repetitions")
    return {loop: extent(size, f"{where}: {loop}") for loop, size in zip(names, sizes, strict=True)}


def _windows(entry: Mapping[str, Any], sizes: Mapping[str, int], where: str) -> dict[str, Window]:
    """The window behind each index of the data that is a sum of two loops, by that index."""
    relations = entry.get("dimension_relations") or []
    paddings = _paddings(entry, where)
    if not isinstance(relations, list):
        raise SpecError(f"{where}: dimension_relations", relations, "a list like [ix=1*ox+1*fx]")
    found: dict[str, Window] = {}
    for text in relations:
        match = _RELATION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise SpecError(f"{where}: dimension_relations", text, "like ix=1*ox+1*fx")
        index, stride, position, dilation, tap = match.groups()
        loops = (position.upper(), tap.upper())
        for loop in loops:
            if loop not in sizes:
                raise SpecError.unknown(f"{where}: dimension_relations", loop, sizes)
        if loops[0].startswith("F") and not loops[1].startswith("F"):  # written the other way round
            loops, stride, dilation = loops[::-1], dilation, stride
        factors = (extent(stride or 1, where), extent(dilation or 1, where))
        found[index.upper()] = Window(*loops, *factors, padding=paddings.get(index.upper(), 0))
    return found


def _paddings(entry: Mapping[str, Any], where: str) -> dict[str, int]:
    """Padding of both sides by index of the data, where it is the same; else the data include it."""
    given, names = entry.get("padding"), entry.get("pr_loop_dims")
    if given is None or names is None:
        return {}
    if not isinstance(given, list) or not isinstance(names, list) or len(given) != len(names):
        raise SpecError(f"{where}: padding", given, "as many pairs as pr_loop_dims has names")
    found = {}
    for name, pair in zip(names, given, strict=True):
        if not isinstance(pair, list) or len(pair) != 2:
            raise SpecError(f"{where}: padding", pair, "a pair (before, behind)")
        before, behind = (extent(pad, f"{where}: padding", least=0) for pad in pair)
        found[str(name).upper()] = before if before == behind else 0
    return found


def _precision(given: Any, equation: _Equation, default: Precision, where: str) -> Precision:
    if given is None:
        return default
    if not isinstance(given, dict):
        raise SpecError(where, given, "a mapping of operands to bits")
    bits = {key: extent(value, f"{where}: {key}", least=0) for key, value in given.items()}
    for key, value in bits.items():
        if value > _MOST_BITS:
            raise SpecError(f"{where}: {key}", value, f"at most {_MOST_BITS} bits")
    activation = bits.get(equation.data) or default.activation_bits
    return Precision(bits.get(equation.weight) or activation, activation, bits.get("O") or default.accumulator_bits)


def _sources(
    entry: Mapping[str, Any], number: str, equation: _Equation, names: Mapping[str, str], where: str
) -> tuple[tuple[str | None, ...], bool]:
    """(sources of data and of the other operand, whether that one is stored); an operand of its own layer is new."""
    given = entry.get("operand_source")
    constants = entry.get("constant_operands")
    if given is None:
        is_stored = not equation.is_sum and (not isinstance(constants, list) or equation.weight in constants)
        return (None, ""), is_stored
    if not isinstance(given, dict):
        raise SpecError(where, given, "a mapping of operands to ids of layers")
    found = []
    for operand in (equation.data, equation.weight):
        source = str(given.get(operand, number))
        if source != number and source not in names:
            raise SpecError.unknown(f"{where}: {operand}", source, names)
        found.append("" if source == number else names[source])
    return tuple(found), not equation.is_sum and found[1] == ""
