"""Whole failovers: the installed drctl as a subprocess, in a lab of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
ROWS = ROOT / "build" / "runbooks"
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

    def runs(self) -> list[Path]:
        """The folders of the runs, oldest first; one that is still being made is not one yet."""
        return sorted((self.state / "drctl" / "runs").glob("[!.]*"))

    def events(self) -> list[dict]:
        run = self.runs()[-1]
        return [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]

    def verdict(self, *, after_s: float = 1.5) -> dict:
        """
        What the independent client saw, beside what drctl says of the latest run. It is also that
        runbook's row in the table of `make runbooks`.
        """
        time.sleep(after_s)
        told = self.drctl("lab", "verdict", "latest", "-o", "json")
        assert told.returncode == 0, told.stdout + told.stderr
        judged = json.loads(told.stdout)
        self.row(judged, json.loads(self.drctl("debt", "list", "-o", "json").stdout))
        return judged

    def row(self, judged: dict, owed: dict) -> None:
        """Writes the latest run's row."""
        events = self.events()
        started = next(one for one in events if one["type"] == "run_started")
        ended = [one for one in events if one["type"] == "run_finished"][-1]
        run = self.runs()[-1].name
        row = {
            "runbook": started["runbook"],
            "result": ended["result"],
            "rta_s": ended["rta_s"],
            "loss_bound_s": ended["loss_bound_s"],
            "outage_s": judged["client"]["outage_s"],
            "lost_acknowledged": judged["client"]["lost_acknowledged"],
            "debts": sorted({one["id"] for one in owed["open"] if one["run"] == run}),
        }
        ROWS.mkdir(parents=True, exist_ok=True)
        (ROWS / f"{row['runbook']}.json").write_text(json.dumps(row))


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
