"""A lab of the bench's own, and the verdict of its client."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from estate import SOURCE

from drctl.lab.plan import AddressPlan

_TRAFFIC_BEFORE_S = 4.0
"""Acknowledged writes to measure an outage from."""


@dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    root: Path
    state: Path
    """Where drctl keeps its runs."""
    variables: dict[str, str] = field(default_factory=dict)

    def drctl(self, *words: str | Path) -> list[str | Path]:
        """A command line of drctl."""
        return [Path(sys.executable), "-m", "drctl", *words]

    def ask(self, *words: str | Path) -> str:
        """Runs a command of drctl; it must succeed."""
        done = subprocess.run(
            self.drctl(*words), env=self.variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise LabError(f"drctl {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def secret(self, name: str) -> str:
        """A credential of the lab."""
        return (self.root / "secrets" / name).read_text().strip()

    def address(self, region: int, host: str) -> str:
        """*region*: 0 global, 1 us-east-1, 2 us-west-2."""
        return f"127.{int(self.variables['DRCTL_LAB_NET']) + region}.{host}"

    def start_traffic(self) -> None:
        """Starts the client and lets it write for a while."""
        self.ask("lab", "traffic")
        time.sleep(_TRAFFIC_BEFORE_S)

    def verdict(self, run: str | None = None) -> dict[str, Any]:
        """Stops the client and says what it saw."""
        self.ask("lab", "traffic", "--stop")
        judged: dict[str, Any] = json.loads(
            self.ask("lab", "verdict", *([run] if run else []), "-o", "json")
        )
        return judged


class LabError(Exception):
    """The lab did not do as told."""


@contextmanager
def fresh(state: Path) -> Iterator[Lab]:
    """
    A lab from nothing, on a net that nobody who plays with ``drctl lab`` has by default.

    Raises:
        LabError: It did not come up, or somebody's lab is there.
    """
    net = os.environ.get("DRCTL_LAB_NET", "150")
    variables = {
        **os.environ,
        "DRCTL_LAB_NET": net,
        "PYTHONPATH": str(SOURCE),
        "XDG_STATE_HOME": str(state),
    }
    lab = Lab(AddressPlan(int(net)).lab_root(), state, variables)
    # Refused when one is up: then it is not ours to take down either.
    lab.ask("lab", "up")
    try:
        yield lab
    finally:
        lab.ask("lab", "down")
