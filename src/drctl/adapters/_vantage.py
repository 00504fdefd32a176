"""
The places from which a fenced primary must refuse writes: a SQL session, and the application's own
URLs.

What counts as a refusal depends on what else is known. Silence (a time-out) proves nothing by
itself: a partition looks the same from here and takes writes on the other side. Only when the
control plane has said that the network is shut, and the sessions are cut, is silence what a shut
network sounds like.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown, Rejected
from drctl.actions.targets import CloudSqlInstance, RdsInstance, SqlAccess
from drctl.adapters import _http, _one_primary, _sql

Managed: TypeAlias = RdsInstance | CloudSqlInstance
"""A database that a vendor runs: it is fenced by the vendor's control plane."""

PROBE = timedelta(seconds=2)
ROUNDS = 3
PAUSE_S = 1.0
"""Three refusals over two seconds: a process that is being restarted is back within the first."""
ENOUGH = 2
"""One place that refuses may be broken itself."""

_WRITE = """
    INSERT INTO drctl.write_check (token) VALUES ($1) ON CONFLICT (token) DO UPDATE SET at = now()
"""
_CANNOT_WRITE = 503
"""
Said by an application that cannot write, or a balancer without targets. A 500, 502 or 504 can
follow a commit.
"""


class Verdict(StrEnum):
    """What came of one attempt to write."""

    ACCEPTED = "accepted"
    ANSWERED = "answered"
    """Something talks there, and did not refuse the write as such."""
    REFUSED = "refused"
    """Something talks there, and says that it cannot write."""
    DEAD = "dead"
    """The machine answers that nothing listens."""
    SILENT = "silent"
    """Nothing that means anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt, in a sentence."""

    verdict: Verdict
    sentence: str


def count(target: Managed) -> int:
    """How many vantage points the environment gives."""
    return len(target.client_write_urls) + (target.sql is not None)


async def prove_quarantine(ctx: Context, target: Managed) -> tuple[str, ...]:
    """
    Tries to write from everywhere, once, after the network was shut and the sessions cut.

    Raises:
        Rejected: A write was accepted, or the server still answers: the fence does not hold.
    """
    attempts = await asyncio.gather(
        *([try_sql(ctx, target.sql, write=True)] if target.sql else []),
        *(try_url(ctx, url) for url in target.client_write_urls),
    )
    for attempt in attempts:
        if attempt.verdict in {Verdict.ACCEPTED, Verdict.ANSWERED}:
            raise Rejected(f"the fence of {target.label} does not hold: {attempt.sentence}")
    return tuple(attempt.sentence for attempt in attempts)


async def prove_dead(ctx: Context, target: Managed) -> tuple[str, ...]:
    """
    Proves without the control plane that nothing is left that could take a write.

    The database is asked for a session only, and the application for a write only after nothing
    listened at the database: a primary that is alive gets no row from here.

    Raises:
        Rejected: Too few places to look from, or one of them did not refuse definitely each time.
    """
    if count(target) < ENOUGH or target.sql is None:
        raise Rejected(
            f"{target.label}: only {count(target)} place(s) to look from; to call an instance dead"
            " takes SQL and at least one of client_write_urls"
        )
    sentences: tuple[str, ...] = ()
    for look in range(ROUNDS):
        if look:
            await ctx.clock.sleep(PAUSE_S)
        database = await try_sql(ctx, target.sql, write=False)
        _must_be_dead(target, database, (Verdict.DEAD,))
        clients = await asyncio.gather(*(try_url(ctx, url) for url in target.client_write_urls))
        for client in clients:
            _must_be_dead(target, client, (Verdict.DEAD, Verdict.REFUSED))
        sentences = tuple(f"{attempt.sentence}, {ROUNDS} times" for attempt in (database, *clients))
    return sentences


def _must_be_dead(target: Managed, attempt: Attempt, wanted: tuple[Verdict, ...]) -> None:
    if attempt.verdict in wanted:
        return
    if attempt.verdict is Verdict.SILENT:
        raise Rejected(f"cannot reach is not a fence: {attempt.sentence}")
    raise Rejected(f"{target.label} is alive: {attempt.sentence}")


