"""Whole failovers: the installed drctl as a subprocess, in a lab of its own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DRCTL = [sys.executable, "-m", "drctl"]


@dataclass(frozen=True)
class Lab:
    """A lab of one test: its net, its state folder."""

    env: dict[str, str]
    state: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def drctl(self, *arguments: str, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*DRCTL, *arguments],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*DRCTL, *arguments],
            env=self.env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    @property
    def root(self) -> Path:
        """The lab's own folder."""
        net = self.env["DRCTL_LAB_NET"]
        return Path(tempfile.gettempdir()) / f"drctl-lab-{os.getuid()}-{net}"

    def stop(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            process.stdout.close()

    def events(self) -> list[dict]:
        [run] = sorted((self.state / "drctl" / "runs").iterdir())[-1:]
        return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]


def lab_of(net: int, tmp_path: Path) -> Lab:
    state = tmp_path / "state"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(ROOT / "src"),
        "DRCTL_LAB_NET": str(net),
        "XDG_STATE_HOME": str(state),
        "DRCTL": " ".join(DRCTL),
        "BUILD": str(tmp_path / "demo"),
    }
    return Lab(env=env, state=state)
