"""Every runbook that is shipped validates with the adapters that are shipped."""

import importlib
import tomllib
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml

from drctl.actions.registry import Registry
from drctl.runbook import ancestors, load_runbook, resolve_inputs
from drctl.runbook.schema import schema

RUNBOOKS = sorted((Path(__file__).parents[2] / "runbooks").glob("*.yaml"))
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
ADAPTERS = tuple(PROJECT["entry-points"]["drctl.actions"])


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(importlib.import_module(f"drctl.adapters.{n}").ADAPTER for n in ADAPTERS)


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_shipped_runbook_validates(path: Path, registry: Registry) -> None:
    assert load_runbook(path, registry=registry).metadata.name == path.stem


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_shipped_runbook_fits_the_editor_schema(path: Path, registry: Registry) -> None:
    text = path.read_text()
    assert text.startswith("# yaml-language-server: $schema=../src/drctl/schemas/runbook.v1.json\n")
    validator = jsonschema.Draft7Validator(schema(registry))
    errors = [error.message for error in validator.iter_errors(yaml.safe_load(text))]
    assert errors == []


def test_the_region_failover_keeps_the_order_that_is_the_point(registry: Registry) -> None:
    runbook = load_runbook(RUNBOOKS[0].parent / "region-failover.yaml", registry=registry)
    above = ancestors({step.id: step.needs for step in runbook.steps})
    line = (
        "measure_lag",
        "go",
        "fence_old_primary",
        "promote",
        "repoint_app",
        "verify_private",
        "move_traffic",
        "verify_public",
    )
    for earlier, later in pairwise(line):
        assert earlier in above[later]
    assert not above["verify_public"] & {"announce", "open_incident"}


def test_the_region_failover_fits_its_objective(registry: Registry) -> None:
    runbook = load_runbook(RUNBOOKS[0].parent / "region-failover.yaml", registry=registry)
    ends: dict[str, timedelta] = {}
    for step in runbook.steps:
        start = max((ends[need] for need in step.needs), default=timedelta(0))
        ends[step.id] = start + (step.estimate or timedelta(0))
    assert ends["verify_public"] <= runbook.objectives.rto


def test_the_region_failover_asks_for_one_input_only(registry: Registry) -> None:
    runbook = load_runbook(RUNBOOKS[0].parent / "region-failover.yaml", registry=registry)
    assert resolve_inputs(runbook, {"incident": "inc-20261122-001"})["to_region"] == "us-west-2"
