"""Where a run was made: versions, processor and instruction set, and how they differ from those at hand.

Equal versions under one instruction set give equal trainings on every processor (`codesign.executor.portable`); so a
run goes on elsewhere only under the versions it began with, and where the processor or its instruction set differs, one
line says so.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["changed_host", "changed_keys", "first_difference", "host"]

_INSTRUCTION_SETS = (("avx512f", "avx512"), ("avx2", "avx2"))


def host() -> dict[str, str]:
    """The processor, and the instruction set that trainings use in this process: the pinned one, or its widest."""
    from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

    features = get_host_cpu_features()
    widest = next((name for feature, name in _INSTRUCTION_SETS if features.get(feature)), platform.machine())
    return {
        "processor": _processor() or get_host_cpu_name(),
        "instruction_set": os.environ.get("ATEN_CPU_CAPABILITY", widest),
    }


def _processor() -> str:
    """The name that Linux gives the processor; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def changed_host(began: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """One line where the processor or its instruction set is another one than when the run began."""
    first, here = began.get("host"), now.get("host")
    if not isinstance(first, Mapping) or not isinstance(here, Mapping) or dict(first) == dict(here):
        return ()
    told = " and ".join(
        f"{name.replace('_', ' ')} {first.get(name)} (here {here.get(name)})"
        for name in here
        if first.get(name) != here.get(name)
    )
    same = first.get("instruction_set") == here.get("instruction_set")
    effect = "trainings under one instruction set end alike" if same else "trainings may end with other weights"
    return (f"the run began on {told}: {effect}",)


def first_difference(key: str, began: Any, now: Any) -> tuple[str, Any, Any] | None:
    """Where two values of a manifest differ first: the dotted key, and both values there; None where they are equal.

    >>> first_difference("device", {"clock_hz": 1.0, "tiles": 4}, {"clock_hz": 1.0, "tiles": 8})
    ('device.tiles', 4, 8)
    """
    if not isinstance(began, Mapping) or not isinstance(now, Mapping):
        return None if began == now else (key, began, now)
    for name in (*began, *(name for name in now if name not in began)):
        found = first_difference(f"{key}.{name}", began.get(name), now.get(name))
        if found is not None:
            return found
    return None


def changed_keys(began: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """One line that lists what the report is made with and the run was not: versions, models, devices, data."""
    found = []
    for key in ("family", "model_version", "device", "data"):
        if began.get(key) != now.get(key):
            short = key in ("family", "model_version")
            found.append(f"{key} {began.get(key)} (here {now.get(key)})" if short else f"another {key}")
    first = began.get("versions")
    first = first if isinstance(first, Mapping) else {}
    for name, number in now["versions"].items():
        if first.get(name) != number:
            found.append(f"{name} {first.get(name)} (here {number})")
    return (f"the run was made with {', '.join(found)}: costs that are computed again may differ",) if found else ()
