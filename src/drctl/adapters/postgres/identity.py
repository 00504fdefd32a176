"""The pin of a database: primary and standby of one system share its identifier."""

from drctl.actions.contract import Context, Identity, Pin
from drctl.actions.errors import Rejected
from drctl.actions.targets import PostgresServer, RdsInstance, Target
from drctl.adapters import _sql
from drctl.adapters.postgres.server import access_of


class SystemIdentifierPin(Pin):
    """PostgreSQL's own identifier, made by ``initdb`` and copied to every standby."""

    def identity(self, target: Target) -> Identity | None:
        """About databases that are reached by SQL, when the environment pins them."""
        if not isinstance(target, PostgresServer | RdsInstance):
            return None
        if target.sql is None or target.system_identifier is None:
            return None
        return Identity(
            name="postgres.system_identifier",
            subject=target.label,
            expected=target.system_identifier,
        )

    async def read(self, ctx: Context, target: Target) -> str:
        """
        Asks the server.

        Raises:
            ActionError: It did not say.
        """
        if not isinstance(target, PostgresServer | RdsInstance):
            raise Rejected(f"{target.label} is not a database")
        async with _sql.connect(access_of(target), ctx) as connection:
            answer: str = await connection.fetchval(
                "SELECT system_identifier::text FROM pg_control_system()"
            )
        return answer
