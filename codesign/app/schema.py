"""JSON schemas of the files that people write: run files and device files, out of the models that check them.

An editor completes and checks a file by its schema. What a schema cannot say stays with the loader: units of limits,
names of metrics, knob values of one device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import create_model

from codesign.app.config import PLUGIN_SECTIONS, RunConfig
from codesign.app.listing import plugin_record, setting_records
from codesign.registry import Chosen, Registry, Settings
from hwmodels.families.base import CostModel

__all__ = ["device_schema", "run_records", "run_schema"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_QUANTITY = {"anyOf": [{"type": "number"}, {"type": "string", "description": "a number with its unit"}]}


def run_schema() -> dict[str, Any]:
    """The schema of a run file, with every registered plug-in.

    >>> sorted(run_schema()["required"])
    ['architecture']
    """
    schema = _own_sections()
    parts = schema.setdefault("$defs", {})
    sections = {key: _section(registry, default, parts) for key, (registry, default) in PLUGIN_SECTIONS.items()}
    properties = {
        name: {**sections.get(name, {}), **schema["properties"].get(name, {})} for name in RunConfig.model_fields
    }
    properties["rate_hz"] = {**properties["rate_hz"], "anyOf": [*_QUANTITY["anyOf"], {"type": "null"}]}
    one = {"$ref": "#/$defs/HardwareConfig"}
    several = {"type": "array", "items": one, "minItems": 2, "description": "one run for each, see `search`"}
    properties["hardware"] = {**properties["hardware"], "anyOf": [one, several, {"type": "null"}]}
    required = [key for key, (_, default) in PLUGIN_SECTIONS.items() if default is None]
    return {"$schema": _DRAFT, **schema, "title": "run file", "properties": properties, "required": required}


def run_records(config: RunConfig) -> list[dict[str, Any]]:
    """Every key of a run file as `setting_records` has them, with the keys of the plug-ins that this run names."""
    records = setting_records(_own_sections())
    for key, (registry, default) in PLUGIN_SECTIONS.items():
        chosen = getattr(config, key)
        names = ", ".join(registry.names())
        start = "required" if default is None else default
        if isinstance(chosen, Chosen):
            told = plugin_record(chosen.name, registry[chosen.name])
            name = {"name": registry.key, "type": "any", "default": start, "bounds": f"one of {names}"}
            own = [{**name, "meaning": told["meaning"]}, *told["settings"]]
            records += [{**record, "name": f"{key}.{record['name']}"} for record in own]
    return records


def device_schema(model: CostModel) -> dict[str, Any]:
    """The schema of a device file of one family: every knob with unit, bounds, default, meaning and source."""
    knobs = {}
    for name, knob in model.spec.knobs().items():
        value: dict[str, Any]
        if knob.choices:
            value = {"enum": list(knob.choices)}
        elif isinstance(knob.default, bool):
            value = {"type": "boolean"}
        else:
            number = {"type": "number", "minimum": knob.low, "maximum": knob.high}
            value = {
                "anyOf": [number, {"type": "string", "description": f"a number with its unit, {knob.unit or '%'}"}]
            }
        unit = f" [{knob.unit}]" if knob.unit else ""
        knobs[name] = {
            "description": f"{knob.meaning}{unit}",
            "type": "object",
            "properties": {
                "value": {**value, "default": knob.default},
                "source": {"type": "string", "minLength": 1, "description": "where the number comes from"},
                "verified": {"type": "boolean", "description": "read in the source by whoever wrote the file"},
            },
            "required": ["value", "source"],
            "additionalProperties": False,
        }
    text = {"type": "string"}
    return {
        "$schema": _DRAFT,
        "title": f"device file of the family {model.name}",
        "description": model.meaning,
        "type": "object",
        "properties": {
            "name": text,
            "family": {"const": model.name},
            "summary": {**text, "description": "one line"},
            "runtime": {"type": ["string", "null"], "description": "what executes the networks"},
            "knobs": {"type": "object", "properties": knobs, "additionalProperties": False},
        },
        "required": ["family"],
        "additionalProperties": False,
    }


def _own_sections() -> dict[str, Any]:
    """The schema of what a run file holds beside plug-ins; objectives have a default of the family."""
    fields: Mapping[str, Any] = {
        name: (field.annotation, field) for name, field in RunConfig.model_fields.items() if name not in PLUGIN_SECTIONS
    }
    model: type[Settings] = create_model("RunFile", __base__=Settings, **fields)
    schema = model.model_json_schema()
    schema["required"] = []
    schema["properties"]["objectives"]["default"] = None
    return schema


def _section(registry: Registry, default: str | None, parts: dict[str, Any]) -> dict[str, Any]:
    """One section: the name of a plug-in alone, or a mapping of its name and its settings."""
    variants: list[dict[str, Any]] = [{"enum": list(registry.names())}]
    for name in registry.names():
        plugin = registry[name]
        told = plugin.settings.model_json_schema()
        parts |= told.pop("$defs", {})
        named = {registry.key: {"const": name}}
        variants.append(
            {
                "description": plugin.meaning,
                "type": "object",
                "properties": {**named, **told.get("properties", {})},
                "required": [*([] if name == default else [registry.key]), *told.get("required", [])],
                "additionalProperties": False,
            }
        )
    return {"anyOf": variants}
