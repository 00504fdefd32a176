"""One Google Cloud project on one address: token endpoint, Cloud SQL, Cloud DNS, its number."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from drctl.lab.gcp.dns import CloudDns
from drctl.lab.gcp.sql import CloudSql
from drctl.lab.gcp.tokens import Tokens
from drctl.lab.gcp.wire import Refusal, require_query

_TOKEN: Final = "/token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer, for tests that hold both against Google's own description."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes
    status: int
    answer: bytes


class GcpCloud:
    """
    The stand-in. Everything is in no region: it is up or it is not.

    Example:
        >>> cloud = GcpCloud("drctl-lab", "415104041262", ("127.88.0.30", 8090))
        >>> cloud.endpoints["dns"]
        'http://127.88.0.30:8090'
    """

    def __init__(
        self,
        project: str,
        number: str,
        address: tuple[str, int],
        *,
        on_exchange: Callable[[Exchange], None] = lambda _exchange: None,
        ledger_file: Path | None = None,
    ) -> None:
        """
        Args:
            number: The project's number.
            on_exchange: Called with each request and its answer.
            ledger_file: Where applied mutations are noted; None: nowhere.
        """
        self.project = project
        self.number = number
        self._address = address
        self._on_exchange = on_exchange
        self.url = f"http://{address[0]}:{address[1]}"
        self.tokens = Tokens(project, f"{self.url}{_TOKEN}")
        self.sql = CloudSql(project, self.tokens.email, ledger_file)
        self.dns = CloudDns(project, number, ledger_file)
        self._runner: web.AppRunner | None = None

    @property
    def endpoints(self) -> dict[str, str]:
        """For a connection of an environment."""
        return dict.fromkeys(("sqladmin", "dns", "cloudresourcemanager", "oauth2"), self.url)

    async def start(self) -> None:
        """
        Begins to answer.

        Raises:
            OSError: The address is not free.
        """
        application = web.Application(middlewares=[self._middleware()])
        application.add_routes(
            [
                web.post(_TOKEN, self.tokens.grant),
                web.get("/v3/projects/{project}", self._project),
                *self.sql.routes(),
                *self.dns.routes(),
            ]
        )
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._address).start()

    async def stop(self) -> None:
        """Stops answering, and ends what is under way. The servers are not its own."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.sql.operations.stop()
        await self.sql.work.stop()
        await self.dns.stop()

    async def _project(self, request: web.Request) -> web.Response:
        require_query(request)
        if request.match_info["project"] != self.project:
            raise Refusal(403, "forbidden", "The caller does not have permission")
        return web.json_response(
            {
                "name": f"projects/{self.number}",
                "projectId": self.project,
                "state": "ACTIVE",
                "displayName": self.project,
            }
        )

    def _middleware(self) -> Middleware:
        @web.middleware
        async def judge(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                if request.path != _TOKEN:
                    self.tokens.require(request)
                response = await handler(request)
            except Refusal as refusal:
                response = refusal.response()
            except web.HTTPNotFound:
                response = Refusal(404, "notFound", "Not Found").response()
            if isinstance(response, web.Response):
                self._tell(request, await request.read(), response)
            return response

        return judge

    def _tell(self, request: web.Request, body: bytes, response: web.Response) -> None:
        answer = response.body
        exchange = Exchange(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            body=body,
            status=response.status,
            answer=answer if isinstance(answer, bytes) else b"",
        )
        self._on_exchange(exchange)
