"""
Makes a Cloud SQL read replica a primary. There is no way back.

Cloud SQL promotes what it is told to, and leaves the old primary a primary of its own: whether this
is the right replica is decided by `drctl.adapters._candidate`, and the old one is fenced before.
The API has no request id, so a request whose answer was lost is looked for, never sent again.
"""

from typing import Annotated, ClassVar

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
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, NotFound, OutcomeUnknown, Rejected
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters import _candidate, _managed
from drctl.adapters._managed import Replica
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.errors import after_sending
from drctl.adapters.gcp.operations import finish, is_under_way
from drctl.adapters.gcp.sql_api import (
    RUNNABLE,
    TERMINAL,
    Instance,
    describe,
    path_of,
    wait_until,
)
from drctl.adapters.gcp.sql_fit import replica_of

KINDS = ("PROMOTE_REPLICA",)
LATE_LOOKS = 3
LATE_PAUSE_S = 1.0
"""A request that was lost on the way back shows as an operation within a second or two."""


class PromoteParams(Params):
    """What must hold before, and what may be left out of account."""

    from_timeline: Annotated[int, Field(ge=1)] | None = None
    """The primary's timeline, as somebody else saw it; needed where there is no observer."""
    accept_silent_siblings: bool = False
    """True to promote although a sibling that does not answer may have more than this one."""


class Promotion(Outputs):
    """Where the new primary is, and what it was when it was promoted."""

    endpoint: str
    """Host: its DNS name, or its address."""
    port: int
    changed: bool
    """False when it already was a primary."""
    system_identifier: str = ""
    """Empty, as what follows, when the environment gives no ``sql`` to ask the server itself."""
    from_timeline: int | None = None
    """The timeline that it left."""
    lsn: str = ""
    """The end of what it had received, at the last look before the promotion."""


