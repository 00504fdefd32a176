"""What is asked is derived from the plan; what is heard becomes a verdict; nothing is changed."""

import asyncio
import gc
import io

import pytest
from engine_model import Fake, FakePin, plan_of, step
from rich.console import Console

from drctl.actions.check import Check, Prerequisite, Rung, Standing, broken, holds
from drctl.actions.contract import Adapter, Effect, NotPermittedError
from drctl.actions.errors import Conflict, Unavailable
from drctl.actions.planes import Ask, Down, Loss
from drctl.actions.registry import Registry
from drctl.actions.targets import SlackChannel
from drctl.config.secrets import LocalSecrets
from drctl.plan.make import Planner
from drctl.plan.model import PlannedCall, PlannedPin
from drctl.ready import assume, derive, judge, rehearse
from drctl.ready.ask import Asker
from drctl.ready.model import Judged, Readiness, Skipped, result_of
from drctl.simulated.clock import VirtualClock, run_virtual
from drctl.view.ready_text import show_readiness


class Look(Check[SlackChannel]):
    """Says what it is told, and remembers what it was asked."""

    targets = (SlackChannel,)
    summary = "fake"

    def __init__(self, name, actions, says=None, *, rung=Rung.STATE, key=None, planes=()):
        self.name, self.actions, self.rung = name, actions, rung
        self.asked, self._says, self._key, self._planes = [], says, key, planes

    def planes(self, target):
        return self._planes

    def key(self, asked):
        return self._key

    async def look(self, ctx, asked):
        self.asked.append(asked)
        if isinstance(self._says, Exception):
            raise self._says
        if self._says == "hangs":
            await ctx.clock.sleep(1e9)
        if self._says == "changes":
            ctx.permit()
        return [self._says or holds("it", "is there")]


def registry(*checks, actions=(), pins=()):
    return Registry([Adapter(name="f", actions=tuple(actions), checks=checks, pins=tuple(pins))])


def heard(plan, known, pins=(), down=frozenset()):
    async def main():
        asker = Asker(registry=known, clock=VirtualClock(), secrets=LocalSecrets(), down=down)
        return await asker.ask(plan, derive.questions(plan, known), pins)

    return run_virtual(main())


def judged(check, standing, *targets, rung=Rung.STATE, rests_on=()):
    subject = check if check == "clock" else f"{check} of {targets}"
    return Judged(check=check, standing=standing, subject=subject, targets=targets, why="w",
                  rung=rung, rests_on=rests_on, steps=(f"of_{check}",))  # fmt: skip


def verdict(*seen):
    plan = plan_of(step("a"), step("b", gate="b"))
    return judge.verdict(plan, seen, (), frozenset())


def test_a_check_is_asked_about_a_target_only_where_a_step_uses_one_of_its_actions_there():
    wanted, unwanted = Look("w", ("x.promote",)), Look("u", ("x.fence",))
    plan = plan_of(step("p", uses="x.promote", target="room"), step("q", uses="x.post"))
    found = derive.questions(plan, registry(wanted, unwanted, actions=(Fake("x.promote"),)))
    assert [("w", "room", ("p",))] == [(q.check.name, q.asked.name, q.asked.steps) for q in found]
    assert ("q",) == derive.unchecked(plan, frozenset({"p"}))


def test_an_undo_is_asked_about_only_by_who_minds_it():
    plain, minding = Look("plain", ("x.back",)), Look("minding", ("x.back",))
    minding.minds_undo = True
    undo = PlannedCall(uses="x.back", target="room")
    plan = plan_of(step("p", uses="x.go", target="other", undo=undo))
    known = registry(plain, minding, actions=(Fake("x.go"), Fake("x.back")))
    assert ["minding"] == [one.check.name for one in derive.questions(plan, known)]


def test_what_the_plan_itself_makes_is_not_missed_beforehand():
    maker, user = Fake("x.restore"), Fake("x.use")
    maker.makes_target = True
    plan = plan_of(
        step("make", uses="x.restore", target="room"),
        step("use", uses="x.use", target="other", needs=("make",)),
        step("before", uses="x.use", target="room"),
    )
    uses = derive.uses_of(plan, registry(actions=(maker, user)))
    assert [True] == [use.is_later for use in uses["other"]]
    plain, brave = Look("plain", ("x.use",)), Look("brave", ("x.use",))
    brave.minds_absent = True
    asked = derive.questions(plan, registry(plain, brave, actions=(maker, user)))
    assert {("brave", "other"), ("brave", "room")} == {(q.check.name, q.asked.name) for q in asked}


