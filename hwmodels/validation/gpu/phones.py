"""GPUs of phones under TensorFlow Lite's delegate: layers, the kernels that it chose, and whole networks, in float16.

phone_gpu_layers holds every layer of 68 networks on four phones with its time and the kernel that the delegate chose;
phone_tflite_networks the networks' own times. The runtimes' numbers come from the layers of pixel4 (OpenCL) and of
iphone7 (Metal, `runtimes`); the others are scored frozen and after a fit to ten networks, layer by layer and network by
network. A network here is its listed layers: sums and activations that the delegate linked to them cost nothing beside.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hwmodels.compose import tensor_of
from hwmodels.families.gpu.model import MODEL
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.validation.few_shot import fit_rows, predicted
from hwmodels.validation.gpu.networks import Group, baselines_of, few_shot_of, frozen, machine, numbers_of
from hwmodels.validation.layer_lists import count_networks
from hwmodels.validation.spaces import Counted
from hwmodels.workload.ops import Kind, Row

__all__ = ["PHONE_KNOBS", "phone_layer", "phone_scores"]

F64 = npt.NDArray[np.float64]

_PHONES = {
    "pixel4": ("adreno_640", "tflite_gpu"), "mi8se": ("adreno_616", "tflite_gpu"),
    "iphone7": ("apple_a10_gpu", "tflite_metal"), "iphonexs": ("apple_a12_gpu", "tflite_metal"),
}  # fmt: skip
_HALF = {"weight_bits": 16, "activation_bits": 16}
_SHOTS, _DRAWS = 10, 3

PHONE_KNOBS = (
    "launch_s", "vector_mac_efficiency", "vector_feed_bytes_per_mac", "vector_latency_cycles_per_k",
    "gather_efficiency", "depthwise_efficiency", "depthwise_stream_efficiency", "pool_efficiency", "dram_efficiency",
    "stream_efficiency", "l2_efficiency", "overlap_norm",
)  # fmt: skip
"""What layers on a phone decide; `invoke_s` besides where whole networks are timed."""


def phone_scores(tables: ReferenceTables) -> list[Score]:
    """phone_gpu_layers and the GPU columns of phone_tflite_networks."""
    rows = tables.rows("gpu/phone_gpu_layers.csv.gz")
    if rows is None:
        return []
    layers = [phone_layer(row["operation"], ast.literal_eval(row["feature"])) for row in rows]
    known = [index for index, layer in enumerate(layers) if layer is not None]
    kept, lists = [rows[index] for index in known], [layer for layer in layers if layer is not None]
    networks = {row["model"]: row for row in tables.rows("gpu/phone_tflite_networks.csv") or ()}
    found: list[Score] = []
    for phone, (name, runtime) in _PHONES.items():
        spec = machine(name, runtime)
        if spec is not None:
            found += _layer_scores(phone, spec, kept, lists, len(rows))
            found += _network_scores(phone, spec, kept, lists, networks)
    return found


def phone_layer(operation: str, feature: Mapping[str, str | int]) -> Row | None:
    """The row of one listed layer, or None where the operator is not known."""

    def size(name: str) -> int:
        value = str(feature[name])
        return int(value) if value.isdecimal() else 1

    channels, entering, leaving = size("Input_channel"), size("Input_shape"), size("Output_shape")
    kernel, stride, filters = size("Kernel"), size("Stride"), size("Filter")
    if operation == "FULLY_CONNECTED":
        return Row(
            Kind.LINEAR, in_channels=channels, out_channels=filters, m=1, n=filters, k=channels,
            macs=filters * channels, weight_elements=filters * channels, input_elements=channels,
            output_elements=filters, **_HALF,
        )  # fmt: skip
    if operation in ("CONV_2D", "CONV_2D_GROUP", "DEPTHWISE_CONV_2D"):
        groups = {"CONV_2D": 1, "CONV_2D_GROUP": size("Group"), "DEPTHWISE_CONV_2D": channels}[operation]
        outputs = channels * filters if operation == "DEPTHWISE_CONV_2D" else filters
        m, n, k = leaving**2, outputs // groups, channels // groups * kernel**2
        return Row(
            Kind.CONV, groups=groups, in_channels=channels, out_channels=outputs, in_h=entering, in_w=entering,
            out_h=leaving, out_w=leaving, kernel_h=kernel, kernel_w=kernel, stride_h=stride, stride_w=stride, m=m, n=n,
            k=k, macs=groups * m * n * k, weight_elements=groups * n * k, input_elements=channels * entering**2,
            output_elements=outputs * m, **_HALF,
        )  # fmt: skip
    if operation == "CONCATENATION":
        elements = filters * entering**2
        return Row(
            Kind.COPY, in_channels=filters, out_channels=filters, in_h=entering, in_w=entering, out_h=entering,
            out_w=entering, input_elements=elements, output_elements=elements, **_HALF,
        )  # fmt: skip
    if operation == "MEAN":
        kernel, stride, leaving = entering, 1, 1
    elif not operation.endswith("POOL_2D"):
        return None
    outputs = channels * leaving**2
    return Row(
        Kind.POOL, in_channels=channels, out_channels=channels, in_h=entering, in_w=entering, out_h=leaving,
        out_w=leaving, kernel_h=kernel, kernel_w=kernel, stride_h=stride, stride_w=stride,
        vector_ops=outputs * kernel**2, input_elements=channels * entering**2, output_elements=outputs, **_HALF,
    )  # fmt: skip


def _layer_scores(
    phone: str, spec: GpuSpec, rows: Sequence[Mapping[str, str]], layers: Sequence[Row], rows_in_file: int
) -> list[Score]:
    """The choice of Winograd, and times frozen and after a fit to the layers of ten networks."""
    counted = count_networks([[layer] for layer in layers])
    measured = np.array([float(row[f"{phone}|gpu|float"]) * 1e-6 for row in rows])
    skipped = {"another operator": rows_in_file - len(rows)}
    fitted_on = _fitted_on(phone)
    group = Group("phone_gpu_layers", phone, spec, counted, measured, rows_in_file, skipped, fitted_on)
    found = [_choice_score(phone, spec, rows, counted, rows_in_file)]
    found += frozen(group, metrics=("mape", "median_error"))
    names = np.array([row["model"] for row in rows])
    pooled: list[tuple[F64, F64]] = []
    for draw in range(_DRAWS):
        chosen = np.random.default_rng([0, draw]).permutation(np.unique(names))[:_SHOTS]
        seen = np.isin(names, chosen)
        fitted = fit_rows(MODEL, spec, counted, {"latency_s": measured}, seen=np.flatnonzero(seen), knobs=PHONE_KNOBS)
        pooled.append((predicted(MODEL, fitted, Counted(counted.layers, counted.counts[~seen])), measured[~seen]))
    macs = _at_best_rate(baselines_of(counted, spec)["MACs at the best rate"], measured)
    return found + [
        Score(
            family="gpu", set="phone_gpu_layers", group=phone, protocol=f"few-shot-{_SHOTS}", rows=pooled[0][0].size,
            rows_in_file=rows_in_file, metric=metric, value=float(np.mean([score(metric, *pair) for pair in pooled])),
            skipped=skipped, fitted_on=f"layers of {_SHOTS} networks, mean of {_DRAWS} draws; {fitted_on}",
            baseline={"MACs at the best rate": score(metric, macs, measured)},
        )
        for metric in ("mape", "median_error")
    ]  # fmt: skip


def _fitted_on(phone: str) -> str:
    return numbers_of(_PHONES[phone][1])


def _at_best_rate(macs: F64, measured: F64) -> F64:
    """MACs at the median rate of the layers that have some."""
    has = macs > 0
    scaled: F64 = macs * np.exp(np.median(np.log(measured[has] / macs[has])))
    return scaled


def _choice_score(
    phone: str, spec: GpuSpec, rows: Sequence[Mapping[str, str]], counted: Counted, rows_in_file: int
) -> Score:
    """The share of convolutions of which the delegate's choice, Winograd or direct, is foretold."""
    layerwise = MODEL.layerwise
    assert layerwise is not None  # a family whose layers add up
    choice = tensor_of(layerwise, counted.layers, type(spec).to_table([spec]))[1][0]
    by_row = np.array([layerwise.choices[code].startswith("winograd") for code in choice])
    ids = counted.counts.argmax(axis=1)
    own = by_row[ids].astype(np.float64)
    chosen = np.array(["winograd" in row[f"{phone}|gpu|kernel"] for row in rows], np.float64)
    is_square = np.array([row["operation"] == "CONV_2D" for row in rows])
    never = {"never Winograd": score("exact_fraction", np.zeros(int(is_square.sum())), chosen[is_square])}
    return Score(
        family="gpu", set="phone_gpu_layers", group=f"{phone} Winograd or direct", protocol="frozen",
        rows=int(is_square.sum()), rows_in_file=rows_in_file, metric="exact_fraction",
        value=score("exact_fraction", own[is_square], chosen[is_square]),
        skipped={"no dense convolution": int((~is_square).sum())},
        fitted_on="nothing: the rule of TensorFlow Lite's source", baseline=never,
    )  # fmt: skip


