"""Asks a registry whether an image is there, before anything is made to need it."""

import hashlib
import re
from typing import ClassVar

from drctl.actions.contract import Action, Context, Effect, Observation, Outputs, Params, Repeat
from drctl.actions.errors import Rejected, Unavailable
from drctl.actions.targets import Deployment, Text
from drctl.adapters import _http, _secret

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(?::[0-9]+)?)/(?P<name>[a-z0-9._/-]+)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DOCKER_HUB = "docker.io"


class ImageParams(Params):
    """Which one."""

    image: Text
    """As a pod names it: ``registry.example/shop/web:1.4.2``, or with ``@sha256:``."""


class ImageThere(Outputs):
    """What the registry has under that name."""

    image: str
    digest: str
    """``sha256:…`` of the manifest; what a tag means now."""


class CheckImage(Action[Deployment, ImageParams, ImageThere]):
    """Fails when the registry does not have the image: a pod of it could never start."""

    name: ClassVar[str] = "kubernetes.image.check"
    summary: ClassVar[str] = "Ask a registry whether it has an image"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    looks_blind: ClassVar[bool] = False
    is_prerequisite: ClassVar[bool] = True
    targets = (Deployment,)
    params = ImageParams
    outputs = ImageThere

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    async def observe(
        self, ctx: Context, target: Deployment, params: ImageParams | None
    ) -> Observation:
        if params is None:
            return Observation()
        seen = await self.perform(ctx, target, params)
        return Observation(facts={"digest": seen.digest})

    async def perform(self, ctx: Context, target: Deployment, params: ImageParams) -> ImageThere:
        """
        Asks for the manifest, as a node would before it pulls.

        Raises:
            NotFound: The registry has no such image.
            Rejected: The name is no name of an image with a registry, or the tag means another
                image than its digest.
            ActionError: The registry did not say.
        """
        base, name, reference = _place(target, params.image)
        headers = {"Accept": ", ".join(_MANIFESTS)}
        hidden = []
        if target.registry_token is not None:
            hidden = [_secret.reveal(ctx, target.registry_token)]
            headers["Authorization"] = f"Bearer {hidden[0]}"
        answer = await _http.send_ok(
            ctx,
            "GET",
            f"{base}/v2/{name}/manifests/{reference}",
            label=f"the registry of {params.image}",
            headers=headers,
            hidden=hidden,
        )
        digest = answer.headers.get("docker-content-digest", "")
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if not _DIGEST.fullmatch(digest) or kind not in _MANIFESTS:
            raise Unavailable(f"the registry of {params.image} answered something else: {kind}")
        held = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if held != digest or (reference.startswith("sha256:") and digest != reference):
            raise Unavailable(f"the registry of {params.image} answered with another manifest")
        return ImageThere(image=params.image, digest=digest)


def _place(target: Deployment, image: str) -> tuple[str, str, str]:
    """Base URL, repository and reference of an image."""
    found = _REFERENCE.fullmatch(image)
    if found is None or not ("." in found["host"] or ":" in found["host"]):
        raise Rejected(f"{image} names no registry: write it as HOST/NAME:TAG")
    host = "registry-1.docker.io" if found["host"] == _DOCKER_HUB else found["host"]
    base = (target.registry or f"https://{host}").rstrip("/")
    return base, found["name"], found["digest"] or found["tag"] or "latest"
