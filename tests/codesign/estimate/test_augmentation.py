"""Augmented images: where pixels go, equal draws, trainings of the same key without any."""

from __future__ import annotations

import pytest
import torch

from codesign.data import load
from codesign.estimate.augmentation import AUGMENTATIONS
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import train, training_key
from codesign.space.chain import ChainSpace
from hwmodels.workload.graph import Workload

IMAGES = torch.arange(1.0, 1 + 200 * 2 * 16 * 8).reshape(200, 2, 16, 8)


def network() -> Workload:
    space = ChainSpace(stages=1, kernel=(3,), width=(4,), depth=(1,), stride=(2,), bits=(8,), input_shape=(1, 8, 8))
    return space.workload(space.enumerate()[0])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_images_keep_their_shape_and_equal_seeds_draw_equally(name: str) -> None:
    found = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(AUGMENTATIONS[name](IMAGES))  # type: ignore[index]
    assert found[0].shape == IMAGES.shape
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2]) == (name == "none")
    assert torch.equal(found[0], IMAGES) == (name == "none")


def test_a_shift_moves_whole_images_by_up_to_an_eighth() -> None:
    torch.manual_seed(0)
    seen = set()
    for image, moved in zip(IMAGES, AUGMENTATIONS["shift"](IMAGES), strict=True):
        offsets = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-1, 2)
            if torch.equal(_moved(image, down, right), moved)
        ]
        assert len(offsets) == 1
        seen.add(offsets[0])
    assert len(seen) == 5 * 3


def _moved(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Pixel by pixel."""
    found = torch.zeros_like(image)
    for row in range(16):
        for column in range(8):
            if 0 <= row - down < 16 and 0 <= column - right < 8:
                found[:, row, column] = image[:, row - down, column - right]
    return found


def test_a_flip_mirrors_half_of_the_images() -> None:
    torch.manual_seed(0)
    mirrored = [
        torch.equal(image.flip(-1), found) for image, found in zip(IMAGES, AUGMENTATIONS["flip"](IMAGES), strict=True)
    ]
    left = [torch.equal(image, found) for image, found in zip(IMAGES, AUGMENTATIONS["flip"](IMAGES), strict=True)]
    assert 60 < sum(mirrored) < 140  # six deviations about 100
    assert 60 < sum(left) < 140


def test_cutout_covers_a_square_of_half_the_side_at_most() -> None:
    torch.manual_seed(0)
    covered = (AUGMENTATIONS["cutout"](IMAGES) == 0)[:, 0]
    rows, columns = covered.any(dim=2).sum(dim=1), covered.any(dim=1).sum(dim=1)
    assert torch.equal(covered.sum(dim=(1, 2)), rows * columns)
    assert (int(rows.max()), int(columns.max())) == (8, 4)
    assert (int(rows.min()), int(columns.min())) == (4, 2)  # whose centre is at the border


def test_a_recipe_without_augmentation_has_the_key_it_had_and_one_with_it_trains_otherwise() -> None:
    data, plain, moved = load("digits"), Recipe(epochs=1), Recipe(epochs=1, augmentation="shift")
    assert "augmentation" not in plain.content()
    keys = {training_key(network(), data, recipe, 1.0, 0) for recipe in (plain, moved)}
    assert len(keys) == 2
    first, second = (train(network(), data, recipe, 0) for recipe in (plain, moved))
    assert any((first[name] != second[name]).any() for name in first)
