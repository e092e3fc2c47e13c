"""A whole run file for one space and one family, written out of what is registered.

Every key stands at its default with unit, bounds and meaning as its comment: all of them come from the pydantic models
of the sections, the registries and the family, so that a plug-in of another package has a template at once. The knobs
that a family names as `searched` are opened around the values of a device. The limits are comments; each holds the
median of a sample of the space, so that half of the pairs would keep it.

Not modelled: limits that exclude each other only together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from codesign.app.assemble import dataset_of, joint_space
from codesign.app.config import RunConfig, parse_config
from codesign.app.schema import run_records
from codesign.registry import SPACES
from hwmodels.catalog import Device, device, devices_of
from hwmodels.errors import SpecError
from hwmodels.evaluate import PairCosts, evaluate_pairs
from hwmodels.families.base import NETWORK_METRICS, CostModel, families
from hwmodels.families.spec import Knob, Spec
from hwmodels.units import format_quantity, split_unit
from hwmodels.workload.rewrite import RUNTIMES

__all__ = ["default_run", "knob_values", "run_template"]

_SAMPLE = 64
_WIDTH = 118


def default_run(space: str, family: str, like: str | None = None, *, settings: Sequence[str] = ()) -> RunConfig:
    """A run of one space on one family at every default, with the family's searched knobs opened.

    Parameters
    ----------
    space : a registered space. family : a registered family. like : a device of that family; by default the first
        that runs every network of a sample, or most of them. settings : keys of the space as ``network=ds_cnn``, for
        a space that has keys without a default.

    Raises
    ------
    SpecError : an unknown space, family or device, a device of another family, a key that is missing.
    """
    if space not in SPACES.names():
        raise SpecError.unknown("--template", space, SPACES.names())
    if family not in families():
        raise SpecError.unknown("--template", family, families())
    section = {SPACES.key: space, **_required(space), **_assigned(settings)}
    if like is not None:
        return _around(section, _of_family(device(like), like, family), like)
    known = devices_of(family)
    if not known:
        raise SpecError("--device", "none", f"a device file: the catalogue has no {family}")
    closed = [parse_config({"architecture": section, "hardware": {"device": one.name}}) for one in known]
    running = [np.mean(_sampled(config).infeasible == 0) for config in closed]
    chosen = known[int(np.argmax(running))]
    return _around(section, chosen, chosen.name)


def run_template(config: RunConfig) -> str:
    """The run file of a configuration as YAML, each key with its meaning, unit, bounds and default as a comment."""
    if config.hardware is None or not isinstance(config.hardware.device, str):
        raise SpecError("template", config.hardware, "a run on one device")
    chosen = device(config.hardware.device)
    records = {record["name"]: record for record in run_records(config)}
    optimised = ", ".join(metric.name for metric in _metrics(chosen.model) if metric.better != "neither")
    records["objectives"]["meaning"] += f"; any of {optimised}"
    lines = [
        f"# {config.architecture.name} networks on {chosen.model.name} designs around {config.hardware.device}.",
        "# Run it: codesign search FILE -o DIR. Check it: codesign config --check FILE. A key at its default may go.",
    ]
    for key, value in config.model_dump(mode="json").items():
        lines.append("")
        if key == "hardware":
            lines += _hardware(value, records, chosen)
        elif key == "constraints":
            lines += _constraints(config, chosen.model, str(records[key]["meaning"]))
        else:
            lines += _written(key, value, records)
    return "\n".join(lines) + "\n"


def knob_values(knob: Knob, spec: Spec) -> list[Any]:
    """A short list around a device's value, each one that the device takes: half and twice, or every choice.

    Resolutions of a few bits move by one bit, as designers do.
    """
    value = spec.values()[knob.name]
    if knob.choices or isinstance(value, bool):
        tried = list(knob.choices) or [False, True]
    elif value == 0:
        return [value]  # what is not there has no half
    elif knob.unit == "bit" and 4 <= value <= 16:
        tried = [value - 1, value, value + 1]
    else:
        half = value // 2 if isinstance(value, int) else value / 2
        tried = [half, value, 2 * value]
    return [one for i, one in enumerate(tried) if one not in tried[:i] and _taken(spec, knob.name, one)]


def _taken(spec: Spec, name: str, value: Any) -> bool:
    try:
        spec.revised({name: value}, where="template")
    except SpecError:
        return False
    return True


def _required(space: str) -> dict[str, Any]:
    """The first example of each key that a run has to state: it has no default, or none that is a value."""
    fields = SPACES[space].settings.model_fields
    return {
        name: field.examples[0]
        for name, field in fields.items()
        if field.examples and (field.is_required() or field.default is None)
    }


def _assigned(settings: Sequence[str]) -> dict[str, Any]:
    from hwmodels.documents import parse_yaml

    found = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise SpecError("--set", text, "a key of the space as channels=8")
        found[key.removeprefix("architecture.")] = parse_yaml(value, where=f"--set {key}")
    return found


def _of_family(chosen: Device, name: str, family: str) -> Device:
    if chosen.model.name != family:
        hint = f"a {chosen.model.name}: codesign config --template SPACE {chosen.model.name} --device {name}"
        raise SpecError("--device", name, f"of the family {family}", hint)
    return chosen


def _around(section: Mapping[str, Any], chosen: Device, name: str) -> RunConfig:
    known = chosen.model.spec.knobs()
    listed = {knob: knob_values(known[knob], chosen.spec) for knob in chosen.model.searched}
    knobs = {knob: values for knob, values in listed.items() if len(values) > 1}
    return parse_config({"architecture": dict(section), "hardware": {"device": name, "knobs": knobs}})


def _sampled(config: RunConfig) -> PairCosts:
    """The costs of a fixed sample of pairs."""
    space = joint_space(config, dataset_of(config.data))
    pairs = space.canonical(space.sample(_SAMPLE, np.random.default_rng(0)))
    networks, designs = space.split(pairs[space.valid(pairs)])
    table, network = space.architecture.lower(networks, RUNTIMES[config.runtime])
    configs = space.hardware.table(designs)
    return evaluate_pairs(space.hardware.model, table, configs, network=network, config=np.arange(len(designs)))


# One key after the other, as lines of YAML.


def _written(key: str, value: Any, records: Mapping[str, Mapping[str, Any]], depth: int = 0) -> Iterator[str]:
    """A key with its comment; a section key by key. `key` is dotted, the last part is what is written."""
    name = key.rpartition(".")[2]
    record = records.get(key)
    if record is not None:
        yield from _comment(_told(name, record, isinstance(value, dict)), depth)
    if isinstance(value, dict) and value:
        yield f"{'  ' * depth}{name}:"
        for inner, one in value.items():
            yield from _written(f"{key}.{inner}", one, records, depth + 1)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        yield f"{'  ' * depth}{name}:"
        for item in value:
            stated = {inner: one for inner, one in item.items() if one not in (None, [], {})}
            yield f"{'  ' * depth}- {_flow(stated)}"
    else:
        yield f"{'  ' * depth}{name}: {_flow(value)}"
    if value is None:
        # A section that is left out: its keys are worth knowing, too.
        for inner, told in records.items():
            if inner.startswith(f"{key}."):
                text = _told(inner.rpartition(".")[2], told, False)
                yield f"{'  ' * depth}#  {inner.removeprefix(f'{key}.')}: {_flow(told['default'])}  # {text}"


def _told(name: str, record: Mapping[str, Any], section: bool) -> str:
    """Meaning, unit, type, bounds and default of a key."""
    meaning = str(record["meaning"]).rstrip(".")
    if section:
        return meaning
    unit, default = split_unit(name)[1], record["default"]
    bounds = record["bounds"]
    kind = "" if bounds.startswith("one of") or record["type"] == "any" else record["type"]
    start = "required" if default == "required" else f"default {_flow(default)}"
    facts = "; ".join(fact for fact in (", ".join(filter(None, (kind, bounds))), start) if fact)
    return f"{meaning}{f' [{unit}]' if unit else ''} ({facts})"


def _hardware(value: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]], chosen: Device) -> Iterator[str]:
    """The hardware section; meaning, unit and bounds of a knob are the family's."""
    yield from _comment(str(records["hardware"]["meaning"]), 0)
    yield "hardware:"
    for key, item in value.items():
        if key != "knobs":
            yield from _written(f"hardware.{key}", item, records, 1)
            continue
        all_of_them = f"all of them: codesign devices show {value['device']}"
        yield from _comment(f"{records['hardware.knobs']['meaning']}; {all_of_them}", 1)
        yield "  knobs:" if item else "  knobs: {}"
        for name, values in item.items():
            yield from _comment(_knob_told(chosen.model.spec.knobs()[name], chosen), 2)
            yield f"    {name}: {_flow(values)}"


