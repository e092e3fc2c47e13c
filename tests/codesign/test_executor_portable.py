"""The pin of the instruction set reaches every place where a training can run, and can be taken off."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from codesign.executor.portable import pinned_environment

PROBE = """
import json, sys
from codesign.app.assemble import executor_of
from codesign.app.config import parse_config

section = json.loads(sys.argv[1])
run = {"architecture": {"space": "cell"}, "hardware": {"device": "rram_edge"}, "executor": section}
executor = executor_of(parse_config(run))
assert "torch" not in sys.modules
from tasks_of_the_pin import capability
with executor:
    [(_, found)] = executor.stream(capability, [0])
print(found)
"""
TASK = """
def capability(_):
    import torch
    yield torch.backends.cpu.get_cpu_capability()
"""
EXECUTORS = [
    '{"name": "serial"',
    '{"workers": 2',
    pytest.param(
        '{"name": "ray", "workers": 1',
        marks=pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
    ),
]


def capability(folder: Path, section: str, **environment: str) -> str:
    """The instruction set that torch takes where a fresh interpreter's executor runs its task."""
    (folder / "tasks_of_the_pin.py").write_text(TASK)
    variables = {name: value for name, value in os.environ.items() if name not in pinned_environment()}
    variables |= {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])} | environment
    done = subprocess.run(
        [sys.executable, "-c", PROBE, section], capture_output=True, text=True, env=variables, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


@pytest.mark.skipif(not pinned_environment(), reason="this processor lacks AVX2")
@pytest.mark.parametrize("section", EXECUTORS)
def test_every_executor_trains_with_avx2(tmp_path: Path, section: str) -> None:
    assert capability(tmp_path, section + "}", ATEN_CPU_CAPABILITY="default") == "AVX2"


@pytest.mark.parametrize("section", EXECUTORS)
def test_the_key_takes_the_pin_off(tmp_path: Path, section: str) -> None:
    off = section + ', "portable": false}'
    assert capability(tmp_path, off, ATEN_CPU_CAPABILITY="default") == "DEFAULT"


def test_a_process_that_has_chosen_already_says_so() -> None:
    probe = "import torch; from codesign.executor.portable import *; print(pin_instruction_set())"
    variables = {name: value for name, value in os.environ.items() if name not in pinned_environment()}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=variables, timeout=120)
    assert done.stdout.split() == [str(not pinned_environment())]
