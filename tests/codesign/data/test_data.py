"""Frozen splits, formats read back from tiny files, errors that name what is missing."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest

from codesign.app.assemble import dataset_of
from codesign.app.config import DataConfig, parse_config
from codesign.data import Dataset, load
from codesign.data.sources import SOURCES
from hwmodels.errors import SpecError
from tests.codesign.data.damage import refusal

U8 = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def tiny(count: int, *shape: int) -> tuple[U8, U8]:
    generator = np.random.default_rng(count)
    labels = np.arange(count, dtype=np.uint8) % 10
    return generator.integers(0, 256, (count, *shape), dtype=np.uint8), labels


def write_idx(path: Path, array: U8) -> None:
    content = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    path.write_bytes(content)


def write_fashion(folder: Path, suffix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, count in (("train", 100), ("t10k", 30)):
        images, labels = tiny(count, 28, 28)
        write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", labels)


CIFAR = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def write_cifar_python(folder: Path) -> None:
    folder.mkdir()
    for i, stem in enumerate(CIFAR):
        images, labels = tiny(20 + i, 3072)
        batch = {b"data": images, b"labels": labels.tolist(), b"filenames": [b"a.png"] * len(labels)}
        (folder / stem).write_bytes(pickle.dumps(batch, protocol=2))


def write_cifar_binary(folder: Path) -> None:
    folder.mkdir()
    for i, stem in enumerate(CIFAR):
        images, labels = tiny(20 + i, 3072)
        (folder / f"{stem}.bin").write_bytes(np.concatenate([labels[:, None], images], axis=1).tobytes())


def test_digits_are_split_once_and_for_all(digits: Dataset) -> None:
    assert [len(part.labels) for part in (digits.train, digits.validation, digits.test)] == [1078, 360, 359]
    assert digits.fingerprint == load("digits").fingerprint
    # The split is part of every published accuracy: these are the first labels of each part.
    images = np.concatenate([part.images for part in (digits.train, digits.validation, digits.test)])
    assert len(images) == 1797
    rest = {image.tobytes() for image in digits.train.images}
    assert not rest & {image.tobytes() for image in digits.validation.images}
    assert not rest & {image.tobytes() for image in digits.test.images}


def test_noisy_digits_are_the_digits_under_noise_in_thirds() -> None:
    noisy = load("noisy-digits")
    assert [len(part.labels) for part in (noisy.train, noisy.validation, noisy.test)] == [599, 599, 599]
    assert noisy.fingerprint == load("noisy-digits").fingerprint != load("digits").fingerprint
    # Every image is noisy: of the digits many pixels are equal, here hardly any are.
    assert len(np.unique(noisy.train.images)) > 0.99 * noisy.train.images.size
    with pytest.raises(SpecError, match="needed"):
        load("noisy-digits", "anywhere")


def test_splits_are_stratified(digits: Dataset) -> None:
    whole = np.bincount(np.concatenate([digits.train.labels, digits.validation.labels, digits.test.labels]))
    for part, share in ((digits.train, 0.6), (digits.validation, 0.2), (digits.test, 0.2)):
        assert np.all(np.abs(np.bincount(part.labels) - share * whole) <= 1)


def test_images_are_standardised_by_training_statistics(digits: Dataset) -> None:
    assert digits.train.images.dtype == np.float32
    assert digits.shape == digits.test.images.shape[1:]
    assert abs(digits.train.images.mean()) < 1e-5
    assert abs(digits.train.images.std() - 1) < 1e-5
    assert abs(digits.validation.images.mean()) > 1e-5


def test_fingerprint_follows_the_content(digits: Dataset) -> None:
    images = digits.test.images.copy()
    images[0, 0, 0, 0] += 1
    changed = Dataset("digits", digits.train, digits.validation, digits.test._replace(images=images), 10)
    assert changed.fingerprint != digits.fingerprint


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("customary", ["", "FashionMNIST/raw"])
def test_fashion_mnist_is_read_from_idx_files(tmp_path: Path, suffix: str, customary: str) -> None:
    write_fashion(tmp_path / customary, suffix)
    dataset = load("fashion-mnist", tmp_path)
    assert dataset.shape == (1, 28, 28)
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [90, 10, 30]
    official, labels = tiny(30, 28, 28)
    assert np.corrcoef(official.ravel(), dataset.test.images.ravel())[0, 1] == pytest.approx(1)
    np.testing.assert_array_equal(dataset.test.labels, labels)


def write_cifar100(folder: Path, version: str) -> None:
    """Coarse label first, fine label second; 200 and 100 images, each fine label equally often."""
    folder.mkdir(parents=True)
    for stem, count in (("train", 200), ("test", 100)):
        images, coarse = tiny(count, 3072)
        fine = (np.arange(count) * 7 % 100).astype(np.uint8)
        if version == "binary":
            rows = np.concatenate([coarse[:, None], fine[:, None], images], axis=1)
            (folder / f"{stem}.bin").write_bytes(rows.tobytes())
        else:
            batch = {b"data": images, b"coarse_labels": coarse.tolist(), b"fine_labels": fine.tolist()}
            (folder / stem).write_bytes(pickle.dumps(batch, protocol=2))


def test_cifar100_has_its_fine_labels_in_both_versions(tmp_path: Path) -> None:
    for version in ("python", "binary"):
        write_cifar100(tmp_path / version / f"cifar-100-{version}", version)
    read = [load("cifar100", tmp_path / version) for version in ("python", "binary")]
    assert read[0].fingerprint == read[1].fingerprint
    assert (read[0].shape, read[0].classes) == ((3, 32, 32), 100)
    np.testing.assert_array_equal(read[0].test.labels, np.arange(100) * 7 % 100)
    pixels, _ = tiny(100, 3072)
    one = read[0].test.images[:, 1].ravel()
    assert np.corrcoef(pixels.reshape(-1, 3, 32, 32)[:, 1].ravel(), one)[0, 1] == pytest.approx(1)


def test_cifar_reads_the_same_from_both_versions(tmp_path: Path) -> None:
    for version, write in (("py", write_cifar_python), ("bin", write_cifar_binary)):
        (tmp_path / version).mkdir()
        write(tmp_path / version / f"cifar-10-batches-{version}")
    read = [load("cifar10", tmp_path / version) for version in ("py", "bin")]
    assert read[0].fingerprint == read[1].fingerprint
    assert read[0].shape == (3, 32, 32)
    assert len(read[0].test.labels) == 25


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path, ("oops",)

    folder = tmp_path / "cifar-10-batches-py"
    write_cifar_python(folder)
    (folder / "data_batch_3").write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(SpecError, match=r"data_batch_3: .*does not belong"):
        load("cifar10", tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"train-images-idx3-ubyte") as caught:
        load("fashion-mnist", tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(SpecError, match=r"cifar-10-batches-py/ with data_batch_1.* or cifar-10-batches-bin/"):
        load("cifar10", tmp_path)
    with pytest.raises(SpecError, match=r"root=None is not a folder with"):
        load("cifar10")


def test_malformed_files_are_named(tmp_path: Path) -> None:
    write_fashion(tmp_path)
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SpecError, match="train-labels-idx1-ubyte: 99 is not the 100 bytes"):
        load("fashion-mnist", tmp_path)
    path.write_bytes(b"\0\0\x0d\x01")
    with pytest.raises(SpecError, match="header of an idx file"):
        load("fashion-mnist", tmp_path)


def test_labels_outside_and_classes_without_images_are_refused(tmp_path: Path) -> None:
    write_fashion(tmp_path)
    for labels, words in ((np.full(100, 10), r"labels: 10 is not in \[0, 9\]"), (np.zeros(100), "images of a class")):
        write_idx(tmp_path / "train-labels-idx1-ubyte", labels.astype(np.uint8))
        with pytest.raises(SpecError, match=words):
            load("fashion-mnist", tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "fashion-mnist.gz", "cifar10-py", "cifar10-bin", "cifar100-py"])
def test_damaged_files_are_one_line(tmp_path: Path, name: str) -> None:
    """Cuts and flipped bytes at random places: an error of ours that names the file, or images."""
    writers = {
        "fashion-mnist": write_fashion,
        "fashion-mnist.gz": lambda folder: write_fashion(folder, ".gz"),
        "cifar10-py": write_cifar_python,
        "cifar10-bin": write_cifar_binary,
        "cifar100-py": lambda folder: write_cifar100(folder, "python"),
    }
    customary = {
        "cifar10-py": "cifar-10-batches-py",
        "cifar10-bin": "cifar-10-batches-bin",
        "cifar100-py": "cifar-100-python",
    }
    folder = tmp_path / customary.get(name, "FashionMNIST/raw")
    folder.parent.mkdir(exist_ok=True)
    writers[name](folder)
    generator = np.random.default_rng(0)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for trial in range(6):
            content = bytearray(whole)
            if trial % 2:
                del content[int(generator.integers(len(content))) :]
            else:
                for at in generator.integers(0, min(len(content), 200), 4):
                    content[at] = int(generator.integers(256))
            path.write_bytes(bytes(content))
            told = refusal(name[:13] if name.startswith("fashion") else name.partition("-")[0], tmp_path)
            assert "\n" not in told
            assert not told or str(folder) in told
        path.write_bytes(whole)


def test_unknown_name_finds_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean cifar10"):
        load("cifar1")


def test_a_run_file_names_exactly_the_sources() -> None:
    assert set(get_args(DataConfig.model_fields["name"].annotation)) == set(SOURCES)
    assert list(SOURCES) == sorted(SOURCES)


def test_shipped_splits_are_frozen_to_the_bit(digits: Dataset) -> None:
    """Every published accuracy and every stored training hangs on these."""
    assert digits.fingerprint.startswith("db21c5d448e63693")
    assert load("noisy-digits").fingerprint.startswith("561e296b74e950fd")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"name": "mnist"}, "did you mean mnist5k"),
        ({"nam": "digits"}, "did you mean name"),
        ({"name": "folder", "sise": 8}, "did you mean size"),
        ({"name": "folder", "size": 0}, "data.size: 0 is not >= 1"),
    ],
)
def test_a_run_file_is_checked_key_by_key(section: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse_config({"architecture": "cell", "data": section})


def test_a_key_of_another_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"data: size: 8 is not a key of digits, which takes name$"):
        load("digits", size=8)
    with pytest.raises(SpecError, match="data: label: y is not a key of folder, which takes name, root, size, colour"):
        load("folder", tmp_path, label="y")


def test_keys_of_a_run_file_reach_the_reader(tmp_path: Path) -> None:
    lines = [f"{i / 7},{-i},{'ab'[i % 2]}" for i in range(12)]
    (tmp_path / "t.csv").write_text("\n".join(["u,v,kind", *lines]))
    config = parse_config(
        {"architecture": "cell", "data": {"name": "table", "root": str(tmp_path / "t.csv"), "label": "kind"}}
    )
    assert dataset_of(config.data).shape == (2, 1, 1)
