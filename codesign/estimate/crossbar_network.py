"""A network on crossbars: every stationary matrix programmed, its ranges calibrated, read in one draw after another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from codesign.estimate.crossbar import Crossbar, is_lossless, program, realised, sliced_product
from codesign.estimate.integer import IntegerMatrix, Product, exact_product
from codesign.estimate.quantise import QuantisedNetwork
from codesign.estimate.ranges import calibrated
from codesign.estimate.shortcut import ReadingError, approximate_product, reading_error
from hwmodels.numerics import Numerics

__all__ = ["approximate_products", "inputs_of", "program_network", "read_products", "reading_errors"]


def inputs_of(network: QuantisedNetwork, calibration: Tensor) -> dict[str, Tensor]:
    """What each matrix is multiplied with, (G, M, K) codes by name, when the exact integer network sees `calibration`.

    calibration : (B, ...) training inputs.
    """
    seen: dict[str, list[Tensor]] = {matrix.name: [] for matrix in network.matrices}

    def watched(matrix: IntegerMatrix) -> Product:
        exact = exact_product(matrix)

        def product(codes: Tensor) -> Tensor:
            seen[matrix.name].append(codes)
            return exact(codes)

        return product

    network(calibration, products={matrix.name: watched(matrix) for matrix in network.matrices})
    return {name: torch.cat(codes, dim=1) for name, codes in seen.items()}


def program_network(network: QuantisedNetwork, numerics: Numerics, inputs: Mapping[str, Tensor]) -> dict[str, Crossbar]:
    """Program every stationary matrix of a network, by name; ranges calibrated where the numerics ask for it.

    inputs : what `inputs_of` has seen of training inputs.
    """
    arrays = {matrix.name: program(matrix, numerics) for matrix in network.matrices}
    if not numerics.adc_calibrated:
        return arrays
    return {name: calibrated(array, inputs[name]) for name, array in arrays.items()}


def read_products(arrays: Mapping[str, Crossbar], seed: int, draw: int) -> dict[str, Product]:
    """The product of each array in one programming; the plain integer one where the reading loses nothing.

    What is random about the i-th array, at programming and at each read, comes from a generator of its own, seeded
    with (seed, i, draw).
    """
    products: dict[str, Product] = {}
    for index, (name, array) in enumerate(arrays.items()):
        if is_lossless(array):
            products[name] = exact_product(array.matrix)
        elif array.numerics.is_ideal:
            products[name] = sliced_product(array)
        else:
            generator = _generator(seed, index, draw)
            products[name] = sliced_product(realised(array, generator), generator)
    return products


def reading_errors(arrays: Mapping[str, Crossbar], inputs: Mapping[str, Tensor]) -> dict[str, ReadingError]:
    """Moments of the reading error of each array that is not lossless, over its calibration inputs."""
    return {name: reading_error(array, inputs[name]) for name, array in arrays.items() if not is_lossless(array)}


def approximate_products(
    arrays: Mapping[str, Crossbar], errors: Mapping[str, ReadingError], seed: int, draw: int
) -> dict[str, Product]:
    """The statistical product of each array in one programming, seeded as `read_products` is."""
    products: dict[str, Product] = {}
    for index, (name, array) in enumerate(arrays.items()):
        if name not in errors:
            products[name] = exact_product(array.matrix)
        else:
            generator = _generator(seed, index, draw)
            products[name] = approximate_product(realised(array, generator), errors[name], generator)
    return products


def _generator(seed: int, index: int, draw: int) -> torch.Generator:
    state = np.random.SeedSequence((seed, index, draw)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
