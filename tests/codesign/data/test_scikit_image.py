"""Images that scikit-image ships: parts that share no pixel, labels by their stated rule, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.data import Dataset, load
from codesign.data.skimage_files import opened_image, shipped_file
from codesign.task import Segmentation, SuperResolution
from hwmodels.errors import SpecError

pytest.importorskip("skimage", reason="the extra data is not installed")


def whole(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    parts = (data.train, data.validation, data.test)
    return np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])


@pytest.fixture(scope="module")
def photographs() -> Dataset:
    return load("photographs")


def test_photographs_are_patches_of_whole_files(photographs: Dataset) -> None:
    assert (photographs.input_shape, photographs.output_shape) == ((1, 24, 24), (1, 48, 48))
    # In patches of 48 pixels: astronaut, brick and gravel 10 x 10 each, coffee 8 x 12, rocket 8 x 13; camera 10 x 10,
    # motorcycle 10 x 15; chelsea 6 x 9, coins 6 x 8.
    counts = [300 + 96 + 104, 100 + 150, 54 + 48]
    assert [len(part.labels) for part in (photographs.train, photographs.validation, photographs.test)] == counts
    task = photographs.task
    assert isinstance(task, SuperResolution)
    pixels = photographs.validation.labels[:100] * task.deviation + task.mean
    camera = np.asarray(opened_image("photographs", "camera.png", "L"))[:480, :480] / 255
    for i, patch in enumerate(pixels[:, 0]):
        row, column = divmod(i, 10)
        np.testing.assert_allclose(patch, camera[48 * row : 48 * row + 48, 48 * column : 48 * column + 48], atol=1e-6)


def test_what_is_read_is_the_asked_image_at_half_resolution(photographs: Dataset) -> None:
    """Averages of two by two pixels are what bicubic resampling shows, but for the edges."""
    for part in (photographs.train, photographs.test):
        averaged = part.labels.reshape(-1, 1, 24, 2, 24, 2).mean(axis=(3, 5))
        assert np.corrcoef(averaged.ravel(), part.images.ravel())[0, 1] > 0.99
        assert abs(float((averaged - part.images).mean())) < 0.01  # in the same units


def test_training_photographs_are_in_standard_units(photographs: Dataset) -> None:
    np.testing.assert_allclose([photographs.train.labels.mean(), photographs.train.labels.std()], [0, 1], atol=1e-5)
    assert load("photographs", size=32).input_shape == (1, 16, 16)
    assert load("photographs").fingerprint == photographs.fingerprint


@pytest.mark.parametrize(("name", "classes", "patches"), [("tissue", 3, 256), ("retina", 2, 225)])
def test_segmented_images_are_split_by_bands(name: str, classes: int, patches: int) -> None:
    data = load(name)
    bands = int(patches**0.5)
    own = [sum(1 for band in range(bands) if band % 5 in kept) * bands for kept in ((0, 1, 2), (3,), (4,))]
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == own
    assert data.output_shape == (classes, 32, 32)
    images, labels = whole(data)
    assert images.shape[1:] == data.input_shape == ((1, 32, 32) if name == "tissue" else (3, 32, 32))
    shares = np.bincount(labels.ravel(), minlength=classes) / labels.size
    assert len(shares) == classes
    assert shares.min() > 0.03
    task = data.task
    assert isinstance(task, Segmentation)
    assert task.frequent == np.bincount(data.train.labels.ravel()).argmax()


def test_stained_pixels_are_browner_and_vessels_darker() -> None:
    colours = load("tissue", colour=True)
    images, labels = whole(colours)
    red, blue = (np.moveaxis(images[:, channel], 0, -1) for channel in (0, 2))
    told = np.moveaxis(labels, 0, -1)
    brown = red - blue
    assert brown[told == 2].mean() > brown[told == 0].mean() + 0.1  # each channel in its own standard units
    assert brown[told == 1].mean() < brown[told == 0].mean()  # haematoxylin is blue
    grey = load("tissue")
    np.testing.assert_array_equal(grey.train.labels, colours.train.labels)
    fundus, vessels = whole(load("retina"))
    inside = fundus[:, 1] > -1
    assert fundus[:, 1][(vessels == 1) & inside].mean() < fundus[:, 1][(vessels == 0) & inside].mean()


def test_faces_come_first() -> None:
    data = load("faces")
    assert (data.shape, data.classes) == ((1, 25, 25), 2)
    assert [np.bincount(part.labels).tolist() for part in (data.train, data.validation, data.test)] == [
        [60, 60], [20, 20], [20, 20],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "keys", "words"),
    [
        ("photographs", {"size": 7}, "data: size: 7 is not even, from 4 to 256"),
        ("photographs", {"colour": True}, "is not a key of photographs, which takes name, size"),
        ("tissue", {"size": 200}, "data: size: 200 is not from 4 to 96"),
        ("retina", {"root": Path("here")}, "needed: retina comes with scikit-image"),
    ],
)
def test_what_does_not_fit_is_one_line(name: str, keys: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        load(name, **keys)  # type: ignore[arg-type]


def test_a_file_that_is_not_shipped_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"scikit-image without other.png is not one that ships it"):
        shipped_file("faces", "other.png")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG broken")
    monkeypatch.setattr("codesign.data.skimage_files.shipped_file", lambda name, file: damaged)
    with pytest.raises(SpecError, match=r"damaged.png: .* is not an image"):
        opened_image("tissue", "ihc.png", "RGB")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codesign.data.skimage_files.find_spec", lambda name: None)
    for name in ("photographs", "faces", "tissue", "retina"):
        with pytest.raises(SpecError, match=r"scikit-image is not installed \(pip install 'codesign\[data\]'\)"):
            load(name)
