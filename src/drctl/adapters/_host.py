"""
One program on a machine, through the command that leads there, with every failure as a word.

Problem: a remote shell reads what is sent once more, a program that changes something may go on
after nobody waits for it, and two of them on one data directory destroy it. Invariants: every word
arrives as it was given (`shlex.join`, and the connection's own words are never joined by us); what
is secret is in a file there and never a word; a program that changes something runs under a lock of
that machine, so a second one is refused for as long as the first lives, whoever waits for it.

A failure after the program may have begun is `OutcomeUnknown` when it changes something. ssh says
255 for itself; then its text, which OpenSSH keeps stable, tells whether it had connected.
"""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.targets import HostConnection

KEPT_BYTES = 256 * 1024
"""Of each stream, its end: what a program says last is why it ended."""
LOCKED = 75
"""What ``flock`` says when somebody else holds the lock (EX_TEMPFAIL)."""
_LOCK_WORDS = 6
"""Before the program, when it runs under a lock."""
_SPARE_S = 0.5
_SSH_FAILED = 255
_CHUNK = 65536
_KEPT_VARIABLES = ("PATH", "HOME", "LANG")
"""No agent and no token comes along: the key is named in the connection's own words."""
_REFUSED = (
    "permission denied",
    "host key verification failed",
    "too many authentication failures",
    "no matching host key",
)
_NOT_THERE = (
    "connection refused",
    "could not resolve hostname",
    "no route to host",
    "network is unreachable",
    "connection timed out",
    "operation timed out",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A program that came to its end."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Its last words, for a message."""
        lines = [line for line in (self.err or self.out).splitlines() if line.strip()]
        return " / ".join(lines[-5:]) or f"exit {self.code}"


async def run(
    ctx: Context,
    machine: HostConnection,
    words: Sequence[str],
    *,
    lock: str | None = None,
    given: str | None = None,
    may_fail: bool = False,
) -> Ran:
    """
    Runs a program to its end.

    Args:
        words: The program and its arguments, as it shall get them.
        lock: A file there; named by everything that changes something, which is then refused while
            another one is at work. ``None``: it only reads.
        given: What it reads from its standard input.
        may_fail: Whether an exit code that is not zero is an answer too.

    Raises:
        Unavailable: The machine was not reached, or a program that reads was not done in time.
        AuthRejected: The machine lets nobody in, or not us.
        NotFound: There is no such program.
        Conflict: Another program holds the lock.
        Rejected: It ended with another code than zero; the message quotes its last words.
        OutcomeUnknown: It may be running, or have run.

    Changes:
        What the program changes.
    """
    mutates = lock is not None
    if mutates:
        ctx.permit()
        # -o: a server that is started by it must not keep the lock for its whole life.
        words = ["flock", "-o", "-n", "-E", str(LOCKED), str(lock), *words]
    command = [*machine.argv, shlex.join(words)]
    wait_s = ctx.deadline.left_s(ctx.clock) - _SPARE_S
    if wait_s <= 0:
        raise Unavailable(f"no time left to run {words[0]}")
    ran = await _run(command, given, wait_s, mutates=mutates)
    error = _error(ran, words, mutates=mutates)
    if error is not None:
        raise error
    if ran.code != 0 and not may_fail:
        raise Rejected(f"{_program(words)} failed: {ran.said}")
    return ran


def _error(ran: Ran, words: Sequence[str], *, mutates: bool) -> ActionError | None:
    """The error of what stood between us and the program; ``None``: it ran, or began to."""
    name = _program(words)
    lost = OutcomeUnknown if mutates else Unavailable
    if ran.code == _SSH_FAILED:
        return _not_reached(ran) or lost(f"the connection was lost under {name}: {ran.said}")
    if mutates and ran.code == LOCKED:
        return Conflict(f"{name}: another program is at work on this data directory")
    if ran.code in {126, 127}:
        return NotFound(f"the machine cannot run {name}: {ran.said}")
    return lost(f"{name} was ended by signal {-ran.code}") if ran.code < 0 else None


def _not_reached(ran: Ran) -> ActionError | None:
    said = ran.err.lower()
    if any(text in said for text in _REFUSED):
        return AuthRejected(f"the machine does not let us in: {ran.said}")
    if any(text in said for text in _NOT_THERE):
        return Unavailable(f"the machine was not reached: {ran.said}")
    return None


def _program(words: Sequence[str]) -> str:
    at = _LOCK_WORDS if words[0] == "flock" and len(words) > _LOCK_WORDS else 0
    return words[at].rpartition("/")[2]


async def _run(command: Sequence[str], given: str | None, wait_s: float, *, mutates: bool) -> Ran:
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd="/",
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
            stdin=nothing if given is None else pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"{command[0]} cannot be run here: {error}") from error
    try:
        async with asyncio.timeout(wait_s):
            out, err, _ = await asyncio.gather(
                _end_of(process.stdout), _end_of(process.stderr), _give(process.stdin, given)
            )
            code = await process.wait()
    except TimeoutError:
        word = OutcomeUnknown if mutates else Unavailable
        raise word(f"{command[0]}: no end within {wait_s:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # Somebody else may hold its output open, and `wait` waits for the end of that, too.
            process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
            await process.wait()
    return Ran(code=code, out=out, err=err)


async def _end_of(stream: asyncio.StreamReader | None) -> str:
    kept = b""
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        kept = (kept + chunk)[-KEPT_BYTES:]
    return kept.decode(errors="replace")


async def _give(stream: asyncio.StreamWriter | None, given: str | None) -> None:
    if stream is None:
        return
    # A program that ends without reading says why by its code.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write((given or "").encode())
        await stream.drain()
    stream.close()
