"""
Moves the leader of a Patroni cluster to a standby, while everything works.

Patroni stops the old primary cleanly, frees the lock once the candidate has its last record, and
makes it a standby of the new one. What it does not do is ask whether the candidate will have that
soon, whether it is the pinned system, or whether its replay stands still; that is asked here, and
the request names the leader that was seen, so that one which arrives late is refused by Patroni.
"""

from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
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


class SwitchoverParams(Params):
    """From whom to whom."""

    candidate: Text
    """The member's name in Patroni."""
    from_leader: Text | None = None
    """Who must lead; absent: who did when the plan was made. Another's move is never undone."""
    max_lag_bytes: Annotated[int, Field(ge=0)] | None = None
    """How far behind the leader the candidate may be when it is asked for: writes stop until it has
    caught up. Absent: ``maximum_lag_on_failover``."""


class Switchover(Action[PatroniCluster, SwitchoverParams, Moved]):
    """Has Patroni hand leadership over; nothing that was acknowledged is lost."""

    name: ClassVar[str] = "patroni.cluster.switchover"
    summary: ClassVar[str] = "Hands leadership over to a standby while the leader works"
    effect: ClassVar[Effect] = Effect.TRAFFIC
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets: ClassVar[tuple[type[Target], ...]] = (PatroniCluster,)
    params: ClassVar[type[Params]] = SwitchoverParams
    outputs: ClassVar[type[Moved]] = Moved

    def planes(self, target: PatroniCluster) -> tuple[str, ...]:
        """The store (DCS) is a control plane: without it nobody is promoted."""
        return (f"control-plane:patroni:{target.region}", f"data-plane:{target.region}")

    async def observe(
        self, ctx: Context, target: PatroniCluster, params: SwitchoverParams | None
    ) -> Observation:
        """
        Reads who leads, and what speaks against the candidate.

        Raises:
            ActionError: No member answered.
        """
        looked = await moved.observe(ctx, target)
        view, seen, unfit = looked.view, looked.observation, list[str]()
        if params is not None and view.leader and view.leader != params.candidate:
            try:
                terms = await _terms(ctx, target, params, view)
                unfit = await judge.objections(ctx, target, terms, view)
            except ActionError as error:
                unfit = [str(error)]
        facts = {**seen.facts, "leader": view.leader, "unfit": list(unfit)}
        return replace(seen, facts=facts)

    def preview(
        self, observation: Observation, target: PatroniCluster, params: SwitchoverParams | None
    ) -> Preview:
        leader, unfit = observation.facts["leader"], observation.facts["unfit"]
        if not leader:
            return CannotTell(why="nobody leads, or the members do not agree who does")
        if params is not None and leader == params.candidate:
            return Nothing(why=f"{leader} leads already")
        if isinstance(unfit, list) and unfit:
            return CannotTell(why=f"the candidate is not fit to lead: {unfit[0]}")
        candidate = params.candidate if params else "the candidate"
        return Change(before=f"{leader} leads", after=f"{candidate} leads")

    async def perform(
        self, ctx: Context, target: PatroniCluster, params: SwitchoverParams
    ) -> Moved:
        """
        Judges the candidate, asks once, and waits for the proof.

        Safe to repeat: a candidate that leads returns at once with ``changed=False``. What was
        asked for cannot be taken back; on cancel we stop waiting and it goes on.

        Raises:
            Conflict: Somebody else leads than was seen, nobody does, one is scheduled, the
                candidate is not fit, or Patroni refused.
            Rejected: The environment has no such member.
            AuthRejected: The name or password for the REST API is wrong.
            OutcomeUnknown: Asked, and not seen to have happened before the deadline; or somebody
                else was promoted.
            Unavailable: Not reached; nothing happened.

        Changes:
            The failover key in the store; Patroni then stops the leader and promotes the candidate.
        """
        rest.member_of(target, params.candidate)
        view = await group.look(ctx, target)
        if view.leader == params.candidate:
            before = Before(leader=params.from_leader or _seen(ctx))
            found = await moved.proven(ctx, target, params.candidate, before, changed=False)
            if isinstance(found, Moved):
                return found
            raise Conflict(found.why)
        if not view.leader:
            raise Conflict(f"{target.scope}: {view}; a switchover needs a leader")
        if view.is_scheduled:
            raise Conflict(f"{target.scope} has a scheduled switchover, which this would replace")
        terms = await _terms(ctx, target, params, view)
        fit = await judge.choose(ctx, target, terms)
        before = Before(leader=terms.leader, timeline=terms.from_timeline, lag_bytes=fit.lag_bytes)
        ctx.say(f"asking for a switchover from {terms.leader} to {params.candidate}")
        return await moved.request(ctx, target, "/switchover", params.candidate, before)

    async def settled(
        self, ctx: Context, target: PatroniCluster, params: SwitchoverParams
    ) -> Done[Moved] | NotDone | CannotTell:
        """A leader takes a request up, or throws it away, within one loop of its Patroni."""
        before = Before(leader=params.from_leader or _seen(ctx))
        try:
            found = await moved.proven(ctx, target, params.candidate, before, changed=True)
            if isinstance(found, Moved):
                return Done(outputs=found)
            if not found.leader or found.leader == params.candidate:
                return CannotTell(why=found.why)
            loop = (await rest.settings(ctx, target)).get("loop_wait", 10)
            seen = await moved.ask(ctx, target, found.leader)
        except ActionError as error:
            return CannotTell(why=str(error))
        if isinstance(seen, Missing) or seen.is_in_recovery or moved.is_later(ctx, seen.timeline):
            why = f"{found.leader} holds the lock, and is no primary or was promoted since the plan"
            return CannotTell(why=why)
        if not isinstance(loop, int) or loop > moved.LONGEST_LOOP_S:
            return CannotTell(why=f"{found.leader} leads, and looks for requests every {loop} s")
        return NotDone(why=f"{found.leader} still leads")


def _seen(ctx: Context) -> str:
    return str((ctx.seen or {}).get("leader") or "")


async def _terms(
    ctx: Context, target: PatroniCluster, params: SwitchoverParams, view: group.View
) -> judge.Terms:
    """
    On what the candidate is measured.

    Raises:
        Conflict: Somebody else leads than must, or the leader is no primary.
        Unavailable: The leader does not answer.
    """
    leader = view.leader or ""
    wanted = params.from_leader or _seen(ctx) or leader
    if leader != wanted:
        raise Conflict(f"{leader} leads {target.scope}, not {wanted}: somebody has moved it")
    seen = await moved.ask(ctx, target, rest.member_of(target, leader).name)
    if isinstance(seen, Missing):
        raise Conflict(f"{leader} holds the lock and does not answer ({seen.why})")
    if seen.is_in_recovery:
        raise Conflict(f"{leader} holds the lock and is in recovery")
    bound = params.max_lag_bytes
    return judge.Terms(
        candidate=params.candidate,
        leader=leader,
        from_timeline=seen.timeline,
        max_lag_bytes=bound if bound is not None else await judge.allowed_lag(ctx, target),
        is_alive=True,
    )
