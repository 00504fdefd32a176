"""What is never said not to have happened, and what is never sent; what members say is made up."""

import dataclasses

import pytest

from drctl.actions.contract import CannotTell, NoParams, NotDone, Nothing
from drctl.actions.errors import Conflict, OutcomeUnknown
from drctl.adapters import _candidate_look
from drctl.adapters._candidate import Seen
from drctl.adapters.patroni import failover, group, identity, judge, moved, rest, wait
from drctl.adapters.patroni.failover import Failover, FailoverParams
from drctl.adapters.patroni.moved import Before, NotYet
from drctl.adapters.patroni.pause import Pause, Resume, ResumeParams
from drctl.adapters.patroni.switchover import Switchover, SwitchoverParams

from .conftest import context
from .test_answers import aim

TO_TWO = FailoverParams(candidate="two", from_leader="one")
BEFORE = Before(leader="one", timeline=3)


def always(answer):
    """A coroutine function that gives it, or raises it."""

    async def give(*_args, **_named):
        if isinstance(answer, Exception):
            raise answer
        return answer

    return give


def server(timeline, *, is_standby=False):
    return Seen(
        system_identifier="7", is_in_recovery=is_standby, timeline=timeline,
        receive_lsn="0/5000000", replay_lsn="0/5000000", is_paused=False, apply_delay="0",
        is_receiving=True, upstream=None,
    )  # fmt: skip


def led_by(leader):
    return group.View(
        leader=leader, rows={}, is_paused=False, is_scheduled=False, heard=("two",), silent={}
    )


@pytest.mark.parametrize(
    "found", [NotYet(leader="three", why="three leads"), Conflict("another database")]
)
async def test_a_request_that_promoted_another_is_not_refused(found, monkeypatch):
    """A conflict would say that nothing has happened, and an undo would go past it."""
    monkeypatch.setattr(rest, "change", always("Failed over to three instead of two"))
    monkeypatch.setattr(moved, "proven", always(found))
    with pytest.raises(OutcomeUnknown, match=r"three instead of two|another database"):
        await moved.request(context(), aim(), "/failover", "two", BEFORE)


@pytest.mark.parametrize(
    ("planned", "now", "answer"),
    [(3, 3, NotDone), (3, 4, CannotTell), (None, 3, CannotTell)],
)
async def test_a_failover_that_went_elsewhere_is_not_undone(planned, now, answer, monkeypatch):
    monkeypatch.setattr(moved, "proven", always(NotYet(leader="three", why="three leads")))
    monkeypatch.setattr(moved, "ask", always(server(now)))
    ctx = context(seen={"timeline": planned} if planned else None, permits=False)
    assert isinstance(await Failover().settled(ctx, aim(), TO_TWO), answer)


@pytest.mark.parametrize(("now", "answer"), [(3, NotDone), (4, CannotTell)])
async def test_one_that_was_promoted_and_died_is_not_forgotten(now, answer, monkeypatch):
    monkeypatch.setattr(moved, "proven", always(NotYet(leader="", why="nobody leads")))
    monkeypatch.setattr(moved, "ask", always(server(now, is_standby=True)))
    monkeypatch.setattr(rest, "get", always({"state": "running"}))
    monkeypatch.setattr(rest, "settings", always({"loop_wait": 10}))
    ctx = context(seen={"timeline": 3}, permits=False)
    assert isinstance(await Failover().settled(ctx, aim(), TO_TWO), answer)


@pytest.mark.parametrize(("now", "answer"), [(3, NotDone), (4, CannotTell)])
async def test_a_switchover_that_went_elsewhere_is_not_undone(now, answer, monkeypatch):
    monkeypatch.setattr(moved, "proven", always(NotYet(leader="one", why="one leads")))
    monkeypatch.setattr(moved, "ask", always(server(now)))
    monkeypatch.setattr(rest, "settings", always({"loop_wait": 10}))
    ctx = context(seen={"timeline": 3, "leader": "one"}, permits=False)
    params = SwitchoverParams(candidate="two")
    assert isinstance(await Switchover().settled(ctx, aim(), params), answer)


