"""Whether the leader has moved: who holds the lock, and what PostgreSQL itself says there."""

import asyncio
from dataclasses import dataclass
from typing import Any

from drctl.actions.contract import Context, Observation, Outputs
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown
from drctl.actions.targets import PatroniCluster
from drctl.adapters import _candidate_look
from drctl.adapters._candidate import Seen
from drctl.adapters._witness import Missing
from drctl.adapters.patroni import group, rest
from drctl.kernel.text import sanitize

EVERY_S = 0.3
SPARE_S = 1.0
"""Kept of the deadline for saying what is wrong."""
READ_BACK_S = 4.0
"""Kept of the deadline for seeing what came of a request without an answer."""
LONGEST_LOOP_S = 15.0
"""A request that is in the store is taken up or thrown away within one loop of Patroni; the engine
believes "not done" after twenty seconds, so a longer loop leaves it open."""


class Moved(Outputs):
    """The new leader, and whom it follows on."""

    leader: str
    """Its name in Patroni."""
    endpoint: str
    """Its host."""
    port: int
    timeline: int
    previous: str
    """Who led before; empty when that is not known."""
    changed: bool
    """False when it led already."""
    from_timeline: int | None = None
    """The timeline that it left."""
    left_at: str = ""
    """Where it left that timeline, as Patroni's history has it; empty while it is not written."""
    lag_bytes: int | None = None
    """What the candidate lacked of the leader's last known position, when it was chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """How it was before anything was asked for."""

    leader: str = ""
    timeline: int | None = None
    lag_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """Not proven."""

    leader: str | None
    """As `group.View`."""
    why: str


async def ask(ctx: Context, target: PatroniCluster, name: str) -> Seen | Missing:
    """
    What PostgreSQL says on that member.

    Raises:
        Conflict: It is another database system.
    """
    member = rest.member_of(target, name)
    seen = await _candidate_look.ask(ctx, target.access(member), target.sql.database)
    if isinstance(seen, Seen) and seen.system_identifier != target.system_identifier:
        raise Conflict(
            f"{name} is system {seen.system_identifier}, the environment pins"
            f" {target.system_identifier}: this is another database"
        )
    return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One look, all at once: a machine that is gone costs every request its time-out."""

    view: group.View
    history: list[list[Any]]
    observation: Observation


async def observe(ctx: Context, target: PatroniCluster) -> Looked:
    """
    Who leads, which changes by itself when a lock expires; and the timeline, which changes only
    when somebody else has led: then a plan is stale.

    Raises:
        ActionError: No member answered.
    """
    view, lines = await asyncio.gather(group.look(ctx, target), rest.history(ctx, target))
    seen = Observation(
        facts={"timeline": int(lines[-1][0]) + 1 if lines else 1},
        readings={
            "leader": view.leader,
            "paused": view.is_paused,
            "silent": sorted(view.silent),
            "states": {name: row.state for name, row in sorted(view.rows.items())},
        },
    )
    return Looked(view=view, history=lines, observation=seen)


async def proven(
    ctx: Context, target: PatroniCluster, candidate: str, before: Before, *, changed: bool
) -> Moved | NotYet:
    """
    The candidate holds the lock, and is a primary on a timeline of its own; or why it is not so.

    Raises:
        Conflict: It is another database system, or another cluster.
        Unavailable: No member answered.
    """
    view = await group.look(ctx, target)
    if view.leader != candidate:
        return NotYet(leader=view.leader, why=str(view))
    seen = await ask(ctx, target, candidate)
    why = ""
    if isinstance(seen, Missing):
        why = f"does not answer ({seen.why})"
    elif seen.is_in_recovery:
        why = "is still in recovery"
    elif changed and before.timeline is not None and seen.timeline <= before.timeline:
        why = f"is on timeline {seen.timeline}, not after {before.timeline}"
    if why or isinstance(seen, Missing):
        return NotYet(leader=candidate, why=f"{candidate} holds the lock and {why}")
    member = rest.member_of(target, candidate)
    line = await _line(ctx, target, seen.timeline)
    return Moved(
        leader=candidate,
        endpoint=member.host,
        port=member.port,
        timeline=seen.timeline,
        previous=before.leader,
        changed=changed,
        from_timeline=(seen.timeline - 1 or None) if changed else None,
        left_at=_lsn(line),
        lag_bytes=before.lag_bytes,
    )


def is_later(ctx: Context, timeline: int) -> bool | None:
    """Whether somebody was promoted since the plan saw the cluster; ``None``: it did not see it."""
    planned = (ctx.seen or {}).get("timeline")
    return timeline > planned if isinstance(planned, int) else None


async def _line(ctx: Context, target: PatroniCluster, timeline: int) -> list[Any]:
    """The line of the history about the beginning of a timeline; the leader writes it later."""
    try:
        lines = await rest.history(ctx, target)
    except ActionError:
        return []
    return next((one for one in lines if one[0] == timeline - 1), [])


def _lsn(line: list[Any]) -> str:
    at = line[1] if len(line) > 1 else None
    return f"{at >> 32:X}/{at & 0xFFFFFFFF:X}" if isinstance(at, int) else ""


async def request(
    ctx: Context, target: PatroniCluster, path: str, candidate: str, before: Before
) -> Moved:
    """
    Asks the candidate's Patroni, once, and waits until it is proven. Nothing is sent again: what
    was not answered is looked for.

    Raises:
        Conflict: Patroni refused it (412) or took it back, and nothing has moved.
        OutcomeUnknown: It may have been written, and is not seen to have happened; or somebody
            else was promoted, which nothing takes back either.
        ActionError: As `drctl.adapters.patroni.rest.change`; nothing was written.
    """
    body = {"candidate": candidate} | ({"leader": before.leader} if path == "/switchover" else {})
    doubt: ActionError | None = None
    try:
        said = await rest.change(
            ctx,
            target,
            rest.member_of(target, candidate),
            ("POST", path),
            body,
            spare_s=READ_BACK_S,
        )
        ctx.say(sanitize(said))
    except (Conflict, OutcomeUnknown) as error:
        # A network that delivers twice gives the answer to the second: look what is there.
        doubt = error
    return await come_of_it(ctx, target, candidate, before, doubt)


async def come_of_it(
    ctx: Context,
    target: PatroniCluster,
    candidate: str,
    before: Before,
    doubt: ActionError | None,
) -> Moved:
    """
    Waits until it is proven.

    Args:
        doubt: What was said instead of "done"; ``None`` when nothing speaks against it.

    Raises:
        ActionError: As `request`.
    """
    why = ""
    while True:
        try:
            found = await proven(ctx, target, candidate, before, changed=True)
        except Conflict as error:
            raise OutcomeUnknown(f"{doubt or 'asked for'}; and now: {error}") from error
        except ActionError as error:
            why = str(error)
        else:
            if isinstance(found, Moved):
                return found
            why = found.why
            if isinstance(doubt, Conflict) and found.leader in {"", before.leader}:
                raise doubt
            if found.leader not in {None, "", before.leader, candidate}:
                why = f"{target.scope} went to {found.leader} instead of {candidate}"
                raise OutcomeUnknown(why)
        if ctx.deadline.left_s(ctx.clock) < SPARE_S + EVERY_S:
            raise OutcomeUnknown(f"{doubt or 'asked for'}; and now: {why}")
        await ctx.clock.sleep(EVERY_S)
