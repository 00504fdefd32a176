"""A registry of images, as far as asking whether one is there: the OCI distribution API."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"


class ImageRegistry:
    """Answers ``HEAD`` and ``GET /v2/NAME/manifests/REFERENCE`` for the images that it has."""

    def __init__(self, images: Mapping[str, Sequence[str]]) -> None:
        """
        Args:
            images: Repository to its tags.
        """
        self.tags = {name: set(tags) for name, tags in images.items()}
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> None:
        """
        Begins to serve.

        Raises:
            OSError: The address is not free.
        """
        app = web.Application()
        app.router.add_get("/v2/", self._root)
        app.router.add_get("/v2/{name:.+}/manifests/{reference}", self._manifest)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()

    async def stop(self) -> None:
        """Ends the server. Safe to repeat."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def has(self, name: str, tag: str) -> bool:
        """Whether a repository has a tag."""
        return tag in self.tags.get(name, ())

    async def _root(self, _request: web.Request) -> web.Response:
        return web.json_response({})

    async def _manifest(self, request: web.Request) -> web.Response:
        name, reference = request.match_info["name"], request.match_info["reference"]
        tags = self.tags.get(name)
        if tags is None:
            return _error("NAME_UNKNOWN", "repository name not known to registry", name)
        by_digest = {_digest(_manifest(name, tag)): tag for tag in tags}
        tag = by_digest.get(reference, reference)
        if tag not in tags:
            return _error("MANIFEST_UNKNOWN", "manifest unknown", reference)
        body = _manifest(name, tag)
        return web.Response(
            body=body, content_type=_MANIFEST, headers={"Docker-Content-Digest": _digest(body)}
        )


def _manifest(name: str, tag: str) -> bytes:
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": f"sha256:{hashlib.sha256(f'{name}:{tag}'.encode()).hexdigest()}",
        "size": 2,
    }
    document = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": []}
    return json.dumps(document, sort_keys=True).encode()


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _error(code: str, message: str, detail: str) -> web.Response:
    body = {"errors": [{"code": code, "message": message, "detail": detail}]}
    return web.json_response(body, status=404)
