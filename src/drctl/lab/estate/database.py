"""The estate's database part, built through SQL on the endpoint, as the master user."""

from typing import Any

import asyncpg

from drctl.lab.access import Secrets
from drctl.lab.blocking import run_apart
from drctl.lab.estate.aws import MASTER
from drctl.lab.estate.environment import DATABASE
from drctl.lab.lookup import look_up

APPLICATION_USER, OPERATOR_USER = "healing_guard", "drctl"
_TIMEOUT_S = 10.0


def schema(host: str, resolver: tuple[str, int], secrets: Secrets) -> str:
    """
    Makes the roles, the application's table and the operator's schema.

    Returns:
        The cluster's system identifier.

    Raises:
        asyncpg.PostgresError, OSError, TimeoutError: The database refused, or did not answer.

    Changes:
        The primary's roles and schemas.
    """
    return run_apart(_schema(host, resolver, secrets))


async def _schema(host: str, resolver: tuple[str, int], secrets: Secrets) -> str:
    address = (await look_up(host, resolver, timeout_s=_TIMEOUT_S)).addresses[0]
    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        host=address,
        database=DATABASE,
        user=MASTER,
        password=secrets.read("database_master"),
        ssl=False,
        timeout=_TIMEOUT_S,
        command_timeout=_TIMEOUT_S,
    )
    try:
        for user in (APPLICATION_USER, OPERATOR_USER):
            # A password cannot be a parameter of CREATE ROLE; these are urlsafe, without quotes.
            password = secrets.read(f"database_{user}")
            await connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}'")
        await connection.execute(_SCHEMA)
        return str(
            await connection.fetchval("SELECT system_identifier::text FROM pg_control_system()")
        )
    finally:
        await connection.close(timeout=_TIMEOUT_S)


_SCHEMA = """
GRANT healing_guard, drctl TO postgres;
-- The operator may give the application another password.
ALTER ROLE drctl CREATEROLE;
GRANT healing_guard TO drctl WITH ADMIN OPTION;
-- The operator may fence: see and end sessions, and close the database to new ones.
GRANT pg_monitor, pg_signal_backend TO drctl;
ALTER DATABASE healing_guard OWNER TO drctl;

CREATE SCHEMA healing_guard AUTHORIZATION healing_guard;
CREATE TABLE healing_guard.pipelines (
    id text PRIMARY KEY,
    region text,
    at timestamptz
);
ALTER TABLE healing_guard.pipelines OWNER TO healing_guard;

-- And it finds rows that were written the way clients write them.
GRANT USAGE ON SCHEMA healing_guard TO drctl;
GRANT SELECT ON healing_guard.pipelines TO drctl;

CREATE SCHEMA drctl AUTHORIZATION drctl;
CREATE TABLE drctl.heartbeat (
    id int PRIMARY KEY CHECK (id = 1),
    at timestamptz NOT NULL,
    seq bigint NOT NULL
);
INSERT INTO drctl.heartbeat VALUES (1, now(), 0);
CREATE TABLE drctl.write_check (
    token text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE drctl.heartbeat OWNER TO drctl;
ALTER TABLE drctl.write_check OWNER TO drctl;
"""
