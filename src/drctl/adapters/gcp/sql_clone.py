"""
Recovers a Cloud SQL instance to a moment, into a new instance; the source is only read.

A clone has its source's settings, its addresses' kinds too: the clone of an instance with a public
address would be public from its first second, and the API has no way to ask for another. So only a
private instance is cloned, and the clone is looked at again before anybody hears of it.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, Field, StringConstraints

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Debt,
    Done,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
    Restores,
)
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import CloudSqlInstance
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.errors import AlreadyExists
from drctl.adapters.gcp.operations import finish, listed
from drctl.adapters.gcp.sql_api import (
    RUNNABLE,
    Instance,
    describe,
    path_of,
    wait_until,
)

KINDS = ("CLONE", "CREATE_CLONE", "CREATE")


class CloneParams(Params):
    """What shall be recovered, and what it shall be called."""

    time: AwareDatetime
    """With its offset: ``2026-11-23T05:00:00Z``. A time without one belongs to nobody's clock."""
    name: Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,96}[a-z0-9])?$")]
    """Of the new instance; nothing of that name may be there."""


class Clone(Outputs):
    """The new instance. It is nobody's yet: no client knows of it."""

    instance: str
    endpoint: str
    """Its DNS name, or its private address."""
    time: str
    """What it was recovered to, in UTC."""
    private: bool = Field(default=True)
    """Always true: a public one is not accepted."""


class CloneToTime(Action[CloudSqlInstance, CloneParams, Clone]):
    """Checks the recovery window, clones, and waits until the new instance runs."""

    name: ClassVar[str] = "gcp.cloudsql.clone_to_time"
    summary: ClassVar[str] = "Recover a Cloud SQL instance to a moment, into a new private one"
    makes_target: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect.CHANGE
    restores: ClassVar[Restores | None] = Restores(into="name", source="instance")
    repeat: ClassVar[Repeat] = Repeat.CHECK_THEN_ACT
    targets = (CloudSqlInstance,)
    params = CloneParams
    outputs = Clone

    def planes(self, target: CloudSqlInstance) -> tuple[str, ...]:
        return (f"control-plane:{target.gcp.region}",)

    async def observe(
        self, ctx: Context, target: CloudSqlInstance, params: CloneParams | None
    ) -> Observation:
        gcp = Gcp(ctx, target.gcp)
        source = await describe(gcp, target.instance)
        refusal = _unfit(source)
        earliest, latest = ("", "") if refusal else await _window(gcp, target.instance)
        taken = params is not None and await _find(gcp, params.name) is not None
        return Observation(
            facts={"state": source.state, "unfit": refusal, "name_taken": taken},
            readings={"earliest": str(earliest), "latest": str(latest)},
        )

    def preview(
        self, observation: Observation, target: CloudSqlInstance, params: CloneParams | None
    ) -> Preview:
        facts, readings = observation.facts, observation.readings
        if facts["unfit"]:
            return CannotTell(why=str(facts["unfit"]))
        window = f"{readings['earliest']} to {readings['latest']}"
        if params is None:
            return CannotTell(why=f"the time is known during the run; it can be {window}")
        if facts["name_taken"]:
            return CannotTell(why=f"there is an instance {params.name} already")
        earliest = datetime.fromisoformat(str(readings["earliest"]))
        latest = datetime.fromisoformat(str(readings["latest"]))
        if why := outside(params.time, earliest, latest):
            return CannotTell(why=why)
        after = f"{params.name}: {target.instance} as of {params.time.isoformat()}"
        return Change(before=f"no {params.name}", after=after, creates=True)

    async def perform(self, ctx: Context, target: CloudSqlInstance, params: CloneParams) -> Clone:
        """
        Clones, and waits until the new instance runs and is private.

        Raises:
            Conflict: There is an instance of that name, or Cloud SQL is busy with the source.
            Rejected: The time is outside of the recovery window, or the source is public or keeps
                no logs.
            OutcomeUnknown: No answer, the operation failed, it is not done by the deadline, or the
                clone is there and is not private.

        Changes:
            Creates one instance, which costs money until somebody deletes it.
        """
        gcp = Gcp(ctx, target.gcp)
        source = await describe(gcp, target.instance)
        if refusal := _unfit(source):
            raise Rejected(f"{target.label}: {refusal}")
        earliest, latest = await _window(gcp, target.instance)
        if why := outside(params.time, earliest, latest):
            raise Rejected(f"{target.label}: {why}")
        if await _find(gcp, params.name) is not None:
            raise Conflict(f"there is an instance {params.name} in {gcp.project} already")
        moment = _utc(params.time)
        wanted = {"destinationInstanceName": params.name, "pointInTime": moment}
        body: dict[str, Any] = {"cloneContext": {"kind": "sql#cloneContext", **wanted}}
        try:
            answer = await gcp.mutate(
                "POST", "sqladmin", f"{path_of(gcp, source.name)}/clone", body
            )
        except AlreadyExists as error:  # and it was not there a moment ago
            raise OutcomeUnknown(f"there is {params.name} now: {error}") from error
        ctx.say(f"{params.name}: clone of {source.name} accepted")
        # Google files it under the one or the other.
        about = params.name if answer.get("targetId") == params.name else source.name
        await finish(ctx, gcp, answer, about, KINDS)
        seen = await wait_until(ctx, gcp, params.name, _is_up, after_change=True, is_new=True)
        return _clone(seen, moment)

    def debts(
        self, target: CloudSqlInstance, params: CloneParams, outputs: Clone
    ) -> tuple[Debt, ...]:
        key = f"restored:gcp:{target.gcp.project_number}:cloudsql:{outputs.instance}"
        what = (
            f"{outputs.instance} is {target.label} as of {outputs.time}: no replica follows it, and"
            f" writes made since are only in {target.instance}"
        )
        remedy = "when it stays, give it a replica; when not, delete it: it costs money"
        return (Debt(key=key, what=what, remedy=remedy),)

    async def settled(
        self, ctx: Context, target: CloudSqlInstance, params: CloneParams
    ) -> Done[Clone] | NotDone | CannotTell:
        gcp = Gcp(ctx, target.gcp)
        try:
            seen = await _find(gcp, params.name)
            begun = [] if seen else await listed(gcp, params.name)
        except ActionError as error:
            return CannotTell(why=str(error))
        if any(one.get("operationType") in KINDS for one in begun):
            return CannotTell(why=f"{params.name} was begun, and Cloud SQL does not show it")
        if seen is None:
            return NotDone(why=f"there is no instance {params.name}")
        if not _is_up(seen):
            return CannotTell(why=f'Cloud SQL reports "{seen.state}" for {params.name}')
        try:
            return Done(outputs=_clone(seen, _utc(params.time)))
        except OutcomeUnknown as error:
            return CannotTell(why=str(error))


