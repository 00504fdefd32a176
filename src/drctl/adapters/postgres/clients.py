"""
Proves that what clients write ends in this database: one write that is marked as nobody's.

A health check says what an application thinks of itself. This writes through the public name, as a
customer would, and finds the row by SQL where it must be; a service that answers 201 and writes to
the old primary passes the first half and fails the second.
"""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

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
from drctl.actions.targets import ClientPath, CloudSqlInstance, PostgresServer, RdsInstance, Target
from drctl.adapters import _http, _sql
from drctl.adapters.postgres.server import Database, access_of, look, region_of, require_identity
from drctl.kernel.duration import parse_duration

_LABEL = "the clients' path"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


class ClientsParams(Params):
    """Whose write it is, and how long it may take."""

    tenant: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{2,40}$")] = "drctl-synthetic"
    """The row's id begins with it, so that reports and bills can leave it out."""
    within: Annotated[
        timedelta,
        BeforeValidator(_duration),
        Field(gt=timedelta(0)),
        WithJsonSchema({"type": "string", "examples": ["2s"]}),
    ] = timedelta(seconds=5)
    """A write that takes longer is a failure."""


class ClientsOutputs(Outputs):
    """What was proven."""

    row: str
    """The id."""
    status: int
    """0 when the answer was lost and the row was found all the same."""
    latency_s: float
    """Of the write, from before the name was resolved."""
    database: str
    """Where the row was found, as ``host:port``."""
    timeline: int


class AssertClientsWrite(Action[Database, ClientsParams, ClientsOutputs]):
    """Writes where clients write, and finds the row in this database."""

    name: ClassVar[str] = "postgres.clients.assert_write"
    summary: ClassVar[str] = "Proves that a client's write ends in this database"
    effect: ClassVar[Effect] = Effect.CHANGE
    leaves_mark: ClassVar[bool] = True
    repeat: ClassVar[Repeat] = Repeat.KEYED
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer, RdsInstance, CloudSqlInstance)
    params: ClassVar[type[Params]] = ClientsParams
    outputs: ClassVar[type[Outputs]] = ClientsOutputs

    def planes(self, target: Database) -> tuple[str, ...]:
        return (f"data-plane:{region_of(target)}",)

    def preview(
        self, observation: Observation, target: Database, params: ClientsParams | None
    ) -> Preview:
        tenant = (params or ClientsParams()).tenant
        return Change(
            before="not proven", after=f"one row {tenant}-... where clients write", creates=True
        )

    async def perform(
        self, ctx: Context, target: Database, params: ClientsParams
    ) -> ClientsOutputs:
        """
        Writes, and looks for it.

        Raises:
            Rejected: The service did not take it, took too long, or it is not in this database;
                there is no ``client_path``; or this is a standby.
            OutcomeUnknown: It left, and nothing was answered.
            Conflict: Another system answers there.
            ActionError: One of the two was not reached.

        Changes:
            One row where clients write, with an id that begins with *tenant*.
        """
        path = _path(target)
        row = f"{params.tenant}-{ctx.key}"
        answer = await _http.send(
            ctx, "POST", path.url, label=_LABEL, body={"id": row}, timeout=params.within
        )
        if not 200 <= answer.status < 300:  # noqa: PLR2004 (HTTP's own class)
            raise Rejected(f"clients cannot write: {path.url} answered {answer.status}")
        timeline = await _find(ctx, target, path, row)
        if timeline is None:
            raise Rejected(
                f"clients write somewhere else: {path.url} took a row that is not in {target.label}"
            )
        return _outputs(target, row, answer.status, answer.latency_s, timeline)

    async def settled(
        self, ctx: Context, target: Database, params: ClientsParams
    ) -> Done[ClientsOutputs] | NotDone | CannotTell:
        row = f"{params.tenant}-{ctx.key}"
        try:
            timeline = await _find(ctx, target, _path(target), row)
        except ActionError as error:
            return CannotTell(why=str(error))
        if timeline is None:
            return NotDone(why="the row is not there")
        return Done(outputs=_outputs(target, row, 0, 0.0, timeline))


def _path(target: Database) -> ClientPath:
    if target.client_path is None:
        raise Rejected(f"{target.label} has no client_path in the environment")
    return target.client_path


async def _find(ctx: Context, target: Database, path: ClientPath, row: str) -> int | None:
    """The database's timeline when the row is there."""
    async with _sql.connect(access_of(target), ctx) as connection:
        state = await look(connection)
        require_identity(target, state)
        if state.is_in_recovery:
            raise Rejected(f"{target.label} is a standby: that a row is there proves nothing")
        # Both names are patterns of the environment's schema: nothing in them needs quoting.
        found = await connection.fetchval(
            f"SELECT EXISTS (SELECT FROM {path.table} WHERE {path.column} = $1)",  # noqa: S608
            row,
        )
    return state.timeline if found else None


def _outputs(
    target: Database, row: str, status: int, latency_s: float, timeline: int
) -> ClientsOutputs:
    access = access_of(target)
    return ClientsOutputs(
        row=row,
        status=status,
        latency_s=latency_s,
        database=f"{access.host}:{access.port}",
        timeline=timeline,
    )
