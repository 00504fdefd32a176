"""
What asyncpg raises when a database does not answer, or not with a yes: one list for the whole lab.

`InternalClientError` is in it because a session that the server ends between two messages of one
query sometimes ends so ("cannot switch to state 12; another operation (2) is in progress"), and
neither it nor `InterfaceError` is a `PostgresError`.
"""

from typing import Final

import asyncpg

SQL_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
