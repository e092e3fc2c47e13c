"""From torch: the rows of the zoo, the MACs that torch counts, every parameter once, and one line where it fails."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from codesign.network import to_module
from hwmodels.errors import SpecError
from hwmodels.workload.coverage import UnknownOperator, unknown_operators
from hwmodels.workload.formats import format_of
from hwmodels.workload.from_torch import from_torch
from hwmodels.workload.from_torch.call import Call
from hwmodels.workload.graph import Builder, Node, Workload
from hwmodels.workload.ops import (
    Activation,
    Attention,
    Constant,
    Conv2d,
    Elementwise,
    Embedding,
    Linear,
    MatMul,
    Norm,
    Pool2d,
    Precision,
    Recurrent,
    Row,
    Shared,
    Softmax,
    Unknown,
    View,
)
from hwmodels.workload.rewrite import fuse_attention, prune_dead_branches
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network
from tests.hwmodels.workload.test_random_graphs import graphs
from tests.hwmodels.workload.torch_models import MODELS

UNUSED = {"encoder": 7, "encoder_fused": 7}
"""Elements of the parameters that a model of the list never reads."""


def made(name: str, device: str = "cpu") -> tuple[nn.Module, Any]:
    with torch.device(device):
        module, inputs = MODELS[name]()
    return module, inputs


def counted_macs(module: nn.Module, inputs: Any) -> float:
    """Half the FLOPs that torch counts in one run on the meta device."""
    args = inputs if isinstance(inputs, tuple) else () if isinstance(inputs, dict) else (inputs,)
    keywords = inputs if isinstance(inputs, dict) else {}
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused kernel, which the counter does not know
    try:
        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            module.eval().requires_grad_(False)(*args, **keywords)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops() / 2


def rows(workload: Workload) -> list[Row]:
    return [row for _, row in workload.rows()]


def operators(workload: Workload, kind: type) -> list[Any]:
    return [node.operator for node in workload if isinstance(node.operator, kind)]


# Against torch's own counts.


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_macs_are_those_of_torch(name: str) -> None:
    module, inputs = made(name, "meta")
    workload = from_torch(module, inputs)
    assert unknown_operators(workload) == []
    assert workload.parameters == sum(p.numel() for p in module.parameters()) - UNUSED.get(name, 0)
    assert workload.macs == counted_macs(module, inputs)


@pytest.mark.parametrize("name", MODELS)
def test_the_device_makes_no_difference(name: str) -> None:
    here, away = from_torch(*made(name)), from_torch(*made(name, "meta"))
    assert here.nodes == away.nodes
    assert here.outputs == away.outputs


def test_the_weights_of_a_large_module_are_never_there() -> None:
    """Ten thousand million parameters, 40 GB in single precision."""
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(100_000, 100_000, bias=False), nn.ReLU())
    workload = from_torch(module, torch.zeros(1, 100_000))
    assert workload.parameters == workload.macs == 10**10


# Against the zoo.


class AllOutputs(nn.Module):
    """A network's torch twin, which by itself returns its first output only."""

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.network = to_module(workload)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network.workload.outputs
        values = self.network.run(inputs, keep=outputs)
        return tuple(values[output] for output in outputs)


def through_torch(workload: Workload) -> Workload:
    with torch.device("meta"):
        shapes = workload.input_shapes
        inputs = tuple(torch.zeros(shape, dtype=torch.long if len(shape) == 2 else torch.float32) for shape in shapes)
        return from_torch(AllOutputs(workload), inputs)


def in_pairs(workload: Workload) -> Workload:
    """The same network with every sum of three tensors of one shape as two sums, as torch runs it."""
    nodes: list[Node] = []
    for node in workload:
        first, *others = node.inputs or ("",)
        if isinstance(node.operator, Elementwise) and len(others) > 1:
            for position, other in enumerate(others[:-1]):
                nodes.append(replace(node, name=f"{node.name}.{position}", inputs=(first, other)))
                first = nodes[-1].name
            node = replace(node, inputs=(first, others[-1]))
        nodes.append(node)
    return Workload.of(workload.name, nodes, workload.outputs)


