"""Published networks by shape arithmetic: no framework, no download. One file a family of networks.

`network(name)` finds one by name or alias, ignoring case and punctuation; `ZOO` lists what is known of each.
"""

from __future__ import annotations

import re

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision, Shape
from hwmodels.workload.zoo import mobilenet, recurrent, resnet, transformer, vgg, vit
from hwmodels.workload.zoo.record import Entry

__all__ = ["ZOO", "Entry", "entry", "network"]


ZOO: tuple[Entry, ...] = (
    *mobilenet.ENTRIES,
    *recurrent.ENTRIES,
    *resnet.ENTRIES,
    *transformer.ENTRIES,
    *vgg.ENTRIES,
    *vit.ENTRIES,
)
"""Every published network, by family."""


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


def network(
    name: str, *, batch: int = 1, precision: Precision | None = None, input_shape: Shape | None = None
) -> Workload:
    """Build a published network; `input_shape` of one item replaces the published one.

    >>> network("ResNet-50").parameters
    25557032
    """
    return entry(name).build(batch=batch, precision=precision, input_shape=input_shape)
