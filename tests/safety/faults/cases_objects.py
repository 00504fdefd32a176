"""Stopping, Jobs, CronJobs, programs in pods, manifests and GitOps, each cell with its own."""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import tempfile
from pathlib import Path

from cases_kubernetes import Lab, _never
from fault_matrix import Case, Op, Site

from drctl.actions.targets import ArgoApplication, FluxHelmRelease, FluxKustomization
from drctl.lab.faults.rules import Deed

_NUMBERS = itertools.count(1)
_DEPLOYMENTS = "/apis/apps/v1/namespaces/faults/deployments"
_PODS = "/api/v1/namespaces/faults/pods"
_JOBS = "/apis/batch/v1/namespaces/faults/jobs"
_CRONS = "/apis/batch/v1/namespaces/faults/cronjobs"
_MAPS = "/api/v1/namespaces/faults/configmaps"
_SECRETS = "/api/v1/namespaces/faults/secrets"
_NOTE = "drctl.dev/stopped-replicas"


async def _pods_of(lab, name):
    items = (await lab.call("GET", _PODS))["items"]
    return [pod for pod in items if pod["metadata"].get("labels", {}).get("app") == name]


@contextlib.asynccontextmanager
async def _stop(lab, scripts):
    async with lab.deployment() as name, lab.behind(scripts["http"], name) as (proxy, target):
        before = (await lab.read(name))["metadata"]["generation"]

        async def applied(_key):
            return (await lab.read(name))["metadata"]["generation"] - before

        async def holds(_key, _outputs):
            return (await lab.read(name))["spec"]["replicas"] == 0 and not await _pods_of(lab, name)

        yield Site(target=target, params={}, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _start(lab, scripts):
    async with lab.deployment() as name:
        note = {"metadata": {"annotations": {_NOTE: "1"}}, "spec": {"replicas": 0}}
        await lab.patch(f"{_DEPLOYMENTS}/{name}", note)
        before = (await lab.read(name))["metadata"]["generation"]
        async with lab.behind(scripts["http"], name) as (proxy, target):

            async def applied(_key):
                return (await lab.read(name))["metadata"]["generation"] - before

            async def holds(_key, _outputs):
                return (await lab.read(name))["spec"]["replicas"] == 1

            yield Site(target=target, params={}, proxies=[proxy], applied=applied, holds=holds)


def _cron(*, suspends):
    @contextlib.asynccontextmanager
    async def opened(lab, scripts):
        name = f"cron-{next(_NUMBERS)}"
        container = {"name": "job", "image": "example/job:1", "command": ["/bin/true"]}
        pod = {"restartPolicy": "Never", "containers": [container]}
        spec = {
            "schedule": "0 0 1 1 *",
            "suspend": not suspends,
            "jobTemplate": {"spec": {"template": {"spec": pod}}},
        }
        made = await lab.call("POST", _CRONS, {"metadata": {"name": name}, "spec": spec})
        before = made["metadata"]["generation"]
        async with lab.behind(scripts["http"], name) as (proxy, target):

            async def read():
                return await lab.call("GET", f"{_CRONS}/{name}")

            async def applied(_key):
                return (await read())["metadata"]["generation"] - before

            async def holds(_key, _outputs):
                return (await read())["spec"]["suspend"] is suspends

            params = {"name": name}
            yield Site(target=target, params=params, proxies=[proxy], applied=applied, holds=holds)

    return opened


def _toggle(kind, root, spec, *, pauses):
    @contextlib.asynccontextmanager
    async def opened(lab, scripts):
        name = f"object-{next(_NUMBERS)}"
        meta = {"name": name}
        if not pauses:
            meta["annotations"] = {"drctl.dev/paused-automated": '{"prune": true}'}
        made = await lab.call("POST", root, {"metadata": meta, "spec": spec[not pauses]})
        before = made["metadata"]["generation"]
        async with lab.behind(scripts["http"], name) as (proxy, deployment):
            target = kind(cluster=deployment.cluster, namespace="faults", name=name)

            async def read():
                return await lab.call("GET", f"{root}/{name}")

            async def applied(_key):
                return (await read())["metadata"]["generation"] - before

            async def holds(_key, _outputs):
                return (await read())["spec"] == spec[pauses]

            yield Site(target=target, params={}, proxies=[proxy], applied=applied, holds=holds)

    return opened


@contextlib.asynccontextmanager
async def _job(lab, scripts):
    first = f"smoke{next(_NUMBERS)}"
    async with lab.behind(scripts["http"], first) as (proxy, target):
        # The whole name is known by its key only.
        scripts["http"].swap = ((f'"{first}-'.encode(), b'"another-'),)

        async def mine():
            found = (await lab.call("GET", _JOBS))["items"]
            return [one for one in found if one["metadata"]["name"].startswith(f"{first}-")]

        async def applied(_key):
            return len(await mine())

        async def holds(_key, _outputs):
            return any(one.get("status", {}).get("succeeded") for one in await mine())

        params = {"name": first, "image": "example/smoke:1", "command": ["/bin/echo", "fine"]}
        yield Site(target=target, params=params, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _exec(lab, scripts):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ran"
        async with lab.deployment() as name, lab.behind(scripts["http"], name) as (proxy, target):

            def times():
                return len(file.read_text().splitlines()) if file.exists() else 0

            async def applied(_key):
                return await asyncio.to_thread(times)

            async def holds(_key, _outputs):
                return bool(await asyncio.to_thread(times))

            command = ["/bin/sh", "-c", f"echo ran >> {file}"]
            params = {"command": command, "does": "appends a line"}
            yield Site(target=target, params=params, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _apply(lab, scripts):
    name = f"map-{next(_NUMBERS)}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "map.yaml"
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n"
        file.write_text(text)
        async with lab.behind(scripts["http"], name) as (proxy, target):

            async def is_there():
                found = (await lab.call("GET", _MAPS))["items"]
                return any(one["metadata"]["name"] == name for one in found)

            async def applied(_key):
                return int(await is_there())

            async def holds(_key, _outputs):
                return await is_there()

            digest = hashlib.sha256(text.encode()).hexdigest()
            params = {"files": [{"path": str(file), "sha256": digest}]}
            yield Site(target=target, params=params, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _secret(lab, scripts):
    name = f"there-{next(_NUMBERS)}"
    data = {"host": base64.b64encode(b"east").decode()}
    await lab.call("POST", _SECRETS, {"metadata": {"name": name}, "data": data})
    async with lab.behind(scripts["http"], name) as (proxy, target):

        async def holds(_key, outputs):
            return list(outputs.get("keys", ())) == ["host"]

        params = {"name": name, "keys": ["host"]}
        yield Site(target=target, params=params, proxies=[proxy], applied=_never, holds=holds)


_ARGO = "/apis/argoproj.io/v1alpha1/namespaces/faults/applications"
_KUSTOMIZE = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/faults/kustomizations"
_HELM = "/apis/helm.toolkit.fluxcd.io/v2/namespaces/faults/helmreleases"
_SYNCED = {
    False: {"syncPolicy": {"automated": {"prune": True}}},
    True: {"syncPolicy": {}},
}
_FLUX = {False: {"suspend": False}, True: {"suspend": True}}


def _case(action, plural, opened):
    ops = (Op(name=f"GET {plural}"), Op(name=f"PATCH {plural}", mutates=True))
    return Case(action=action, lab="kubernetes", ops=ops, open=opened)


LABS = {"kubernetes": Lab}
_PRESENT = (Op(name="GET deployments"), Op(name="GET replicasets"), Op(name="GET pods"))
CASES = [
    Case(
        action="kubernetes.deployment.stop",
        lab="kubernetes",
        ops=(*_PRESENT, Op(name="PATCH deployments", mutates=True)),
        open=_stop,
        timeout_s=5.0,
        # Told to go, and not seen gone: that is a failure to be told.
        may_be_partial=True,
    ),
    Case(
        action="kubernetes.deployment.start",
        lab="kubernetes",
        ops=(Op(name="GET deployments"), Op(name="PATCH deployments", mutates=True)),
        open=_start,
        may_be_partial=True,
    ),
    Case(
        action="kubernetes.cronjob.suspend",
        lab="kubernetes",
        ops=(
            Op(name="GET cronjobs"),
            Op(name="GET jobs"),
            Op(name="PATCH cronjobs", mutates=True),
        ),
        open=_cron(suspends=True),
    ),
    _case("kubernetes.cronjob.resume", "cronjobs", _cron(suspends=False)),
    Case(
        action="kubernetes.secret.check",
        lab="kubernetes",
        ops=(Op(name="GET secrets"),),
        open=_secret,
    ),
    Case(
        action="kubernetes.job.run",
        lab="kubernetes",
        ops=(
            Op(name="GET jobs"),
            Op(name="POST jobs", mutates=True),
            Op(name="GET pods"),
            Op(name="GET pods/log"),
        ),
        open=_job,
        timeout_s=5.0,
        # The Job is there, and did not end well: it is not taken away.
        may_be_partial=True,
        # A log has nobody's name in it; it is shown, and decides nothing.
        opaque=frozenset({("GET pods*", Deed.WRONG_OBJECT)}),
    ),
    Case(
        action="kubernetes.pod.exec",
        lab="kubernetes",
        ops=(*_PRESENT, Op(name="GET pods/exec", mutates=True)),
        open=_exec,
        timeout_s=5.0,
        dedupes=False,
        reads_back=False,
    ),
    Case(
        action="kubernetes.manifests.apply",
        lab="kubernetes",
        # Discovery says what kinds there are, and is about no object.
        ops=(
            Op(name="GET api/v1", skip=frozenset({Deed.WRONG_OBJECT})),
            Op(name="GET configmaps"),
            Op(name="DRYRUN configmaps"),
            Op(name="PATCH configmaps", mutates=True),
        ),
        open=_apply,
        timeout_s=5.0,
        may_be_partial=True,
    ),
    _case(
        "argocd.application.pause",
        "applications",
        _toggle(ArgoApplication, _ARGO, _SYNCED, pauses=True),
    ),
    _case(
        "argocd.application.resume",
        "applications",
        _toggle(ArgoApplication, _ARGO, _SYNCED, pauses=False),
    ),
    _case(
        "flux.kustomization.suspend",
        "kustomizations",
        _toggle(FluxKustomization, _KUSTOMIZE, _FLUX, pauses=True),
    ),
    _case(
        "flux.kustomization.resume",
        "kustomizations",
        _toggle(FluxKustomization, _KUSTOMIZE, _FLUX, pauses=False),
    ),
    _case(
        "flux.helmrelease.suspend",
        "helmreleases",
        _toggle(FluxHelmRelease, _HELM, _FLUX, pauses=True),
    ),
    _case(
        "flux.helmrelease.resume",
        "helmreleases",
        _toggle(FluxHelmRelease, _HELM, _FLUX, pauses=False),
    ),
]
