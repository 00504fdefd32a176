"""
What the members of a Patroni cluster say over REST, and how they are asked to change something.

Every member reads the same store (the DCS), so what they say of the leader is one thing; when two
of them differ, one is cut off from the store and repeats old news, and then nobody leads as far as
anybody here can know. Patroni itself decides by the lock in the store: no answer here replaces it.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    Conflict,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import PatroniCluster, PatroniMember
from drctl.adapters import _http, _secret
from drctl.adapters._witness import lsn_to_int

LOOK = timedelta(seconds=3)
"""A member answers within it, or is silent."""
_POLLS_FOR_S = 20.0
"""Patroni answers a switchover when it is over, or after twice ten polls of a second."""
_NOT_POSSIBLE = 412
_NOT_NOW = 503
_TAKEN_BACK = {"Failover failed", "Switchover failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One member, as the store has it."""

    name: str
    role: str
    """``leader``, ``standby_leader``, ``sync_standby``, ``quorum_standby``, ``replica``."""
    state: str
    timeline: int | None
    lsn: int | None
    """The end of what it had when it last said so; ``None`` when that is not known."""
    lag: int | None
    """Behind the last position that the leader wrote into the store; ``None``: not known."""
    is_barred: bool
    """Its tags forbid that it is promoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What those members that answered say of the cluster."""

    leader: str | None
    """Who holds the lock; empty: nobody; ``None``: they do not agree."""
    rows: Mapping[str, Row]
    is_paused: bool
    is_scheduled: bool
    """A switchover is to happen by itself, later."""
    heard: tuple[str, ...]
    silent: Mapping[str, ActionError]

    @property
    def leader_was_at(self) -> int | None:
        """
        The leader's last position in the store, where a member is behind it; ``None`` when every
        member is said to have it.
        """
        ends = [row.lsn + row.lag for row in self.rows.values() if row.lsn and row.lag]
        return max(ends, default=None)

    def __str__(self) -> str:
        who = {None: "they do not agree who leads", "": "nobody leads"}.get(self.leader)
        silent = f", {', '.join(self.silent)} silent" if self.silent else ""
        return f"{who or f'{self.leader} leads'}{silent}"


async def look(ctx: Context, target: PatroniCluster) -> View:
    """
    Asks every member at once who leads.

    Raises:
        Conflict: One of them belongs to another cluster.
        Unavailable: None answered.
    """
    answers = await asyncio.gather(*(_cluster(ctx, target, one) for one in target.members))
    named = dict(zip((one.name for one in target.members), answers, strict=True))
    for answer in answers:
        if isinstance(answer, Conflict):
            raise answer
    silent = {name: one for name, one in named.items() if isinstance(one, ActionError)}
    heard = {name: one for name, one in named.items() if not isinstance(one, ActionError)}
    if not heard:
        raise Unavailable(f"no member of {target.scope} answered: {next(iter(silent.values()))}")
    leaders = {one.leader for one in heard.values()}
    rows: dict[str, Row] = {}
    for one in heard.values():
        rows = {**one.rows, **rows}
    return View(
        leader=next(iter(leaders)) if len(leaders) == 1 else None,
        rows=rows,
        is_paused=any(one.is_paused for one in heard.values()),
        is_scheduled=any(one.is_scheduled for one in heard.values()),
        heard=tuple(heard),
        silent=silent,
    )


async def _cluster(
    ctx: Context, target: PatroniCluster, member: PatroniMember
) -> View | ActionError:
    try:
        said = await get(ctx, target, member, "/cluster")
    except ActionError as error:
        return error
    if said.get("scope") != target.scope:
        return Conflict(f"{member.name} belongs to {said.get('scope')!s:.60}, not {target.scope}")
    listed = said.get("members")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        return Unavailable(f"{member.name}: an answer without a list of members")
    rows = [_row(one) for one in listed]
    leaders = [row.name for row in rows if row.role in {"leader", "standby_leader", "master"}]
    return View(
        leader=leaders[0] if len(leaders) == 1 else None if leaders else "",
        rows={row.name: row for row in rows},
        is_paused=said.get("pause") is True,
        is_scheduled=bool(said.get("scheduled_switchover")),
        heard=(member.name,),
        silent={},
    )


