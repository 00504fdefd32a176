"""No action is shipped on trust: each runs against the real thing, and in the simulated estate."""

import re
from pathlib import Path

import pytest
import yaml

from drctl.actions.registry import installed

TESTS = Path(__file__).parent.parent
CONTRACT = "\n".join(path.read_text() for path in (TESTS / "contract").rglob("*.py"))
WORLD = yaml.safe_load((TESTS / "scenarios" / "base_world.yaml").read_text())["actions"]
ACTIONS = [pytest.param(action, id=action.name) for action in installed()]


@pytest.mark.parametrize("action", ACTIONS)
def test_it_has_a_contract_test_on_the_lab_or_a_real_server(action):
    """By its name or its class; tests/safety/faults runs it there under every fault as well."""
    assert action.name in CONTRACT or re.search(rf"\b{type(action).__name__}\b", CONTRACT)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_simulated_estate_knows_what_it_gives(action):
    """What tests/scenarios, sim and crash simulate has the shape that it really has."""
    action.outputs.model_validate(WORLD.get(action.name, {}).get("outputs", {}))


@pytest.mark.parametrize("action", ACTIONS)
def test_it_says_what_it_does(action):
    assert action.summary
    assert action.repeat
    assert type(action).perform.__doc__, "what it changes and what it raises"
    assert type(action).__doc__
