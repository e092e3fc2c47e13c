"""Efficiency of macros over ADC bits and node: the front by hand, published rows, the picture and its command."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.estimate.macro_front import LOST_BITS, macro_front, published_points, table_rows
from codesign.report.macros import plot_macros
from hwmodels.errors import SpecError
from hwmodels.families.crossbar.macro_cost import macro_cost

ROW = {
    "Index": "7", "Year": "2022", "Tech (nm)": "28", "Architecture": "SRAM", "Cell Type": "9T1C", "Compute Model": "QR",
    "N": "128", "N_ADC": "32", "B_x": "1", "B_w": "1", "B_ADC": "6", "TOPS/W": "900",
}  # fmt: skip
ROWS = [ROW, {**ROW, "Index": "8", "Tech (nm)": "65", "Compute Model": "QS"}, {**ROW, "Compute Model": "DIMC"},
        {**ROW, "TOPS/W": ""}]  # fmt: skip


def survey(folder: Path, rows: list[dict[str, str]]) -> Path:
    (folder / "imc").mkdir(parents=True)
    with (folder / "imc" / "silicon_macros_survey.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, ROW)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_the_front_is_the_best_of_every_way_and_length() -> None:
    (point,) = macro_front([28.0], [4])
    ways: list[dict[str, Any]] = [{"Compute Model": model} for model in ("QR", "QS", "IS")]
    ways.append({"Compute Model": "IS", "Architecture": "eNVM"})
    lengths = [4, 8, 16, 32, 64, 128]
    assert max(lengths) == 2 ** (4 + LOST_BITS)
    found = {}
    for way in ways:
        for summed in lengths:
            row = {"Tech (nm)": 28, "N": summed, "N_ADC": 64, "B_x": 1, "B_w": 1, "B_ADC": 4, **way}
            low, expected, high = macro_cost(row).operation_j
            found[1e-12 / expected] = (summed, 1e-12 / high, 1e-12 / low)
    best = max(found)
    assert point.tops_per_w == pytest.approx(best, rel=1e-12)
    assert (point.summed, point.low, point.high) == (found[best][0], *(pytest.approx(end) for end in found[best][1:]))


def test_smaller_nodes_are_more_efficient_at_every_resolution() -> None:
    bits = range(1, 11)
    by_node = [[point.tops_per_w for point in macro_front([node], bits)] for node in (5.0, 14.0, 28.0, 65.0)]
    assert (np.diff(by_node, axis=0) < 0).all()


def test_published_rows_are_analogue_and_stand_beside_their_prediction() -> None:
    points = published_points(ROWS)
    assert [(point.paper, point.kind, point.adc_bits) for point in points] == [
        ("7", "redistribution", 6), ("8", "charge", 6),
    ]  # fmt: skip
    for point in points:
        assert point.low < point.predicted < point.high
        assert point.tops_per_w == 900
    with pytest.raises(SpecError, match="--macros"):
        published_points(ROWS[2:])


def test_the_picture_has_a_line_a_node_and_a_marker_a_chip() -> None:
    front, points = macro_front([28.0, 65.0], [3, 4, 5]), published_points(ROWS)
    ax = plot_macros(front, points)
    assert [line.get_label() for line in ax.get_lines()] == ["predicted, 28 nm", "predicted, 65 nm"]
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [point.tops_per_w for point in front[:3]])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["predicted, 28 nm", "predicted, 65 nm", "redistribution", "charge"]
    assert ax.get_yscale() == "log"


def test_the_command_draws_and_writes_a_table(run, tmp_path: Path) -> None:
    folder, path = survey(tmp_path / "tables", ROWS), tmp_path / "macros.png"
    arguments = ("tradeoff", "--macros", "-o", path, "--reference", folder, "--nodes", "28,65", "--adc-bits", "3,6")
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert rows == json.loads(json.dumps(table_rows(macro_front([28, 65], [3, 6]), published_points(ROWS))))
    assert path.read_bytes().startswith(b"\x89PNG")
    with path.with_suffix(".csv").open(newline="") as handle:
        assert [row["paper"] for row in csv.DictReader(handle)] == ["7", "8", "", "", "", ""]
    code, out, _ = run(*arguments, "--force")
    assert code == 0
    assert "2 published macros" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--nodes", "x"), "--nodes"), (("--nodes", "1"), "--nodes"), (("--adc-bits", "40"), "adc_bits"),
        (("--reference", "nowhere"), "--reference"), (("--reference", "."), "silicon_macros_survey"),
    ],
)  # fmt: skip
def test_bad_input_writes_nothing(run, tmp_path: Path, monkeypatch, arguments, told) -> None:
    folder = survey(tmp_path / "tables", ROWS)
    empty = tmp_path / "here"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.delenv("CODESIGN_REFERENCE", raising=False)
    where = () if "--reference" in arguments else ("--reference", folder)
    code, out, err = run("tradeoff", "--macros", "-o", "a.png", *arguments, *where)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.strip().splitlines()) == 1
    assert list(empty.iterdir()) == []
