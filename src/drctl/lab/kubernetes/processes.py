"""
One container as one operating-system process in its own session.

A process that ended is looked at before it is reaped: while it is a zombie its number cannot be
given away, so the rest of its session can be killed by that number without hitting a stranger.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from drctl.lab.root import record


@dataclass(slots=True)
class Process:
    """A started container."""

    _child: subprocess.Popen[bytes]
    _pid_file: Path
    _exit_code: int | None = None

    @classmethod
    def start(
        cls,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        log: Path,
        pid_file: Path,
        directory: str = "/",
        run_as: tuple[int, int] | None = None,
    ) -> Self:
        """
        Starts a process and records its id.

        Args:
            argv: Program and arguments.
            environment: All its variables.
            log: Where its output is appended.
            pid_file: Where its id is kept until it has ended.
            directory: Where it starts.
            run_as: User and group, when not ours.

        Raises:
            OSError: The program cannot be started.

        Changes:
            One process in a session of its own; the two files.
        """
        user, group = run_as or (None, None)
        with log.open("ab") as output:
            child = subprocess.Popen(
                argv,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=[] if run_as else None,
            )
        record(pid_file, child.pid)
        return cls(child, pid_file)

    @property
    def pid(self) -> int:
        """The process id, which is also that of its session."""
        return self._child.pid

    def exit_code(self) -> int | None:
        """
        Returns how it ended, or nothing while it runs.

        Changes:
            The first time it has ended: kills what it left running, reaps it, forgets its id.
        """
        if self._exit_code is None:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self.signal(signal.SIGKILL)
                returned = self._child.wait()
                self._exit_code = returned if returned >= 0 else 128 - returned
                self._forget()
        return self._exit_code

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process and to all it started; to none once it was reaped."""
        if self._exit_code is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _forget(self) -> None:
        # A pod of the same name may have recorded its own process there meanwhile.
        with suppress(FileNotFoundError):
            if self._pid_file.read_text().split()[:1] == [str(self.pid)]:
                self._pid_file.unlink()
