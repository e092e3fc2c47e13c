"""What a network costs on a piece of hardware: analytic, numba-accelerated cost models behind one interface.

>>> from hwmodels import device, network
>>> from hwmodels.evaluate import evaluate
>>> chip = device("systolic_edge")
>>> report = evaluate(network("resnet18"), chip.model, chip.spec)
>>> sorted(report.breakdown()) == sorted(chip.model.energy_terms)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "SpecError": "hwmodels.errors",
    "device": "hwmodels.catalog",
    "device_names": "hwmodels.catalog",
    "families": "hwmodels.families.base",
    "family": "hwmodels.families.base",
    "from_hf_config": "hwmodels.workload.from_hf_config",
    "from_onnx": "hwmodels.workload.from_onnx",
    "from_torch": "hwmodels.workload.from_torch",
    "layer_table": "hwmodels.workload.table",
    "network": "hwmodels.workload.zoo",
}

__all__ = [
    "SpecError",
    "device",
    "device_names",
    "families",
    "family",
    "from_hf_config",
    "from_onnx",
    "from_torch",
    "layer_table",
    "network",
]


def __getattr__(name: str) -> Any:
    """Public names on first use, so that importing the package stays cheap."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hwmodels' has no attribute {name!r}")