@pytest.mark.parametrize(
    ("leader", "error"), [("three", Conflict), ("one", Conflict), (None, Conflict), ("", None)]
)
async def test_a_failover_is_asked_for_only_while_nobody_leads(leader, error, monkeypatch):
    """Patroni would unseat the new leader, with what it has taken since."""
    sent = []
    fit = judge.Fit(seen=server(3, is_standby=True), lag_bytes=0)
    monkeypatch.setattr(failover, "_until_free", always("one"))
    monkeypatch.setattr(rest, "history", always([]))
    monkeypatch.setattr(rest, "settings", always({}))
    monkeypatch.setattr(judge, "choose", always(fit))
    monkeypatch.setattr(group, "look", always(led_by(leader)))

    async def request(*given):
        sent.append(given)

    monkeypatch.setattr(moved, "request", request)
    if error is None:
        await Failover().perform(context(), aim(), TO_TWO)
    else:
        with pytest.raises(error, match="not free any more"):
            await Failover().perform(context(), aim(), TO_TWO)
    assert len(sent) == (error is None)


async def test_a_candidate_that_was_elected_meanwhile_is_proven_without_a_request(monkeypatch):
    fit = judge.Fit(seen=server(3, is_standby=True), lag_bytes=0)
    monkeypatch.setattr(failover, "_until_free", always("one"))
    monkeypatch.setattr(rest, "history", always([]))
    monkeypatch.setattr(rest, "settings", always({}))
    monkeypatch.setattr(judge, "choose", always(fit))
    monkeypatch.setattr(group, "look", always(led_by("two")))
    monkeypatch.setattr(moved, "ask", always(server(4)))
    monkeypatch.setattr(rest, "change", always(AssertionError("sent")))
    done = await Failover().perform(context(), aim(), TO_TWO)
    assert (done.leader, done.timeline, done.from_timeline) == ("two", 4, 3)


@pytest.mark.parametrize("odd", ["sql", "rest"])
async def test_one_odd_answer_of_a_member_is_enough(odd, monkeypatch):
    """The request goes to where REST leads; that SQL leads to the right one proves nothing."""
    said = {"rest": "7", "sql": "7"} | {odd: "8"}
    seen = dataclasses.replace(server(3), system_identifier=said["sql"])
    monkeypatch.setattr(_candidate_look, "ask", always(seen))
    monkeypatch.setattr(rest, "get", always({"database_system_identifier": said["rest"]}))
    monkeypatch.setattr(group, "look", always(led_by("one")))
    pin = identity.SystemIdentifierPin()
    assert await pin.read(context(permits=False), aim()) == "8"


def test_a_connection_that_has_only_begun_is_no_stream():
    """One that is refused shows the same, again and again; the standby would count as rebuilt."""
    row = group._row({"name": "two", "role": "replica", "state": "running", "timeline": 3})
    view, leader = dataclasses.replace(led_by("one"), rows={"two": row}), server(3)
    streams = server(3, is_standby=True)
    begins = dataclasses.replace(streams, is_receiving=False, is_beginning=True)
    assert wait._behind("two", streams, view, leader, streams.has) == 0
    assert wait._behind("two", begins, view, leader, streams.has) is None


async def test_a_pause_of_somebody_else_is_not_ended(monkeypatch):
    paused = dataclasses.replace(led_by("one"), is_paused=True)
    monkeypatch.setattr(group, "look", always(paused))
    monkeypatch.setattr(rest, "change", always(AssertionError("sent")))
    theirs = context(seen={"paused": True})
    found = await Pause().perform(theirs, aim(), NoParams())
    assert not found.changed
    assert not (await Pause().settled(theirs, aim(), NoParams())).outputs.changed
    params = ResumeParams(changed=found.changed)
    left = await Resume().perform(context(), aim(), params)
    assert (left.paused, left.changed) == (True, False)
    assert (await Resume().settled(context(), aim(), params)).outputs == left
    assert Resume().debts(aim(), params, left) == (), "they still owe its end"
    seen = await Resume().observe(context(), aim(), params)
    assert isinstance(Resume().preview(seen, aim(), params), Nothing)


async def test_a_pause_that_an_earlier_attempt_has_set_is_ours(monkeypatch):
    monkeypatch.setattr(group, "look", always(dataclasses.replace(led_by("one"), is_paused=True)))
    ours = context(seen={"paused": False})
    assert (await Pause().perform(ours, aim(), NoParams())).changed
