"""Opens a fenced primary again."""

from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NoOutputs,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, Rejected
from drctl.actions.targets import PostgresServer, Target
from drctl.adapters import _sql
from drctl.adapters.postgres import gate, owed
from drctl.adapters.postgres.fence import FenceParams
from drctl.adapters.postgres.server import look, require_identity


class Unfence(Action[PostgresServer, FenceParams, NoOutputs]):
    """
    Undoes `Fence`. Right only while nothing was promoted: afterwards it makes a second primary, and
    nothing here can see that.
    """

    name: ClassVar[str] = "postgres.unfence"
    summary: ClassVar[str] = "Opens a fenced primary again, while nothing was promoted"
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (PostgresServer,)
    params: ClassVar[type[Params]] = FenceParams
    outputs: ClassVar[type[Outputs]] = NoOutputs

    def planes(self, target: PostgresServer) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def observe(
        self, ctx: Context, target: PostgresServer, params: FenceParams | None
    ) -> Observation:
        """
        Reads whether the database is open.

        Raises:
            ActionError: The server did not answer.
        """
        admin = (params or FenceParams()).admin_database
        async with _sql.connect(target.sql, ctx, database=admin) as connection:
            return Observation(
                facts={"is_open": await gate.is_open(connection, target.sql.database)}
            )

    def preview(
        self, observation: Observation, target: PostgresServer, params: FenceParams | None
    ) -> Preview:
        if observation.facts["is_open"]:
            return Nothing(why="the database is open")
        return Change(before="refuses every client", after="takes client connections")

    async def perform(self, ctx: Context, target: PostgresServer, params: FenceParams) -> NoOutputs:
        """
        Opens the database and lifts the read-only default.

        Raises:
            Conflict: Another system answers there.
            Rejected: The admin database is the fenced one.
            ActionError: See `drctl.adapters._sql`.

        Changes:
            The database's ALLOW_CONNECTIONS, the server's default_transaction_read_only.
        """
        if params.admin_database == target.sql.database:
            raise Rejected(f"admin_database must be another one than {target.sql.database}")
        async with _sql.connect(
            target.sql, ctx, mutates=True, database=params.admin_database
        ) as connection:
            state = await look(connection)
            require_identity(target, state)
            if state.is_in_recovery:
                raise Conflict(f"{target.label} is a standby; there is nothing to open")
            await gate.reopen(connection, target.sql.database)
        return NoOutputs()

    def debts(
        self, target: PostgresServer, params: FenceParams, outputs: NoOutputs
    ) -> tuple[Debt | Cleared, ...]:
        """Pays what the fence left."""
        return (owed.fence_is_gone(target),)

    async def settled(
        self, ctx: Context, target: PostgresServer, params: FenceParams
    ) -> Done[NoOutputs] | NotDone | CannotTell:
        """Asks whether the database is open."""
        try:
            async with _sql.connect(target.sql, ctx, database=params.admin_database) as connection:
                require_identity(target, await look(connection))
                is_open = await gate.is_open(connection, target.sql.database)
        except ActionError as error:
            return CannotTell(why=str(error))
        return Done(outputs=NoOutputs()) if is_open else NotDone(why="the database is closed")
