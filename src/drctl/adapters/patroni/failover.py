"""
Makes a member of a Patroni cluster the leader when nobody leads.

Problem: while nobody leads Patroni holds elections by itself, unless it is paused or no member is
near enough to the last known position; then a person must name one, and Patroni promotes whatever
is named. And its answer may be lost, or be that it does not know. Invariant: one request, sent only
when the lock was free in the last look before it and the candidate is fit
(`drctl.adapters.patroni.judge`); it succeeded when the candidate holds the lock and PostgreSQL
there is a primary on a later timeline.

The fence is Patroni's: without the lock a primary demotes itself, and where its machine hangs the
watchdog ends it. Not promised: that nobody takes the lock between that look and the request, which
Patroni does not compare; that a member without a watchdog does so in time. A fence step
before this one proves it from outside.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict
from drctl.actions.targets import PatroniCluster, Target, Text
from drctl.adapters._witness import Missing
from drctl.adapters.patroni import group, judge, moved, rest
from drctl.adapters.patroni.moved import Before, Moved


class FailoverParams(Params):
    """Who is to lead, and what is accepted for it."""

    candidate: Text
    """The member's name in Patroni."""
    from_leader: Text | None = None
    """Who led; absent: who holds the lock while it expires, or began the last timeline, or is
    followed by the candidate."""
    from_timeline: Annotated[int, Field(ge=1)] | None = None
    """The leader's timeline, as somebody else saw it; absent: Patroni's history says it."""
    accept_lag_bytes: Annotated[int, Field(ge=0)] | None = None
    """How much of the leader's last known position may be lost; absent: what Patroni itself would
    accept (``maximum_lag_on_failover``). A distance that is not known is never accepted."""
    accept_silent_members: bool = False
    """True to go on although a member that does not answer, or that only Patroni knows, may have
    more than the candidate."""


class Failover(Action[PatroniCluster, FailoverParams, Moved]):
    """Has Patroni promote a member that drctl has judged, when nobody leads."""

    name: ClassVar[str] = "patroni.cluster.failover"
    no_way_back: ClassVar[str] = (
        "a new timeline begins: what the old primary alone had is discarded as it rejoins"
    )
    summary: ClassVar[str] = (
        "Makes a member the leader when nobody leads, if it lacks little enough"
    )
    effect: ClassVar[Effect] = Effect.PROMOTE
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets: ClassVar[tuple[type[Target], ...]] = (PatroniCluster,)
    params: ClassVar[type[Params]] = FailoverParams
    outputs: ClassVar[type[Moved]] = Moved

    def planes(self, target: PatroniCluster) -> tuple[str, ...]:
        """The store (DCS) is a control plane: without it nobody is promoted."""
        return (f"control-plane:patroni:{target.region}", f"data-plane:{target.region}")

    async def observe(
        self, ctx: Context, target: PatroniCluster, params: FailoverParams | None
    ) -> Observation:
        """
        Reads who leads, and what speaks against the candidate.

        Raises:
            ActionError: No member answered.
        """
        looked = await moved.observe(ctx, target)
        seen, unfit = looked.observation, list[str]()
        if params is not None and looked.view.leader == "":
            try:
                terms = await _terms(ctx, target, params, looked.history)
                unfit = await judge.objections(ctx, target, terms, looked.view)
            except ActionError as error:
                unfit = [str(error)]
        return replace(seen, facts={**seen.facts, "unfit": list(unfit)})

    def preview(
        self, observation: Observation, target: PatroniCluster, params: FailoverParams | None
    ) -> Preview:
        leader, unfit = observation.readings["leader"], observation.facts["unfit"]
        if leader is None:
            return CannotTell(why="the members do not agree who leads")
        if leader:
            if params is not None and leader == params.candidate:
                return Nothing(why=f"{leader} leads already")
            return CannotTell(why=f"{leader} holds the lock: it must be free first")
        if isinstance(unfit, list) and unfit:
            return CannotTell(why=f"the candidate is not fit to lead: {unfit[0]}")
        candidate = params.candidate if params else "the candidate"
        return Change(before="nobody leads", after=f"{candidate} leads")

    async def perform(self, ctx: Context, target: PatroniCluster, params: FailoverParams) -> Moved:
        """
        Waits until the lock is free, judges the candidate, asks once, and waits for the proof.

        Safe to repeat: a candidate that leads returns at once with ``changed=False``. What was
        asked for cannot be taken back; on cancel we stop waiting and it goes on.

        Raises:
            Conflict: Somebody leads, the candidate is not fit, or Patroni refused.
            Rejected: The environment has no such member.
            AuthRejected: The name or password for the REST API is wrong.
            OutcomeUnknown: Asked, and not seen to have happened before the deadline; or somebody
                else was promoted.
            Unavailable: Not reached; nothing happened.

        Changes:
            The failover key in the store; Patroni then promotes the candidate, for good.
        """
        rest.member_of(target, params.candidate)
        led = await _until_free(ctx, target, params)
        if isinstance(led, Moved):
            return led
        terms = await _terms(ctx, target, params, await rest.history(ctx, target))
        terms = replace(terms, leader=params.from_leader or led or terms.leader)
        fit = await judge.choose(ctx, target, terms)
        before = Before(leader=terms.leader, timeline=fit.seen.timeline, lag_bytes=fit.lag_bytes)
        # The judging took its time, and Patroni unseats whoever leads when it is asked.
        view = await group.look(ctx, target)
        if view.leader == params.candidate:
            return await moved.come_of_it(ctx, target, params.candidate, before, None)
        if view.leader != "":
            raise Conflict(f"{target.scope}: {view}; the lock is not free any more")
        ctx.say(f"asking for a failover to {params.candidate}, which lacks {fit.lag_bytes} bytes")
        return await moved.request(ctx, target, "/failover", params.candidate, before)

    def debts(
        self, target: PatroniCluster, params: FailoverParams, outputs: Moved
    ) -> tuple[Debt | Cleared, ...]:
        """A member less, until somebody has seen it stream again."""
        who = outputs.previous or "the old leader"
        return (
            Debt(
                key=f"standby:{target.identities[-1]}",
                what=f"{target.scope} runs without {who}, which was not seen to follow",
                remedy=f"bring {who} back (its Patroni rewinds it), then run patroni.cluster.wait",
            ),
        )

    async def settled(
        self, ctx: Context, target: PatroniCluster, params: FailoverParams
    ) -> Done[Moved] | NotDone | CannotTell:
        """What is in the store is taken up within one loop of the candidate's Patroni."""
        before = Before(leader=params.from_leader or "")
        try:
            found = await moved.proven(ctx, target, params.candidate, before, changed=True)
            if isinstance(found, Moved):
                return Done(outputs=found)
            if found.leader == "" and await _is_idle(ctx, target, params.candidate):
                return NotDone(why=f"nobody leads, and {params.candidate} is still a standby")
        except ActionError as error:
            return CannotTell(why=str(error))
        if found.leader not in {None, "", params.candidate}:
            return await _led_by_another(ctx, target, str(found.leader))
        return CannotTell(why=found.why)


