"""200 grey images of 25 x 25 pixels, half of them faces, as the package scikit-image ships them.

Source: faces of Labeled Faces in the Wild [Huang et al., University of Massachusetts 07-49, 2007] and patches of other
places of those photographs; the selection is scikit-image's [van der Walt et al., PeerJ 2 (2014)], faces first.
"""

from __future__ import annotations

import numpy as np

from codesign.data.base import Dataset, Options, split
from codesign.data.skimage_files import shipped_file
from hwmodels.errors import SpecError

__all__ = ["read_faces"]

_SHAPE = (200, 25, 25)


def read_faces(name: str, options: Options) -> Dataset:
    """No face is class 0, a face class 1; 60, 20 and 20 % of each.

    Raises
    ------
    SpecError : scikit-image is not installed, or ships something else.
    """
    path = shipped_file(name, "lfw_subset.npy")
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SpecError(str(path), error, "an array of numpy") from None
    if images.shape != _SHAPE or images.dtype.kind != "f":
        raise SpecError(str(path), (images.shape, str(images.dtype)), f"floating-point images {_SHAPE}")
    labels = (np.arange(len(images)) < len(images) // 2).astype(np.int64)
    return split(name, images.astype(np.float32)[:, None], labels, 2)
