"""Templates of run files: every pair of space and family is whole, valid and at its defaults; limits are in reach."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml

from codesign.app.assemble import dataset_of, joint_space
from codesign.app.config import RunConfig, load_config, parse_config
from codesign.app.schema import run_records
from codesign.app.template import default_run, knob_values, run_template
from codesign.registry import SPACES
from hwmodels.catalog import device, devices_of
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.base import families, family
from hwmodels.workload.rewrite import COMPILED

PAIRS = list(product(SPACES.names(), families()))


def written(path: Path, config: RunConfig) -> tuple[Path, str]:
    text = run_template(config)
    path.write_text(text, encoding="utf-8")
    return path, text


@pytest.mark.parametrize(("space", "name"), PAIRS)
def test_a_template_is_the_defaults_and_names_every_key(space: str, name: str, tmp_path: Path) -> None:
    like = devices_of(name)[-1].name
    made = default_run(space, name, like)
    path, text = written(tmp_path / "run.yaml", made)
    loaded = load_config(path)
    assert loaded == made
    hardware = {"device": like, "knobs": made.hardware.knobs}  # type: ignore[union-attr]
    assert loaded == parse_config({"architecture": made.architecture.section(), "hardware": hardware})
    keys = set(re.findall(r"^ *(?:#  )?([\w.]+):", text, flags=re.M))
    for record in run_records(loaded):
        last = record["name"].rpartition(".")[2]
        assert last in keys or any(key.endswith(f".{last}") for key in keys), record["name"]
    assert max(map(len, text.splitlines())) < 160
    model = family(name)
    for metric in model.metrics:
        assert re.search(rf'^#  {metric.name}: "[<>]= [^"]+"  # {re.escape(metric.meaning)}', text, flags=re.M)


@pytest.mark.parametrize("name", families())
def test_the_limits_that_a_template_proposes_load_and_are_in_reach(name: str, tmp_path: Path) -> None:
    path, text = written(tmp_path / "run.yaml", default_run("chain", name))
    path.write_text(re.sub(r"^#  (\w+: \"[<>])", r"  \1", text.replace("constraints: {}", "constraints:"), flags=re.M))
    config = load_config(path)
    assert len(config.constraints) > len(family(name).metrics)
    space = joint_space(config, dataset_of(config.data))
    pairs = space.sample(64, np.random.default_rng(1))
    networks, designs = space.split(pairs)
    table, network = space.architecture.lower(networks, COMPILED)
    costs = evaluate_pairs(
        space.hardware.model, table, space.hardware.table(designs), network=network, config=np.arange(len(pairs))
    )
    assert np.mean(costs.infeasible == 0) > 0.5
    for metric in family(name).objectives:
        bound = float(str(config.constraints[metric])[3:])
        assert 0.2 < np.mean(np.broadcast_to(costs.columns[metric], len(pairs)) <= bound) < 0.8, metric


@pytest.mark.parametrize("name", families())
def test_every_searched_knob_takes_its_values_on_every_device(name: str) -> None:
    model = family(name)
    assert model.searched
    for chosen in devices_of(name):
        for knob in model.searched:
            values = knob_values(model.spec.knobs()[knob], chosen.spec)
            assert chosen.spec.values()[knob] in values
            assert len(set(values)) == len(values) <= 4
            for value in values:
                model.spec.parse({**chosen.spec.values(), knob: value}, where="test")


def test_a_resolution_moves_by_one_bit_and_a_size_by_a_factor_of_two() -> None:
    chosen = device("rram_edge")
    knobs = type(chosen.spec).knobs()
    assert knob_values(knobs["adc_bits"], chosen.spec) == [4, 5, 6]
    assert knob_values(knobs["array_rows"], chosen.spec) == [64, 128, 256]
    assert knob_values(knobs["dac_bits"], chosen.spec) == [1, 2]
    assert knob_values(knobs["active_rows"], chosen.spec) == [0]
    assert knob_values(knobs["sign_scheme"], chosen.spec) == ["offset", "differential"]


def test_keys_of_a_section_that_is_left_out_are_comments(tmp_path: Path) -> None:
    text = run_template(default_run("cell", "spatial", "tpu_v1"))
    assert "    noise: null\n    #  weight_sigma: 0.05  # deviation, relative to the largest weight" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cells", "cpu"), "--template: cells is not one of branches, cell, chain"),
        (("cell", "crosbar"), "(did you mean crossbar?)"),
        (("cell", "cpu", "tpu_v1"), "is not of the family cpu (a spatial:"),
    ],
)
def test_what_has_no_template_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        default_run(*arguments)
    assert message in str(caught.value)


def test_the_command_prints_what_loads_and_checks(run, tmp_path: Path) -> None:
    code, text, _ = run("config", "--template", "chain", "spatial", "--device", "tpu_v1", "--set", "stages=2")
    assert code == 0
    assert yaml.safe_load(text)["architecture"]["stages"] == 2
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    code, printed, _ = run("config", "--check", path)
    assert code == 0
    assert "networks x" in printed
    code, _, told = run("config", "--check", path, "--set", "hardware.knobs.array_row=[8]")
    assert code == 2
    assert "array_rows" in told
    assert run("config", "--check", path, "--set", "slow.trainings=0")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [(), ("--template", "cell"), ("--schema", "--check"), ("--check",), ("--schema", "gpuu"), ("--check", "none.yaml"),
     ("--schema", "--device", "rpi4"), ("--template", "cell", "cpu", "--set", "channels")],
)  # fmt: skip
def test_a_command_without_its_names_is_one_line(run, arguments: tuple[str, ...]) -> None:
    code, printed, told = run("config", *arguments)
    assert code == 2
    assert printed == ""
    assert len(told.strip().splitlines()) == 1
