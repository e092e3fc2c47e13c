"""What the operating system does to commands: places that cannot be written, closed and full outputs, JSON errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
generations: 1
architecture: {space: chain, stages: 1, width: [4], kernel: [1, 3], bits: [8]}
hardware: {device: rram_edge, knobs: {adc_bits: [5, 7]}}
objectives: [energy_j]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


@pytest.mark.parametrize("command", [("enumerate", "--score", "macs"), ("search",)])
@pytest.mark.parametrize("below", ["f", "f/run", "f/a/b"])
def test_a_folder_below_a_file_is_refused_before_the_work(run, tmp_path: Path, config: Path, command, below) -> None:
    (tmp_path / "f").write_text("mine")
    code, out, err = run(command[0], config, "-o", tmp_path / below, *command[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'f'} is a file" in err
    assert (tmp_path / "f").read_text() == "mine"


def test_an_existing_file_is_written_over_on_request_alone(run, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_text("mine")
    code, out, err = run("tradeoff", "-o", picture)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--force" in err
    assert picture.read_text() == "mine"
    picture.unlink()
    picture.with_suffix(".csv").write_text("mine")
    assert run("tradeoff", "-o", picture)[0] == 2
    assert not picture.exists()


def test_errors_are_json_where_json_is_asked_for(run) -> None:
    code, out, err = run("report", "/no/such/run", "--json")
    told = json.loads(out)["error"]
    assert code == 2
    assert told["where"] == "run"
    assert told["message"] in err
    code, out, err = run("devices", "--jsn", "--json")
    assert code == 2
    assert "--jsn" in json.loads(out)["error"]["message"]


@pytest.mark.parametrize("arguments", [("devices",), ("devices", "--json")])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_standard_output_is_one_line(arguments) -> None:
    code = f"import sys; sys.argv = ['codesign', *{list(arguments)!r}]; from codesign.cli import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    code = "import sys; sys.argv = ['codesign', 'devices', '--json']; from codesign.cli import main; main()"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_standard_output_is_no_traceback() -> None:
    code = "import sys; sys.argv = ['codesign', 'devices']; from codesign.cli import main; main()"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -c "{code}" >&-'], stderr=subprocess.PIPE, text=True, check=False
    )
    assert "Traceback" not in done.stderr


def test_an_enumeration_that_finds_nothing_says_how_far_off_it_is(run, tmp_path: Path, config: Path) -> None:
    config.write_text(RUN + "constraints: {latency_s: 1 ns}\n")
    code, out, _ = run("enumerate", config, "-o", tmp_path / "front", "--score", "macs")
    assert code == 0
    line, last = out.rstrip().splitlines()[-2:]
    assert line.startswith("no pair meets latency_s <= 1 ns: the smallest seen is ")
    assert last.startswith("front of 0 pairs")
    assert json.loads((tmp_path / "front" / "summary.json").read_text())["shortfall"] == [line]


def test_a_whole_grid_search_that_finds_nothing_says_so_too(run, tmp_path: Path, config: Path) -> None:
    config.write_text(RUN.replace("rram_edge,", "rram_edge, search: front,") + "constraints: {area_mm2: 0.001}\n")
    code, out, _ = run("search", config, "-o", tmp_path / "run")
    assert code == 0
    line, last = out.rstrip().splitlines()[-2:]
    assert line.startswith("no pair meets area_mm2 <= 0.001 mm²: the smallest seen is ")
    assert last.startswith("front of 0 pairs")
