"""Post-training quantisation of a trained network: integer products between float tensors, or narrower floats.

Every integer product (convolution, transposed or not, linear, matrix product, recurrent step) reads its input through
a per-tensor quantiser and multiplies integers exactly; bias, normalisation, activation, pooling and the like run in
float32, as on a digital vector unit. Weights are symmetric with one scale an output of the product; ranges come from a
fixed part of the training split, never from what is evaluated. [Krishnamoorthi, arXiv:1806.08342; Nagel et al.,
arXiv:2106.08295]

The format of a layer is what the hardware makes of the one that the network asks for. Widths alone are integers, and
32 bits are float32 (int32 is simulated as that). Where one operand is a float, each is rounded to its own format (see
`codesign.estimate.floats`) and the product is computed in float32. The hidden state of a recurrent layer is rounded at
every step in integer products alone. Embedding tables are rounded row by row. Not modelled: bias rounding, accumulator
overflow, learned quantisers, quantisation-aware training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codesign.estimate.divergence import require_finite
from codesign.estimate.floats import activation_scale, rounded, rounded_weights
from codesign.estimate.fold import fold_norms
from codesign.estimate.integer import (
    IntegerLayer,
    IntegerMatrix,
    Product,
    Quantiser,
    activation_quantiser,
    exact_product,
    quantise_weights,
    unfold,
)
from codesign.network.experts import rows_an_expert
from codesign.network.module import Network, Operation
from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics
from hwmodels.workload import ops
from hwmodels.workload.formats import FLOATS, Format, format_of, held
from hwmodels.workload.graph import Node
from hwmodels.workload.ops import Precision

__all__ = ["FLOAT_BITS", "QuantisedNetwork", "effective_bits", "effective_formats", "is_float32", "quantise"]

FLOAT_BITS = 32
"""From this width on a tensor stays in floating point."""

_STATIONARY = (ops.Conv2d, ops.ConvTranspose2d, ops.Linear, ops.ExpertLinear, ops.Recurrent)
_EXACT: Mapping[str, Product] = MappingProxyType({})


def effective_bits(node: Node, numerics: Numerics) -> tuple[int, int]:
    """Weight and activation bits of a layer: the network's, capped by the hardware's."""
    return (
        min(node.precision.weight_bits, numerics.weight_bits),
        min(node.precision.activation_bits, numerics.activation_bits),
    )


def effective_formats(node: Node, numerics: Numerics) -> tuple[Format, Format]:
    """Weight and activation formats of a layer: what the hardware makes of the network's."""
    return _held_formats(node.precision, numerics)


@lru_cache(maxsize=4096)
def _held_formats(asked: Precision, numerics: Numerics) -> tuple[Format, Format]:
    """The layers of a network share a few precisions; a search asks for each of them once a numerics."""
    return (
        held(format_of(asked.weight_bits, asked.weight_format), numerics.weight_format),
        held(format_of(asked.activation_bits, asked.activation_format), numerics.activation_format),
    )


def is_float32(given: Format) -> bool:
    """Whether a tensor in this format is left as trained: float32, wider floats, and integers as wide."""
    return given.mantissa_bits >= FLOATS["fp32"].mantissa_bits if given.is_float else given.bits >= FLOAT_BITS


Replace = Callable[[Mapping[str, Product]], Operation]


@dataclass(frozen=True)
class QuantisedNetwork:
    """A folded network with integer products.

    network : the folded float network.
    layers : the integer affine maps by matrix name; a recurrent layer has two, ".x" and ".h".
    replace : by node name, what makes its operation from the products of the matrices.
    """

    network: Network
    layers: Mapping[str, IntegerLayer]
    replace: Mapping[str, Replace]

    @property
    def matrices(self) -> tuple[IntegerMatrix, ...]:
        """The stationary integer matrices in topological order."""
        return tuple(layer.matrix for layer in self.layers.values())

    def __call__(self, images: Tensor, *, products: Mapping[str, Product] = _EXACT) -> Tensor:
        """First output for a batch of images.

        products : what multiplies by the matrix of that name, exact where none is given.
        """
        replace = {name: bind(products) for name, bind in self.replace.items()}
        output = self.network.workload.outputs[0]
        with torch.no_grad():
            return self.network.run([images], replace=replace, keep=(output,))[output]


