"""What AWS checks before a service sees a request, in front of one region's emulator."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from moto.s3.models import s3_backends

from drctl.lab import wire
from drctl.lab.aws import refusals
from drctl.lab.aws.mutations import mutation_of
from drctl.lab.aws.refusals import Refusal
from drctl.lab.ledger import note
from drctl.lab.plan import ACCOUNT_ID, GLOBAL_REGION, Region

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LOG: Final = logging.getLogger(__name__)

GLOBAL_SERVICES: Final = frozenset({"route53", "iam"})

# Credential=<key id>/<date>/<region>/<service>/aws4_request
_CREDENTIAL: Final = re.compile(
    r"(?P<key_id>[^/\s]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Who signed a request, for which service of which region."""

    key_id: str
    region: str
    service: str


class Front:
    """
    A WSGI application: refuses as AWS does, or hands on to the emulator.

    Signatures are not verified, only what they claim: key, region, service.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        region: Region,
        access_keys: Collection[str],
        ledger: Path | None = None,
        forbids: Callable[[WSGIEnvironment, Scope], str | None] = lambda _environ, _scope: None,
    ) -> None:
        """
        Args:
            ledger: Where mutations that were applied are noted.
            forbids: Says why IAM does not let a request through, or ``None``.
        """
        self._app = app
        self._ledger = ledger
        self._forbids = forbids
        self._region = region
        self._access_keys = frozenset(access_keys)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        scope = scope_of(environ)
        # Nobody reads without a signature but from S3; a POST is a call of some other service.
        unsigned = "" if environ["REQUEST_METHOD"] == "POST" else "s3"
        service = unsigned if scope is None else scope.service
        asked = mutation_of(environ, service)
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
        request = asked.operation if asked else f"{service} {method} {path}"
        agent = environ.get("HTTP_USER_AGENT")
        wire.note(f"aws {self._region}", request, agent, mutates=asked is not None)
        refusal = self._refusal(environ, scope)
        if refusal is None:
            try:
                return self._emulated(environ, start_response, service)
            except NotImplementedError as gap:
                refusal = refusals.not_emulated(str(gap))
            except Exception:  # noqa: BLE001  an emulator's bug must not be a page of HTML
                _LOG.exception("the emulated %s failed", service)
                refusal = refusals.INTERNAL_FAILURE
        return refusals.answer(refusal, service, environ, start_response)

    def _emulated(
        self, environ: WSGIEnvironment, start_response: StartResponse, service: str
    ) -> Iterable[bytes]:
        asked = mutation_of(environ, service)
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def hear(status: str, headers: list[tuple[str, str]], _: object = None) -> None:
            said.append((status, headers))

        body = b"".join(self._app(environ, hear))  # type: ignore[arg-type]  # write() is unused
        status, headers = said[-1]
        kind = {name.lower(): value for name, value in headers}.get("content-type", "")
        if int(status[:3]) >= 400 and kind.startswith("text/html") and service != "s3":
            raise NotImplementedError(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if asked is not None and status.startswith("2"):
            note(
                self._ledger,
                f"aws {self._region}",
                asked.operation,
                asked.target,
                dict(asked.request),
                key=asked.key,
                applied={"status": int(status[:3])},
            )
        start_response(status, headers)
        return [body]

    def _refusal(self, environ: WSGIEnvironment, scope: Scope | None) -> Refusal | None:
        path = environ.get("PATH_INFO", "/")
        if scope is None:
            is_public_read = environ["REQUEST_METHOD"] in {"GET", "HEAD"} and path.count("/") > 1
            if not is_public_read or path.startswith("/moto-api"):
                return refusals.MISSING_TOKEN
            return self._elsewhere(path)
        if scope.key_id not in self._access_keys:
            return refusals.unknown_key(scope.service)
        if scope.region != self._region:
            return refusals.wrong_region(scope.service, scope.region, self._region)
        if scope.service in GLOBAL_SERVICES and self._region != GLOBAL_REGION:
            return refusals.wrong_region(scope.service, scope.region, GLOBAL_REGION)
        elsewhere = self._elsewhere(path) if scope.service == "s3" else None
        why = self._forbids(environ, scope) if elsewhere is None else None
        return refusals.forbidden(scope.service, why) if why else elsewhere

    def _elsewhere(self, path: str) -> Refusal | None:
        # The emulator keeps one list of buckets for all regions; a real region serves its own.
        bucket = s3_backends[ACCOUNT_ID]["aws"].buckets.get(path.split("/")[1])
        if bucket is None or bucket.region_name == self._region:
            return None
        return refusals.bucket_elsewhere(bucket.name, bucket.region_name)


def scope_of(environ: WSGIEnvironment) -> Scope | None:
    """Returns what a request's signature claims; None when it is not signed."""
    claim = environ.get("HTTP_AUTHORIZATION", "")
    if not claim:
        claim = "".join(parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", []))
    found = _CREDENTIAL.search(claim.replace("Credential=", " "))
    if found is None:
        return Scope("", "", "s3") if claim else None
    return Scope(found["key_id"], found["region"], found["service"].lower())
