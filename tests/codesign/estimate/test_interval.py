"""The Wilson interval against published values, its definition, and where it shows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.estimate.interval import wilson
from codesign.estimate.table import digits_cells
from hwmodels.numerics import FLOAT


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [
        # [Newcombe, Statistics in Medicine 17 (1998), table I, method 3]
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(right: int, images: int, low: float, high: float) -> None:
    assert wilson(right / images, images) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_ends_solve_the_equation_of_the_score(images: int, share: float) -> None:
    low, high = wilson(share, images)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    for end in (low, high):
        variance = 1.959963984540054**2 * end * (1 - end) / images
        # Squared: near 1 an end holds 1 - end to 1e-16, whose root would be 1e-8.
        assert (share - end) ** 2 == pytest.approx(variance, rel=1e-9, abs=1e-14)


def test_the_lower_end_keeps_its_digits_near_nothing() -> None:
    """The smaller root of (p - x)^2 = z^2 x (1 - x) / n is p^2 n / z^2 where p is small."""
    assert wilson(1e-9, 1)[0] == pytest.approx(1e-18 / 1.959963984540054**2, rel=1e-6)


def test_an_unknown_number_of_images_has_no_interval() -> None:
    assert all(map(math.isnan, wilson(0.5, 0)))
    assert all(map(math.isnan, wilson(math.nan, 10)))


def test_the_table_that_ships_knows_its_images() -> None:
    table = digits_cells()
    found = table.lookup(table.space.genotype_of(int(table.cells[-1])), FLOAT)
    assert found.images == 599
