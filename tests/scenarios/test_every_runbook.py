"""
Every shipped runbook in the model estate: clean, and once for each thing that can go wrong with an
action that it uses.

What must hold is the same for all: nothing harmful is sent twice, nothing that failed counts as
done, and a reply that was lost changes nothing about the end.
"""

from collections import Counter

import pytest
from harness import tell
from model_estate import (
    REGISTRY,
    RUNBOOKS,
    environment_of,
    inputs_of,
    model_world,
    runbook_of,
)

from drctl.actions.contract import Effect, Repeat
from drctl.simulated import world as words


def told(path, **faults):
    return tell(path, world_of(path, **faults), inputs_of(path), environment_of(path))


def world_of(path, **faults):
    """
    The base world, with what is otherwise in ``worlds/NAME.yaml``, and with people who say go at
    every gate as soon as it is asked.
    """
    runbook, model = runbook_of(path), model_world(path)
    gates = [step.id for step in runbook.steps if step.gate or _asks(step)]
    says = tuple(
        words.SayAt(at=f"{minute}m", gate=gate) for gate in gates for minute in range(1, 60)
    )
    actions = {
        name: model.actions.get(name, words.Behaviour()).model_copy(update={"faults": (fault,)})
        for name, fault in faults.items()
    }
    return model.model_copy(update={"actions": {**model.actions, **actions}, "says": says})


def _asks(step):
    action = REGISTRY.get(step.uses) if step.uses else None
    return action is not None and action.asks_person


def deeds(path):
    """The actions of its own steps that change something; those of an undo are for another day."""
    runbook = runbook_of(path)
    used = dict.fromkeys(step.uses for step in runbook.steps if step.uses)
    actions = [REGISTRY.get(name) for name in used]
    return [
        one
        for one in actions
        if one is not None and one.effect.changes_something and not one.asks_person
    ]


CASES = [
    pytest.param(path, action.name, id=f"{path.stem}-{action.name}")
    for path in RUNBOOKS
    for action in deeds(path)
]
HARMFUL = {Repeat.IRREVERSIBLE, Repeat.CHECK_THEN_ACT}


def sent_twice(came):
    """Harmful effects that were applied more than once with the same key."""
    counted = Counter(came.ledger.applied)
    return [
        name
        for (name, _key), times in counted.items()
        if times > 1 and REGISTRY.get(name).repeat in HARMFUL
    ]


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_it_ends_well_when_nothing_goes_wrong(path):
    came = told(path)
    assert came.end is not None, came.lines
    assert came.end.result == "succeeded", "\n".join(came.lines)
    assert sent_twice(came) == []


@pytest.mark.parametrize(("path", "action"), CASES)
def test_what_is_refused_for_good_is_no_success(path, action):
    fault = words.Fault(call=1, calls=0, error="rejected")
    came = told(path, **{action: fault})
    assert came.end is not None, came.lines
    assert action not in [name for name, _key in came.ledger.applied]
    assert came.end.result != "succeeded", "\n".join(came.lines)
    done = {REGISTRY.get(name).effect for name, _key in came.ledger.applied}
    if REGISTRY.get(action).effect is Effect.FENCE:
        assert Effect.PROMOTE not in done
    assert sent_twice(came) == []


@pytest.mark.parametrize(("path", "action"), CASES)
def test_a_lost_reply_changes_nothing_about_the_end(path, action):
    fault = words.Fault(call=1, error="outcome_unknown", applied=True)
    came = told(path, **{action: fault})
    assert came.end is not None, came.lines
    assert came.end.result == "succeeded", "\n".join(came.lines)
    assert sent_twice(came) == []


@pytest.mark.parametrize(("path", "action"), CASES)
def test_a_request_that_was_lost_is_never_taken_for_done(path, action):
    fault = words.Fault(call=1, error="outcome_unknown", applied=False)
    came = told(path, **{action: fault})
    assert came.end is not None, came.lines
    if came.end.result == "succeeded":
        assert action in [name for name, _key in came.ledger.applied], "\n".join(came.lines)
    assert sent_twice(came) == []
