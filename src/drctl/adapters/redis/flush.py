"""
Empties one database of a cache, after its source was restored to an earlier time.

What the cache still has was computed from data that is no more; serving it would bring back what
the restore took away. There is no way back, so the database is named by the step and by the
environment, and both must say the same. The flush and a mark that carries this effect's key are one
command: whoever finds the mark knows that it happened.
"""

from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, OutcomeUnknown, Rejected
from drctl.actions.planes import ELSEWHERE, Ask, data
from drctl.actions.targets import Cache, Endpoint, RedisSentinels, RedisServer, Target
from drctl.adapters.redis.group import primary_of, role
from drctl.adapters.redis.link import Link, connect

_KEPT_S = 24 * 3600
_LONG = timedelta(hours=1)
"""Emptying takes as long as there are keys; the step's own time ends it."""
_SCRIPT = """
if redis.call('GET', KEYS[1]) then return -1 end
local keys = redis.call('DBSIZE')
redis.call('FLUSHDB', 'SYNC')
redis.call('SET', KEYS[1], 'flushed', 'EX', ARGV[1])
return keys
"""
"""One command, so that a copy of it finds the mark and does nothing."""


class FlushParams(Params):
    """What is emptied."""

    db: int = Field(ge=0, le=65535)
    """The number of the database; the target's own, said again."""


class FlushOutputs(Outputs):
    """What was emptied."""

    primary: str
    """``host:port``"""
    db: int
    keys: int
    """That were there just before; 0 when it was only read back."""


class Flush(Action[Cache, FlushParams, FlushOutputs]):
    """Deletes every key of one database on the primary, and with it on every replica."""

    name: ClassVar[str] = "redis.flush"
    no_way_back: ClassVar[str] = "every key of the database is gone"
    summary: ClassVar[str] = "Empties one database of a cache whose source was restored"
    effect: ClassVar[Effect] = Effect.DESTROY
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets: ClassVar[tuple[type[Target], ...]] = (RedisSentinels, RedisServer)
    params: ClassVar[type[Params]] = FlushParams
    outputs: ClassVar[type[Outputs]] = FlushOutputs

    def planes(self, target: Cache) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    def asks(self, target: Cache, params: FlushParams | None = None) -> tuple[Ask, ...]:
        """Sentinels may be anywhere: no target says where each is."""
        here = data(target.region, "the data nodes")
        if not isinstance(target, RedisSentinels):
            return (here,)
        return here, Ask(plane=ELSEWHERE, service="sentinels")

    async def observe(self, ctx: Context, target: Cache, params: FlushParams | None) -> Observation:
        at = await primary_of(ctx, target)
        async with connect(ctx, at, target.access, db=target.db) as link:
            keys = await link.ask("DBSIZE")
        return Observation(facts={"primary": at.text, "db": target.db}, readings={"keys": keys})

    def preview(
        self, observation: Observation, target: Cache, params: FlushParams | None
    ) -> Preview:
        keys, db = observation.readings["keys"], observation.facts["db"]
        if params is not None and params.db != db:
            return CannotTell(why=f"the step names database {params.db}, the environment {db}")
        return Change(before=f"{keys} keys in database {db}", after=f"none in database {db}")

    async def perform(self, ctx: Context, target: Cache, params: FlushParams) -> FlushOutputs:
        """
        Empties it, once for each key, and looks for the mark where clients are sent then.

        Raises:
            Conflict: The environment's database is another one, or the server takes no writes.
            Rejected: The server that clients are sent to is a replica.
            OutcomeUnknown: It may have happened.
            ActionError: It was not reached; nothing happened.

        Changes:
            Every key of the database is gone; one mark is there, for a day.
        """
        if params.db != target.db:
            raise Conflict(
                f"the step names database {params.db}, the environment {target.db}: nothing is done"
            )
        at = await primary_of(ctx, target)
        async with connect(ctx, at, target.access, db=target.db) as link:
            await _require_primary(link, at)
            keys = await link.change("EVAL", _SCRIPT, 1, _mark(ctx), _KEPT_S, within=_LONG)
        if not isinstance(keys, int):
            raise OutcomeUnknown(f"{at.text} answered {str(keys)[:100]} to the flush")
        try:
            after, is_there = await _find_mark(ctx, target)
        except ActionError as error:
            raise OutcomeUnknown(f"{at.text} was flushed; looked again: {error}") from error
        if not is_there:
            raise OutcomeUnknown(
                f"{at.text} was flushed, and the primary is {after.text}, which has no mark of it"
            )
        return FlushOutputs(primary=at.text, db=target.db, keys=max(0, keys))

    async def settled(
        self, ctx: Context, target: Cache, params: FlushParams
    ) -> Done[FlushOutputs] | NotDone | CannotTell:
        try:
            at, is_there = await _find_mark(ctx, target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if not is_there:
            return NotDone(why=f"the mark of this flush is not in database {target.db}")
        return Done(outputs=FlushOutputs(primary=at.text, db=target.db, keys=0))


async def _find_mark(ctx: Context, target: Cache) -> tuple[Endpoint, bool]:
    """Who the primary is now, and whether it has been flushed: a failover may lose what was new."""
    at = await primary_of(ctx, target)
    async with connect(ctx, at, target.access, db=target.db) as link:
        await _require_primary(link, at)
        return at, await link.ask("GET", _mark(ctx)) is not None


async def _require_primary(link: Link, at: Endpoint) -> None:
    seen = await role(link)
    if seen.name != "master":
        raise Rejected(f"{at.text} is a replica of {seen.of}; it takes no writes")


def _mark(ctx: Context) -> str:
    return f"drctl:flushed:{ctx.key}"
