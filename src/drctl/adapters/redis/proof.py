"""Proves that a server takes writes, by writing a mark that goes away by itself."""

import secrets

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, OutcomeUnknown, Rejected
from drctl.actions.targets import Cache, Endpoint
from drctl.adapters.redis.group import Role, role
from drctl.adapters.redis.link import connect

_KEPT_S = 3600
"""Longer than any step that might still read its mark back."""


def mark(token: str) -> str:
    """The key of a mark."""
    return f"drctl:write_check:{token}"


async def write(ctx: Context, target: Cache, at: Endpoint) -> tuple[str, Role]:
    """
    Writes a mark to the server there and reads it back in a second connection.

    Returns:
        The mark's key, and what the server says it is.

    Raises:
        Rejected: It is a replica, or lost the mark.
        OutcomeUnknown: The mark was written, perhaps.
        ActionError: It refused, or did not answer.

    Changes:
        One key in the target's database, which expires after an hour.
    """
    key = mark(ctx.key or secrets.token_hex(8))
    value = secrets.token_hex(8)
    async with connect(ctx, at, target.access, db=target.db) as link:
        seen = await role(link)
        if seen.name != "master":
            raise Rejected(f"{at.text} is a replica of {seen.of}; it takes no writes")
        if await link.change("SET", key, value, "EX", _KEPT_S) != "OK":
            raise Rejected(f"{at.text} did not say that it kept the mark")
    try:
        async with connect(ctx, at, target.access, db=target.db) as link:
            found = await link.ask("GET", key)
    except ActionError as error:
        raise OutcomeUnknown(f"written, and then not readable: {error}") from error
    if found != value:
        raise Rejected(f"{at.text} took a mark and does not have it")
    return key, seen


async def is_there(ctx: Context, target: Cache, at: Endpoint) -> bool:
    """
    Whether the mark of this effect is in the server there, and it is a primary.

    Raises:
        ActionError: It did not answer.
    """
    async with connect(ctx, at, target.access, db=target.db) as link:
        seen = await role(link)
        return seen.name == "master" and await link.ask("GET", mark(ctx.key)) is not None
