"""JSON schemas take what the loaders take and refuse what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from codesign.app.schema import device_schema, run_schema
from codesign.app.template import default_run
from hwmodels.catalog import device, device_names, device_template
from hwmodels.families.base import families, family

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
CATALOG = Path(str(__import__("hwmodels").__file__)).parent / "catalog"


def fits(content: Any, schema: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(content))


def test_the_schemas_are_schemas() -> None:
    for schema in (run_schema(), *(device_schema(family(name)) for name in families())):
        jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(schema)))


def test_the_examples_and_a_template_fit_the_schema_of_a_run() -> None:
    assert EXAMPLES
    for path in EXAMPLES:
        assert fits(yaml.safe_load(path.read_text(encoding="utf-8")), run_schema()), path.name
    assert fits(default_run("chain", "spatial", "tpu_v1").model_dump(mode="json"), run_schema())
    assert fits({"architecture": "cell", "rate_hz": "10 Hz", "constraints": {"macs": "<= 2 M"}}, run_schema())


@pytest.mark.parametrize(
    "content",
    [{}, {"architecture": {"space": "cells"}}, {"architecture": "cell", "sed": 1},
     {"architecture": {"space": "cell", "chanels": 8}}, {"architecture": "cell", "slow": {"trainings": 0}},
     {"architecture": "cell", "estimator": {"recipe": {"epochs": 0}}}],
)  # fmt: skip
def test_what_the_loader_refuses_does_not_fit(content: dict[str, Any]) -> None:
    assert not fits(content, run_schema())


def test_every_device_of_the_catalogue_and_every_template_fits_its_family() -> None:
    schemas = {name: device_schema(family(name)) for name in families()}
    for name in device_names():
        content = yaml.safe_load((CATALOG / f"{name}.yaml").read_text(encoding="utf-8"))
        assert fits(content, schemas[content["family"]]), name
    template = yaml.safe_load(device_template(device("tpu_v1"), name="mine"))
    assert fits(template, schemas["spatial"])
    template["knobs"]["array_row"] = template["knobs"].pop("array_rows")
    assert not fits(template, schemas["spatial"])
