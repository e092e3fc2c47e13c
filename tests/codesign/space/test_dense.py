"""Spaces that answer with an image: the conformance suite, published counts, and the zoo's networks as points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from codesign.data import Dataset, Part
from codesign.network import to_module
from codesign.registry import SPACES
from codesign.space.architecture import ArchitectureSpace
from codesign.space.super_resolution import SuperResolutionSpace
from codesign.space.unet import UNetSpace
from codesign.task import Segmentation, SuperResolution
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.zoo import network as published_network


class TestUNet(SpaceSuite):
    def make(self) -> UNetSpace:
        return UNetSpace(width=(2, 3), input_shape=(3, 16, 24), classes=4)


class TestPlainUNet(SpaceSuite):
    def make(self) -> UNetSpace:
        return UNetSpace(depth=(1, 3), width=(2,), norm=False, input_shape=(1, 8, 12))


class TestSuperResolution(SpaceSuite):
    def make(self) -> SuperResolutionSpace:
        return SuperResolutionSpace(features=(4, 6), shrunk=(0, 3), depth=(0, 2), input_shape=(1, 6, 5))


class TestLargerFactor(SpaceSuite):
    def make(self) -> SuperResolutionSpace:
        return SuperResolutionSpace(features=(4,), factor=3, activation="prelu", bias=False, input_shape=(3, 4, 4))


def only(space: ArchitectureSpace, **chosen: Any) -> Workload:
    """The network of some choices, of other decisions the first one."""
    return space.workload(space.encode({gene.name: chosen.get(gene.name, gene.choices[0]) for gene in space.genes}))


def paper_unet(**settings: Any) -> Workload:
    whole = {
        "depth": (4,), "width": (64,), "convs": (2,), "operator": ("conv",), "kernel": (3,), "skip": ("concat",),
        "upsampling": ("transposed",),
    }  # fmt: skip
    return only(UNetSpace(**whole, **settings))


def test_unets_have_the_published_counts() -> None:
    # With batch norms, three channels in and two classes: the count that Pytorch-UNet's users print.
    assert paper_unet(norm=True, input_shape=(3, 64, 64), classes=2).parameters == 31_037_698
    # Padding adds no parameter: the paper's network, without norms, one channel in and two maps out.
    assert (
        paper_unet(norm=False, input_shape=(1, 64, 64), classes=2).parameters
        == published_network("unet").parameters
        == 31_030_658
    )


def test_the_count_is_that_of_its_layers() -> None:
    """Width 2, one halving, one convolution a level: 3 x 3 of 1-2, 2-4 and 4-2 channels, a transposed one of 4-2."""
    space = UNetSpace(norm=False, input_shape=(1, 8, 8), classes=3, depth=(1,), width=(2,))
    convs = (9 * 1 * 2 + 2) + (9 * 2 * 4 + 4) + (9 * 4 * 2 + 2)
    assert only(space).parameters == convs + (4 * 4 * 2 + 2) + (2 * 3 + 3)
    assert only(space, skip="add").parameters == convs - 9 * 2 * 2 + (4 * 4 * 2 + 2) + (2 * 3 + 3)
    assert only(space, skip="none", upsampling="nearest").parameters == convs - 9 * 2 * 2 + (9 * 4 * 2 + 2) + (
        2 * 3 + 3
    )


SHAPE = (1, 180, 320)
POINTS = {
    "espcn_x2": SuperResolutionSpace(
        features=(64,), first=(5,), shrunk=(32,), shrink=(3,), depth=(0,), activation="tanh", input_shape=SHAPE
    ),
    "espcn_x3": SuperResolutionSpace(
        features=(64,), first=(5,), shrunk=(32,), shrink=(3,), depth=(0,), activation="tanh", input_shape=SHAPE,
        factor=3,
    ),
    "fsrcnn_x2": SuperResolutionSpace(
        features=(56,), first=(5,), shrunk=(12,), shrink=(1,), depth=(4,), expand=(True,), tail=("transposed",),
        activation="leaky_relu", bias=False, input_shape=SHAPE,
    ),
    "edsr_baseline_x2": SuperResolutionSpace(
        features=(64,), first=(3,), shrunk=(0,), block=("residual",), depth=(16,), tail=("late",),
        input_shape=(3, 360, 640),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
def test_published_super_resolution_networks_are_points(name: str) -> None:
    """Layer by layer as the zoo has them, whose counts are held against the papers."""
    ours, published = only(POINTS[name]), published_network(name)
    assert [(row.kind, row.macs, row.parameters) for _, row in ours.rows()] == [
        (row.kind, row.macs, row.parameters) for _, row in published.rows()
    ]
    if name == "fsrcnn_x2":
        assert ours.parameters == 12_464
    if name == "espcn_x2":
        assert ours.parameters == 21_284


@pytest.mark.parametrize("tail", ["shuffle", "transposed", "late"])
@pytest.mark.parametrize("factor", [2, 3])
def test_an_answer_is_factor_times_as_large(tail: str, factor: int) -> None:
    space = SuperResolutionSpace(input_shape=(2, 5, 7), factor=factor)
    network = to_module(only(space, tail=tail)).eval()
    with torch.no_grad():
        assert network(torch.randn(3, 2, 5, 7)).shape == (3, 2, 5 * factor, 7 * factor)


def test_a_network_with_a_base_adds_to_the_enlarged_input() -> None:
    space = SuperResolutionSpace(input_shape=(1, 6, 6))
    network = to_module(only(space, base="bilinear")).eval()
    image = torch.randn(2, 1, 6, 6)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        larger = torch.nn.functional.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        assert torch.allclose(network(image), larger)


def test_a_u_net_answers_every_pixel_and_sees_around_it() -> None:
    torch.manual_seed(0)
    network = to_module(only(UNetSpace(input_shape=(1, 16, 16), classes=3))).eval()
    image = torch.randn(1, 1, 16, 16)
    changed = image.clone()
    changed[0, 0, 8, 8] += 1
    with torch.no_grad():
        one, other = network(image), network(changed)
    assert one.shape == (1, 3, 16, 16)
    assert not torch.allclose(one[0, :, 8, 8], other[0, :, 8, 8])
    assert not torch.allclose(one[0, :, 8, 12], other[0, :, 8, 12])


def test_what_nothing_reads_is_canonical() -> None:
    space = SuperResolutionSpace()
    rows = [
        space.encode({"features": 16, "first": 3, "shrunk": 0, "shrink": k, "block": b, "depth": 0, "expand": e,
                      "tail": "late", "base": "none"})
        for k, b, e in ((1, "plain", False), (3, "residual", True))
    ]  # fmt: skip
    assert np.array_equal(*space.canonical(np.stack(rows)))
    assert space.workload(rows[0]).nodes == space.workload(rows[1]).nodes


def test_a_depth_that_the_image_does_not_halve_is_invalid() -> None:
    space = UNetSpace(depth=(2, 3, 5), input_shape=(1, 24, 40))
    valid = space.valid(np.stack([np.array([depth, 0, 0, 0, 0, 0, 0]) for depth in range(3)]))
    assert valid.tolist() == [True, True, False]
    assert space.valid(space.sample(20, np.random.default_rng(0))).all()


def test_spaces_answer_as_the_data_ask() -> None:
    rng = np.random.default_rng(0)
    part = Part(rng.normal(size=(4, 1, 8, 8)).astype(np.float32), rng.integers(0, 3, (4, 8, 8)))
    tissue = Dataset("own", part, part, part, 3, Segmentation(3, 0))
    space = SPACES.parse("unet", "run").make(tissue)
    network = space.workload(space.sample(1, rng)[0])
    assert network[network.outputs[0]].shape[1:] == tissue.output_shape == (3, 8, 8)
    part = Part(part.images, rng.normal(size=(4, 1, 24, 24)).astype(np.float32))
    photographs = Dataset("own", part, part, part, 1, SuperResolution(3, 0.5, 0.2))
    space = SPACES.parse("super_resolution", "run").make(photographs)
    network = space.workload(space.sample(1, rng)[0])
    assert network[network.outputs[0]].shape[1:] == photographs.output_shape == (1, 24, 24)


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(SpecError, match=r"depth: \[3\] is not halvings that leave the sides of 12 x 12 pixels whole"):
        UNetSpace(depth=(3,), input_shape=(1, 12, 12))
    with pytest.raises(SpecError, match="kernel: 4 is not odd"):
        UNetSpace(kernel=(3, 4))
    with pytest.raises(SpecError, match="kernel: 2 is not odd"):
        SuperResolutionSpace(shrink=(2,))
