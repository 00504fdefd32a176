"""
Whether a member may be made the leader.

Problem: a failover that is asked for while nobody leads goes through whatever the candidate has:
Patroni checks ``maximum_lag_on_failover`` only in an election of its own and while there is a
leader, and of a named candidate no more than that it answers. Invariant: what Patroni drops is
asked here, and more: the candidate is a standby of the pinned system, on the leader's timeline,
neither paused nor delayed, no member has more than it, and it lacks at most so many bytes of what
the leader last wrote into the store. What is not known speaks against it.

Not promised: that the position in the store is the leader's last one. Patroni writes it once a
loop; what was acknowledged after that is bounded by an observer only, see `postgres.measure_lag`.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import Conflict
from drctl.actions.targets import PatroniCluster, Sibling
from drctl.adapters import _candidate, _candidate_look, _http, _sql, _witness
from drctl.adapters._candidate import Seen
from drctl.adapters.patroni import group, rest

DEFAULT_LAG_BYTES = 1048576
"""Patroni's own, where its configuration does not say ``maximum_lag_on_failover``."""
_END = "SELECT pg_current_wal_lsn()::text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what a candidate is measured."""

    candidate: str
    leader: str
    """Who leads, or led; empty: not known."""
    from_timeline: int | None
    max_lag_bytes: int
    accepts_silence: bool = False
    is_alive: bool
    """The leader is asked where it is; else the store's word counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A candidate that nothing speaks against."""

    seen: Seen
    lag_bytes: int


async def allowed_lag(ctx: Context, target: PatroniCluster) -> int:
    """
    Patroni's own bound.

    Raises:
        ActionError: No member gave the configuration.
    """
    said = (await rest.settings(ctx, target)).get("maximum_lag_on_failover", DEFAULT_LAG_BYTES)
    return said if isinstance(said, int) and said >= 0 else DEFAULT_LAG_BYTES


async def objections(
    ctx: Context, target: PatroniCluster, terms: Terms, view: group.View
) -> list[str]:
    """
    What speaks against it now and is not mended by waiting, for a plan.

    Raises:
        ActionError: The candidate did not answer.
    """
    async with _connected(ctx, target, terms) as connection:
        first = await _candidate_look.read(connection)
        evidence, first = await _evidence(ctx, target, terms, first, view)
    against = list(_by_store(target, view, terms))
    against += _candidate.lasting(_candidate.objections(first, evidence))
    return against


async def choose(ctx: Context, target: PatroniCluster, terms: Terms) -> Fit:
    """
    Looks until nothing speaks against the candidate.

    Raises:
        Conflict: Something does.
        ActionError: It did not answer, or not the leader that is said to be alive.
    """
    end_s = ctx.clock.now().boot_s + _candidate_look.MEND_S
    async with _connected(ctx, target, terms) as connection:

        async def look_again() -> _candidate_look.Looks:
            first = await _candidate_look.read(connection)
            view = await group.look(ctx, target)
            evidence, before = await _evidence(ctx, target, terms, first, view)
            now_s = ctx.clock.now().boot_s
            after = _on_timeline(await _candidate_look.read(connection), view, terms.candidate)
            return _candidate_look.Looks(
                before=before, evidence=evidence, after=after, after_s=now_s
            )

        while True:
            view = await group.look(ctx, target)
            end = await _leaders_end(ctx, target, terms)
            against = list(_by_store(target, view, terms))
            if against:
                raise Conflict(f"{terms.candidate} is not fit to lead: {against[0]}")
            seen = await _candidate_look.choose(ctx, terms.candidate, look_again)
            if not seen.is_in_recovery:
                raise Conflict(f"{terms.candidate} is a primary already, and holds no lock")
            lag = _lag(view, seen, terms, end)
            if lag is not None and lag <= terms.max_lag_bytes:
                return Fit(seen=seen, lag_bytes=lag)
            # A leader that is gone sends nothing more; behind one that is there it may catch up.
            if not terms.is_alive or ctx.clock.now().boot_s >= end_s:
                raise Conflict(f"{terms.candidate} is not fit to lead: {_too_far(lag, terms)}")
            await ctx.clock.sleep(_candidate_look.MEND_EVERY_S)


def _too_far(lag: int | None, terms: Terms) -> str:
    if lag is None:
        return "how far it is behind the leader is not known"
    return f"it lacks {lag} bytes of what {terms.leader} had, {terms.max_lag_bytes} are allowed"


def _lag(view: group.View, seen: Seen, terms: Terms, end: int | None) -> int | None:
    """What it lacks of the leader's last known position; ``None``: nobody knows."""
    if terms.is_alive:
        return None if end is None else max(0, end - seen.has)
    row = view.rows.get(terms.candidate)
    if row is None or row.lag is None:
        return None
    if row.lsn is None and row.lag:  # Patroni 3 tells the distance only
        return row.lag
    known = view.leader_was_at
    return 0 if known is None else max(0, known - seen.has)


