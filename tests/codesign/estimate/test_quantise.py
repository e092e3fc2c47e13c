"""The quantised network equals an int64 reference; widths are the smaller of network's and hardware's."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from codesign.estimate.fold import fold_norms
from codesign.estimate.quantise import QuantisedNetwork, effective_bits, effective_formats, quantise
from codesign.network import Network, to_module
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.formats import precision_named
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import ConvTranspose2d, Embedding, MatMul, Permute, Precision, Recurrent, Select
from hwmodels.workload.precision import with_precision

WIDE = Precision(32, 32, 32)


def convolutional() -> Workload:
    net = Builder("convolutional", (1, 3, 8, 8), precision=WIDE)
    x = net.conv_norm_act(net.input, 8, 3)
    x = net.residual(x, net.conv_norm_act(x, 8, 3, groups=8, activation="hardswish"))
    x = net.conv_norm_act(net.squeeze_excite(x, 4), 8, 3, stride=2, groups=2)
    return net.finish(net.linear(net.flatten(x), 10))


def attentive() -> Workload:
    net = Builder("attentive", (1, 6, 8), precision=WIDE)
    x = net.residual(net.input, net.attention(net.input, 2))
    return net.finish(net.linear(net.add(Select(1), x), 3))


def recurrent(cell: str, *, backwards: bool = False) -> Workload:
    """The state behind the last step that is read; backwards, that is the first one."""
    net = Builder(cell, (1, 5, 6), precision=WIDE)
    x = net.add(Recurrent(cell, 7, backwards=backwards), net.input)  # type: ignore[arg-type]
    return net.finish(net.linear(net.add(Select(1, 0 if backwards else -1), x), 3))


NETWORKS = {
    "convolutional": convolutional,
    "attentive": attentive,
    "lstm": lambda: recurrent("lstm"),
    "gru": lambda: recurrent("gru"),
    "elman": lambda: recurrent("rnn"),
    "backwards": lambda: recurrent("lstm", backwards=True),
}


def trained(workload: Workload) -> tuple[Network, torch.Tensor]:
    """Weights with plausible statistics, and images that match them."""
    torch.manual_seed(1)
    images = torch.randn(64, *workload.input_shapes[0][1:])
    network = to_module(workload).train()
    for _ in range(20):
        network(images)
    return network.eval(), images


@pytest.mark.parametrize("name", NETWORKS)
def test_error_shrinks_with_bits_down_to_float(name: str) -> None:
    network, images = trained(NETWORKS[name]())
    with torch.no_grad():
        exact = network(images)
    errors = []
    for bits in (4, 8, 12, 16):
        scores = quantise(network, Numerics(bits, bits), images)(images)
        errors.append(float((scores - exact).square().mean() / exact.square().mean()))
    # 6.02 dB a bit: 4 bits are a factor 256; a quarter of it leaves room for the spread of one network.
    assert all(fewer > 64 * more for fewer, more in pairwise(errors)), errors
    assert errors[-1] < 1e-8


@pytest.mark.parametrize("name", ["convolutional"])
def test_integer_layers_equal_an_int64_reference(name: str) -> None:
    network, images = trained(NETWORKS[name]())
    quantised = quantise(network, Numerics(8, 8), images[:32])
    seen: list[tuple[str, torch.Tensor]] = []
    _run_watched(quantised, images, seen)
    assert [name for name, _ in seen] == [matrix.name for matrix in quantised.matrices]
    for layer_name, codes in seen:
        layer = quantised.layers[layer_name]
        values = layer.matrix.values.numpy().astype(np.int64)
        integers = (codes.numpy().astype(np.int64) - layer.quantiser.zero) @ values
        expected = (integers * layer.scale.numpy() + layer.bias.numpy()).astype(np.float32)
        exact = quantised.layers[layer_name].apply(codes, lambda q, v=values: torch.from_numpy(q.numpy() @ v).double())
        np.testing.assert_array_equal(exact.numpy(), expected)


def _run_watched(quantised: QuantisedNetwork, images: torch.Tensor, seen: list[tuple[str, torch.Tensor]]) -> None:
    """Run with int64 products and check that the network's scores stay the same to the bit."""

    def watch(name: str) -> object:
        values = quantised.layers[name].matrix.values.numpy().astype(np.int64)

        def product(codes: torch.Tensor) -> torch.Tensor:
            seen.append((name, codes))
            return torch.from_numpy(codes.numpy().astype(np.int64) @ values).double()

        return product

    products = {matrix.name: watch(matrix.name) for matrix in quantised.matrices}
    assert torch.equal(quantised(images, products=products), quantised(images))  # type: ignore[arg-type]


