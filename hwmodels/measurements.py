"""Measured latencies as rows in CSV: what ran, how, and how long it took.

A row's `network` is a name of the zoo, with another input behind an @ (``resnet18@3x160x160``), or one layer in words
(`layer`): its operator, its input without the batch, and its options::

    conv 64x56x56 out=128 kernel=3 stride=2 padding=1 groups=1 dilation=1
    linear 128x768 out=3072        matmul 12x128x64 12x64x128       lstm 32x256 hidden=512
    pool 64x56x56 mode=max kernel=3 stride=2 padding=1              norm 64x56x56 mode=batch
    activation 64x56x56 function=gelu     elementwise 64x56x56 function=add     softmax 12x128x128
    attention 8x1x128 shared=4 keys=4096 causal=1 window=0

Attention is one kernel over heads x tokens x width of the keys; `shared` heads of queries share one of keys, of which
there are `keys` (by default as many as tokens).

A row does not name its machine: one file holds one machine's measurements.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, get_args

from hwmodels.csv_table import CsvRow, read_csv
from hwmodels.errors import SpecError
from hwmodels.files import write_text
from hwmodels.workload.formats import precision_named
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Attention,
    Conv2d,
    Elementwise,
    ElementwiseName,
    Linear,
    MatMul,
    Norm,
    Operator,
    Pool2d,
    Precision,
    Recurrent,
    Shape,
    Softmax,
)
from hwmodels.workload.rewrite import RUNTIMES, rewrite
from hwmodels.workload.zoo import network

__all__ = ["Measurement", "layer", "read_measurements", "workload_of", "write_measurements",
           "written_workload"]  # fmt: skip

_CONTEXTS = ("cold", "hot")
_LONGEST_S = 1e9


@dataclass(frozen=True)
class Measurement:
    """One row; the fields are the columns of the file.

    name : the row's own name. network : zoo name or layer. threads : 0 for the device's own number.
    runtime : eager or compiled. precision : a format by name, or two, as fp32, bf16, int8, int4:fp16 or w4a16.
    context : cold within a network, hot in a loop of its own. seconds : median per batch. spread : (90th - 10th
    percentile) / median, 0 where not known. energy_j : per batch, NaN where not measured.
    """

    name: str
    network: str
    batch: int = 1
    threads: int = 0
    runtime: str = "eager"
    precision: str = "fp32"
    context: str = "cold"
    seconds: float = float("nan")
    spread: float = 0.0
    energy_j: float = float("nan")

    @property
    def is_layer(self) -> bool:
        """Whether the row is one layer, not a network."""
        return " " in self.network.strip()


def read_measurements(path: Path) -> tuple[Measurement, ...]:
    """Rows of a CSV file; `name`, `network` and `seconds` must be there, the other columns have defaults.

    Raises
    ------
    SpecError : no such file, an unknown or missing column, or a value that is none (line and column named).
    """
    known = [field.name for field in fields(Measurement)]
    table = read_csv(path)
    for column in table.columns:
        if column not in known:
            raise SpecError.unknown(f"{path}: column", column, known)
    for column in ("name", "network", "seconds"):
        if column not in table.columns:
            raise SpecError.missing(str(path), f"column {column}")
    rows = tuple(_measurement(row, f"{path}:{row.line}") for row in table)
    if not rows:
        raise SpecError(str(path), "no row", "at least one measurement")
    return rows


def write_measurements(measurements: Sequence[Measurement], path: Path) -> None:
    """The rows as CSV, one column a field."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(field.name for field in fields(Measurement))
    writer.writerows(astuple(measurement) for measurement in measurements)
    write_text(path, sink.getvalue())


def _measurement(row: CsvRow, where: str) -> Measurement:
    values: dict[str, Any] = {}
    for field in fields(Measurement):
        text = row.get(field.name, "")
        if not text:
            continue
        try:
            if field.type == "str":
                values[field.name] = text
            else:
                values[field.name] = row.whole(field.name) if field.type == "int" else row.number(field.name)
        except SpecError:
            expected = "a whole number" if field.type == "int" else "a number"
            raise SpecError(f"{where}: {field.name}", text, expected) from None
    measurement = Measurement(**{"name": "", "network": "", **values})
    _check(measurement, where)
    return measurement


def _check(measurement: Measurement, where: str) -> None:
    if not measurement.network:
        raise SpecError(f"{where}: network", "nothing", "a network of the zoo or a layer")
    if not measurement.seconds > 0:
        raise SpecError(f"{where}: seconds", measurement.seconds, "> 0")
    if not measurement.seconds < _LONGEST_S:
        raise SpecError(f"{where}: seconds", measurement.seconds, f"< {_LONGEST_S:g}")
    for column, least, most in (("batch", 1, 1e6), ("threads", 0, 1e5), ("spread", 0, 1e6)):
        if not least <= getattr(measurement, column) <= most:
            raise SpecError(f"{where}: {column}", getattr(measurement, column), f">= {least} and <= {most:g}")
    precision_named(measurement.precision, where=f"{where}: precision")
    for column, allowed in (("runtime", RUNTIMES), ("context", _CONTEXTS)):
        if getattr(measurement, column) not in allowed:
            raise SpecError.unknown(f"{where}: {column}", getattr(measurement, column), allowed)


def workload_of(measurement: Measurement) -> Workload:
    """The network or layer of a row, as its runtime executes it."""
    return _workload(measurement.network, measurement.batch, measurement.precision, measurement.runtime)


def written_workload(measurement: Measurement) -> Workload:
    """The network or layer of a row before its runtime rewrites it."""
    return _written(measurement.network, measurement.batch, measurement.precision)


@cache
def _workload(name: str, batch: int, precision: str, runtime: str) -> Workload:
    return rewrite(_written(name, batch, precision), RUNTIMES[runtime])


