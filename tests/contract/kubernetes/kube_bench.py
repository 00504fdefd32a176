"""A cluster of the tests: a real API over TLS whose pods are processes."""

import asyncio
import itertools
import ssl
import sys
import threading

from drctl.lab.kubernetes import KubernetesCluster

API = "127.142.0.20"
UID = "11111111-2222-4333-8444-555555555555"
TOKEN = "token-of-the-tests"
NAMESPACE, NAME = "healing-guard", "healing-guard"
PORTS = itertools.count(16443)
SERVER = (
    "import http.server,os;"
    "http.server.ThreadingHTTPServer((os.environ['POD_IP'],8000),"
    "http.server.SimpleHTTPRequestHandler).serve_forever()"
)


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
        self.port = next(PORTS)
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