def test_first_layer_is_affine_and_the_zero_point_exact() -> None:
    """Signed images use a zero point; padding and correction make the layer equal fake quantisation."""
    network, images = trained(convolutional())
    quantised = quantise(network, Numerics(8, 8), images)
    layer = quantised.layers["conv2d1"]
    assert layer.quantiser.zero > 0
    assert quantised.layers["conv2d2"].quantiser.zero == 0, "after a ReLU"
    codes = layer.matrix.values[0].T.reshape(8, 3, 3, 3).permute(0, 3, 1, 2)
    weights = codes * (layer.scale / layer.quantiser.scale).reshape(8, 1, 1, 1)
    rounded = layer.quantiser.reals(layer.quantiser.integers(images)).double()
    expected = F.conv2d(rounded, weights, layer.bias.flatten(), padding=1)
    kept = quantised.network.run(
        [images], replace={n: bind({}) for n, bind in quantised.replace.items()}, keep=("conv2d1",)
    )
    torch.testing.assert_close(kept["conv2d1"].double(), expected, rtol=1e-6, atol=1e-6)


def test_weights_are_those_of_the_folded_network() -> None:
    network, images = trained(convolutional())
    layer = quantise(network, Numerics(8, 8), images).layers["conv2d1"]
    folded = fold_norms(network).operation("conv2d1").weight  # type: ignore[attr-defined]
    codes = layer.matrix.values[0].T.reshape(8, 3, 3, 3).permute(0, 3, 1, 2)
    approximate = codes * (layer.scale / layer.quantiser.scale).reshape(8, 1, 1, 1)
    assert float((approximate - folded).abs().max()) < float(folded.abs().max()) / 60


def test_calibration_alone_sets_the_ranges() -> None:
    network, images = trained(convolutional())
    quantised = quantise(network, Numerics(8, 8), images[:16])
    alone, beside = quantised(images[16:17]), quantised(torch.cat([images[16:17], 100 * images[17:20]]))
    assert torch.equal(alone[0], beside[0])


def test_width_is_the_smaller_of_network_and_hardware() -> None:
    net = Builder("mixed", (1, 4), precision=Precision(4, 8, 32))
    workload = net.finish(net.linear(net.input, 3))
    node = workload["linear1"]
    assert effective_bits(node, FLOAT) == (4, 8)
    assert effective_bits(node, Numerics(8, 2)) == (4, 2)
    network, images = trained(workload)
    matrix = quantise(network, Numerics(8, 6), images).matrices[0]
    assert (matrix.weight_bits, matrix.input_bits) == (4, 6)
    assert matrix.values.abs().max() <= 7


def test_one_wide_operand_rounds_the_other_only() -> None:
    network, images = trained(convolutional())
    with torch.no_grad():
        exact = network(images)
    errors = [
        float((quantise(network, Numerics(*bits), images)(images) - exact).square().mean())
        for bits in ((4, 32), (32, 4), (4, 4), (32, 32))
    ]
    assert 0 < errors[0] < errors[2]
    assert 0 < errors[1] < errors[2]
    assert errors[3] < 1e-10


def test_embedding_tables_are_rounded_row_by_row() -> None:
    net = Builder("embedding", (1, 5), precision=Precision(2, 32, 32))
    workload = net.finish(net.add(Embedding(11, 6), net.input))
    network = to_module(workload)
    tokens = torch.arange(11).reshape(1, 11)
    rows = quantise(network, FLOAT, tokens)(tokens)[0]
    assert all(len(row.abs().unique()) <= 2 for row in rows), "two bits hold -1, 0 and 1"


def test_a_single_weight_bit_is_refused() -> None:
    network, images = trained(convolutional())
    with pytest.raises(SpecError, match=r"convolutional: .* at least 2 weight bits"):
        quantise(network, Numerics(1, 8), images)