def test_params_are_what_is_known_before_the_run():
    with_ = {"n": "${{ inputs.n }}", "late": "${{ steps.a.outputs.x }}", "plain": 1,
             "data": {"host": "${{ steps.a.outputs.x }}"}}  # fmt: skip
    types = {"inputs.n": "int", "steps.a.outputs.x": "string"}
    plan = plan_of(step("p", uses="x", target="room", with_=with_), inputs={"n": 5}, types=types)
    [use] = derive.uses_of(plan, registry(actions=(Fake("x"),)))["room"]
    assert {"n": 5, "plain": 1} == {k: v for k, v in use.params.items() if k != "data"}
    assert ["host"] == list(use.params["data"])


@pytest.mark.parametrize(
    ("says", "standing"),
    [
        (None, Standing.HOLDS),
        (broken("it", "is gone", "do"), Standing.NOT_READY),
        (Unavailable("down"), Standing.CANNOT_TELL),
        (RuntimeError("bug"), Standing.CANNOT_TELL),
        ("hangs", Standing.CANNOT_TELL),
    ],
)
def test_what_does_not_answer_is_said_and_never_an_error(says, standing):
    plan = plan_of(step("p", uses="x", target="room"))
    [one] = heard(plan, registry(Look("c", ("x",), says), actions=(Fake("x"),)))
    assert (standing, ("p",), ("room",)) == (one.standing, one.steps, one.targets)


def test_a_check_that_would_change_something_is_refused():
    plan = plan_of(step("p", uses="x", target="room"))
    look = Look("c", ("x",), "changes")
    [one] = heard(plan, registry(look, actions=(Fake("x"),)))
    assert one.standing is Standing.CANNOT_TELL
    assert NotPermittedError.__name__ in one.why


def test_the_same_question_is_asked_once_for_all_who_need_its_answer():
    shared, own = Look("shared", ("x",), key="account"), Look("own", ("x",))
    plan = plan_of(step("p", uses="x", target="room"), step("q", uses="x", target="other"))
    found = heard(plan, registry(shared, own, actions=(Fake("x"),)))
    assert (1, 2) == (len(shared.asked), len(own.asked))
    assert 2 == len([one for one in found if one.check == "shared"])


def test_a_shared_silence_is_told_to_each_of_its_own_target():
    shared = Look("shared", ("x",), Unavailable("down"), key="account")
    plan = plan_of(step("p", uses="x", target="room"), step("q", uses="x", target="other"))
    targets = {"room": SlackChannel(channel="#room"), "other": SlackChannel(channel="#other")}
    plan = plan.model_copy(update={"targets": targets})
    found = heard(plan, registry(shared, actions=(Fake("x"),)))
    assert 1 == len(shared.asked)
    assert {"room": "Slack #room", "other": "Slack #other"} == {
        one.targets[0]: one.subject for one in found
    }


@pytest.mark.parametrize(
    ("found", "standing"),
    [("us", Standing.HOLDS), ("them", Standing.NOT_READY),
     (Unavailable("x"), Standing.CANNOT_TELL)],
)  # fmt: skip
def test_an_identity_that_is_another_one_breaks_every_step_of_its_targets(found, standing):
    pin = PlannedPin(name="fake.account", subject="here", targets=("room", "other"),
                     expected="us", found=None)  # fmt: skip
    plan = plan_of(step("p", uses="x", target="room"), step("q", uses="x", target="other"))
    [one] = heard(plan, registry(actions=(Fake("x"),), pins=(FakePin(found),)), (pin,))
    assert ("identity.fake.account", standing) == (one.check, one.standing)
    assert ("p", "q") == one.steps


def test_what_rests_on_something_that_does_not_hold_is_not_judged():
    wrong = judged("id", Standing.NOT_READY, "room", rung=Rung.NAME)
    above = judged("lag", Standing.NOT_READY, "room")
    beside = judged("ttl", Standing.HOLDS, "other")
    seen = verdict(wrong, above, beside)
    assert ["id", "ttl"] == [one.check for one in seen.judged]
    assert ["lag"] == [one.check for one in seen.skipped]
    assert "it rests on id" in seen.skipped[0].why


def test_a_risk_below_hides_nothing():
    below = judged("cert", Standing.AT_RISK, "room", rung=Rung.DOOR)
    seen = verdict(below, judged("lag", Standing.NOT_READY, "room"))
    assert {"cert", "lag"} == {one.check for one in seen.judged}


def test_a_named_ground_hides_what_rests_on_it_for_the_same_target_only():
    gone = judged("aws.rds.replica", Standing.NOT_READY, "room")
    mine = judged("recovery.loss", Standing.NOT_READY, "room", rests_on=("*.replica",))
    other = judged("recovery.loss", Standing.NOT_READY, "other", rests_on=("*.replica",))
    seen = verdict(gone, mine, other)
    assert [("other",)] == [one.targets for one in seen.judged if one.check == "recovery.loss"]


