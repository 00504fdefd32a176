"""
A kubelet whose containers are processes of this machine.

It works in rounds: each round looks at every pod in the store and at its processes, does what is
due, and writes the status that is true now. A frozen kubelet, as in a dead region, does nothing at
all, so that the status stays what it last was.
"""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from drctl.lab.kubernetes.conditions import with_condition
from drctl.lab.kubernetes.containers import Container, Place
from drctl.lab.kubernetes.environment import prepare
from drctl.lab.kubernetes.errors import Object
from drctl.lab.kubernetes.kinds import POD
from drctl.lab.kubernetes.records import Recorder
from drctl.lab.kubernetes.store import Store, timestamp
from drctl.lab.root import record

_LONGEST_GRACE_S = 2.0  # of the usual 30: enough for an application to close its connections
_WORDS = {
    "Started": "Started container",
    "BackOff": "Back-off restarting failed container",
    "Unhealthy": "Liveness probe failed; container will be restarted:",
    "Failed": "Error: container cannot be started:",
}


class _Sandbox:
    """What the kubelet holds of one pod."""

    def __init__(self, uid: str, address: str, containers: list[Container]) -> None:
        self.uid = uid
        self.address = address
        self.containers = containers
        self.killed_at: float | None = None
        """When its processes are killed; set once its end has begun."""


