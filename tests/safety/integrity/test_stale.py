"""
I16: nothing is done on an old view. Thirty facts, each changed between plan and run and between
the start of the run and the step that has no way back: sixty stops. And no fence without a
candidate.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import results
from engine_model import Fake, drive, plan_of, registry_for, step

from drctl.actions.contract import Change, Effect, Nothing, Observation
from drctl.actions.targets import SlackChannel
from drctl.app.compose import Parts
from drctl.app.saved import still_holds
from drctl.config.secrets import LocalSecrets
from drctl.engine import events as e
from drctl.kernel.clock import SystemClock
from drctl.kernel.errors import RefusedError
from drctl.plan.model import Prediction

FACTS: dict[str, Any] = {
    "role": "standby", "timeline": 3, "is_paused": False, "source": "prod", "pending": [],
    "status": "available", "groups": ["sg-1", "sg-2"], "zone": None, "lsn": "0/1", "deep": {"a": 1},
}  # fmt: skip
CHANGED: list[tuple[str, Any]] = [
    ("role", "primary"), ("role", ""), ("role", None), ("role", "Standby"), ("role", ["standby"]),
    ("timeline", 4), ("timeline", 2), ("timeline", "3"), ("timeline", 3.5), ("timeline", None),
    ("is_paused", True), ("is_paused", 0), ("is_paused", None), ("source", "other"),
    ("source", None), ("pending", ["class"]), ("pending", None), ("pending", {}),
    ("status", "modifying"), ("status", "available "), ("groups", ["sg-2", "sg-1"]),
    ("groups", ["sg-1"]), ("groups", []), ("zone", "z"), ("zone", False), ("lsn", "0/2"),
    ("deep", {"a": 2}), ("deep", {"a": 1, "b": 1}), ("deep", {}), ("new", 1),
]  # fmt: skip
assert len(CHANGED) == 30


class Seen(Fake):
    """Sees facts that somebody may change."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.facts: dict[str, Any] | Exception = dict(FACTS)

    async def observe(self, ctx: Any, target: Any, params: Any) -> Observation:
        if isinstance(self.facts, Exception):
            raise self.facts
        return Observation(facts=self.facts)

    def preview(self, observation: Observation, target: Any, params: Any) -> Any:
        is_done = observation.facts.get("role") == "primary"
        return Nothing(why="is one") if is_done else Change(before="standby", after="primary")


SAW = Prediction(symbol="!", facts=FACTS)


PROOF = step("proof", effect=Effect.CHANGE, needs=("promote",), proves_one_primary=True)


def planned(**more: Any) -> Any:
    return plan_of(
        step("measure", effect=Effect.READ, measures_loss=True),
        step("fence", target="other", effect=Effect.FENCE, needs=("measure",)),
        step("before", target="other", effect=Effect.CHANGE, needs=("fence",)),
        step(
            "promote",
            target="room",
            effect=Effect.PROMOTE,
            needs=("before",),
            prediction=SAW,
            **more,
        ),
        PROOF,
    )


def fakes(promote: Seen, **does: Any) -> list[Fake]:
    gives = {"bound": 1.0, "source": "s"}
    measured = Fake("measure", Effect.READ, loss=True, gives=gives, takes_s=0.0)
    return [measured, promote, *(Fake(name, kind, does=one) for name, (kind, one) in does.items())]


def changes(promote: Seen, name: str, value: Any) -> Any:
    async def does(_ctx: Any, _call: int) -> dict[str, Any]:
        assert isinstance(promote.facts, dict)
        promote.facts[name] = value
        return {}

    return does


def test_the_same_world_is_acted_on():
    promote = Seen("promote", Effect.PROMOTE)
    ran = drive(planned(), *fakes(promote))
    assert ran.end.result == "succeeded"
    assert len(promote.calls) == 1
    assert ran.events(e.FactsRead) == []


def test_thirty_facts_changed_at_two_moments_are_sixty_stops(tmp_path):
    ill = []
    for name, value in CHANGED:
        # Between the start of the run and the promotion: the step before it runs just then.
        promote = Seen("promote", Effect.PROMOTE)
        during = changes(promote, name, value)
        ran = drive(planned(), *fakes(promote, before=(Effect.CHANGE, during)))
        ends = ran.finished("promote")
        if promote.calls or not ends or ends[0].error != "stale" or name not in ends[0].why:
            ill.append(f"step: {name}={value!r}")
        # Between plan and run: a saved plan is looked at again.
        promote = Seen("promote", Effect.PROMOTE)
        promote.facts = {**FACTS, name: value}
        saved = planned()
        registry = registry_for(saved, fakes(promote), ())
        parts = Parts(registry=registry, clock=SystemClock(), secrets=LocalSecrets(), runs=tmp_path)
        try:
            asyncio.run(still_holds(parts, saved))
            ill.append(f"apply: {name}={value!r}")
        except RefusedError as error:
            if "DR3201" not in str(error):
                ill.append(f"apply: {name}={value!r}: {error}")
    results.record("integrity", "I16", cases=2 * len(CHANGED), violations=len(ill))
    assert ill == []