def test_the_same_thing_seen_through_two_targets_is_one_thing():
    one = judged("clock", Standing.AT_RISK, "room")
    seen = verdict(one, one.model_copy(update={"targets": ("other",), "steps": ("z",)}))
    [merged] = seen.judged
    assert (("room", "other"), ("of_clock", "z")) == (merged.targets, merged.steps)


@pytest.mark.parametrize(
    ("standings", "result"),
    [
        ((), "ready"),
        ((Standing.HOLDS, Standing.UNPROVEN), "ready"),
        ((Standing.HOLDS, Standing.CANNOT_TELL), "at risk"),
        ((Standing.AT_RISK,), "at risk"),
        ((Standing.AT_RISK, Standing.NOT_READY), "not ready"),
    ],
)
def test_the_result_is_the_worst_standing_and_silence_is_a_risk(standings, result):
    assert result == result_of(tuple(judged(str(n), s) for n, s in enumerate(standings)))


EAST = ("control-plane:us-east-1",)


class InTheEast(SlackChannel):
    @property
    def places(self):
        return ("us-east-1",)


def _coping(name):
    fake = Fake(name)
    fake.asks = lambda _target, _params: (Ask(plane=EAST[0], copes="it does without"),)
    return fake


def _assuming(plan, known, place="us-east-1"):
    told = _told(plan, known, place)
    return assume.split(derive.questions(plan, known), assume.assumed(told))


def test_steps_that_need_what_is_assumed_down_are_not_ready_and_nothing_more_is_asked_for_them():
    fake = Fake("x", Effect.TRAFFIC)
    fake.planes = lambda _target: EAST
    message = Fake("m", Effect.NOTIFY)
    message.planes = lambda _target: EAST
    look = Look("c", ("x",), planes=EAST)
    known = registry(look, actions=(fake, message))
    plan = plan_of(
        step("p", uses="x", target="room", effect=Effect.TRAFFIC),
        step("q", uses="m", target="room", effect=Effect.NOTIFY, on_failure="continue"),
    )
    askable, skipped = _assuming(plan, known)
    assert ((), ["c"]) == (askable, [one.check for one in skipped])
    assert "fails without us-east-1, assumed down" in skipped[0].why
    fates = judge.fates(plan, _told(plan, known, "us-east-1"))
    assert {("p", "not ready"), ("q", "at risk")} == {(one.steps[0], one.standing) for one in fates}
    assert len(fates) == 2
    assert () == judge.fates(plan, _told(plan, known, "us-west-2"))


def test_what_a_step_needs_that_would_still_run_is_asked_wherever_the_answer_is_kept():
    rights = Look("rights", ("x",), planes=EAST)
    known = registry(rights, actions=(Fake("x"), _coping("y")))
    plan = plan_of(step("p", uses="x", target="room"))
    askable, skipped = _assuming(plan, known)
    assert (["rights"], ()) == ([one.check.name for one in askable], skipped)
    coping = registry(Look("rights", ("y",), planes=EAST), actions=(_coping("y"),))
    askable, skipped = _assuming(plan_of(step("p", uses="y", target="room")), coping)
    assert (["rights"], ()) == ([one.check.name for one in askable], skipped)


def test_what_lies_in_the_lost_place_and_nobody_misses_is_not_looked_at_and_named():
    known = registry(Look("own", ("x", "y")), actions=(Fake("x"), _coping("y")))
    plan = plan_of(step("p", uses="y", target="room"), step("q", uses="y", target="other"))
    plan = plan.model_copy(update={"targets": plan.targets | {"room": InTheEast(channel="#e")}})
    askable, [skipped] = _assuming(plan, known)
    assert ["other"] == [one.asked.name for one in askable]
    assert ("own", "Slack #e") == (skipped.check, skipped.subject)
    assert "goes on without us-east-1, assumed down" in skipped.why
    both = plan_of(step("p", uses="y", target="room"), step("q", uses="x", target="room"))
    both = both.model_copy(update={"targets": {"room": InTheEast(channel="#e")}})
    [left], skipped = _assuming(both, known)
    assert (("q",), ()) == (left.asked.steps, skipped)


def test_what_was_not_looked_at_is_named_without_asking_for_more():
    gone = {"why": "what needs it goes on without us-east-1, assumed down"}
    skipped = [Skipped(check="a", subject="s", **gone), Skipped(check="b", subject="s", **gone)]
    scenario = judge.verdict(plan_of(step("a")), (), skipped, frozenset())
    seen = Readiness(environment="e", at="t", took_s=1, result="ready", scenarios=(scenario,))
    console = Console(file=io.StringIO(), width=100)
    show_readiness(seen, console)
    said = console.file.getvalue()
    assert f"not looked at: {gone['why']}" in said
    assert "a, b  s" in said