class Kubelet:
    """Runs the pods that a cluster has given to one node."""

    def __init__(
        self,
        store: Store,
        *,
        node: str,
        node_address: str,
        addresses: Sequence[str],
        root: Path,
        run_as: tuple[int, int] | None,
        has_image: Callable[[str], bool] = lambda _image: True,
    ) -> None:
        self._store = store
        self._node = node
        self._node_address = node_address
        self._free = deque(addresses)
        self._root = root
        self._run_as = run_as
        self._has_image = has_image
        self._sandboxes: dict[str, _Sandbox] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self._recorder = Recorder(store, "kubelet")
        self.is_dead = False
        """Whether its machine is gone: then it does nothing, and says nothing."""
        self.beats = 0
        """How often it has told the control plane that it is there."""
        for folder in ("logs", "pids"):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def log_of(self, pod: str, container: str) -> Path:
        """Names the file that a container writes to."""
        return self._root / "logs" / f"pod-{pod}.{container}.log"

    def sync(self) -> None:
        """Does one round over the node's pods, and beats; nothing while it is dead."""
        if self.is_dead:
            return
        self.beats += 1
        pods = [pod for pod in self._store.all_of(POD) if pod["spec"].get("nodeName") == self._node]
        present = {pod["metadata"]["uid"] for pod in pods}
        for sandbox in [one for one in self._sandboxes.values() if one.uid not in present]:
            self._tear_down(sandbox)  # deleted by force: nobody waits for its processes
        for pod in pods:
            if pod["metadata"].get("deletionTimestamp"):
                self._end(pod)
            elif pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}:
                self._run(pod)

    def die(self) -> None:
        """Kills every process where it stands and does nothing more, as a machine without power."""
        self.is_dead = True
        self.freeze()
        self.kill()
        for watching in self._watching:
            watching.cancel()

    def revive(self) -> None:
        """Takes its pods up again: what died starts anew, what was deleted meanwhile goes."""
        self.is_dead = False

    def kill(self) -> None:
        """Kills every process where it stands."""
        for container in self._containers():
            container.kill()

    def freeze(self) -> None:
        """Stops probing, as a node that lost its control plane and its network would."""
        for container in self._containers():
            container.freeze()

    def thaw(self) -> None:
        """Begins to probe again, unless it is dead."""
        if self.is_dead:
            return
        for container in self._containers():
            container.thaw()

    async def stop(self) -> None:
        """Ends every process, gently at first, and waits until they are gone."""
        for number, patience_s in ((signal.SIGTERM, _LONGEST_GRACE_S), (signal.SIGKILL, 5.0)):
            for container in self._containers():
                container.end(number)
            deadline = asyncio.get_running_loop().time() + patience_s
            while not _all_settled(self._containers()):
                if asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(0.02)
        self._sandboxes.clear()
        for watching in self._watching:
            watching.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    async def start_in(
        self, pod: Object, container: str, argv: list[str], *, stdin: bool
    ) -> asyncio.subprocess.Process | None:
        """
        Starts a process with a container's own variables beside it; nothing when it does not run.

        Raises:
            NotStartable, OSError: The program cannot be started.
        """
        sandbox = self._sandboxes.get(pod["metadata"]["uid"])
        running = sandbox.containers if sandbox is not None else []
        found = next((one for one in running if one.spec["name"] == container), None)
        if found is None or not found.is_running:
            return None
        launch = prepare(self._store, pod, found.spec, self._has_image)
        user, group = self._run_as or (None, None)
        child = await asyncio.create_subprocess_exec(
            *argv,
            env=launch.environment,
            cwd=launch.directory,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=[] if self._run_as else None,
        )
        # By its record it is found and ended with the lab, whoever started it.
        pid_file = self._root / "pids" / f"exec-{child.pid}.pid"
        record(pid_file, child.pid)
        watching = asyncio.create_task(_unlink_after(child, pid_file))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)
        return child

    def _containers(self) -> Iterable[Container]:
        return [one for sandbox in self._sandboxes.values() for one in sandbox.containers]

    def _run(self, pod: Object) -> None:
        sandbox = self._sandboxes.get(pod["metadata"]["uid"]) or self._admit(pod)
        if sandbox is None:
            return
        pod = self._assign(pod, sandbox)
        for container, spec in zip(sandbox.containers, pod["spec"]["containers"], strict=True):
            container.renew(spec)
            happened = container.step(
                partial(prepare, self._store, pod, container.spec, self._has_image)
            )
            if happened:
                self._record(pod, container, happened)
        self._report(pod, sandbox)

    def _admit(self, pod: Object) -> _Sandbox | None:
        metadata, spec = pod["metadata"], pod["spec"]
        if not self._free:
            return None  # the address of one that is just ending is not free yet
        address = self._free.popleft()
        containers = []
        for at, container in enumerate(spec["containers"]):
            name = metadata["name"] if at == 0 else f"{metadata['name']}.{container['name']}"
            place = Place(
                log=self.log_of(metadata["name"], container["name"]),
                pid_file=self._root / "pids" / f"pod-{name}.pid",
                run_as=self._run_as,
            )
            containers.append(Container(container, address, place, spec["restartPolicy"]))
        sandbox = _Sandbox(metadata["uid"], address, containers)
        self._sandboxes[sandbox.uid] = sandbox
        return sandbox

    def _assign(self, pod: Object, sandbox: _Sandbox) -> Object:
        if pod.get("status", {}).get("podIP"):
            return pod
        status = {
            **pod.get("status", {}),
            "podIP": sandbox.address,
            "podIPs": [{"ip": sandbox.address}],
            "hostIP": self._node_address,
            "hostIPs": [{"ip": self._node_address}],
            "startTime": timestamp(),
        }
        return self._store.replace(POD, {**pod, "status": status})

    def _report(self, pod: Object, sandbox: _Sandbox) -> None:
        containers = sandbox.containers
        before = pod["status"]
        if all(one.is_ended and not one.is_running for one in containers):
            phase = "Failed" if any(one.failed for one in containers) else "Succeeded"
        elif all(one.is_running or one.restart_count for one in containers):
            phase = "Running"
        else:
            # Once it ran it stays Running, also between two tries.
            phase = "Running" if before.get("phase") == "Running" else "Pending"
        unready = [one.spec["name"] for one in containers if not one.ready]
        conditions = before.get("conditions", [])
        for name in ("PodScheduled", "Initialized"):
            conditions = with_condition(conditions, name, holds=True)
        reason = "ContainersNotReady" if unready else ""
        message = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
        for name in ("ContainersReady", "Ready"):
            conditions = with_condition(
                conditions, name, holds=not unready, reason=reason, message=message
            )
        status = {
            **before,
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [one.status() for one in containers],
        }
        self._store.replace(POD, {**pod, "status": status})
        if phase in {"Succeeded", "Failed"}:
            self._forget(sandbox)

    def _end(self, pod: Object) -> None:
        metadata = pod["metadata"]
        sandbox = self._sandboxes.get(metadata["uid"])
        now = asyncio.get_running_loop().time()
        if sandbox is not None:
            if sandbox.killed_at is None:
                grace_s = min(metadata.get("deletionGracePeriodSeconds", 0), _LONGEST_GRACE_S)
                sandbox.killed_at = now + grace_s
                for container in sandbox.containers:
                    container.end(signal.SIGTERM)
                    self._record(pod, container, "Killing")
            elif now >= sandbox.killed_at:
                for container in sandbox.containers:
                    container.end(signal.SIGKILL)
            if not _all_settled(sandbox.containers):
                return
            self._forget(sandbox)
        self._store.delete(POD, metadata["namespace"], metadata["name"])

    def _tear_down(self, sandbox: _Sandbox) -> None:
        for container in sandbox.containers:
            container.end(signal.SIGKILL)
        if _all_settled(sandbox.containers):
            self._forget(sandbox)

    def _forget(self, sandbox: _Sandbox) -> None:
        del self._sandboxes[sandbox.uid]
        self._free.append(sandbox.address)

    def _record(self, pod: Object, container: Container, reason: str) -> None:
        name = container.spec["name"]
        text = f"{_WORDS.get(reason, 'Stopping container')} {name}"
        if reason in {"Started", "Killing"}:
            self._recorder.normal(POD, pod, reason, text)
        else:
            self._recorder.warning(POD, pod, reason, text)


async def _unlink_after(child: asyncio.subprocess.Process, pid_file: Path) -> None:
    try:
        await child.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
    finally:
        pid_file.unlink(missing_ok=True)  # noqa: ASYNC240 (one file of a local folder)


def _all_settled(containers: Iterable[Container]) -> bool:
    """Looks at every container, also past the first one that still runs."""
    left = [container for container in containers if not container.settle()]
    return not left
