"""Puts the real parts together, once per process."""

import getpass
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from drctl.actions.registry import Registry, installed
from drctl.config.places import runs_folder
from drctl.config.secrets import LocalSecrets
from drctl.journal.lease import LEASE_S
from drctl.kernel.clock import Clock, SystemClock
from drctl.kernel.secret import Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What use cases work with."""

    registry: Registry
    clock: Clock
    secrets: Secrets
    runs: Path
    lease_s: float = LEASE_S


def parts() -> Parts:
    """The parts of a live process."""
    return Parts(
        registry=installed(), clock=SystemClock(), secrets=LocalSecrets(), runs=runs_folder()
    )


def operator() -> str:
    """Who runs this: the login name, and the one behind sudo."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{name} (sudo from {behind})" if behind else name


def host() -> str:
    """The machine's name."""
    return socket.gethostname()
