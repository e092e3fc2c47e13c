"""Published networks by shape arithmetic: no framework, no download. One file a family of networks.

`network(name)` finds one by name or alias, ignoring case and punctuation; `ZOO` lists what is known of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.zoo import mobilenet, recurrent, resnet, transformer, vgg

__all__ = ["ZOO", "Entry", "entry", "network"]


@dataclass(frozen=True)
class Entry:
    """One published network: `build(batch, precision)` and where its figures come from."""

    name: str
    build: Callable[[int, Precision], Workload]
    input: str
    source: str
    aliases: tuple[str, ...] = ()


_TORCHVISION = "torchvision model metadata"
_HF = "Devlin et al. 2018 and its published configuration"

ZOO: tuple[Entry, ...] = (
    Entry("resnet18", resnet.resnet18, "3x224x224", f"He et al. 2015; {_TORCHVISION}"),
    Entry("resnet34", resnet.resnet34, "3x224x224", f"He et al. 2015; {_TORCHVISION}"),
    Entry("resnet50", resnet.resnet50, "3x224x224", f"He et al. 2015 (stride in the 3x3); {_TORCHVISION}"),
    Entry("mobilenet_v2", mobilenet.mobilenet_v2, "3x224x224", f"Sandler et al. 2018; {_TORCHVISION}"),
    Entry("vgg16", vgg.vgg16, "3x224x224", f"Simonyan and Zisserman 2014; {_TORCHVISION}"),
    Entry("vit_b_16", transformer.vit_b_16, "3x224x224", f"Dosovitskiy et al. 2020; {_TORCHVISION}"),
    Entry("bert_base", transformer.bert_base, "128 tokens", _HF, ("bert-base-uncased",)),
    Entry("bert_large", transformer.bert_large, "128 tokens", _HF, ("bert-large-uncased",)),
    Entry(
        "lstm_650",
        recurrent.lstm_650,
        "35 tokens",
        "Zaremba et al. 2014, medium: 2 layers of 650 on 10,000 words; two bias vectors",
        ("lstm", "lstm_2x650"),
    ),
)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_NAME = {_plain(alias): known for known in ZOO for alias in (known.name, *known.aliases)}


def entry(name: str) -> Entry:
    """The zoo's entry for a name or alias.

    Raises
    ------
    SpecError : unknown name, with the nearest match.
    """
    found = _BY_NAME.get(_plain(name))
    if found is None:
        raise SpecError.unknown("network", name, (known.name for known in ZOO))
    return found


def network(name: str, *, batch: int = 1, precision: Precision | None = None) -> Workload:
    """Build a published network.

    >>> network("ResNet-50").parameters
    25557032
    """
    if batch < 1:
        raise SpecError("batch", batch, ">= 1")
    return entry(name).build(batch, precision or Precision())
