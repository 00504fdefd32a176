"""Runs one blocking library call beside the event loop, and stops waiting for it at a deadline."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from drctl.actions.contract import Context
from drctl.actions.errors import ActionError

T = TypeVar("T")

GRACE_S = 0.5
"""
How much longer than its socket timeouts a call is waited for: its own error says more than ours.
"""


async def run(
    call: Callable[[], T], *, ctx: Context, late: Callable[[str], ActionError], limit_s: float
) -> T:
    """
    Returns what *call* returns, or raises what it raises, unless the context's deadline comes
    first.

    A thread of its own, not the loop's pool: calls to a dead region pile up, and six of them would
    stop every other call. A daemon, so that the process can end while one still hangs.

    Args:
        late: Makes the error for a call that was left hanging.
        limit_s: Longest wait, whatever the deadline.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # T, when there is no error

    def work() -> None:
        value, error = None, None
        try:
            value = call()
        except BaseException as raised:  # noqa: BLE001 (handed to the waiting side)
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, name="drctl-call", daemon=True).start()
    wait_s = min(limit_s, ctx.deadline.left_s(ctx.clock)) + GRACE_S
    try:
        return await asyncio.wait_for(result, timeout=wait_s)
    except TimeoutError:
        raise late(f"no answer within {wait_s:.1f} s") from None
