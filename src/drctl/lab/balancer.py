"""
An HTTP load balancer as a process of its own, and the handle that its parent holds.

`python -m drctl.lab.balancer --listen ip:port --name N` reads one configuration a line on stdin and
writes one change of a target's health a line on stdout. It ends when stdin does, so that no
balancer outlives a lab that was killed.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from drctl.lab.http_wire import HEAD_LIMIT
from drctl.lab.proxy import Proxy
from drctl.lab.root import record
from drctl.lab.targets import BalancerConfig, TargetHealth, Targets

_START_S = 20.0
_STOP_S = 2.0


class Balancer:
    """A load balancer process: started, configured, watched and killed by its parent's loop."""

    def __init__(
        self, name: str, listen: tuple[str, int], root: Path, *, tls: Path | None = None
    ) -> None:
        """
        Args:
            name: Names the process, its pid file and its log.
            listen: Where clients connect.
            root: The lab's folder; ``pids`` and ``logs`` below it are made.
            tls: The file with the key and the chain that it speaks TLS with.
        """
        self.name = name
        self._tls = tls
        self.listen = listen
        self._pid_file = root / "pids" / f"{name}.pid"
        self._log_file = root / "logs" / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._config = BalancerConfig()
        self._health: dict[str, TargetHealth] = {}

    @property
    def is_running(self) -> bool:
        """True while the process has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The process id, also its session's; None when there is no process."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """
        Starts the process and returns when it accepts connections; configures it as last time.

        Raises:
            RuntimeError: It did not come up; the message quotes its log. Nothing stays behind.
        """
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        self._health = {}
        host, port = self.listen
        with self._log_file.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "drctl.lab.balancer"),
                *("--listen", f"{host}:{port}", "--name", self.name),
                *(("--tls", str(self._tls)) if self._tls is not None else ()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=_environment(),
            )
        self._process = process
        record(self._pid_file, process.pid)
        try:
            async with asyncio.timeout(_START_S):
                first = await _stream(process.stdout).readline()
        except TimeoutError:
            first = b""
        except asyncio.CancelledError:
            await self.kill()
            raise
        if not first:
            await self.kill()
            said = self._log_file.read_text(encoding="utf-8", errors="replace").strip()
            raise RuntimeError(f"load balancer {self.name} did not start: {said[-500:]}")
        self._reader = asyncio.create_task(self._follow(_stream(process.stdout)))
        self.configure(self._config)

    def configure(self, config: BalancerConfig) -> None:
        """Sends a new configuration; also remembered for the next start."""
        self._config = config
        process = self._process
        if process is None or process.stdin is None or not self.is_running:
            return
        process.stdin.write(json.dumps(config.to_json()).encode() + b"\n")

    @property
    def config(self) -> BalancerConfig:
        """What the balancer was last told."""
        return self._config

    def health(self) -> Mapping[str, TargetHealth]:
        """What the process last said of each ``ip:port``; may be read from any thread."""
        return dict(self._health)

    async def kill(self) -> None:
        """Ends the process at once, as a lost region does, and reaps it. Safe to repeat."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Asks the process to end, then insists. Safe to repeat."""
        await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            if process.stdin is not None:
                process.stdin.close()
                with contextlib.suppress(OSError):
                    await process.stdin.wait_closed()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
            self._reader = None
        self._pid_file.unlink(missing_ok=True)

    async def _follow(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            seen = json.loads(line)
            target = seen.pop("target")
            if seen.pop("event") == "gone":
                self._health.pop(target, None)
            else:
                self._health[target] = TargetHealth(**seen)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one load balancer until its stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m drctl.lab.balancer", description=__doc__)
    parser.add_argument("--listen", required=True, metavar="IP:PORT")
    parser.add_argument("--name", required=True, help="shown in the process list")
    parser.add_argument("--tls", metavar="PEM", help="key and chain")
    arguments = parser.parse_args(argv)
    host, _, port = arguments.listen.rpartition(":")
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        asyncio.run(_run(host, int(port), arguments.tls))


async def _run(host: str, port: int, tls: str | None) -> None:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)

    def say(event: str, **more: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
        sys.stdout.flush()

    def report(target: str, health: TargetHealth) -> None:
        say("health", target=target, **asdict(health))

    targets = Targets(report)
    proxy = Proxy(targets)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    server = await asyncio.start_server(
        proxy.serve, host, port, limit=HEAD_LIMIT, backlog=512, reuse_address=True, ssl=context
    )
    stdin = asyncio.StreamReader(limit=HEAD_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    say("listening")

    async def obey() -> None:
        while line := await stdin.readline():
            before = set(targets.config.targets)
            targets.configure(BalancerConfig.from_json(json.loads(line)))
            for gone in before - set(targets.config.targets):
                say("gone", target=gone)
        done.set()

    obeying = asyncio.create_task(obey())
    obeying.add_done_callback(lambda _: done.set())
    await done.wait()
    server.close()
    if obeying.done():
        obeying.result()


def _environment() -> dict[str, str]:
    """The parent's, with this very package first on the path of the child."""
    source = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    path = f"{source}{os.pathsep}{before}" if before else source
    return {**os.environ, "PYTHONPATH": path}


def _stream(reader: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if reader is None:
        raise RuntimeError("the process was started without this pipe")
    return reader


if __name__ == "__main__":
    main()
