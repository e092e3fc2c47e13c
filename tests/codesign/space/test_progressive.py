"""The space of three stages: the conformance suite, embedding from stage to stage, attention as published, a twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from codesign.data import load
from codesign.estimate.train import check_fit, structure
from codesign.network import to_module
from codesign.registry import SPACES as REGISTERED
from codesign.space.progressive import STAGES, ProgressiveSpace, cbam, eca
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.zoo import network

SMALL = {"channels": (4, 6), "blocks": 3, "input_shape": (3, 9, 7), "classes": 3}


class TestBasic(SpaceSuite):
    def make(self) -> ProgressiveSpace:
        return ProgressiveSpace(1, **SMALL)


class TestAll(SpaceSuite):
    def make(self) -> ProgressiveSpace:
        return ProgressiveSpace(3, **SMALL)


def test_stages_have_five_eight_and_eleven_operations() -> None:
    spaces = [ProgressiveSpace(stage, channels=(4,), blocks=2) for stage in (1, 2, 3)]
    assert [len(space.operations) for space in spaces] == [5, 8, 11]
    assert [space.size for space in spaces] == [(2 * count) ** 2 for count in (5, 8, 11)]
    assert len({space.fingerprint for space in spaces}) == 3


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), stages=st.sampled_from([(1, 2), (2, 3), (1, 3), (2, 2)]))
def test_an_embedded_point_is_the_same_network(seed: int, stages: tuple[int, int]) -> None:
    smaller, larger = (ProgressiveSpace(stage, **SMALL) for stage in stages)
    points = smaller.sample(2, np.random.default_rng(seed))
    embedded = smaller.embedded(points, larger)
    assert larger.valid(embedded).all()
    assert np.array_equal(larger.canonical(embedded), smaller.embedded(smaller.canonical(points), larger))
    for point, wider in zip(points, embedded, strict=True):
        assert smaller.decode(point) == larger.decode(wider)
        assert structure(smaller.workload(point)) == structure(larger.workload(wider))
        assert smaller.describe(point) == larger.describe(wider)


def test_embedding_keeps_points_apart_and_refuses_other_spaces() -> None:
    small = ProgressiveSpace(1, channels=(4,), blocks=2)
    every = small.embedded(small.enumerate(), small.at_stage(3))
    assert len(np.unique(every, axis=0)) == small.size
    assert small.at_stage(2).fingerprint == ProgressiveSpace(2, channels=(4,), blocks=2).fingerprint
    with pytest.raises(SpecError, match="into"):
        small.at_stage(2).embedded(every, small)
    with pytest.raises(SpecError, match="into"):
        small.embedded(every, ProgressiveSpace(2, channels=(6,), blocks=2))


def test_blocks_are_left_out_last_and_shuffles_need_a_convolution() -> None:
    space = ProgressiveSpace(3, channels=(4,), blocks=3)
    names = [gene.name for gene in space.genes]
    first, second = (
        space.encode(dict(zip(names, values, strict=True)))
        for values in (("skip", True, "se", True, "conv3", True), ("se", False, "conv3", True, "skip", False))
    )
    assert np.array_equal(*space.canonical(np.stack([first, second])))
    assert space.describe(first) == "se conv3s"


def norm(channels: int) -> int:
    return 2 * channels


COUNTS = {
    ("conv3", False): 9 * 64 + norm(8), ("conv3", True): 9 * 32 + norm(8), ("conv1", False): 64 + norm(8),
    ("conv1", True): 32 + norm(8), ("max3", True): 0, ("avg3", False): 0, ("skip", True): 0,
    ("dw3", False): 72 + norm(8) + 64 + norm(8), ("dw5", True): 200 + norm(8) + 32 + norm(8),
    ("dil3", True): 9 * 32 + norm(8), ("se", False): 2 * 16 + 2 + 8, ("cbam", False): 2 * 16 + 2 + 8 + 98 + norm(1),
    ("eca", False): 3,
}  # fmt: skip


@pytest.mark.parametrize(("chosen", "parameters"), COUNTS.items(), ids=str)
def test_parameters_of_each_operation_by_hand(chosen: tuple[str, bool], parameters: int) -> None:
    space = ProgressiveSpace(3, channels=(8,), blocks=1, classes=3)
    point = space.encode(dict(zip(("op0.0", "shuffle0.0"), chosen, strict=True)))
    assert space.workload(point).parameters == 27 * 8 + norm(8) + parameters + 8 * 3 + 3


def test_cbam_and_eca_in_resnet50_by_the_channels_of_its_blocks() -> None:
    """A module behind each block: CBAM with hidden channels C/16 takes 25.56 to 28.09 million parameters, which is what
    [Woo et al. 2018, table 4] is recalled to say; ECA has kernels of 5, 5, 5 and 7."""
    blocks = ((3, 256), (4, 512), (6, 1024), (3, 2048))
    plain = network("resnet50").parameters

    def added(write) -> int:
        total = 0
        for repeats, channels in blocks:
            net = Builder("one", (1, channels, 7, 7))
            total += repeats * net.finish(write(net, net.input)).parameters
        return total

    with_cbam = plain + added(lambda net, x: cbam(net, x, net.shape(x)[1] // 16))
    assert with_cbam - plain == sum(n * (c * c // 8 + c // 16 + c + 98 + 2) for n, c in blocks)
    assert (round(plain / 1e6, 2), round(with_cbam / 1e6, 2)) == (25.56, 28.09)
    assert added(eca) == 3 * 5 + 4 * 5 + 6 * 5 + 3 * 7


class _Cbam(nn.Module):
    """As published: one perceptron called twice, max before mean over the channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.conv, self.norm = nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        x = x * torch.sigmoid(gate)[:, :, None, None]
        places = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.norm(self.conv(places)))


