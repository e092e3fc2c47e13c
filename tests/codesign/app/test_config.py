"""A bad configuration gives one line with file, key, what is allowed and the nearest match."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.app.config import load_config, parse_config, parse_quantity, read_run_file
from hwmodels.errors import SpecError

GOOD = {"architecture": {"space": "cell"}, "hardware": {"device": "rram_edge"}}


def told(change: dict) -> str:
    with pytest.raises(SpecError) as caught:
        parse_config({**GOOD, **change}, where="a.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"estimator": 3}, ["estimator", "3", "a mapping"]),
        ({"sede": 1}, ["a.yaml", "sede", "did you mean seed?"]),
        ({"fast": {"pair": 5}}, ["fast", "pair", "did you mean pairs?"]),
        ({"estimator": {"recipe": {"epoch": 5}}}, ["estimator.recipe", "did you mean epochs?"]),
        ({"slow": {"draws": 1}, "estimator": "table"}, ["slow.draws", "only training has it"]),
        ({"slow": {"recipe": {"epoch": 5}}}, ["estimator.recipe", "did you mean epochs?"]),
        ({"estimator": {"name": "trainig"}}, ["estimator.name", "table, training", "did you mean training?"]),
        (
            {"estimator": {"name": "table", "draws": 2}},
            ["estimator", "draws", "column, dataset, early, name, path, table"],
        ),
        ({"estimator": {"recipe": {"noise": {"adc_bit": 3}}}}, ["estimator.recipe.noise", "did you mean adc_bits?"]),
        ({"seed": -1}, ["seed", "-1", ">= 0"]),
        ({"seed": "x"}, ["seed", "x", "a whole number"]),
        ({"seed": 1.5}, ["seed", "1.5", "a whole number"]),
        ({"fast": {"pairs": 0}}, ["fast.pairs", "0", ">= 1"]),
        ({"slow": {"fidelity": 2}}, ["slow.fidelity", "2", "<= 1"]),
        ({"slow": 3}, ["slow", "a mapping"]),
        ({"objectives": []}, ["objectives", "at least one"]),
        ({"runtime": "compild"}, ["runtime", "compiled, eager", "did you mean compiled?"]),
        (
            {"strategy": {"name": "nsga2", "sample": 5}},
            ["strategy", "sample", "crossover, immigrants, name, operators, population"],
        ),
        ({"strategy": {"name": "evolution", "sample": 0}}, ["strategy.sample", "0", ">= 1"]),
        ({"strategy": {"name": "random", "population": 9}}, ["strategy", "population"]),
        (
            {"strategy": {"name": "nsga22"}},
            ["strategy.name", "evolution, ", "grid, ", "did you mean nsga2?"],
        ),
        ({"architecture": {"space": "sell"}}, ["architecture.space", "cell, chain", "did you mean cell?"]),
        ({"architecture": {"space": "cell", "chanels": 3}}, ["architecture", "did you mean channels?"]),
        ({"architecture": {"space": "cell", "channels": 0}}, ["architecture.channels", "0", ">= 1"]),
        ({"architecture": {}}, ["architecture.space", "cell, chain"]),
        ({"hardware": {}}, ["hardware.device", "complete"]),
        ({"constraints": {"latency_s": "2 mJ"}}, ["constraints: latency_s", "2 mJ", "a number in s"]),
        ({"constraints": {"area_mm2": "5 s"}}, ["area_mm2", "5 s", "a number in mm²"]),
        ({"constraints": {"latency_s": -1}}, ["latency_s", "-1", "> 0"]),
        ({"constraints": {"latency_s": "quick"}}, ["latency_s", "quick"]),
        ({"constraints": {"latency_s": float("nan")}}, ["latency_s", "nan"]),
    ],
)
def test_every_mistake_is_told_in_one_line(change, words):
    line = told(change)
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        ("2 ms", "latency_s", 2e-3),
        ("500 us", "latency_s", 5e-4),
        ("500 µs", "latency_s", 5e-4),
        ("1e-3", "latency_s", 1e-3),
        (0.5, "latency_s", 0.5),
        ("3 uJ", "energy_j", 3e-6),
        ("20 mm2", "area_mm2", 20.0),
        ("20 mm²", "area_mm2", 20.0),
        ("1 kB", "weight_bytes", 1e3),
        ("2 M", "macs", 2e6),
    ],
)
def test_quantities_carry_their_unit(value, name, expected):
    assert parse_quantity(value, name, "here") == pytest.approx(expected, rel=1e-15)


def test_a_missing_file_names_its_neighbour(tmp_path: Path):
    (tmp_path / "quickstart.yaml").write_text("seed: 1")
    with pytest.raises(
        SpecError, match=r"quikstart\.yaml: the file is not there \(did you mean .*quickstart\.yaml\?\)"
    ):
        load_config(tmp_path / "quikstart.yaml")


@pytest.mark.parametrize("text", ["a: [1", "\t- x", "just a sentence", "[1, 2]", ""])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_overrides_are_dotted_and_checked(tmp_path: Path):
    path = tmp_path / "run.yaml"
    path.write_text("architecture: {space: chain}\nhardware: {device: rram_edge}\n")
    config = load_config(path, ["slow.trainings=8", "seed=4", "constraints={area_mm2: 3}"])
    assert (config.slow.trainings, config.seed, config.constraints) == (8, 4, {"area_mm2": 3.0})
    for wrong in ("slow.trainigs=8", "slow.trainings", "seed.x=3"):
        with pytest.raises(SpecError):
            load_config(path, [wrong])


SMALL = {"diabetes_table": 64, "text_microcontroller": 64, "tissue_segmentation": 324}
"""Examples of few pairs, which search networks on one design: how many."""


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[3] / "examples").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_example_builds_its_space(path: Path):
    from codesign.app.assemble import dataset_of, joint_space
    from codesign.app.families import family_contents, of_families

    content = read_run_file(path)
    for one in family_contents(content, str(path)).values() if of_families(content) else [content]:
        config = parse_config(one)
        size = joint_space(config, dataset_of(config.data)).size
        assert size == SMALL[path.stem] if path.stem in SMALL else size > 1000


def test_a_misspelt_section_is_told_as_such_and_not_as_missing():
    content = {"architecture": {"space": "cell"}, "hardwear": {"device": "rram_edge"}}
    with pytest.raises(SpecError, match=r"hardwear.*did you mean hardware\?"):
        parse_config(content)


def test_training_keys_of_earlier_files_reach_the_estimator():
    """`slow.recipe` and `slow.draws` are where earlier versions had them: the same run as with an estimator."""
    base = {"architecture": {"space": "cell"}, "hardware": {"device": "rram_edge"}}
    earlier = parse_config({**base, "slow": {"trainings": 2, "draws": 4, "recipe": {"epochs": 3}}})
    estimator = {"name": "training", "draws": 4, "recipe": {"epochs": 3}}
    assert earlier == parse_config({**base, "slow": {"trainings": 2}, "estimator": estimator})
    assert (earlier.estimator.settings.draws, earlier.estimator.settings.recipe.epochs) == (4, 3)
    beside = {**base, "slow": {"recipe": {"epochs": 2}}, "estimator": {"draws": 5, "recipe": {"batch_size": 64}}}
    settings = parse_config(beside).estimator.settings
    assert (settings.draws, settings.recipe.epochs, settings.recipe.batch_size) == (5, 2, 64)


def assembled(constraints: dict, **changes):
    from codesign.app.assemble import dataset_of, joint_space, search_of
    from codesign.store import RunBlobs

    config = parse_config(
        {**GOOD, "executor": {"name": "serial", "portable": False}, "constraints": constraints, **changes}
    )
    data = dataset_of(config.data)
    return search_of(config, joint_space(config, data), data, RunBlobs())


def test_constraints_on_the_task_stand_beside_those_on_costs() -> None:
    search = assembled({"accuracy": ">= 0.9", "latency_s": "2 ms"}, least_accuracy=0.8)
    assert [str(limit) for limit in search.archive.limits] == ["accuracy >= 0.8", "accuracy >= 0.9"]
    assert [limit.metric for limit in search.fast.limits] == ["latency_s"]


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        ({"latncy_s": "2 ms"}, ["constraints", "latncy_s", "did you mean latency_s?"]),
        ({"accuracy": 0.9}, ["constraints", "accuracy"]),
        ({"perplexity": "<= 20"}, ["constraints", "perplexity", "accuracy, accuracy_test"]),
    ],
)
def test_a_constraint_on_nothing_known_is_told(constraints: dict, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        assembled(constraints)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
