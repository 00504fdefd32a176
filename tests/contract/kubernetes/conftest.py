"""A real API over TLS whose pods are processes, and one that fails as networks do."""

import asyncio
import itertools
import socket
import ssl
import struct
import sys
import threading
from datetime import timedelta

import pytest

from drctl.actions.contract import Context
from drctl.actions.targets import Deployment
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.kubernetes import Certificate, KubernetesCluster

API = "127.142.0.20"
UID = "11111111-2222-4333-8444-555555555555"
TOKEN = "token-of-the-tests"
NAMESPACE, NAME = "healing-guard", "healing-guard"
_PORTS = itertools.count(16443)
SERVER = (
    "import http.server,os;"
    "http.server.ThreadingHTTPServer((os.environ['POD_IP'],8000),"
    "http.server.SimpleHTTPRequestHandler).serve_forever()"
)


class Keys:
    """The reference's place is the value."""

    def resolve(self, ref):
        return Secret(ref.place)


@pytest.fixture
def context():
    clock = SystemClock()

    def make(seconds=20.0, *, key="run-1.step.1"):
        return Context(
            clock=clock,
            deadline=Deadline.after(clock, timedelta(seconds=seconds)),
            secrets=Keys(),
            key=key,
            permit=lambda: None,
        )

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return Certificate.make(tmp_path_factory.mktemp("tls"), [API])


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """A certificate of an authority that nobody trusts."""
    return Certificate.make(tmp_path_factory.mktemp("other"), [API])


@pytest.fixture
def target_at(certificate):
    def make(port, ca_file=None, token=TOKEN):
        return Deployment.model_validate(
            {
                "cluster": {
                    "server": f"https://{API}:{port}",
                    "ca_file": str(ca_file or certificate.authority),
                    "token": f"env:{token}",
                    "cluster_uid": UID,
                    "region": "us-west-2",
                },
                "namespace": NAMESPACE,
                "name": NAME,
            }
        )

    return make


def template(script):
    address = {"fieldRef": {"fieldPath": "status.podIP"}}
    container = {
        "name": "app",
        "image": "example/app:1",
        "command": [sys.executable, "-S", "-c", script],
        "env": [{"name": "POD_IP", "valueFrom": address}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
    }
    return {"metadata": {"labels": {"app": NAME}}, "spec": {"containers": [container]}}


class Cluster:
    """A running cluster, on a loop of its own."""

    def __init__(self, certificate, root):
        self.port = next(_PORTS)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.authority = certificate.authority
        self.cluster = self.run(self._make(certificate, root))
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})

    async def _make(self, certificate, root):
        cluster = KubernetesCluster(
            region="us-west-2",
            address=API,
            port=self.port,
            uid=UID,
            tls=certificate,
            token=TOKEN,
            pod_addresses=[f"127.142.2.{last}" for last in range(1, 11)],
            root=root,
            on_ready_pods=lambda *_told: None,
        )
        await cluster.start()
        return cluster

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def stop(self):
        try:
            self.run(self.cluster.stop())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()
            self.loop.close()

    def call(self, method, path, body=None, kind="application/json"):
        import json
        import urllib.request

        request = urllib.request.Request(
            f"https://{API}:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind},
        )
        context = ssl.create_default_context(cafile=str(self.authority))
        with urllib.request.urlopen(request, context=context, timeout=5) as answer:  # noqa: S310
            return json.loads(answer.read())

    def deploy(self, replicas, *, script=SERVER, **spec):
        body = {
            "metadata": {"name": NAME, "labels": {"app": NAME}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": NAME}},
                "template": template(script),
                **spec,
            },
        }
        self.call("POST", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", body)

    def pods(self):
        found = self.call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")
        return {pod["metadata"]["name"] for pod in found["items"]}


@pytest.fixture
def cluster(certificate, tmp_path):
    running = Cluster(certificate, tmp_path)
    yield running
    running.stop()


@pytest.fixture
async def faulty(certificate, stranger):
    """
    Starts a TLS server on a raw socket; gives its port and the list of requests that reached it.

    ``answer`` gets method and path and returns ``(status, headers, body)``, or ``hang``, ``reset``.
    """
    servers, tasks = [], set()

    async def start(answer, *, trusted=True):
        port, requests = next(_PORTS), []

        async def serve(reader, writer):
            tasks.add(asyncio.current_task())
            try:
                await talk(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()

        async def talk(reader, writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                method, path, _ = head[0].split(" ")
                requests.append((method, path, fields, body))
                said = answer(method, path)
                if said == "hang":
                    await reader.read()
                    return
                if said == "reset":
                    linger = struct.pack("ii", 1, 0)
                    raw = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return
                status, headers, text = said
                lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + text)
                await writer.drain()

        shown = certificate if trusted else stranger
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.certificate, shown.key)
        servers.append(await asyncio.start_server(serve, API, port, ssl=context))
        return port, requests

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
