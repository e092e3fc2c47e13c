"""What a run can be made of, by name: spaces, strategies, estimators and executors, built in or of other packages.

A plug-in is a record named in a table here, or an entry point of an installed package in the group of the registry.
Its module is imported when its name is used, not before. Its settings are a pydantic model beside the code that they
set; a run file, the command line and the benchmarks know of plug-ins what is registered here and nothing else.

What `make` is given beside its settings: a space the `codesign.data.Dataset` of the run, a strategy or an estimator
the `codesign.strategy.base.Problem`, an executor None. Modules of estimators import torch inside `make`: a run chooses
the instruction set of its trainings before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from hwmodels.errors import SpecError
from hwmodels.plugins import installed

__all__ = [
    "ESTIMATORS",
    "EXECUTORS",
    "REGISTRIES",
    "SPACES",
    "STRATEGIES",
    "Chosen",
    "Given",
    "Plugin",
    "Registry",
    "Settings",
    "complaint",
]


class Settings(BaseModel):
    """Settings of a plug-in or a section of a run file: frozen, without further keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Plugin(NamedTuple):
    """One item of a registry.

    settings : its keys in a run file, each with a default or required, bounds and a meaning.
    make : (settings, what the module says) -> the item. meaning : one line for lists.
    estimator : of a space, what judges its networks in a run that names no estimator.
    """

    settings: type[BaseModel]
    make: Callable[[Any, Any], Any]
    meaning: str
    estimator: str = "training"


class Chosen(NamedTuple):
    """A plug-in by name with its settings, as a section of a run file says it."""

    registry: Registry
    name: str
    settings: Any

    def make(self, problem: Any) -> Any:
        return self.registry[self.name].make(self.settings, problem)

    def section(self) -> dict[str, Any]:
        """As it stands in a run file and in a manifest."""
        return {self.registry.key: self.name, **self.settings.model_dump(mode="json", by_alias=True)}


class Given(NamedTuple):
    """An object passed from Python in place of a plug-in; a manifest keeps the name of its class alone."""

    registry: Registry
    name: str
    item: Any = None

    @classmethod
    def of(cls, registry: Registry, item: Any) -> Given:
        return cls(registry, f"{type(item).__module__}.{type(item).__qualname__}", item)

    def make(self, problem: Any) -> Any:
        """The object.

        Raises
        ------
        SpecError : it comes from a manifest, and nobody has passed it again.
        """
        if self.item is None:
            raise SpecError(self.registry.group, self.name, "there: pass the object again, as when the run began")
        return self.item

    def section(self) -> dict[str, Any]:
        return {"object": self.name}


class Registry:
    """Plug-ins of one kind by name.

    Parameters
    ----------
    group : entry points of other packages. built_in : name -> ``module:attribute`` of a `Plugin`.
    key : the key of a section that names the plug-in.
    """

    def __init__(self, group: str, built_in: Mapping[str, str], *, key: str = "name") -> None:
        self.group, self.key = group, key
        self._built_in = dict(built_in)

    def __repr__(self) -> str:
        return f"Registry({self.group}: {', '.join(self.names())})"

    def names(self) -> tuple[str, ...]:
        """All names, built in and of other packages, in alphabetical order."""
        return tuple(sorted({*self._built_in, *(point.name for point in installed(self.group))}))

    def __getitem__(self, name: str) -> Plugin:
        """The plug-in called `name`.

        Raises
        ------
        SpecError : an unknown name, with the nearest match; one that two packages claim, or that does not load.
        """
        points = [point for point in installed(self.group) if point.name == name]
        if len(points) + (name in self._built_in) > 1:
            raise SpecError(self.group, name, "a name that one package has: it is registered twice")
        if name in self._built_in:
            module, attribute = self._built_in[name].split(":")
            built_in: Plugin = getattr(import_module(module), attribute)
            return built_in
        if not points:
            raise SpecError.unknown(self.group, name, self.names())
        return _loaded(points[0], self.group)

    def parse(self, section: Any, where: str, *, default: str | None = None) -> Chosen | Given:
        """A section of a run file, or a name alone, as a plug-in with checked settings.

        Parameters
        ----------
        where : file and key of the section, for errors. default : the plug-in of a section that names none.

        Raises
        ------
        SpecError : an unknown name or key, a wrong type or bound; one line with the nearest match.
        """
        if isinstance(section, str):
            section = {self.key: section}
        if not isinstance(section, Mapping):
            raise SpecError(where, section, "a mapping")
        if set(section) == {"object"}:
            return Given(self, str(section["object"]))
        name = section.get(self.key, default)
        if name not in self.names():
            raise SpecError.unknown(f"{where}.{self.key}", str(name), self.names())
        plugin = self[name]
        given = {key: value for key, value in section.items() if key != self.key}
        known = plugin.settings.model_fields
        for key in given:
            if key not in known:
                raise SpecError.unknown(where, str(key), [self.key, *known])
        try:
            return Chosen(self, name, plugin.settings(**given))
        except ValidationError as error:
            raise complaint(error, f"{where}.", plugin.settings) from None