def quantise(network: Network, numerics: Numerics, calibration: Tensor) -> QuantisedNetwork:
    """Quantise a trained network after training.

    Parameters
    ----------
    network : trained; left untouched.
    numerics : the hardware's widest formats.
    calibration : (B, ...) training inputs that set the ranges of the activations.

    Raises
    ------
    SpecError : a layer with fewer than 2 weight bits or 1 activation bit.
    Diverged : calibration values that are not finite.
    """
    folded = fold_norms(network)
    with torch.no_grad():
        values = folded.run([calibration])
        layers: dict[str, IntegerLayer] = {}
        replace: dict[str, Replace] = {}
        for node in folded.nodes:
            weight_bits, input_bits = effective_bits(node, numerics)
            if weight_bits < 2 or input_bits < 1:
                where = f"{network.workload.name}: {node.name}"
                raise SpecError(where, (weight_bits, input_bits), "at least 2 weight bits and 1 activation bit")
            inputs = [values[source] for source in node.inputs]
            if isinstance(node.operator, (*_STATIONARY, ops.MatMul)):
                require_finite([*inputs, values[node.name]])
            formats = effective_formats(node, numerics)
            is_integer = [not given.is_float and not is_float32(given) for given in formats]
            if isinstance(node.operator, _STATIONARY) and all(is_integer):
                maps, run = _stationary(folded, node, (weight_bits, input_bits), values)
                layers.update({layer.matrix.name: layer for layer in maps})
                replace[node.name] = _bound(maps, run)
            elif isinstance(node.operator, ops.MatMul) and is_integer[1]:
                quantisers = [activation_quantiser(value, input_bits) for value in inputs]
                replace[node.name] = _constant(partial(_dynamic_product, quantisers[0], quantisers[1]))
            elif isinstance(node.operator, (*_STATIONARY, ops.Embedding)):
                _round_weights(folded.operation(node.name), formats[0])
                if isinstance(node.operator, _STATIONARY) and not is_float32(formats[1]):
                    replace[node.name] = _constant(_reading(inputs[:1], formats[1], folded.operation(node.name)))
            elif isinstance(node.operator, ops.MatMul) and not is_float32(formats[1]):
                replace[node.name] = _constant(_reading(inputs, formats[1], folded.operation(node.name)))
    return QuantisedNetwork(folded, MappingProxyType(layers), MappingProxyType(replace))


def _constant(operation: Operation) -> Replace:
    """An operation that no hardware product can change."""
    return lambda products: operation


def _stationary(
    folded: Network, node: Node, bits: tuple[int, int], values: Mapping[str, Tensor]
) -> tuple[tuple[IntegerLayer, ...], Operation]:
    """Quantise one layer with stored weights: its maps, and its operation of (product a map..., input)."""
    module, operator = folded.operation(node.name), node.operator
    source = activation_quantiser(values[node.inputs[0]], bits[1])
    if isinstance(operator, ops.Recurrent):
        state = activation_quantiser(values[node.name], bits[1])
        cell = module.cell  # type: ignore[attr-defined]
        of_input = _affine(f"{node.name}.x", cell.weight_ih_l0, cell.bias_ih_l0, source, bits[0])
        of_state = _affine(f"{node.name}.h", cell.weight_hh_l0, cell.bias_hh_l0, state, bits[0])
        return (of_input, of_state), partial(_recurrent, of_input, of_state, operator)
    if isinstance(operator, ops.ExpertLinear):
        experts = values[node.inputs[1]].shape[-1]
        rows = _affine(node.name, module.weight, None, source, bits[0], groups=experts)  # type: ignore[attr-defined]
        return (rows,), partial(_expert_rows, rows)
    weight, bias = module.weight, module.bias  # type: ignore[attr-defined]
    if isinstance(operator, ops.Conv2d):
        layer = _affine(node.name, weight, bias, source, bits[0], groups=operator.groups)
        return (layer,), partial(_convolution, layer, operator)
    if isinstance(operator, ops.ConvTranspose2d):
        groups = operator.groups
        spread = _affine(node.name, _spread_rows(weight, groups), None, source, bits[0], groups=groups)
        return (spread,), partial(_transposed, spread, operator, bias, node.shape[2:])
    layer = _affine(node.name, weight, bias, source, bits[0])
    return (layer,), partial(_linear, layer)


