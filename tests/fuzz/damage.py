"""Seeded damage of texts, bytes and plain data, as files come from people, spreadsheets, disks and strangers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["HOSTILE_VALUES", "HOSTILE_WORDS", "Rng", "damaged_data", "damaged_text", "pick"]

Rng = np.random.Generator

HOSTILE_WORDS = (
    "", "0", "-1", "1", "1e30", "-1e30", "5e-324", "1e400", "nan", ".nan", "NaN", "inf", "-.inf", "Infinity", "true",
    "yes", "No", "null", "~", "2026-11-30", "0x10", "1_000", "0o17", "9" * 400, "-9223372036854775809", "2.4 GHz",
    "5 KiB", "80 %", "3 parsecs", "1 mB", "1,5", "1;5", "µs", "日本語", "\u202e", "\ufeff", "\x00", "\x1b[2J", "' '",
    '"', "'", "[", "{", "]", "}", "&a", "*a", "!!python/object/apply:os.system ['true']", "<<", "? a", "- a", "#", "%",
    "a" * 5000, "=", "a=b", "../..", "/dev/null", "/", "~/x", "${HOME}", "%s", "{0}", "\\", "\t", "\r", "1-2-3",
    "resnet18", "rram_edge", "tpu_v1", "digits", "lenet5@3x1x1", "conv 3x3x3", "linear 4x4 out=1e9", "fp32", "int0",
    "999999999999999999999", "1e9", "4294967296", "0.1", "-0.0",
)  # fmt: skip
"""Cells, scalars and options that a reader of text may meet."""

HOSTILE_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 10**9, 2**63, -(2**63), 10**40, 0.5, -0.0, 1e308, 5e-324, float("nan"),
    float("inf"), float("-inf"), "", " ", "a", "1", "1e3", "nan", "日本語", "\ufeff", "\x00", "a\nb", "a" * 5000, [],
    {}, [[]], [None], [1, 1], ["a", "a"], {"": 1}, {"a": {"a": {}}}, {"name": "training"}, {"name": []},
    list(range(2000)), [0] * 5000, {str(i): i for i in range(2000)}, ["rram_edge", "tpu_v1"], "rram_edge", "2 ms",
    "5 KiB", ">= 0", "<= x",
    [True], [{}], [["x"]],
)  # fmt: skip
"""Values in the place of values of a document."""


def pick(rng: Rng, choices: Any) -> Any:
    """One of a sequence."""
    return choices[int(rng.integers(len(choices)))]


def damaged_text(text: str, rng: Rng) -> bytes:
    """The bytes of a text file after one to three damages."""
    content = text.encode()
    for _ in range(int(rng.integers(1, 4))):
        content = pick(rng, _DAMAGES)(content, rng)
    return content


def damaged_data(data: Any, rng: Rng) -> Any:
    """Plain data (dictionaries, lists, scalars) after one to three damages; the data given stay as they are."""
    for _ in range(int(rng.integers(1, 4))):
        data = _changed(data, rng)
    return data


def _changed(data: Any, rng: Rng) -> Any:
    """One place of the data in another way; the way to it is walked at random."""
    if not isinstance(data, dict | list) or not data or rng.random() < 0.02:
        return _replaced(data, rng)
    if isinstance(data, list):
        at, ways = int(rng.integers(len(data))), int(rng.integers(8))
        if ways == 0:
            return data[:at] + data[at + 1 :]
        if ways == 1:
            return [*data, data[at]]
        return [*data[:at], _changed(data[at], rng), *data[at + 1 :]]
    key, ways = pick(rng, list(data)), int(rng.integers(10))
    if ways == 0:
        return {k: v for k, v in data.items() if k != key}
    if ways == 1:
        return {**data, pick(rng, HOSTILE_WORDS): pick(rng, HOSTILE_VALUES)}
    if ways == 2:
        return {(k + "x" if k == key else k): v for k, v in data.items()}
    if ways == 3:
        return {**data, key: pick(rng, list(data.values()))}
    return {**data, key: _changed(data[key], rng)}


def _replaced(value: Any, rng: Rng) -> Any:
    ways = int(rng.integers(8))
    if ways == 0:
        return [value]
    if ways == 1:
        return {"value": value}
    if ways == 2:
        return str(value)
    if ways == 3 and isinstance(value, int | float):
        return pick(rng, (value * 1000, -value, value + 0.5, value * 1e30, value // 1000 if value == value else 0))
    if ways == 4:
        for _ in range(int(pick(rng, (3, 60, 300)))):
            value = [value] if rng.random() < 0.5 else {"a": value}
        return value
    return pick(rng, HOSTILE_VALUES)


# Damages of bytes


def _truncated(content: bytes, rng: Rng) -> bytes:
    return content[: int(rng.integers(len(content) + 1))]


def _flipped(content: bytes, rng: Rng) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        if changed:
            changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def _lines(content: bytes, rng: Rng) -> bytes:
    """A line less, twice, elsewhere, with another indentation, or behind a tab."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    at, ways = int(rng.integers(len(lines))), int(rng.integers(5))
    if ways == 0:
        del lines[at]
    elif ways == 1:
        lines.insert(int(rng.integers(len(lines) + 1)), lines[at])
    elif ways == 2:
        lines.insert(int(rng.integers(len(lines))), lines.pop(at))
    elif ways == 3:
        lines[at] = b"  " + lines[at]
    else:
        lines[at] = b"\t" + lines[at]
    return b"".join(lines)


