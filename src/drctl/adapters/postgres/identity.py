"""
The pin of a database: primary and standby of one system share its identifier.

Every plan asks every pin what it is about; what asks a server is imported when one is asked.
"""

import contextlib
from typing import ClassVar

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, Rejected, Unavailable
from drctl.actions.pin import Identity, Pin
from drctl.actions.planes import Ask, data
from drctl.actions.targets import PostgresServer, Target
from drctl.adapters.postgres.server import Database, access_of, region_of

ALWAYS_OPEN = "postgres"
"""A database that every server has, and no fence closes."""


class SystemIdentifierPin(Pin):
    """PostgreSQL's own identifier, made by ``initdb`` and copied to every standby."""

    name: ClassVar[str] = "postgres.system_identifier"

    def identity(self, target: Target) -> Identity | None:
        """About databases that are reached by SQL, when the environment pins them."""
        if not isinstance(target, Database):
            return None
        if target.sql is None or target.system_identifier is None:
            return None
        return Identity(
            name=self.name,
            subject=target.label,
            expected=target.system_identifier,
        )

    def asks(self, target: Target) -> tuple[Ask, ...]:
        return (data(region_of(target), "PostgreSQL"),) if isinstance(target, Database) else ()

    async def read(self, ctx: Context, target: Target) -> str:
        """
        Asks the server; the files of one that does not run.

        Raises:
            ActionError: It did not say.
        """
        if not isinstance(target, Database):
            raise Rejected(f"{target.label} is not a database")
        from drctl.adapters import _sql

        try:
            return await _ask(ctx, target, database=None)
        except ActionError as error:
            # A fence by SQL closes the application's database, and the standby replays that: who
            # it is must be known all the same, right before it is promoted.
            if _sql.classify(error) != "refused":
                raise
            if not _sql.is_nobody_there(error):
                with contextlib.suppress(Unavailable):  # it is starting, or ending
                    return await _ask(ctx, target, database=ALWAYS_OPEN)
            return await _ask_its_files(ctx, target, error)


async def _ask(ctx: Context, target: Database, *, database: str | None) -> str:
    from drctl.adapters import _sql

    async with _sql.connect(access_of(target), ctx, database=database) as connection:
        answer: str = await connection.fetchval(
            "SELECT system_identifier::text FROM pg_control_system()"
        )
    return answer


async def _ask_its_files(ctx: Context, target: Database, error: ActionError) -> str:
    """A server that does not run is its data directory, where its machine can be asked."""
    if not isinstance(target, PostgresServer) or target.runs_on is None:
        raise error
    from drctl.adapters.postgres.programs import Programs

    return (await Programs(ctx, target).control()).system_identifier
