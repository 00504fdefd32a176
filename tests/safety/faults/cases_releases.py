"""Revisions of a Deployment and the images of them, each cell with its own."""

import asyncio
import contextlib
import hashlib

from cases_kubernetes import Lab, _never
from fault_matrix import HOST, Case, Op, Site, serving
from nets import NET

from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.image_registry import ImageRegistry

REGISTRY = (f"127.{NET + 1}.0.30", 5000)
_SETS = "/apis/apps/v1/namespaces/faults/replicasets"
_ROOT = "/apis/apps/v1/namespaces/faults/deployments"
_REVISION = "deployment.kubernetes.io/revision"
GOOD, BAD = ["/bin/sleep", "600"], ["/bin/sleep", "601"]
_OTHER = "f" * 64


class Images:
    """A registry."""

    async def start(self):
        self.registry = ImageRegistry({"faults/app": ("1",)})
        await self.registry.start(*REGISTRY)

    async def stop(self):
        await self.registry.stop()


async def _sets_of(lab, name):
    found = (await lab.call("GET", _SETS))["items"]
    return [
        one
        for one in found
        if any(o["name"] == name for o in one["metadata"].get("ownerReferences", []))
    ]


async def _mark(lab, name):
    [one] = await _sets_of(lab, name)
    notes = {"drctl.dev/known-good": one["metadata"]["uid"]}
    body = {"metadata": {"annotations": notes}}
    await lab.patch(f"{_SETS}/{one['metadata']['name']}", body)


@contextlib.asynccontextmanager
async def _two_revisions(lab):
    """A good one that is marked, then a bad one."""
    async with lab.deployment() as name:
        await _mark(lab, name)
        container = {"name": "app", "image": "example/app:2", "command": BAD}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await lab.patch(f"{_ROOT}/{name}", patch)
        async with asyncio.timeout(20):
            while not _is_complete(await lab.read(name), "2"):  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.05)
        yield name


def _is_complete(deployment, revision):
    status = deployment.get("status", {})
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    notes = deployment["metadata"].get("annotations", {})
    return is_seen and notes.get(_REVISION) == revision and status.get("availableReplicas") == 1


def _command(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]["command"]


@contextlib.asynccontextmanager
async def _rollback(lab, scripts):
    async with _two_revisions(lab) as name, lab.behind(scripts["http"], name) as (proxy, target):
        before = (await lab.read(name))["metadata"]["generation"]

        async def applied(_key):
            return (await lab.read(name))["metadata"]["generation"] - before

        async def holds(_key, _outputs):
            return _command(await lab.read(name)) == GOOD

        params = {"stable_for": "100ms"}
        yield Site(target=target, params=params, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _revision(lab, scripts):
    async with _two_revisions(lab) as name, lab.behind(scripts["http"], name) as (proxy, target):

        async def holds(_key, outputs):
            return (outputs.get("good"), outputs.get("current")) == (1, 2)

        yield Site(target=target, params={}, proxies=[proxy], applied=_never, holds=holds)


@contextlib.asynccontextmanager
async def _good(lab, scripts):
    async with lab.deployment() as name, lab.behind(scripts["http"], name) as (proxy, target):

        async def is_marked():
            [one] = await _sets_of(lab, name)
            notes = one["metadata"]["annotations"]
            return notes.get("drctl.dev/known-good") == one["metadata"]["uid"]

        async def applied(_key):
            return int(await is_marked())

        async def holds(_key, _outputs):
            return await is_marked()

        params = {"stable_for": "100ms"}
        yield Site(target=target, params=params, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _image(lab, scripts):
    from drctl.lab.image_registry import _manifest

    digest = f"sha256:{hashlib.sha256(_manifest('faults/app', '1')).hexdigest()}"
    script = scripts["http"]
    upstream = Upstream(host=REGISTRY[0], port=REGISTRY[1])
    proxy = HttpFaultProxy(upstream, script, name_of=operations.plain, answer_of=answers.plain)
    script.swap = ((b'"size": 2', b'"size": 3'),)
    async with serving(proxy):
        port = await proxy.start(HOST)
        target = _nowhere(f"http://{HOST}:{port}")

        async def holds(_key, outputs):
            return outputs.get("digest") == digest

        params = {"image": f"registry.example/faults/app:1@{digest}"}
        yield Site(target=target, params=params, proxies=[proxy], applied=_never, holds=holds)


def _nowhere(registry):
    from drctl.actions.targets import Deployment

    return Deployment.model_validate(
        {
            "cluster": {
                "server": "https://127.0.0.1:1",
                "ca_file": "/nowhere",
                "token": "env:none",
                "cluster_uid": "none",
                "region": "us-west-2",
            },
            "namespace": "faults",
            "name": "app",
            "registry": registry,
        }
    )


LABS = {"images": Images, "kubernetes": Lab}
LOOKS = (Op(name="GET deployments"), Op(name="GET replicasets"))
CASES = [
    Case(action="kubernetes.revision.check", lab="kubernetes", ops=LOOKS, open=_revision),
    Case(
        action="kubernetes.deployment.rollback",
        lab="kubernetes",
        ops=(*LOOKS, Op(name="PATCH deployments", mutates=True)),
        open=_rollback,
        timeout_s=5.0,
        # The template is back, and the rollout was not seen to end: that is a failure to be told.
        may_be_partial=True,
    ),
    Case(
        action="kubernetes.deployment.mark_good",
        lab="kubernetes",
        ops=(*LOOKS, Op(name="PATCH replicasets", mutates=True)),
        open=_good,
    ),
    Case(action="kubernetes.image.check", lab="images", ops=(Op(name="http:GET"),), open=_image),
]
