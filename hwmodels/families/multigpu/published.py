"""Published decoders, and those of a configuration file, as `Decoder` has them."""

from __future__ import annotations

from pathlib import Path

from hwmodels.errors import SpecError
from hwmodels.families.multigpu.decoder import Decoder
from hwmodels.workload.formats import FLOATS
from hwmodels.workload.from_hf_config import shape_of
from hwmodels.workload.zoo import entry
from hwmodels.workload.zoo.transformer import DECODERS, Transformer

__all__ = ["decoder", "decoder_of"]


def decoder(network: str | Path, *, product_format: str = "bf16") -> Decoder:
    """A decoder of the zoo by name, or of a `config.json` by its path.

    product_format : in which products run, as fp8; embedding and head stay in bf16 below 16 bits.

    >>> decoder("llama_3_8b").kv_heads, decoder("Mixtral-8x7B-v0.1").experts
    (8, 8)

    Raises
    ------
    SpecError : an unknown network or one that is no decoder, a format that is none.
    """
    if isinstance(network, Path):
        return decoder_of(shape_of(network), where=str(network), product_format=product_format)
    name = entry(network).name.removesuffix("_decode")
    if name not in DECODERS:
        raise SpecError.unknown("decoder", network, DECODERS)
    return decoder_of(DECODERS[name], where=name, product_format=product_format)


def decoder_of(shape: Transformer, *, where: str, product_format: str = "bf16") -> Decoder:
    """A shape of the zoo as a decoder; attention is one kernel, and nothing is dropped."""
    if not shape.causal:
        raise SpecError(where, "an encoder", "a decoder")
    if product_format not in FLOATS:
        raise SpecError.unknown("format", product_format, FLOATS)
    windows = {window for window in shape.windows if window}
    wide = FLOATS[product_format].bits >= 16
    return Decoder(
        layers=shape.depth, hidden=shape.features, heads=shape.heads, inner=shape.hidden,
        vocabulary=shape.vocabulary, kv_heads=shape.kv_heads or 0, head_features=shape.head_features or 0,
        gated=shape.gated, tied=shape.tied_head, positions=shape.positions, biases=shape.mlp_bias, dropout=False,
        fused_attention=True, experts=shape.experts, chosen=shape.chosen if shape.experts else 0,
        weight_format=product_format if wide else "bf16", product_format=product_format,
        window=windows.pop() if len(windows) == 1 and 0 in shape.windows else 0,
    )  # fmt: skip
