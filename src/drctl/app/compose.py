"""Puts the real parts together, once per process."""

import os
import pwd
import socket
from dataclasses import dataclass
from pathlib import Path

from drctl.actions.registry import Registry, installed
from drctl.config.places import runs_folder
from drctl.config.secrets import LocalSecrets
from drctl.kernel.clock import Clock, SystemClock
from drctl.kernel.secret import Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What use cases work with."""

    registry: Registry
    clock: Clock
    secrets: Secrets
    runs: Path
    lease_s: float | None = None
    """``None``: as long as leases usually last."""


def parts() -> Parts:
    """The parts of a live process."""
    return Parts(
        registry=installed(), clock=SystemClock(), secrets=LocalSecrets(), runs=runs_folder()
    )


_NO_LOGIN = 2**32 - 1
"""What the kernel says of a process that no login has started."""


def logins() -> tuple[str, ...]:
    """
    The accounts behind this process, as the kernel knows them: the one that logged in, where the
    machine audits logins, and the one that it runs as. Nothing that a person can set is read.
    """
    uids = [os.getuid()]
    try:
        audited = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        audited = _NO_LOGIN
    if audited != _NO_LOGIN:
        uids.insert(0, audited)
    return tuple(dict.fromkeys(_account(uid) for uid in uids))


def operator() -> str:
    """Who runs this: the account, the login behind it, and whom sudo names, marked as a claim."""
    known = logins()
    name = known[-1] if len(known) == 1 else f"{known[-1]} (login {known[0]})"
    claimed = os.environ.get("SUDO_USER")
    return f"{name} (SUDO_USER says {claimed})" if claimed and claimed not in known else name


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def host() -> str:
    """The machine's name."""
    return socket.gethostname()
