"""Every runbook that is shipped validates with the adapters that are shipped."""

import importlib
import tomllib
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml

from drctl.actions.registry import Registry
from drctl.app.compose import Parts
from drctl.app.judging import plan_to_judge
from drctl.app.runbooks import load
from drctl.config.environment import Environment, load_environment
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import InvalidError
from drctl.plan.rules.waivers import LONGEST
from drctl.runbook import ancestors, load_runbook, resolve_inputs
from drctl.runbook.schema import schema

RUNBOOKS = sorted((Path(__file__).parents[2] / "runbooks").glob("*.yaml"))
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
MODELS = [
    load_environment(Path(__file__).parents[1] / "scenarios" / name)
    for name in ("environment.yaml", "database.yaml")
]
ADAPTERS = tuple(PROJECT["entry-points"]["drctl.actions"])


class _Yaml12(yaml.SafeLoader):
    """As editors read it: a day is text; only YAML 1.1 makes a date of it."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


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
    tree = yaml.load(text, _Yaml12)  # noqa: S506 (it is a SafeLoader)
    errors = [error.message for error in validator.iter_errors(tree)]
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


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_no_rule_finds_anything_that_the_runbook_does_not_waive(path, registry, tmp_path) -> None:
    """Alone, and in the model estate that has its targets, as `drctl validate` judges."""
    parts = Parts(
        registry=registry, clock=SystemClock(), secrets=LocalSecrets(), runs=tmp_path / "runs"
    )
    alone = plan_to_judge(parts, load(path, registry), None)
    assert [(one.id, one.what) for one in alone.findings] == []
    environment = next(env for env in MODELS if _fits(path, registry, env))
    there = plan_to_judge(parts, load(path, registry, environment.targets), environment)
    assert [(one.id, one.what) for one in there.findings] == []
    for waiver in alone.waived:
        assert date.fromisoformat(waiver.until) <= SystemClock().now().wall.date() + LONGEST


def _fits(path: Path, registry: Registry, environment: Environment) -> bool:
    try:
        load(path, registry, environment.targets)
    except InvalidError:
        return False
    return True