def _knob_told(knob: Knob, chosen: Device) -> str:
    allowed = f"one of {', '.join(map(str, knob.choices))}" if knob.choices else f"{knob.low:g} to {knob.high:g}"
    unit = f" [{knob.unit}]" if knob.unit else ""
    return f"{knob.meaning}{unit} ({allowed}; {chosen.name} has {_flow(chosen.spec.values()[knob.name])})"


def _constraints(config: RunConfig, model: CostModel, meaning: str) -> Iterator[str]:
    """No limit, and one comment a metric with the median of a sample of the space."""
    costs = _sampled(config)
    runs = np.flatnonzero(costs.infeasible == 0)
    yield from _comment(meaning, 0)
    yield from _comment("each bound is the median of a sample of these pairs; take the {} away for the first limit", 0)
    yield "constraints: {}"
    if config.estimator.name == "training":
        yield '#  accuracy: ">= 0.9"  # share of images that are classified correctly'
    for metric in _metrics(model):
        column = np.broadcast_to(costs.columns[metric.name], costs.infeasible.shape)[runs]
        median = float(np.median(column)) if column.size else 0.0
        sign, unit = (">=" if metric.better == "more" else "<="), split_unit(metric.name)[1]
        # A bound is above zero.
        known = 0 < median < np.inf
        bound = format_quantity(median, unit) if known else f"1 {unit}".rstrip()
        yield f'#  {metric.name}: "{sign} {bound}"  # {metric.meaning}{"" if known else "; the median is 0"}'


def _metrics(model: CostModel) -> tuple[Any, ...]:
    own = {metric.name for metric in model.metrics}
    return (*model.metrics, *(metric for metric in NETWORK_METRICS if metric.name not in own))


def _comment(text: str, depth: int) -> Iterator[str]:
    """A text as comment lines that fit the page."""
    from textwrap import wrap

    indent = "  " * depth
    for line in wrap(text, _WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()
