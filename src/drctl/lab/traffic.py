"""
The independent client: it writes through the public name, as a customer would.

It knows a name, a nameserver and a port, and nothing of drctl, of the lab's processes or of
regions. It writes down what it was told and when, one JSON line per attempt; `drctl.lab.verdict`
says what that means.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from drctl.kernel.clock import boot_id
from drctl.lab.lookup import Answer, look_up, parse_resolver

REQUEST_TIMEOUT_S = 1.0
DEFAULT_WRITERS = 4
DEFAULT_RATE = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Whom to write to, and how hard."""

    name: str
    port: int
    resolver: tuple[str, int]
    log: Path
    writers: int = DEFAULT_WRITERS
    rate: float = DEFAULT_RATE
    """Writes per second of all writers together."""


class Refused(Exception):
    """The service answered something else than "created"."""


class Names:
    """One stub resolver: remembers an answer for exactly as long as its TTL says."""

    def __init__(self, resolver: tuple[str, int]) -> None:
        self._resolver = resolver
        self._answer: Answer | None = None
        self._until = 0.0
        self._turn = count()

    async def address(self, name: str) -> str:
        """
        Returns one address of the name, each in turn.

        Raises:
            NameNotFound: There is none, or nobody answered.
        """
        if self._answer is None or time.monotonic() >= self._until:
            self._answer = None
            answer = await look_up(name, self._resolver, timeout_s=REQUEST_TIMEOUT_S)
            self._answer, self._until = answer, time.monotonic() + answer.ttl_s
        else:
            answer = self._answer
        return answer.addresses[next(self._turn) % len(answer.addresses)]


def _instant(prefix: str) -> dict[str, Any]:
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    wall = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {f"{prefix}_at": wall, f"{prefix}_boot_s": time.clock_gettime(clock)}


async def _post(address: str, settings: Settings, pipeline: str) -> Any:
    reader, writer = await asyncio.open_connection(address, settings.port)
    try:
        body = json.dumps({"id": pipeline}).encode()
        writer.write(
            f"POST /api/v1/pipelines HTTP/1.1\r\nHost: {settings.name}:{settings.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = head[0].split(" ")[1]
        lengths = [
            line.partition(":")[2] for line in head if line.lower().startswith("content-length:")
        ]
        body = await (reader.readexactly(int(lengths[0])) if lengths else reader.read())
    finally:
        writer.transport.abort()
    text = body.decode("utf-8", "replace")
    if status != "201":
        raise Refused(f"HTTP {status}: {text[:200]}")
    told = json.loads(text)
    if told["id"] != pipeline:
        raise Refused(f"asked for {pipeline}, was told {text[:200]}")
    return told


async def attempt(settings: Settings, names: Names) -> dict[str, Any]:
    """Makes one write and returns its line: acknowledged, or failed with the reason."""
    pipeline = uuid.uuid4().hex
    line: dict[str, Any] = {"id": pipeline, **_instant("sent")}
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            address = await names.address(settings.name)
            told = await _post(address, settings, pipeline)
    # Whatever a server does is a line in the record, never the end of the client.
    except (
        OSError,
        TimeoutError,
        Refused,
        EOFError,
        asyncio.LimitOverrunError,
        ValueError,
        LookupError,
        TypeError,
    ) as error:
        line["kind"] = "failed"
        line |= _instant("failed")
        line["error"] = f"{type(error).__name__}: {error}".rstrip(": ")
        return line
    line["kind"] = "acknowledged"
    line |= _instant("acked")
    line |= {"served_by": told.get("served_by"), "database": told.get("database")}
    return line


async def _write_steadily(
    settings: Settings, names: Names, log: TextIO, *, offset_s: float, every_s: float
) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + offset_s
    while True:
        await asyncio.sleep(due - loop.time())
        log.write(json.dumps(await attempt(settings, names), separators=(",", ":")) + "\n")
        # After a slow answer the missed beats are left out: a customer does not make up for them.
        due = max(due + every_s, loop.time())


async def run(settings: Settings) -> None:
    """Writes until SIGTERM; attempts under way then are not recorded."""
    names = Names(settings.resolver)
    every_s = settings.writers / settings.rate
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with settings.log.open("w", buffering=1, encoding="utf-8") as log:
        head = {"kind": "started", "boot_id": boot_id(), **_instant("started")}
        log.write(json.dumps(head, separators=(",", ":")) + "\n")
        async with asyncio.TaskGroup() as group:
            writers = [
                group.create_task(
                    _write_steadily(
                        settings, names, log, offset_s=turn / settings.rate, every_s=every_s
                    )
                )
                for turn in range(settings.writers)
            ]
            await stopped.wait()
            for writer in writers:
                writer.cancel()


def main(arguments: list[str]) -> None:
    """Runs the client with the settings of the command line."""
    parser = argparse.ArgumentParser(prog="python -m drctl.lab.traffic")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--resolver", type=parse_resolver, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--writers", type=int, default=DEFAULT_WRITERS)
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE)
    os.umask(0o077)
    asyncio.run(run(Settings(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    main(sys.argv[1:])
