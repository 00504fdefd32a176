"""What a recovery needs of a cluster: a door that opens, rights, room, images, secrets."""

import asyncio
import base64
import json
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote

from drctl.actions.check import (
    Asked,
    Check,
    Prerequisite,
    Rung,
    Standing,
    broken,
    holds,
    unproven,
)
from drctl.actions.contract import Context
from drctl.actions.errors import ActionError, AuthRejected, Conflict, NotFound, Rejected
from drctl.actions.targets import Deployment, KubernetesObject, Target
from drctl.adapters import _certificate, _secret
from drctl.adapters.kubernetes.client import Cluster, deployment_path, secret_path
from drctl.adapters.kubernetes.image import CheckImage, ImageParams
from drctl.adapters.kubernetes.permissions import needed
from drctl.kernel.duration import format_duration

MARGIN_S = 600.0
"""A run may begin late; a token must outlive it by that much."""
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_JWT_PARTS = 3


class _InACluster(Check[Deployment]):
    """What is asked of the API server."""

    targets: ClassVar[tuple[type[Target], ...]] = (Deployment, KubernetesObject)
    actions: ClassVar[tuple[str, ...]] = (
        "kubernetes.*", "argocd.*", "flux.*",
    )  # fmt: skip

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)


class ServerCertificate(_InACluster):
    """The API server's certificate is trusted, and for some time yet."""

    name: ClassVar[str] = "kubernetes.certificate"
    summary: ClassVar[str] = "The API server's certificate is trusted and good for 14 days"
    rung: ClassVar[Rung] = Rung.DOOR

    def key(self, asked: Asked[Deployment]) -> Hashable:
        return asked.target.cluster.server

    async def look(self, ctx: Context, asked: Asked[Deployment]) -> Sequence[Prerequisite]:
        cluster = asked.target.cluster
        return [await _certificate.look(ctx, cluster.server, cluster.ca_file)]


class TokenLasts(_InACluster):
    """The bearer token is not about to run out, where it says when it does."""

    name: ClassVar[str] = "kubernetes.token"
    summary: ClassVar[str] = "The bearer token outlives the RTO by ten minutes"
    rung: ClassVar[Rung] = Rung.DOOR

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return ()  # it is read, nobody is asked

    def key(self, asked: Asked[Deployment]) -> Hashable:
        return (asked.target.cluster.server, asked.target.cluster.token, asked.rto_s)

    async def look(self, ctx: Context, asked: Asked[Deployment]) -> Sequence[Prerequisite]:
        cluster = asked.target.cluster
        subject = f"token for {cluster.server}"
        try:
            ends = _end_of(_secret.reveal(ctx, cluster.token))
        except AuthRejected:
            return []  # that the secret is not there is said by who looks for secrets
        if ends is None:
            why = "it is no JWT with an end: nobody knows how long it is accepted"
            return [unproven(subject, why, "use a token that says it, and renew that")]
        left_s = (ends - ctx.clock.now().wall).total_seconds()
        needs_s = asked.rto_s + MARGIN_S
        why = f"it ends in {format_duration(max(0.0, left_s))}, and {format_duration(needs_s)} are"
        if left_s < needs_s:
            do = "renew it where the reference points, and more often"
            return [broken(subject, f"{why} needed", do, left_s=left_s)]
        return [holds(subject, f"{why} needed", left_s=left_s)]


def _end_of(token: str) -> datetime | None:
    """When a JWT says that it ends. Its signature is the server's business."""
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        return None


class Allowed(_InACluster):
    """
    The server would let each request of the plan through, as it says itself.

    A SelfSubjectAccessReview is a POST that creates, keeps and changes nothing.
    """

    name: ClassVar[str] = "kubernetes.permissions"
    summary: ClassVar[str] = "SelfSubjectAccessReview allows every request of the plan"
    minds_undo: ClassVar[bool] = True

    async def look(self, ctx: Context, asked: Asked[Deployment]) -> Sequence[Prerequisite]:
        target = asked.target
        wanted: dict[tuple[str, str, str], list[str]] = {}
        for use in asked.uses:
            for rule in needed(use.action):
                wanted.setdefault(rule, []).append(use.step)
        if not wanted:
            return []
        cluster = Cluster(ctx, target.cluster)
        answers = await asyncio.gather(*(_may(cluster, target.namespace, rule) for rule in wanted))
        denied = [rule for rule, may in zip(wanted, answers, strict=True) if not may]
        subject = f"rights in {target.namespace} ({target.cluster.region})"
        if not denied:
            return [holds(subject, f"all {len(wanted)} are allowed, says the server")]
        steps = tuple(dict.fromkeys(step for rule in denied for step in wanted[rule]))
        named = ", ".join(
            f"{verb} {f'{group}/' if group else ''}{what}" for group, what, verb in denied
        )
        return [
            Prerequisite(
                standing=Standing.NOT_READY, subject=subject, why=f"not allowed: {named}",
                do="allow it in a Role that is bound to the token's user", steps=steps,
            )
        ]  # fmt: skip


async def _may(cluster: Cluster, namespace: str, rule: tuple[str, str, str]) -> bool:
    group, resource, verb = rule
    name, _, part = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": name, "verb": verb}
    if part:
        attributes["subresource"] = part
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await cluster.review(REVIEW, body)
    return answer.get("status", {}).get("allowed") is True


