"""Formats against an enumeration of their numbers, their codes, and what a user may write."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels.errors import SpecError
from hwmodels.workload.formats import (
    BY_WIDTH,
    FLOATS,
    INTEGER,
    Format,
    coded,
    format_named,
    format_of,
    held,
    integer,
    of_fields,
    precision_named,
)
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Precision
from hwmodels.workload.precision import PrecisionPolicy, with_precision
from hwmodels.workload.table import layer_table

NAMED = [*FLOATS, *(f"int{bits}" for bits in (1, 2, 3, 4, 8, 11, 12, 13, 16, 31, 32))]


def numbers(given_: Format) -> set[float]:
    """All finite numbers of a format; the last exponent is one of numbers below 5 exponent bits, and e4m3 has a NaN."""
    if not given_.is_float:
        return set(map(float, range(-(2 ** (given_.bits - 1)), 2 ** (given_.bits - 1))))
    bias, fractions = 2 ** (given_.exponent_bits - 1) - 1, 2**given_.mantissa_bits
    found = {fraction / fractions * 2.0 ** (1 - bias) for fraction in range(fractions)}
    exponents = range(1, 2**given_.exponent_bits - (given_.exponent_bits >= 5))
    for exponent, fraction in product(exponents, range(fractions)):
        found.add((1 + fraction / fractions) * 2.0 ** (exponent - bias))
    found -= {480.0} if given_.name == "fp8" else set()
    return found | {-number for number in found}


SMALL = [FLOATS["fp4"], FLOATS["fp8"], FLOATS["fp8_e5m2"], FLOATS["fp16"], *(integer(bits) for bits in (2, 3, 4, 8))]


@pytest.mark.parametrize(("wide", "narrow"), list(product(SMALL, SMALL)))
def test_a_format_holds_another_where_it_has_all_its_numbers(wide: Format, narrow: Format) -> None:
    assert wide.holds(narrow) == (numbers(narrow) <= numbers(wide))


def test_the_widest_integers_of_a_float_are_those_without_gaps() -> None:
    """float16 counts to 2048 in steps of one: 12 bits with the sign."""
    assert numbers(integer(12)) <= numbers(FLOATS["fp16"])
    assert not numbers(integer(13)) <= numbers(FLOATS["fp16"])
    assert FLOATS["fp16"].holds(integer(12))
    assert not FLOATS["fp16"].holds(integer(13))


@pytest.mark.parametrize("name", NAMED)
def test_columns_give_the_format_back(name: str) -> None:
    assert format_of(*coded(format_named(name, where="test"))).name == name
    assert len({coded(format_named(other, where="test")) for other in NAMED}) == len(NAMED)


def test_widths_that_give_their_format_away_have_code_zero() -> None:
    """So that `--format int8` and `--bits 8` make equal rows, and equal keys."""
    assert precision_named("int8", where="test") == Precision(8, 8)
    assert precision_named("fp32", where="test") == Precision(32, 32)
    assert precision_named("int16", where="test") == Precision(16, 16, weight_format=INTEGER, activation_format=INTEGER)
    assert precision_named("fp16", where="test").weight_format not in (BY_WIDTH, INTEGER)


@given(st.integers(1, 64), st.booleans())
def test_width_alone(bits: int, in_float: bool) -> None:
    found = format_of(bits, BY_WIDTH, in_float=in_float).name
    expected = {32: "fp32", 64: "fp64"}.get(bits, f"int{bits}")
    assert found == ("fp16" if bits == 16 and in_float else expected)


@given(st.sampled_from(NAMED), st.sampled_from(NAMED))
def test_what_is_held_fits_the_hardware(asked_name: str, widest_name: str) -> None:
    asked, widest = format_named(asked_name, where="test"), format_named(widest_name, where="test")
    made = held(asked, widest)
    assert held(made, widest) == made
    if widest.is_float and widest.bits >= 32 and widest.name != "tf32":
        assert made == asked
    else:
        assert widest.holds(made)
    if widest.holds(asked):
        assert made == asked


def test_fields_of_a_device_name_its_format() -> None:
    for name in ("fp4", "fp8", "fp8_e5m2", "fp16", "bf16", "fp32"):
        assert of_fields(FLOATS[name].bits, FLOATS[name].exponent_bits) == FLOATS[name]
    assert of_fields(19, 8) == FLOATS["tf32"]
    assert of_fields(16, 0) == integer(16)
    assert of_fields(32, 0) == FLOATS["fp32"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fp9", "did you mean fp8"),
        ("bf61", "did you mean bf16"),
        ("int0", "int1 to int32"),
        ("int33", "int1 to int32"),
        ("w4b16", "is not one of"),
        ("w40a16", "int1 to int32"),
        ("int8:fp16:fp32", "is not one of"),
        ("", "is not one of"),
    ],
)
def test_what_is_no_format_is_told_in_one_line(text: str, told: str) -> None:
    with pytest.raises(SpecError, match=told) as error:
        precision_named(text, where="--format")
    assert str(error.value).startswith("--format: ")
    assert "\n" not in str(error.value)


def test_a_policy_takes_formats_by_layer_and_the_table_has_them() -> None:
    net = Builder("two", (1, 16))
    workload = net.finish(net.linear(net.linear(net.input, 8), 4))
    policy = PrecisionPolicy(precision_named("fp16", where="test"), PrecisionPolicy.parse(None, ["last=w4a16"]).rules)
    layers = layer_table([with_precision(workload, policy)]).layers
    formats = [
        (format_of(bits, code).name, format_of(other, other_code).name)
        for bits, code, other, other_code in zip(
            layers.weight_bits.tolist(), layers.weight_format.tolist(), layers.activation_bits.tolist(),
            layers.activation_format.tolist(), strict=True,
        )
    ]  # fmt: skip
    assert formats == [("fp16", "fp16"), ("int4", "fp16")]
    for rule in ("last=fp9", "last", "=fp16", "last=:8"):
        with pytest.raises(SpecError):
            PrecisionPolicy.parse(None, [rule])