def _row(said: Mapping[str, Any]) -> Row:
    """Patroni 3 says no ``lsn``; a member whose position is unknown says ``unknown``."""
    tags = said.get("tags")
    tags = tags if isinstance(tags, dict) else {}
    priority = tags.get("failover_priority")
    return Row(
        name=str(said.get("name", "")),
        role=str(said.get("role", "")),
        state=str(said.get("state", "")),
        timeline=_number(said.get("timeline")),
        lsn=_position(said.get("lsn")),
        lag=_number(said.get("lag")),
        is_barred=tags.get("nofailover") is True or (isinstance(priority, int) and priority <= 0),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _position(value: object) -> int | None:
    try:
        return lsn_to_int(value) if isinstance(value, str) else None
    except ValueError:
        return None


async def get(
    ctx: Context, target: PatroniCluster, member: PatroniMember, path: str
) -> Mapping[str, Any]:
    """
    Reads one JSON object.

    Raises:
        ActionError: It did not come.
    """
    said = await _get(ctx, target, member, path)
    if not isinstance(said, dict):
        raise Unavailable(f"{member.name}: an answer that is no JSON object")
    return said


async def _get(ctx: Context, target: PatroniCluster, member: PatroniMember, path: str) -> Any:
    response = await _http.send(
        ctx,
        "GET",
        member.url.rstrip("/") + path,
        label=member.name,
        timeout=LOOK,
        ca_file=target.ca_file,
    )
    error = _http.status_error(response, "GET", member.name)
    if error is not None:
        raise error
    try:
        return response.json()
    except ValueError:
        raise Unavailable(f"{member.name}: an answer that is no JSON") from None


async def history(ctx: Context, target: PatroniCluster) -> list[list[Any]]:
    """
    The changes of timeline that the store remembers, oldest first, each with the timeline that was
    left, where, why, when, and by whom. The longest of those that members give.

    Raises:
        Unavailable: None answered.
    """

    async def ask(member: PatroniMember) -> list[list[Any]] | ActionError:
        try:
            said = await _get(ctx, target, member, "/history")
        except ActionError as error:
            return error
        if isinstance(said, list) and all(
            isinstance(one, list) and one and _number(one[0]) for one in said
        ):
            return said
        return Unavailable(f"{member.name}: a history that is none")

    answers = await asyncio.gather(*(ask(one) for one in target.members))
    told = [one for one in answers if not isinstance(one, ActionError)]
    if not told:
        raise Unavailable(f"no member of {target.scope} told the history: {answers[0]}")
    return max(told, key=lambda lines: lines[-1][0] if lines else 0)


async def settings(ctx: Context, target: PatroniCluster) -> Mapping[str, Any]:
    """
    Patroni's own configuration in the store.

    Raises:
        ActionError: No member gave it.
    """
    error: ActionError = Unavailable(f"no member of {target.scope} gave the configuration")
    for member in target.members:
        try:
            return await get(ctx, target, member, "/config")
        except ActionError as one:
            error = one
    raise error


async def change(
    ctx: Context,
    target: PatroniCluster,
    member: PatroniMember,
    request: tuple[_http.Method, str],
    body: dict[str, Any],
    *,
    spare_s: float,
) -> str:
    """
    Asks one member, once, for a change, and returns its words.

    Args:
        request: Method and path.
        spare_s: Of the deadline, kept for reading back what came of it.

    Raises:
        Conflict: Patroni says that it is not possible (412), that the request is gone from the
            store and nobody else leads (503, "failed"), or that the store has changed (409).
        AuthRejected: The name or password is wrong, or this machine is not on the list.
        OutcomeUnknown: It may have been written: no answer, or another 5xx. Patroni says 503 also
            for a request that stays in the store and may still be taken up.
        ActionError: As `drctl.adapters._http.status_error`.
    """
    method, path = request
    headers, hidden = {}, []
    if target.auth is not None:
        password = _secret.reveal(ctx, target.auth.password)
        pair = base64.b64encode(f"{target.auth.user}:{password}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
        hidden = [password, pair]
    left_s = ctx.deadline.left_s(ctx.clock) - spare_s
    if left_s <= 0:
        raise Unavailable(f"{member.name}: no time left to ask and to see what comes of it")
    response = await _http.send(
        ctx,
        method,
        member.url.rstrip("/") + path,
        label=member.name,
        headers=headers,
        body=body,
        timeout=timedelta(seconds=min(left_s, _POLLS_FOR_S + LOOK.total_seconds())),
        ca_file=target.ca_file,
    )
    said = _http.masked(response.body.decode("utf-8", "replace"), hidden)[:200].strip()
    if response.status == _NOT_POSSIBLE or (response.status == _NOT_NOW and said in _TAKEN_BACK):
        raise Conflict(f"{member.name} answered {response.status}: {said}")
    if response.status == _NOT_NOW:
        raise OutcomeUnknown(f"{member.name} answered 503: {said}")
    if 300 <= response.status < 400:  # noqa: PLR2004 (HTTP's own classes)
        raise Rejected(f"{member.name} answered {response.status}, and not Patroni")
    error = _http.status_error(response, method, member.name, hidden)
    if error is not None:
        raise error
    return said


def member_of(target: PatroniCluster, name: str) -> PatroniMember:
    """
    The member of that name.

    Raises:
        Rejected: The environment has none.
    """
    found = target.member(name)
    if found is None:
        known = ", ".join(one.name for one in target.members)
        raise Rejected(f"{target.scope} has no member {name}, but {known}")
    return found
