"""
Tries to write where clients write, to prove that a fence holds.

Only a *definite* refusal proves anything. A time-out, a failed login or an answer that nobody
understands is "unknown", and unknown counts as "accepts writes". A server that is read-only by
default is tried with an explicit READ WRITE transaction, because any client may ask for one.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown
from drctl.actions.targets import SqlAccess
from drctl.adapters import _http, _sql

Verdict: TypeAlias = Literal["accepted", "refused", "unknown"]

_TRY_FOR = timedelta(seconds=5)
_REFUSED_STATUS = 503
"""What an application that cannot write, or a balancer without a healthy target, answers. A 500,
502 or 504 can follow a commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try."""

    place: str
    verdict: Verdict
    said: str
    is_dead: bool = False
    """Nothing listens there; the strongest refusal, when it stays."""

    def __str__(self) -> str:
        return f"{self.place}: {self.verdict} ({self.said})"


async def by_sql(ctx: Context, access: SqlAccess) -> Attempt:
    """Inserts into ``drctl.write_check`` in a read-write transaction, and rolls it back."""
    place = f"SQL {access.host}:{access.port}/{access.database}"
    try:
        async with _sql.connect(access, ctx, mutates=True) as connection:
            if await connection.fetchval("SELECT pg_is_in_recovery()"):
                return Attempt(place=place, verdict="refused", said="it is a standby")
            await connection.execute("BEGIN READ WRITE")
            await connection.execute("INSERT INTO drctl.write_check(token) VALUES ('fence-proof')")
            await connection.execute("ROLLBACK")
    except ActionError as error:
        is_definite = _sql.classify(error) in {"refused", "read_only"}
        # A session that is cut during the INSERT says nothing about the next one.
        is_told = not isinstance(error, OutcomeUnknown)
        return Attempt(
            place=place,
            verdict="refused" if is_definite and is_told else "unknown",
            said=str(error),
            is_dead=_sql.is_nobody_there(error),
        )
    return Attempt(place=place, verdict="accepted", said="an INSERT succeeded")


async def by_http(ctx: Context, url: str, token: str) -> Attempt:
    """
    Posts ``{"id": "drctl-fence-<token>"}`` to a place where clients write.

    Changes:
        When the fence does not hold, one row of that id is left at the application.
    """
    try:
        response = await _http.send(
            ctx,
            "POST",
            url,
            label="the application",
            body={"id": f"drctl-fence-{token}"},
            timeout=_TRY_FOR,
        )
    except ActionError as error:
        is_dead = _http.classify(error) == "refused"
        return Attempt(
            place=url,
            verdict="refused" if is_dead else "unknown",
            said=str(error),
            is_dead=is_dead,
        )
    said = f"status {response.status}"
    if response.status == _REFUSED_STATUS:
        return Attempt(place=url, verdict="refused", said=said)
    is_success = 200 <= response.status < 300  # noqa: PLR2004 (HTTP's own class)
    return Attempt(place=url, verdict="accepted" if is_success else "unknown", said=said)
