"""
The pin of a Patroni cluster: the identifier that every member shares.

Every plan asks every pin what it is about; what asks members is imported when one is asked.
"""

import asyncio
from typing import ClassVar

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, Rejected, Unavailable
from drctl.actions.pin import Identity, Pin
from drctl.actions.planes import Ask, data
from drctl.actions.targets import PatroniCluster, PatroniMember, Target


class SystemIdentifierPin(Pin):
    """
    The identifier that PostgreSQL and Patroni say, of every member that answers: one odd answer is
    enough. What is promoted is asked for over REST, and judged over SQL: they must be one.
    """

    name: ClassVar[str] = "patroni.system_identifier"

    def identity(self, target: Target) -> Identity | None:
        """About Patroni clusters."""
        if not isinstance(target, PatroniCluster):
            return None
        return Identity(
            name=self.name,
            subject=target.label,
            expected=target.system_identifier,
        )

    def asks(self, target: Target) -> tuple[Ask, ...]:
        if not isinstance(target, PatroniCluster):
            return ()
        return (data(target.region, "PostgreSQL and Patroni"),)

    async def read(self, ctx: Context, target: Target) -> str:
        """
        Asks every member's PostgreSQL, and its Patroni.

        Raises:
            Unavailable: Nobody said.
            Conflict: A member belongs to another cluster.
        """
        if not isinstance(target, PatroniCluster):
            raise Rejected(f"{target.label} is no Patroni cluster")
        from drctl.adapters.patroni import group

        asked = asyncio.gather(*(_ask(ctx, target, one) for one in target.members))
        _view, said = await asyncio.gather(group.look(ctx, target), asked)
        known = sorted({one for both in said for one in both if one})
        if not known:
            raise Unavailable(f"no member of {target.scope} said which system it is")
        return next((one for one in known if one != target.system_identifier), known[0])


async def _ask(ctx: Context, target: PatroniCluster, member: PatroniMember) -> tuple[str, str]:
    """What its PostgreSQL and its Patroni say; empty where one is silent."""
    from drctl.adapters import _candidate_look
    from drctl.adapters._candidate import Seen

    seen, told = await asyncio.gather(
        _candidate_look.ask(ctx, target.access(member), target.sql.database),
        _told(ctx, target, member),
    )
    return (seen.system_identifier if isinstance(seen, Seen) else ""), told


async def _told(ctx: Context, target: PatroniCluster, member: PatroniMember) -> str:
    from drctl.adapters.patroni import rest

    try:
        said = await rest.get(ctx, target, member, "/patroni")
    except ActionError:
        return ""
    return str(said.get("database_system_identifier") or "")
