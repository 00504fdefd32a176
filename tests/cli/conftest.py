"""A live run in a process of its own, of an adapter that changes nothing but files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import drctl

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = ROOT / "tests" / "scenarios" / "environment.yaml"

ADAPTER = """
import asyncio
from pathlib import Path
from drctl.actions.contract import Action, Adapter, Change, Done, Effect, NotDone, Outputs, Params
from drctl.actions.contract import Repeat
from drctl.actions.errors import Conflict


class SetParams(Params):
    file: str
    to: str


class SetOutputs(Outputs):
    before: str


class Set(Action):
    name, summary, effect = "file.switch.set", "Sets a switch", Effect.CHANGE
    repeat, params, outputs = Repeat.IDEMPOTENT, SetParams, SetOutputs

    def preview(self, observation, target, params):
        return Change(before="?", after="?")

    async def perform(self, ctx, target, params):
        file = Path(params.file)
        while file.with_suffix(".hold").exists():
            await asyncio.sleep(0.05)
        if file.with_suffix(".stuck").exists():
            raise Conflict("the switch is stuck")
        before = file.read_text()
        ctx.permit()
        file.write_text(params.to)
        return SetOutputs(before=before)

    async def settled(self, ctx, target, params):
        if Path(params.file).read_text() == params.to:
            return Done(outputs=SetOutputs(before="off"))
        return NotDone(why="the switch is as it was")


ADAPTER = Adapter(name="file", actions=(Set(),))
"""

RUNBOOK = """\
apiVersion: drctl/v1
kind: Runbook
metadata: {{name: switches, title: Two switches, owner: platform}}
objectives:
  rto: 5m
  rpo: 1m
  clock: {{starts_at: run, stops_after: [second]}}
steps:
{steps}
"""
SWITCH = """\
  - id: {name}
    uses: file.switch.set
    with: {{file: {file}, to: "on"}}
    estimate: 1s
    timeout: 30s
    undo: {{uses: file.switch.set, with: {{file: {file}, to: "${{{{ outputs.before }}}}"}}}}
"""


class Estate:
    """Switches in files, and the real binary on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        plugin = folder / "plugin"
        info = plugin / "switches-1.dist-info"
        info.mkdir(parents=True)
        (plugin / "switches.py").write_text(ADAPTER)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: switches\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[drctl.actions]\nfile = switches:ADAPTER\n")
        source = Path(drctl.__file__).parent.parent  # what this test runs on, wherever it is
        self.env = {
            **os.environ,
            "PYTHONPATH": f"{source}{os.pathsep}{plugin}",
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        self.children: list[subprocess.Popen[str]] = []

    def switch(self, name: str) -> Path:
        return self.folder / name

    def values(self, *names: str) -> list[str]:
        return [self.switch(name).read_text() for name in names]

    def hold(self, name: str) -> Path:
        """Keeps a switch from being set until the file is gone."""
        return self.switch(name).with_suffix(".hold")

    def runbook(self, *, held: bool = False, gate: bool = False) -> Path:
        steps = ""
        for name in ("first", "second"):
            self.switch(name).write_text("off")
            steps += SWITCH.format(name=name, file=self.switch(name))
            if gate and name == "first":
                steps += "  - {id: go, gate: go}\n"
        text = RUNBOOK.format(steps=steps)
        if gate:
            text = text.replace(
                "steps:\n",
                "gates: {go: {title: Go, approvers: [boss], expires_after: 1m}}\nsteps:\n",
                1,
            )
        if held:
            self.hold("first").touch()
        path = self.folder / "switches.yaml"
        path.write_text(text)
        return path

    def start(self, runbook: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "drctl", "run", str(runbook), "-e", str(ENVIRONMENT)]
        child = subprocess.Popen(
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, cwd=self.folder,
        )  # fmt: skip
        self.children.append(child)
        return child

    def drctl(self, *words: str, code: int = 0, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "drctl", *words], env=self.env | (env or {}),
            capture_output=True, text=True, check=False, cwd=self.folder,
            stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == code, (words, done.returncode, said)
        assert "Traceback" not in said
        return said

    @property
    def journal(self) -> Path:
        [run] = (self.folder / "state" / "drctl" / "runs").iterdir()
        return run / "events.jsonl"

    def wait_for(self, text: str, seconds: float = 20.0) -> None:
        """Until the record has it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if text in self.journal.read_text():
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        raise AssertionError((text, [child.poll() for child in self.children]))


@pytest.fixture
def estate(tmp_path):
    made = Estate(tmp_path)
    yield made
    for child in made.children:
        if child.poll() is None:
            child.kill()
        if child.stdout is not None and not child.stdout.closed:
            child.communicate()