def _bound(maps: tuple[IntegerLayer, ...], run: Operation) -> Replace:
    def bind(products: Mapping[str, Product]) -> Operation:
        return partial(run, *(products.get(m.matrix.name) or exact_product(m.matrix) for m in maps))

    return bind


def _affine(
    name: str, weight: Tensor, bias: Tensor | None, source: Quantiser, weight_bits: int, *, groups: int = 1
) -> IntegerLayer:
    """One integer map from weights (N, K) or (N, C, H, W), N split into groups, K in the order of `unfold`."""
    codes, scale = quantise_weights(weight, weight_bits)
    if codes.dim() == 4:
        codes = codes.permute(0, 2, 3, 1)
    outputs = codes.shape[0] // groups
    values = codes.reshape(groups, outputs, -1).transpose(1, 2).contiguous()
    shift = torch.zeros_like(scale) if bias is None else bias.double()
    return IntegerLayer(
        IntegerMatrix(name, values, weight_bits, source.bits),
        source,
        (scale * source.scale).reshape(groups, 1, outputs),
        shift.reshape(groups, 1, outputs),
    )


def _linear(layer: IntegerLayer, product: Product, x: Tensor) -> Tensor:
    codes = layer.quantiser.integers(x)
    rows = layer.apply(codes.reshape(1, -1, x.shape[-1]), product)
    return rows.reshape(*x.shape[:-1], -1)


def _expert_rows(layer: IntegerLayer, product: Product, x: Tensor, shares: Tensor) -> Tensor:
    """Rows expert by expert, each by the matrix of its expert; experts of fewer rows have zeros behind theirs."""
    counts = rows_an_expert(len(x), shares)
    expert = torch.repeat_interleave(counts)
    place = torch.arange(len(x)) - (counts.cumsum(0) - counts)[expert]
    codes = layer.quantiser.integers(x)
    filled = codes.new_full((len(counts), int(counts.max()), x.shape[-1]), layer.quantiser.zero)
    filled[expert, place] = codes
    return layer.apply(filled, product)[expert, place]


def _convolution(layer: IntegerLayer, operator: ops.Conv2d, product: Product, x: Tensor) -> Tensor:
    rows, (out_h, out_w) = unfold(layer.quantiser.integers(x), operator, layer.quantiser.zero)
    outputs = layer.apply(rows, product)
    image = outputs.reshape(outputs.shape[0], x.shape[0], out_h, out_w, -1)
    return image.permute(1, 0, 4, 2, 3).reshape(x.shape[0], -1, out_h, out_w)


