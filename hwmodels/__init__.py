"""What a network costs on a piece of hardware: analytic, numba-accelerated cost models behind one interface.

>>> import hwmodels
>>> report = hwmodels.estimate("resnet18", "systolic_edge")
>>> sorted(report.breakdown()) == sorted(hwmodels.device("systolic_edge").model.energy_terms)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwmodels.by_name import estimate, sweep
    from hwmodels.catalog import device, device_names
    from hwmodels.errors import SpecError
    from hwmodels.families.base import families, family
    from hwmodels.workload.from_hf_config import from_hf_config
    from hwmodels.workload.from_onnx import from_onnx
    from hwmodels.workload.from_torch import from_torch
    from hwmodels.workload.table import layer_table
    from hwmodels.workload.zoo import network

__all__ = [
    "SpecError",
    "__version__",
    "device",
    "device_names",
    "estimate",
    "families",
    "family",
    "from_hf_config",
    "from_onnx",
    "from_torch",
    "layer_table",
    "network",
    "sweep",
]

_HOME = {
    "SpecError": "hwmodels.errors",
    "device": "hwmodels.catalog",
    "device_names": "hwmodels.catalog",
    "estimate": "hwmodels.by_name",
    "families": "hwmodels.families.base",
    "family": "hwmodels.families.base",
    "from_hf_config": "hwmodels.workload.from_hf_config",
    "from_onnx": "hwmodels.workload.from_onnx",
    "from_torch": "hwmodels.workload.from_torch",
    "layer_table": "hwmodels.workload.table",
    "network": "hwmodels.workload.zoo",
    "sweep": "hwmodels.by_name",
}


def __getattr__(name: str) -> Any:
    """Public names on first use, so that importing the package stays cheap."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("codesign")
    raise AttributeError(f"module 'hwmodels' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion."""
    return list(__all__)
