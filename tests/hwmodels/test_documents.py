"""YAML as people write it: read strictly, every fault in one line with its place, no file exhausts the machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.documents import parse_yaml, read_yaml
from hwmodels.errors import SpecError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{chr(97 + i)}: &{chr(97 + i)} [{', '.join([f'*{chr(96 + i)}'] * 10)}]" for i in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"x: line 3: a is not given once \(line 1 has it too\)"),
        ("knobs:\n  clock_hz: {value: 1, value: 2}", "line 2: value is not given once"),
        ("1: a", "line 1: key: 1 is not a text"),
        ("? [a, b]\n: c", "key: .* is not a text"),
        ("yes: a", "key: True is not a text"),
        ("a: 1\n\tb: 2", r"line 2, column 1: found character '\\t' that cannot start any token is not valid YAML"),
        ("a: [1, 2", "line 1, column 9"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: !!python/object/apply:os.system is not a plain value"),
        ("a: \x00", "valid YAML"),
        ("[" * 80 + "]" * 80, "nesting is not at most 50 levels"),
        ("[" * 5000, "nesting is not at most 50 levels"),
        (BOMB, "aliases is not at most 1000000 values"),
        ("a: 2026-99-99", None),
    ],
)
def test_a_fault_is_one_line_with_its_place(text: str, message: str | None) -> None:
    if message is None:
        assert parse_yaml(text, where="x") == {"a": "2026-99-99"}
        return
    with pytest.raises(SpecError, match=message) as caught:
        parse_yaml(text, where="x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_dates_and_merge_keys_stay_text() -> None:
    assert parse_yaml("when: 2026-11-29\n'<<': a", where="x") == {"when": "2026-11-29", "<<": "a"}
    assert parse_yaml("", where="x") is None


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: µ", encoding="utf-8-sig")
    assert read_yaml(path) == {"a": "µ"}
    path.write_text("a: µ", encoding="utf-16")
    with pytest.raises(SpecError, match=r"a\.yaml: byte 0xff at 0 is not UTF-8 text"):
        read_yaml(path)
    path.unlink()
    with pytest.raises(SpecError, match="the file is missing"):
        read_yaml(path)
    with pytest.raises(SpecError, match="is not a readable file"):
        read_yaml(tmp_path)


words = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(values)
def test_what_yaml_writes_is_read_as_it_was(value: object) -> None:
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True), where="x") == value


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!#|>\n\t 1'\"?,%@`", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SpecError):
        parse_yaml(text, where="x")
