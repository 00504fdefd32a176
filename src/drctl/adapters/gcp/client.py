"""Google's REST calls with nothing ambient: explicit project, credentials and endpoints."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal, TypeAlias
from urllib.parse import quote, urlencode

from drctl.actions.contract import Context
from drctl.actions.errors import OutcomeUnknown, Throttled, Unavailable
from drctl.actions.targets import GcpConnection
from drctl.adapters import _http
from drctl.adapters.gcp.errors import error_of
from drctl.adapters.gcp.token import Token, obtain
from drctl.kernel.canonical import JSON
from drctl.kernel.retry import retry_read

Service: TypeAlias = Literal["sqladmin", "dns", "cloudresourcemanager"]

CALL = timedelta(seconds=15)
PATIENCE = timedelta(seconds=10)
"""How long a read is repeated before its caller hears that the other side is not there."""
_OFTEN: tuple[type[Exception], ...] = (Throttled, Unavailable)


class Gcp:
    """Calls to one project, for one action. Keeps a token, nothing else."""

    def __init__(self, ctx: Context, connection: GcpConnection, *, call: timedelta = CALL) -> None:
        self._ctx = ctx
        self._connection = connection
        self._call = call
        self._token: Token | None = None

    @property
    def project(self) -> str:
        """Whose resources are asked for."""
        return self._connection.project

    async def read(
        self,
        service: Service,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        patience: timedelta = PATIENCE,
    ) -> dict[str, Any]:
        """
        Makes a GET; repeats it while throttled or unavailable, for *patience*.

        Args:
            path: From the root of the service, each part quoted (`part`).

        Raises:
            ActionError: What the other side said, or that it did not.
        """
        ctx = self._ctx

        async def once() -> dict[str, Any]:
            return await self._send("GET", service, path, query, None)

        deadline = ctx.deadline.at_most(ctx.clock, patience)
        return await retry_read(once, on=_OFTEN, clock=ctx.clock, deadline=deadline)

    async def mutate(
        self,
        method: Literal["POST", "PATCH"],
        service: Service,
        path: str,
        body: JSON = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """
        Delivers a request that changes something, once.

        Raises:
            OutcomeUnknown: It may have arrived, and no answer came, or one that cannot be read.
            ActionError: It was refused, or was never sent.
        """
        return await self._send(method, service, path, query, body)

    async def _send(
        self,
        method: _http.Method,
        service: Service,
        path: str,
        query: Mapping[str, str] | None,
        body: JSON,
    ) -> dict[str, Any]:
        changes = method != "GET"
        what = f"{service} {method} {path.rsplit('/', 1)[-1]} of {self.project}"
        token = await self._bearer()
        response = await _http.send(
            self._ctx,
            method,
            self._url(service, path, query),
            label=what,
            headers={"authorization": f"Bearer {token}"},
            body=body,
            changes=changes,
            timeout=self._call,
        )
        error = error_of(response, what, changes=changes, hidden=(token,))
        if error is not None:
            raise error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            word = OutcomeUnknown if changes else Unavailable
            raise word(f"{what} answered {response.status} with something that is no JSON object")
        return answer

    async def _bearer(self) -> str:
        token = self._token
        if token is None or not token.is_fresh(self._ctx):
            token = self._token = await obtain(self._ctx, self._connection)
        return token.value

    def _url(self, service: Service, path: str, query: Mapping[str, str] | None) -> str:
        base = self._connection.endpoints.get(service, f"https://{service}.googleapis.com")
        asked = f"?{urlencode(query)}" if query else ""
        return f"{base.rstrip('/')}/{path}{asked}"


def part(text: str) -> str:
    """One part of a path, whatever is in it."""
    return quote(text, safe=":")
