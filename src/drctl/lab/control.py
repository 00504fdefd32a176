"""What a person can do with a lab: up, traffic, break, heal, verdict, down."""

import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from drctl.kernel.clock import Instant, SystemClock, length_between
from drctl.kernel.errors import Problem, RefusedError
from drctl.kernel.ledger import read as read_ledger
from drctl.lab import root as processes
from drctl.lab import shapes
from drctl.lab import verdict as judgement
from drctl.lab.access import Secrets
from drctl.lab.blocking import run_apart
from drctl.lab.channel import ChannelError, ask
from drctl.lab.history.estate import promises
from drctl.lab.plan import (
    AVAILABILITY_ZONES,
    BALANCER_PORT,
    DEFAULT_NET,
    PUBLIC_NAME,
    REGIONS,
    AddressPlan,
)
from drctl.lab.root import SUPERVISOR, LabRoot, Process
from drctl.lab.traffic import DEFAULT_RATE, DEFAULT_WRITERS

How = Literal["kill", "partition"]

_QUICK_S = 5.0
_SLOW_S = 60.0
_STOP_S = 3.0
_TRAFFIC = "traffic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A lab that is up."""

    root: Path
    environment: Path
    kubeconfigs: dict[str, Path]
    """By region."""
    url: str
    """The service as a customer calls it, by a name that only `resolver` knows."""
    resolver: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is there of a lab."""

    is_up: bool
    """The supervisor answers."""
    root: Path
    regions: dict[str, str]
    """Region to ``up``, ``killed`` or ``partitioned``; empty when it is not up."""
    zones: dict[str, str]
    """Availability zone to the same words; ``killed`` also where its whole region is up."""
    replication: str | None
    """``up`` or ``blackholed``."""
    processes: dict[str, int]
    """Name to pid of everything that runs."""
    has_traffic: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """When something was broken."""

    what: str
    how: str
    began: Instant
    """Just before the first stroke: everything still worked."""
    ended: Instant
    """Just after the last one."""


def up(
    net: int = DEFAULT_NET,
    *,
    say: Callable[[str], None] = lambda _line: None,
    shape: str = shapes.DEFAULT,
) -> Report:
    """
    Starts a lab and builds the estate in it; returns when a customer could use the service.

    What an earlier lab on the same net left behind is removed first.

    Args:
        net: Which loopback networks: 127.net to 127.(net + 2).
        say: Told one line for each part that is there.
        shape: What it is made of (`drctl.lab.shapes`).

    Raises:
        RefusedError: A lab is up already, or this one did not come up; then nothing is left of it.
            Or nothing has that shape.

    Changes:
        Processes, loopback ports and a folder of this machine.
    """
    from drctl.lab.launch import launch

    try:
        chosen = shapes.shape(shape)
    except ValueError as error:
        raise _refused("DR5309", str(error)) from error
    began = SystemClock().now()
    root, plan = LabRoot.of(net), AddressPlan(net)
    # One that does not answer may be on its way up: only a dead one is cleaned away.
    if _find(root, SUPERVISOR) is not None:
        raise _refused("DR5301", "a lab is already up", do="drctl lab down")
    if root.path.exists():
        say("removing what an earlier lab left behind")
        down(net)
    try:
        launch(plan, root, say, chosen)
    except FileExistsError as error:
        raise _refused("DR5301", "a lab is being brought up", why=str(error)) from error
    except BaseException as error:
        log = _last_lines(root.supervisor_log)
        down(net)
        if not isinstance(error, Exception):
            raise
        why = f"{type(error).__name__}: {error}" + (f"; its log ends: {log}" if log else "")
        raise _refused("DR5303", "the lab did not come up", why=why) from error
    host, port = plan.dns
    return Report(
        root=root.path,
        environment=root.environment,
        kubeconfigs={region: root.kubeconfig(region) for region in REGIONS},
        url=f"http://{PUBLIC_NAME}:{BALANCER_PORT}",
        resolver=f"{host}:{port}",
        took_s=length_between(began, SystemClock().now()).seconds,
    )


def status(net: int = DEFAULT_NET) -> Status:
    """Tells what is there; no lab at all is an answer too."""
    root = LabRoot.of(net)
    alive = {one.name: one.pid for one in processes.recorded(root.pids) if one.is_alive}
    try:
        told = ask(root.control, {"do": "status"}, timeout_s=_QUICK_S)
    except (OSError, ChannelError):
        told = None
    return Status(
        is_up=told is not None,
        root=root.path,
        regions=told["regions"] if told else {},
        zones=told["zones"] if told else {},
        replication=told["replication"] if told else None,
        processes=alive,
        has_traffic=_TRAFFIC in alive,
    )


def start_traffic(
    net: int = DEFAULT_NET, *, writers: int = DEFAULT_WRITERS, rate: float = DEFAULT_RATE
) -> int:
    """
    Starts the independent client in the background; its record has begun anew when this returns.

    Returns:
        Its pid.

    Raises:
        RefusedError: No lab is up, the client runs already, or it did not start.

    Changes:
        Starts a process that writes to the estate.
    """
    root, plan = _lab(net), AddressPlan(net)
    if _find(root, _TRAFFIC):
        raise _refused("DR5304", "the traffic already runs", do="drctl lab traffic --stop")
    host, port = plan.dns
    command = [sys.executable, "-m", "drctl.lab.traffic", "--name", PUBLIC_NAME]
    command += ["--port", str(BALANCER_PORT), "--resolver", f"{host}:{port}"]
    command += ["--log", str(root.traffic_log), "--writers", str(writers), "--rate", str(rate)]
    root.traffic_log.unlink(missing_ok=True)
    # Told nothing of the lab but these: what it measures must not depend on who measures.
    client = processes.spawn(root, _TRAFFIC, command)
    deadline = time.monotonic() + _SLOW_S
    while not root.traffic_log.exists():
        if not client.is_alive or time.monotonic() > deadline:
            raise _refused(
                "DR5308", "the traffic did not start", why=_last_lines(root.path / "traffic.log")
            )
        time.sleep(0.02)
    return client.pid


def stop_traffic(net: int = DEFAULT_NET) -> None:
    """
    Stops the independent client; its record stays. No client is no error.

    Changes:
        Ends a process.
    """
    root = LabRoot.of(net)
    client = _find(root, _TRAFFIC)
    if client is not None:
        client.signal(signal.SIGTERM)
        if processes.wait_gone([client], timeout_s=_STOP_S):
            processes.kill_all([client])
    (root.pids / f"{_TRAFFIC}.pid").unlink(missing_ok=True)


def strike(what: str, net: int = DEFAULT_NET, *, name: str = "", how: How = "kill") -> Break:
    """
    Takes something away.

    Args:
        what: ``region``, ``zone``, ``replication``, or what a part of this lab's shape offers.
        net: Which lab.
        name: Which one, where there are several: a region, a zone.
        how: ``kill``: its processes get SIGKILL; ``partition``, of a region only: they live, and
            nobody reaches them.
            A lost region's AWS and Kubernetes endpoints accept connections and never answer.

    Raises:
        RefusedError: No lab is up, or it has no such thing.

    Changes:
        Processes and endpoints.
    """
    for kind, known in (("region", REGIONS), ("zone", tuple(AVAILABILITY_ZONES))):
        if what == kind and name not in known:
            why = f"it has {', '.join(known)}"
            raise _refused("DR5305", f'the lab has no {kind} "{name}"', why=why)
    words = {"name": name, "how": how}
    told = _asked(net, {"do": "break", "what": what, "words": words})
    return _break(told, what=name or what, how="blackhole" if what == "replication" else how)


def heal(net: int = DEFAULT_NET) -> list[str]:
    """
    Makes everything reachable and starts again what was killed, each as it was before.

    Best effort: it repairs the lab, not the estate. An old primary comes back as a primary.

    Returns:
        What could not be healed, in words.

    Raises:
        RefusedError: No lab is up.

    Changes:
        Processes and endpoints of all regions.
    """
    left: list[str] = _asked(net, {"do": "heal"})["left"]
    return left


def down(net: int = DEFAULT_NET) -> list[str]:
    """
    Takes a lab down, also one whose supervisor was killed. Safe to repeat.

    Returns:
        Names of processes that would not end; empty when nothing is left.

    Changes:
        Ends the lab's processes, removes its folder.
    """
    from drctl.lab.postgres import release_shared_memory

    root = LabRoot.of(net)
    if not root.path.exists():
        return []
    # First those that start others: a supervisor that is stopped starts nothing any more.
    starters = [one for one in processes.recorded(root.pids) if one.name == SUPERVISOR]
    left = processes.kill_all(starters)
    left += processes.kill_all(processes.recorded(root.pids))
    left += processes.kill_all(processes.servers_inside(root.path))
    for data_dir in root.path.glob("postgres/*/data"):
        release_shared_memory(data_dir)
    root.remove()
    return [one.name for one in left]


def ledger(net: int = DEFAULT_NET) -> list[dict[str, Any]]:
    """
    Every change that a stand-in applied since the lab came up, oldest first.

    Raises:
        RefusedError: No lab is up.
    """
    return read_ledger(_lab(net).ledger)


def verdict(run_folder: Path | None = None, net: int = DEFAULT_NET) -> dict[str, Any]:
    """
    Says what the independent client saw, beside what drctl says of a run.

    Args:
        run_folder: A run's folder; ``None``: only the client's side.
        net: Which lab.

    Raises:
        RefusedError: No lab is up, or no traffic was started in it.
    """
    root, plan = _lab(net), AddressPlan(net)
    try:
        record = judgement.read_record(root.traffic_log.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _refused(
            "DR5306", "there was no traffic to judge by", do="drctl lab traffic"
        ) from error
    present = None
    if record.serving_database is not None:
        secrets = Secrets(root.secrets)
        # The second is in force once the application's password has been rotated.
        for password in ("database_healing_guard", "database_healing_guard_next"):
            present = present or run_apart(
                judgement.ids_present(
                    record.serving_database,
                    plan.dns,
                    user="healing_guard",
                    password=secrets.read(password),
                    database="healing_guard",
                )
            )
    if run_folder is None:
        return judgement.judge(record, present, None)
    judged = judgement.judge(record, present, judgement.read_run_folder(run_folder))
    return judged | {"promises": promises(run_folder, record, present, read_ledger(root.ledger))}


def _is_answering(root: LabRoot) -> bool:
    try:
        ask(root.control, {"do": "status"}, timeout_s=_QUICK_S)
    except OSError:
        return False
    except ChannelError:
        return True
    return True


def _lab(net: int) -> LabRoot:
    root = LabRoot.of(net)
    if not _is_answering(root):
        raise _refused("DR5302", "no lab is up", do="drctl lab up")
    return root


def _asked(net: int, request: Mapping[str, Any]) -> dict[str, Any]:
    root = _lab(net)
    try:
        return ask(root.control, request, timeout_s=_SLOW_S)
    except (OSError, ChannelError) as error:
        raise _refused("DR5307", f"the lab could not {request['do']}", why=str(error)) from error


def _find(root: LabRoot, name: str) -> Process | None:
    found = [one for one in processes.recorded(root.pids) if one.name == name and one.is_alive]
    return found[0] if found else None


def _break(told: Mapping[str, Any], *, what: str, how: str) -> Break:
    def instant(entry: Mapping[str, Any]) -> Instant:
        wall = datetime.fromisoformat(entry["wall"])
        return Instant(wall=wall, boot_s=entry["boot_s"], boot_id=entry["boot_id"])

    return Break(what=what, how=how, began=instant(told["began"]), ended=instant(told["ended"]))


def _last_lines(log: Path) -> str:
    try:
        return " / ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    except OSError:
        return ""


def _refused(
    code: str, what: str, *, why: str | None = None, do: str | None = None
) -> RefusedError:
    return RefusedError((Problem(code=code, what=what, why=why, do=do),))
