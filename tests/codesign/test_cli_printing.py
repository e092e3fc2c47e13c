"""What commands print: any encoding of the terminal, JSON that every reader takes, and what is not there said."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def printed(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = "import sys; sys.argv = ['codesign', *sys.argv[1:]]; from codesign.cli import main; main()"
    variables = os.environ | environment
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=variables, timeout=120)


@pytest.mark.parametrize("encoding", ["gbk", "cp932", "cp949", "cp1251", "koi8-r", "ascii", "utf-8"])
def test_a_report_is_whole_in_every_encoding(encoding: str) -> None:
    done = printed("estimate", "lenet5", "--device", "systolic_edge", PYTHONIOENCODING=encoding)
    text = done.stdout.decode(encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "MACs" in text
    assert "assumptions used" in text
    assert "?" not in text
    assert "mm²" in text if encoding == "utf-8" else "mm2" in text or "mm²" in text


def test_json_has_null_for_what_is_no_number(run) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    code, out, err = run("crossdevice", "vgg16", "--device", "disco_f746ng", "--device", "rpi4", "--json")
    assert (code, err) == (0, "")
    record = json.loads(out, parse_constant=refuse)
    assert record["values"][0][0] is None
    assert record["values"][0][1] > 0


def test_validation_names_the_files_that_it_misses(run, tmp_path) -> None:
    code, out, err = run("validate", "spatial", "--reference", tmp_path)
    assert (code, out) == (0, "")
    assert err.startswith("codesign: 2 reference files are missing, their sets are not scored: spatial/scalesim_")
    assert "--reference FOLDER" in err
    assert err.count("\n") == 1


def test_a_warning_is_one_line_without_its_place(run, tmp_path):
    header = (
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, Sparsity,"
    )
    (tmp_path / "net.csv").write_text(f"{header}\nc1, 34, 34, 3, 3, 3, 16, 1, 2:4,\n", encoding="utf-8")
    code, _, err = run("estimate", "--layers", str(tmp_path / "net.csv"), "--device", "tpu_v1")
    assert code == 0
    assert err == "codesign: net.csv: line 2, column Sparsity: sparsity 2:4 is not modelled, every weight counts\n"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_breaks_no_number_and_loses_no_letter(width: int, monkeypatch, capsys) -> None:
    from rich.console import Console

    from codesign.cli import printing

    monkeypatch.setattr(printing, "console", lambda: Console(width=width))
    headers = ("knob", "value", "latency", "meaning")
    rows = [
        ("sram_bytes_per_cycle", "1.25e-06", "16.9 ms", "bytes that a buffer gives a cycle, both halves"),
        ("clock_hz", "2.4e+09", "1.04 s", "of array, buffers and vector unit"),
    ]
    printing.print_table(headers, rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    for number in ("1.25e-06", "16.9 ms", "2.4e+09", "1.04 s"):
        assert any(number in line for line in lines), number
    letters = "".join(sorted("".join("".join(lines).replace("─", "").split())))
    assert letters == "".join(sorted("".join("".join((*headers, *(cell for row in rows for cell in row))).split())))
