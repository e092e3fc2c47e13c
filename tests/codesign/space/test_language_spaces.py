"""Spaces over texts and sequences: the conformance suite, counts by formula, and no look at what comes next."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codesign.data import load
from codesign.network import to_module
from codesign.registry import SPACES
from codesign.space.architecture import ArchitectureSpace
from codesign.space.recurrent import RecurrentSpace
from codesign.space.transformer import Choices, TransformerSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError

SMALL = Choices(features=(8, 12), depth=(1, 2), heads=(2, 4), ratio=(1.0, 2.0))


def recurrent() -> RecurrentSpace:
    return RecurrentSpace(input_shape=(6,), classes=11, width=(8, 12), embedding=5)


def decoder() -> TransformerSpace:
    return TransformerSpace("decoder", SMALL, tokens=6, vocabulary=11)


class TestTextRecurrent(SpaceSuite):
    def make(self) -> RecurrentSpace:
        return recurrent()


class TestDecoder(SpaceSuite):
    def make(self) -> TransformerSpace:
        return decoder()


class TestSequenceEncoder(SpaceSuite):
    def make(self) -> TransformerSpace:
        return TransformerSpace("vision", SMALL, input_shape=(8, 5), classes=3, class_token=True)


@pytest.mark.parametrize("space", [recurrent(), decoder()], ids=["recurrent", "decoder"])
def test_a_score_of_what_comes_next_depends_on_what_was_read_alone(space: ArchitectureSpace) -> None:
    torch.manual_seed(0)
    for genotype in space.sample(6, np.random.default_rng(0)):
        network = to_module(space.workload(genotype)).eval()
        tokens = torch.randint(11, (3, 6))
        changed = tokens.clone()
        changed[:, 4:] = (changed[:, 4:] + 1) % 11
        with torch.no_grad():
            one, other = network(tokens), network(changed)
        assert one.shape == (3, 6, 11)
        assert torch.equal(one[:, :4], other[:, :4])
        assert not torch.allclose(one[:, 4:], other[:, 4:])


def test_counts_are_those_of_the_layers() -> None:
    # vectors 11 x 5; GRU: 3 (h (x + h) + 2 h); scores 8 x 11 + 11
    space = recurrent()
    found = space.workload(space.encode({"cell": "gru", "directions": 1, "depth": 1, "width0": 8, "width1": 8}))
    assert found.parameters == 11 * 5 + 3 * (8 * (5 + 8) + 16) + 8 * 11 + 11
    # vectors 11 x 8 and 6 x 8; block: two norms, four projections, a feed-forward network of 8; norm, scores
    point = {name.name: name.choices[0] for name in decoder().genes}
    block = 2 * 16 + 4 * (8 * 8 + 8) + 2 * (8 * 8 + 8)
    assert decoder().workload(decoder().encode(point)).parameters == 17 * 8 + block + 16 + 8 * 11 + 11


def test_the_decoder_is_torchs_encoder_layer_under_a_mask() -> None:
    """Scores are not scaled here: torch's queries are multiplied by the root of a head's width."""
    space = TransformerSpace("decoder", Choices((8,), (1,), (2,), (2.0,)), tokens=6, vocabulary=11)
    ours = to_module(space.workload(np.zeros(space.n_genes, np.int64))).eval()
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    linear = [module for module in ours.layers.values() if isinstance(module, torch.nn.Linear)]
    norms = [
        module.norm if hasattr(module, "norm") else module for module in ours.layers.values() if "Norm" in repr(module)
    ]
    query, key, value, merged, wide, narrow, scores = linear
    attention = layer.self_attn
    with torch.no_grad():
        attention.in_proj_weight.copy_(torch.cat([query.weight * 2, key.weight, value.weight]))
        attention.in_proj_bias.copy_(torch.cat([query.bias * 2, key.bias, value.bias]))
        for own, theirs in ((merged, attention.out_proj), (wide, layer.linear1), (narrow, layer.linear2)):
            theirs.load_state_dict(own.state_dict())
        layer.norm1.load_state_dict(norms[0].state_dict())
        layer.norm2.load_state_dict(norms[1].state_dict())
        table, places = ours.layers["1"], ours.layers["2"]
        tokens = torch.randint(11, (3, 6))
        mask = torch.nn.Transformer.generate_square_subsequent_mask(6)
        hidden = layer(table(tokens) + places(), src_mask=mask)
        assert torch.allclose(ours(tokens), scores(norms[2](hidden)), atol=1e-5)


def test_spaces_read_the_data_of_the_run() -> None:
    lines, text = load("digit-sequences"), load("text", length=16)
    for section in ({"space": "recurrent"}, {"space": "transformer", "depth": [1], "features": [16]}):
        space = SPACES.parse(section, "run").make(lines)
        point = space.sample(1, np.random.default_rng(0))[0]
        assert space.inputs == ((8, 8),)
        assert space.workload(point)[space.workload(point).outputs[0]].shape == (1, 10)
    for section in ({"space": "recurrent"}, {"space": "transformer", "kind": "decoder", "features": [16]}):
        space = SPACES.parse(section, "run").make(text)
        point = space.sample(1, np.random.default_rng(0))[0]
        assert space.inputs == ((16,),)
        assert space.workload(point)[space.workload(point).outputs[0]].shape == (1, 16, 256)


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(SpecError, match="a text is read forwards"):
        RecurrentSpace(input_shape=(6,), directions=(2,))
    with pytest.raises(SpecError, match="past: 3 is not 0 for decoder, which keeps nothing"):
        TransformerSpace("decoder", SMALL, tokens=6, past=3)
    with pytest.raises(SpecError, match="text: items of shape 16 is not images"):
        SPACES.parse("chain", "run").make(load("text", length=16))
