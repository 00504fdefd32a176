"""
How much would be lost, from what an independent observer saw of the primary.

Problem: a standby that is cut off believes that it is up to date; its own lag says zero. Invariant:
the bound comes from a clock that was written *into the primary* by somebody outside its region.
Whatever the standby has replayed of that clock was acknowledged before; everything acknowledged
later may be lost, until the instant from which the observer was refused, or until now. Any doubt
makes the bound unknown, which refuses.

The document, as the observer writes it after every look, failed ones included:

    {"version": 1, "system_identifier": "7…", "timeline": 1, "lsn": "0/3000148", "seq": 12,
     "last_ok_at": "…Z", "checked_at": "…Z", "refused_since": null, "last_error": null}

``refused_since`` is the first instant of an unbroken series of *definite* refusals; a time-out ends
it. Not promised: that the operator's clock is right. When it runs ahead the bound is too large;
when it runs behind the observer's by more than a second the bound is unknown.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, NoReturn, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, NotFound
from drctl.actions.loss import LossBound
from drctl.actions.targets import SqlAccess
from drctl.adapters import _sql

STALE_AFTER = timedelta(seconds=60)
CLOCK_TOLERANCE = timedelta(seconds=1)
NO_LOSS = timedelta(0)

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def _instant(value: object) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("an instant is RFC 3339 in UTC, with a Z")
    return datetime.fromisoformat(value)


_Instant: TypeAlias = Annotated[datetime, BeforeValidator(_instant)]
Lsn: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}$")]


class Sighting(BaseModel):
    """The observer's document."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1, le=1)]
    system_identifier: Annotated[str, StringConstraints(pattern=r"^[0-9]+$")] | None
    timeline: Annotated[int, Field(ge=1)] | None
    lsn: Lsn | None
    seq: Annotated[int, Field(ge=0)] | None
    last_ok_at: _Instant | None
    """``None``, with the four above, until the observer has seen the primary once."""
    checked_at: _Instant
    refused_since: _Instant | None
    last_error: Annotated[str, StringConstraints(max_length=200)] | None

    @model_validator(mode="after")
    def _is_whole(self) -> "Sighting":
        seen = (self.system_identifier, self.timeline, self.lsn, self.seq, self.last_ok_at)
        if any(value is None for value in seen) and any(value is not None for value in seen):
            raise ValueError("a sighting is there as a whole or not at all")
        instants = [self.last_ok_at, self.refused_since, self.checked_at]
        known = [instant for instant in instants if instant is not None]
        if known != sorted(known):
            raise ValueError("last_ok_at, refused_since and checked_at are out of order")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """What one look at the standby read."""

    system_identifier: str
    is_in_recovery: bool
    replay_lsn: str | None
    heartbeat_at: datetime | None
    """The replayed clock of the observer; ``None`` when there is no such table or row."""


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no reading, and why."""

    why: str


def parse(document: bytes) -> Sighting:
    """
    Reads the observer's document strictly.

    Raises:
        ValueError: It is not that document; the message names the field.
    """
    try:
        return Sighting.model_validate(json.loads(document, parse_constant=_refuse_constant))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise ValueError(f"{place}: {first['msg']}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def bound(sighting: Sighting | Missing, standby: Standby | Missing, now: datetime) -> LossBound:
    """Computes the upper bound on lost acknowledged writes. Pure. Unknown is ``bound=None``."""
    if isinstance(sighting, Missing):
        return LossBound(bound=None, source=f"unknown: {sighting.why}")
    seen = sighting.last_ok_at
    lag = None if isinstance(standby, Missing) else _lag_bytes(sighting, standby)
    doubt = _doubt(sighting, standby, now)
    if doubt is not None or isinstance(standby, Missing) or standby.heartbeat_at is None:
        return LossBound(
            bound=None, lag_bytes=lag, primary_last_seen=seen, source=f"unknown: {doubt}"
        )
    end = sighting.refused_since or now
    length = end - standby.heartbeat_at
    if length < -CLOCK_TOLERANCE:
        ahead_s = -length.total_seconds()
        return LossBound(
            bound=None,
            lag_bytes=lag,
            primary_last_seen=seen,
            source=f"unknown: the standby's heartbeat is {ahead_s:.1f} s in the future",
        )
    until = "the primary refused" if sighting.refused_since else "now"
    return LossBound(
        bound=max(length, NO_LOSS),
        safe_until=standby.heartbeat_at,
        lag_bytes=lag,
        primary_last_seen=seen,
        source=f"witness heartbeat on the standby, until {until}",
    )


def _doubt(sighting: Sighting, standby: Standby | Missing, now: datetime) -> str | None:
    """The first reason why nothing can be concluded."""
    age = now - sighting.checked_at
    reasons = [
        (sighting.last_ok_at is None, "the witness has never seen the primary"),
        (age > STALE_AFTER, f"the witness last looked {age.total_seconds():.0f} s ago"),
        (age < -CLOCK_TOLERANCE, "the witness's clock is ahead of this machine's"),
    ]
    if isinstance(standby, Missing):
        reasons.append((True, standby.why))
    else:
        reasons += [
            (
                standby.system_identifier != sighting.system_identifier,
                f"the witness watches system {sighting.system_identifier}, not the standby's",
            ),
            (not standby.is_in_recovery, "the server is not a standby"),
            (standby.heartbeat_at is None, "the standby has no heartbeat row"),
        ]
    return next((why for is_so, why in reasons if is_so), None)


def lsn_to_int(lsn: str) -> int:
    """
    The position in bytes.

    Example:
        >>> lsn_to_int("1/00000010") - lsn_to_int("0/FFFFFFF0")
        32
    """
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def _lag_bytes(sighting: Sighting, standby: Standby) -> int | None:
    if sighting.lsn is None or standby.replay_lsn is None:
        return None
    if standby.system_identifier != sighting.system_identifier:
        return None
    return max(0, lsn_to_int(sighting.lsn) - lsn_to_int(standby.replay_lsn))


async def read_standby(ctx: Context, access: SqlAccess) -> Standby:
    """
    Reads what `bound` needs, in one connection. Changes nothing.

    Raises:
        ActionError: The server did not answer, or not this user.
    """
    async with _sql.connect(access, ctx) as connection:
        row = await connection.fetchrow(
            "SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,"
            " pg_is_in_recovery() AS is_in_recovery, pg_last_wal_replay_lsn()::text AS replay_lsn"
        )
        heartbeat_at = None
        if await connection.fetchval("SELECT to_regclass('drctl.heartbeat') IS NOT NULL"):
            heartbeat_at = await connection.fetchval(
                "SELECT at FROM drctl.heartbeat WHERE id = 1 AND isfinite(at)"
            )
    return Standby(
        system_identifier=row["system_identifier"],
        is_in_recovery=row["is_in_recovery"],
        replay_lsn=row["replay_lsn"],
        heartbeat_at=heartbeat_at,
    )


async def sighted(fetch: Callable[[], Awaitable[bytes]]) -> Sighting | Missing:
    """Fetches the document; never raises for what does not answer or cannot be read."""
    try:
        return parse(await fetch())
    except NotFound as error:
        return Missing(f"there is no witness document ({error})")
    except ActionError as error:
        return Missing(f"the witness document cannot be read: {error}")
    except ValueError as error:
        return Missing(f"the witness document is malformed: {error}")


async def measure(
    ctx: Context, access: SqlAccess, fetch: Callable[[], Awaitable[bytes]]
) -> LossBound:
    """
    Fetches the document, reads the standby, and bounds the loss as of now.

    Never raises for what does not answer: that is an unknown bound, with its reason as ``source``.
    """
    sighting = await sighted(fetch)
    standby: Standby | Missing
    try:
        standby = await read_standby(ctx, access)
    except ActionError as error:
        standby = Missing(f"the standby cannot be read: {error}")
    return bound(sighting, standby, ctx.clock.now().wall)
