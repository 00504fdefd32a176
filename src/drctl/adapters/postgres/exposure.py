"""Who may connect to a restored instance: its operator, and later the application."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import PostgresServer, Target, Text
from drctl.adapters import _sql
from drctl.adapters.postgres.programs import Programs
from drctl.adapters.postgres.server import look

FILE = "drctl_hba.conf"
_EVERYWHERE = {"*", "0.0.0.0", "::", ""}  # noqa: S104 (what is refused)
_LARGEST_V4, _LARGEST_V6 = 8, 32
"""Prefixes: a wider network is nobody's own."""
_RULES = """
SELECT current_setting('listen_addresses') AS listens,
       current_setting('hba_file') AS file, current_setting('archive_mode') AS archive_mode
"""


def operators(addresses: Sequence[str]) -> tuple[str, ...]:
    """
    Checks addresses of single machines.

    Raises:
        Rejected: One is a network, or no address at all.
    """
    checked = []
    for text in addresses:
        network = _network(text)
        if network.num_addresses != 1:
            raise Rejected(f"{text} is {network.num_addresses} addresses; an operator has one")
        checked.append(str(network))
    return tuple(checked)


def networks(texts: Sequence[str]) -> tuple[str, ...]:
    """
    Checks the application's networks.

    Raises:
        Rejected: One is everybody's, or no network at all.
    """
    checked = []
    for text in texts:
        network = _network(text)
        widest = _LARGEST_V4 if network.version == 4 else _LARGEST_V6  # noqa: PLR2004 (IPv4)
        if network.prefixlen < widest or network.is_global:
            raise Rejected(f"{text} is not a private network of at most /{widest}")
        checked.append(str(network))
    return tuple(checked)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise Rejected(f"{text} is no address: {error}") from None


def rules(target: PostgresServer, only: Sequence[str], clients: Sequence[str] = ()) -> str:
    """The text of ``pg_hba.conf``: the operator, the application's networks, nobody else."""
    lines = [f"host  all  {_name(target.sql.user)}  {one}  scram-sha-256" for one in only]
    lines += [f"host  {_name(target.sql.database)}  all  {one}  scram-sha-256" for one in clients]
    return "\n".join(["# Written by drctl.", *lines, ""])


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


async def require_private(connection: _sql.Connection, target: PostgresServer) -> None:
    """
    Asks the running instance whom it listens to, and that it archives nothing.

    Raises:
        Rejected: It is open to more than it should be.
    """
    row = await connection.fetchrow(_RULES)
    listens = [one.strip() for one in row["listens"].split(",")]
    if any(one in _EVERYWHERE for one in listens):
        raise Rejected(f"{target.label} listens on every address of its machine")
    if not row["file"].endswith(f"/{FILE}"):
        raise Rejected(f"{target.label} does not use our rules but {row['file']}")
    if row["archive_mode"] != "off":
        raise Rejected(f"{target.label} writes into an archive that is not its own")


class AdmitParams(Params):
    """Who may come."""

    operators: tuple[Text, ...]
    """Addresses of single machines, as for the restore."""
    networks: tuple[Text, ...]
    """Private networks of the application."""
    admin_database: Text = "postgres"
    """How the server is reached."""


class AdmitOutputs(Outputs):
    """Who may connect now."""

    networks: tuple[str, ...]


class Admit(Action[PostgresServer, AdmitParams, AdmitOutputs]):
    """Lets the application's networks into a restored instance, once its rows were looked at."""

    name: ClassVar[str] = "postgres.clients.admit"
    summary: ClassVar[str] = "Lets the application connect to a restored instance"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = AdmitParams
    outputs: ClassVar[type[Outputs]] = AdmitOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    def preview(
        self, observation: Observation, target: PostgresServer, params: AdmitParams | None
    ) -> Preview:
        wide = ", ".join(params.networks) if params else "the application"
        return Change(before="only its operator connects", after=f"{wide} may connect")

    async def perform(
        self, ctx: Context, target: PostgresServer, params: AdmitParams
    ) -> AdmitOutputs:
        """
        Writes the rules and reloads them.

        Raises:
            Rejected: A network is everybody's, or the instance is none that was restored by us.
            Conflict: It is another system, or a program is at work on it.
            ActionError: The machine or the server did not answer.

        Changes:
            The instance's access rules.
        """
        programs = Programs(ctx, target)
        only, clients = operators(params.operators), networks(params.networks)
        await programs.require_pin()
        async with _sql.connect(target.sql, ctx, database=params.admin_database) as connection:
            await require_private(connection, target)
        text = rules(target, only, clients)
        await programs.change("tee", f"{programs.data}/{FILE}", given=text)
        await programs.change(*programs.postgres("pg_ctl", "-D", programs.data, "reload"))
        return AdmitOutputs(networks=clients)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: AdmitParams
    ) -> Done[AdmitOutputs] | NotDone | CannotTell:
        """The file tells; that it was reloaded does not show, and reloading again is safe."""
        try:
            programs = Programs(ctx, target)
            if await programs.is_busy():
                return CannotTell(why=f"a program is still at work on {programs.data}")
            async with _sql.connect(target.sql, ctx, database=params.admin_database) as connection:
                await look(connection)
        except ActionError as error:
            return CannotTell(why=str(error))
        return NotDone(why="whether the rules were reloaded does not show; doing it again is safe")