def in_formats(workload: Workload, name: str) -> Workload:
    return with_precision(workload, precision_named(name, where="test"))


def test_float_formats_of_the_hardware_round_both_operands_alike() -> None:
    """A linear layer by hand: weights and inputs cast by torch, product in float32."""
    net = Builder("linear", (1, 24), precision=Precision(32, 32, 32))
    network, images = trained(net.finish(net.linear(net.input, 5)))
    layer = network.operation("linear1")
    for exponent_bits, cast in ((5, torch.float16), (8, torch.bfloat16)):
        numerics = Numerics(16, 16, weight_exponent_bits=exponent_bits, activation_exponent_bits=exponent_bits)
        with torch.no_grad():
            expected = torch.nn.functional.linear(
                images.to(cast).float(), layer.weight.to(cast).float(), layer.bias  # type: ignore[attr-defined]
            )  # fmt: skip
        assert torch.equal(quantise(network, numerics, images)(images), expected)


def test_formats_of_the_network_and_of_the_hardware_meet() -> None:
    half = Numerics(16, 16, weight_exponent_bits=5, activation_exponent_bits=5)
    node = in_formats(convolutional(), "bf16")["conv2d1"]
    assert [given.name for given in effective_formats(node, FLOAT)] == ["bf16", "bf16"]
    assert [given[2:] for given in effective_formats(node, half)] == [(5, 7), (5, 7)]
    assert [given.name for given in effective_formats(node, Numerics(8, 6))] == ["int8", "int6"]
    plain = in_formats(convolutional(), "fp32")["conv2d1"]
    assert [given.name for given in effective_formats(plain, half)] == ["fp16", "fp16"]
    assert [given.name for given in effective_formats(plain, FLOAT)] == ["fp32", "fp32"]


def test_narrower_floats_err_more_and_weights_alone_less() -> None:
    network, images = trained(convolutional())
    with torch.no_grad():
        exact = network(images)

    def error(name: str) -> float:
        same = to_module(in_formats(network.workload, name))
        same.load_state_dict(network.state_dict())
        return float((quantise(same.eval(), FLOAT, images)(images) - exact).square().mean())

    errors = [error(name) for name in ("tf32", "bf16", "fp8", "fp4")]
    assert 1e-12 < errors[0] < errors[1] < errors[2] < errors[3]
    assert error("fp32") < 1e-10
    assert 1e-12 < error("w4a16") < error("w4a4")
    assert 1e-12 < error("fp8:fp32") < errors[2]


def test_products_of_computed_operands_round_both_inputs() -> None:
    net = Builder("product", (2, 3, 4), precision=precision_named("fp16", where="test"))
    network = to_module(net.finish(net.add(MatMul(), net.input, net.add(Permute((0, 2, 1)), net.input)))).eval()
    values = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    rounded = values.half().float()
    assert torch.equal(quantise(network, FLOAT, values)(values), rounded @ rounded.transpose(1, 2))


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_is_its_integer_products_spread(groups: int) -> None:
    """Its codes times its integer kernel, put where torch's own layer puts them."""
    net = Builder("spread", (1, 4, 5, 3), precision=WIDE)
    up = ConvTranspose2d(6, (3, 2), (2, 1), (1, 0), (1, 0), (1, 1), groups)
    network = to_module(net.finish(net.add(up, net.input))).eval()
    torch.manual_seed(2)
    images = torch.randn(8, 4, 5, 3)
    found = quantise(network, Numerics(8, 8), images)
    (layer,) = found.layers.values()
    codes = layer.quantiser.integers(images).double() - layer.quantiser.zero
    spread = (layer.matrix.values * layer.scale).transpose(1, 2)  # (G, N KH KW / G, C / G)
    kernel = spread.reshape(groups, 6 // groups, 3, 2, 4 // groups).permute(0, 4, 1, 2, 3).reshape(4, 6 // groups, 3, 2)
    module = network.layers["1"]
    expected = torch.nn.functional.conv_transpose2d(
        codes, kernel, module.bias.double(), (2, 1), (1, 0), (1, 0), groups
    )  # fmt: skip
    assert torch.allclose(found(images).double(), expected, atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(found(images), network(images), atol=0.05)
