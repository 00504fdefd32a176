"""A plan is possible whatever does not answer, and changes nothing."""

import pytest
from engine_model import Fake, FakePin, plan_of, registry_for, step

from drctl.actions import errors as words
from drctl.actions.contract import CannotTell, Change, Effect, Nothing, Observation
from drctl.config.secrets import LocalSecrets
from drctl.plan.make import Planner
from drctl.plan.model import PlannedPin
from drctl.simulated.clock import VirtualClock, run_virtual


def looked(plan, *fakes, pins=()):
    async def main():
        registry = registry_for(plan, fakes, pins)
        planner = Planner(registry=registry, clock=VirtualClock(), secrets=LocalSecrets())
        return await planner.look(plan)

    return run_virtual(main())


def act(effect, sees=None, says=None):
    made = Fake("a", effect)

    async def observe(ctx, target, params):
        if isinstance(sees, Exception):
            raise sees
        if sees == "hangs":
            await ctx.clock.sleep(1e9)
        return Observation(facts={"x": float("nan")})

    def preview(observation, target, params):
        if isinstance(says, Exception):
            raise says
        return says or Change(before="b\x1b", after="a")

    made.observe, made.preview = observe, preview
    return made


@pytest.mark.parametrize("sees", [words.Unavailable("down\x1b"), RuntimeError("bug"), "hangs"])
@pytest.mark.parametrize(("effect", "symbol"), [(Effect.CHANGE, "?"), (Effect.PROMOTE, "!")])
def test_what_does_not_answer_is_a_question_mark_and_never_hides_that_there_is_no_way_back(
    sees, effect, symbol
):
    plan = looked(plan_of(step("a", effect=effect)), fake := act(effect, sees))
    assert symbol == plan.steps[0].prediction.symbol
    assert "\x1b" not in plan.steps[0].prediction.why
    assert fake.calls == []


@pytest.mark.parametrize(
    ("effect", "says", "symbol"),
    [
        (Effect.CHANGE, None, "~"),
        (Effect.CHANGE, Change(before="", after="x", creates=True), "+"),
        (Effect.TRAFFIC, None, ">"),
        (Effect.TRAFFIC, Change(before="", after="x", creates=True), ">"),
        (Effect.PROMOTE, None, "!"),
        (Effect.DESTROY, None, "!"),
        (Effect.PROMOTE, CannotTell(why="?"), "!"),
        (Effect.FENCE, CannotTell(why="?"), "?"),
        (Effect.PROMOTE, Nothing(why="is primary"), " "),
        (Effect.CHANGE, ValueError("bug"), "?"),
    ],
)
def test_a_symbol_says_what_would_happen(effect, says, symbol):
    plan = looked(plan_of(step("a", effect=effect)), act(effect, says=says))
    prediction = plan.steps[0].prediction
    assert symbol == prediction.symbol
    assert "\x1b" not in prediction.before
    assert (plan.digest, plan.seal) == (plan.computed_digest(), plan.computed_seal())


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        ("us", "us"),
        ("th\x1bem", "th\\x1bem"),
        (words.NotFound("x"), None),
        (ValueError("bug"), None),
    ],
)
def test_a_pin_says_who_is_there_or_nothing(found, seen):
    pin = PlannedPin(
        name="fake.account", subject="here", targets=("room",), expected="us", found=None
    )
    plan = looked(plan_of(step("a"), pins=(pin,)), pins=[FakePin(found)])
    assert [seen] == [one.found for one in plan.pins]


@pytest.mark.parametrize(
    ("fake", "bound"),
    [
        (Fake("a", Effect.READ, gives={"bound": 2, "source": "s\x1b"}, loss=True), 2.0),
        (Fake("a", Effect.READ, gives={"bound": 2, "source": "s", "more": 1}, loss=True), 2.0),
        (Fake("a", Effect.READ, gives={"bound": -2, "source": "s"}, loss=True), None),
        (Fake("a", Effect.READ, gives={"bound": "x", "source": "s"}, loss=True), None),
        (Fake("a", Effect.READ, raises={1: words.Unavailable("down")}, loss=True), None),
        (Fake("a", Effect.READ, raises={1: RuntimeError("bug")}, loss=True), None),
        (Fake("a", Effect.READ, takes_s=1e9, loss=True), None),
    ],
)
def test_a_loss_that_cannot_be_bounded_is_unknown(fake, bound):
    plan = looked(plan_of(step("a", effect=Effect.READ, measures_loss=True)), fake)
    assert bound == plan.loss.bound_s
    assert "\x1b" not in plan.loss.source


def test_a_measure_whose_params_come_with_the_run_is_left_to_the_run():
    measure = step("a", measures_loss=True, with_={"lsn": "${{ steps.b.outputs.lsn }}"})
    plan = plan_of(measure, step("b"), types={"steps.b.outputs.lsn": "string"})
    assert looked(plan, fake := Fake("a", Effect.READ, loss=True)).loss is None
    assert fake.calls == []
    unknown = looked(plan).steps[0].prediction
    assert "known only during the run" in unknown.why or unknown.symbol in {"?", " "}


def test_an_action_that_is_not_installed_is_said():
    plan = plan_of(step("a"))

    async def main():
        registry = registry_for(plan_of(), [], [])
        planner = Planner(registry=registry, clock=VirtualClock(), secrets=LocalSecrets())
        return await planner.look(plan)

    assert "not installed" in run_virtual(main()).steps[0].prediction.why
