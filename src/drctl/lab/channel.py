"""The supervisor's control socket: one JSON request a connection, one JSON answer."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
_LIMIT_BYTES = 1024 * 1024


class ChannelError(Exception):
    """The supervisor did not do what it was asked for; the message is its own."""


def ask(path: Path, request: Mapping[str, Any], *, timeout_s: float) -> dict[str, Any]:
    """
    Sends a request to the supervisor and waits for its answer.

    Raises:
        OSError: Nobody listens, or no answer came within *timeout_s*.
        ChannelError: It answered that it could not.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        with connection.makefile("rwb") as stream:
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            line = stream.readline(_LIMIT_BYTES)
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the supervisor ended before it answered")
    answer = json.loads(line)
    if "error" in answer:
        raise ChannelError(answer["error"])
    result: dict[str, Any] = answer["result"]
    return result


async def serve(path: Path, handle: Handler) -> asyncio.Server:
    """Listens for requests, one at a time each; an exception of *handle* is an answer too."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if not line:
                return
            try:
                answer: dict[str, Any] = {"result": await handle(json.loads(line))}
            except Exception as error:  # noqa: BLE001 (whoever asked must hear of it, whatever it is)
                answer = {"error": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except OSError:
            return  # the one who asked is gone
        finally:
            writer.close()

    return await asyncio.start_unix_server(talk, path, limit=_LIMIT_BYTES)
