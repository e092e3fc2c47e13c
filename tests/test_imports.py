"""Who may import whom: the rules of the design, on the syntax trees and in fresh interpreters."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for package in ("hwmodels", "codesign") for path in (ROOT / package).rglob("*.py"))
FAMILIES = tuple(
    sorted(path.name for path in (ROOT / "hwmodels/families").iterdir() if (path / "__init__.py").is_file())
)
PARTS = {"multigpu": ("gpu",)}
"""Families that hold another family's Spec and call its composition."""
HEAVY = ("torch", "pandas", "matplotlib", "scipy", "sklearn")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, in functions and type-checking blocks too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def importers(of: str) -> set[str]:
    return {relative(path) for path in FILES if of in roots(path)}


def test_the_scan_sees_the_code() -> None:
    assert len(FILES) > 30
    assert set(FAMILIES) >= {"crossbar", "spatial"}
    assert "hwmodels/evaluate.py" in importers("pandas")  # inside a function: the scan goes that deep


def test_hwmodels_never_imports_codesign() -> None:
    assert {name for name in importers("codesign") if name.startswith("hwmodels/")} == set()


def test_kernels_import_numpy_numba_and_the_shared_part_only() -> None:
    allowed = {"numpy", "numba", "typing", "__future__", "collections", "functools", "hashlib", "pathlib"}
    shared = "hwmodels.families.kernel_parts"
    kernels = [path for path in FILES if path.name.startswith("kernel") and "families" in path.parts]
    assert ROOT / "hwmodels/families/kernel_parts.py" in kernels
    for path in kernels:
        own = {name for name in imports(path) if name.startswith(("hwmodels", "codesign"))}
        assert roots(path) - allowed <= {"hwmodels"}, relative(path)
        folder = path.relative_to(ROOT).parent.as_posix().replace("/", ".")
        # A kernel may be spread over files of its folder that all follow this rule; its stamp is of all of them.
        allowed_own = (shared, "hwmodels.kernel_cache" if path.stem == "kernel_parts" else f"{folder}.kernel_")
        assert all(name.startswith(allowed_own) for name in own), relative(path)


def test_functions_of_kernels_are_cached_with_the_stamp_of_their_sources_or_not_at_all() -> None:
    """`inner` and `entry` are the only ways to numba: a bare `njit(cache=True)` would not see an edit elsewhere."""
    for path in (path for path in FILES if path.name == "kernel.py" and "families" in path.parts):
        assert "numba" not in roots(path), relative(path)
        makers = {
            node.name
            for maker in ast.walk(tree(path))
            if isinstance(maker, ast.FunctionDef) and [argument.arg for argument in maker.args.args] == ["stamp"]
            for node in maker.body
            if isinstance(node, ast.FunctionDef)
        }
        entries = {
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef) and any(ast.unparse(mark) == "entry" for mark in node.decorator_list)
        }
        assert entries, relative(path)
        assert entries <= makers, relative(path)


def test_torch_stays_in_network_estimate_data_and_strategies_with_an_inner_trainer() -> None:
    """A strategy that trains has torch in functions, so that naming another one does not load it."""
    allowed = ("codesign/network/", "codesign/estimate/", "codesign/data/", "codesign/strategy/")
    assert {name for name in importers("torch") if name.startswith("codesign/") and not name.startswith(allowed)} == (
        set()
    )


def test_looking_up_a_plugin_loads_no_heavy_library() -> None:
    """Settings of every plug-in are read before a run chooses where torch may be loaded."""
    code = """
from codesign.registry import REGISTRIES
for registry in REGISTRIES.values():
    for name in registry.names():
        fields = registry[name].settings.model_fields.items()
        stated = {key: field.examples[0] for key, field in fields if field.is_required()}
        registry.parse({registry.key: name, **stated}, "run")
"""
    assert loaded_by(code) <= loaded_by("import numba")
    assert loaded_by("import codesign.registry") == set()


def test_only_the_report_draws() -> None:
    drawing = importers("matplotlib") | importers("plotly")
    assert {name for name in drawing if not name.startswith("codesign/report/")} == set()


def test_families_import_nothing_above_them() -> None:
    """Only the base, the workload, numbers, errors and compilation: what a family is held against is `validation`."""
    below = ("base", "compose", "errors", "kernel_cache", "numerics", "units", "workload")
    shared = ("hwmodels.families.base", "hwmodels.families.spec", "hwmodels.families.kernel_parts")
    for path in FILES:
        if "families" not in path.parts or path.name == "base.py":
            continue
        folder = path.relative_to(ROOT / "hwmodels/families").parts[0]
        own = [f"hwmodels.families.{name}" for name in (folder, *PARTS.get(folder, ()))]
        allowed = (*own, *shared, *(f"hwmodels.{name}" for name in below))
        upward = {name for name in imports(path) if name.startswith("hwmodels.") and not name.startswith(allowed)}
        assert upward - {"hwmodels.families"} == set(), relative(path)


@pytest.mark.parametrize("part", ["space", "strategy", "two_level", "exact", "hardware_search"])
def test_search_names_no_hardware_family(part: str) -> None:
    """No import of a family, no string that is the name of one, no identifier that is."""
    for path in (ROOT / "codesign" / part).rglob("*.py"):
        named = {name for name in imports(path) if name.startswith(tuple(f"hwmodels.families.{f}" for f in FAMILIES))}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and node.value in FAMILIES:
                named.add(node.value)
            elif isinstance(node, ast.Name | ast.Attribute):
                name = node.id if isinstance(node, ast.Name) else node.attr
                named |= {name} & set(FAMILIES)
        assert named == set(), relative(path)


def test_only_the_command_line_prints_or_exits() -> None:
    speakers = {"print", "exit", "quit", "input", "sys.exit", "os._exit", "sys.stdout.write", "sys.stderr.write"}
    speakers |= {"typer.echo", "typer.secho", "typer.Exit", "rich.print", "SystemExit"}
    found = {
        f"{relative(path)}:{node.lineno} {ast.unparse(node.func)}"
        for path in FILES
        if not relative(path).startswith("codesign/cli/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in speakers
    }
    assert found == set()


def loaded_by(code: str, libraries: Sequence[str] = HEAVY) -> set[str]:
    """Which heavy libraries a fresh interpreter has loaded after running `code`."""
    probe = f"{code}\nimport sys; print('|' + ' '.join(n for n in {tuple(libraries)!r} if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("|")[2].split())


def test_the_probe_sees_a_heavy_library() -> None:
    assert loaded_by("import pandas") == {"pandas"}


@pytest.mark.parametrize(
    "module",
    ["hwmodels", "codesign", "hwmodels.catalog", "hwmodels.validate"],
)
def test_importing_loads_no_heavy_library(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_kernels_load_what_numba_loads_and_no_more() -> None:
    """numba looks for scipy by itself when it is imported."""
    assert loaded_by("import hwmodels.evaluate") <= loaded_by("import numba")


def test_asking_the_command_line_for_help_loads_no_heavy_library() -> None:
    code = """
import sys
sys.argv = ["codesign", "--help"]
from codesign.cli import main
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
"""
    assert loaded_by(code, (*HEAVY, "numpy", "pydantic", "yaml", "networkx")) == set()
