"""Every space passes the suite that is shipped for spaces of other packages; a broken one does not."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from codesign.testing.space import SpaceSuite
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import EAGER
from tests.codesign.space.toy_spaces import AttentionSpace, MobileSpace, PairSpace


class TestCell(SpaceSuite):
    def make(self) -> CellSpace:
        return CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8), classes=3)


class TestChain(SpaceSuite):
    def make(self) -> ChainSpace:
        return ChainSpace(stages=2, depth=(1, 2, 3), stride=(1, 2), precision=Precision(6, 5))


class TestMobile(SpaceSuite):
    def make(self) -> MobileSpace:
        return MobileSpace()


class TestAttention(SpaceSuite):
    def make(self) -> AttentionSpace:
        return AttentionSpace()


class TestPair(SpaceSuite):
    def make(self) -> PairSpace:
        return PairSpace()


class _Forgetful(ChainSpace):
    """Lowers every network as the first one."""

    def lower_distinct(self, genotypes, semantics):
        return super().lower_distinct(np.repeat(genotypes[:1], len(genotypes), axis=0), semantics)


def test_the_suite_sees_a_wrong_lowering() -> None:
    class TestForgetful(SpaceSuite):
        def make(self) -> ChainSpace:
            return _Forgetful(stages=1)

    suite = TestForgetful()
    with pytest.raises(AssertionError):
        SpaceSuite.test_a_batch_is_lowered_as_its_graphs(suite, suite.make(), EAGER)
