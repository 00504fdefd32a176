"""The roles that RDS gives its customers."""

from __future__ import annotations

from drctl.lab.postgres.server import PostgresServer

# What rds_superuser may use, and give to others.
_POWERS = "pg_monitor, pg_signal_backend, pg_checkpoint, pg_read_all_data, pg_write_all_data"


async def create_roles(server: PostgresServer, master: str, password: str) -> None:
    """
    Creates the master user, who is not a superuser.

    Args:
        server: A running primary.
        master: The master user's name.
        password: Its password.

    Raises:
        asyncpg.PostgresError: The name is taken or reserved.

    Changes:
        Creates the roles ``rds_superuser`` and the master user.
    """
    name = quoted_name(master)
    await server.execute_as_superuser(
        "CREATE ROLE rds_superuser NOLOGIN;"
        f" GRANT {_POWERS} TO rds_superuser WITH ADMIN OPTION;"
        f" CREATE ROLE {name} LOGIN CREATEDB CREATEROLE PASSWORD {quoted(password)}"
        " IN ROLE rds_superuser;"
    )


async def set_password(server: PostgresServer, role: str, password: str) -> None:
    """
    Changes a role's password.

    Args:
        server: A running primary.
        role: Whose.
        password: The new one.

    Raises:
        asyncpg.PostgresError: There is no such role.

    Changes:
        The role.
    """
    await server.execute_as_superuser(f"ALTER ROLE {quoted_name(role)} PASSWORD {quoted(password)}")


async def create_database(server: PostgresServer, name: str, owner: str) -> None:
    """
    Creates a database.

    Args:
        server: A running primary.
        name: The database's.
        owner: The role that owns it.

    Raises:
        asyncpg.PostgresError: The name is taken, or there is no such role.

    Changes:
        Creates the database.
    """
    await server.execute_as_superuser(
        f"CREATE DATABASE {quoted_name(name)} OWNER {quoted_name(owner)}"
    )


def quoted_name(name: str) -> str:
    """Returns a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted(text: str) -> str:
    """Returns a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
