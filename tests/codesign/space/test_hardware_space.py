"""Hardware spaces: the batch table is the table of the specs; bad knobs are told in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from codesign.app.assemble import hardware_space
from codesign.app.config import HardwareConfig
from codesign.space.hardware import HardwareSpace
from hwmodels.catalog import device, device_names
from hwmodels.errors import SpecError

KNOBS: dict[str, dict[str, Sequence[Any]]] = {
    "spatial": {
        "dataflow": ("os", "best", "ws"),
        "array_rows": (8, 16, 64),
        "clock_hz": (1e8, 5e8),
        "dram_bytes_per_s": (10_000_000_000, 2e10),
        "keep_activations": (False, True),
    },
    "crossbar": {"array_rows": (64, 128), "adc_bits": (4, 6, 8), "sign_scheme": ("differential", "offset")},
}
DEVICES = [name for name in device_names() if device(name).model.name in KNOBS]


def space_of(name: str) -> HardwareSpace:
    found = device(name)
    return HardwareSpace(found.model, found.spec, KNOBS[found.model.name])


@pytest.mark.parametrize("name", DEVICES)
def test_the_table_of_a_batch_is_the_table_of_its_specs(name: str) -> None:
    space = space_of(name)
    genotypes = np.concatenate([space.enumerate(), space.sample(7, np.random.default_rng(0))])
    table = space.table(genotypes)
    specs = [space.spec(genotype) for genotype in genotypes]
    expected = type(space.base).to_table(specs)
    for field, ours, theirs in zip(table._fields, table, expected, strict=True):
        assert ours.dtype == theirs.dtype, field
        assert ours.flags.c_contiguous
        assert np.array_equal(ours, theirs), field
    assert np.array_equal(space.numerics(genotypes), np.array([spec.numerics() for spec in specs], np.float64))


@pytest.mark.parametrize("name", DEVICES)
def test_a_space_of_no_knobs_is_its_device(name: str) -> None:
    found = device(name)
    space = HardwareSpace(found.model, found.spec, {})
    assert (space.size, space.n_genes) == (1, 0)
    table = space.table(np.empty((3, 0), np.int64))
    assert all(column.tolist() == [column[0]] * 3 for column in table)
    assert space.spec(np.empty(0, np.int64)) == found.spec


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"array_row": (8,)}, ("spatial knob", "array_row", "did you mean array_rows")),
        ({"array_rows": (8, 8)}, ("spatial.array_rows", "a list without repeats")),
        ({"array_rows": (8, 0)}, ("array_rows", "0 is not >= 1")),
        ({"dataflow": ("wss",)}, ("dataflow", "wss", "'os'")),
        ({"clock_hz": ("fast",)}, ("clock_hz", "fast", "a number")),
        ({"array_rows": (8.5,)}, ("array_rows", "8.5", "a whole number")),
        ({"array_rows": ()}, ("array_rows", "at least one choice")),
    ],
)
def test_bad_knobs_are_one_line(knobs: dict[str, Sequence[Any]], words: tuple[str, ...]) -> None:
    found = device("systolic_edge")
    with pytest.raises(SpecError) as caught:
        HardwareSpace(found.model, found.spec, knobs)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_a_column_out_of_bounds_is_refused() -> None:
    found = device("systolic_edge")
    with pytest.raises(SpecError, match="array_rows: 0 is not in"):
        type(found.spec).table_from(found.spec, {"array_rows": np.array([8, 0])})


def test_a_device_without_knobs_is_a_space_of_one_point():
    chip = device("rram_edge")
    space = HardwareSpace(chip.model, chip.spec, {})
    assert space.size == 1
    assert space.enumerate().shape == (1, 0)


def test_a_choice_of_devices_is_a_gene_and_each_point_is_that_device() -> None:
    names = ("tpu_v1", "systolic_edge", "eyeriss_like")
    devices = {name: device(name) for name in names}
    model = devices["tpu_v1"].model
    space = HardwareSpace(model, {name: found.spec for name, found in devices.items()}, {"array_rows": (16, 64)})
    assert [gene.name for gene in space.genes] == ["device", "array_rows"]
    genotypes = space.enumerate()
    table = space.table(genotypes)
    expected = model.spec.to_table([space.spec(genotype) for genotype in genotypes])
    for field, ours, theirs in zip(table._fields, table, expected, strict=True):
        assert np.array_equal(ours, theirs), field
    for genotype in genotypes:
        point = space.decode(genotype)
        chip = devices[point["device"]].spec.model_copy(update={"array_rows": point["array_rows"]})
        assert space.spec(genotype) == chip


def test_devices_of_a_run_must_be_of_one_family_and_differ() -> None:
    made = hardware_space(HardwareConfig(device=["tpu_v1", "systolic_edge"]))
    assert (made.size, list(made.bases)) == (2, ["tpu_v1", "systolic_edge"])
    with pytest.raises(SpecError, match=r"isaac is not of the family spatial"):
        hardware_space(HardwareConfig(device=["tpu_v1", "isaac"]))
    with pytest.raises(SpecError, match="without repeats"):
        hardware_space(HardwareConfig(device=["tpu_v1", "tpu_v1"]))
