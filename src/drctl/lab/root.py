"""
The lab's folder, and the record of the processes that belong to it.

Problem: a lab must be taken down completely also after its supervisor was killed, and a recorded
pid may since have been given to a stranger. Invariant: a signal is only ever sent to a pid whose
start time, as the kernel counts it, is still the recorded one.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drctl.kernel.ledger import LEDGER
from drctl.lab.plan import AddressPlan

SUPERVISOR = "supervisor"
_GONE_TIMEOUT_S = 10.0
_STAT_START_TIME = 19
"""Index of starttime (field 22 of proc(5)) after the command name, which may hold spaces."""


@dataclass(frozen=True, slots=True)
class LabRoot:
    """Where a lab keeps things."""

    path: Path

    @staticmethod
    def of(net: int) -> "LabRoot":
        """The folder of the lab on loopback net *net*."""
        return LabRoot(AddressPlan(net).lab_root())

    @property
    def pids(self) -> Path:
        """One file per process: ``<pid> <start time>``."""
        return self.path / "pids"

    @property
    def secrets(self) -> Path:
        """Values that the environment file refers to."""
        return self.path / "secrets"

    @property
    def control(self) -> Path:
        """The supervisor's unix socket."""
        return self.path / "control.sock"

    @property
    def environment(self) -> Path:
        """The environment file of this lab."""
        return self.path / "environment.yaml"

    @property
    def traffic_log(self) -> Path:
        """The independent client's record."""
        return self.path / "traffic.jsonl"

    @property
    def recorded(self) -> Path:
        """What Slack and Statuspage would have accepted, one JSON document a line."""
        return self.path / "recorded.jsonl"

    @property
    def ledger(self) -> Path:
        """Every mutation that a stand-in applied, one JSON document a line."""
        return self.path / LEDGER

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor and its children had to say."""
        return self.path / "supervisor.log"

    def kubeconfig(self, region: str) -> Path:
        """A cluster's kubeconfig, for people and kubectl."""
        return self.path / f"kubeconfig-{region}.yaml"

    def create(self) -> None:
        """
        Makes the folders. Others may pass through (PostgreSQL's user must), not look around.

        Raises:
            FileExistsError: Somebody else has just made them.
        """
        self.path.mkdir(mode=0o700)
        self.path.chmod(0o711)
        self.pids.mkdir(mode=0o700)
        self.secrets.mkdir(mode=0o700)

    def remove(self) -> None:
        """Removes everything; nothing there is nothing to do."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path.exists():
            shutil.rmtree(self.path)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was started for the lab."""

    name: str
    pid: int
    start_time: str

    @property
    def is_alive(self) -> bool:
        """True while it is this very process, and no zombie."""
        return start_time(self.pid) == self.start_time

    def signal(self, number: signal.Signals) -> bool:
        """Sends a signal; says whether the process was there to get it."""
        if not self.is_alive:
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def start_time(pid: int) -> str | None:
    """The kernel's start time of a process, in ticks since boot; ``None`` when gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[_STAT_START_TIME]


def record(place: Path, pid: int) -> Process | None:
    """Writes down a process just started in ``<name>.pid``; ``None`` when it has ended already."""
    started = start_time(pid)
    if started is None:
        return None
    half = place.with_suffix(".new")
    half.write_text(f"{pid} {started}\n", encoding="ascii")
    half.replace(place)
    return Process(place.stem, pid, started)


def spawn(
    root: LabRoot, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Process:
    """
    Starts a process in its own session, and records it.

    Args:
        root: The lab it belongs to; its output goes to ``<name>.log`` there.
        name: Names the process.
        command: Program and arguments.
        environment: Variables besides ours.

    Raises:
        ChildProcessError: It ended at once.

    Changes:
        Starts a process.
    """
    with (root.path / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd="/",
            env={**os.environ, "PYTHONPATH": python_path(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    process = record(root.pids / f"{name}.pid", child.pid)
    if process is None:
        raise ChildProcessError(f"{name} ended at once")
    # Nobody here waits for it: it outlives this program, and ends by a signal.
    child.returncode = 0
    return process


def python_path() -> str:
    """Where children find this very package, before what they would find anyway."""
    source = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    return f"{source}{os.pathsep}{before}" if before else source


def recorded(folder: Path) -> list[Process]:
    """Reads every process written down; a file that does not say a start time is nobody's."""
    found = []
    for place in sorted(folder.glob("*.pid")):
        words = place.read_text(encoding="ascii").split()
        if len(words) == 2 and words[0].isdecimal():
            found.append(Process(place.stem, int(words[0]), words[1]))
    return found


def kill_all(processes: Iterable[Process], *, timeout_s: float = _GONE_TIMEOUT_S) -> list[Process]:
    """
    Kills processes and waits until they are gone; returns those that are not.

    Changes:
        The processes get SIGKILL. One that is stopped dies of it too.
    """
    left = [process for process in processes if process.signal(signal.SIGKILL)]
    return wait_gone(left, timeout_s=timeout_s)


def wait_gone(processes: Iterable[Process], *, timeout_s: float) -> list[Process]:
    """Waits until the processes have ended; returns those that have not."""
    left = [process for process in processes if process.is_alive]
    deadline = time.monotonic() + timeout_s
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = [process for process in left if process.is_alive]
    return left


def servers_inside(folder: Path) -> list[Process]:
    """
    PostgreSQL processes that work inside *folder*.

    A postmaster that was killed leaves children behind for a moment; nobody recorded those.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            inside = (entry / "cwd").readlink().is_relative_to(folder)
            name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
        started = start_time(int(entry.name))
        if inside and name == "postgres" and started is not None:
            found.append(Process("postgres", int(entry.name), started))
    return found
