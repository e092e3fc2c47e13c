"""Language transformers: BERT [Devlin et al., NAACL 2019]."""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Elementwise, Embedding, Norm, Select
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


def _bert(net: Builder, *, depth: int, features: int, heads: int) -> tuple[str, str]:
    """Post-norm encoder with the pooler, without a task head.

    Parameters: 30,522 word, 512 position and 2 type embeddings; the position and type rows are read in full.
    """
    shape = net.shape(net.input)
    words = net.add(Embedding(30522, features), net.input)
    positions = net.add(Embedding(512, features), net.source(shape, name="positions"))
    types = net.add(Embedding(2, features), net.source(shape, name="types"))
    x = net.add(Norm("layer"), net.add(Elementwise("add"), words, positions, types))
    for _ in range(depth):
        x = net.add(Norm("layer"), net.residual(x, net.attention(x, heads)))
        y = net.linear(net.add(Activation("gelu"), net.linear(x, 4 * features)), features)
        x = net.add(Norm("layer"), net.residual(x, y))
    pooled = net.linear(net.add(Select(axis=1), x), features)
    return net.add(Activation("tanh"), pooled), x


_SOURCE = "Devlin et al. 2018 and its published configuration"

ENTRIES = (
    Entry("bert_base", partial(_bert, depth=12, features=768, heads=12), (128,), _SOURCE, ("bert-base-uncased",)),
    Entry("bert_large", partial(_bert, depth=24, features=1024, heads=16), (128,), _SOURCE, ("bert-large-uncased",)),
)