def _spread_rows(weight: Tensor, groups: int) -> Tensor:
    """A transposed kernel (C, N / G, KH, KW) as rows of what one pixel spreads, (N KH KW, C / G), group by group."""
    parts = weight.reshape(groups, weight.shape[0] // groups, -1)
    return parts.transpose(1, 2).flatten(0, 1)


def _transposed(
    layer: IntegerLayer, operator: ops.ConvTranspose2d, bias: Tensor | None, size: Sequence[int], product: Product,
    x: Tensor,
) -> Tensor:  # fmt: skip
    """Integer products of every pixel with the kernel; overlapping parts and the bias are added digitally."""
    batch, channels, height, width = x.shape
    groups = operator.groups
    codes = layer.quantiser.integers(x).reshape(batch, groups, channels // groups, height * width)
    rows = codes.permute(1, 0, 3, 2).reshape(groups, batch * height * width, -1)
    spread = layer.apply(rows, product).reshape(groups, batch, height * width, -1)
    columns = spread.permute(1, 0, 3, 2).reshape(batch, -1, height * width)
    image = F.fold(columns, tuple(size), operator.kernel, operator.dilation, operator.padding, operator.stride)
    return image if bias is None else image + bias[:, None, None]


def _dynamic_product(left: Quantiser, right: Quantiser, x: Tensor, y: Tensor) -> Tensor:
    """Both operands computed: digital, exact in float64."""
    codes_x, codes_y = left.integers(x).double() - left.zero, right.integers(y).double() - right.zero
    return (torch.matmul(codes_x, codes_y) * (left.scale * right.scale)).float()


def _recurrent(
    of_input: IntegerLayer, of_state: IntegerLayer, operator: ops.Recurrent, product_x: Product, product_h: Product,
    x: Tensor,
) -> Tensor:  # fmt: skip
    """LSTM, GRU or Elman cell over (B, T, D), gates in torch's order; the state is rounded at every step."""
    batch, steps, _ = x.shape
    from_input = _linear(of_input, product_x, x)
    hidden = of_state.matrix.rows
    state, memory = x.new_zeros(batch, hidden), x.new_zeros(batch, hidden)
    states = []
    for step in reversed(range(steps)) if operator.backwards else range(steps):
        from_state = _linear(of_state, product_h, state)
        now = from_input[:, step]
        if operator.cell == "lstm":
            enter, forget, candidate, leave = (now + from_state).chunk(4, dim=1)
            memory = torch.sigmoid(forget) * memory + torch.sigmoid(enter) * torch.tanh(candidate)
            state = torch.sigmoid(leave) * torch.tanh(memory)
        elif operator.cell == "rnn":
            state = torch.tanh(now + from_state)
        else:
            (reset_x, update_x, new_x), (reset_h, update_h, new_h) = now.chunk(3, dim=1), from_state.chunk(3, dim=1)
            update = torch.sigmoid(update_x + update_h)
            candidate = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
            state = (1 - update) * candidate + update * state
        states.append(state)
    return torch.stack(states[::-1] if operator.backwards else states, dim=1)


def _round_weights(module: Operation, given: Format) -> None:
    """Round every weight matrix of a module in place to the values of a format."""
    if is_float32(given) or not isinstance(module, nn.Module):
        return
    for parameter in module.parameters():
        if parameter.dim() > 1 and given.is_float:
            parameter.copy_(rounded_weights(parameter, given))
        elif parameter.dim() > 1:
            codes, scale = quantise_weights(parameter, given.bits)
            parameter.copy_((codes * scale.reshape(-1, *[1] * (codes.dim() - 1))).float())


def _reading(values: Sequence[Tensor], given: Format, operation: Operation) -> Operation:
    """An operation whose first inputs, those of `values`, are rounded to a format; their ranges come from `values`."""
    if given.is_float:
        scales = [activation_scale(value, given) for value in values]
        readers: list[Operation] = [partial(rounded, given=given, scale=scale) for scale in scales]
    else:
        quantisers = [activation_quantiser(value, given.bits) for value in values]
        readers = [partial(_read_as_integers, quantiser) for quantiser in quantisers]
    first = len(readers)
    return lambda *inputs: operation(
        *(reader(x) for reader, x in zip(readers, inputs[:first], strict=True)), *inputs[first:]
    )


def _read_as_integers(quantiser: Quantiser, x: Tensor) -> Tensor:
    return quantiser.reals(quantiser.integers(x))
