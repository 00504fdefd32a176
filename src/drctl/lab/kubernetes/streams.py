"""Answers that go on for a while: watches and logs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from aiohttp import web

from drctl.lab.kubernetes.errors import ApiError, Object, bad_request
from drctl.lab.kubernetes.kinds import typed
from drctl.lab.kubernetes.objects import Objects, Target
from drctl.lab.kubernetes.store import Store
from drctl.lab.kubernetes.tables import table
from drctl.lab.kubernetes.watch import EventType, Question, follow

_LOG_POLL_S = 0.1
_LONGEST_WATCH_S = 1800.0  # a real API server ends watches at random after half an hour


def wants_table(request: web.Request) -> bool:
    """Says whether the client asks for a Table before anything else."""
    first = request.headers.get("Accept", "").partition(",")[0].replace(" ", "")
    return "as=Table" in first and "v=v1;" in first + ";"


async def stream_watch(
    request: web.Request, store: Store, question: Question
) -> web.StreamResponse:
    """
    Streams a watch, one JSON object per line, until its time is over.

    Raises:
        ApiError: The watch cannot begin.
    """
    query = request.query
    if query.get("sendInitialEvents"):
        raise ApiError(
            422,
            "Invalid",
            "ListOptions.meta.k8s.io is invalid: sendInitialEvents: Forbidden: sendInitialEvents "
            "is forbidden for watch unless the WatchList feature gate is enabled",
        )
    as_table = wants_table(request)
    patience_s = float(query.get("timeoutSeconds") or _LONGEST_WATCH_S)
    events = follow(
        store,
        question,
        query.get("resourceVersion", ""),
        bookmarks=query.get("allowWatchBookmarks") in {"true", "1"},
    )
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    try:
        async with asyncio.timeout(patience_s), aclosing(events) as open_events:
            async for event, obj in open_events:
                await _send(response, event, _shown(question, event, obj, as_table=as_table))
    except ApiError as error:
        # Too late for a status code: the error is an event of the stream.
        await _send(response, "ERROR", error.status())
    except TimeoutError:
        pass  # the ordinary end of a watch; the client begins another one
    await response.write_eof()
    return response


def _shown(question: Question, event: EventType, obj: Object, *, as_table: bool) -> Object:
    if as_table and event != "BOOKMARK":
        version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return table(question.kind, [obj], version)
    return typed(question.kind, obj)


async def _send(response: web.StreamResponse, event: str, obj: Object) -> None:
    await response.write(json.dumps({"type": event, "object": obj}).encode() + b"\n")


async def stream_log(
    request: web.Request, objects: Objects, target: Target, log_of: Callable[[Object, str], Path]
) -> web.StreamResponse:
    """
    Sends what a container wrote; with ``follow=true`` until the container is gone.

    Raises:
        ApiError: 404, no such pod; 400, no such container, or it has not started yet; 500, its
            node does not answer.
    """
    pod = objects.store.get(target.kind, target.namespace or "", target.name)
    names = [container["name"] for container in pod["spec"]["containers"]]
    container = request.query.get("container") or (names[0] if len(names) == 1 else "")
    if container not in names:
        raise bad_request(
            f"a container name must be specified for pod {target.name}, choose one of: {names}"
        )
    path = log_of(pod, container)
    if not path.exists():
        raise bad_request(
            f'container "{container}" in pod "{target.name}" is waiting to start: ContainerCreating'
        )
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    tail = request.query.get("tailLines")
    is_followed = request.query.get("follow") in {"true", "1"}

    def is_there() -> bool:
        found = objects.store.find(target.kind, target.namespace or "", target.name)
        return is_followed and found is not None

    async for chunk in _read(path, int(tail) if tail else None, is_there):
        await response.write(chunk)
    await response.write_eof()
    return response


async def _read(path: Path, tail: int | None, is_there: Callable[[], bool]) -> AsyncIterator[bytes]:
    with path.open("rb") as log:
        present = log.read()
        if tail is not None:
            lines = present.splitlines(keepends=True)
            present = b"".join(lines[len(lines) - min(tail, len(lines)) :])
        yield present
        while is_there():
            more = log.read()
            if more:
                yield more
            await asyncio.sleep(_LOG_POLL_S)