def _network_scores(
    phone: str, spec: GpuSpec, rows: Sequence[Mapping[str, str]], layers: Sequence[Row],
    networks: Mapping[str, Mapping[str, str]],
) -> list[Score]:  # fmt: skip
    """Whole networks, frozen and few-shot-10, and the share within 15 % of the measured time."""
    column = f"{phone}|gpu|float|mean"
    names = [name for name in dict.fromkeys(row["model"] for row in rows) if networks.get(name, {}).get(column)]
    if len(names) < _SHOTS + 3:
        return []
    lists = [_network_of(name, rows, layers) for name in names]
    measured = np.array([float(networks[name][column]) * 1e-6 for name in names])
    skipped = Counter({"no list of layers": len(networks) - len(names)})
    fitted_on = _fitted_on(phone)
    group = Group(
        "phone_tflite_networks", phone, spec, count_networks(lists), measured, len(networks), skipped, fitted_on
    )
    scores, drawn = few_shot_of(
        group, knobs=(*PHONE_KNOBS, "invoke_s"), metrics=("median_error", "p90_error", "spearman")
    )
    if drawn is not None:
        near = np.abs(drawn.predicted / drawn.measured - 1.0) <= _NEAR
        scores.append(
            Score(
                family="gpu", set=group.set, group=f"{phone} within 15 %", protocol=f"few-shot-{_SHOTS}",
                rows=scores[0].rows, rows_in_file=len(networks), metric="exact_fraction", value=float(near.mean()),
                skipped=skipped, fitted_on=scores[0].fitted_on,
            )
        )  # fmt: skip
    return frozen(group, metrics=("median_error", "spearman")) + scores


_NEAR = 0.15


def _network_of(name: str, rows: Sequence[Mapping[str, str]], layers: Sequence[Row]) -> list[Row]:
    """The listed layers of one network, the last marked as its output."""
    found = [layer for row, layer in zip(rows, layers, strict=True) if row["model"] == name]
    return [*found[:-1], found[-1]._replace(output_offchip=1)]
