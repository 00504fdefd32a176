"""Cloud SQL's operations: PENDING, then RUNNING while the real work is done, then DONE."""

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

from drctl.lab.gcp.wire import Refusal, not_found, timestamp

_PENDING_S: Final = 0.1
"""A vendor's seconds, compressed."""
_RUNNING_S: Final = 0.15
"""At the least; real work takes what it takes."""


class Operations:
    """Every operation of a project. An instance does one thing at a time, as at Google."""

    def __init__(self, project: str, user: str) -> None:
        self._project = project
        self._user = user
        self._all: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._serial = itertools.count(1)
        self.hold: asyncio.Event | None = None
        """Set it to an event, and operations stay PENDING until it is set."""

    def require_free(self, instance: str) -> None:
        """
        Checks that nothing is under way.

        Raises:
            Refusal: Something is.
        """
        if any(one["targetId"] == instance and one["status"] != "DONE" for one in self._newest()):
            message = "Operation failed because another operation was already in progress."
            raise Refusal(409, "operationInProgress", message)

    def begin(
        self, instance: str, kind: str, work: Callable[[], Awaitable[None]], **more: Any
    ) -> dict[str, Any]:
        """Queues an operation and returns it as it is now."""
        name = str(uuid.uuid4())
        operation = {
            "kind": "sql#operation",
            "name": name,
            "operationType": kind,
            "status": "PENDING",
            "targetId": instance,
            "targetProject": self._project,
            "user": self._user,
            "insertTime": timestamp(),
            **more,
        }
        self._all[name] = operation
        task = asyncio.create_task(self._carry_out(operation, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return dict(operation)

    def get(self, name: str) -> dict[str, Any]:
        """
        One operation.

        Raises:
            Refusal: There is none of that name.
        """
        if name not in self._all:
            raise not_found(f"operation {name}")
        return dict(self._all[name])

    def of(self, instance: str | None, most: int) -> list[dict[str, Any]]:
        """Those of an instance, the newest first."""
        chosen = [one for one in self._newest() if instance in {None, one["targetId"]}]
        return [dict(one) for one in chosen[:most]]

    def count(self, instance: str, kind: str) -> int:
        """How many of a kind ended well: for tests that must know what was really applied."""
        return sum(
            one["operationType"] == kind and one["status"] == "DONE" and "error" not in one
            for one in self.of(instance, len(self._all))
        )

    async def stop(self) -> None:
        """Ends what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _newest(self) -> list[dict[str, Any]]:
        return list(self._all.values())[::-1]

    async def _carry_out(
        self, operation: dict[str, Any], work: Callable[[], Awaitable[None]]
    ) -> None:
        await asyncio.sleep(_PENDING_S)
        if self.hold is not None:
            await self.hold.wait()
        operation |= {"status": "RUNNING", "startTime": timestamp()}
        try:
            await asyncio.gather(work(), asyncio.sleep(_RUNNING_S))
        except Exception as error:  # noqa: BLE001 (an operation that fails says so)
            one = {"kind": "sql#operationError", "code": "INTERNAL_ERROR", "message": str(error)}
            operation["error"] = {"kind": "sql#operationErrors", "errors": [one]}
        operation |= {"status": "DONE", "endTime": timestamp()}
