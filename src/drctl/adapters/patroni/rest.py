"""What the members of a Patroni cluster are asked, and asked to change, over REST."""

import asyncio
import base64
from collections.abc import Mapping
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

LOOK = timedelta(seconds=3)
"""A member answers within it, or is silent."""
_POLLS_FOR_S = 20.0
"""Patroni answers a switchover when it is over, or after twice ten polls of a second."""
_NOT_POSSIBLE = 412
_NOT_NOW = 503
_TAKEN_BACK = {"Failover failed", "Switchover failed"}


def number(value: object) -> int | None:
    """A whole number that is not negative; ``None`` for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


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
            isinstance(one, list) and one and number(one[0]) for one in said
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
    asked = (get(ctx, target, member, "/config") for member in target.members)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if not isinstance(answer, BaseException):
            return answer
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    raise Unavailable(f"no member of {target.scope} gave the configuration")


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
