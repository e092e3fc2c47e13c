"""Layer lists of other tools as a Workload: SCALE-Sim topologies, Timeloop problems, ZigZag workloads.

Such a list holds the layers that a tool simulates and nothing between them: pooling, padding and activations are
missing where the tool does not know them. The layers stand in a chain in the order of the file (ZigZag's by the
sources that it names), each at the input extents that its own numbers need; a view joins two whose shapes differ.

Not modelled: sparsity (every weight counts, and a warning says so), biases (the lists have none), loop nests of more
than two windows.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from hwmodels.documents import parse_yaml, read_text
from hwmodels.errors import SpecError
from hwmodels.workload.from_layer_list.chain import chain
from hwmodels.workload.from_layer_list.layer import Layer
from hwmodels.workload.from_layer_list.scalesim import topology
from hwmodels.workload.from_layer_list.timeloop import problems, without_templates
from hwmodels.workload.from_layer_list.zigzag import is_zigzag, zigzag_layers
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision

__all__ = ["from_layer_list"]

_FORMATS = "a SCALE-Sim topology (.csv), a Timeloop problem, a folder of these, or a ZigZag workload (.yaml)"


def from_layer_list(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    batch: int | None = None,
    precision: Precision | None = None,
) -> Workload:
    """The network in a list of layers.

    Parameters
    ----------
    path : a SCALE-Sim topology (``.csv``, convolutions or GEMMs), a Timeloop problem or several (``.yaml``, or a folder
        of such files in the order of their numbers), a ZigZag workload (``.yaml``).
    name : of the workload; that of the file without its ending where None.
    batch : items; 1 or what the file says where None. A file that has a batch above one keeps it.
    precision : of layers to which the file gives no bits.

    Returns
    -------
    Workload : one operator a layer; MACs as the tool counts them.

    Raises
    ------
    SpecError : no such file, a malformed one (with line and column), a layer that is no product, pool or sum.

    References
    ----------
    SCALE-Sim (scalesim-project/SCALE-Sim, scalesim/topology_utils.py); Timeloop (problem specification, versions 0.3
    and 0.4); ZigZag (KULeuven-MICAS/zigzag, zigzag/inputs/workload).
    """
    source = Path(path)
    if batch is not None and batch < 1:
        raise SpecError("batch", batch, ">= 1")
    default = precision or Precision()
    where = source.name or str(source)
    try:
        layers = _layers(source, where, default)
    except OSError as error:
        raise SpecError(where[:80], error.strerror or error, "a readable file") from None
    return chain(layers, name=name or source.stem or "layers", batch=batch, where=where)


def _layers(source: Path, where: str, precision: Precision) -> list[Layer]:
    """The layers of a file, or of all files of a folder."""
    if not source.is_dir():
        return _read(source, precision, in_folder=False)
    layers = [layer for file in _files(source) for layer in _read(file, precision, in_folder=True)]
    if not layers:
        raise SpecError(where, "a folder without Timeloop problems", _FORMATS)
    return layers


def _files(folder: Path) -> list[Path]:
    """The YAML files of a folder, layer2 before layer10."""
    found = [file for file in folder.iterdir() if file.suffix.lower() in (".yaml", ".yml") and file.is_file()]
    return sorted(found, key=lambda file: [_number(part) for part in _parts(file.stem)])


def _parts(stem: str) -> list[str]:
    """Letters and digits of a name in turn."""
    parts = [""]
    for character in stem:
        if parts[-1] and parts[-1][-1].isdigit() != character.isdigit():
            parts.append("")
        parts[-1] += character
    return parts


def _number(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdecimal() else (-1, part)


def _read(source: Path, precision: Precision, *, in_folder: bool) -> list[Layer]:
    ending, where = source.suffix.lower(), source.name or str(source)
    if ending == ".csv":
        return topology(read_text(source), where=where, precision=precision)
    if ending not in (".yaml", ".yml"):
        if not source.exists():
            raise SpecError.missing(str(source), "the file")
        raise SpecError(where, ending or "a file without ending", _FORMATS)
    content: Any = parse_yaml(without_templates(read_text(source)), where=where)
    if is_zigzag(content) and not in_folder:
        return zigzag_layers(content, where=where, precision=precision)
    found = problems(content, name=source.stem, where=where, precision=precision, is_partial=in_folder)
    if found is None:
        raise SpecError(where, "a file of another kind", _FORMATS)
    return found
