"""What a training descends, by the task of its data: mean over the answers of a batch.

Classification, language and segmentation: cross-entropy. Labels of classes are smoothed as the recipe says; a language
is judged by its probabilities and a pixel by its neighbours' labels, so theirs are not. Regression: squared error.
Super-resolution: absolute error, which reaches a higher PSNR than the squared one does [Lim et al., EDSR, CVPR
workshops 2017, section 3.3].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

from codesign.estimate.recipe import Recipe

__all__ = ["LOSSES", "Loss"]

Loss = Callable[[Tensor, Tensor, Recipe], Tensor]


def _classification(outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    return F.cross_entropy(outputs, targets, label_smoothing=recipe.label_smoothing)


def _regression(outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    return F.mse_loss(outputs[:, 0], targets)


def _language(outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def _segmentation(outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    return F.cross_entropy(outputs, targets)


def _super_resolution(outputs: Tensor, targets: Tensor, recipe: Recipe) -> Tensor:
    return F.l1_loss(outputs, targets)


LOSSES: Mapping[str, Loss] = {
    "classification": _classification,
    "regression": _regression,
    "language": _language,
    "segmentation": _segmentation,
    "super-resolution": _super_resolution,
}
"""By the name of the task."""
