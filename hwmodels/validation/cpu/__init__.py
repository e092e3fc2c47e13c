"""What the CPU model is held against; each score says what its numbers were fitted on.

Search spaces (`latency_tables`): NAS-Bench-201, FBNet and once-for-all, frozen and few-shot-10; a Raspberry Pi 5
under three runtimes with energies. Single blocks (here): two phones and a server, frozen. Named networks
(`network_tables`): the ncnn benchmark few-shot-6, MLPerf Tiny frozen, timm. Two networks each searched for one of two
phones and timed on both (here): which is the faster, and by how much.

The runtimes' numbers come from one device of each table (`runtimes`), and are reported on the others; a score whose
`fitted_on` names its own group is no test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hwmodels.catalog import device
from hwmodels.families.cpu.model import MODEL
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.validate import MetricName, ReferenceTables, Score, score
from hwmodels.validation.cpu.block_tables import count_blocks, mobile_rows, tfnas_rows
from hwmodels.validation.cpu.latency_tables import edge_scores, space_scores
from hwmodels.validation.cpu.machines import Machine, machine
from hwmodels.validation.cpu.measured import host_scores
from hwmodels.validation.cpu.network_tables import ncnn_scores, timm_scores, tiny_scores
from hwmodels.validation.few_shot import predicted
from hwmodels.validation.layer_lists import count_networks
from hwmodels.validation.tables import Table, frozen_scores
from hwmodels.workload.ops import Precision, Row
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.zoo import network

__all__ = ["validate"]

# Device of mobile_op_lut -> that of the catalogue; all of them with TensorFlow Lite on one big core.
_PHONES = {
    "note10": "galaxy_note10", "pixel1": "pixel1", "pixel2": "pixel2", "pixel3": "pixel3", "s7edge": "galaxy_s7_edge",
    "s8": "galaxy_s8", "note8": "galaxy_s8", "s21": "galaxy_s21",
}  # fmt: skip


# Networks that FBNet's authors searched for one phone and timed on both, in 8 bits [Wu et al., CVPR 2019, table 4].
_EXCHANGED = {"FBNet-iPhoneX": "fbnet_iphonex", "FBNet-S8": "fbnet_s8"}
_EXCHANGED_ON = {"iPhone X": "iphone_x", "S8": "galaxy_s8"}


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of the CPU model; where no reference file is present, on the measurements that ship alone."""
    return [
        *space_scores(tables), *edge_scores(tables), *_mobile(tables), *_tfnas(tables), *ncnn_scores(tables),
        *tiny_scores(tables), *timm_scores(tables), *_exchanged(tables), *host_scores(tables),
    ]  # fmt: skip


def _mobile(tables: ReferenceTables) -> list[Score]:
    """mobile_op_lut: operators and blocks of phones."""
    rows = tables.rows("nas/mobile_op_lut.csv")
    found: list[Score] = []
    for name in dict.fromkeys(row["device"] for row in rows or ()):
        chosen = machine(_PHONES[name], "tflite") if name in _PHONES else None
        if rows and chosen:
            lines = [row for row in rows if row["device"] == name]
            found += _blocks("mobile_op_lut", name, chosen, lines, mobile_rows, "mean_ms", len(rows))
    return found


def _tfnas(tables: ReferenceTables) -> list[Score]:
    """tfnas_block_lut: blocks on one thread of a server."""
    rows, chosen = tables.rows("nas/tfnas_block_lut.csv.gz"), machine("xeon_gold_6130", "torch_2020")
    if rows is None or chosen is None:
        return []
    return _blocks("tfnas_block_lut", "xeon6130_1t", chosen, rows, tfnas_rows, "xeon6130_1t_ms", len(rows))


def _blocks(
    name: str, group: str, chosen: Machine, lines: Sequence[Mapping[str, str]],
    rows_of_line: Callable[[Mapping[str, str], str], tuple[Row, ...] | None], column: str, rows_in_file: int,
) -> list[Score]:  # fmt: skip
    """Frozen scores of a look-up table; lines without a positive time are left out."""
    measured_lines = [line for line in lines if float(line[column] or 0) > 0]
    blocks = [(line, rows_of_line(line, chosen.semantics)) for line in measured_lines]
    known = [(line, rows) for line, rows in blocks if rows is not None]
    if len(known) < 3:
        return []
    counted = count_blocks([rows for _, rows in known])
    measured = np.array([float(line[column]) * 1e-3 for line, _ in known])
    skipped = {
        "another device": rows_in_file - len(lines),
        "no positive time": len(lines) - len(measured_lines),
        "another operator": len(measured_lines) - len(known),
    }
    return frozen_scores(
        Table("cpu", name, rows_in_file, skipped), group, predicted(MODEL, chosen.spec, counted), measured,
        macs=counted.counts @ counted.layers.macs, fitted_on=chosen.fitted_on,
    )  # fmt: skip


def _exchanged(tables: ReferenceTables) -> list[Score]:
    """FBNet's two phones: latency of the one network over the other's, by phone, and the share of right orders."""
    rows = {row["name"]: row["note"] for row in tables.rows("nas/networks.csv") or () if row["name"] in _EXCHANGED}
    if len(rows) < len(_EXCHANGED):
        return []
    layers = [rewrite(network(name, precision=Precision(8, 8, 32)), COMPILED) for name in _EXCHANGED.values()]
    counted = count_networks([[row for _, row in workload.rows()] for workload in layers])
    macs = counted.counts @ counted.layers.macs
    found, ratios = [], []
    for phone, name in _EXCHANGED_ON.items():
        stated = [re.search(rf"([\d.]+) ms {phone}", rows[title]) for title in _EXCHANGED]
        spec = device(name).spec
        if not isinstance(spec, CpuSpec) or None in stated:
            continue
        latency = predicted(MODEL, spec, counted)
        published = [float(match[1]) for match in stated if match]
        ratios.append((latency[0] / latency[1], published[0] / published[1]))
        found.append(_ratio(name, "mape", ratios[-1:], float(macs[0] / macs[1])))
    orders = [(float(own < 1), float(stated < 1)) for own, stated in ratios]
    return [*found, _ratio("all", "exact_fraction", orders, float(macs[0] < macs[1]))] if found else []


def _ratio(group: str, metric: MetricName, pairs: Sequence[tuple[float, float]], by_macs: float) -> Score:
    own, published = zip(*pairs, strict=True)
    return Score(
        family="cpu", set="fbnet_two_phones", group=group, protocol="frozen", rows=len(pairs), rows_in_file=2,
        metric=metric, value=score(metric, own, published),
        fitted_on="iphone_x: that wide depthwise windows are slow there is read from these numbers",
        baseline={"MACs": score(metric, [by_macs] * len(pairs), published)},
    )  # fmt: skip