def _loaded(point: EntryPoint, group: str) -> Plugin:
    """The plug-in of another package; whatever its import raises becomes one line."""
    try:
        plugin = point.load()
    except Exception as error:
        raise SpecError(
            f"{group}: {point.name}", point.value, "importable", f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(plugin, Plugin):
        raise SpecError(f"{group}: {point.name}", point.value, "a codesign.registry.Plugin")
    return plugin


SPACES = Registry(
    "codesign.spaces",
    {
        "branches": "codesign.space.branches:PLUGIN",
        "cell": "codesign.space.cell:PLUGIN",
        "chain": "codesign.space.chain:PLUGIN",
        "custom": "codesign.space.custom:PLUGIN",
        "evolved": "codesign.space.evolved:PLUGIN",
        "fixed": "codesign.space.fixed:PLUGIN",
        "hierarchical": "codesign.space.hierarchical:PLUGIN",
        "micro": "codesign.space.micro:PLUGIN",
        "mobile": "codesign.space.mobile:PLUGIN",
        "nasbench101": "codesign.space.nasbench101:PLUGIN",
        "neurons": "codesign.space.neurons:PLUGIN",
        "progressive": "codesign.space.progressive:PLUGIN",
        "recurrent": "codesign.space.recurrent:PLUGIN",
        "scaled": "codesign.space.scaled:PLUGIN",
        "super_resolution": "codesign.space.super_resolution:PLUGIN",
        "trained_cells": "codesign.space.trained_cells:PLUGIN",
        "transformer": "codesign.space.transformer:PLUGIN",
        "unet": "codesign.space.unet:PLUGIN",
    },
    key="space",
)
STRATEGIES = Registry(
    "codesign.strategies",
    {
        "bayesian": "codesign.strategy.bayesian:PLUGIN",
        "bohb": "codesign.strategy.bohb:PLUGIN",
        "co_exploration": "codesign.strategy.co_exploration:PLUGIN",
        "darts": "codesign.strategy.differentiable:DARTS",
        "edgenas": "codesign.strategy.differentiable:EDGENAS",
        "enas": "codesign.strategy.enas:PLUGIN",
        "evolution": "codesign.strategy.evolution:PLUGIN",
        "fbnet": "codesign.strategy.differentiable:FBNET",
        "fnas": "codesign.strategy.fnas:PLUGIN",
        "grid": "codesign.strategy.grid:PLUGIN",
        "hardcore": "codesign.strategy.hardcore:PLUGIN",
        "hyperband": "codesign.strategy.halving:HYPERBAND",
        "la_dnas": "codesign.strategy.differentiable:LA_DNAS",
        "hybrid": "codesign.strategy.hybrid:PLUGIN",
        "latin_hypercube": "codesign.strategy.latin_hypercube:PLUGIN",
        "local_search": "codesign.strategy.local_search:PLUGIN",
        "moga": "codesign.strategy.moga:PLUGIN",
        "neat": "codesign.strategy.neat:PLUGIN",
        "netadapt": "codesign.strategy.netadapt:PLUGIN",
        "nsga2": "codesign.strategy.nsga2:PLUGIN",
        "nsga3": "codesign.strategy.nsga3:PLUGIN",
        "pc_darts": "codesign.strategy.differentiable:PC_DARTS",
        "proxyless": "codesign.strategy.differentiable:PROXYLESS",
        "random": "codesign.strategy.random:PLUGIN",
        "regularised_evolution": "codesign.strategy.evolution:PLUGIN",
        "reinforce": "codesign.strategy.reinforce:PLUGIN",
        "successive_halving": "codesign.strategy.halving:PLUGIN",
        "surrogate": "codesign.strategy.surrogate:PLUGIN",
    },
)
ESTIMATORS = Registry(
    "codesign.estimators",
    {
        "analog": "codesign.estimate.analog:PLUGIN",
        "genome": "codesign.estimate.genome:PLUGIN",
        "inheriting": "codesign.estimate.inheriting:PLUGIN",
        "none": "codesign.estimate.cost_only:PLUGIN",
        "own_weights": "codesign.estimate.own_weights:PLUGIN",
        "predictor": "codesign.estimate.predictor:PLUGIN",
        "published": "codesign.estimate.published:PLUGIN",
        "supernet": "codesign.estimate.supernet:PLUGIN",
        "table": "codesign.estimate.tabular:PLUGIN",
        "training": "codesign.estimate.training:PLUGIN",
        "zero_cost": "codesign.estimate.zero_cost:PLUGIN",
    },
)
EXECUTORS = Registry(
    "codesign.executors",
    {
        "process": "codesign.executor.process:PLUGIN",
        "ray": "codesign.executor.ray:PLUGIN",
        "serial": "codesign.executor.serial:PLUGIN",
    },
)
REGISTRIES: Mapping[str, Registry] = {
    "spaces": SPACES,
    "strategies": STRATEGIES,
    "estimators": ESTIMATORS,
    "executors": EXECUTORS,
}


# What pydantic says, in one line.

_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}
_TYPES = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "a text",
    "too_short": "a list of at least one value",
}


