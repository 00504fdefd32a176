"""
``pods/exec`` over WebSocket: a real process beside a container, with the container's variables.

Each binary message begins with the number of its channel: 0 stdin, 1 stdout, 2 stderr, 3 how it
ended, as a Status. A client that goes away does not end the process, as with a real container
runtime: what it began, it goes on with.
"""

import asyncio
import json
from typing import Protocol

from aiohttp import WSMsgType, web

from drctl.lab.kubernetes.environment import NotStartable
from drctl.lab.kubernetes.errors import ApiError, Object, bad_request

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_CHUNK = 32768
_FINISHING: set[asyncio.Task[int]] = set()
"""Processes whose client has left; held so that somebody waits for them."""


class StartIn(Protocol):
    """Starts a process beside a container of a pod; nothing when that does not run."""

    async def __call__(
        self, pod: Object, container: str, argv: list[str], *, stdin: bool
    ) -> asyncio.subprocess.Process | None: ...


async def stream_exec(request: web.Request, pod: Object, start: StartIn) -> web.StreamResponse:
    """
    Runs what the query asks for and streams it.

    Raises:
        ApiError: 400, it cannot be asked so; 404, the container does not run; 500, no program.
    """
    query = request.query
    argv = query.getall("command", [])
    if not argv:
        raise bad_request("you must specify at least 1 command for the exec")
    if query.get("tty") in {"true", "1"}:
        raise bad_request("the lab has no terminals: ask without tty")
    names = [container["name"] for container in pod["spec"]["containers"]]
    container = query.get("container") or (names[0] if len(names) == 1 else "")
    if container not in names:
        raise bad_request(f"container {container} is not valid for pod {pod['metadata']['name']}")
    socket = web.WebSocketResponse(protocols=_PROTOCOLS)
    if not socket.can_prepare(request).ok:
        raise bad_request("unable to upgrade: Upgrade request required")
    takes_input = query.get("stdin") in {"true", "1"}
    try:
        child = await start(pod, container, argv, stdin=takes_input)
    except (NotStartable, OSError) as error:
        message = f"failed to exec in container: unable to start container process: {error}"
        raise ApiError(500, "InternalError", message) from error
    if child is None:
        raise ApiError(404, "NotFound", f'container not found ("{container}")')
    await socket.prepare(request)
    ended = asyncio.create_task(child.wait())
    _FINISHING.add(ended)
    ended.add_done_callback(_FINISHING.discard)
    try:
        await _stream(socket, child, takes_input=takes_input)
        await _send(socket, _ERROR, json.dumps(_status(await ended)).encode())
        await socket.close()
    except ConnectionError:
        pass  # the client left; the process goes on
    return socket


async def _stream(
    socket: web.WebSocketResponse, child: asyncio.subprocess.Process, *, takes_input: bool
) -> None:
    feeding = asyncio.create_task(_feed(socket, child)) if takes_input else None
    try:
        async with asyncio.TaskGroup() as group:
            for channel, source in ((_STDOUT, child.stdout), (_STDERR, child.stderr)):
                if source is not None:
                    group.create_task(_pump(socket, channel, source))
    except* ConnectionError as errors:
        raise ConnectionError("the client left") from errors
    finally:
        if feeding is not None:
            feeding.cancel()


async def _pump(socket: web.WebSocketResponse, channel: int, source: asyncio.StreamReader) -> None:
    while data := await source.read(_CHUNK):
        await _send(socket, channel, data)


async def _feed(socket: web.WebSocketResponse, child: asyncio.subprocess.Process) -> None:
    if child.stdin is None:
        return
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        if message.data[0] == _STDIN:
            child.stdin.write(message.data[1:])
        elif message.data[0] == _CLOSE and message.data[1:] == bytes([_STDIN]):
            break
    child.stdin.close()


async def _send(socket: web.WebSocketResponse, channel: int, data: bytes) -> None:
    await socket.send_bytes(bytes([channel]) + data)


def _status(code: int) -> Object:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    shown = code if code > 0 else 128 - code
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {shown}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(shown)}]},
    }
