"""Published accuracies: every row names a network, its own input and a source; a few figures against their source."""

from __future__ import annotations

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.zoo import ZOO, accuracies, entry, published_accuracy
from hwmodels.workload.zoo.accuracy import datasets

# (network, top-1, top-5, source) as printed there
PRINTED = (
    ("resnet50", 76.130, 92.862, "torchvision weights metadata, IMAGENET1K_V1"),
    ("resnet50", 80.858, 95.434, "torchvision weights metadata, IMAGENET1K_V2"),
    ("mobilenet_v2", 71.878, 90.286, "torchvision weights metadata, IMAGENET1K_V1"),
    ("vit_b_16", 81.072, 95.318, "torchvision weights metadata, IMAGENET1K_V1"),
    ("alexnet", 56.522, 79.066, "torchvision weights metadata, IMAGENET1K_V1"),
    ("mobilenet_v1", 70.6, None, "Howard et al. 2017, table 6"),
    ("wrn_28_10", 96.0, None, "Zagoruyko and Komodakis 2016, table 5"),
    ("cifar_resnet20", 91.25, None, "He et al. 2015, table 6"),
    ("resnext29_16x64d", 96.42, None, "Xie et al. 2017, table 7"),
    ("darts_v2_imagenet", 73.3, None, "Liu et al. 2018"),
    ("lenet5", 99.05, None, "LeCun et al. 1998, section III"),
    ("deit3_huge_patch14_224", 87.186, 98.26, "timm results, deit3_huge_patch14_224.fb_in22k_ft_in1k"),
)


@pytest.mark.parametrize(("name", "top1", "top5", "source"), PRINTED)
def test_figures_as_printed(name: str, top1: float, top5: float | None, source: str) -> None:
    found = {row.source: (row.top1_percent, row.top5_percent) for row in accuracies(entry(name).name)}
    assert found[source] == (top1, top5)


def test_every_row_is_of_a_network_at_its_own_input() -> None:
    known = {item.name: item for item in ZOO}
    rows = [row for name in known for row in accuracies(name)]
    assert len(rows) >= 340
    for row in rows:
        assert row.input == known[row.network].input, row
        assert row.source, row
        assert 0 < row.top1_percent < (row.top5_percent or 100.0) <= 100, row
        assert row.dataset in datasets(), row
    assert len({(row.network, row.source) for row in rows}) == len(rows)


def test_rows_stand_by_the_names_of_the_zoo() -> None:
    """A renamed network would lose its row without a word."""
    from hwmodels.workload.zoo.accuracy import _by_network

    assert set(_by_network()) <= {item.name for item in ZOO}


def test_the_best_of_a_network_and_of_a_data_set() -> None:
    best = published_accuracy("resnet50")
    assert best is not None
    assert best.top1_percent == max(row.top1_percent for row in accuracies("resnet50"))
    assert published_accuracy("resnet50", dataset="CIFAR-10") is None
    assert published_accuracy("bert_base") is None
    assert datasets()[0] == "ImageNet-1k"
    with pytest.raises(SpecError, match=r"dataset: ImageNet is not one of .*did you mean ImageNet-1k"):
        published_accuracy("resnet50", dataset="ImageNet")
