"""A folder of images a class: read as drawn, resampled, and every file that is no image named in one line."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codesign.data import load
from hwmodels.errors import SpecError
from tests.codesign.data.damage import damaged, refusal

COLOURS = {"apple": (220, 20, 30), "leaf": (10, 200, 40), "sky": (20, 60, 230)}


def write(root: Path, count: int = 5, *, size: tuple[int, int] = (12, 9), suffixes: Iterable[str] = (".png",)) -> None:
    """`count` images a class, each of the class's colour with a little noise."""
    generator = np.random.default_rng(0)
    endings = list(suffixes)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            noise = generator.integers(-9, 10, (size[1], size[0], 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}{endings[i % len(endings)]}")


def test_classes_are_the_folders_by_name(tmp_path: Path) -> None:
    write(tmp_path, suffixes=(".png", ".jpg", ".JPEG"))
    dataset = load("folder", tmp_path, size=8)
    assert (dataset.shape, dataset.classes) == ((3, 8, 8), 3)
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [9, 3, 3]
    for part in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(part.images.mean((2, 3)).argmax(1), part.labels)  # red, green, blue


def test_size_and_colour_are_the_run_files(tmp_path: Path) -> None:
    write(tmp_path)
    assert load("folder", tmp_path).shape == (3, 32, 32)
    assert load("folder", tmp_path, colour=False).shape == (1, 32, 32)
    grey = load("folder", tmp_path, size=1, colour=False).train
    brightness = [grey.images[grey.labels == label].mean() for label in range(3)]
    # ITU-R 601 luma of the three colours, as Pillow converts: 81, 125 and 67.
    assert np.argsort(brightness).tolist() == [2, 0, 1]


def test_images_of_their_size_are_kept_to_the_bit(tmp_path: Path) -> None:
    write(tmp_path, 4, size=(7, 7))
    dataset = load("folder", tmp_path, size=7)
    written = np.stack([np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("*/*"))]).transpose(0, 3, 1, 2)
    read = np.concatenate([dataset.train.images, dataset.validation.images, dataset.test.images])
    # Standardising is affine in each channel: every image is one of the written ones, pixel by pixel.
    for channel in range(3):
        ours, theirs = (images[:, channel].reshape(12, -1) for images in (read, written))
        found = np.corrcoef(ours, theirs)[:12, 12:]
        assert found.max(1) == pytest.approx(1, abs=1e-5)
        assert sorted(found.argmax(1)) == list(range(12))


def refused(root: Path) -> str:
    told = refusal("folder", root)
    assert told
    assert "\n" not in told
    return told


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "leaf" / ".hidden").write_text("passed over")
    load("folder", tmp_path)
    (tmp_path / "leaf" / "2.png").write_bytes(b"no image\n")
    assert "leaf/2.png is not readable as PNG or JPEG" in refused(tmp_path)
    for i in range(4):
        (tmp_path / "apple" / f"{i}.png").write_bytes((tmp_path / "apple" / f"{i}.png").read_bytes()[:60])
    assert "apple/0.png, apple/1.png, apple/2.png and 2 more is not readable" in refused(tmp_path)
    (tmp_path / "apple" / "notes.txt").write_text("red")
    assert "notes.txt: .txt is not an image file" in refused(tmp_path)


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "sky" / "0.png"
    for side, words in ((9_000, "9000 x 9000 pixels, more than 67108864"), (20_000, "sky/0.png is not readable")):
        Image.new("1", (side, side)).save(path)
        assert path.stat().st_size < 100_000
        assert words in refused(tmp_path)


def test_other_formats_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path)
    Image.new("RGB", (4, 4)).save(tmp_path / "sky" / "0.png", format="GIF")
    assert "sky/0.png is not readable" in refused(tmp_path)


def test_folders_that_hold_no_classes_are_one_line(tmp_path: Path) -> None:
    assert "No such file or directory is not a folder that can be read" in refused(tmp_path / "none")
    assert "0 classes" in refused(tmp_path)
    write(tmp_path, 3)
    assert "apple: 3 images is not at least 4" in refused(tmp_path)
    (tmp_path / "readme.md").write_text("")
    assert "readme.md: a file is not the folder of a class" in refused(tmp_path)
    with pytest.raises(SpecError, match="root=None is not a folder with a folder of PNG or JPEG files"):
        load("folder")


def test_one_class_is_none(tmp_path: Path) -> None:
    write(tmp_path / "all")
    (tmp_path / "one").mkdir()
    (tmp_path / "all" / "leaf").rename(tmp_path / "one" / "leaf")
    assert "1 classes is not 2 to" in refused(tmp_path / "one")


def test_too_large_together_is_refused_before_any_is_read(tmp_path: Path) -> None:
    write(tmp_path, 4)
    with pytest.raises(SpecError, match="at most 536870912 values"):
        load("folder", tmp_path, size=7_000)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_images_are_one_line_or_read(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, 4, suffixes=(suffix,))
    path = tmp_path / "leaf" / f"1{suffix}"
    for content in damaged(path.read_bytes(), 60):
        path.write_bytes(content)
        told = refusal("folder", tmp_path, size=8)
        assert "\n" not in told
        assert not told or f"leaf/1{suffix}" in told