class PromoteReplica(Action[CloudSqlInstance, PromoteParams, Promotion]):
    """Promotes once, then waits until Cloud SQL *and* the server itself say that it is one."""

    name: ClassVar[str] = "gcp.cloudsql.promote_replica"
    no_way_back: ClassVar[str] = "it leaves its source for good; a standby is made anew, from it"
    summary: ClassVar[str] = "Make a Cloud SQL read replica a primary and wait until it is one"
    effect: ClassVar[Effect] = Effect.PROMOTE
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets = (CloudSqlInstance,)
    params = PromoteParams
    outputs = Promotion

    def planes(self, target: CloudSqlInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.gcp.region}", f"data-plane:{target.gcp.region}")

    async def observe(
        self, ctx: Context, target: CloudSqlInstance, params: PromoteParams | None
    ) -> Observation:
        gcp, given = Gcp(ctx, target.gcp), params or PromoteParams()
        seen = await describe(gcp, target.instance)
        unfit = await _managed.unfit(ctx, _replica(ctx, target, given))
        if await _is_of_a_replica(gcp, seen):
            unfit.append(f"it follows {seen.source}, which is a replica itself")
        return Observation(
            facts={
                "state": seen.state,
                "kind": seen.kind,
                "source": seen.source,
                "unfit": list(unfit),
            }
        )

    def preview(
        self, observation: Observation, target: CloudSqlInstance, params: PromoteParams | None
    ) -> Preview:
        facts = observation.facts
        state, source, unfit = facts["state"], facts["source"], facts["unfit"]
        if isinstance(unfit, list) and unfit:
            return CannotTell(why=f"it is not fit to be promoted: {unfit[0]}")
        if state != RUNNABLE:
            return CannotTell(why=f"{target.instance} is {state}; only {RUNNABLE} is promoted")
        if source is None:
            return Nothing(why=f"{target.instance} is already a primary")
        return Change(before=f"replica of {source}", after="primary, on its own")

    def debts(
        self, target: CloudSqlInstance, params: PromoteParams, outputs: Promotion
    ) -> tuple[Debt | Cleared, ...]:
        key = f"standby:{target.identities[-1]}"
        what = f"{target.label} is the only copy: a promoted instance has no replica of its own"
        remedy = "make a cross-region replica of it, and turn on its high availability"
        return (Debt(key=key, what=what, remedy=remedy),) if outputs.changed else ()

    async def perform(
        self, ctx: Context, target: CloudSqlInstance, params: PromoteParams
    ) -> Promotion:
        """
        Promotes, and waits until it takes writes.

        Safe to repeat: a primary that has what the observer wrote last returns at once with
        ``changed=False``. A promotion cannot be cancelled; on cancel we stop waiting and it goes
        on.

        Raises:
            Conflict: Cloud SQL is busy with it, or it is not the right candidate.
            Rejected: It is in a terminal state, or Cloud SQL refuses the request.
            OutcomeUnknown: No answer, the operation failed, it is not done by the deadline, or it
                is done and the instance is gone or in a terminal state.

        Changes:
            The instance's role; Cloud SQL may restart it. The old primary stays what it is.
        """
        gcp, replica = Gcp(ctx, target.gcp), _replica(ctx, target, params)
        seen = await describe(gcp, target.instance)
        if seen.state in TERMINAL:
            raise Rejected(f'Cloud SQL reports "{seen.state}" for {target.label}')
        if seen.is_primary:
            seen = await wait_until(ctx, gcp, target.instance, _is_up, after_change=False)
            await _managed.until_out_of_recovery(ctx, replica)
            chosen = await _managed.chosen(ctx, replica)
            return _promotion(target, seen, chosen, changed=False)
        if seen.state != RUNNABLE:
            raise Conflict(f'Cloud SQL reports "{seen.state}" for {target.label}')
        if await _is_of_a_replica(gcp, seen):
            raise Conflict(f"{target.label} follows {seen.source}, which is a replica itself")
        chosen = await _managed.chosen(ctx, replica)
        try:
            answer = await gcp.mutate(
                "POST", "sqladmin", f"{path_of(gcp, target.instance)}/promoteReplica"
            )
        except (Conflict, Rejected) as error:
            await _refuse_doubt(gcp, target, error)
            raise
        ctx.say(f"{target.instance}: promotion accepted")
        await finish(ctx, gcp, answer, target.instance, KINDS)
        seen = await wait_until(ctx, gcp, target.instance, _is_up, after_change=True)
        await _managed.until_out_of_recovery(ctx, replica)
        return _promotion(target, seen, chosen, changed=True)

    async def settled(
        self, ctx: Context, target: CloudSqlInstance, params: PromoteParams
    ) -> Done[Promotion] | NotDone | CannotTell:
        gcp, source = Gcp(ctx, target.gcp), None
        for look in range(LATE_LOOKS):
            if look:
                await ctx.clock.sleep(LATE_PAUSE_S)
            try:
                seen = await describe(gcp, target.instance)
                if _is_up(seen):
                    return Done(outputs=_promotion(target, seen, None, changed=True))
                if await is_under_way(gcp, target.instance, KINDS):
                    return CannotTell(why=f"Cloud SQL is still promoting {target.label}")
            except ActionError as error:
                return CannotTell(why=str(error))
            if seen.is_primary or seen.state != RUNNABLE:
                return CannotTell(why=f'Cloud SQL reports "{seen.state}" for {target.label}')
            source = seen.source
        return NotDone(why=f"{target.label} is {RUNNABLE} and still a replica of {source}")


def _is_up(seen: Instance) -> bool:
    return seen.state == RUNNABLE and seen.is_primary


def _replica(ctx: Context, target: CloudSqlInstance, params: PromoteParams) -> Replica:
    silence = params.accept_silent_siblings
    return replica_of(ctx, target, params.from_timeline, accepts_silence=silence)


async def _refuse_doubt(gcp: Gcp, target: CloudSqlInstance, refusal: ActionError) -> None:
    """
    A network that delivers a request twice gives the answer to the second one: the state that
    refuses it may be of the first one's making.

    Raises:
        OutcomeUnknown: It looks like that.
    """
    with after_sending(target.label):
        seen = await describe(gcp, target.instance)
        is_busy = await is_under_way(gcp, target.instance, KINDS)
    if is_busy or seen.is_primary or seen.state != RUNNABLE:
        raise OutcomeUnknown(f'{refusal}; Cloud SQL reports "{seen.state}"') from refusal


async def _is_of_a_replica(gcp: Gcp, seen: Instance) -> bool:
    """Whether it follows another replica; one of another project is not ours to ask."""
    if seen.source is None or ":" in seen.source:
        return False
    try:
        return not (await describe(gcp, seen.source)).is_primary
    except NotFound:
        return False


def _promotion(
    target: CloudSqlInstance, seen: Instance, chosen: _candidate.Seen | None, *, changed: bool
) -> Promotion:
    return Promotion(
        endpoint=seen.host,
        port=target.sql.port if target.sql else 5432,
        changed=changed,
        system_identifier=chosen.system_identifier if chosen else "",
        from_timeline=chosen.timeline if chosen and changed else None,
        lsn=_candidate.position(chosen) if chosen else "",
    )
