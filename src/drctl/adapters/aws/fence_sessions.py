"""The session half of the RDS fence: one administrator's session ends every other one."""

import asyncio
from datetime import timedelta
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import Unavailable
from drctl.actions.targets import RdsInstance
from drctl.adapters import _sql

CUT = timedelta(seconds=10)
"""A session ends within milliseconds; one in a hung kernel call never does."""
PAUSE_S = 0.1

# A client whose user is not known yet is still logging in: it counts, and cannot be ended before it
# has. Superusers are RDS itself. A row hidden from us has no backend_type, and counts: with too few
# rights the answer is "some are left", never "none".
_OTHERS = """
    FROM pg_stat_activity AS session LEFT JOIN pg_roles AS role ON role.oid = session.usesysid
    WHERE coalesce(session.backend_type, 'client backend') = 'client backend'
      AND session.pid <> pg_backend_pid() AND NOT coalesce(role.rolsuper, false)
"""
_TERMINATE = f"SELECT count(pg_terminate_backend(session.pid)) {_OTHERS} AND role.oid IS NOT NULL"
_LEFT = f"SELECT count(*) {_OTHERS}"


class AdminSession:
    """
    A session that is opened while the network is open, and used after it was shut.

    It lives in a task of its own, so that losing it is an error of `cut`, whenever it is lost.
    """

    def __init__(self, ctx: Context, target: RdsInstance) -> None:
        self._ctx = ctx
        self._target = target
        self._is_open = asyncio.Event()
        self._is_shut = asyncio.Event()
        self._task = asyncio.create_task(self._live())
        # How it ended is said by `cut`, if that is still asked; else it is for nobody's terminal.
        self._task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def opened(self) -> bool:
        """Waits for the session; False when the server does not give one."""
        waiting = asyncio.create_task(self._is_open.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self._is_open.is_set()

    async def cut(self) -> str:
        """
        Ends every other client's session, waits until none is left, and reads the last WAL
        position.

        Call it after the network is shut: before, clients come back faster than they are cut.

        Returns:
            The position after which no client has written.

        Raises:
            ActionError: There is no session, it was lost, it has too few rights, or some are left.

        Changes:
            The sessions of all clients of the server.
        """
        self._is_shut.set()
        return await asyncio.shield(self._task)

    async def close(self) -> None:
        """Gives the session up."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _live(self) -> str:
        if self._target.sql is None:
            raise Unavailable(f"the environment gives {self._target.label} no sql")
        async with _sql.connect(self._target.sql, self._ctx, mutates=True) as session:
            self._is_open.set()
            await self._is_shut.wait()
            return await _cut(self._ctx, session)


async def _cut(ctx: Context, session: Any) -> str:
    deadline = ctx.deadline.at_most(ctx.clock, CUT)
    while True:
        await session.fetchval(_TERMINATE)
        left = await session.fetchval(_LEFT)
        if not left:
            position: str = await session.fetchval("SELECT pg_current_wal_lsn()::text")
            return position
        if deadline.has_passed(ctx.clock):
            raise Unavailable(f"{left} session(s) are left")
        await ctx.clock.sleep(PAUSE_S)