def assert_same_table(workload: Workload, twin: Workload) -> None:
    expected, got = layer_table([workload]), layer_table([twin])
    assert [got.layers.row(int(i)) for i in got.rows_of(0)] == [
        expected.layers.row(int(i)) for i in expected.rows_of(0)
    ]
    assert got.edges(0).tolist() == expected.edges(0).tolist()


ZOO = ("resnet18", "resnet50", "mobilenet_v2", "vgg16", "vit_b_16", "bert_base", "lstm_650")
"""Published networks whose operators `to_module` knows, of every family that was there when it was written."""


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_published_network_through_torch_is_itself(name: str, batch: int) -> None:
    workload = in_pairs(network(name, batch=batch))
    assert_same_table(workload, through_torch(workload))


@settings(max_examples=40, deadline=None)
@given(graphs(zeros=False))
def test_a_random_graph_through_torch_is_itself(workload: Workload) -> None:
    """Dead ends included: an eager runtime computes them. Bits belong to the network, not to the module."""
    plain = Workload.of(workload.name, (replace(node, precision=Precision()) for node in workload), workload.outputs)
    assert_same_table(plain, through_torch(plain))


@pytest.mark.parametrize(("dtype", "name"), [(torch.half, "fp16"), (torch.bfloat16, "bf16"), (torch.float32, "int8")])
def test_a_module_in_half_precision_keeps_its_format(dtype: torch.dtype, name: str) -> None:
    """float32 is what a network is written in, so it says nothing: there the importer's precision stands."""
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    workload = from_torch(module.to(dtype), torch.zeros(1, 3, 8, 8, dtype=dtype))
    for _, row in workload.rows():
        assert format_of(row.weight_bits, row.weight_format).name == name
        assert format_of(row.activation_bits, row.activation_format).name == name


def test_a_module_may_be_half_in_half_precision() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(8, 8).half(), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x.half()).float())

    found = from_torch(Mixed(), torch.zeros(2, 8), precision=Precision(32, 32, 32))
    names = [format_of(row.weight_bits, row.weight_format).name for _, row in found.rows() if row.macs]
    assert names == ["fp16", "fp32"]


class SelfAttention(nn.Module):
    """Attention in three projections, by torch's kernel or written out; `Builder.attention` as a module."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        self.query, self.key, self.value, self.out = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = (part(x).view(batch, tokens, 4, 4).transpose(1, 2) for part in (self.query, self.key, self.value))
        if self.style == "merged":  # heads in the batch, as in sequence-to-sequence models
            q, k, v = (part.reshape(batch * 4, tokens, 4) for part in (q, k, v))
            y = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v).view(batch, 4, tokens, 4)
        elif self.style == "written":
            y = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.style == "causal")
        return self.out(y.transpose(1, 2).reshape(batch, tokens, 16))


@pytest.mark.parametrize("style", ["kernel", "causal", "written", "merged"])
def test_every_way_to_write_attention_is_the_builders(style: str) -> None:
    net = Builder("attention", (2, 9, 16))
    written = net.finish(net.attention(net.input, 4))
    assert_same_table(written, from_torch(SelfAttention(style), torch.zeros(2, 9, 16)))


@pytest.mark.parametrize(
    ("name", "count", "passes"),
    [
        ("encoder", 2, 2),  # a scale and a mask
        ("encoder_fused", 2, 1),  # the mask
        ("decoder", 2, 2),
        ("decoder_fused", 2, 1),
        ("decoder_grouped", 2, 0),  # a causal kernel reads no mask
    ],
)
def test_attention_is_found_whatever_its_style(name: str, count: int, passes: int) -> None:
    found = operators(fuse_attention(from_torch(*made(name))), Attention)
    assert found == [Attention(passes)] * count


@pytest.mark.parametrize("name", ["decoder", "decoder_fused", "decoder_grouped"])
def test_a_group_of_queries_reads_its_keys_once(name: str) -> None:
    """2 key heads of 8 features for 4 query heads, over 12 tokens."""
    workload = from_torch(*made(name))
    scores = next(node for node in workload if isinstance(node.operator, MatMul))
    batch = workload.input_shapes[0][0]
    assert [workload[source].shape for source in scores.inputs] == [(batch, 2, 24, 8), (batch, 2, 8, 12)]


def test_a_token_layer_counts_its_batch_wherever_it_stands() -> None:
    """(time, batch, features) and (batch time, features) are 2 items of 5 tokens."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x.transpose(0, 1)).transpose(0, 1)
            return self.second(y.reshape(-1, 4))

    found = rows(from_torch(Mixed(), torch.zeros(2, 5, 4)))
    assert [(row.batch, row.in_h, row.m) for row in found] == [(2, 5, 10), (2, 5, 10)]


