"""
One program, run to its end or to the deadline, and nothing of it left behind.

It gets no shell, no terminal, and no variable that was not named; what it says is bounded and
inert. It runs in a session of its own, and all of that is killed when the time is over: a program
that is left running would still change something after the run has said that it failed. What a
program starts in yet another session escapes; that is not promised.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drctl.actions.contract import Context
from drctl.actions.errors import NotFound, Rejected, Unavailable
from drctl.adapters._http import masked
from drctl.kernel.text import sanitize

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a name without a slash is looked for; the PATH of who runs drctl is not used."""
KEPT_BYTES = 64 * 1024
"""Of each stream; the rest is read and forgotten, so that nothing waits for us."""
_SHOWN = 4000
_GRACE_S = 1.0
"""Between asking a program to end and ending it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How it ended."""

    code: int | None
    """``None``: it was killed, because the time was over."""
    stdout: str
    """The first characters, inert, secrets masked."""
    stderr: str
    is_cut: bool
    """It said more than was kept."""


async def run(
    ctx: Context,
    argv: Sequence[str],
    *,
    variables: Mapping[str, str],
    cwd: str,
    stdin: str | None,
    hidden: Sequence[str],
    spare_s: float,
) -> Ended:
    """
    Runs a program.

    Args:
        variables: All that it gets, besides `PATH`.
        stdin: What it reads; ``None``: nothing.
        hidden: Secrets, masked in what it says.
        spare_s: Kept of the context's deadline.

    Raises:
        NotFound: There is no such program, or no such folder.
        Rejected: It may not be run.
        Unavailable: The machine cannot start it now, or no time is left; it has not begun.

    Changes:
        Whatever the program changes.
    """
    left_s = ctx.deadline.left_s(ctx.clock) - spare_s
    if left_s <= 0:
        raise Unavailable("no time left to run a program")
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={"PATH": PATH, **variables},
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"no such program or folder: {error.filename or argv[0]}") from error
    except (PermissionError, ValueError) as error:
        raise Rejected(f"{argv[0]} may not be run: {error}") from error
    except OSError as error:
        raise Unavailable(f"{argv[0]} could not be started: {error}") from error
    said = asyncio.gather(
        _kept(process.stdout), _kept(process.stderr), _told(process.stdin, stdin), process.wait()
    )
    code: int | None = None
    try:
        async with asyncio.timeout(left_s):
            await asyncio.shield(said)
            code = process.returncode
    except TimeoutError:
        pass
    finally:
        if code is None:
            await _end(process.pid, said)
    out, err, _, _ = await said
    return Ended(
        code=code,
        stdout=_shown(out[0], hidden),
        stderr=_shown(err[0], hidden),
        is_cut=out[1] or err[1],
    )


async def _end(group: int, said: "asyncio.Future[Any]") -> None:
    """Ends what is left of its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except (ProcessLookupError, PermissionError):
            break
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await asyncio.shield(said)


async def _told(stream: asyncio.StreamWriter | None, text: str | None) -> None:
    if stream is None:
        return
    # It may end without reading.
    with contextlib.suppress(ConnectionError):
        stream.write((text or "").encode())
        await stream.drain()
    stream.close()


async def _kept(stream: asyncio.StreamReader | None) -> tuple[bytes, bool]:
    kept, is_cut = bytearray(), False
    while stream is not None and (piece := await stream.read(65536)):
        is_cut = is_cut or len(kept) + len(piece) > KEPT_BYTES
        kept += piece[: KEPT_BYTES - len(kept)]
    return bytes(kept), is_cut


def _shown(said: bytes, hidden: Sequence[str]) -> str:
    # Masked before it is cut: half a secret is one too.
    text = masked(said.decode("utf-8", "replace"), hidden)
    return sanitize(text[:_SHOWN], keep_lines=True)[:_SHOWN]
