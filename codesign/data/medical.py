"""Segmentation of two medical images that scikit-image ships: a stained tissue and the fundus of an eye.

No expert's masks come with them, so the labels follow a stated rule, and networks are measured by how well they learn
that rule: a stand-in for a clinical task, and no evidence about one.

tissue : colon under immunohistochemistry, 512 x 512 pixels. The colours are separated into stains by deconvolution
    [Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001)]; pixels above the threshold of Otsu [IEEE Trans. SMC 9
    (1979)] in diaminobenzidine are class 2, of the others those above it in haematoxylin, the nuclei, are class 1.
retina : a fundus of 1,411 x 1,411 pixels, averaged to 480 x 480. Dark ridges of the green channel [Sato et al., Med.
    Image Anal. 2 (1998)] above the threshold of Otsu are class 1, the vessels.

Networks see the tissue in grey unless `colour` says otherwise: in colour a 1x1 convolution would repeat the rule. The
retina is seen in colours unless `colour` is false. Patches of `size` pixels stand side by side; of every five bands of
them three are training, one is validation and one test, so that each part sees the whole slide and no pixel twice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.data.base import F32, I64, Dataset, Options, Part, standardised
from codesign.data.skimage_files import opened_image
from codesign.task import Segmentation
from hwmodels.errors import SpecError

__all__ = ["read_retina", "read_tissue"]

_SIZE = 32
_MOST = 96  # five bands fit into 480 pixels
_RETINA_SIDE = 480
# Vessels of 2 to 8 pixels; ASSUMED, plausible largest deviation 2 to 5.
_RIDGE_SIGMAS = (1, 2, 3)
# Pixels darker than this in all colours lie outside the fundus, of 255. ASSUMED, plausible 20 to 60.
_OUTSIDE = 40
# The bright rim of the fundus is no ridge: pixels that are taken off. ASSUMED, plausible 4 to 16.
_RIM = 8


def read_tissue(name: str, options: Options) -> Dataset:
    """Patches of the tissue: background, nuclei and stained pixels.

    Raises
    ------
    SpecError : scikit-image is not installed, or a size below 4 or above 96.
    """
    from skimage.color import rgb2hed
    from skimage.filters import threshold_otsu

    pixels = np.asarray(opened_image(name, "ihc.png", "RGB"))
    haematoxylin, _, stain = np.moveaxis(rgb2hed(pixels), -1, 0)
    stained = stain > threshold_otsu(stain)
    nuclei = (haematoxylin > threshold_otsu(haematoxylin[~stained])) & ~stained
    labels = np.where(stained, 2, nuclei.astype(np.int64))
    return _in_patches(name, options, _seen(pixels, colour=options.colour is True), labels, 3)


def read_retina(name: str, options: Options) -> Dataset:
    """Patches of the fundus: background and vessels.

    Raises
    ------
    SpecError : as of the tissue.
    """
    from PIL import Image
    from scipy.ndimage import binary_erosion
    from skimage.filters import sato, threshold_otsu

    whole = opened_image(name, "retina.jpg", "RGB")
    pixels = np.asarray(whole.resize((_RETINA_SIDE, _RETINA_SIDE), Image.Resampling.BOX))
    ridges = sato(pixels[..., 1] / 255.0, sigmas=_RIDGE_SIGMAS, black_ridges=True)
    fundus = binary_erosion(pixels.max(axis=-1) > _OUTSIDE, iterations=_RIM)
    labels = ((ridges > threshold_otsu(ridges[fundus])) & fundus).astype(np.int64)
    return _in_patches(name, options, _seen(pixels, colour=options.colour is not False), labels, 2)


def _seen(pixels: npt.NDArray[np.uint8], *, colour: bool) -> F32:
    """An image (C, H, W) in [0, 1] of three colours, or of the luma of ITU-R BT.601."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    shown = np.moveaxis(pixels, -1, 0) if colour else luma[None]
    return (shown / 255.0).astype(np.float32)


def _in_patches(name: str, options: Options, image: F32, labels: I64, classes: int) -> Dataset:
    """An image (C, H, W) and its labels (H, W) as the patches of three parts, by bands."""
    size = _SIZE if options.size is None else options.size
    if not 4 <= size <= _MOST:
        raise SpecError("data: size", size, f"from 4 to {_MOST}")
    seen, told = _bands(image, size), _bands(labels[None], size)[:, :, 0]
    band = np.arange(len(seen)) % 5
    train, validation, test = (
        Part(seen[chosen].reshape(-1, *seen.shape[2:]), told[chosen].reshape(-1, size, size))
        for chosen in (band < 3, band == 3, band == 4)
    )
    frequent = int(np.bincount(train.labels.ravel()).argmax())
    made = standardised(name, train, validation, test, classes)
    return replace(made, task=Segmentation(classes, frequent))


def _bands(image: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """An image (C, H, W) as bands of patches (bands, patches, C, size, size); what is left at the borders is cut."""
    channels, rows, columns = image.shape[0], image.shape[1] // size, image.shape[2] // size
    cut = image[:, : rows * size, : columns * size].reshape(channels, rows, size, columns, size)
    return cut.transpose(1, 3, 0, 2, 4)
