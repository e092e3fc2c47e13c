"""Published networks by shape arithmetic: no framework, no download. One file a family of networks.

`network(name)` finds one by name or alias, ignoring case and punctuation; `ZOO` lists what is known of each, and
`published_accuracy(name)` how good it is.
"""

from __future__ import annotations

import re

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision, Shape
from hwmodels.workload.zoo import (
    alexnet,
    coexplored,
    convmixer,
    convnext,
    darts,
    densenet,
    detection,
    efficientnet,
    fbnet,
    hardcore,
    inception,
    maxvit,
    mlp_mixer,
    mlperf_tiny,
    mnasnet,
    mobilenet,
    mobilenet_v4,
    moga,
    molecule,
    nasbench201,
    nasnet,
    ofa,
    one_stage,
    poolformer,
    proxyless,
    recurrent,
    regnet,
    resnet,
    resnet_v2,
    shufflenet,
    squeezenet,
    super_resolution,
    swin,
    transformer,
    unet,
    vgg,
    vit,
    wide_resnet,
)
from hwmodels.workload.zoo.accuracy import Accuracy, accuracies, published_accuracy
from hwmodels.workload.zoo.record import Entry

__all__ = ["ZOO", "Accuracy", "Entry", "accuracies", "entry", "network", "published_accuracy"]


ZOO: tuple[Entry, ...] = (
    *alexnet.ENTRIES,
    *coexplored.ENTRIES,
    *convmixer.ENTRIES,
    *convnext.ENTRIES,
    *darts.ENTRIES,
    *densenet.ENTRIES,
    *detection.ENTRIES,
    *efficientnet.ENTRIES,
    *fbnet.ENTRIES,
    *hardcore.ENTRIES,
    *inception.ENTRIES,
    *maxvit.ENTRIES,
    *mlp_mixer.ENTRIES,
    *mlperf_tiny.ENTRIES,
    *mnasnet.ENTRIES,
    *mobilenet.ENTRIES,
    *mobilenet_v4.ENTRIES,
    *moga.ENTRIES,
    *molecule.ENTRIES,
    *nasbench201.ENTRIES,
    *nasnet.ENTRIES,
    *ofa.ENTRIES,
    *one_stage.ENTRIES,
    *poolformer.ENTRIES,
    *proxyless.ENTRIES,
    *recurrent.ENTRIES,
    *regnet.ENTRIES,
    *resnet.ENTRIES,
    *resnet_v2.ENTRIES,
    *shufflenet.ENTRIES,
    *squeezenet.ENTRIES,
    *super_resolution.ENTRIES,
    *swin.ENTRIES,
    *transformer.ENTRIES,
    *unet.ENTRIES,
    *vgg.ENTRIES,
    *vit.ENTRIES,
    *wide_resnet.ENTRIES,
)
"""Every published network, by family."""


def _plain(name: str) -> str:
    """Lower case without punctuation, except between digits: 1.6 and 1_6 are the same, 16 is not."""
    marked = re.sub(r"(?<=[0-9])[^a-z0-9]+(?=[0-9])", ".", name.lower())
    return re.sub(r"(?<![0-9])\.|\.(?![0-9])|[^a-z0-9.]", "", marked)


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