async def try_sql(ctx: Context, access: SqlAccess, *, write: bool) -> Attempt:
    """Opens a new session as a client would; with *write*, writes a row and takes it back."""
    place = f"SQL at {access.host}:{access.port}"
    short = _short(ctx)
    try:
        async with _sql.connect(access, short, mutates=write) as connection:
            if not write:
                return Attempt(verdict=Verdict.ANSWERED, sentence=f"{place} opened a session")
            await connection.execute("BEGIN READ WRITE")  # read-only by default is no refusal
            await connection.execute(_WRITE, f"drctl-fence-{ctx.key}")
            await connection.execute("ROLLBACK")
    except ActionError as error:
        return Attempt(verdict=_sql_verdict(error), sentence=f"{place}: {error}")
    return Attempt(verdict=Verdict.ACCEPTED, sentence=f"{place} accepted a write")


def _sql_verdict(error: ActionError) -> Verdict:
    reason, spoke = _sql.classify(error), _server_spoke(error)
    if isinstance(error, OutcomeUnknown):
        return Verdict.SILENT  # cut in the middle of the write: it may have been kept
    if reason == "refused" and not spoke:
        return Verdict.DEAD
    if reason in {"refused", "read_only"}:
        return Verdict.REFUSED
    return Verdict.ANSWERED if spoke else Verdict.SILENT


def _server_spoke(error: BaseException) -> bool:
    """True when PostgreSQL itself said no: then it is there, whatever it says."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "sqlstate", None):
            return True
        cause = cause.__cause__
    return False


async def try_url(ctx: Context, url: str) -> Attempt:
    """Asks the application to write, as a client would."""
    place = f"POST {url}"
    try:
        answer = await _http.send(
            _short(ctx),
            "POST",
            url,
            label=place,
            body={"id": f"drctl-fence-{ctx.key}"},
            timeout=PROBE,
        )
    except ActionError as error:
        verdict = Verdict.DEAD if _http.classify(error) == "refused" else Verdict.SILENT
        return Attempt(verdict=verdict, sentence=str(error))
    sentence = f"{place} answered {answer.status}"
    if 200 <= answer.status < 300:  # noqa: PLR2004 (HTTP's own class)
        return Attempt(verdict=Verdict.ACCEPTED, sentence=f"{sentence}: it accepted a write")
    verdict = Verdict.REFUSED if answer.status == _CANNOT_WRITE else Verdict.SILENT
    return Attempt(verdict=verdict, sentence=sentence)


def old_side(
    ctx: Context, target: Managed, what_shuts: Callable[[], Awaitable[str | None]]
) -> _one_primary.OldSide:
    """
    An old primary as it is tried after a promotion: by SQL and from every place where clients are,
    and its vendor is asked each time.

    Args:
        what_shuts: What the vendor says that keeps it from writing, in a sentence; ``None``:
            nothing, or nobody answers.

    Raises:
        Rejected: The environment gives no ``sql``.
    """
    access = target.sql
    if access is None:
        raise Rejected(f"{target.label} has no sql in the environment: it cannot be tried")

    async def attempt() -> list[_one_primary.Attempt]:
        said = await what_shuts()
        is_shut = said is not None
        sql = await try_sql(ctx, access, write=True)
        urls = [await try_url(ctx, url) for url in target.client_write_urls]
        row = f"drctl-fence-{ctx.key}"
        tried = [_judged(sql, is_shut=is_shut, dead_only=True)]
        tried += [_judged(one, is_shut=is_shut, dead_only=False, row=row) for one in urls]
        if said is not None:
            tried.append(_one_primary.Attempt(verdict="refused", said=said))
        return tried

    async def is_durable() -> bool:
        return await what_shuts() is not None

    return _one_primary.OldSide(access=access, attempt=attempt, is_durable=is_durable)


def _judged(
    tried: Attempt, *, is_shut: bool, dead_only: bool, row: str = ""
) -> _one_primary.Attempt:
    """
    As the fence judges: behind a network that is shut silence is a refusal; elsewhere the server
    must be gone, and a place of clients must say so.
    """
    refusals = {Verdict.DEAD} if dead_only else {Verdict.DEAD, Verdict.REFUSED}
    if is_shut:
        refusals |= {Verdict.SILENT, Verdict.REFUSED}
    word: _one_primary.Verdict = "unknown"
    if tried.verdict is Verdict.ACCEPTED:
        word = "accepted"
    elif tried.verdict in refusals:
        word = "refused"
    return _one_primary.Attempt(verdict=word, said=tried.sentence, row=row)


def _short(ctx: Context) -> Context:
    return replace(ctx, deadline=ctx.deadline.at_most(ctx.clock, PROBE))