def complaint(error: ValidationError, prefix: str, settings: type[BaseModel]) -> SpecError:
    """The first of pydantic's errors as one line with key, allowed values and the nearest match.

    prefix : what comes before the key, as ``"a.yaml: "`` or ``"a.yaml: strategy."``.

    A key that is not known comes before one that is missing: the one is often the other, misspelt.
    """
    found = error.errors()
    detail = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    path = [str(part) for part in detail["loc"]]
    at, kind, context = prefix + ".".join(path), detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        around = prefix + (".".join(path[:-1]) or "key")
        return SpecError.unknown(around, path[-1], _keys_at(detail["loc"], settings))
    if kind == "missing":
        return SpecError(prefix.rstrip(". :"), f"without {'.'.join(path)}", "complete")
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        return SpecError.unknown(at, str(detail["input"]), allowed)
    if kind == "too_long":
        return SpecError(at, f"a list of {context['actual_length']}", f"of at most {context['max_length']} values")
    if kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        return SpecError(at, detail["input"], f"{sign} {context[name]:g}")
    return SpecError(at, detail["input"], _TYPES.get(kind, detail["msg"]))


def _keys_at(location: tuple[int | str, ...], settings: type[BaseModel]) -> list[str]:
    """The keys that the section around `location` takes."""
    section: Any = settings
    for part in location[:-1]:
        if part in section.model_fields:  # not the place in a list, nor the kind among several
            section = _model_of(section.model_fields[part].annotation)
    return [field.alias or name for name, field in section.model_fields.items()]


def _model_of(annotation: Any) -> Any:
    """The model of a field, which may be optional."""
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next(one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel))
