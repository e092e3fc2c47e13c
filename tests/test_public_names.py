"""Public names are those in `__all__`: it exists where there is one, and is neither too long nor too short.

Left out: aliases of types (F64, I64), which every file of arrays spells for itself, and the commands of the command
line, which their decorator registers.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for package in ("hwmodels", "codesign")
    for path in (ROOT / package).rglob("*.py")
)


def source_of(module: str) -> ast.Module:
    stem = ROOT / module.replace(".", "/")
    path = stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def is_alias(value: ast.expr | None) -> bool:
    """An alias of a type: X[...] or a union of such."""
    if isinstance(value, ast.BinOp):
        return is_alias(value.left) and is_alias(value.right)
    return isinstance(value, ast.Subscript)


def defined(module: str) -> set[str]:
    """Public names that a module defines at its top level, aliases of types apart."""
    names: set[str] = set()
    for node in source_of(module).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            written = [ast.unparse(decorator) for decorator in node.decorator_list]
            if not any(".command" in text or ".callback" in text for text in written):
                names.add(node.name)
        elif isinstance(node, ast.Assign) and not is_alias(node.value):
            names |= {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_the_scan_sees_the_code() -> None:
    assert len(MODULES) > 30
    assert {"Space", "Gene"} <= defined("codesign.space.base")


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_listed(module: str) -> None:
    listed = getattr(import_module(module), "__all__", None)
    if listed is None:
        assert defined(module) == set(), f"{module} has no __all__"
        return
    assert len(set(listed)) == len(listed)
    missing = [name for name in listed if not hasattr(import_module(module), name)]
    assert missing == []
    assert [name for name in listed if name.startswith("_")] in ([], ["__version__"])
    assert defined(module) - set(listed) == set()


TOP_LEVEL = {
    "hwmodels": {
        "SpecError", "__version__", "device", "device_names", "estimate", "families", "family", "from_hf_config",
        "from_onnx", "from_torch", "layer_table", "network", "sweep",
    },
    "codesign": {"__version__", "design", "enumerate", "load", "resume", "search", "search_families"},
}  # fmt: skip
"""What a user may rely on: to add a name here is a promise, to remove one breaks somebody."""


@pytest.mark.parametrize("package", TOP_LEVEL)
def test_the_two_packages_show_what_a_user_may_rely_on(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) == set(dir(module)) == TOP_LEVEL[package]
    for name in TOP_LEVEL[package] - {"__version__"}:
        assert getattr(module, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'esitmate'"):
        module.esitmate  # noqa: B018
