"""A trained network as files that others read: torch's state_dict, and ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from codesign.network.module import Network
from hwmodels.errors import SpecError
from hwmodels.files import write_whole

__all__ = ["read_state", "write_onnx", "write_state"]


def write_state(network: Network, path: Path) -> None:
    """Parameters and statistics as a `state_dict`."""
    write_whole(path, lambda part: torch.save(network.state_dict(), part))


def read_state(path: Path) -> Mapping[str, npt.NDArray[Any]]:
    """The arrays of a `state_dict` by name; no code of the file is run.

    Raises
    ------
    SpecError : no file there, or none of torch.
    """
    try:
        found = torch.load(path, weights_only=True)
        return {str(name): tensor.numpy() for name, tensor in found.items()}
    except Exception as error:  # torch says what is wrong with a file in many ways
        raise SpecError(str(path), "the weights", "a state_dict", str(error).splitlines()[0]) from None


def write_onnx(network: Network, path: Path) -> None:
    """The network in float32, its batch size free; inputs are called input, input1 ..., the output output."""
    shapes = network.workload.input_shapes
    names = [f"input{i}" if i else "input" for i in range(len(shapes))]
    examples = tuple(torch.zeros((2, *shape[1:])) for shape in shapes)

    def write(part: Path) -> None:
        torch.onnx.export(
            network, examples, part, dynamo=False, input_names=names, output_names=["output"],
            dynamic_axes={name: {0: "batch"} for name in (*names, "output")},
        )  # fmt: skip

    with warnings.catch_warnings():
        # The exporter that needs no further package is the older one, and says so.
        warnings.simplefilter("ignore")
        write_whole(path, write)