def _word(content: bytes, rng: Rng) -> bytes:
    """Another word in the place of one, or beside it."""
    words = list(re.finditer(rb"[\w.+\-]+", content))
    if not words:
        return content
    found, new = pick(rng, words), pick(rng, HOSTILE_WORDS).encode()
    kept = found[0] if rng.random() < 0.2 else b""
    return content[: found.start()] + kept + new + content[found.end() :]


def _character(content: bytes, rng: Rng) -> bytes:
    """One of the marks that give a text its form, more or less."""
    at = int(rng.integers(len(content) + 1))
    mark = pick(rng, (b",", b";", b":", b"{", b"}", b"[", b"]", b'"', b"'", b"\n", b"\t", b" ", b"\x00", b"\r", b"#"))
    return content[:at] + mark + content[at + int(rng.integers(2)) :]


def _encoded(content: bytes, rng: Rng) -> bytes:
    text = content.decode(errors="replace")
    encoding = pick(rng, ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "gbk", "cp037"))
    return text.encode(encoding, errors="replace")


def _line_ends(content: bytes, rng: Rng) -> bytes:
    return content.replace(b"\n", pick(rng, (b"\r\n", b"\r", b"\n\n", b"\x0b", b"\x85", b"")))


def _bomb(content: bytes, rng: Rng) -> bytes:
    """Beside the content or in its place: deep nesting, aliases of aliases, long lists, nothing."""
    depth = int(pick(rng, (60, 2000, 100_000)))
    aliases = b"a0: &a0 [x, x]\n" + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (i, i, i - 1, i - 1) for i in range(1, 40))
    bomb = pick(
        rng,
        (b"[" * depth, b"{a: " * depth, b'{"a":' * depth + b"1" + b"}" * depth, aliases, b"- 1\n" * 20_000, b"",
         b"\x00" * 100, b"[]", b"[1, 2]", b"3", b"null", b"--- a\n--- b\n", b"&a [*a]", b"a: &a {b: *a}", b"<html>",
         b"PK\x03\x04", b"\x1f\x8b\x08", b"SQLite format 3\x00", b"," * 5000, b"\n" * 5000),
    )  # fmt: skip
    return bomb + content if rng.random() < 0.3 else content + bomb if rng.random() < 0.4 else bomb


_DAMAGES: tuple[Callable[[bytes, Rng], bytes], ...] = (
    _truncated, _flipped, _lines, _lines, _word, _word, _word, _word, _character, _character, _encoded, _line_ends,
    _bomb,
)  # fmt: skip
