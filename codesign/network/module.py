"""A torch module built from a `Workload`: the description that is costed is the description that is trained.

Each node becomes one callable: a `torch.nn` layer where it stores parameters, a function where it does not. Layers
are keyed by their position in topological order, so renaming a network or its layers changes no state.

Assumptions where the vocabulary leaves room: a group norm has the largest number of groups up to 32 that divides
its channels [Wu & He, ECCV'18, default 32]; a layer norm of an image normalises the channels of each pixel
[Liu et al., CVPR'22]; `Reshape` is row-major with a free leading axis. Not modelled: dropout, stochastic depth,
weights shared between nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import gcd
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codesign.network.experts import ExpertLinear, combine, dispatch
from hwmodels.errors import SpecError
from hwmodels.workload import ops
from hwmodels.workload.graph import Input, Node, Workload

__all__ = ["Network", "Operation", "to_module"]

Operation = Callable[..., Tensor]

_NOTHING: Mapping[str, Operation] = MappingProxyType({})


class Network(nn.Module):
    """The torch twin of a workload: same nodes, same parameters, any batch size.

    Parameters
    ----------
    workload : the description; kept as `workload`.

    Notes
    -----
    `layers` maps the node's position in topological order, as a string, to its `nn.Module`; nodes without
    parameters or state are plain functions. Iterate over `workload` for the order.
    """

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.workload = workload
        self.nodes: tuple[Node, ...] = tuple(workload)
        self.position = {node.name: i for i, node in enumerate(self.nodes)}
        self.layers = nn.ModuleDict()
        self._operations: dict[str, Operation] = {}
        for i, node in enumerate(self.nodes):
            if isinstance(node.operator, Input):
                continue
            operation = _operation(node, [workload[source].shape for source in node.inputs], workload.name)
            if isinstance(operation, nn.Module):
                self.layers[str(i)] = operation
            else:
                self._operations[node.name] = operation
        self._last_use = {source: node.name for node in self.nodes for source in node.inputs}

    def operation(self, name: str) -> Operation:
        """What the node `name` does in floating point: a module or a function of its inputs."""
        position = str(self.position[name])
        return self.layers[position] if position in self.layers else self._operations[name]

    def run(
        self,
        images: Sequence[Tensor],
        *,
        replace: Mapping[str, Operation] = _NOTHING,
        keep: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Evaluate the graph and return node values by name.

        Parameters
        ----------
        images : one tensor an input of the workload, in topological order, batch first.
        replace : operations that stand in for those of the named nodes (quantised, analog ...).
        keep : the names to return; every node where None. Others are freed after their last use.
        """
        kept = set(self.position if keep is None else keep)
        remaining = iter(images)
        values: dict[str, Tensor] = {}
        for node in self.nodes:
            if isinstance(node.operator, Input):
                values[node.name] = next(remaining)
                continue
            operation = replace.get(node.name) or self.operation(node.name)
            values[node.name] = operation(*(values[source] for source in node.inputs))
            for source in set(node.inputs):
                if self._last_use[source] == node.name and source not in kept:
                    del values[source]
        return {name: values[name] for name in kept if name in values}

    def forward(self, *images: Tensor) -> Tensor:
        """The first output of the workload."""
        output = self.workload.outputs[0]
        return self.run(images, keep=(output,))[output]


def to_module(workload: Workload) -> Network:
    """Build the torch module of `workload`, with torch's own initialisation of each layer.

    Returns
    -------
    Network : parameters number ``workload.parameters``; node shapes equal those of the workload.

    Raises
    ------
    SpecError : the workload holds an operator that torch cannot run here.

    >>> from hwmodels.workload.graph import Builder
    >>> net = Builder("tiny", (1, 1, 8, 8))
    >>> workload = net.finish(net.linear(net.flatten(net.conv_norm_act(net.input, 4, 3)), 10))
    >>> sum(p.numel() for p in to_module(workload).parameters()) == workload.parameters
    True
    """
    return Network(workload)


class _Constant(nn.Module):
    """A learned tensor; small normal start, as vision transformers do. # [timm] 0.02"""

    def __init__(self, shape: ops.Shape) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.randn(shape) * 0.02)

    def forward(self) -> Tensor:
        return self.value


_RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class _Recurrent(nn.Module):
    """A recurrent layer that returns the hidden states (B, T, H) only."""

    def __init__(self, operator: ops.Recurrent, features: int) -> None:
        super().__init__()
        self.cell = _RECURRENT[operator.cell](features, operator.hidden, bias=operator.bias, batch_first=True)
        self.backwards = operator.backwards

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.cell(x.flip(1) if self.backwards else x)[0]
        return states.flip(1) if self.backwards else states


