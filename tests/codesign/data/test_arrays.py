"""Own arrays: what is read is what was written, splits are kept or drawn once, mistakes are one line."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.data import Dataset, load
from codesign.data.base import FEWEST_SPLIT, stratified
from hwmodels.errors import SpecError
from tests.codesign.data.damage import damaged, refusal


def some(images: int = 40, *, classes: int = 4, shape: tuple[int, ...] = (6, 5)) -> dict[str, Any]:
    generator = np.random.default_rng(images)
    return {
        "images": generator.integers(0, 256, (images, *shape), dtype=np.uint8),
        "labels": np.arange(images) % classes,
    }


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "own.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_bytes_and_numbers_give_the_same_images(tmp_path: Path) -> None:
    arrays = some()
    as_bytes = load("arrays", saved(tmp_path, **arrays))
    as_numbers = load("arrays", saved(tmp_path, images=arrays["images"][:, None] / 255, labels=arrays["labels"]))
    assert as_bytes.shape == as_numbers.shape == (1, 6, 5)
    assert as_bytes.classes == 4
    np.testing.assert_allclose(as_bytes.test.images, as_numbers.test.images, atol=1e-6)


def whole(dataset: Dataset) -> int:
    return sum(len(part.labels) for part in (dataset.train, dataset.validation, dataset.test))


def test_without_a_split_every_class_is_in_every_part(tmp_path: Path) -> None:
    dataset = load("arrays", saved(tmp_path, **some(FEWEST_SPLIT * 4)))
    for part in (dataset.train, dataset.validation, dataset.test):
        assert set(part.labels) == set(range(4))
    assert whole(dataset) == FEWEST_SPLIT * 4
    assert dataset.fingerprint == load("arrays", tmp_path / "own.npz").fingerprint


@given(st.integers(FEWEST_SPLIT, 2000))
def test_the_fewest_images_of_a_class_suffice_for_three_parts(images: int) -> None:
    parts = stratified(np.zeros(images, np.int64), (0.6, 0.2))
    assert all(len(part) for part in parts)
    assert sorted(np.concatenate(parts)) == list(range(images))


def test_a_split_of_its_own_is_kept(tmp_path: Path) -> None:
    arrays = some(shape=(3, 6, 5))
    parts = {"train": np.arange(20), "validation": np.arange(20, 25), "test": np.array([39, 30])}
    dataset = load("arrays", saved(tmp_path, **arrays, **parts))
    np.testing.assert_array_equal(dataset.test.labels, arrays["labels"][[39, 30]])
    assert (dataset.shape, whole(dataset)) == ((3, 6, 5), 27)  # what no part names is left out
    trained = arrays["images"][:20] / 255
    plain = (arrays["images"][30] / 255 - trained.mean((0, 2, 3))[:, None, None]) / trained.std((0, 2, 3))[
        :, None, None
    ]
    np.testing.assert_allclose(dataset.test.images[1], plain, atol=1e-5)


THIRDS = {"train": np.arange(20), "validation": np.arange(20, 30), "test": np.arange(30, 40)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((40, 2), np.uint8)}, r"images: \(40, 2\) is not a shape"),
        ({"images": np.zeros((40, 0, 2), np.uint8)}, "without empty axes"),
        ({"images": np.zeros((40, 2, 2), np.int32)}, "int32 is not uint8 or floating point"),
        ({"images": np.full((40, 2, 2), np.nan)}, "finite"),
        ({"images": np.full((40, 2, 2), 1e300)}, "finite in float32"),
        ({"images": np.zeros((39, 2, 2))}, "40 labels is not one each of 39 images"),
        ({"images": np.zeros((1, 70_000, 1), np.uint8)}, "at most"),
        ({"images": np.zeros((40, 2, 2), complex)}, "type: complex128"),
        ({"labels": np.zeros(40)}, "whole numbers"),
        ({"labels": np.zeros((40, 1), int)}, "whole numbers"),
        ({"labels": np.zeros(0, int)}, "whole numbers"),
        ({"labels": np.zeros(40, int)}, "1 classes is not 2 to"),
        ({"labels": np.arange(40) - 1}, "labels: -1 is not in"),
        ({"labels": np.arange(40) // 3}, "1 images of a class"),
        ({"labels": np.arange(40) * 10**6}, "39000001 classes"),
        ({"labels": np.full(40, 2**63, np.uint64)}, "the number of a class"),
        ({"labels": np.array(["a"] * 40)}, "type: <U1"),
        ({"train": np.arange(20)}, "array validation is missing"),
        ({**THIRDS, "test": np.arange(20, 30)}, "image 20 is not in one part, once"),
        ({**THIRDS, "test": np.array([40])}, r"test: 40 is not an index in \[0, 39\]"),
        ({**THIRDS, "test": np.array([-1])}, "test: -1 is not an index"),
        ({**THIRDS, "test": np.array([0.5])}, "indices of a shape"),
        ({**THIRDS, "test": np.zeros(0, int)}, "indices of a shape"),
        ({**THIRDS, "train": np.array([0, 4])}, "0 images of a class"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        load("arrays", saved(tmp_path, **{**some(), **changes}))
    assert "\n" not in str(caught.value)
    assert "own.npz" in str(caught.value)


def test_what_is_no_archive_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="root=None is not an npz file"):
        load("arrays")
    with pytest.raises(SpecError, match="No such file"):
        load("arrays", tmp_path / "none.npz")
    with pytest.raises(SpecError, match="is not an npz file of numpy arrays"):
        load("arrays", tmp_path)
    with pytest.raises(SpecError, match=r"array images is missing \(it has labels\)"):
        load("arrays", saved(tmp_path, labels=np.zeros(3, int)))


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    """An array of objects would run code as it is read."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    with pytest.raises(SpecError, match="images: type: object is not"):
        load("arrays", saved(tmp_path, images=np.array([Evil()] * 4), labels=np.arange(4)))
    (tmp_path / "own.npz").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(SpecError, match="npz file"):
        load("arrays", tmp_path / "own.npz")
    assert not (tmp_path / "ran").exists()


def test_a_header_that_promises_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = saved(tmp_path, **some())
    with zipfile.ZipFile(path) as archive:
        labels = archive.read("labels.npy")
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", labels)
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(SpecError, match=r"images: shape: .* is not at most"):
        load("arrays", path)


def test_damaged_archives_are_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path, **some())
    for content in damaged(path.read_bytes(), 150):
        path.write_bytes(content)
        told = refusal("arrays", path)
        assert "\n" not in told
        assert not told or "own.npz" in told