class QuotaLeavesRoom(_InACluster):
    """
    The namespace's quotas let a Deployment grow to what the plan asks for.

    Numbers of pods only, and no look at whether nodes have room.
    """

    name: ClassVar[str] = "kubernetes.quota"
    summary: ClassVar[str] = "The namespace's quota of pods leaves room for the replicas wanted"
    targets: ClassVar[tuple[type[Target], ...]] = (Deployment,)
    actions: ClassVar[tuple[str, ...]] = ("kubernetes.deployment.scale",)

    async def look(self, ctx: Context, asked: Asked[Deployment]) -> Sequence[Prerequisite]:
        target, cluster = asked.target, Cluster(ctx, asked.target.cluster)
        counts = [use.params.get("replicas") for use in asked.uses]
        known = [one for one in counts if isinstance(one, int) and not isinstance(one, bool)]
        if not known:
            return []
        deployment = await _deployment(cluster, target)
        if deployment is None:
            why = "there is no such Deployment"
            return [broken(target.label, why, "deploy the application there")]
        has = int(deployment["spec"].get("replicas") or 0)
        namespace = quote(target.namespace, safe="")
        quotas = await cluster.items(f"/api/v1/namespaces/{namespace}/resourcequotas")
        pods = await cluster.items(f"/api/v1/namespaces/{namespace}/pods")
        used = sum(not _is_over(pod) for pod in pods)
        wanted = max(known)
        needed_pods = used + max(0, wanted - has)
        subject = f"quota of {target.namespace} ({target.cluster.region})"
        for quota in quotas:
            hard = (quota.get("spec", {}).get("hard") or {}).get("pods")
            if hard is not None and int(hard) < needed_pods:
                why = (
                    f"{quota['metadata']['name']} allows {hard} pods, {used} are there, and"
                    f" {wanted} replicas of {target.name} make {needed_pods}"
                )
                return [broken(subject, why, "have the quota raised", pods_needed=needed_pods)]
        return [holds(subject, f"it leaves room for {wanted} replicas", pods_needed=needed_pods)]


async def _deployment(cluster: Cluster, target: Deployment) -> Mapping[str, Any] | None:
    try:
        return await cluster.get(deployment_path(target))
    except NotFound:
        return None


def _is_over(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


class ImagesThere(_InACluster):
    """A registry has every image that the Deployment's pods name."""

    name: ClassVar[str] = "kubernetes.images"
    summary: ClassVar[str] = "The registry has the images that new pods would pull"
    targets: ClassVar[tuple[type[Target], ...]] = (Deployment,)
    actions: ClassVar[tuple[str, ...]] = (
        "kubernetes.deployment.scale", "kubernetes.deployment.restart",
        "kubernetes.deployment.start",
    )  # fmt: skip

    async def look(self, ctx: Context, asked: Asked[Deployment]) -> Sequence[Prerequisite]:
        target = asked.target
        deployment = await _deployment(Cluster(ctx, target.cluster), target)
        if deployment is None:
            return []  # said where its quota is looked at
        pod = deployment["spec"]["template"]["spec"]
        containers = [*pod.get("initContainers", []), *pod.get("containers", [])]
        images = dict.fromkeys(str(one["image"]) for one in containers)
        return list(await asyncio.gather(*(_image(ctx, target, image) for image in images)))


async def _image(ctx: Context, target: Deployment, image: str) -> Prerequisite:
    subject = f"image {image} ({target.cluster.region})"
    try:
        found = await CheckImage().perform(ctx, target, ImageParams(image=image))
    except (NotFound, Conflict, Rejected) as error:
        return broken(subject, str(error), "push it there, or deploy one that is there")
    except ActionError as error:
        return Prerequisite(
            standing=Standing.CANNOT_TELL, subject=subject, why=str(error),
            do="say under registry: and registry_token: how the registry is asked",
        )  # fmt: skip
    named = "" if "@sha256:" in image else ", by a tag, which may be moved"
    return holds(subject, f"there as {found.digest}{named}")


class SecretThere(_InACluster):
    """The Secrets that the plan writes to or checks are there."""

    name: ClassVar[str] = "kubernetes.secret"
    summary: ClassVar[str] = "The Secrets that steps change are there, and may be changed"
    targets: ClassVar[tuple[type[Target], ...]] = (Deployment,)
    actions: ClassVar[tuple[str, ...]] = ("kubernetes.secret.patch",)

    async def look(self, ctx: Context, asked: Asked[Deployment]) -> Sequence[Prerequisite]:
        target, cluster = asked.target, Cluster(ctx, asked.target.cluster)
        steps: dict[str, list[str]] = {}
        for use in asked.uses:
            if isinstance(name := use.params.get("name"), str):
                steps.setdefault(name, []).append(use.step)
        found = []
        for name, breaks in steps.items():
            seen = await _secret_seen(cluster, target, name)
            found.append(
                Prerequisite(
                    standing=seen.standing, subject=seen.subject, why=seen.why, do=seen.do,
                    steps=tuple(dict.fromkeys(breaks)),
                )
            )  # fmt: skip
        return found


async def _secret_seen(cluster: Cluster, target: Deployment, name: str) -> Prerequisite:
    subject = f"secret/{name} in {target.namespace} ({target.cluster.region})"
    try:
        secret = await cluster.get(secret_path(target, name))
    except NotFound as error:
        return broken(subject, str(error), "make it, as it is in the primary region")
    if secret.get("immutable"):
        return broken(subject, "it is immutable", "make it anew, without immutable: true")
    return holds(subject, "it is there, and may be changed")
