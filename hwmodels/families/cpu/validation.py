"""What the CPU model is held against; each score says what its numbers were fitted on.

Search spaces (`latency_tables`): NAS-Bench-201, FBNet and once-for-all, frozen and few-shot-10; a Raspberry Pi 5
under three runtimes with energies. Single blocks (here): two phones and a server, frozen. Named networks
(`network_tables`): the ncnn benchmark few-shot-6, MLPerf Tiny frozen, timm.

The runtimes' numbers come from one device of each table (`runtimes`), and are reported on the others; a score whose
`fitted_on` names its own group is no test.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hwmodels.families.cpu.block_tables import count_blocks, mobile_rows, tfnas_rows
from hwmodels.families.cpu.few_shot import predicted
from hwmodels.families.cpu.latency_tables import edge_scores, space_scores
from hwmodels.families.cpu.network_tables import ncnn_scores, timm_scores, tiny_scores
from hwmodels.families.cpu.scoring import Machine, Table, frozen_scores, machine
from hwmodels.validate import ReferenceTables, Score
from hwmodels.workload.ops import Row

__all__ = ["validate"]

# Device of mobile_op_lut -> that of the catalogue; all of them with TensorFlow Lite on one big core.
_PHONES = {
    "note10": "galaxy_note10", "pixel1": "pixel1", "pixel2": "pixel2", "pixel3": "pixel3", "s7edge": "galaxy_s7_edge",
    "s8": "galaxy_s8", "note8": "galaxy_s8", "s21": "galaxy_s21",
}  # fmt: skip


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of the CPU model; empty where no reference file is present."""
    return [
        *space_scores(tables), *edge_scores(tables), *_mobile(tables), *_tfnas(tables), *ncnn_scores(tables),
        *tiny_scores(tables), *timm_scores(tables),
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
    path, chosen = tables.path("nas/tfnas_block_lut.csv.gz"), machine("xeon_gold_6130", "torch_2020")
    if path is None or chosen is None:
        return []
    with gzip.open(path, "rt", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
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
        Table(name, rows_in_file, skipped), group, predicted(chosen.spec, counted), measured,
        macs=counted.counts @ counted.layers.macs, fitted_on=chosen.fitted_on,
    )  # fmt: skip
