"""The configuration of a run: one YAML file, unknown keys are errors, every key has bounds and a meaning.

A cost limit may be written with its unit (``latency_s: 2 ms``); the unit must be that of the key's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field, InstanceOf, PlainSerializer, ValidationError

from codesign.registry import (
    ESTIMATORS,
    EXECUTORS,
    SPACES,
    STRATEGIES,
    Chosen,
    Given,
    Registry,
    Settings,
    complaint,
)
from codesign.space.mixed_bits import MixedBits
from codesign.space.recipe_choices import RecipeChoices
from hwmodels import units
from hwmodels.documents import parse_yaml, read_yaml
from hwmodels.errors import SpecError, nearest
from hwmodels.rate import at_rate
from hwmodels.units import split_unit

if TYPE_CHECKING:
    from hwmodels.families.base import CostModel

__all__ = [
    "PLUGIN_SECTIONS",
    "DataConfig",
    "FastConfig",
    "HardwareConfig",
    "RunConfig",
    "SlowConfig",
    "WarmStart",
    "default_objectives",
    "load_config",
    "parse_config",
    "parse_limit",
    "parse_quantity",
    "read_run_file",
]


class DataConfig(Settings):
    """What to train on."""

    name: Literal[
        "arrays",
        "cifar10",
        "cifar100",
        "digit-sequences",
        "digits",
        "faces",
        "fashion-mnist",
        "folder",
        "keywords",
        "mnist5k",
        "noisy-digits",
        "photographs",
        "retina",
        "table",
        "text",
        "tissue",
    ] = Field("digits", description="data set, of a package, published files or own")
    root: Path | None = Field(None, description="its folder or file; what comes with a package needs none")
    size: int | None = Field(None, ge=1, le=1_024, description="height and width in pixels; 32, of photographs 48")
    colour: bool | None = Field(None, description="three channels, or one; three, of the tissue one")
    label: str | None = Field(None, description="of a table: the column that is asked for; label")
    task: Literal["classification", "regression"] | None = Field(
        None, description="of a table: classes or numbers are asked for; classes"
    )
    length: int | None = Field(None, ge=2, le=65_536, description="of a text: bytes that are read at once; 64")
    split: Literal["parts", "whole"] | None = Field(
        None, description="of a table: 60, 20 and 20 %, or the whole of it as each part; parts"
    )


class HardwareConfig(Settings):
    """A device, or several to choose from, and the knobs to search."""

    device: str | Annotated[list[str], Field(min_length=1, max_length=1_000)] = Field(
        description="catalogue name or YAML file; a list of one family makes the device a choice of the search"
    )
    knobs: dict[str, Annotated[list[Any], Field(min_length=1, max_length=10_000)]] = Field(
        default_factory=dict, description="knob -> values; none fixes the hardware"
    )
    search: Literal["joint", "inner", "front"] = Field(
        "joint", description="sampled with the network, optimised for each, or every design of the grid for each"
    )


class FastConfig(Settings):
    """Cost only."""

    pairs: int = Field(100_000, ge=1, le=10_000_000, description="pairs a generation")
    pruning: Literal["sound", "aggressive"] = Field("sound", description="aggressive guesses by capacity, too")
    audits: int = Field(2, ge=0, le=10_000, description="guessed-away pairs trained a generation, to measure the loss")


class SlowConfig(Settings):
    """Training and accuracy."""

    trainings: int = Field(4, ge=1, le=10_000, description="networks trained a generation")
    classes: int = Field(4, ge=1, le=10_000, description="numerics evaluated a network and generation")
    selection: Literal["surrogate", "stratified", "random", "strategy"] = Field(
        "stratified", description="which survivors are trained, or whether the strategy names them"
    )
    fidelity: float = Field(1.0, gt=0, le=1, description="share of the full training")


class WarmStart(Settings):
    """What the first generation proposes in place of the strategy."""

    run: Path | None = Field(None, description="an earlier run, whose front is carried over")
    most: int = Field(64, ge=1, le=10_000, description="pairs of its front that are, evenly along it")
    points: list[list[int]] = Field(
        default_factory=list,
        description="genotypes of this run's space, -1 for a knob to draw; found in the earlier run unless given",
    )


PluginSection = Annotated[InstanceOf[Chosen] | InstanceOf[Given], PlainSerializer(lambda plugin: plugin.section())]
"""A plug-in or an object in its place; in a manifest, the section that says it."""


class RunConfig(Settings):
    """A two-level co-design run."""

    seed: int = Field(0, ge=0, lt=2**63, description="of everything that is drawn: the same seed, the same run")
    generations: int = Field(5, ge=1, le=1_000_000, description="rounds of FAST and SLOW")
    data: DataConfig = DataConfig()
    architecture: PluginSection
    mixed_bits: MixedBits | None = Field(None, description="bits of layers as decisions of the search, over any space")
    recipe_choices: RecipeChoices | None = Field(
        None, description="how a network is trained as decisions of the search, over any space"
    )
    hardware: HardwareConfig | None = Field(None, description="device and knobs; none searches networks alone")
    host: str | None = Field(None, description="device of the family cpu that this runs on: the energy of the search")
    runtime: Literal["compiled", "eager"] = Field("compiled", description="dead branches and fusion, see rewrite")
    batch: int = Field(1, ge=1, le=1_000_000, description="items a batch, for the costs")
    rate_hz: float | None = Field(
        None,
        gt=0,
        le=1e12,
        description="items a second that arrive: adds average_power_w, rules out what is slower",
    )
    objectives: list[str] = Field(
        min_length=1, max_length=16, description="costs beside the error; by default those of the family"
    )
    constraints: dict[str, float | str] = Field(
        default_factory=dict,
        description="cost -> largest value, or smallest where more is better or it says >=; metric of the task -> "
        "value with >= or <= before it",
    )
    tightening: dict[str, float | str] = Field(
        default_factory=dict,
        description="cost -> where its constraint begins, looser: it closes over the generations, evenly in logarithms",
    )
    enough: int = Field(0, ge=0, le=1_000_000, description="pairs on the front after which the run ends; 0 goes on")
    least_accuracy: float = Field(0.0, ge=0, le=1, description="short for a constraint, accuracy: '>= ...'")
    strategy: PluginSection
    warm_start: WarmStart | None = Field(
        None,
        description="pairs that the first generation proposes, such as the front of a run on other data or devices",
    )
    estimator: PluginSection
    fast: FastConfig = FastConfig()
    slow: SlowConfig = SlowConfig()
    executor: PluginSection


class _PluginKey(NamedTuple):
    """A section that a registry reads; `default` names the plug-in of a section that names none."""

    registry: Registry
    default: str | None


PLUGIN_SECTIONS = {
    "architecture": _PluginKey(SPACES, None),
    "strategy": _PluginKey(STRATEGIES, "nsga2"),
    "estimator": _PluginKey(ESTIMATORS, "training"),
    "executor": _PluginKey(EXECUTORS, "process"),
}
"""The sections of a run file that a registry reads."""


def parse_quantity(value: Any, name: str, where: str) -> float:
    """A number above zero in the unit of `name`, or a text with that unit and a prefix.

    >>> parse_quantity("2 ms", "latency_s", "a.yaml")
    0.002
    """
    number = units.parse_quantity(value, split_unit(name)[1], where=f"{where}: {name}")
    if not number > 0:
        raise SpecError(f"{where}: {name}", value, "> 0")
    return number


def parse_limit(value: Any, name: str, where: str) -> float | str:
    """A bound in the unit of `name`: a number where the metric's own direction holds, else with >= or <= before it.

    >>> parse_limit("<= 2 ms", "latency_s", "a.yaml")
    '<= 0.002'
    """
    text = value.strip() if isinstance(value, str) else ""
    if text[:2] in (">=", "<="):
        return f"{text[:2]} {parse_quantity(text[2:], name, where)!r}"
    return parse_quantity(value, name, where)


def read_run_file(path: Path, overrides: Sequence[str] = ()) -> Any:
    """What a YAML file holds, unchecked; `overrides` are dotted assignments as ``slow.trainings=8``.

    Raises
    ------
    SpecError : missing file, YAML that does not parse, an assignment that is none.
    """
    if not path.is_file():
        siblings = [other.name for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        match = nearest(path.name, siblings)
        raise SpecError(str(path), "the file", "there", f"did you mean {path.parent / match}?" if match else None)
    content = read_yaml(path)
    for override in overrides:
        _assign(content, override, where=str(path))
    return content


def load_config(path: Path, overrides: Sequence[str] = (), *, objects: Mapping[str, Any] | None = None) -> RunConfig:
    """Read and check a YAML file; `overrides` as of `read_run_file`, `objects` as of `parse_config`.

    Raises
    ------
    SpecError : missing file, YAML that does not parse, unknown key, wrong type, unit or bound.
    """
    return parse_config(read_run_file(path, overrides), where=str(path), objects=objects)


def parse_config(content: Any, *, where: str = "configuration", objects: Mapping[str, Any] | None = None) -> RunConfig:
    """A mapping as a checked configuration.

    Parameters
    ----------
    objects : section -> an object, or a name, that takes the place of the section.

    Raises
    ------
    SpecError : unknown key, wrong type, unit or bound.
    """
    if not isinstance(content, dict):
        raise SpecError(where, content, "a mapping of keys to values")
    if isinstance(content.get("hardware"), list):
        what = "a list of sections, which `codesign search` and `config --check` take"
        raise SpecError(f"{where}: hardware", what, "one section")
    content = _with_estimator(content, where)
    content |= _parsed_plugins(content, where, objects or {})
    if "objectives" not in content:
        content["objectives"] = default_objectives(content.get("hardware"))
    if isinstance(content.get("rate_hz"), str):
        content["rate_hz"] = units.parse_quantity(content["rate_hz"], "Hz", where=f"{where}: rate_hz")
    limits = content.get("constraints")
    if isinstance(limits, dict):
        _check_names(limits, content.get("hardware"), where, rate_hz=content.get("rate_hz"))
        checked = {str(k): parse_limit(v, str(k), f"{where}: constraints") for k, v in limits.items()}
        content = {**content, "constraints": checked}
    begins = content.get("tightening")
    if isinstance(begins, dict):
        _check_names(begins, content.get("hardware"), where, rate_hz=content.get("rate_hz"))
        starts = {str(k): parse_quantity(v, str(k), f"{where}: tightening") for k, v in begins.items()}
        content = {**content, "tightening": starts}
    try:
        return RunConfig(**content)
    except ValidationError as error:
        raise complaint(error, f"{where}: ", RunConfig) from None


def _parsed_plugins(content: Mapping[str, Any], where: str, objects: Mapping[str, Any]) -> dict[str, Chosen | Given]:
    """The sections of plug-ins, checked by their registries."""
    found: dict[str, Chosen | Given] = {}
    for key, (registry, default) in PLUGIN_SECTIONS.items():
        section = objects.get(key, content.get(key))
        space = found.get("architecture")
        if key == "estimator" and isinstance(space, Chosen):
            default = SPACES[space.name].estimator
        if key in objects and not isinstance(section, str | Mapping):
            found[key] = Given.of(registry, section)
        elif section is not None or default is not None:
            found[key] = registry.parse({} if section is None else section, f"{where}: {key}", default=default)
    return found


def default_objectives(hardware: Any) -> list[str]:
    """What the family of a run's hardware optimises where the run names nothing.

    Raises
    ------
    SpecError : an unknown device.
    """
    # Whatever else the section holds is refused where it is checked.
    return list(_model_of(hardware).objectives)


def _model_of(hardware: Any) -> CostModel:
    """The family of a run's hardware, of its first device where it names several."""
    from hwmodels.catalog import device
    from hwmodels.families.none import NO_HARDWARE

    named = hardware.get("device") if isinstance(hardware, Mapping) else None
    first = named[0] if isinstance(named, list) and named else named
    return device(first).model if isinstance(first, str) else NO_HARDWARE