# Single operators.


def test_a_convolution_of_sequences_is_one_of_images_of_height_one() -> None:
    module = nn.Sequential(nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False))
    found = operators(from_torch(module, torch.zeros(1, 4, 20)), Conv2d)
    assert found == [Conv2d(6, (1, 3), (1, 2), (0, 1), (1, 2), 2, False)]


def test_a_kernel_padded_to_the_same_size_pads_one_more_behind() -> None:
    module = nn.Conv2d(1, 1, (4, 3), padding="same")
    workload = from_torch(module, torch.zeros(1, 1, 8, 8))
    assert [(type(node.operator).__name__, node.shape) for node in workload] == [
        ("Input", (1, 1, 8, 8)),
        ("Rearrange", (1, 1, 9, 8)),
        ("Conv2d", (1, 1, 8, 8)),
    ]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.AdaptiveAvgPool2d(1), [Pool2d("avg")]),
        (nn.AdaptiveAvgPool2d(12), []),
        (nn.AdaptiveAvgPool2d((4, 6)), [Pool2d("avg", (3, 2), (3, 2))]),
        (nn.AdaptiveMaxPool2d(5), [Pool2d("max", (4, 4), (2, 2))]),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), [Pool2d("max", (3, 3), (2, 2), (1, 1), True)]),
    ],
)
def test_pooling(module: nn.Module, expected: list[Pool2d]) -> None:
    assert operators(from_torch(module, torch.zeros(1, 2, 12, 12)), Pool2d) == expected


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.ReLU6(), Activation("relu6")),
        (nn.Hardtanh(), Activation("hardtanh")),
        (nn.Hardswish(inplace=True), Activation("hardswish")),
        (nn.GELU(approximate="tanh"), Activation("gelu")),
        (nn.Mish(), Activation("mish")),
        (nn.Softmax(dim=-1), Softmax()),
        (nn.Softmax(dim=1), Softmax(1)),
        (nn.BatchNorm2d(3), Norm("batch")),
        (nn.BatchNorm2d(3, affine=False), Norm("batch", affine=False, bias=False)),
        (nn.LayerNorm(5, bias=False), Norm("layer", bias=False)),
        (nn.Dropout(), None),
    ],
)
def test_a_module_is_one_operator(module: nn.Module, expected: object) -> None:
    workload = from_torch(module, torch.zeros(2, 3, 5, 5))
    assert [node.operator for node in workload if not node.operator.is_view] == ([expected] if expected else [])


