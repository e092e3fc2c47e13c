"""Devices by name: one YAML file each, every number with its source.

A device file names a family and its knobs::

    name: isaac
    family: crossbar
    summary: one line
    runtime: what executes the networks, where the numbers hold for one (optional)
    knobs:
      array_rows: {value: 128, source: "[ISAAC] Table I", verified: true}

A knob that the file does not name keeps the default of the family's Spec, which states its source.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel, families, family
from hwmodels.families.spec import Spec

__all__ = [
    "Device", "MeasuredError", "device", "device_names", "device_template", "devices_of", "load_device",
    "measured_errors",
]  # fmt: skip


@dataclass(frozen=True)
class Device:
    """A named point of a family's space. `sources` and `verified` are by knob.

    runtime : what executes the networks, as "ncnn"; empty where the hardware alone is meant.
    """

    name: str
    summary: str
    model: CostModel
    spec: Spec
    sources: dict[str, str]
    verified: dict[str, bool]
    runtime: str = ""


@cache
def device_names() -> tuple[str, ...]:
    """Names of the devices that ship, in alphabetical order."""
    folder = files("hwmodels") / "catalog"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))


class MeasuredError(NamedTuple):
    """How far predictions for a device, as the catalogue has it, are from what somebody measured on it.

    set, group : the published table and the column in it, as `codesign validate` names them. rows : networks or
    operators compared. median_error_percent : of the metric, nothing fitted on the device.
    """

    metric: str
    set: str
    group: str
    rows: int
    median_error_percent: float


@cache
def measured_errors(name: str) -> tuple[MeasuredError, ...]:
    """What `codesign validate` finds of a catalogue device, set by set; empty where nothing is known.

    >>> measured_errors("galaxy_note10")[0].median_error_percent
    4.9
    """
    text = (files("hwmodels") / "catalog" / "measured_errors.csv").read_text(encoding="utf-8")
    return tuple(
        MeasuredError(row["metric"], row["set"], row["group"], int(row["rows"]), float(row["median_error_percent"]))
        for row in csv.DictReader(text.splitlines())
        if row["device"] == name
    )


def device(name: str) -> Device:
    """A catalogue device by name, or one from a YAML file where `name` ends in .yaml.

    Raises
    ------
    SpecError : unknown name, missing file, or a bad entry (file, key, what is allowed).
    """
    if name.endswith((".yaml", ".yml")):
        return load_device(Path(name))
    if name not in device_names():
        raise SpecError.unknown("device", name, device_names())
    return _shipped(name)


@cache
def _shipped(name: str) -> Device:
    """A file of the package, which does not change while it is in use."""
    return load_device(Path(str(files("hwmodels") / "catalog" / f"{name}.yaml")))


def devices_of(family_name: str, *, where: str = "family") -> list[Device]:
    """The devices of one family that ship, in alphabetical order.

    Raises
    ------
    SpecError : an unknown family, with the nearest match.

    >>> [found.name for found in devices_of("spatial")][:2]
    ['eyeriss_like', 'gemmini_like']
    """
    if family_name not in families():
        raise SpecError.unknown(where, family_name, families())
    return [found for found in map(device, device_names()) if found.model.name == family_name]


def load_device(path: Path) -> Device:
    """Read and check one device file."""
    from hwmodels.documents import read_yaml

    content = read_yaml(path)
    if not isinstance(content, dict):
        raise SpecError(str(path), content, "a mapping with name, family, summary and knobs")
    allowed = ("name", "family", "summary", "runtime", "knobs")
    for key in content:
        if key not in allowed:
            raise SpecError.unknown(str(path), str(key), allowed)
    if content.get("family") not in families():
        raise SpecError.unknown(f"{path}: family", str(content.get("family")), families())
    model = family(content["family"])
    knobs = content.get("knobs") or {}
    if not isinstance(knobs, dict):
        raise SpecError(f"{path}: knobs", knobs, "a mapping of knobs")
    values = {name: _value(entry, f"{path}: {name}") for name, entry in knobs.items()}
    return Device(
        name=str(content.get("name", path.stem)),
        summary=str(content.get("summary", "")),
        model=model,
        spec=model.spec.parse(values, where=str(path)),
        sources={name: str(entry["source"]) for name, entry in knobs.items()},
        verified={name: bool(entry.get("verified", False)) for name, entry in knobs.items()},
        runtime=str(content.get("runtime") or ""),
    )


def device_template(like: Device, *, name: str) -> str:
    """A device file with every knob of the family at the values of `like`: its meaning, unit and range as comments.

    A knob's source is that of `like`, or of the family's default where `like` does not set it.
    """
    import yaml

    lines = [f"name: {name}", f"family: {like.model.name}", f"summary: like {like.name}"]
    lines += [*([f"runtime: {like.runtime}"] if like.runtime else []), "knobs:"]
    for knob in type(like.spec).knobs().values():
        value = like.spec.values()[knob.name]
        allowed = f"one of {', '.join(map(str, knob.choices))}" if knob.choices else f"{knob.low:g} to {knob.high:g}"
        plausible = "" if knob.plausible is None else "; plausible {:g} to {:g}".format(*knob.plausible)
        entry = {"value": value, "source": like.sources.get(knob.name, knob.source)}
        written = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
        lines.append(f"  # {knob.meaning}{f' [{knob.unit}]' if knob.unit else ''} ({allowed}{plausible})")
        lines.append(f"  {knob.name}: {written.strip()}")
    return "\n".join(lines) + "\n"


def _value(entry: Any, where: str) -> Any:
    if not isinstance(entry, dict) or not {"value", "source"} <= set(entry) or not str(entry["source"] or "").strip():
        raise SpecError(where, entry, "a mapping with value and source")
    for key in entry:
        if key not in ("value", "source", "verified"):
            if str(key)[:1].isdigit():
                raise SpecError(where, f"{entry['value']},{key}", "a number", "decimals follow a point")
            raise SpecError.unknown(where, str(key), ("value", "source", "verified"))
    return entry["value"]
