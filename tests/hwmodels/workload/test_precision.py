"""Bits by layer: which layers a rule names, which rule wins, what the bytes then are."""

from __future__ import annotations

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.memory import weight_bytes
from hwmodels.workload.ops import Pool2d, Precision
from hwmodels.workload.precision import PrecisionPolicy, with_precision
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network


def tiny() -> Workload:
    net = Builder("tiny", (1, 3, 8, 8))
    x = net.conv_norm_act(net.input, 4, 3)
    x = net.conv_norm_act(x, 4, 3, groups=4)
    x = net.conv_norm_act(x, 8, 1)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


def bits(workload: Workload) -> dict[str, int]:
    return {node.name: row.weight_bits for node, row in workload.rows()}


def test_first_last_and_depthwise_name_layers_with_macs() -> None:
    found = bits(with_precision(tiny(), PrecisionPolicy.parse(4, ["first=8", "last=16", "depthwise=2"])))
    assert found["conv2d1"] == 8
    assert found["linear1"] == 16
    assert found["conv2d2"] == 2
    assert {found[name] for name in found if name not in ("conv2d1", "linear1", "conv2d2")} == {4}


def test_the_last_rule_that_fits_decides() -> None:
    found = bits(with_precision(tiny(), PrecisionPolicy.parse(4, ["conv=8", "conv2d3=3"])))
    assert (found["conv2d1"], found["conv2d2"], found["conv2d3"]) == (8, 8, 3)
    found = bits(with_precision(tiny(), PrecisionPolicy.parse(4, ["conv2d3=3", "conv=8"])))
    assert found["conv2d3"] == 8


def test_weight_activation_and_accumulator_bits_are_apart() -> None:
    workload = with_precision(tiny(), PrecisionPolicy.parse(8, ["conv2d*=2:6:24"]))
    assert workload["conv2d2"].precision == Precision(2, 6, 24)
    assert workload["linear1"].precision == Precision(8, 8, 32)
    assert PrecisionPolicy.parse(8, ["linear=4"]).rules == (
        ("linear", Precision(4, 4, 32)),
    )  # the weights' if not said


def test_bytes_follow_the_bits_of_each_layer() -> None:
    """2-bit weights of the first convolution, 8-bit elsewhere: 108 weights less at six bits each."""
    eight, mixed = tiny(), with_precision(tiny(), PrecisionPolicy.parse(8, ["first=2"]))
    saved = weight_bytes(layer_table([eight])) - weight_bytes(layer_table([mixed]))
    assert saved.tolist() == [3 * 4 * 9 * 6 / 8]


def test_a_mixed_policy_keeps_the_network_and_multiplies_unique_rows_only() -> None:
    uniform = layer_table([network("resnet18")])
    mixed = layer_table([with_precision(network("resnet18"), PrecisionPolicy.parse(8, ["conv2d7=4"]))])
    assert mixed.totals("macs").tolist() == uniform.totals("macs").tolist()
    assert mixed.networks.sequence.size == uniform.networks.sequence.size
    assert mixed.n_layers == uniform.n_layers + 1


def test_a_fused_layer_keeps_its_own_bits() -> None:
    fused = rewrite(with_precision(tiny(), PrecisionPolicy.parse(8, ["first=4"])), COMPILED)
    assert bits(fused)["conv2d1"] == 4


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("conv", "layers=weight"),
        ("conv=", "layers=weight"),
        ("=8", "layers=weight"),
        ("conv=0", "1 to 32 bits"),
        ("conv=33", "1 to 32 bits"),
        ("conv=8:0", "1 to 32 bits"),
        ("conv=8:8:65", "1 to 32 bits"),
        ("conv=4:8:24:1", "layers=weight"),
    ],
)
def test_a_rule_that_is_none_is_refused(rule: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        PrecisionPolicy.parse(8, [rule])
    assert "\n" not in str(caught.value)


def test_a_rule_that_fits_no_layer_is_refused() -> None:
    with pytest.raises(SpecError, match="tiny: bits: recurrent is not"):
        with_precision(tiny(), PrecisionPolicy.parse(8, ["recurrent=4"]))


def test_without_a_default_layers_keep_their_own_bits() -> None:
    own = with_precision(tiny(), Precision(3, 5))
    found = bits(with_precision(own, PrecisionPolicy.parse(None, ["last=8"])))
    assert (found["conv2d1"], found["linear1"]) == (3, 8)
