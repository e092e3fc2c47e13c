"""What is registered, as records for lists: each plug-in with its settings, each hardware family with its metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codesign.registry import SPACES, Plugin, Registry
from hwmodels.documents import parse_yaml
from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel
from hwmodels.units import split_unit

if TYPE_CHECKING:
    from codesign.space.architecture import ArchitectureSpace

__all__ = ["family_record", "plugin_record", "plugin_records", "setting_records", "space_record"]

_LIMITS = {
    "minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<", "minItems": "items >=",
}  # fmt: skip


def plugin_records(registry: Registry) -> list[dict[str, Any]]:
    """Every plug-in of a registry, by name."""
    return [plugin_record(name, registry[name]) for name in registry.names()]


def space_record(
    name: str, settings: Sequence[str], *, data: str = "digits", sample: int = 3, seed: int = 0
) -> dict[str, Any]:
    """A space with some of its networks.

    Parameters
    ----------
    settings : assignments as ``width=[8,16]``, their values in YAML. data : name of a data set without files.

    Raises
    ------
    SpecError : an unknown space, setting or data set, or a value that does not fit.
    """
    import numpy as np

    from codesign.data import load

    section: dict[str, Any] = {SPACES.key: name}
    for assignment in settings:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise SpecError("--set", assignment, "an assignment as width=[8,16]")
        section[key.strip()] = parse_yaml(text, where=f"--set {key.strip()}")
    space: ArchitectureSpace = SPACES.parse(section, "space").make(load(data))
    drawn = space.sample(sample, np.random.default_rng(seed)) if sample else np.empty((0, space.n_genes), np.int64)
    networks = [(space.describe(point), space.workload(point)) for point in drawn]
    return {
        "name": name,
        "meaning": SPACES[name].meaning,
        "points": space.size,
        "genes": [{"name": gene.name, "choices": list(gene.choices)} for gene in space.genes],
        "networks": [
            {"network": described, "parameters": workload.parameters, "macs": workload.macs}
            for described, workload in networks
        ],
    }


def plugin_record(name: str, plugin: Plugin) -> dict[str, Any]:
    """Name, meaning, and the settings: name, type, default, bounds and meaning of each."""
    schema = plugin.settings.model_json_schema()
    return {"name": name, "meaning": plugin.meaning, "settings": setting_records(schema)}


def setting_records(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keys of a JSON schema: name, type, default, bounds and meaning; those of a section as ``section.key``."""
    return list(_settings(schema, schema.get("$defs", {}), ""))


def _settings(schema: Mapping[str, Any], parts: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    """Settings of a JSON schema, those of a section under ``section.key``."""
    required = schema.get("required", [])
    for key, field in schema.get("properties", {}).items():
        name = prefix + key
        kinds = [_resolved(kind, parts) for kind in field.get("anyOf", [field])]
        told = next((kind for kind in kinds if kind.get("type") != "null"), {})
        yield {
            "name": name,
            "type": told.get("type", "any"),
            "default": "required" if key in required else field.get("default"),
            "bounds": _bounds(told),
            "meaning": field.get("description") or told.get("description", ""),
        }
        if "properties" in told:
            yield from _settings(told, parts, f"{name}.")


def _resolved(kind: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = kind.get("$ref")
    resolved: Mapping[str, Any] = parts[reference.rpartition("/")[2]] if reference else kind
    return resolved


def _bounds(kind: Mapping[str, Any]) -> str:
    if "enum" in kind:
        return "one of " + ", ".join(map(str, kind["enum"]))
    found = [f"{sign} {kind[limit]:g}" for limit, sign in _LIMITS.items() if limit in kind]
    if "items" in kind and (inner := _bounds(kind["items"])):
        found.append(f"each {inner}")
    return ", ".join(found)


def family_record(model: CostModel) -> dict[str, Any]:
    """Name, meaning, number of knobs, and the metrics with unit and the direction that is better."""
    return {
        "name": model.name,
        "meaning": model.meaning,
        "knobs": len(model.spec.knobs()),
        "metrics": [
            {
                "name": metric.name,
                "unit": split_unit(metric.name)[1],
                "better": metric.better,
                "meaning": metric.meaning,
            }
            for metric in model.metrics
        ],
    }
