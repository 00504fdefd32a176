"""A running cluster, its official client, and kubectl where there is one."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client as k8s

from drctl.lab.kubernetes import Certificate, KubernetesCluster

NAMESPACE = "healing-guard"
NET = "127.100"
API = f"{NET}.0.20"
UID = "11111111-2222-4333-8444-555555555555"
TOKEN = "fake-token-of-the-tests"
SERVER = (
    "import http.server,os;"
    "http.server.ThreadingHTTPServer((os.environ['POD_IP'],8000),"
    "http.server.SimpleHTTPRequestHandler).serve_forever()"
)
CRASHER = "import sys;print('cannot start');sys.exit(3)"


def eventually(condition: Callable[[], Any], within: float = 15.0) -> Any:
    """Waits until a condition is true and returns what it said."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.03)


def template(script: str = SERVER, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web", **labels}},
        "spec": {
            "containers": [
                {
                    "name": "app",
                    "image": "example/app:1",
                    "command": [sys.executable, "-S", "-c", script],
                    "env": [
                        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
                    ],
                    "ports": [{"containerPort": 8000}],
                    "readinessProbe": {"httpGet": {"path": "/", "port": 8000}},
                }
            ]
        },
    }


def deployment(name: str = "web", replicas: int = 1, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "web"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(),
            **spec,
        },
    }


@dataclass
class Running:
    """A cluster in a thread of its own, as a client sees it."""

    cluster: KubernetesCluster
    loop: asyncio.AbstractEventLoop
    port: int
    root: Path
    authority: Path
    ready: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    _clients: list[k8s.ApiClient] = field(default_factory=list)

    def call(self, coroutine: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(timeout=20)

    def call_soon(self, function: Callable[[], None]) -> None:
        async def run() -> None:
            function()

        self.call(run())

    def api(self, token: str = TOKEN) -> k8s.ApiClient:
        configuration = k8s.Configuration(host=f"https://{API}:{self.port}")
        configuration.ssl_ca_cert = str(self.authority)
        configuration.api_key = {"authorization": f"Bearer {token}"}
        configuration.retries = 0
        client = k8s.ApiClient(configuration)
        self._clients.append(client)
        return client

    @property
    def core(self) -> k8s.CoreV1Api:
        return k8s.CoreV1Api(self.api())

    @property
    def apps(self) -> k8s.AppsV1Api:
        return k8s.AppsV1Api(self.api())

    def close(self) -> None:
        for client in self._clients:
            client.rest_client.pool_manager.clear()

    def pids(self) -> list[int]:
        found = []
        for path in (self.root / "pids").glob("*.pid"):
            with suppress(FileNotFoundError):  # it may end while we look
                found.append(int(path.read_text().split()[0]))
        return found

    def until_seen(self, name: str = "web") -> k8s.V1Deployment:
        apps = self.apps

        def seen() -> k8s.V1Deployment | None:
            found = apps.read_namespaced_deployment(name, NAMESPACE)
            is_seen = found.status.observed_generation == found.metadata.generation
            return found if is_seen else None

        return eventually(seen)

    def until_available(self, name: str = "web", replicas: int = 1) -> k8s.V1Deployment:
        apps = self.apps

        def done() -> k8s.V1Deployment | None:
            found = apps.read_namespaced_deployment(name, NAMESPACE)
            status = found.status
            counts = (status.updated_replicas, status.available_replicas, status.replicas)
            is_seen = status.observed_generation == found.metadata.generation
            # A count of zero is left out, as by a real API server.
            is_done = is_seen and all((count or 0) == replicas for count in counts)
            return found if is_done else None

        return eventually(done)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((API, 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("tls"), [API])


@pytest.fixture
def running(tmp_path: Path, certificate: Certificate) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    port = free_port()
    told: list[tuple[str, str, tuple[str, ...]]] = []

    async def make() -> KubernetesCluster:
        cluster = KubernetesCluster(
            region="us-east-1",
            address=API,
            port=port,
            uid=UID,
            tls=certificate,
            token=TOKEN,
            pod_addresses=[f"{NET}.2.{last}" for last in range(1, 11)],
            root=tmp_path,
            on_ready_pods=lambda *heard: told.append(heard),
        )
        await cluster.start()
        return cluster

    try:
        cluster = asyncio.run_coroutine_threadsafe(make(), loop).result(timeout=20)
        found = Running(cluster, loop, port, tmp_path, certificate.authority, told)
        try:
            found.core.create_namespace({"metadata": {"name": NAMESPACE}})
            yield found
        finally:
            found.close()
            found.call(cluster.stop())
            assert not found.pids()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Kubectl:
    """kubectl with every default named: nothing of this machine's configuration is read."""

    def __init__(self, running: Running, home: Path, program: str) -> None:
        self._home = home
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [
                {
                    "name": "lab",
                    "cluster": {
                        "server": f"https://{API}:{running.port}",
                        "certificate-authority": str(running.authority),
                    },
                }
            ],
            "users": [{"name": "lab", "user": {"token": TOKEN}}],
            "contexts": [
                {
                    "name": "lab",
                    "context": {"cluster": "lab", "user": "lab", "namespace": NAMESPACE},
                }
            ],
        }
        home.mkdir()
        (home / "config").write_text(json.dumps(config))
        self._program = program

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *words],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=30,
            env={
                "HOME": str(self._home),
                "KUBECONFIG": str(self._home / "config"),
                "PATH": "/usr/bin:/bin",
            },
        )

    def __call__(self, *words: str, stdin: str | None = None, fails: bool = False) -> str:
        done = self.run(*words, stdin=stdin)
        if fails:
            assert done.returncode != 0, done.stdout
            return done.stderr
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def kubectl(running: Running, tmp_path: Path) -> Kubectl:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed here")
    return Kubectl(running, tmp_path / "home", program)
