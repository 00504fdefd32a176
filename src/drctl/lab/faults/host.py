"""A way to a machine that fails on purpose: a proxy, and the door that leads programs to it."""

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

from drctl.lab.faults.listen import Listener, reset, until_gone
from drctl.lab.faults.rules import Deed, Script

_DOOR: Final = """
import json, socket, sys
given = sys.stdin.read()
def lost(text):
    sys.stderr.write(text + "\\n")
    sys.exit(255)
try:
    peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
except OSError:
    lost("ssh: connect to host db port 22: Connection refused")
try:
    peer.sendall(json.dumps([sys.argv[3], given]).encode() + b"\\n")
    line = peer.makefile("rb").readline()
except OSError:
    line = b""
if not line:
    lost("Connection to db closed by remote host.")
code, out, err = json.loads(line)
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
_LOCK: Final = re.compile(r"^flock (?:\S+ ){4}\S+ ")
_DENIED: Final = [255, "", "postgres@db: Permission denied (publickey).\n"]
_BEFORE: Final = {Deed.BLACKHOLE_BEFORE, Deed.LATE}
_AFTER: Final = {Deed.BLACKHOLE_AFTER, Deed.SLOW}


class HostFaultProxy:
    """Serves one machine; operations are named by *names*, tried in turn on the command."""

    def __init__(
        self, argv: Sequence[str], script: Script, *, names: Sequence[tuple[str, re.Pattern[str]]]
    ) -> None:
        self._argv = tuple(argv)
        self._names = names
        self._listener: Listener | None = None
        self._late: set[asyncio.Task[Any]] = set()
        self.script = script

    async def start(self, host: str) -> int:
        """Listens on *host*; returns the port."""
        self._listener = Listener(host, self.script, self._serve)
        return await self._listener.start()

    def door(self, host: str, port: int) -> list[str]:
        """The words of a connection that lead here."""
        return [sys.executable, "-I", "-c", _DOOR, host, str(port)]

    async def quiet(self) -> None:
        """Waits for what arrives late."""
        await asyncio.gather(*self._late, return_exceptions=True)

    async def stop(self) -> None:
        """Stops listening."""
        await self.quiet()
        if self._listener is not None:
            await self._listener.stop()

    def _name(self, command: str) -> str:
        plain = _LOCK.sub("", command)
        for name, form in self._names:
            if form.search(plain):
                return name
        return f"host:{plain.split()[0]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command, given = json.loads(await reader.readline())
        entry = self.script.meet(self._name(command))
        deed = entry.deed
        if deed is Deed.LATE:
            self._keep(self._carry_out_late(command, given))
        if deed in _BEFORE:
            await until_gone(reader)
            return
        if deed is Deed.RESET_BEFORE:
            reset(writer)
            return
        answer: list[Any] = list(_DENIED)
        if deed is not Deed.EXPIRED:
            # Not cut with the connection: a program on a machine goes on.
            running = self._keep(self._carry_out(command, given))
            answer = await asyncio.shield(running)
            entry.forwarded += 1
        if deed in _AFTER:
            await until_gone(reader)
            return
        if deed is Deed.RESET_AFTER:
            reset(writer)
            return
        if deed is Deed.MALFORMED:
            answer[1] = self.script.garbled(answer[1].encode()).decode(errors="replace")
        if deed is Deed.WRONG_OBJECT:
            answer[1] = self.script.swapped(answer[1].encode()).decode()
        writer.write(json.dumps(answer).encode() + b"\n")
        with contextlib.suppress(OSError):
            await writer.drain()

    def _keep(self, work: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return task

    async def _carry_out_late(self, command: str, given: str) -> None:
        await self.script.clock.sleep(self.script.late_s)
        await self._carry_out(command, given)

    async def _carry_out(self, command: str, given: str) -> list[Any]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._argv, command, stdin=pipe, stdout=pipe, stderr=pipe
        )
        out, err = await process.communicate(given.encode())
        return [process.returncode, out.decode(), err.decode()]
