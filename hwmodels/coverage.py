"""What measurements cover: the operators, sizes and conditions that a calibrated device rests on.

`Coverage.outside` says what a later prediction extrapolates. It is kept beside the device file, as
``<stem>.coverage.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwmodels.cost import kind_of
from hwmodels.errors import SpecError
from hwmodels.files import strict_json, write_text
from hwmodels.measurements import Measurement, workload_of
from hwmodels.workload.graph import Workload

__all__ = ["Coverage", "coverage_of", "read_coverage", "write_coverage"]


@dataclass(frozen=True)
class Coverage:
    """What was measured: (smallest, largest) MACs or elements by kind of operator, and the conditions."""

    kinds: Mapping[str, tuple[float, float]]
    conditions: Mapping[str, tuple[str, ...]]

    def outside(self, workload: Workload, *, conditions: Mapping[str, Any] | None = None) -> list[str]:
        """What of `workload` lies outside, in words; empty where nothing is extrapolated.

        A size counts as seen within a factor of two of the measured range. `conditions` are those of the prediction
        (batch, threads, runtime, precision, context), as far as they are known.
        """
        found = [
            f"{name} {value} was not measured, {', '.join(self.conditions[name])} was"
            for name, value in (conditions or {}).items()
            if name in self.conditions and str(value) not in self.conditions[name]
        ]
        for kind, (low, high) in _sizes(workload).items():
            if kind not in self.kinds:
                found.append(f"no {kind} was measured")
                continue
            seen_low, seen_high = self.kinds[kind]
            if low < seen_low / 2 or high > seen_high * 2:
                found.append(f"{kind}: {low:.3g} to {high:.3g} operations, measured {seen_low:.3g} to {seen_high:.3g}")
        return found


def coverage_of(measurements: Sequence[Measurement]) -> Coverage:
    """The operators, sizes and conditions of measurements."""
    kinds: dict[str, tuple[float, float]] = {}
    for workload in {id(w): w for w in map(workload_of, measurements)}.values():
        for kind, (low, high) in _sizes(workload).items():
            seen_low, seen_high = kinds.get(kind, (low, high))
            kinds[kind] = (min(low, seen_low), max(high, seen_high))
    conditions = {
        name: tuple(sorted({str(getattr(measurement, name)) for measurement in measurements}))
        for name in ("batch", "threads", "runtime", "precision", "context")
    }
    return Coverage(kinds, conditions)


def write_coverage(coverage: Coverage, device_file: Path) -> None:
    """Keep what a device rests on beside its file."""
    covered = {
        "kinds": {kind: list(sizes) for kind, sizes in coverage.kinds.items()},
        "conditions": {name: list(values) for name, values in coverage.conditions.items()},
    }
    write_text(_path(device_file), strict_json(covered, indent=1))


def read_coverage(device_file: Path) -> Coverage | None:
    """What the device of a file was calibrated on, or None where nothing is recorded.

    Raises
    ------
    SpecError : a record that is damaged.
    """
    recorded = _path(device_file)
    if not recorded.is_file():
        return None
    try:
        content = json.loads(recorded.read_text(encoding="utf-8"))
        return Coverage(
            {str(kind): (float(low), float(high)) for kind, (low, high) in content["kinds"].items()},
            {str(name): tuple(map(str, values)) for name, values in content["conditions"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SpecError(str(recorded), "its content", "what `codesign calibrate` wrote") from None


def _path(device_file: Path) -> Path:
    return device_file.with_suffix(".coverage.json")


def _sizes(workload: Workload) -> dict[str, tuple[float, float]]:
    """(smallest, largest) MACs, or elements of layers without, by kind of operator."""
    sizes: dict[str, tuple[float, float]] = {}
    for _, row in workload.rows():
        kind, size = kind_of(row), float(row.macs or max(row.input_elements, row.output_elements))
        low, high = sizes.get(kind, (size, size))
        sizes[kind] = (min(low, size), max(high, size))
    return sizes