def test_nothing_is_fenced_for_a_candidate_that_changed_or_is_gone():
    for facts, word in (({**FACTS, "role": "primary"}, "stale"), (OSError("gone"), "unavailable")):
        promote = Seen("promote", Effect.PROMOTE)
        promote.facts = facts
        fence = Fake("fence", Effect.FENCE)
        ran = drive(planned(), *fakes(promote), fence)
        assert fence.calls == []
        assert promote.calls == []
        assert ran.finished("fence")[0].error == word
        assert "nothing is fenced without a candidate" in ran.finished("fence")[0].why
        assert not ran.end.changed


def test_what_the_run_itself_changed_is_no_drift():
    """A step changes the very thing that is promoted: it is looked at anew, on record."""
    promote = Seen("promote", Effect.PROMOTE)
    own = changes(promote, "groups", ["sg-9"])
    plan = plan_of(
        step("measure", effect=Effect.READ, measures_loss=True),
        step("fence", target="other", effect=Effect.FENCE, needs=("measure",)),
        step("prepare", target="room", effect=Effect.CHANGE, needs=("fence",)),
        step("wait", effect=Effect.READ, needs=("prepare",)),
        step("promote", target="room", effect=Effect.PROMOTE, needs=("wait",), prediction=SAW),
        PROOF,
    )
    ran = drive(plan, *fakes(promote, prepare=(Effect.CHANGE, own)))
    assert ran.end.result == "succeeded"
    assert [["sg-9"]] == [event.facts["groups"] for event in ran.events(e.FactsRead)]
    # And what somebody else does to it after that is drift.
    promote = Seen("promote", Effect.PROMOTE)
    own, theirs = changes(promote, "groups", ["sg-9"]), changes(promote, "groups", ["sg-8"])
    ran = drive(plan, *fakes(promote, prepare=(Effect.CHANGE, own), wait=(Effect.READ, theirs)))
    assert promote.calls == []
    assert ran.finished("promote")[0].error == "stale"


def test_our_own_late_effect_is_no_drift():
    """The first try was throttled as it seemed, and had its effect: the second finds it done."""
    from drctl.actions.errors import Throttled

    class Late(Seen):
        async def perform(self, ctx: Any, target: Any, params: Any) -> Any:
            ctx.permit()
            if not self.calls:
                assert isinstance(self.facts, dict)
                self.facts["role"] = "primary"
                self.calls.append((0.0, "", None))
                raise Throttled("busy")
            return await super().perform(ctx, target, params)

    promote = Late("promote", Effect.PROMOTE)
    ran = drive(planned(retry={"attempts": 2, "on_errors": ("throttled",)}), *fakes(promote))
    assert ran.end.result == "succeeded"
    assert len(promote.calls) == 2


def test_a_candidate_that_nobody_could_see_was_approved_so():
    """The plan said that it could not be looked at; the action's own checks decide then."""
    promote = Seen("promote", Effect.PROMOTE)
    unseen = Prediction(symbol="!", why="no answer")
    plan = planned()
    steps = tuple(
        one.model_copy(update={"prediction": unseen}) if one.id == "promote" else one
        for one in plan.steps
    )
    ran = drive(plan.model_copy(update={"steps": steps}).sealed(), *fakes(promote))
    assert ran.end.result == "succeeded"


def test_a_look_that_hangs_stops_the_step_in_time():
    promote = Seen("promote", Effect.PROMOTE)

    async def hang(ctx: Any, _target: Any, _params: Any) -> Observation:
        await ctx.clock.sleep(timedelta(days=1).total_seconds())
        raise AssertionError

    promote.observe = hang  # type: ignore[method-assign]
    ran = drive(planned(), *fakes(promote))
    assert promote.calls == []
    assert ran.finished("fence")[0].error == "unavailable"
    assert ran.ended_s < 30


@pytest.mark.parametrize("kind", [Effect.PROMOTE, Effect.DESTROY])
def test_both_kinds_without_a_way_back_look_first(kind):
    seen = Seen("gone", kind)
    plan = plan_of(
        step("measure", effect=Effect.READ, measures_loss=True),
        step("fence", target="other", effect=Effect.FENCE, needs=("measure",)),
        step("gone", target="room", effect=kind, needs=("fence",), prediction=SAW),
    )
    seen.facts = {**FACTS, "timeline": 9}
    drive(plan, *fakes(seen))
    assert seen.calls == []


def test_only_its_own_target_counts():
    """Facts of other steps may change while the run works on them: that is what it is for."""
    promote, other = Seen("promote", Effect.PROMOTE), Seen("before")
    plan = planned()
    steps = tuple(
        one.model_copy(update={"prediction": SAW}) if one.id == "before" else one
        for one in plan.steps
    )
    other.facts = {"role": "whatever"}
    plan = plan.model_copy(update={"steps": steps}).sealed()
    assert isinstance(plan.targets["room"], SlackChannel)
    assert drive(plan, *fakes(promote), other).end.result == "succeeded"