def test_a_layer_norm_stands_over_tokens_or_over_an_image_as_its_readers_do() -> None:
    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.of_image, self.of_tokens, self.dense = nn.LayerNorm(3), nn.LayerNorm(3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.of_image(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            return self.dense(self.of_tokens(x.permute(0, 2, 3, 1)))

    image, tokens, dense = rows(from_torch(Norms(), torch.zeros(2, 3, 4, 5)))
    assert (image.in_channels, image.in_h, image.in_w) == (3, 4, 5)
    assert (tokens.in_channels, tokens.in_h, tokens.in_w) == (dense.in_channels, dense.in_h, dense.in_w) == (3, 20, 1)


def test_what_is_written_into_a_tensor_is_read_from_it() -> None:
    """In place: into a part of zeros, through a view of a view, into the tensor itself."""

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            joined = torch.zeros(x.shape[0], 2, 2)
            joined[:, 0] = self.first(x)
            joined.flatten(1)[:, 2:].copy_(self.second(x))
            y = self.last(joined.view(-1, 4))
            F.relu(y, inplace=True)
            return y

    workload = from_torch(InPlace(), torch.zeros(5, 4))
    assert prune_dead_branches(workload).macs == workload.macs == 5 * (2 * 4 * 2 + 4 * 3)
    assert workload[workload.outputs[0]].operator == Activation("relu")


# Parameters.


def test_a_tied_head_counts_once() -> None:
    workload = from_torch(*made("decoder"))
    assert operators(workload, Embedding) == [Embedding(50, 32)]
    assert workload["head"].operator == Shared(Linear(50, bias=False))


def test_a_shared_layer_works_twice_and_stores_once() -> None:
    layer = nn.Conv2d(2, 2, 3, padding=1)
    workload = from_torch(nn.Sequential(layer, nn.ReLU(), layer), torch.zeros(1, 2, 4, 4))
    first, second = (row for row in rows(workload) if row.macs)
    assert (first.parameters, second.parameters) == (2 * 2 * 9 + 2, 0)
    assert first.macs == second.macs
    assert len(operators(workload, Shared)) == 1


def test_fixed_tensors_are_neither_parameters_nor_rows() -> None:
    """Masks, rotary tables and position ids stand in the graph as views of nothing."""
    workload = from_torch(*made("decoder"))
    sources = [node for node in workload if not node.inputs]
    assert {type(node.operator) for node in sources[1:]} == {View, Constant}
    assert {node.name for node in sources if isinstance(node.operator, Constant)} == {
        *(f"layers.{i}.{norm}.weight" for i in range(2) for norm in ("input_norm", "post_norm")),
        "norm.weight",
    }


def test_weights_that_are_computed_are_stored_as_what_they_are_made_of() -> None:
    workload = from_torch(*made("odds"))
    assert workload["standard.conv2d"].operator == Conv2d(8, (1, 1), bias=True)
    assert workload["standard.gain"].operator == Constant((8,))
    assert not any(node.name.startswith("standard.batch_norm") for node in workload)


def test_what_is_computed_and_not_used_is_run_eagerly_and_not_compiled() -> None:
    class Wasteful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.wasted = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            self.wasted(x)
            return self.used(x)

    workload = from_torch(Wasteful(), torch.zeros(1, 4))
    assert workload.macs == 32
    assert prune_dead_branches(workload).macs == 16


# What the caller gives, and keeps.


def test_names_are_the_paths_of_the_modules() -> None:
    assert [node.name for node in from_torch(*made("resnet"))] == [
        "x", "conv1", "bn1", "relu", "maxpool", "conv2", "bn2", "downsample.0", "downsample.1", "add", "relu_1",
        "avgpool", "flatten", "fc",
    ]  # fmt: skip


def test_what_a_layer_makes_beside_does_not_take_its_name() -> None:
    workload = from_torch(*made("recurrences"))
    named = [node.name for node in workload if isinstance(node.operator, Recurrent | Shared)]
    assert named == [
        "lstm.l0", "lstm.l0_reverse", "lstm.l1", "lstm.l1_reverse", "gru", "rnn", "cell", "cell_1", "cell_2",
        "gru_cell",
    ]  # fmt: skip

    class Scaled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.ones(3)

    scaled = from_torch(nn.Sequential(Scaled()), torch.zeros(2, 3))
    assert [node.name for node in scaled] == ["input", "0.ones", "0"]


def test_nested_results_are_outputs_in_order_and_objects_are_none() -> None:
    assert [from_torch(*made("encoder"))[name].shape for name in from_torch(*made("encoder")).outputs] == [
        (2, 12, 32),
        (2, 32),
    ]
    assert len(from_torch(*made("decoder")).outputs) == 1
    assert len(from_torch(*made("recurrences")).outputs) == 2


def test_keywords_and_positions_are_one() -> None:
    module, inputs = made("encoder")
    assert from_torch(module, inputs).nodes == from_torch(module, tuple(inputs.values())).nodes


def test_name_and_precision_are_the_callers() -> None:
    bits = Precision(4, 6, 24)
    workload = from_torch(*made("resnet"), name="mine", precision=bits)
    assert workload.name == "mine"
    assert {node.precision for node in workload} == {bits}
    assert from_torch(*made("resnet")).name == "ResNet"


def test_the_module_is_left_as_it_was() -> None:
    module, inputs = made("recurrences")
    module.train()
    module.lstm.eval()
    flags = [part.training for part in module.modules()]
    state = {name: value.data_ptr() for name, value in module.state_dict().items()}
    names = {part: set(vars(part)) for part in module.modules()}
    quiet, fused = logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()
    from_torch(module, inputs)
    assert [part.training for part in module.modules()] == flags
    assert {name: value.data_ptr() for name, value in module.state_dict().items()} == state
    assert {part: set(vars(part)) for part in module.modules()} == names
    assert (logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()) == (quiet, fused)
    assert torch.is_grad_enabled()
    module(inputs)


@pytest.mark.parametrize("name", ["mobilenet", "encoder", "decoder_grouped", "torchformer", "recurrences"])
def test_another_batch_is_that_of_other_inputs(name: str) -> None:
    module, inputs = made(name)
    workload = from_torch(module, inputs, batch=5)
    resized = {key: value.new_zeros((5, *value.shape[1:])) for key, value in _named(inputs).items()}
    expected = from_torch(module, resized if isinstance(inputs, dict) else next(iter(resized.values())))
    assert workload.nodes == expected.nodes
    assert workload.input_shapes[0][0] == 5
    assert workload.parameters == from_torch(module, inputs).parameters


def _named(inputs: Any) -> dict[str, Tensor]:
    return inputs if isinstance(inputs, dict) else {"input": inputs}


def test_inputs_may_be_shapes_on_the_meta_device() -> None:
    module, inputs = made("resnet")
    assert from_torch(module, inputs[0].to("meta")).nodes == from_torch(module, inputs).nodes


# What is outside the vocabulary.


@torch.library.custom_op("hwmodels_tests::halves", mutates_args=())
def halves(x: Tensor) -> Tensor:
    return x[..., : x.shape[-1] // 2].clone()


@halves.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:-1], x.shape[-1] // 2))


class Strange(nn.Module):
    """A custom operator, a Fourier transform."""

    def forward(self, x: Tensor) -> Tensor:
        return halves(halves(torch.fft.fft2(x).real))


def test_what_is_unknown_is_listed_with_its_share() -> None:
    """Elements of (1, 4, 4): 16 in, 16 of two numbers each behind the transform, then 8 and 4."""
    workload = from_torch(Strange(), torch.zeros(1, 4, 4))
    moved = {"fft_fft2": 2 * (16 + 16), "hwmodels_tests.halves": (16 + 8) + (8 + 4)}
    total = sum(moved.values())
    assert unknown_operators(workload) == [
        UnknownOperator("fft_fft2", 1, moved["fft_fft2"] / total),
        UnknownOperator("hwmodels_tests.halves", 2, moved["hwmodels_tests.halves"] / total),
    ]


@pytest.mark.parametrize("failure", [ValueError("no"), KeyError("no"), None])
def test_a_rule_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, failure: Exception | None) -> None:
    """What it wrote and claimed is taken back: by an error, or by a result of another shape than torch's."""
    from hwmodels.workload import from_torch as package

    def rule(call: Call) -> str:
        written = call.place(Linear(99, bias=False), call.tensor("input"), parameters=call.claim("weight"))
        if failure is not None:
            raise failure
        return written

    monkeypatch.setitem(package._RULES, "aten.linear", rule)
    workload = from_torch(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), torch.zeros(3, 4))
    assert [node.operator for node in workload][1:] == [Unknown("linear", (3, 2), 10), Activation("relu")]


