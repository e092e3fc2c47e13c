"""Text files that people write: YAML read strictly, with the place of whatever is wrong.

Stricter than YAML 1.1: a key that stands twice is an error, keys are text, dates stay text. Encodings: UTF-8, with or
without a byte order mark. Depth and size are bounded, so that no file can exhaust the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from hwmodels.errors import SpecError

__all__ = ["parse_yaml", "read_text", "read_yaml"]

_LARGEST_BYTES = 16 * 1024 * 1024
_MOST_NODES = 1_000_000
_DEEPEST = 50
_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
}


def read_text(path: Path) -> str:
    """The text of a file, without its byte order mark.

    Raises
    ------
    SpecError : a missing, unreadable or too large file, or one that is not UTF-8.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SpecError(str(path), f"{path.stat().st_size} bytes", f"at most {_LARGEST_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError.missing(str(path), "the file") from None
    except OSError as error:
        raise SpecError(str(path), error.strerror or error, "a readable file") from None
    except UnicodeDecodeError as error:
        raise SpecError(str(path), f"byte {error.object[error.start]:#04x} at {error.start}", "UTF-8 text") from None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; see `parse_yaml`."""
    return parse_yaml(read_text(path), where=str(path))


def parse_yaml(text: str, *, where: str) -> Any:
    """YAML as plain Python values.

    Raises
    ------
    SpecError : text that is no YAML (with line and column), a key that is no text or stands twice, nesting deeper than
        50, or more than a million values after aliases are followed.

    >>> parse_yaml("clock_hz: 1\\nclock_hz: 2", where="a.yaml")
    Traceback (most recent call last):
    ...
    hwmodels.errors.SpecError: a.yaml: line 2: clock_hz is not given once (line 1 has it too)
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}: line {mark.line + 1}, column {mark.column + 1}" if mark else where
        raise SpecError(place, error.problem or error.context, "valid YAML") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise SpecError(where, str(error).replace("\n", " "), "valid YAML") from None
    except RecursionError:
        raise SpecError(where, "the nesting", f"at most {_DEEPEST} levels") from None
    return None if root is None else _Reader(where).value(root, 0)


class _Reader:
    """Nodes to values, counted as they would be written out."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._nodes = 0
        self._scalars = _Scalars("")

    def value(self, node: yaml.Node, depth: int) -> Any:
        self._nodes += 1
        if depth > _DEEPEST:
            raise SpecError(self._at(node), "the nesting", f"at most {_DEEPEST} levels")
        if self._nodes > _MOST_NODES:
            raise SpecError(self.where, "its aliases", f"at most {_MOST_NODES} values when followed")
        if node.tag not in _TAGS:
            raise SpecError(self._at(node), node.tag.replace("tag:yaml.org,2002:", "!!"), "a plain value")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise SpecError(self._at(node), getattr(error, "problem", None) or error, "a plain value") from None

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, depth + 1)
            if not isinstance(key, str):
                raise SpecError(f"{self._at(key_node)}: key", key, "a text")
            if key in found:
                raise SpecError(self._at(key_node), key, "given once", f"line {lines[key]} has it too")
            found[key], lines[key] = self.value(value_node, depth + 1), key_node.start_mark.line + 1
        return found

    def _at(self, node: yaml.Node) -> str:
        return f"{self.where}: line {node.start_mark.line + 1}"


class _Scalars(yaml.SafeLoader):  # type: ignore[misc]
    """Plain values; a date stays the text that it is, `<<` is a key like any other, tags of objects are refused."""


_text: Callable[..., Any] = yaml.constructor.SafeConstructor.construct_yaml_str
_Scalars.add_constructor("tag:yaml.org,2002:timestamp", _text)
_Scalars.add_constructor("tag:yaml.org,2002:merge", _text)
_Scalars.add_constructor("tag:yaml.org,2002:value", _text)
