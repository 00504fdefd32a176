"""Deployments and Secrets of a real API server over TLS, each cell with its own."""

import asyncio
import base64
import contextlib
import itertools
import ssl
import tempfile
from pathlib import Path

import aiohttp
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.actions.targets import Deployment
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.rules import Deed
from drctl.lab.kubernetes import Certificate, KubernetesCluster

API = (f"127.{NET + 1}.0.20", 6443)
UID = "11111111-2222-4333-8444-555555555555"
OTHER_UID = "99999999-2222-4333-8444-555555555555"
TOKEN, NAMESPACE = "token-of-the-matrix", "faults"
_NUMBERS = itertools.count(1)
_ROOT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"


class Lab:
    """One cluster, and the certificate of the proxies in front of it."""

    async def start(self):
        self._folder = tempfile.TemporaryDirectory(prefix="drctl-faults-")
        root = Path(self._folder.name)
        root.chmod(0o711)  # noqa: ASYNC240 (before anything runs)
        server = Certificate.make(root / "api", [API[0]])
        self.front = Certificate.make(root / "front", [HOST])
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.front.certificate, self.front.key)
        self.cluster = KubernetesCluster(
            region="us-west-2",
            address=API[0],
            port=API[1],
            uid=UID,
            tls=server,
            token=TOKEN,
            pod_addresses=[f"127.{NET + 1}.2.{last}" for last in range(1, 250)],
            root=root / "pods",
            on_ready_pods=lambda *_told: None,
        )
        await self.cluster.start()
        self._session = aiohttp.ClientSession(
            f"https://{API[0]}:{API[1]}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            connector=aiohttp.TCPConnector(
                ssl=ssl.create_default_context(cafile=str(server.authority))
            ),
        )
        await self.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})

    async def stop(self):
        await self._session.close()
        await self.cluster.stop()
        self._folder.cleanup()

    async def patch(self, path, body):
        """Strategic, as people patch."""
        kind = {"Content-Type": "application/strategic-merge-patch+json"}
        return await self.call("PATCH", path, body, headers=kind)

    async def call(self, method, path, body=None, headers=None):
        async with self._session.request(method, path, json=body, headers=headers) as answer:
            answer.raise_for_status()
            return await answer.json()

    @contextlib.asynccontextmanager
    async def deployment(self, *, replicas=1):
        """A Deployment that serves."""
        name = f"app-{next(_NUMBERS)}"
        container = {"name": "app", "image": "example/app:1", "command": ["/bin/sleep", "600"]}
        body = {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [container]},
                },
            },
        }
        await self.call("POST", _ROOT, body)
        try:
            async with asyncio.timeout(20):
                while (await self.read(name))["status"].get("availableReplicas") != replicas:  # noqa: ASYNC110 (a poll)
                    await asyncio.sleep(0.05)
            yield name
        finally:
            await self.call("DELETE", f"{_ROOT}/{name}")

    async def read(self, name):
        return await self.call("GET", f"{_ROOT}/{name}")

    @contextlib.asynccontextmanager
    async def behind(self, script, name):
        """The target of a Deployment behind a proxy."""
        proxy = HttpFaultProxy(
            Upstream(host=API[0], port=API[1], is_tls=True),
            script,
            name_of=operations.kubernetes,
            answer_of=answers.kubernetes,
        )
        script.swap = (
            (f'"{name}"'.encode(), b'"another"'),
            (UID.encode(), OTHER_UID.encode()),
        )
        async with serving(proxy):
            port = await proxy.start(HOST, tls=self.tls)
            yield (
                proxy,
                Deployment.model_validate(
                    {
                        "cluster": {
                            "server": f"https://{HOST}:{port}",
                            "ca_file": str(self.front.authority),
                            "token": f"env:{TOKEN}",
                            "cluster_uid": UID,
                            "region": "us-west-2",
                        },
                        "namespace": NAMESPACE,
                        "name": name,
                    }
                ),
            )


async def _never(_key):
    return 0


@contextlib.asynccontextmanager
async def _scale(lab, scripts):
    async with lab.deployment() as name, lab.behind(scripts["http"], name) as (proxy, target):
        before = (await lab.read(name))["metadata"]["generation"]

        async def applied(_key):
            return (await lab.read(name))["metadata"]["generation"] - before

        async def holds(_key, _outputs):
            return (await lab.read(name))["spec"]["replicas"] == 2

        yield Site(
            target=target, params={"replicas": 2}, proxies=[proxy], applied=applied, holds=holds
        )


@contextlib.asynccontextmanager
async def _restart(lab, scripts):
    async with lab.deployment() as name, lab.behind(scripts["http"], name) as (proxy, target):
        before = (await lab.read(name))["metadata"]["generation"]

        async def applied(_key):
            return (await lab.read(name))["metadata"]["generation"] - before

        async def holds(key, _outputs):
            template = (await lab.read(name))["spec"]["template"]["metadata"]
            return template.get("annotations", {}).get("drctl.dev/restart-key") == key

        yield Site(target=target, params={}, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _wait(lab, scripts):
    async with lab.deployment() as name, lab.behind(scripts["http"], name) as (proxy, target):

        async def holds(_key, outputs):
            return outputs.get("available") == 1

        yield Site(target=target, params={}, proxies=[proxy], applied=_never, holds=holds)


@contextlib.asynccontextmanager
async def _patch(lab, scripts):
    name = f"secret-{next(_NUMBERS)}"
    made = await lab.call("POST", _SECRETS, {"metadata": {"name": name}, "data": {"HOST": "YQ=="}})
    before = int(made["metadata"]["resourceVersion"])
    async with lab.behind(scripts["http"], name) as (proxy, target):

        async def read():
            return await lab.call("GET", f"{_SECRETS}/{name}")

        async def applied(_key):
            return int(int((await read())["metadata"]["resourceVersion"]) != before)

        async def holds(_key, _outputs):
            return (await read())["data"]["HOST"] == base64.b64encode(b"west").decode()

        yield Site(
            target=target,
            params={"name": name, "data": {"HOST": "west"}},
            proxies=[proxy],
            applied=applied,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _check(lab, scripts):
    async with lab.behind(scripts["http"], "none") as (proxy, target):

        async def holds(_key, outputs):
            return outputs.get("uid") == UID

        yield Site(target=target, params={}, proxies=[proxy], applied=_never, holds=holds)


LABS = {"kubernetes": Lab}
LOOK = Op(name="GET deployments")
CASES = [
    Case(
        action="kubernetes.deployment.scale",
        lab="kubernetes",
        ops=(
            LOOK,
            Op(name="GET horizontalpodautoscalers"),
            Op(name="PATCH deployments*", mutates=True),
        ),
        open=_scale,
    ),
    Case(
        action="kubernetes.deployment.restart",
        lab="kubernetes",
        ops=(LOOK, Op(name="PATCH deployments", mutates=True)),
        open=_restart,
    ),
    Case(action="kubernetes.deployment.wait", lab="kubernetes", ops=(LOOK,), open=_wait),
    Case(
        action="kubernetes.secret.patch",
        lab="kubernetes",
        ops=(Op(name="GET secrets"), Op(name="PATCH secrets", mutates=True)),
        open=_patch,
    ),
    Case(
        action="kubernetes.cluster.check",
        lab="kubernetes",
        ops=(
            # The version says nothing about who it is of.
            Op(name="GET version", skip=frozenset({Deed.WRONG_OBJECT})),
            Op(name="GET namespaces"),
        ),
        open=_check,
    ),
]
