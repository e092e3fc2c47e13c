"""The configuration of a run: one YAML file, unknown keys are errors, every key has bounds and a meaning.

A cost limit may be written with its unit (``latency_s: 2 ms``); the unit must be that of the key's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from codesign.estimate.recipe import Recipe
from hwmodels.errors import SpecError, nearest
from hwmodels.units import PREFIX_SCALES, split_unit

__all__ = [
    "ArchitectureConfig",
    "CellConfig",
    "ChainConfig",
    "DataConfig",
    "EvolutionConfig",
    "ExecutorConfig",
    "FastConfig",
    "HardwareConfig",
    "NSGA2Config",
    "ProcessConfig",
    "RandomConfig",
    "RayConfig",
    "RunConfig",
    "SerialConfig",
    "SlowConfig",
    "StrategyConfig",
    "load_config",
    "parse_config",
    "parse_quantity",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
    """Images to train on."""

    name: Literal["digits", "noisy-digits", "fashion-mnist", "cifar10"] = Field("digits", description="data set")
    root: Path | None = Field(None, description="folder of its files; the digits need none")


class CellConfig(_Section):
    """NAS-Bench-201 cells in a skeleton of chosen size."""

    space: Literal["cell"]
    channels: int = Field(16, ge=1, le=256, description="width of the first stage")
    cells: int = Field(5, ge=1, le=10, description="cells a stage")
    stages: int = Field(3, ge=1, le=4, description="stages, each twice as wide")
    operations: list[str] | None = Field(None, description="operations of an edge; all five by default")


class ChainConfig(_Section):
    """A chain of convolution stages."""

    space: Literal["chain"]
    stages: int = Field(3, ge=1, le=8)
    kernel: list[int] = Field([1, 3, 5], min_length=1)
    width: list[int] = Field([8, 16, 24, 32], min_length=1)
    depth: list[int] = Field([1, 2], min_length=1)
    stride: list[int] = Field([1, 2], min_length=1)
    bits: list[Annotated[int, Field(ge=2, le=16)]] = Field([4, 6, 8], min_length=1)


class HardwareConfig(_Section):
    """A device, or several to choose from, and the knobs to search."""

    device: str | Annotated[list[str], Field(min_length=1)] = Field(
        description="catalogue name or YAML file; a list of one family makes the device a choice of the search"
    )
    knobs: dict[str, list[Any]] = Field(default_factory=dict, description="knob -> values; none fixes the hardware")
    search: Literal["joint", "inner", "front"] = Field(
        "joint", description="sampled with the network, optimised for each, or every design of the grid for each"
    )


ArchitectureConfig = CellConfig | ChainConfig


class RandomConfig(_Section):
    """Every pair drawn from the whole space."""

    name: Literal["random"]


class EvolutionConfig(_Section):
    """Regularised evolution."""

    name: Literal["evolution"]
    population: int = Field(64, ge=2, le=100_000)
    sample: int = Field(10, ge=1, description="size of a tournament")
    immigrants: float = Field(0.2, ge=0, le=1, description="share of each batch drawn from the whole space")


class NSGA2Config(_Section):
    """NSGA-II."""

    name: Literal["nsga2"] = "nsga2"
    population: int = Field(64, ge=2, le=100_000)
    crossover: float = Field(0.9, ge=0, le=1, description="share of children with two parents")
    immigrants: float = Field(0.2, ge=0, le=1, description="share of each batch drawn from the whole space")


StrategyConfig = RandomConfig | EvolutionConfig | NSGA2Config


class FastConfig(_Section):
    """Cost only."""

    pairs: int = Field(100_000, ge=1, le=10_000_000, description="pairs a generation")
    pruning: Literal["sound", "aggressive"] = Field("sound", description="aggressive guesses by capacity, too")
    audits: int = Field(2, ge=0, le=10_000, description="guessed-away pairs trained a generation, to measure the loss")


class SlowConfig(_Section):
    """Training and accuracy."""

    trainings: int = Field(4, ge=1, le=10_000, description="networks trained a generation")
    classes: int = Field(4, ge=1, le=10_000, description="numerics evaluated a network and generation")
    selection: Literal["surrogate", "stratified", "random"] = Field(
        "stratified", description="which survivors are trained"
    )
    fidelity: float = Field(1.0, gt=0, le=1, description="share of the full training")
    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")
    recipe: Recipe = Recipe()


class _ExecutorSection(_Section):
    portable: bool = Field(True, description="train with AVX2 everywhere, so that other processors give the same run")


class SerialConfig(_ExecutorSection):
    """Trainings in the process of the search."""

    name: Literal["serial"]


class ProcessConfig(_ExecutorSection):
    """Trainings in worker processes on this machine."""

    name: Literal["process"] = "process"
    workers: int | None = Field(None, ge=1, le=1024, description="all cores by default; 1 trains in the search's own")
    retries: int = Field(2, ge=0, le=100, description="how often a training is tried again when its worker was lost")


class RayConfig(_ExecutorSection):
    """Trainings on a Ray cluster; needs the extra `ray`."""

    name: Literal["ray"]
    workers: int | None = Field(None, ge=1, le=100_000, description="all CPUs of the cluster by default, never more")
    retries: int = Field(2, ge=0, le=100, description="how often a training is tried again when its worker was lost")
    address: str | None = Field(None, description="running cluster; none starts one on this machine")


ExecutorConfig = SerialConfig | ProcessConfig | RayConfig


class RunConfig(_Section):
    """A two-level co-design run."""

    seed: int = Field(0, ge=0, lt=2**63)
    generations: int = Field(5, ge=1, le=1_000_000)
    data: DataConfig = DataConfig()
    architecture: Annotated[ArchitectureConfig, Field(discriminator="space")]
    hardware: HardwareConfig
    runtime: Literal["compiled", "eager"] = Field("compiled", description="dead branches and fusion, see rewrite")
    objectives: list[str] = Field(["energy_j", "latency_s", "area_mm2"], min_length=1, description="minimised costs")
    constraints: dict[str, float] = Field(default_factory=dict, description="metric -> largest value")
    least_accuracy: float = Field(0.0, ge=0, le=1, description="validation accuracy that a front pair needs")
    strategy: Annotated[StrategyConfig, Field(discriminator="name")] = NSGA2Config()
    fast: FastConfig = FastConfig()
    slow: SlowConfig = SlowConfig()
    executor: Annotated[ExecutorConfig, Field(discriminator="name")] = ProcessConfig()

    @field_validator("executor", mode="before")
    @classmethod
    def _process_by_default(cls, value: Any) -> Any:
        """``executor: {workers: 2}`` says enough."""
        return {"name": "process", **value} if isinstance(value, dict) else value


def parse_quantity(value: Any, name: str, where: str) -> float:
    """A number in the unit of `name`, or a text with that unit and an SI prefix.

    >>> parse_quantity("2 ms", "latency_s", "a.yaml")
    0.002
    """
    unit = split_unit(name)[1]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise SpecError(f"{where}: {name}", value, f"a number in {unit or 'plain units'}")
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([-+0-9.eE]+)\s*([^\s\d]*[²/\w]*)\s*", value)
        symbol = match[2].replace("mm2", "mm²").replace("u", "µ") if match else ""
        scale = {unit: 1.0} | {prefix + unit: factor for prefix, factor in PREFIX_SCALES.items() if unit != "mm²"}
        try:
            number = float(match[1]) if match else None
        except ValueError:
            number = None
        if number is None or (symbol and symbol not in scale):
            raise SpecError(f"{where}: {name}", value, f"a quantity in {unit or 'plain units'}")
        value = number * scale.get(symbol, 1.0)
    if not value > 0:
        raise SpecError(f"{where}: {name}", value, "> 0")
    return float(value)


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML file; `overrides` are dotted assignments as ``slow.trainings=8``.

    Raises
    ------
    SpecError : missing file, YAML that does not parse, unknown key, wrong type, unit or bound.
    """
    import yaml

    if not path.is_file():
        siblings = [other.name for other in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        match = nearest(path.name, siblings)
        raise SpecError(str(path), "the file", "there", f"did you mean {path.parent / match}?" if match else None)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for override in overrides:
            _assign(content, override)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(str(path), str(error).split("\n")[0], "valid YAML") from None
    return parse_config(content, where=str(path))


def parse_config(content: Any, *, where: str = "configuration") -> RunConfig:
    """A mapping as a checked configuration."""
    if not isinstance(content, dict):
        raise SpecError(where, content, "a mapping of keys to values")
    limits = content.get("constraints")
    if isinstance(limits, dict):
        checked = {str(k): parse_quantity(v, str(k), f"{where}: constraints") for k, v in limits.items()}
        content = {**content, "constraints": checked}
    try:
        return RunConfig(**content)
    except ValidationError as error:
        raise _told(error, where) from None


def _assign(content: Any, override: str) -> None:
    import yaml

    key, equals, text = override.partition("=")
    if not equals:
        raise SpecError("--set", override, "an assignment as slow.trainings=8")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise SpecError("--set", key, f"a key below {parent}")
    content[last] = yaml.safe_load(text)


class _Choice(NamedTuple):
    """A section of several kinds: the key that names the kind, and the keys that each kind takes."""

    key: str
    variants: Mapping[str, type[_Section]]


_CHOSEN_BY = {
    "architecture": _Choice("space", {"cell": CellConfig, "chain": ChainConfig}),
    "strategy": _Choice("name", {"random": RandomConfig, "evolution": EvolutionConfig, "nsga2": NSGA2Config}),
    "executor": _Choice("name", {"serial": SerialConfig, "process": ProcessConfig, "ray": RayConfig}),
}
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
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "a text",
    "too_short": "a list of at least one value",
}


