"""What every executor must do: the same parts whoever works, failures told as they are, and again after them.

An executor of another package is held against it by three lines::

    class TestMine(ExecutorSuite):
        def executor(self):
            return Mine(workers=2)

Its tasks stand in this module, where workers can import them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from codesign.executor.base import Executor
from hwmodels.errors import SpecError

__all__ = ["ExecutorSuite", "powers", "refuse", "unsendable"]

_ITEMS = range(8)
_EXPECTED = sorted((position, part) for position, n in enumerate(_ITEMS) for part in (n, n * n))


def powers(n: int) -> Iterator[int]:
    """Two parts of an item."""
    yield n
    yield n * n


def refuse(n: int) -> Iterator[int]:
    """Fails for one item, after its first part."""
    yield n
    if n == 2:
        raise SpecError("item", n, "odd")


def unsendable(n: int) -> Iterator[object]:
    """A part that no process can send."""
    yield lambda: n


class ExecutorSuite:
    """Subclass it and say how an executor is made; pytest finds the tests."""

    shares_memory = False
    """Whether parts are handed on without being sent."""

    def executor(self) -> Executor:
        """A fresh executor, not entered yet."""
        raise NotImplementedError

    def test_every_part_of_every_item_in_its_order(self) -> None:
        with self.executor() as executor:
            executor.prepare(powers)
            for _ in range(2):  # an executor serves again
                found = list(executor.stream(powers, _ITEMS))
                assert sorted(found) == _EXPECTED
                for n in _ITEMS:
                    assert [part for position, part in found if position == n] == [n, n * n]

    def test_nothing_to_do_is_nothing(self) -> None:
        with self.executor() as executor:
            assert list(executor.stream(powers, [])) == []

    def test_items_are_drawn_as_they_are_worked_on(self) -> None:
        drawn = []

        def items() -> Iterator[int]:
            for n in range(1000):
                drawn.append(n)
                yield n

        with self.executor() as executor:
            stream = executor.stream(powers, items())
            next(stream)
            assert len(drawn) < 1000

    def test_an_exception_keeps_its_class_and_message(self) -> None:
        with self.executor() as executor:
            with pytest.raises(SpecError) as caught:
                list(executor.stream(refuse, _ITEMS))
            assert str(caught.value) == "item: 2 is not odd"
            assert caught.value.expected == "odd"
            assert sorted(executor.stream(powers, _ITEMS)) == _EXPECTED

    def test_a_part_that_cannot_be_sent_is_told(self) -> None:
        if self.shares_memory:
            pytest.skip("parts are not sent")
        with self.executor() as executor, pytest.raises(Exception, match="lambda"):
            list(executor.stream(unsendable, [5]))

    def test_leaving_early_and_entering_again(self) -> None:
        executor = self.executor()
        with executor:
            next(iter(executor.stream(powers, _ITEMS)))
        with executor:
            assert sorted(executor.stream(powers, _ITEMS)) == _EXPECTED
