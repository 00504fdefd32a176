"""
Who leads, as the members of a Patroni cluster say.

Every member reads the same store (the DCS), so what they say of the leader is one thing; when two
of them differ, one is cut off from the store and repeats old news, and then nobody leads as far as
anybody here can know. Patroni itself decides by the lock in the store: no answer here replaces it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, Conflict, Unavailable
from drctl.actions.targets import PatroniCluster, PatroniMember
from drctl.adapters._witness import lsn_to_int
from drctl.adapters.patroni import rest


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
        said = await rest.get(ctx, target, member, "/cluster")
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
        timeline=rest.number(said.get("timeline")),
        lsn=_position(said.get("lsn")),
        lag=rest.number(said.get("lag")),
        is_barred=tags.get("nofailover") is True or (isinstance(priority, int) and priority <= 0),
    )


def _position(value: object) -> int | None:
    try:
        return lsn_to_int(value) if isinstance(value, str) else None
    except ValueError:
        return None
