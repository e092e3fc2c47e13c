"""What different hardware prefers, as published: orders of networks that a model of one kind alone cannot give.

ProxylessNAS's networks for a GPU, a CPU and a phone, each on all three devices; MoGA's network that beats MobileNetV3
on a phone's GPU and loses on its CPU; EfficientNet-B4 in training, of which wide early layers are faster though they
compute twice as much. Small tables typed from the papers (`hwmodels/reference`). A score is the share of pairs in the
published order; nothing is fitted to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

from hwmodels.catalog import device, device_names
from hwmodels.evaluate import evaluate
from hwmodels.executed_formats import as_stored
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.validation.gpu.networks import machine, numbers_of
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import RUNTIMES, rewrite
from hwmodels.workload.training import training_step
from hwmodels.workload.zoo import network
from hwmodels.workload.zoo.efficientnet import efficientnet

__all__ = ["picture_scores"]

_FULL, _HALF = Precision(32, 32), Precision(16, 16)

# Device of the table -> (device of the catalogue, runtime of the GPU family or none, semantics).
_PROXYLESS = {
    "v100": ("v100_sxm2", "torch_2020", "eager"), "xeon_e5_2640v4": ("xeon_e5_2640v4", "", "eager"),
    "pixel1": ("pixel1", "", "compiled"),
}  # fmt: skip
_MOGA = {"gpu": ("adreno_630", "tflite_gpu", _HALF), "cpu": ("pixel3", "", _FULL)}
_TRAINED_ON, _TRAINED_BATCH, _TRAINED_PIXELS = "v100_sxm2", 32, 380
_B4_WIDTH, _B4_DEPTH = 1.4, 1.8


def picture_scores(tables: ReferenceTables) -> list[Score]:
    """proxylessnas_specialised, moga_inversion and efficientnetv2_fused."""
    return [*_proxyless(tables), *_moga(tables), *_fused(tables)]


def _proxyless(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("nas/proxylessnas_specialised.csv") or []
    found = []
    for name, (chosen, runtime, semantics) in _PROXYLESS.items():
        told = [row for row in rows if row["device"] == name]
        if not told or chosen not in device_names():
            continue
        own = [_latency(row["network"], chosen, runtime, semantics, int(row["batch"]), _FULL) for row in told]
        macs = [float(_built(row["network"], int(row["batch"]), _FULL).macs) for row in told]
        published = [float(row["latency_ms"]) for row in told]
        found.append(_pairs("proxylessnas_specialised", name, own, published, macs, len(rows), runtime))
    return found


def _moga(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("nas/moga_inversion.csv") or []
    found = []
    for kind, (chosen, runtime, precision) in _MOGA.items():
        told = [row for row in rows if row["kind"] == kind]
        right, by_macs = [], []
        for row in told:
            both = [_latency(row[side], chosen, runtime, "compiled", 1, precision) for side in ("faster", "slower")]
            macs = [_built(row[side], 1, precision).macs for side in ("faster", "slower")]
            right.append(float(both[0] < both[1]))
            by_macs.append(float(macs[0] < macs[1]))
        if right:
            found.append(_share("moga_inversion", f"{kind} ({chosen})", right, by_macs, len(rows), runtime))
    return found


def _fused(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("nas/efficientnetv2_fused.csv") or []
    spec = machine(_TRAINED_ON, "torch_amp")
    if not rows or spec is None:
        return []
    networks = [_b4(int(row["fused_stages"])) for row in rows]
    steps = [training_step(net, "momentum").workload for net in networks]
    model = device(_TRAINED_ON).model
    own = [evaluate(step, model, spec).totals["latency_s"] / _TRAINED_BATCH for step in steps]
    published = [1.0 / float(row["v100_images_per_s"]) for row in rows]
    macs = [float(net.macs) for net in networks]
    order = _pairs("efficientnetv2_fused", "training on v100", own, published, macs, len(rows), "torch_amp")
    error = Score(
        family="gpu", set="efficientnetv2_fused", group="training on v100", protocol="frozen", rows=len(rows),
        rows_in_file=len(rows), metric="mape", value=score("mape", own, published), fitted_on=order.fitted_on,
    )  # fmt: skip
    return [order, error]


def _pairs(
    name: str, group: str, own: Sequence[float], published: Sequence[float], macs: Sequence[float], rows: int,
    runtime: str,
) -> Score:  # fmt: skip
    """The share of pairs in the published order, of so many networks."""

    def right(values: Sequence[float]) -> list[float]:
        pairs = combinations(range(len(published)), 2)
        return [float((values[i] < values[j]) == (published[i] < published[j])) for i, j in pairs]

    found = _share(name, group, right(own), right(macs), rows, runtime)
    return replace(found, rows=len(published))


def _share(name: str, group: str, right: Sequence[float], by_macs: Sequence[float], rows: int, runtime: str) -> Score:
    fitted_on = numbers_of(runtime) if runtime else "see the CPU family"
    ones = [1.0] * len(right)
    return Score(
        family="gpu", set=name, group=group, protocol="frozen", rows=min(len(right), rows), rows_in_file=rows,
        metric="exact_fraction", value=score("exact_fraction", right, ones), fitted_on=fitted_on,
        baseline={"MACs": score("exact_fraction", by_macs, ones)},
    )  # fmt: skip


def _latency(name: str, chosen: str, runtime: str, semantics: str, batch: int, precision: Precision) -> float:
    """Seconds of one network on a device of the catalogue."""
    found = device(chosen)
    spec = (machine(chosen, runtime) if runtime else None) or found.spec
    workload = rewrite(_built(name, batch, precision), RUNTIMES[semantics])
    return float(evaluate(as_stored(workload, spec), found.model, spec).totals["latency_s"])


@cache
def _built(name: str, batch: int, precision: Precision) -> Workload:
    return network(name, batch=batch, precision=precision)


def _b4(fused: int) -> Workload:
    """EfficientNet-B4 with so many fused stages."""
    net = Builder(f"efficientnet_b4 {fused}", (_TRAINED_BATCH, 3, _TRAINED_PIXELS, _TRAINED_PIXELS), precision=_HALF)
    return net.finish(efficientnet(net, width=_B4_WIDTH, depth=_B4_DEPTH, fused=fused))