# Failures.


class DataDependent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class FixedBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(2, 12) @ torch.zeros(12, 3)


class Silent(nn.Module):
    def forward(self, x: Tensor) -> None:
        return None


class FreeShape(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.nonzero().float() * 2


def refused(module: Any, inputs: Any, **options: Any) -> str:
    """The one line that says why."""
    with pytest.raises(SpecError) as caught:
        from_torch(module, inputs, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


def test_a_branch_on_data_is_one_quiet_line(capfd: pytest.CaptureFixture[str]) -> None:
    line = refused(DataDependent(), torch.zeros(3))
    place = f"test_from_torch.py:{DataDependent.forward.__code__.co_firstlineno + 1}"
    assert line.startswith(f"DataDependent: {place}: a branch or a shape is not known before the data are")
    assert "torch.where for a mask" in line
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("module", "inputs", "options", "said"),
    [
        (
            FixedBatch(),
            torch.zeros(2, 3, 4),
            {"batch": 5},
            "FixedBatch: batch: 5 is not a batch that this module takes",
        ),
        (FixedBatch(), torch.zeros(2, 3, 4), {"batch": 0}, "FixedBatch: batch: 0 is not >= 1"),
        (nn.Linear(4, 4), torch.zeros(1, 5), {}, "Linear: Linear is not a module that torch.export can trace"),
        (nn.Linear(4, 4), (), {}, "Linear: example_inputs: no tensor is not at least one tensor"),
        (Silent(), torch.zeros(1), {}, "Silent: an output without tensors is not"),
        (
            FreeShape(),
            torch.zeros(1, 4),
            {},
            f"test_from_torch.py:{FreeShape.forward.__code__.co_firstlineno + 1}: a result of shape (u0, 2) is not",
        ),
        (abs, torch.zeros(1), {"name": "net"}, "net: builtin_function_or_method is not a torch.nn.Module"),
    ],
)
def test_refusals(module: Any, inputs: Any, options: dict[str, Any], said: str) -> None:
    assert said in refused(module, inputs, **options)


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_module_says_what_to_do() -> None:
    float_module = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    module = torch.ao.quantization.quantize_dynamic(float_module, {nn.Linear}, dtype=torch.qint8)
    line = refused(module, torch.zeros(4, 64))
    assert line.startswith(
        "Sequential: 0: a quantised Linear is not a module that can be traced (give the float module"
    )


def test_torch_is_imported_when_it_is_needed() -> None:
    code = "import sys, hwmodels.workload.from_torch, hwmodels.workload.coverage; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.strip() == "False"


def test_counts_of_operators_are_those_of_the_module() -> None:
    """A census of one network that uses many: nothing is dropped, nothing is there twice."""
    found = Counter(type(node.operator).__name__ for node in from_torch(*made("mobilenet")))
    assert found["Conv2d"] == 1 + 3 * 5
    assert found["Norm"] == 1 + 3 * 3
    assert found["Activation"] == 1 + 3 * (2 + 2)
    assert found["Pool2d"] == 3 + 1
    assert found["Elementwise"] == 3 * 2
    assert found["Rearrange"] == 1  # the even kernel's padding
    assert found["Linear"] == 1


def test_the_sequence_is_not_shared_between_runs() -> None:
    """Two translations of one module are equal: nothing is left behind by the first."""
    module, inputs = made("odds")
    assert from_torch(module, inputs).nodes == from_torch(module, inputs).nodes
