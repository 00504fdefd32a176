"""A saved plan is the plan that was saved, in the world it was made for."""

import json

import pytest
from engine_model import plan_of, step

from drctl.actions.contract import Effect
from drctl.kernel.canonical import digest
from drctl.plan.drift import drift
from drctl.plan.model import LossLook, Plan, PlannedCall, PlannedGate, PlannedPin, Prediction

PIN = PlannedPin(name="n", subject="s", targets=("room",), expected="us", found="us")
FULL = plan_of(
    step(
        "a",
        target="room",
        effect=Effect.CHANGE,
        with_={"n": 1, "f": 1.5, "deep": {"x": ["y", None, True]}},
        verify=(PlannedCall(uses="look"),),
        undo=PlannedCall(uses="back"),
        retry={"attempts": 2, "on_errors": ("throttled",)},
        show=("x",),
        planes=("data-plane:x",),
        prediction=Prediction(symbol="~", facts={"state": "was"}, readings={"lag": 3}),
    ),
    step("g", gate="go", needs=("a",)),
    pins=(PIN,),
    gates={"go": PlannedGate(title="Go", expires_s=9)},
    ends=("a",),
    inputs={"x": "y"},
    types={"inputs.x": "string"},
    loss=LossLook(step="a", bound_s=2.0, source="here"),
)


def leaves(value, path=()):
    match value:
        case dict():
            for key, item in value.items():
                yield from leaves(item, (*path, key))
            yield path
        case list():
            for index, item in enumerate(value):
                yield from leaves(item, (*path, index))
            yield path
        case _:
            yield path


def other(value):
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case None:
            return "x"
        case list():
            return value[:-1] if value else ["x"]
        case dict():
            return {"x": "y"} if not value else dict(list(value.items())[:-1])
    raise AssertionError(value)


RAW = json.loads(FULL.model_dump_json())
PLACES = sorted((path for path in leaves(RAW) if path), key=str)
# The loss bound is measured anew before a saved plan runs; what was measured then is not approved.
APART = {"digest", "seal", "loss", "loss_digest"}
# What is another thing each time, by name wherever it stands: under the seal only.
ONE_TIME = {
    "created_at", "sources", "findings", "waived", "forecast", "forecast_s", "critical_path",
    "at", "before", "after", "why", "readings",
}  # fmt: skip


def test_every_field_of_a_plan_is_under_its_seal():
    """Each one changed by itself is refused, or found: never the same seal."""
    assert len(PLACES) > 100
    for path in PLACES:
        raw = json.loads(FULL.model_dump_json())
        place = raw
        for key in path[:-1]:
            place = place[key]
        was = place[path[-1]]
        place[path[-1]] = other(was)
        touched = (*path, [*was][-1]) if isinstance(was, dict) and was else path
        try:
            plan = Plan.model_validate(raw)
        except ValueError:
            continue
        assert plan == FULL or not plan.is_whole, path
        if path[0] not in APART:
            assert plan == FULL or plan.computed_seal() != FULL.seal, path
            is_lasting = ONE_TIME.isdisjoint(touched)
            assert plan == FULL or (plan.computed_digest() != FULL.digest) is is_lasting, path


def without(value, names):
    """The same without these names, wherever they stand."""
    match value:
        case dict():
            return {key: without(one, names) for key, one in value.items() if key not in names}
        case list():
            return [without(one, names) for one in value]
    return value


def test_digest_and_seal_are_those_of_the_plan_written_out():
    """They are made of parts that both share; a plan of another drctl must still have the same."""
    raw = {name: value for name, value in RAW.items() if name not in APART}
    assert FULL.seal == digest(raw)
    assert FULL.digest == digest(without(raw, ONE_TIME))


def test_another_loss_bound_is_the_same_plan():
    other_loss = FULL.with_loss(LossLook(step="a", bound_s=9.0, source="later"))
    assert other_loss.is_whole
    assert FULL.digest == other_loss.computed_digest()
    assert FULL.seal == other_loss.computed_seal()


def test_a_plan_keeps_its_digest_through_a_file():
    again = Plan.model_validate_json(FULL.model_dump_json(indent=1))
    assert (FULL.digest, FULL.digest) == (again.digest, again.computed_digest())


def test_the_same_world_has_not_drifted():
    assert drift(FULL, FULL) == ()


def changed(*, pin=None, facts=None, readings=None):
    prediction = FULL.steps[0].prediction.model_copy(
        update={"facts": facts or {"state": "was"}, "readings": readings or {}}
    )
    steps = (FULL.steps[0].model_copy(update={"prediction": prediction}), *FULL.steps[1:])
    pins = (PIN.model_copy(update={"found": pin}),) if pin != "same" else (PIN,)
    return FULL.model_copy(update={"steps": steps, "pins": pins})


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        (changed(pin="them"), "n of s was us, is them"),
        (changed(pin=None), "n of s was us, is None"),
        (changed(pin="same", facts={"state": "is"}), "a: state was 'was', is 'is'"),
        (changed(pin="same", facts={"more": 1, "state": "was"}), "a: more was None, is 1"),
    ],
)
def test_what_was_seen_then_and_is_otherwise_now_is_told(fresh, words):
    assert (words,) == drift(FULL, fresh)


def test_what_only_passes_by_is_no_drift():
    assert drift(FULL, changed(pin="same", readings={"lag": 99})) == ()
