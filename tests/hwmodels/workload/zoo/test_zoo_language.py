"""Language models: published parameters, MACs by the formula of a layer, prefill against decode."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.memory import kv_cache_bytes
from hwmodels.workload.ops import Cache, Kind
from hwmodels.workload.rewrite import fuse_attention
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import ZOO, network
from hwmodels.workload.zoo.transformer import Transformer, transformer

# Totals of the published weights [Hugging Face model cards and the safetensors indices of the models].
PARAMETERS = (
    ("bert_base", 109_482_240),
    ("bert_large", 335_141_888),
    ("distilbert", 66_362_880),
    ("GPT-2 small", 124_439_808),
    ("gpt2_medium", 354_823_168),
    ("gpt2_large", 774_030_080),
    ("gpt2_xl", 1_557_611_200),
    ("opt_1_3b", 1_315_758_080),
    ("llama_2_7b", 6_738_415_616),
    ("llama_2_13b", 13_015_864_320),
    ("llama_2_70b", 68_976_648_192),
    ("llama_3_8b", 8_030_261_248),
    ("llama_3_70b", 70_553_706_496),
    ("codellama_34b", 33_743_970_304),
    ("mistral_7b", 7_241_732_096),
    ("phi_2", 2_779_683_840),
)
DECODERS = [known.name for known in ZOO if f"{known.name}_decode" in {other.name for other in ZOO}]


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_published_parameters(name: str, parameters: int) -> None:
    assert network(name).parameters == parameters


def test_gpt3_is_the_papers_figure_to_its_rounding() -> None:
    """175 B is printed for the largest model [Brown'20, table 2.1]."""
    assert round(network("gpt3_175b").parameters / 1e9) == 175


def test_gpt2_macs_by_hand() -> None:
    """A layer: 4 d^2 of attention and 8 d^2 of feed-forward a token, 2 T^2 d of scores; the head d V a token."""
    tokens, d, depth, words = 1024, 768, 12, 50257
    assert network("gpt2").macs == depth * (12 * tokens * d**2 + 2 * tokens**2 * d) + tokens * d * words


def test_llama3_macs_by_hand() -> None:
    """Grouped keys and values: 2 d^2 + 2 d (8 x 128) of projections, 3 d f of the gated network."""
    tokens, d, f, depth, words = 2048, 4096, 14336, 32, 128256
    layer = tokens * (2 * d**2 + 2 * d * 8 * 128 + 3 * d * f) + 2 * tokens**2 * d
    assert network("llama_3_8b").macs == depth * layer + tokens * d * words


@pytest.mark.parametrize("name", DECODERS)
def test_decoding_reads_the_same_weights_and_does_one_tokens_work(name: str) -> None:
    """Prefill and one step share parameters; a step's products with weights are one token's."""
    prefill, step = network(name), network(f"{name}_decode")
    assert step.parameters == prefill.parameters
    tokens = prefill.input_shapes[0][1]

    def weight_macs(workload) -> int:
        return sum(row.macs for _, row in workload.rows() if not row.dynamic_operand)

    assert weight_macs(prefill) == tokens * weight_macs(step)


@pytest.mark.parametrize(("name", "layers", "heads", "width"), [("llama_3_8b", 32, 8, 128), ("gpt2", 12, 12, 64)])
def test_the_cache_holds_keys_and_values_of_every_token(name: str, layers: int, heads: int, width: int) -> None:
    """2 x layers x tokens x key-value heads x head width bytes at 8 bits; a longer past adds its tokens."""
    prefill, step = network(name), network(f"{name}_decode")
    tokens = prefill.input_shapes[0][1]
    past = max(node.operator.past for node in step if isinstance(node.operator, Cache))
    a_token = 2 * layers * heads * width
    assert kv_cache_bytes(layer_table([prefill])).tolist() == [tokens * a_token]
    assert kv_cache_bytes(layer_table([step])).tolist() == [(past + 1) * a_token]


def test_a_group_reads_its_keys_once() -> None:
    """8 query heads on 2 key heads: the product of the scores has 2 groups of 4 T rows."""
    shape = Transformer(vocabulary=10, features=32, depth=1, heads=8, kv_heads=2, hidden=16)
    net = Builder("grouped", (1, 6))
    rows = [row for _, row in net.finish(transformer(shape)(net)).rows() if row.kind == Kind.MATMUL]  # type: ignore[arg-type]
    assert [(row.groups, row.m, row.n, row.k) for row in rows] == [(2, 24, 6, 4), (2, 24, 4, 6)]


def test_attention_of_a_decoder_fuses() -> None:
    fused = fuse_attention(network("gpt2_decode"))
    assert sum(row.kind == Kind.ATTENTION for _, row in fused.rows()) == 12
    assert fused.macs == network("gpt2_decode").macs


@pytest.mark.parametrize(
    ("change", "past", "message"),
    [
        ({"heads": 7}, 0, "heads: 7 is not a divisor of 32"),
        ({"kv_heads": 3}, 0, "key and value heads: 3 is not a divisor of 8"),
        ({"positions": 5}, 0, "tokens: 6 is not <= 5"),
        ({"positions": 8}, 3, "tokens: 9 is not <= 8"),
        ({"causal": False}, 1, "past: 1 is not 0 for an encoder"),
    ],
)
def test_shapes_that_cannot_be_are_refused(change: dict[str, int], past: int, message: str) -> None:
    shape = Transformer(vocabulary=10, features=32, depth=1, heads=8, hidden=16)
    with pytest.raises(SpecError, match=message):
        transformer(replace(shape, **change), past)(Builder("net", (1, 6)))  # type: ignore[arg-type]