class _ChannelsAside(nn.Module):
    """Runs a normalisation over the other place of the channel axis: last to second, or second to last."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, nn.LayerNorm | nn.RMSNorm):
            moved: Tensor = self.norm(x.movedim(1, -1))
            return moved.movedim(-1, 1)
        moved = self.norm(x.movedim(-1, 1))
        return moved.movedim(1, -1)


_ACTIVATIONS: dict[str, Operation] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
    "mish": F.mish,
    "softplus": F.softplus,
    "abs": torch.abs,
    "neg": torch.neg,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
    "exp": torch.exp,
    "log": torch.log,
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
}

_COMBINE: dict[str, Operation] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "max": torch.maximum,
    "min": torch.minimum,
    "pow": torch.pow,
}


def _activation(operator: ops.Activation, node: Node, inputs: list[ops.Shape]) -> Operation:
    if operator.function == "prelu":
        return nn.PReLU(_channels(node.shape))
    return _ACTIVATIONS[operator.function]


def _channels(shape: ops.Shape) -> int:
    return shape[1] if len(shape) == 4 else shape[-1]


def _conv(operator: ops.Conv2d, node: Node, inputs: list[ops.Shape]) -> Operation:
    return nn.Conv2d(
        inputs[0][1],
        operator.out_channels,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.dilation,
        operator.groups,
        operator.bias,
    )


def _conv_transpose(operator: ops.ConvTranspose2d, node: Node, inputs: list[ops.Shape]) -> Operation:
    return nn.ConvTranspose2d(
        inputs[0][1],
        operator.out_channels,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.output_padding,
        operator.groups,
        operator.bias,
        operator.dilation,
    )


def _visible(operator: ops.Attention, tokens: int, keys: int, device: torch.device) -> Tensor | None:
    """Which keys a query sees, (tokens, keys); None where all are seen, or where causality alone says so."""
    if not operator.window and (not operator.causal or tokens in (1, keys)):
        return None
    at = torch.arange(keys - tokens, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None]
    seen = (key <= at) if operator.causal else torch.ones((tokens, keys), dtype=torch.bool, device=device)
    return seen & (at - key < operator.window) if operator.window else seen


def _attend(operator: ops.Attention, query: Tensor, key: Tensor, value: Tensor, *beside: Tensor) -> Tensor:
    """Attention over a transposed key; operands beside it are added to the scores, as masks are.

    Without them it is one kernel, as the operator says. The last query sees all keys; one before it a key less.
    """
    if not beside:
        shared, keys = operator.query_heads, key.shape[-1]
        *others, rows, width = query.shape
        heads = query.reshape(*others[:-1], others[-1] * shared, rows // shared, width) if shared > 1 else query
        mask = _visible(operator, heads.shape[-2], keys, query.device)
        whole = operator.causal and mask is None and heads.shape[-2] > 1
        attended = F.scaled_dot_product_attention(
            heads, key.transpose(-1, -2), value, attn_mask=mask, is_causal=whole, scale=1.0, enable_gqa=shared > 1
        )
        return attended.reshape(*query.shape[:-1], value.shape[-1])
    scores = torch.matmul(query, key)
    for operand in beside:
        scores = scores + operand
    return torch.matmul(torch.softmax(scores, dim=-1), value)


def _causal(scores: Tensor) -> Tensor:
    """Shares of the tokens that a token has read, itself included."""
    later = scores.new_ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return torch.softmax(scores.masked_fill(later, float("-inf")), dim=-1)


def _pool(operator: ops.Pool2d, node: Node, inputs: list[ops.Shape]) -> Operation:
    kernel, stride, padding = operator.geometry(inputs[0])
    if operator.mode == "max":
        return nn.MaxPool2d(kernel, stride, padding, operator.dilation, ceil_mode=operator.ceil_mode)
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode=operator.ceil_mode, count_include_pad=False)


def _norm(operator: ops.Norm, node: Node, inputs: list[ops.Shape]) -> Operation:
    rank = len(node.shape)
    is_image = rank == 4
    channels, affine = _channels(node.shape), operator.affine
    if operator.features not in (None, channels):
        raise SpecError(node.name, f"a {operator.mode} norm over {operator.features}", f"one over {channels} channels")
    if operator.mode == "rms":
        return _last(nn.RMSNorm(channels, elementwise_affine=affine), is_image)
    if operator.mode == "layer":
        return _last(nn.LayerNorm(channels, elementwise_affine=affine, bias=operator.bias), is_image)
    norm: nn.Module
    if operator.mode == "group":
        groups = max(g for g in range(1, min(32, channels) + 1) if gcd(channels, g) == g)
        norm = nn.GroupNorm(groups, channels, affine=affine)
    elif operator.mode == "batch":
        norm = (nn.BatchNorm2d if is_image else nn.BatchNorm1d)(channels, affine=affine)
    else:
        norm = (nn.InstanceNorm2d if is_image else nn.InstanceNorm1d)(channels, affine=affine)
    return norm if rank in (2, 4) else _ChannelsAside(norm)


def _last(norm: nn.Module, is_image: bool) -> nn.Module:
    """A norm of the last axis, for channels that stand second in an image."""
    return _ChannelsAside(norm) if is_image else norm


def _elementwise(operator: ops.Elementwise, node: Node, inputs: list[ops.Shape]) -> Operation:
    if operator.function not in _COMBINE or len(inputs) < 2:
        raise SpecError(node.name, operator.function, f"one of {', '.join(_COMBINE)} of two operands")
    combine = _COMBINE[operator.function]

    def fold(*operands: Tensor) -> Tensor:
        total = operands[0]
        for operand in operands[1:]:
            total = combine(total, operand)
        return total

    return fold


def _concat(operator: ops.Concat, node: Node, inputs: list[ops.Shape]) -> Operation:
    def join(*operands: Tensor) -> Tensor:
        """A constant of batch 1, such as a class token, follows the batch of the others."""
        batch = max(operand.shape[0] for operand in operands)
        if operator.axis != 0:
            operands = tuple(operand.expand(batch, *operand.shape[1:]) for operand in operands)
        return torch.cat(operands, dim=operator.axis)

    return join


def _upsample(operator: ops.Upsample, node: Node, inputs: list[ops.Shape]) -> Operation:
    corners = None if operator.mode == "nearest" else False
    size = operator.infer(inputs[0])[2:]
    return partial(F.interpolate, size=size, mode=operator.mode, align_corners=corners)


def _rearrange(operator: ops.Rearrange, node: Node, inputs: list[ops.Shape]) -> Operation:
    """The channel shuffle of two groups [Zhang et al., CVPR 2018]; no other copy says where elements go."""
    if operator.what != "channel shuffle":
        raise SpecError(node.name, operator.what, "a channel shuffle: other copies do not say where elements go")
    return partial(F.channel_shuffle, groups=2)


_REDUCE: dict[str, Callable[..., Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
    "norm": torch.linalg.vector_norm,
}


def _reduce(operator: ops.Reduce, node: Node, inputs: list[ops.Shape]) -> Operation:
    return partial(_REDUCE[operator.mode], dim=operator.axes, keepdim=operator.keep_axes)


_BUILDERS: dict[type, Callable[..., Operation]] = {
    ops.Conv2d: _conv,
    ops.ConvTranspose2d: _conv_transpose,
    ops.Linear: lambda op, node, inputs: nn.Linear(inputs[0][-1], op.out_features, op.bias),
    ops.MatMul: lambda op, node, inputs: torch.matmul,
    ops.Dispatch: lambda op, node, inputs: partial(dispatch, chosen=op.chosen),
    ops.ExpertLinear: lambda op, node, inputs: ExpertLinear(inputs[1][-1], inputs[0][-1], op.out_features),
    ops.Combine: lambda op, node, inputs: partial(combine, chosen=op.chosen),
    ops.Recurrent: lambda op, node, inputs: _Recurrent(op, inputs[0][-1]),
    ops.Pool2d: _pool,
    ops.Norm: _norm,
    ops.Activation: _activation,
    ops.Attention: lambda op, node, inputs: partial(_attend, op),
    ops.Elementwise: _elementwise,
    ops.Reduce: _reduce,
    ops.Softmax: lambda op, node, inputs: _causal if op.causal else partial(torch.softmax, dim=op.axis),
    ops.Embedding: lambda op, node, inputs: nn.Embedding(op.entries, op.features),
    ops.Zeros: lambda op, node, inputs: partial(torch.zeros, op.shape),
    ops.Constant: lambda op, node, inputs: _Constant(op.shape),
    ops.Rearrange: _rearrange,
    ops.Upsample: _upsample,
    ops.PixelShuffle: lambda op, node, inputs: partial(F.pixel_shuffle, upscale_factor=op.factor),
    ops.Concat: _concat,
    ops.Split: lambda op, node, inputs: lambda x: x.narrow(op.axis, op.start, op.length),
    ops.Permute: lambda op, node, inputs: lambda x: x.permute(op.axes),
    ops.Reshape: lambda op, node, inputs: lambda x: x.reshape(-1, *op.shape[1:]),
    ops.Select: lambda op, node, inputs: lambda x: x.select(op.axis, op.index),
}


def _operation(node: Node, inputs: list[ops.Shape], network: str) -> Operation:
    builder = _BUILDERS.get(type(node.operator))
    if builder is None:
        allowed = ", ".join(sorted(kind.__name__ for kind in _BUILDERS))
        raise SpecError(f"{network}: {node.name}", type(node.operator).__name__, f"one of {allowed}")
    return builder(node.operator, node, inputs)
