"""Calls to an API server from inside the lab, as a controller or a pipeline makes them."""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

_TIMEOUT_S = 5.0
_TYPES = {
    "POST": "application/json",
    "PATCH": "application/merge-patch+json",
    "STRATEGIC": "application/strategic-merge-patch+json",
}
Verb = Literal["GET", "POST", "PUT", "PATCH", "STRATEGIC", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One API server, its authority and a token."""

    server: str
    ca_file: str
    token: str

    async def call(self, verb: Verb, path: str, body: Any = None) -> dict[str, Any]:
        """
        Sends one request in a thread; ``PATCH`` is a merge patch, ``STRATEGIC`` a strategic one.

        Raises:
            FileNotFoundError: 404.
            OSError: It did not answer, or said no.
        """
        return await asyncio.to_thread(self.now, verb, path, body)

    def now(self, verb: Verb, path: str, body: Any = None) -> dict[str, Any]:
        """The same, in this thread."""
        request = urllib.request.Request(  # noqa: S310 (the lab's own server)
            self.server + path,
            method="PATCH" if verb == "STRATEGIC" else verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": _TYPES.get(verb, "application/json"),
            },
        )
        trust = ssl.create_default_context(cafile=self.ca_file)
        try:
            with urllib.request.urlopen(request, context=trust, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (the lab's own server)
                said: dict[str, Any] = json.loads(answer.read())
                return said
        except urllib.error.HTTPError as error:
            why = error.read().decode("utf-8", "replace")
            if error.code == HTTPStatus.NOT_FOUND:
                raise FileNotFoundError(why) from error
            raise OSError(f"{verb} {path}: {error.code}: {why[:300]}") from error