async def _led_by_another(
    ctx: Context, target: PatroniCluster, leader: str
) -> NotDone | CannotTell:
    """
    A leader that works throws a request away; one that is silent may hold a lock that ends. One
    that was promoted since the plan is no reason to believe that nothing has happened.
    """
    try:
        seen = await moved.ask(ctx, target, leader)
    except ActionError as error:
        return CannotTell(why=str(error))
    if isinstance(seen, Missing) or seen.is_in_recovery:
        return CannotTell(why=f"{leader} holds the lock and is no primary that answers")
    if moved.is_later(ctx, seen.timeline) is not False:
        since = f"it may have been promoted since the plan (timeline {seen.timeline})"
        return CannotTell(why=f"{leader} leads, and {since}")
    return NotDone(why=f"{leader} leads")


async def _is_idle(ctx: Context, target: PatroniCluster, candidate: str) -> bool:
    """Its Patroni runs, and its loop is short enough for the time a read-back takes."""
    said = await rest.get(ctx, target, rest.member_of(target, candidate), "/patroni")
    loop = (await rest.settings(ctx, target)).get("loop_wait", 10)
    seen = await moved.ask(ctx, target, candidate)
    is_short = isinstance(loop, int) and loop <= moved.LONGEST_LOOP_S
    if isinstance(seen, Missing) or moved.is_later(ctx, seen.timeline):
        return False
    return is_short and seen.is_in_recovery and said.get("state") == "running"


async def _terms(
    ctx: Context, target: PatroniCluster, params: FailoverParams, history: Sequence[list[Any]]
) -> judge.Terms:
    """
    On what the candidate is measured.

    Raises:
        ActionError: Patroni's configuration did not come.
    """
    led, timeline = judge.last_leader(target, history)
    bound = params.accept_lag_bytes
    leader = params.from_leader or led
    if leader:
        rest.member_of(target, leader)
    return judge.Terms(
        candidate=params.candidate,
        leader=leader if leader != params.candidate else "",
        from_timeline=params.from_timeline or timeline,
        max_lag_bytes=bound if bound is not None else await judge.allowed_lag(ctx, target),
        accepts_silence=params.accept_silent_members,
        is_alive=False,
    )


async def _until_free(ctx: Context, target: PatroniCluster, params: FailoverParams) -> Moved | str:
    """
    Waits until nobody holds the lock, and says who held it; or what is so already.

    Raises:
        Conflict: Somebody leads, or holds the lock until the deadline.
    """
    led = ""
    while True:
        view = await group.look(ctx, target)
        if view.leader == "":
            return led
        if view.leader == params.candidate:
            before = Before(leader=params.from_leader or "")
            found = await moved.proven(ctx, target, view.leader, before, changed=False)
            if isinstance(found, Moved):
                return found
        elif view.leader is not None:
            led = view.leader
            seen = await moved.ask(ctx, target, led)
            if not isinstance(seen, Missing) and not seen.is_in_recovery:
                raise Conflict(f"{led} leads {target.scope} and answers: a switchover moves it")
        if ctx.deadline.left_s(ctx.clock) < moved.READ_BACK_S + moved.SPARE_S:
            raise Conflict(f"{target.scope}: {view}; the lock was not free in time")
        ctx.say(f"waiting until the lock is free: {view}")
        await ctx.clock.sleep(moved.EVERY_S)
