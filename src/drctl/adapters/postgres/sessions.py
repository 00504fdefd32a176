"""Who is in a database, and who may be: evidence that is gone as soon as anybody acts."""

from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, NoParams, Outputs, Repeat
from drctl.actions.targets import DatabaseRole
from drctl.adapters import _sql
from drctl.kernel.text import sanitize

MOST = 500
_SESSIONS = """
SELECT coalesce(usename, '-') || ' from ' || coalesce(host(client_addr), 'local')
       || ' as "' || coalesce(application_name, '') || '" in ' || coalesce(datname, '-')
       || ' since ' || to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
ORDER BY backend_start LIMIT $1
"""
_ROLES = """
SELECT rolname || CASE WHEN rolsuper THEN ' superuser' ELSE '' END
       || CASE WHEN rolcreaterole THEN ' createrole' ELSE '' END
       || CASE WHEN rolreplication THEN ' replication' ELSE '' END
FROM pg_roles WHERE rolcanlogin ORDER BY rolname LIMIT $1
"""


class Sessions(Outputs):
    """As the server says; the journal keeps it."""

    sessions: tuple[str, ...]
    """Role, address, application, database and beginning of each, oldest first."""
    roles: tuple[str, ...]
    """Every role that may log in, with the powers that matter."""
    are_all: bool
    """False: there were more than are listed."""


class ListSessions(Action[DatabaseRole, NoParams, Sessions]):
    """Reads them, without the text of anybody's query: that may hold customers' data."""

    name: ClassVar[str] = "postgres.sessions.list"
    summary: ClassVar[str] = "List a server's sessions and the roles that may log in, as evidence"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (DatabaseRole,)
    outputs = Sessions

    def planes(self, target: DatabaseRole) -> tuple[str, ...]:
        return (f"data-plane:{target.region}",)

    async def perform(self, ctx: Context, target: DatabaseRole, params: NoParams) -> Sessions:
        """
        Reads both lists.

        Raises:
            ActionError: The server did not answer, or not to this role.
        """
        async with _sql.connect(target.sql, ctx) as connection:
            sessions = [row[0] for row in await connection.fetch(_SESSIONS, MOST + 1)]
            roles = [row[0] for row in await connection.fetch(_ROLES, MOST + 1)]
        return Sessions(
            sessions=tuple(sanitize(text, limit=300) for text in sessions[:MOST]),
            roles=tuple(sanitize(text, limit=100) for text in roles[:MOST]),
            are_all=len(sessions) <= MOST and len(roles) <= MOST,
        )
