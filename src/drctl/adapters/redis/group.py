"""
What the sentinels of a group say, and what the servers say themselves.

One sentinel is an opinion. What more than half of *all* sentinels of the environment say is what
the group says: two halves of a partition cannot both have that many. The sentinels that do not
answer count as saying nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, Conflict, Unavailable
from drctl.actions.targets import Cache, Endpoint, RedisSentinels, RedisServer
from drctl.adapters.redis.link import Link, Reply, connect, is_nobody_there

_IN_PROGRESS = "failover_in_progress"
_DOWN = {"s_down", "o_down"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one sentinel says."""

    sentinel: Endpoint
    primary: str = ""
    """``host:port``."""
    flags: frozenset[str] = frozenset()
    """Of the primary, as ``s_down``."""
    epoch: int = 0
    """Of the configuration: a later one is younger."""
    error: ActionError | None = None

    @property
    def says_down(self) -> bool:
        """It does not reach the primary either."""
        return bool(self.flags & _DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """What all of them say."""

    of: tuple[Opinion, ...]

    @property
    def heard(self) -> tuple[Opinion, ...]:
        """Of those that answered."""
        return tuple(one for one in self.of if one.error is None)

    @property
    def primary(self) -> str:
        """Whom more than half name; empty when there is none."""
        named = Counter(one.primary for one in self.heard)
        for name, count in named.items():
            if name and 2 * count > len(self.of):
                return name
        return ""

    @property
    def agree(self) -> int:
        """How many name `primary`."""
        return sum(one.primary == self.primary for one in self.heard)

    @property
    def is_down(self) -> bool:
        """More than half of all do not reach the primary."""
        return 2 * sum(one.says_down for one in self.heard) > len(self.of)

    @property
    def in_progress(self) -> bool:
        """One of them is failing over."""
        return any(_IN_PROGRESS in one.flags for one in self.heard)

    @property
    def epoch(self) -> int:
        """The youngest configuration that any of them has."""
        return max((one.epoch for one in self.heard), default=0)

    def __str__(self) -> str:
        said = Counter(one.primary or "nobody" for one in self.heard)
        silent = len(self.of) - len(self.heard)
        parts = [f"{count} name {name}" for name, count in sorted(said.items())]
        return ", ".join([*parts, *([f"{silent} silent"] if silent else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a server says of itself."""

    name: str
    """``master`` or ``slave``."""
    of: str = ""
    """Whose replica it is, as ``host:port``."""
    is_linked: bool = False
    """A replica whose link to its primary is up."""
    replicas: tuple[str, ...] = ()
    """Of a primary: those that are connected."""


async def opinions(ctx: Context, target: RedisSentinels) -> Opinions:
    """
    Asks every sentinel at once.

    Raises:
        Unavailable: None answered.
        ActionError: None answered, and one said why.
    """
    found = Opinions(
        of=tuple(await asyncio.gather(*(_ask(ctx, target, s) for s in target.sentinels)))
    )
    if not found.heard:
        first = next(one.error for one in found.of if one.error is not None)
        raise type(first)(f"no sentinel of {target.group} answered: {first}")
    return found


async def _ask(ctx: Context, target: RedisSentinels, at: Endpoint) -> Opinion:
    try:
        async with connect(ctx, at, target.sentinel_access or target.access) as link:
            named = await link.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.group)
            told = pairs(await link.ask("SENTINEL", "MASTER", target.group))
    except ActionError as error:
        return Opinion(sentinel=at, error=error)
    if not (isinstance(named, list) and len(named) == 2):  # noqa: PLR2004 (host and port)
        nobody = Unavailable(f"{at.text}: it does not say who the primary is")
        return Opinion(sentinel=at, error=nobody)
    epoch = told.get("config-epoch", "0")
    primary = f"{named[0]}:{named[1]}"
    return Opinion(
        sentinel=at,
        # While a failover ends the two questions have different answers: then it says nothing yet.
        primary=primary if primary == f"{told.get('ip')}:{told.get('port')}" else "",
        flags=frozenset(told.get("flags", "").split(",")),
        epoch=int(epoch) if epoch.isdecimal() else 0,
    )


def pairs(reply: Reply) -> dict[str, str]:
    """Names and values of a flat list; a list of something else is empty."""
    if not isinstance(reply, list):
        return {}
    return {str(name): str(value) for name, value in zip(reply[::2], reply[1::2], strict=False)}


def node(target: RedisSentinels, name: str) -> Endpoint:
    """
    The data node that sentinels call *name*.

    Raises:
        Conflict: It is none of this group's.
    """
    for one in target.nodes:
        if one.text == name:
            return one
    known = ", ".join(one.text for one in target.nodes)
    raise Conflict(f"the sentinels of {target.group} name {name}, which is none of {known}")


async def primary_of(ctx: Context, target: Cache) -> Endpoint:
    """
    Where writes go.

    Raises:
        Unavailable: The sentinels do not agree, or none answers.
        Conflict: They name a server that is none of this group's.
    """
    if isinstance(target, RedisServer):
        return target.at
    said = await opinions(ctx, target)
    if not said.primary:
        raise Unavailable(f"the sentinels of {target.group} do not agree: {said}")
    return node(target, said.primary)


async def role(link: Link) -> Role:
    """
    Asks a server what it is.

    Raises:
        Unavailable: No answer, or one that is none.
    """
    match await link.ask("ROLE"):
        case ["master", int(), [*replicas]]:
            names = tuple(
                f"{one[0]}:{one[1]}" for one in replicas if isinstance(one, list) and len(one) > 1
            )
            return Role(name="master", replicas=names)
        case ["slave", str(host), int(port), str(state), *_]:
            return Role(name="slave", of=f"{host}:{port}", is_linked=state == "connected")
        case other:
            raise Unavailable(f"a server that does not say its role but {str(other)[:100]}")


async def role_at(ctx: Context, target: Cache, at: Endpoint) -> Role | ActionError:
    """What the server there says it is, or why it does not."""
    try:
        async with connect(ctx, at, target.access) as link:
            return await role(link)
    except ActionError as error:
        return error


async def roles(ctx: Context, target: RedisSentinels) -> dict[str, Role | ActionError]:
    """What every data node says it is, by ``host:port``."""
    nodes: Sequence[Endpoint] = target.nodes
    found = await asyncio.gather(*(role_at(ctx, target, one) for one in nodes))
    return {one.text: said for one, said in zip(nodes, found, strict=True)}


def silence(error: ActionError) -> str:
    """How a server does not answer, in words."""
    return "nothing listens there" if is_nobody_there(error) else str(error)
