"""The life of one container: waiting, running, ended, and again."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drctl.lab.kubernetes.environment import Launch, NotStartable
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.probes import Probe
from drctl.lab.kubernetes.processes import Process
from drctl.lab.kubernetes.store import timestamp

# A kubelet waits 10 s, doubled up to 5 min, and forgets after 10 min; compressed alike.
_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 5.0
_FORGIVEN_AFTER_S = 20.0
_TRY_AGAIN_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a container's process leaves its traces, and as whom it runs."""

    log: Path
    pid_file: Path
    run_as: tuple[int, int] | None


class Container:
    """Keeps one container's process in the state its pod asks for."""

    def __init__(self, spec: Object, address: str, place: Place, restarts: str) -> None:
        self.spec = spec
        self.restart_count = 0
        self.ready = False
        self.is_ended = False
        self.failed = False
        self._address = address
        self._place = place
        self._restarts = restarts
        self._process: Process | None = None
        self._started_at = ""
        self._started = 0.0
        self._not_before = 0.0
        self._delay_s = _FIRST_DELAY_S
        self._waiting: Object | None = {"reason": "ContainerCreating"}
        self._ended: Object | None = None
        self._last: Object | None = None
        self._probes: list[asyncio.Task[None]] = []
        self._readiness: asyncio.Queue[bool] = asyncio.Queue()
        self._liveness: asyncio.Queue[bool] = asyncio.Queue()

    @property
    def is_running(self) -> bool:
        """Whether its process exists."""
        return self._process is not None

    def step(self, prepare: Callable[[], Launch]) -> str | None:
        """
        Does what is due: notes an exit, starts, starts again.

        Returns:
            What happened as an event's reason, or nothing.

        Changes:
            Processes.
        """
        if self._process is not None:
            return self._look(self._process)
        if self.is_ended or self._now() < self._not_before:
            return None
        return self._start(prepare)

    def renew(self, spec: Object) -> None:
        """Takes a changed description; a running process of another image is replaced."""
        if spec["image"] != self.spec["image"]:
            self.kill()
        self.spec = spec

    def end(self, number: signal.Signals) -> None:
        """Signals the process; `settle` says later that it is gone."""
        self._stop_probes()
        self.ready = False
        self.is_ended = True
        if self._process is not None:
            self._process.signal(number)

    def settle(self) -> bool:
        """Notes an exit without starting again; says whether nothing runs any more."""
        if self._process is not None:
            self._look(self._process)
        return self._process is None

    def kill(self) -> None:
        """Kills the process where it stands; the next `step` finds it dead."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)

    def freeze(self) -> None:
        """Stops asking the container anything until `thaw`."""
        self._stop_probes()

    def thaw(self) -> None:
        """Begins to ask again."""
        if self._process is not None and not self.is_ended:
            self._start_probes()

    def status(self) -> Object:
        """Makes the container's entry of the pod's status."""
        image = self.spec["image"]
        status: Object = {
            "name": self.spec["name"],
            "image": image,
            "imageID": f"lab://{image}",
            "ready": self.ready,
            "started": self._process is not None,
            "restartCount": self.restart_count,
            "state": {},
            "lastState": {},
        }
        if self._process is not None:
            status["state"] = {"running": {"startedAt": self._started_at}}
            status["containerID"] = f"process://{self._process.pid}"
        elif self._ended is not None and self._waiting is None:
            status["state"] = {"terminated": self._ended}
        else:
            status["state"] = {"waiting": self._waiting}
        if self._last is not None:
            status["lastState"] = {"terminated": self._last}
        return status

    def _start(self, prepare: Callable[[], Launch]) -> str | None:
        try:
            launch = prepare()
            self._process = Process.start(
                launch.argv,
                launch.environment,
                log=self._place.log,
                pid_file=self._place.pid_file,
                directory=launch.directory,
                run_as=self._place.run_as,
            )
        except (NotStartable, OSError) as error:
            problem = (
                error
                if isinstance(error, NotStartable)
                else NotStartable("RunContainerError", str(error))
            )
            told = self._waiting is not None and self._waiting["reason"] == problem.reason
            self._waiting = {"reason": problem.reason, "message": problem.message}
            self._not_before = self._now() + _TRY_AGAIN_S
            return None if told else "Failed"
        if self._ended is not None:
            self._last, self._ended = self._ended, None
            self.restart_count += 1
        self._waiting = None
        self._started_at, self._started = timestamp(), self._now()
        self._start_probes()
        return "Started"

    def _start_probes(self) -> None:
        for name, answers in (
            ("readinessProbe", self._readiness),
            ("livenessProbe", self._liveness),
        ):
            if name in self.spec:
                # Only readiness is compressed: a hurried liveness probe kills slow starters.
                compressed = name == "readinessProbe"
                probe = Probe(self.spec[name], self.spec, compressed=compressed)
                self._probes.append(asyncio.create_task(probe.watch(self._address, answers)))
        if "readinessProbe" not in self.spec:
            self.ready = True

    def _stop_probes(self) -> None:
        for probe in self._probes:
            probe.cancel()
        self._probes.clear()
        for answers in (self._readiness, self._liveness):
            while not answers.empty():
                answers.get_nowait()

    def _look(self, process: Process) -> str | None:
        code = process.exit_code()
        if code is None:
            while not self._readiness.empty():
                self.ready = self._readiness.get_nowait()
            while not self._liveness.empty():
                if not self._liveness.get_nowait():
                    process.signal(signal.SIGKILL)
                    return "Unhealthy"
            return None
        self._stop_probes()
        self._process = None
        self.ready = False
        ended: Object = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": self._started_at,
            "finishedAt": timestamp(),
            "containerID": f"process://{process.pid}",
        }
        self._ended = ended
        again = self._restarts == "Always" or (self._restarts == "OnFailure" and code != 0)
        if self.is_ended or not again:
            self.failed = code != 0
            self.is_ended = True
            return None
        if self._now() - self._started > _FORGIVEN_AFTER_S:
            self._delay_s = _FIRST_DELAY_S
        self._not_before = self._now() + self._delay_s
        name = self.spec["name"]
        self._waiting = {
            "reason": "CrashLoopBackOff",
            "message": f"back-off {self._delay_s:g}s restarting failed container={name}",
        }
        self._delay_s = min(self._delay_s * 2, _LONGEST_DELAY_S)
        return "BackOff"

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