def test_silence_of_what_is_assumed_down_is_a_risk_that_says_why():
    known = registry(Look("c", ("x",), Unavailable("hush"), planes=EAST), actions=(Fake("x"),))
    plan = plan_of(step("p", uses="x", target="room"))
    [one] = heard(plan, known, down=frozenset({"us-east-1"}))
    assert one.standing is Standing.CANNOT_TELL
    assert one.why.startswith("not looked at: it asks control-plane:us-east-1, which is assumed")
    assert "at risk" == result_of((one,))
    [one] = heard(plan, known, down=frozenset({"us-west-2"}))
    assert "hush" == one.why


def test_a_trial_and_an_identity_are_left_out_by_the_same_rule():
    reading = _coping("r")
    reading.effect, reading.is_prerequisite = Effect.READ, True
    known = registry(actions=(reading,), pins=(FakePin("us"),))
    pin = PlannedPin(name="fake.account", subject="here", targets=("room",), expected="us",
                     found=None)  # fmt: skip
    plan = plan_of(step("p", uses="r", target="room"), pins=(pin,))
    for target, is_asked in ((plan.targets["room"], True), (InTheEast(channel="#e"), False)):
        plan = plan.model_copy(update={"targets": {"room": target}})
        world = assume.assumed(_told(plan, known, "us-east-1"))
        tried, untried = assume.split_trials(rehearse.trials(plan, known), world)
        pins, unnamed = assume.split_pins(plan, world)
        assert (is_asked, not is_asked) == (bool(tried), bool(untried))
        assert (is_asked, not is_asked) == (bool(pins), bool(unnamed))


def _told(plan, known, place):
    down = Down(lost={place: Loss.DEAD})
    planner = Planner(registry=known, clock=VirtualClock(), secrets=LocalSecrets(), down=down)
    return planner.foretell(plan).fate


def _looks(*steps, fake):
    plan = plan_of(*steps)
    return [one.step.id for one in rehearse.trials(plan, registry(actions=(fake, Fake("c"))))]


def test_a_step_is_tried_when_it_reads_a_prerequisite_before_anything_changes():
    fake = Fake("r", Effect.READ)
    own = {"uses": "r", "target": "room"}
    assert [] == _looks(step("p", **own), fake=fake)
    fake.is_prerequisite = True
    assert ["p"] == _looks(step("p", **own), fake=fake)
    change = step("c", effect=Effect.CHANGE)
    assert [] == _looks(change, step("p", needs=("c",), **own), fake=fake)
    assert [] == _looks(step("p", when="true", **own), fake=fake)
    assert [] == _looks(step("p", with_={"n": "${{ steps.c.outputs.x }}"}, **own), fake=fake)


def test_a_look_that_ends_badly_while_it_is_interrupted_leaves_no_traceback():
    """As where Ctrl-C comes while an answer does: nobody waits for what it says."""
    told = []

    class Stubborn(Look):
        async def look(self, ctx, asked):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                raise Conflict("it just said no") from None

    known = registry(Stubborn("c", ("x",)), actions=(Fake("x"),))
    plan = plan_of(step("p", uses="x", target="room"))

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, what: told.append(what))
        asker = Asker(registry=known, clock=VirtualClock(), secrets=LocalSecrets())
        asking = asyncio.ensure_future(asker.ask(plan, derive.questions(plan, known), ()))
        await asyncio.sleep(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        del asking, asker
        gc.collect()

    run_virtual(main())
    assert [] == told


def test_a_loss_is_weighed_against_the_rpo():
    def standing(bound):
        given = {"bound": bound, "source": "s"}
        fake = Fake("r", Effect.READ, gives=given, loss=True)
        plan = plan_of(step("p", uses="r", target="room", measures_loss=True), rpo_s=10)
        known = registry(actions=(fake,))

        async def main():
            asker = Asker(registry=known, clock=VirtualClock(), secrets=LocalSecrets())
            return await rehearse.rehearse(plan, asker, rehearse.trials(plan, known))

        [one] = run_virtual(main())
        assert one.check == "recovery.loss"
        return one.standing

    assert ["holds", "at risk", "not ready", "not ready"] == [
        standing(bound) for bound in ("PT1S", "PT6S", "PT11S", None)
    ]


def test_a_prerequisite_says_what_it_breaks_itself_when_it_knows_better():
    one = Prerequisite(standing=Standing.NOT_READY, subject="s", why="w", steps=("q",))
    plan = plan_of(step("p", uses="x", target="room"), step("q", uses="x", target="room"))
    [seen] = heard(plan, registry(Look("c", ("x",), one), actions=(Fake("x"),)))
    assert ("q",) == seen.steps