def _by_store(target: PatroniCluster, view: group.View, terms: Terms) -> Iterator[str]:
    """What Patroni itself, or the store, has against it."""
    if not terms.is_alive and view.leader not in {"", terms.candidate}:
        yield f"the lock is not free any more: {view}"
        return
    row = view.rows.get(terms.candidate)
    if row is None:
        yield "Patroni does not know it, or its Patroni is dead"
        return
    if terms.candidate in view.silent:
        yield f"its Patroni does not answer ({view.silent[terms.candidate]})"
    if row.is_barred:
        yield "its tags forbid that it is promoted"
    synchronous = [one.name for one in view.rows.values() if one.role.endswith("_standby")]
    if synchronous and terms.candidate not in synchronous:
        yield f"it is not synchronous; {', '.join(sorted(synchronous))} has what was acknowledged"
    if not terms.accepts_silence:
        for name in sorted(set(view.rows) - {one.name for one in target.members}):
            yield f"the environment does not know {name}, which may have more"


async def _leaders_end(ctx: Context, target: PatroniCluster, terms: Terms) -> int | None:
    if not terms.is_alive:
        return None
    access = target.access(rest.member_of(target, terms.leader))
    async with _sql.connect(access, ctx) as connection:
        return _witness.lsn_to_int(await connection.fetchval(_END))


def _connected(
    ctx: Context, target: PatroniCluster, terms: Terms
) -> AbstractAsyncContextManager[_sql.Connection]:
    return _sql.connect(target.access(rest.member_of(target, terms.candidate)), ctx)


def _on_timeline(seen: Seen, view: group.View, name: str) -> Seen:
    """
    A standby without a receiver shows the timeline of its last restart point, which may be minutes
    old. Its Patroni asks by the replication protocol, which tells the one that it replays.
    """
    row = view.rows.get(name)
    told = row.timeline if row is not None else None
    return replace(seen, timeline=told) if told is not None and told > seen.timeline else seen


async def _evidence(
    ctx: Context, target: PatroniCluster, terms: Terms, first: Seen, view: group.View
) -> tuple[_candidate.Evidence, Seen]:
    """
    What others say. The silence of exactly one member says nothing: the lost leader's. Where nobody
    knows who that was it is whom the candidate follows; were that wrong, the silent one among the
    others speaks against it. One that answers counts like everybody.
    """
    led = target.member(terms.leader or _followed(target, first))
    left_out = {terms.candidate, terms.leader} if terms.is_alive else {terms.candidate}
    others = [one for one in target.members if one.name not in left_out]
    sighting: _witness.Sighting | _witness.Missing = _witness.Missing("no sightings_url")
    url = target.sightings_url
    if url is not None:
        sighting = await _witness.sighted(_fetch(ctx, url))
    access = target.access(rest.member_of(target, terms.candidate))
    evidence = await _candidate_look.gather(
        ctx,
        access,
        first,
        database=target.sql.database,
        pinned=target.system_identifier,
        siblings=[Sibling(host=one.host, port=one.port) for one in others],
        sighting=sighting,
        from_timeline=terms.from_timeline,
        accepts_silence=terms.accepts_silence,
    )
    lost = f"{led.host}:{led.port}" if led is not None and not terms.is_alive else ""
    heard = tuple(
        (name, seen if isinstance(seen, _witness.Missing) else _on_timeline(seen, view, one.name))
        for one, (name, seen) in zip(others, evidence.neighbours, strict=True)
        if name != lost or not isinstance(seen, _witness.Missing)
    )
    evidence = replace(evidence, neighbours=heard)
    first = _on_timeline(first, view, terms.candidate)
    beat = None if url is None else await _candidate_look.last_beat(ctx, access)
    return evidence, replace(first, beat=beat)


def _fetch(ctx: Context, url: str) -> Callable[[], Awaitable[bytes]]:
    async def fetch() -> bytes:
        response = await _http.send_ok(ctx, "GET", url, label="the witness", timeout=rest.LOOK)
        return response.body

    return fetch


def _followed(target: PatroniCluster, seen: Seen) -> str:
    return next((m.name for m in target.members if (m.host, m.port) == seen.upstream), "")


def last_leader(target: PatroniCluster, history: Sequence[list[Any]]) -> tuple[str, int]:
    """
    Who began the last timeline, by Patroni's history, and which one that is; nobody and 1 when
    there never was another.
    """
    if not history:
        return "", 1
    last = history[-1]
    name = last[4] if len(last) > 4 and isinstance(last[4], str) else ""  # noqa: PLR2004 (its fields)
    return (name if target.member(name) else ""), int(last[0]) + 1