def _check_names(limits: Mapping[Any, Any], hardware: Any, where: str, *, rate_hz: Any) -> None:
    """A constraint that names no metric is refused for its name, before anything is made of its value.

    What says >= or <= may be a metric of the task, which the estimator knows.
    """
    if hardware is not None and not (isinstance(hardware, Mapping) and isinstance(hardware.get("device"), str | list)):
        return
    names = at_rate(_model_of(hardware), rate_hz if isinstance(rate_hz, int | float) else None).names
    for name, bound in limits.items():
        if name not in names and str(bound).strip()[:2] not in ("<=", ">="):
            raise SpecError.unknown(f"{where}: constraints", str(name), (*names, "accuracy: '>= 0.9'"))


_MOVED = ("recipe", "draws")


def _with_estimator(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`slow.recipe` and `slow.draws`, where they stood in earlier versions, as keys of the training estimator.

    Raises
    ------
    SpecError : an estimator beside them that does not train.
    """
    slow = content.get("slow")
    moved = {key: slow[key] for key in _MOVED if key in slow} if isinstance(slow, dict) else {}
    if not isinstance(slow, dict) or not moved:
        return dict(content)
    estimator = content.get("estimator", {})
    estimator = {"name": estimator} if isinstance(estimator, str) else estimator
    if not isinstance(estimator, dict) or estimator.get("name", "training") != "training":
        raise SpecError(f"{where}: slow.{next(iter(moved))}", "given", "a key of this estimator: only training has it")
    recipes = [section["recipe"] for section in (estimator, moved) if isinstance(section.get("recipe"), dict)]
    if len(recipes) == 2:
        moved["recipe"] = {**recipes[0], **recipes[1]}
    rest = {key: value for key, value in slow.items() if key not in moved}
    return {**content, "slow": rest, "estimator": {"name": "training", **estimator, **moved}}


def _assign(content: Any, override: str, *, where: str) -> None:
    """Set one key in the content of a file, in place."""
    key, equals, text = override.partition("=")
    if not equals:
        raise SpecError("--set", override, "an assignment as slow.trainings=8")
    if not isinstance(content, dict):
        raise SpecError(where, content, "a mapping of keys to values")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise SpecError("--set", key, f"a key below {parent}")
    content[last] = parse_yaml(text, where=f"--set {key}")
