"""The editor schema says what the validator says, and nothing that it does not."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from drctl.actions.registry import Registry, installed
from drctl.runbook.schema import schema, text

STEP = "{id: one, uses: kubernetes.deployment.scale, target: app, with: {replicas: 3}, TIMES}"
TIMES = "estimate: 5s, timeout: 9s"
HEAD = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {name: x, title: X, owner: us}
objectives: {rto: 1m, rpo: 0s, clock: {stops_after: [one]}}
targets: {app: app.recovery}
"""


def errors(registry: Registry, steps: str, head: str = HEAD) -> list[str]:
    runbook: Any = yaml.safe_load(f"{head}steps: [{steps}]")
    validator = jsonschema.Draft7Validator(schema(registry))
    return [error.message for error in validator.iter_errors(runbook)]


def test_the_schema_is_a_schema_and_always_the_same(registry: Registry) -> None:
    jsonschema.Draft7Validator.check_schema(schema(registry))
    assert text(registry) == text(registry)
    assert json.loads(text(registry)) == schema(registry)
    assert "$defs" not in text(registry)


@pytest.mark.parametrize(
    "steps",
    [
        STEP.replace("TIMES", TIMES),
        STEP.replace("TIMES", TIMES).replace("3", '"${{ inputs.n }}"'),
        STEP.replace("TIMES", TIMES + ", undo: {uses: http.probe, target: app, with: {path: /x}}"),
        "{id: one, gate: go, show: [x]}",
        '{id: one, uses: http.probe, target: app, with: {path: "${{ inputs.p }}"}, timeout: 5s}',
        "{id: one, uses: http.probe, target: app, with: {path: /x, limit: 4m30s}, timeout: 5s}",
    ],
)
def test_what_is_sound_is_accepted(registry: Registry, steps: str) -> None:
    assert errors(registry, steps) == []


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (STEP.replace("TIMES", "timeout: 5s"), "'estimate' is a required property"),
        (STEP.replace("TIMES", "estimate: 5s"), "'timeout' is a required property"),
        (STEP.replace("TIMES", TIMES).replace("3}", "3, extra: 1}"), "'extra' was unexpected"),
        (STEP.replace("TIMES", TIMES).replace("3", "x"), "'x' is not of type 'integer'"),
        (STEP.replace("TIMES", TIMES).replace("3", "0"), "0 is less than the minimum of 1"),
        (STEP.replace("TIMES", "estimate: 5, timeout: 9s"), "5 is not of type 'string'"),
        (STEP.replace("TIMES", TIMES + ", position: x"), "'position' was unexpected"),
        ("{id: one, uses: nothing}", "'nothing' is not one of"),
        ("{id: A-b, gate: go}", "'A-b' does not match"),
        ("{id: one}", "is not valid under any of the given schemas"),
    ],
)
def test_what_is_wrong_is_one_clear_message(registry: Registry, steps: str, words: str) -> None:
    found = errors(registry, steps)
    assert len(found) == 1, found
    assert words in found[0]


def test_docstrings_are_hover_text(registry: Registry) -> None:
    made = schema(registry)
    step = made["definitions"]["Step"]
    assert "the step above" in step["properties"]["needs"]["description"]
    rule = next(
        one["then"]["properties"]
        for one in step["allOf"]
        if one["if"]["properties"]["uses"]["const"] == "kubernetes.deployment.scale"
    )
    assert rule["with"]["properties"]["replicas"]["description"] == "How many."
    assert rule["uses"]["description"] == "Does kubernetes.deployment.scale"


@pytest.mark.parametrize("part", ["Step", "Call"])
def test_every_installed_action_has_its_own_rule(part: str) -> None:
    """
    An editor says what is wrong with the very action that is written: for each there is one
    ``if``/``then``, which knows its params by name and refuses any other.
    """
    known = installed()
    made = schema(known)
    rules = {
        one["if"]["properties"]["uses"]["const"]: one["then"]
        for one in made["definitions"][part]["allOf"]
    }
    assert {action.name for action in known} <= rules.keys()
    assert len(rules) == len(made["definitions"][part]["allOf"])
    for action in known:
        then = rules[action.name]
        params, fields = then["properties"]["with"], action.params.model_fields
        assert params["additionalProperties"] is False, action.name
        assert params.get("properties", {}).keys() == {
            field.alias or name for name, field in fields.items()
        }
        required = {field.alias or name for name, field in fields.items() if field.is_required()}
        assert set(params.get("required", ())) == required, action.name
        assert ("with" in then["required"]) is bool(required)
        assert ("target" in then["required"]) is bool(action.targets)
        assert (then["properties"]["target"] is False) is not bool(action.targets)
        if part == "Step":
            assert "timeout" in then["required"]
            assert ("estimate" in then["required"]) is action.effect.changes_something


def test_an_unknown_param_of_any_action_is_one_message() -> None:
    known = installed()
    validator = jsonschema.Draft7Validator(schema(known))
    for action in known:
        step: dict[str, Any] = {"id": "one", "uses": action.name, "timeout": "5s"}
        step |= {"estimate": "5s"} if action.effect.changes_something else {}
        step |= {"target": "app"} if action.targets else {}
        step["with"] = {
            field.alias or name: "${{ inputs.x }}"
            for name, field in action.params.model_fields.items()
            if field.is_required()
        }
        runbook = yaml.safe_load(HEAD) | {"steps": [step]}
        assert [error.message for error in validator.iter_errors(runbook)] == [], action.name
        step["with"]["no_such_param"] = 1
        [error] = validator.iter_errors(runbook)
        assert "'no_such_param' was unexpected" in error.message
