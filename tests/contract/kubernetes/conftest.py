"""A real API over TLS whose pods are processes, and one that fails as networks do."""

import asyncio
import socket
import ssl
import struct
import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from kube_bench import API, NAME, NAMESPACE, PORTS, TOKEN, UID, Cluster

from drctl.actions.contract import Context
from drctl.actions.targets import Deployment
from drctl.kernel.clock import Deadline, SystemClock
from drctl.kernel.secret import Secret
from drctl.lab.kubernetes import Certificate


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
        port, requests = next(PORTS), []

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