def test_attention_gives_the_scores_of_its_twins() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 16, 5, 6)
    net = Builder("cbam", (4, 16, 5, 6))
    made, twin = to_module(net.finish(cbam(net, net.input, 4))).eval(), _Cbam(16, 4).eval()
    layers = [layer for layer in made.layers.values() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    layers[-1].running_mean += 0.3
    for own, layer in zip([twin.mlp[0], twin.mlp[2], twin.conv, twin.norm], layers, strict=True):
        own.load_state_dict(
            {key: value.reshape(own.state_dict()[key].shape) for key, value in layer.state_dict().items()}
        )
    assert torch.allclose(made(x), twin(x), atol=1e-6)
    net = Builder("eca", (4, 16, 5, 6))
    made = to_module(net.finish(eca(net, net.input))).eval()
    (weight,) = made.parameters()
    gate = F.conv1d(x.mean((2, 3))[:, None], weight.reshape(1, 1, -1), padding=weight.numel() // 2)
    assert torch.allclose(made(x), x * torch.sigmoid(gate)[:, 0, :, None, None], atol=1e-6)


def test_a_shuffle_lets_the_groups_see_each_other() -> None:
    """Two grouped 1x1 convolutions: an input channel reaches all outputs only through the shuffle between them."""
    space = ProgressiveSpace(3, channels=(8,), blocks=2, input_shape=(8, 4, 4), classes=3)
    point = space.encode({"op0.0": "conv1", "shuffle0.0": True, "op0.1": "conv1", "shuffle0.1": True})
    made = to_module(space.workload(point)).eval()
    convolutions = [layer for layer in made.layers.values() if isinstance(layer, nn.Conv2d)][1:]
    assert [layer.groups for layer in convolutions] == [2, 2]
    with torch.no_grad():
        for layer in convolutions:
            layer.weight.fill_(1.0)
    shuffles = [name for name in made.position if name.startswith("rearrange")]
    first = torch.zeros(1, 8, 1, 1)
    first[0, 0] = 1.0
    between = made.operation(shuffles[0])(convolutions[0](first))
    assert (convolutions[1](between) > 0).all()
    assert (convolutions[1](convolutions[0](first))[0, 4:] == 0).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 5, 1), (1, 1, 1)])
def test_images_of_any_shape(shape: tuple[int, int, int]) -> None:
    space = ProgressiveSpace(3, channels=(4, 6, 8), blocks=3, input_shape=shape)
    for point in space.sample(6, np.random.default_rng(3)):
        workload = space.workload(point)
        made = to_module(workload).eval()
        assert sum(parameter.numel() for parameter in made.parameters()) == workload.parameters
        values = made.run([torch.zeros(workload.input_shapes[0])])
        assert all(tuple(values[node.name].shape) == node.shape for node in workload)


def test_settings_reach_the_space_and_mistakes_are_one_line() -> None:
    digits = load("digits")
    section = {"space": "progressive", "stage": 2, "channels": [8], "blocks": 2}
    space = REGISTERED.parse(section, "run").make(digits)
    assert space.stage == 2
    assert space.operations == (*STAGES[0], *STAGES[1])
    for point in space.sample(3, np.random.default_rng(0)):
        check_fit(space.workload(point), digits)
    with pytest.raises(SpecError, match="even"):
        ProgressiveSpace(1, channels=(4, 5))
    with pytest.raises(SpecError, match="stage: 0 is not 1 to 3"):
        ProgressiveSpace(0)
    with pytest.raises(SpecError, match="stage: 4 is not <= 3"):
        REGISTERED.parse({"space": "progressive", "stage": 4}, "run")
