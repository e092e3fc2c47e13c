"""One description, two readings: the torch module counts what the workload counts."""

from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from codesign.network import to_module
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Node, Workload
from hwmodels.workload.ops import (
    Activation,
    Concat,
    Constant,
    Conv2d,
    Elementwise,
    Embedding,
    Norm,
    PixelShuffle,
    Pool2d,
    Precision,
    Rearrange,
    Recurrent,
    Select,
    Split,
    Upsample,
)


def residual_network() -> Workload:
    net = Builder("residual", (2, 3, 17, 17))
    x = net.conv_norm_act(net.input, 8, 3, stride=2)
    x = net.add(Pool2d("avg", 3, 2, padding=1), x)
    y = net.conv_norm_act(x, 16, 3)
    y = net.conv_norm_act(y, 16, 3, groups=16)
    y = net.squeeze_excite(y, 4)
    y = net.conv_norm_act(y, 8, 1, activation=None)
    x = net.add(Activation("hardswish"), net.residual(x, y))
    x = net.add(Conv2d((12), (3, 1), (1, 2), (2, 0), (2, 1), 4), x)
    x = net.add(Pool2d("max", 3, 2, ceil_mode=True), x)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


def resampling_network() -> Workload:
    net = Builder("resampling", (1, 8, 5, 6))
    halves = [net.add(Split(1, start, 4), net.input) for start in (0, 4)]
    x = net.add(Concat(), net.add(Upsample(2, "bilinear"), halves[0]), net.add(Upsample(2), halves[1]))
    x = net.add(PixelShuffle(2), net.add(Norm("group"), net.add(Norm("instance"), x)))
    x = net.add(Elementwise("mul"), x, net.constant((1, 2, 1, 1)))
    return net.finish(net.add(Norm("layer", affine=False), net.add(Norm("layer"), x)))


def recurrent_network(cell: str) -> Workload:
    net = Builder(f"small-{cell}", (3, 7))
    x = net.add(Embedding(20, 6), net.input)
    x = net.add(Norm("batch"), net.add(Recurrent(cell, 5), x))  # type: ignore[arg-type]
    return net.finish(net.linear(net.add(Select(1, -1), x), 4))


def attention_network() -> Workload:
    net = Builder("attention", (1, 9, 16))
    x = net.add(Concat(1), net.constant((1, 1, 16)), net.input)
    x = net.residual(x, net.attention(net.add(Norm("layer"), x), 4))
    return net.finish(net.linear(net.add(Select(1), x), 10))


def experts_network() -> Workload:
    net = Builder("experts", (2, 8, 16))
    x = net.residual(net.input, net.experts(net.input, 4, 12, chosen=2, function="gelu"))
    return net.finish(net.linear(net.add(Select(1), x), 10))


NETWORKS: dict[str, Callable[[], Workload]] = {
    "residual": residual_network,
    "resampling": resampling_network,
    "lstm": lambda: recurrent_network("lstm"),
    "gru": lambda: recurrent_network("gru"),
    "attention": attention_network,
    "experts": experts_network,
}


def inputs_of(workload: Workload, batch: int | None = None) -> torch.Tensor:
    shape = workload.input_shapes[0]
    shape = (batch or shape[0], *shape[1:])
    return torch.randint(20, shape) if len(shape) == 2 else torch.randn(shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_shapes_equal_the_workload(name: str) -> None:
    workload = NETWORKS[name]()
    module = to_module(workload).eval()
    assert sum(p.numel() for p in module.parameters()) == workload.parameters
    values = module.run([inputs_of(workload)])
    assert {name: tuple(value.shape) for name, value in values.items()} == {n.name: n.shape for n in workload}


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_follows_the_images_and_not_the_workload(name: str) -> None:
    workload = NETWORKS[name]()
    module = to_module(workload).eval()
    images = inputs_of(workload, 4)
    whole = module(images)
    assert whole.shape == (4, *workload[workload.outputs[0]].shape[1:])
    torch.testing.assert_close(module(images[:1]), whole[:1])


@pytest.mark.parametrize("name", ["residual", "resampling", "attention"])
def test_macs_equal_half_the_flops_torch_counts(name: str) -> None:
    workload = NETWORKS[name]()
    module = to_module(workload).eval()
    with FlopCounterMode(display=False) as counter:
        module(inputs_of(workload))
    assert counter.get_total_flops() // 2 == workload.macs


def test_average_pool_ignores_its_padding() -> None:
    net = Builder("pool", (1, 1, 4, 4))
    pooled = to_module(net.finish(net.add(Pool2d("avg", 3, 1, padding=1), net.input)))
    torch.testing.assert_close(pooled(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_state_does_not_depend_on_names() -> None:
    def build(name: str) -> dict[str, torch.Tensor]:
        net = Builder(name, (1, 4))
        return to_module(net.finish(net.add(Constant((1, 4)), name=name))).state_dict()

    assert build("a.b").keys() == build("c").keys()


def test_unknown_operator_is_named() -> None:
    class Fancy:
        is_view = False

        def infer(self, *inputs: tuple[int, ...]) -> tuple[int, ...]:
            return (1, 2)

    workload = Workload.of("net", [Node("odd", Fancy(), (), (1, 2), Precision())], ["odd"])  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="net: odd: Fancy is not one of"):
        to_module(workload)


def test_a_channel_shuffle_interleaves_two_groups_and_no_other_copy_is_guessed() -> None:
    net = Builder("shuffled", (1, 4, 1, 2))
    shuffled = to_module(net.finish(net.add(Rearrange("channel shuffle", (1, 4, 1, 2)), net.input)))
    images = torch.arange(8.0).reshape(1, 4, 1, 2)
    assert torch.equal(shuffled(images)[0, :, 0, 0], torch.tensor([0.0, 4.0, 2.0, 6.0]))
    net = Builder("rolled", (1, 4, 1, 2))
    with pytest.raises(SpecError, match="do not say where elements go"):
        to_module(net.finish(net.add(Rearrange("roll", (1, 4, 1, 2)), net.input)))
