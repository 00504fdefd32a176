"""
Retries of reads. The engine owns the retries of effects; nothing else in drctl repeats a call.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from drctl.kernel.clock import Clock, Deadline

T = TypeVar("T")


async def retry_read(
    read: Callable[[], Awaitable[T]],
    *,
    on: tuple[type[Exception], ...],
    clock: Clock,
    deadline: Deadline,
    first_wait_s: float = 0.2,
    max_wait_s: float = 5.0,
) -> T:
    """
    Calls *read* until it answers, with full-jitter backoff, until *deadline*; then raises its last
    error.

    Only for calls that change nothing. Waits on *clock*, so a virtual clock makes it instant.
    """
    from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

    async def wait(seconds: float) -> None:
        await clock.sleep(min(seconds, deadline.left_s(clock)))

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(on),
        wait=wait_random_exponential(multiplier=first_wait_s, max=max_wait_s),
        stop=lambda _state: deadline.has_passed(clock),
        sleep=wait,
        reraise=True,
    )
    return await retrying(read)
