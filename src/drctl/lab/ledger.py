"""The lab's ledger: one line for each mutation that one of its stand-ins applied."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drctl.kernel.clock import SystemClock
from drctl.kernel.ledger import append, entry

_CLOCK = SystemClock()


def note(
    file: Path | None,
    where: str,
    operation: str,
    target: str,
    request: Any,
    *,
    key: str = "",
    applied: Mapping[str, Any] | None = None,
) -> None:
    """
    Adds a line for a request that has just been applied.

    Args:
        file: The ledger; ``None``: this stand-in keeps none.
        request: As it came; only its digest is kept.
        key: The idempotency key that it carried.

    Raises:
        OSError: It cannot be written.
    """
    if file is None:
        return
    one = entry(_CLOCK.now(), where, operation, target, request, key=key, applied=applied or {})
    append(file, one)
