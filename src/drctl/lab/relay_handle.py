"""The supervisor's end of a relay process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import drctl
from drctl.lab.children import kill_tree, log_file, pid_file, spawn
from drctl.lab.plan import Address
from drctl.lab.relay import Mode

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_ANSWERS_WITHIN_S: Final = 10.0
# The child runs the drctl that we are, wherever it starts and whatever is installed.
_SOURCES: Final = Path(drctl.__file__).resolve().parents[1]


class RelayGoneError(Exception):
    """The relay process does not run, or does not answer."""


class Relay:
    """
    One relay process: spawned, told its mode, killed.

    Use an instance from one event loop only.
    """

    def __init__(self, *, name: str, listen: Address, upstream: Address, root: Path) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.root = root
        self.mode: Mode = "open"
        """What the process was last told."""
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Relay({self.name!r}, {self.listen} -> {self.upstream}, {self.mode})"

    @property
    def is_running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.returncode is None

    async def start(self, mode: Mode = "open") -> None:
        """
        Starts the process and waits until its mode holds; one that runs is left alone.

        Args:
            mode: What it does from its first connection on.

        Raises:
            RelayGoneError: It ended instead; its log says why.

        Changes:
            Starts a process, recorded in ``<root>/pids/<name>.pid``.
        """
        if self.is_running:
            return
        self._process = await spawn(
            [
                *(sys.executable, "-P", "-m", "drctl.lab.relay", "--name", self.name),
                *("--listen", "{}:{}".format(*self.listen)),
                *("--upstream", "{}:{}".format(*self.upstream), "--mode", mode),
            ],
            root=self.root,
            name=self.name,
            env=os.environ | {"PYTHONPATH": str(_SOURCES)},
            piped=True,
        )
        async with self._turn:
            await self._answer(self._process)
        self.mode = mode

    async def set_mode(self, mode: Mode) -> None:
        """
        Changes what happens to connections; returns once it holds.

        Args:
            mode: See `drctl.lab.relay`.

        Raises:
            RelayGoneError: The process does not run.

        Changes:
            What the relay lets through.
        """
        await self._ask({"mode": mode})
        self.mode = mode

    async def cut(self) -> int:
        """
        Resets established connections.

        Returns:
            How many there were.

        Raises:
            RelayGoneError: The process does not run.

        Changes:
            Ends connections.
        """
        answer = await self._ask({"cut": True})
        return int(str(answer["cut"]))

    async def kill(self) -> None:
        """
        Ends the process with SIGKILL; nothing listens afterwards.

        Changes:
            Ends the process and its connections.
        """
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            kill_tree(process.pid)
        await process.wait()
        self._process = None
        pid_file(self.root, self.name).unlink(missing_ok=True)

    async def _ask(self, command: dict[str, object]) -> dict[str, object]:
        async with self._turn:
            process = self._process
            if process is None or process.stdin is None:
                raise RelayGoneError(f"{self.name} does not run")
            try:
                process.stdin.write(json.dumps(command).encode() + b"\n")
                await process.stdin.drain()
            except OSError as error:
                raise RelayGoneError(f"{self.name} is gone") from error
            return await self._answer(process)

    async def _answer(self, process: Process) -> dict[str, object]:
        assert process.stdout is not None  # noqa: S101  it was spawned with pipes
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _ANSWERS_WITHIN_S)
        except TimeoutError as error:
            raise RelayGoneError(f"{self.name} does not answer") from error
        if not line:
            raise RelayGoneError(f"{self.name} ended; see {log_file(self.root, self.name)}")
        answer: dict[str, object] = json.loads(line)
        if answer.get("ok") is not True:
            raise RelayGoneError(f"{self.name} refused: {answer.get('error')}")
        return answer
