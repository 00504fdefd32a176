"""What the model estate answers to each shipped runbook: its world, its inputs, its environment."""

from pathlib import Path

from harness import HERE, REPOSITORY, read_world

from drctl.actions.registry import installed
from drctl.config.environment import load_environment
from drctl.runbook import Runbook, check_runbook
from drctl.simulated.world import World

REGISTRY = installed()
RUNBOOKS = sorted((REPOSITORY / "runbooks").glob("*.yaml"))
INPUTS = {
    "incident": "inc-20260101-001",
    "change": "chg-20260101-001",
    "time": "2025-12-31T22:00:00Z",
    "operator_address": "10.0.0.7",
    "app_network": "10.0.0.0/8",
}
"""Those that have no default in one runbook or another."""
ENVIRONMENTS = (HERE / "environment.yaml", HERE / "database.yaml")
"""A managed estate, and one whose databases are their owner's."""


def runbook_of(path: Path) -> Runbook:
    runbook, problems = check_runbook(path, registry=REGISTRY)
    assert runbook is not None, problems
    return runbook


def inputs_of(path: Path) -> dict[str, str]:
    return {name: INPUTS[name] for name in runbook_of(path).inputs if name in INPUTS}


def environment_of(path: Path) -> Path:
    """The one that has its targets."""
    for environment in ENVIRONMENTS:
        targets = load_environment(environment).targets
        if not check_runbook(path, registry=REGISTRY, environment=targets)[1]:
            return environment
    raise AssertionError(f"no model environment has the targets of {path.stem}")


def model_world(path: Path) -> World:
    """The base world, with what is otherwise in ``worlds/NAME.yaml``."""
    base, own = read_world(HERE / "base_world.yaml"), HERE / "worlds" / path.name
    actions = {**base.actions, **(read_world(own).actions if own.exists() else {})}
    return base.model_copy(update={"actions": actions})
