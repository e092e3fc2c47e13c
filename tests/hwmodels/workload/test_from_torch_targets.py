"""Targets by name: everything that people have is taken, whatever is wrong with one is one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.from_torch import load_torch

TARGET_FILE = """
import torch
from made_beside import WIDTH

number = 3

def good():
    return torch.nn.Linear(WIDTH, 2), torch.zeros(1, WIDTH)

def alone():
    return torch.nn.Linear(4, 2)

instance = alone()
pair = good()
exported = torch.export.export(instance, (torch.zeros(1, 4),))
free = torch.export.export(instance, (torch.zeros(2, 4),), dynamic_shapes=((torch.export.Dim("n"), None),))

class Tokens(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = torch.nn.Embedding(10, 4), torch.nn.Linear(4, 2)

    def forward(self, words, weight=None):
        x = self.table(words)
        return self.head(x if weight is None else x * weight)

class Two(torch.nn.Module):
    def forward(self, left, right):
        return left @ right

class Needy(torch.nn.Module):
    def __init__(self, width):
        super().__init__()

def triple():
    return 1, 2, 3

def broken():
    raise RuntimeError("no\\nweights")
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "made_beside.py").write_text("WIDTH = 4\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text(TARGET_FILE, encoding="utf-8")
    return tmp_path / "mine.py"


def test_load_from_a_file_and_from_a_module(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = list(sys.path)
    by_file = load_torch(f"{target}:good", batch=3)
    assert sys.path == path
    monkeypatch.syspath_prepend(target.parent)
    assert by_file.nodes == load_torch("mine:good", batch=3).nodes
    assert (by_file.macs, by_file.parameters) == (3 * 4 * 2, 4 * 2 + 2)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (":god", "did you mean good?"),
        (":number", "int is not a module, a pair (module, example_inputs)"),
        (":alone", "the shape of its input is missing (--input 1x3x224x224"),
        (":Tokens", "the shape of its input is missing"),
        (":triple", "a tuple of 3 is not a module, a pair"),
        (":broken", "RuntimeError: no weights is not a function that runs"),
        (":Needy", "is not a class that takes no arguments"),
        ("", "is not package.module:name or path/to/file.py:name"),
    ],
)
def test_a_bad_target_is_one_line(target: Path, end: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_torch(f"{target}{end}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("end", "shapes", "macs"),
    [
        ("alone", {"": (3, 4)}, 24),
        ("instance", {"": (3, 4)}, 24),
        ("instance", {"input": (3, 5, 4)}, 120),
        ("pair", None, 8),
        ("pair", {"": (3, 4)}, 24),
        ("good", {"input": (3, 4)}, 24),
        ("exported", None, 8),
        ("exported", {"": (1, 4)}, 8),
        ("free", None, 16),
        ("free", {"": (5, 4)}, 40),
        ("Tokens", {"": (2, 7)}, 2 * 7 * 8),  # whole numbers, which floats are tried before
        ("Tokens", {"words": (2, 7), "weight": (2, 7, 4)}, 2 * 7 * 8),
        ("Two", {"left": (2, 3), "right": (3, 4)}, 24),
    ],
)
def test_everything_that_people_have_is_taken(target: Path, end: str, shapes: dict[str, Any], macs: int) -> None:
    assert load_torch(f"{target}:{end}", input_shapes=shapes).macs == macs


def test_an_exported_program_takes_another_batch_where_its_batch_is_free(target: Path) -> None:
    assert load_torch(f"{target}:free", batch=7).macs == 7 * 8
    assert load_torch(f"{target}:exported").name == "exported"
    assert [node.name for node in load_torch(f"{target}:exported")] == ["input", "linear"]


@pytest.mark.parametrize(
    ("end", "shapes", "said"),
    [
        ("Two", {"": (2, 3)}, "Two: input: the shape of right is missing"),
        ("Two", {"left": (2, 3), "rihgt": (3, 4)}, "did you mean right?"),
        ("Two", {"": (2, 3), "right": (3, 4)}, "a shape without a name beside others is not"),
        ("Tokens", {"": (2, 0)}, "Tokens: input: 2x0 is not extents >= 1"),
        ("instance", {"": (2, 3)}, "Linear: Linear is not a module that torch.export can trace"),
    ],
)
def test_a_shape_that_does_not_fit_is_one_line(target: Path, end: str, shapes: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_torch(f"{target}:{end}", input_shapes=shapes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_package.at_all:f", "no_such_package.at_all is not a module that is installed"),
        ("no_such_file.py:f", "no_such_file.py is not a file"),
        ("wrong.py:f", "SyntaxError"),
        ("needy.py:f", "No module named 'nothing_of_this_name' is not a module that can be imported"),
    ],
)
def test_a_target_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.py").write_text("def f(:\n", encoding="utf-8")
    Path("needy.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_torch(name)
    assert said in str(caught.value)
