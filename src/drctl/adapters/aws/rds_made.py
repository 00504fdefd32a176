"""From the request that makes an instance to one that is there, is ours, and is as it must be."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import RdsInstance
from drctl.adapters import _sql
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.rds_api import (
    AVAILABLE,
    FIRST_POLL_S,
    LAST_POLL_S,
    DbInstance,
    describe,
)
from drctl.adapters.aws.rds_settings import KEY_TAG, Settings, read

_LATE_LOOKS = 3
_LATE_PAUSE_S = 1.0
_SESSION = timedelta(seconds=5)


async def is_ours(ctx: Context, aws: Aws, instance: str) -> bool:
    """
    Whether an earlier call with this key has made it; False: nobody has made it.

    Raises:
        Conflict: Somebody else's instance has the name.
        ActionError: It could not be read.
    """
    seen = await read(aws, instance)
    if seen is None:
        return False
    if seen.tags.get(KEY_TAG) != ctx.key:
        raise Conflict(f"RDS in {aws.region} has an instance named {instance} already")
    return True


async def request(ctx: Context, aws: Aws, instance: str, operation: str, **asked: object) -> None:
    """
    Asks for the instance, once.

    Raises:
        Conflict: The name is taken, by somebody else.
        OutcomeUnknown: No answer, and it is not seen to be made.
        ActionError: It was refused; nothing happened.

    Changes:
        One more RDS instance.
    """
    try:
        await aws.mutate("rds", operation, **asked)
    except Conflict:
        # A network that delivers twice gives the answer to the second: look whose it is.
        if not await _is_ours_or_unknown(ctx, aws, instance):
            raise
    except OutcomeUnknown:
        if not await _is_ours_or_unknown(ctx, aws, instance):
            raise


async def _is_ours_or_unknown(ctx: Context, aws: Aws, instance: str) -> bool:
    try:
        return await is_ours(ctx, aws, instance)
    except Conflict:
        raise
    except ActionError as error:
        raise OutcomeUnknown(f"sent, and then not readable: {error}") from error


def is_available(seen: DbInstance) -> bool:
    """As a plain instance is done."""
    return seen.status == AVAILABLE


async def until(
    ctx: Context,
    aws: Aws,
    instance: str,
    reached: Callable[[DbInstance], bool] = is_available,
) -> DbInstance:
    """
    Waits for an instance that was just asked for. Until it was seen once, an answer that there is
    none is an old one.

    Raises:
        Rejected: It is in a terminal state, ``incompatible-restore`` for one; or it is gone again.
        OutcomeUnknown: The deadline passed first.
    """
    pause_s, last, was_seen = FIRST_POLL_S, "nothing yet", False
    while not ctx.deadline.has_passed(ctx.clock):
        try:
            seen = await describe(aws, instance, patience=timedelta())
        except NotFound as error:
            if was_seen:
                raise Rejected(f"{instance} ({aws.region}) is gone: {error}") from error
            last = str(error)
        except (Throttled, Unavailable) as error:
            last = str(error)
        except ActionError as error:
            raise OutcomeUnknown(f"sent, and then not readable: {error}") from error
        else:
            was_seen = True
            if reached(seen):
                return seen
            if seen.is_terminal:
                raise Rejected(f'RDS reports "{seen.status}" for {instance} ({aws.region})')
            last = f'RDS still reports "{seen.status}" for {instance} ({aws.region})'
            ctx.say(f"{instance}: {seen.status}")
        await ctx.clock.sleep(min(pause_s, ctx.deadline.left_s(ctx.clock)))
        pause_s = min(LAST_POLL_S, pause_s * 1.5)
    raise OutcomeUnknown(last)


async def settings_of(aws: Aws, instance: str) -> Settings:
    """
    Reads what was made.

    Raises:
        OutcomeUnknown: It could not be read any more.
    """
    try:
        made = await read(aws, instance)
    except ActionError as error:
        raise OutcomeUnknown(f"made, and then not readable: {error}") from error
    if made is None:
        raise OutcomeUnknown(f"{instance} ({aws.region}) was made, and is gone")
    return made


async def take_writes(ctx: Context, target: RdsInstance, made: DbInstance) -> None:
    """
    Waits until the new server itself says that it is a primary, where it may be asked.

    Raises:
        Rejected: It is another system than its source.
        OutcomeUnknown: It does not say so by the deadline.
    """
    if target.sql is None:
        return
    access = target.sql.model_copy(update={"host": made.host, "port": made.port})
    last = "it was not asked"
    while not ctx.deadline.has_passed(ctx.clock):
        short = replace(ctx, deadline=ctx.deadline.at_most(ctx.clock, _SESSION))
        try:
            async with _sql.connect(access, short) as connection:
                system, in_recovery = await connection.fetchrow(
                    "SELECT (SELECT system_identifier::text FROM pg_control_system()),"
                    " pg_is_in_recovery()"
                )
        except ActionError as error:
            last = str(error)
        else:
            if target.system_identifier not in {None, system}:
                raise Rejected(f"{made.host} is system {system}, not {target.system_identifier}")
            if not in_recovery:
                return
            last = "it is still in recovery"
        await ctx.clock.sleep(0.3)
    raise OutcomeUnknown(f"RDS calls {made.host} available, but {last}")


async def settled_as(ctx: Context, aws: Aws, instance: str) -> DbInstance | str:
    """
    Looks whether a call with this key has made it, and is done: the instance, or why not. A text
    that begins with ``not done`` means that it never arrived.
    """
    for look in range(_LATE_LOOKS):
        if look:
            await ctx.clock.sleep(_LATE_PAUSE_S)
        try:
            if await is_ours(ctx, aws, instance):
                seen = await describe(aws, instance)
                return seen if seen.status == AVAILABLE else f'RDS reports "{seen.status}"'
        except ActionError as error:
            return str(error)
    return f"not done: RDS in {aws.region} knows no {instance}"