def _told(error: ValidationError, where: str) -> SpecError:
    """The first of pydantic's complaints as one line with key, allowed values and the nearest match.

    A key that is not known comes before one that is missing: the one is often the other, misspelt.
    """
    found = error.errors()
    detail = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    path = [str(part) for i, part in enumerate(detail["loc"]) if not (i == 1 and detail["loc"][0] in _CHOSEN_BY)]
    at, kind, context = f"{where}: {'.'.join(path)}", detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return SpecError.unknown(f"{where}: {'.'.join(path[:-1]) or 'key'}", path[-1], _keys_at(detail["loc"][:-1]))
    if kind == "missing":
        return SpecError(where, f"without {'.'.join(path)}", "complete")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        section = _CHOSEN_BY[str(detail["loc"][0])]
        given = detail["input"].get(section.key) if isinstance(detail["input"], dict) else detail["input"]
        return SpecError.unknown(f"{at}.{section.key}", str(given), section.variants)
    if kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        return SpecError.unknown(at, str(detail["input"]), allowed)
    if kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        return SpecError(at, detail["input"], f"{sign} {context[name]:g}")
    return SpecError(at, detail["input"], _TYPES.get(kind, detail["msg"]))


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `location` takes."""
    section: Any = RunConfig
    if location and location[0] in _CHOSEN_BY:
        section = _CHOSEN_BY[str(location[0])].variants[str(location[1])]
        location = location[2:]
    for part in location:
        section = section.model_fields[part].annotation
    return list(section.model_fields)
