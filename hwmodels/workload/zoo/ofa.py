"""Once-for-All networks [Cai et al., ICLR 2020]: subnets of elastic kernel, expansion, depth, width and resolution.

Two supernets: one shaped as MobileNetV3-Large, whose subnets `ofa_network` writes from their configuration, and one
shaped as ProxylessNAS at width 1.3. The published specialised networks are subnets of either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, ActivationName, Conv2d, Pool2d
from hwmodels.workload.zoo.mobilenet import divisible, inverted_residual
from hwmodels.workload.zoo.proxyless import Block, Widths, blocks_of, proxyless
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES", "ofa_network"]

# (channels at width one, squeeze-and-excitation, activation); every stage begins with a stride, of two but in the
# fourth [once-for-all's OFAMobileNetV3]
_STAGES: tuple[tuple[int, bool, ActivationName], ...] = (
    (24, False, "relu"),
    (40, True, "relu"),
    (80, False, "hardswish"),
    (112, True, "hardswish"),
    (160, True, "hardswish"),
)
_STRIDES = (2, 2, 2, 1, 2)
_SLOTS = 4  # blocks that a stage can have

# once-for-all's OFAProxylessNASNets at width 1.3
_PROXYLESS_WIDTHS = Widths(40, 24, (32, 56, 104, 128, 248, 416), 1664)


def ofa_network(
    net: Builder, *, kernels: Sequence[int], expansions: Sequence[int], depths: Sequence[int], width: float = 1.0
) -> str:
    """Write the subnet of a published configuration of the MobileNetV3-shaped supernet.

    Parameters
    ----------
    kernels, expansions : of the 20 block slots, four a stage ("ks" and "e" in published configurations).
    depths : blocks in use in each of the five stages ("d"): a stage runs the first of its slots.
    width : 1.0 or 1.2 in published supernets; the resolution ("r") is that of the builder's input.
    """
    slots = _SLOTS * len(_STAGES)
    for key, values, count in (
        ("kernels", kernels, slots),
        ("expansions", expansions, slots),
        ("depths", depths, len(_STAGES)),
    ):
        if len(values) != count:
            raise SpecError(f"{net.name}: {key}", f"{len(values)} values", f"{count} values")
    blocks = [Block(kernel, expansion) for kernel, expansion in zip(kernels, expansions, strict=True)]
    stages = []
    for index, depth in enumerate(depths):
        if not 1 <= depth <= _SLOTS:
            raise SpecError(f"{net.name}: depths", depth, f"1 to {_SLOTS}")
        stages.append(blocks[_SLOTS * index : _SLOTS * index + depth])
    return _mobilenet_v3(net, stages, width)


def _mobilenet_v3(net: Builder, stages: Sequence[Sequence[Block]], width: float) -> str:
    x = net.conv_norm_act(net.input, divisible(16 * width), 3, stride=2, activation="hardswish")
    x = inverted_residual(net, x, divisible(16 * width), hidden=net.shape(x)[1], activation="relu")
    for blocks, (channels, squeeze, activation), stride in zip(stages, _STAGES, _STRIDES, strict=True):
        for index, block in enumerate(blocks):
            hidden = divisible(block.expansion * net.shape(x)[1])
            x = inverted_residual(
                net, x, divisible(channels * width), hidden=hidden, kernel=block.kernel,
                stride=stride if index == 0 else 1, activation=activation,
                squeeze=divisible(hidden / 4) if squeeze else 0, gate="hardsigmoid",
            )  # fmt: skip
    x = net.conv_norm_act(x, divisible(960 * width), 1, activation="hardswish")
    x = net.add(Conv2d.square(divisible(1280 * width), 1), net.add(Pool2d("avg"), x))
    return net.linear(net.flatten(net.add(Activation("hardswish"), x)), 1000)


def _subnet(name: str, resolution: int, width: float, text: str) -> Entry:
    return _entry(name, resolution, partial(_mobilenet_v3, stages=blocks_of(text), width=width))


def _proxyless_subnet(name: str, resolution: int, text: str) -> Entry:
    return _entry(name, resolution, partial(proxyless, stages=blocks_of(text), widths=_PROXYLESS_WIDTHS))


def _entry(published: str, resolution: int, write: Callable[[Builder], str]) -> Entry:
    """Named by device and limit; the published name also tells accuracy and epochs."""
    limit = published.partition("_top1")[0].replace("_lat", "").replace("-", "_").lower()
    shape = (3, resolution, resolution)
    return Entry(f"ofa_{limit}", write, shape, "Cai et al. 2020; once-for-all's specialised networks", (published,))


# (published name, resolution, width, blocks as in `blocks_of`) [once-for-all's specialised networks]
_SPECIALISED = (
    ("flops-389M_top1-79.1_finetune-75", 224, 1.2, "3333 535633 545433 56543434 36367633"),
    ("flops-482M_top1-79.6_finetune-75", 224, 1.2, "533333 54345433 54563333 56763654 76363633"),
    ("flops-595M_top1-80.0_finetune-75", 236, 1.2, "335433 54543653 76563354 36567634 36365633"),
    ("note10_lat-11ms_top1-73.6_finetune-25", 176, 1.0, "3333 5434 5434 343333 345454"),
    ("note10_lat-16ms_top1-75.5_finetune-25", 192, 1.0, "3333 53543433 545433 545433 36745433"),
    ("note10_lat-22ms_top1-76.6_finetune-25", 224, 1.0, "3333 533434 745454 543634 36363633"),
    ("note10_lat-30ms_top1-78.4_finetune-75", 224, 1.2, "3333 543334 545433 363434 36363433"),
    ("note10_lat-41ms_top1-79.3_finetune-75", 220, 1.2, "3334 743436 76363334 36563634 36363633"),
    ("note10_lat-50ms_top1-79.7_finetune-75", 220, 1.2, "533636 54363653 76763454 76563636 363636"),
    ("note10_lat-64ms_top1-80.2_finetune-75", 260, 1.2, "333633 54363353 56563474 56363634 36365633"),
    ("note10_lat-8ms_top1-71.4_finetune-25", 160, 1.0, "3333 3334 343333 3334 3454"),
    ("note8_lat-22ms_top1-70.4_finetune-25", 140, 1.0, "3333 5353 7433 5334 3676"),
    ("note8_lat-31ms_top1-72.8_finetune-25", 152, 1.0, "5333 5453 343454 345374 36335353"),
    ("note8_lat-49ms_top1-74.9_finetune-25", 176, 1.0, "5334 543474 747334 343634 36563654"),
    ("note8_lat-65ms_top1-76.1_finetune-25", 204, 1.0, "7333 345433 763634 563634 56545433"),
    ("pixel1_lat-132ms_top1-79.8_finetune-75", 228, 1.2, "5336 54563653 76563654 56565654 36365633"),
    ("pixel1_lat-143ms_top1-80.1_finetune-75", 240, 1.2, "533633 56563653 76563634 56365634 36365633"),
    ("pixel1_lat-20ms_top1-71.4_finetune-25", 152, 1.0, "3333 5353 7433 5334 3676"),
    ("pixel1_lat-28ms_top1-73.3_finetune-25", 160, 1.0, "3334 733634 7336 3654 36343336"),
    ("pixel1_lat-40ms_top1-74.9_finetune-25", 172, 1.0, "5334 543474 747334 343634 36563654"),
    ("pixel1_lat-58ms_top1-76.9_finetune-75", 220, 1.0, "3333 745333 565453 347453 56763634"),
    ("pixel1_lat-79ms_top1-78.7_finetune-75", 224, 1.2, "3333 5334 745433 56343433 36363633"),
)
_SPECIALISED_PROXYLESS = (
    ("1080ti_gpu64-12ms_top1-72.6_finetune-25", 128, "3333 365454 565373 34733634 76547353 36"),
    ("1080ti_gpu64-15ms_top1-73.8_finetune-25", 144, "3434 363634 3353 33543336 36767436 53"),
    ("1080ti_gpu64-22ms_top1-75.3_finetune-25", 188, "3333 5336 345436 343674 365454 34"),
    ("1080ti_gpu64-27ms_top1-76.4_finetune-25", 188, "3333 36563434 563354 563454 36567336 76"),
    ("cpu_lat-10ms_top1-71.1_finetune-25", 144, "5433 3333 733373 5354 5334 34"),
    ("cpu_lat-11ms_top1-72.0_finetune-25", 144, "5453 3373 543473 5474 3634 54"),
    ("cpu_lat-15ms_top1-74.6_finetune-25", 188, "3333 3436 7634 543636 5633 76"),
    ("cpu_lat-17ms_top1-75.7_finetune-25", 208, "3334 5334 367333 535436 365433 34"),
    ("v100_gpu64-11ms_top1-76.1_finetune-25", 192, "3333 5653 733374 74543374 36565436 34"),
    ("v100_gpu64-5ms_top1-71.6_finetune-25", 128, "3333 5336 345436 343674 365454 34"),
    ("v100_gpu64-6ms_top1-73.0_finetune-25", 144, "3334 5334 367333 535436 365433 34"),
    ("v100_gpu64-9ms_top1-75.3_finetune-25", 188, "3333 5336 345436 343674 365454 34"),
)

ENTRIES = (
    *(_subnet(*line) for line in _SPECIALISED),
    *(_proxyless_subnet(*line) for line in _SPECIALISED_PROXYLESS),
)