def outside(time: datetime, earliest: datetime, latest: datetime) -> str | None:
    """
    Why a moment cannot be recovered to; ``None`` when it can. Pure.

    Example:
        >>> from datetime import UTC
        >>> noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
        >>> outside(noon.replace(hour=13), noon, noon)
        '2026-11-23T13:00:00Z is 3600 s after the latest moment, 2026-11-23T12:00:00Z'
    """
    if time < earliest:
        by_s = (earliest - time).total_seconds()
        return f"{_utc(time)} is {by_s:.0f} s before the earliest moment, {_utc(earliest)}"
    if time > latest:
        by_s = (time - latest).total_seconds()
        return f"{_utc(time)} is {by_s:.0f} s after the latest moment, {_utc(latest)}"
    return None


def _unfit(source: Instance) -> str:
    """Why nothing is recovered from it; empty when it can be."""
    if not source.is_primary:
        return f"a replica (of {source.source}) is not recovered from; name its primary"
    if source.is_public or not source.private_network:
        return "it has a public address, and a clone of it would have one too"
    if not source.has_pitr:
        return "point-in-time recovery is off"
    if source.state != RUNNABLE:
        return f"it is {source.state}"
    return ""


def _is_up(seen: Instance) -> bool:
    return seen.state == RUNNABLE


def _clone(seen: Instance, moment: str) -> Clone:
    """
    A public one is a copy of production that anybody may reach: it runs, so nothing may say that
    nothing was made.

    Raises:
        OutcomeUnknown: It is not private.
    """
    if seen.is_public or "PRIMARY" in seen.addresses or not seen.addresses.get("PRIVATE"):
        raise OutcomeUnknown(f"the clone {seen.name} is not private: {sorted(seen.addresses)}")
    return Clone(instance=seen.name, endpoint=seen.host, time=moment)


async def _find(gcp: Gcp, name: str) -> Instance | None:
    try:
        return await describe(gcp, name)
    except NotFound:
        return None


async def _window(gcp: Gcp, instance: str) -> tuple[datetime, datetime]:
    path = f"{path_of(gcp, instance)}/getLatestRecoveryTime"
    answer = await gcp.read("sqladmin", path)
    try:
        earliest = datetime.fromisoformat(answer["earliestRecoveryTime"])
        latest = datetime.fromisoformat(answer["latestRecoveryTime"])
    except (KeyError, TypeError, ValueError):
        raise Unavailable(f"Cloud SQL did not say to when {instance} can be recovered") from None
    if earliest.tzinfo is None or latest.tzinfo is None:
        raise Unavailable(f"Cloud SQL gave the recovery window of {instance} without an offset")
    return earliest, latest


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
