"""SCALE-Sim topologies: a CSV file of convolutions (image, filter, channels, filters, stride) or of GEMMs (M, N, K).

The image of a convolution includes its padding. SCALE-Sim takes ceil((image - filter) / stride) + 1 positions along an
axis, where the last window may hang over the edge: the image is as large here as that needs. A name with "DP" in it is
a depthwise layer: one filter of one channel for each channel [scalesim/topology_utils.py, load_arrays_conv].
"""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.from_layer_list.layer import Layer, extent
from hwmodels.workload.ops import Conv2d, Linear, Precision

__all__ = ["topology"]

_CONVOLUTION = ("name", "height", "width", "kernel_h", "kernel_w", "channels", "filters", "stride_h")
_GEMM = ("name", "m", "n", "k")
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "name": ("layer", "layername", "layers", "name", "layerid"),
    "height": ("ifmapheight", "ifmaph", "inputheight", "inputh", "ih", "ifmaphgt"),
    "width": ("ifmapwidth", "ifmapw", "inputwidth", "inputw", "iw"),
    "kernel_h": ("filterheight", "filterh", "filth", "kernelheight", "kernelh", "fh"),
    "kernel_w": ("filterwidth", "filterw", "filtw", "kernelwidth", "kernelw", "fw"),
    "channels": ("channels", "channel", "numchannels", "numchannel", "numch", "inputchannels"),
    "filters": ("numfilter", "numfilters", "filters", "numfilt", "outputchannels"),
    "stride_h": ("strides", "stride", "strideheight", "strideh"),
    "stride_w": ("stridewidth", "stridew"),
    "m": ("m",),
    "n": ("n",),
    "k": ("k",),
    "sparsity": ("sparsity", "sparsityratio", "sparsitysupport", "sparsityratios", "sparsitynm"),
    "batch": ("batch", "batchsize"),
}
_COLUMN = {spelling: column for column, spellings in _SPELLINGS.items() for spelling in spellings}
_COMMENT = ("", "comment", "comments", "note", "notes")


class _Line(NamedTuple):
    """One line of the file: its place, its fields by column, the name of each column as the file has it."""

    where: str
    fields: Mapping[str, str]
    titles: Mapping[str, str]

    def number(self, column: str, default: int | None = None) -> int:
        text = self.fields.get(column, "")
        if not text and default is not None:
            return default
        return extent(text, f"{self.where}, column {self.titles.get(column, column)}")


def topology(text: str, *, where: str, precision: Precision) -> list[Layer]:
    """The layers of a topology.

    Raises
    ------
    SpecError : a column that is missing or unknown, a field that is no whole number, a filter larger than its image:
        with file, line and column.
    """
    lines = [(number, fields) for number, fields in enumerate(_rows(text, where), start=1) if fields]
    if not lines:
        raise SpecError(where, "an empty file", "a SCALE-Sim topology")
    number, first = lines[0]
    if len(first) > 1 and not first[1].isdecimal():
        titles = _titles(first, f"{where}: line {number}")
        lines = lines[1:]
    else:  # by position, as SCALE-Sim itself reads it
        first = list(_GEMM if len(first) < len(_CONVOLUTION) - 1 else _CONVOLUTION)
        titles = {column: place for place, column in enumerate(first)}
    layers = []
    for number, fields in lines:
        given = {column: fields[place] for column, place in titles.items() if place < len(fields)}
        line = _Line(f"{where}: line {number}", given, {c: first[place] for c, place in titles.items()})
        layers.append(_gemm(line, precision) if "m" in titles else _convolution(line, precision))
    if not layers:
        raise SpecError(where, "a header alone", "a SCALE-Sim topology of at least one layer")
    return layers


def _rows(text: str, where: str) -> list[list[str]]:
    """The fields of every line; [] for a blank line or a comment. What a row has behind its last comma is a remark."""
    rows, reader = [], csv.reader(text.splitlines())
    try:
        for fields in reader:
            kept = [field.strip() for field in fields]
            while kept and (not kept[-1] or kept[-1].startswith("#")):
                kept.pop()
            rows.append([] if kept and kept[0].startswith("#") else kept)
    except csv.Error as error:
        raise SpecError(f"{where}: line {reader.line_num}", error, "a line of a CSV table") from None
    return rows


def _titles(header: Sequence[str], where: str) -> dict[str, int]:
    """Place of each column by its title, in whatever spelling."""
    found: dict[str, int] = {}
    for place, title in enumerate(header):
        plain = re.sub(r"[^a-z]", "", title.lower())
        if plain in _COMMENT:
            continue
        if plain not in _COLUMN:
            raise SpecError.unknown(f"{where}: column", title, (spellings[0] for spellings in _SPELLINGS.values()))
        if _COLUMN[plain] in found:
            raise SpecError(f"{where}: column", title, "given once")
        found[_COLUMN[plain]] = place
    for column in _GEMM if "m" in found or "k" in found else _CONVOLUTION:
        if column not in found:
            raise SpecError.missing(where, f"column {_SPELLINGS[column][0]}")
    return found


def _convolution(line: _Line, precision: Precision) -> Layer:
    name = line.fields.get("name") or "layer"
    kernel = (line.number("kernel_h"), line.number("kernel_w"))
    stride = (line.number("stride_h"), line.number("stride_w", line.number("stride_h")))
    image = []
    for column, size, step in (("height", kernel[0], stride[0]), ("width", kernel[1], stride[1])):
        given = line.number(column)
        if size > given:
            where = f"{line.where}, column {line.titles[f'kernel_{column[0]}']}"
            raise SpecError(where, size, f"at most the {given} of the image")
        # out = ceil((image - filter) / stride) + 1 [topology_utils.py, topo_calc_hyperparams]
        image.append(-(-(given - size) // step) * step + size)
    channels, filters = line.number("channels"), line.number("filters")
    groups = channels if "DP" in name else 1
    operator = Conv2d(filters * groups, kernel, stride, (0, 0), (1, 1), groups, bias=False)
    _warn_of_sparsity(line)
    return Layer(name, operator, ((line.number("batch", 1), channels, *image),), precision, line.where)


def _gemm(line: _Line, precision: Precision) -> Layer:
    """M x K times K x N; a batch is that of the product (heads of attention)."""
    _warn_of_sparsity(line)
    m, n, k, batch = line.number("m"), line.number("n"), line.number("k"), line.number("batch", 1)
    shape = (batch, m, k)
    return Layer(line.fields.get("name") or "layer", Linear(n, bias=False), (shape,), precision, line.where)


def _warn_of_sparsity(line: _Line) -> None:
    """A ratio N:M below one is not modelled."""
    given = line.fields.get("sparsity", "")
    if not given:
        return
    where = f"{line.where}, column {line.titles['sparsity']}"
    parts = given.split(":")
    if len(parts) != 2:
        raise SpecError(where, given, "a ratio of two whole numbers, as 2:4")
    kept, of = (extent(part, where) for part in parts)
    if kept > of:
        raise SpecError(where, given, "a ratio of at most one, as 2:4")
    if kept < of:
        warnings.warn(f"{where}: sparsity {given} is not modelled, every weight counts", stacklevel=2)