@cache
def _written(name: str, batch: int, precision: str) -> Workload:
    given = precision_named(precision, where=f"{name}: precision")
    if " " in name.strip():
        return layer(name, batch=batch, precision=given)
    name, _, size = name.partition("@")
    shape = _shape(size, name) if size else None
    return network(name, batch=batch, precision=given, input_shape=shape)


def layer(text: str, *, batch: int = 1, precision: Precision | None = None) -> Workload:
    """One layer in words as a network of its own.

    >>> layer("conv 64x56x56 out=128 kernel=3 padding=1").macs
    231211008

    Raises
    ------
    SpecError : an unknown operator or option, or a shape that does not fit.
    """
    kind, *words = text.split()
    if kind not in _LAYERS:
        raise SpecError.unknown(f"layer {text!r}", kind, _LAYERS)
    shapes = [_shape(word, text) for word in words if "=" not in word]
    pairs = [word.partition("=")[::2] for word in words if "=" in word]
    make, allowed = _LAYERS[kind]
    for key, _ in pairs:
        if key not in allowed:
            raise SpecError.unknown(f"layer {text!r}", key, allowed)
    if len(shapes) != (2 if kind == "matmul" else 1):
        raise SpecError(f"layer {text!r}", f"{len(shapes)} inputs", "two inputs for matmul, else one")
    try:
        operator = make(dict(pairs))
        shapes = _OPERANDS[kind](shapes[0], dict(pairs)) if kind in _OPERANDS else shapes
    except KeyError as missing:
        raise SpecError(f"layer {text!r}: {missing.args[0]}", "absent", "there") from None
    except ValueError as error:
        raise SpecError(f"layer {text!r}", error, "whole numbers as options") from None
    net = Builder(text, (batch, *shapes[0]), precision=precision)
    others = [net.source((batch, *shape), name=f"input{index}") for index, shape in enumerate(shapes[1:], 2)]
    return net.finish(net.add(operator, net.input, *others))


def _shape(word: str, text: str) -> Shape:
    extents = word.split("x")
    if not all(extent.isdigit() and int(extent) > 0 for extent in extents):
        raise SpecError(f"layer {text!r}", word, "extents as 64x56x56")
    return tuple(int(extent) for extent in extents)


def _attended(heads: Shape, options: Mapping[str, str]) -> list[Shape]:
    """Queries, transposed keys and values; heads of queries that share keys stand one below the other."""
    if len(heads) != 3:
        raise SpecError("layer attention", "x".join(map(str, heads)), "heads x tokens x width")
    count, tokens, width = heads
    keys, shared = int(options.get("keys", tokens)), int(options.get("shared", "1"))
    if keys < (tokens if options.get("causal", "0") != "0" else 1):
        raise SpecError("layer attention: keys", keys, f">= {tokens}, the tokens, where it is causal")
    return [(count, shared * tokens, width), (count, width, keys), (count, keys, width)]


def _attention(options: Mapping[str, str]) -> Operator:
    shared, window = int(options.get("shared", "1")), int(options.get("window", "0"))
    if shared < 1 or window < 0:
        raise SpecError("layer attention", f"shared={shared} window={window}", "shared >= 1 and window >= 0")
    return Attention(query_heads=shared, causal=options.get("causal", "0") != "0", window=window)


_OPERANDS: dict[str, Callable[[Shape, Mapping[str, str]], list[Shape]]] = {
    "attention": _attended,
    "elementwise": lambda shape, options: [shape, shape],
}
"""Operands of the operators that a line gives one shape for and that have several."""


def _conv(options: Mapping[str, str]) -> Operator:
    kernel, padding = int(options.get("kernel", "1")), options.get("padding")
    return Conv2d.square(
        int(options["out"]), kernel, stride=int(options.get("stride", "1")),
        padding=None if padding is None else int(padding), dilation=int(options.get("dilation", "1")),
        groups=int(options.get("groups", "1")), bias=options.get("bias", "0") != "0",
    )  # fmt: skip


def _pool(options: Mapping[str, str]) -> Operator:
    kernel = int(options["kernel"]) if "kernel" in options else None
    stride = int(options["stride"]) if "stride" in options else None
    mode = _one_of(options.get("mode", "max"), ("max", "avg"))
    return Pool2d(mode, kernel, stride, int(options.get("padding", "0")))


def _one_of(value: str, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise SpecError.unknown("layer option", value, allowed)
    return value


_LAYERS: dict[str, tuple[Callable[[Mapping[str, str]], Operator], tuple[str, ...]]] = {
    "conv": (_conv, ("out", "kernel", "stride", "padding", "dilation", "groups", "bias")),
    "linear": (lambda o: Linear(int(o["out"]), o.get("bias", "1") != "0"), ("out", "bias")),
    "matmul": (lambda o: MatMul(), ()),
    "lstm": (lambda o: Recurrent("lstm", int(o["hidden"])), ("hidden",)),
    "gru": (lambda o: Recurrent("gru", int(o["hidden"])), ("hidden",)),
    "pool": (_pool, ("mode", "kernel", "stride", "padding")),
    "norm": (
        lambda o: Norm(_one_of(o.get("mode", "batch"), ("batch", "layer", "group", "instance", "rms"))),
        ("mode",),
    ),
    "activation": (lambda o: Activation(_one_of(o.get("function", "relu"), get_args(ActivationName))), ("function",)),
    "elementwise": (
        lambda o: Elementwise(_one_of(o.get("function", "add"), get_args(ElementwiseName))),
        ("function",),
    ),
    "softmax": (lambda o: Softmax(), ()),
    "attention": (_attention, ("shared", "keys", "causal", "window")),
}
