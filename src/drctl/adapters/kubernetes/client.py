"""
Calls to one Kubernetes API server with nothing ambient: no kubeconfig, no in-cluster token, no
proxy.

Bodies are read as plain JSON: the generated models of the official client refuse objects that lack
a field which a newer or older server leaves out, and a failover is no time for that.
"""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from drctl.actions.contract import Context, NotPermittedError
from drctl.actions.errors import ActionError, AuthRejected, OutcomeUnknown, Throttled, Unavailable
from drctl.actions.targets import Deployment, KubernetesConnection, KubernetesObject
from drctl.adapters import _blocking, _secret
from drctl.adapters._read_only import require_kubernetes
from drctl.adapters.kubernetes.errors import of_status, translate
from drctl.kernel.retry import retry_read

CONNECT_S = 3.0
READ_S = 10.0
PATIENCE = timedelta(seconds=10)
"""How long a read is repeated before its caller hears that the server is not there."""
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_SAID_LENGTH = 500
_SCALE, _STATUS = "/scale", "/status"


class Cluster:
    """
    Calls to one API server, for the time of one action.

    Keeps its connections, and the version of what it changed: an answer from before that (a cache,
    a follower) is no answer, and neither is one about another object.
    """

    def __init__(self, ctx: Context, connection: KubernetesConnection) -> None:
        self._ctx = self.ctx = ctx
        self._connection = connection
        self._client: Any = None
        self._building = threading.Lock()
        self._changed: dict[str, int] = {}

    async def get(
        self, path: str, *, patience: timedelta = PATIENCE, about: str | None = ""
    ) -> dict[str, Any]:
        """
        Reads an object; repeats that while throttled or unavailable, for *patience*.

        Args:
            about: Name of the object that must be in the answer; empty: the path's last part;
                ``None``: the answer is about no object.

        Raises:
            ActionError: What the server said, or that it did not.
        """
        ctx = self._ctx

        async def fresh() -> dict[str, Any]:
            answer = await self._call("GET", path, None, about=about)
            if self._version(answer) < self._changed.get(path, 0):
                raise Unavailable(f"GET {path}: answered from before our own change")
            return answer

        return await retry_read(
            fresh,
            on=(Throttled, Unavailable),
            clock=ctx.clock,
            deadline=ctx.deadline.at_most(ctx.clock, patience),
        )

    async def once(self, path: str) -> dict[str, Any]:
        """
        Reads an object, without repeating that.

        Raises:
            ActionError: What the server said, or that it did not.
        """
        return await self._call("GET", path, None)

    async def items(
        self, path: str, *, selector: str = "", patience: timedelta = PATIENCE
    ) -> list[dict[str, Any]]:
        """
        Reads the objects of a collection that fit a label selector, as `get` reads one.

        Args:
            selector: ``name=value`` with commas between; empty: all of them.

        Raises:
            ActionError: What the server said, or that it did not.
        """
        ctx, newest = self._ctx, max(self._changed.values(), default=0)
        asked = f"{path}?labelSelector={quote(selector, safe='')}" if selector else path

        async def fresh() -> list[dict[str, Any]]:
            answer = await self._call("GET", asked, None, about=None)
            found = answer.get("items")
            if not str(answer.get("kind", "")).endswith("List") or not isinstance(found, list):
                raise Unavailable(f"GET {path}: answered something that is no list")
            if self._version(answer) < newest:
                raise Unavailable(f"GET {path}: answered from before our own change")
            if not all(_fits(one, selector) for one in found):
                raise Unavailable(f"GET {path}: answered about others than {selector}")
            return found

        return await retry_read(
            fresh,
            on=(Throttled, Unavailable),
            clock=ctx.clock,
            deadline=ctx.deadline.at_most(ctx.clock, patience),
        )

    async def patch(
        self, path: str, body: dict[str, Any] | list[dict[str, Any]], *, kind: str = MERGE_PATCH
    ) -> dict[str, Any]:
        """
        Delivers a patch, a JSON merge patch unless *kind* is another one, once.

        Raises:
            OutcomeUnknown: It may have arrived, and no answer came.
            ActionError: It was refused, or was never sent.

        Changes:
            The object at *path*.
        """
        answer = await self._call("PATCH", path, body, kind=kind)
        self._changed[_whole(path)] = self._version(answer)
        return answer

    @staticmethod
    def _version(answer: dict[str, Any]) -> int:
        """Grows with each change of an object; 0 when a server counts in another way."""
        text = str((answer.get("metadata") or {}).get("resourceVersion", ""))
        return int(text) if text.isascii() and text.isdigit() else 0

    async def apply(
        self, path: str, body: dict[str, Any], *, manager: str, dry_run: bool = False
    ) -> dict[str, Any]:
        """
        Applies an object server-side, once, and never takes over what others own.

        Args:
            dry_run: The server does everything but store it: that changes nothing, and may be asked
                while planning.

        Raises:
            Conflict: Another manager owns a field with another value; the message names both.
            OutcomeUnknown: It may have arrived, and no answer came.
            ActionError: It was refused, or was never sent.

        Changes:
            The object at *path*, unless it is a dry run.
        """
        asked = f"{path}?fieldManager={quote(manager, safe='')}&force=false&fieldValidation=Strict"
        if dry_run:
            return await self._call(
                "PATCH", f"{asked}&dryRun=All", body, kind=APPLY_PATCH, mutates=False
            )
        answer = await self._call("PATCH", asked, body, kind=APPLY_PATCH)
        self._changed[path] = self._version(answer)
        return answer

    async def text(self, path: str) -> str:
        """
        Reads something that is not JSON, a log, without repeating that.

        Raises:
            ActionError: What the server said, or that it did not.
        """
        raw = await self._send("GET", path, None, kind="", mutates=False)
        return raw.decode("utf-8", "replace")

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """
        Creates an object in the collection at *path*, once.

        Raises:
            Conflict: There is one of that name.
            OutcomeUnknown: It may have arrived, and no answer came.
            ActionError: It was refused, or was never sent.

        Changes:
            The collection.
        """
        return await self._call("POST", path, body, about=str(body["metadata"]["name"]))

    async def review(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """
        Asks a question that Kubernetes wants as a POST, and that it keeps and changes nothing for:
        one of the access reviews.

        Raises:
            ActionError: What the server said, or that it did not.
        """
        return await self._call("POST", path, body, about=None, mutates=False)

    def within(self, ctx: Context) -> "Cluster":
        """The same connections, for another action."""
        made = Cluster(ctx, self._connection)
        made._client, made._building = self._client, self._building
        return made

    async def _call(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        kind: str = "",
        about: str | None = "",
        mutates: bool | None = None,
    ) -> dict[str, Any]:
        """
        Sends one request.

        Args:
            kind: Media type of the body, when it is not plain JSON.
            about: Name of the object that must be in the answer; empty: the path's last part;
                ``None``: any.
            mutates: ``None``: everything but a GET does.
        """
        changes = method != "GET" if mutates is None else mutates
        raw = await self._send(method, path, body, kind=kind, mutates=changes)
        what, late = self._what(method, path), OutcomeUnknown if changes else Unavailable
        try:
            answer: dict[str, Any] = json.loads(raw)
        except ValueError as error:
            raise late(f"{what}: answered something that is not JSON") from error
        if about is not None and (other := _is_about_another(path, answer, about)) is not None:
            raise late(f"{what}: answered about another object, {other}")
        return answer

    def _what(self, method: str, path: str) -> str:
        return f"{method} {path} in {self._connection.region}"

    async def _send(self, method: str, path: str, body: Any, *, kind: str, mutates: bool) -> bytes:
        ctx = self._ctx
        what = self._what(method, path)
        left_s = ctx.deadline.left_s(ctx.clock)
        if left_s <= 0:
            raise Unavailable(f"{what}: no time left, not sent")
        limits_s = (min(CONNECT_S, left_s), min(READ_S, left_s))

        def call() -> tuple[int, dict[str, str], bytes]:
            answer = self._built(mutates=mutates).call_api(
                method,
                self._connection.server.rstrip("/") + path,
                header_params=self._headers(kind or "application/json" if method != "GET" else ""),
                body=body,
                _request_timeout=limits_s,
            )
            return answer.status, dict(answer.headers), answer.read() or b""

        late = OutcomeUnknown if mutates else Unavailable
        if mutates:
            ctx.permit()
        try:
            status, headers, raw = await _blocking.run(
                call, ctx=ctx, late=lambda why: late(f"{what}: {why}"), limit_s=sum(limits_s)
            )
        except (ActionError, NotPermittedError):
            raise
        except Exception as error:  # a garbled answer makes the libraries raise anything
            raise translate(error, what, mutates=mutates) from error
        if not mutates and (other := _misses_another(path, status, raw)):
            raise Unavailable(f"{what}: answered that another object is not there, {other}")
        if not 200 <= status < 300:  # noqa: PLR2004 (HTTP's own class)
            raise of_status(status, _said(raw), headers, what, mutates=mutates)
        return raw

    def _headers(self, kind: str) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "Authorization": f"Bearer {_secret.reveal(self._ctx, self._connection.token)}",
            "User-Agent": "drctl",
        } | ({"Content-Type": kind} if kind else {})

    def _built(self, *, mutates: bool) -> Any:
        """The connections; those that only read are behind a client that refuses other verbs."""
        with self._building:
            if self._client is None:
                self._client = self._build()
            return self._client if mutates else _OnlyReads(self._client)

    def _build(self) -> Any:
        from kubernetes.client import ApiClient, Configuration

        ca_file = self._connection.ca_file
        if not Path(ca_file).is_file():
            raise AuthRejected(f"no such ca_file: {ca_file}")
        configuration = Configuration(
            host=self._connection.server,
            ssl_ca_cert=ca_file,
            retries=False,
            proxy="",  # None would mean HTTPS_PROXY
            no_proxy="",
        )
        return ApiClient(configuration)


class _OnlyReads:
    """A client of the API server that sends nothing but reads."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def call_api(self, method: str, url: str, **more: Any) -> Any:
        """
        As the client's own.

        Raises:
            NotPermittedError: It is no read; nothing was sent.
        """
        require_kubernetes(method, url)
        return self._client.call_api(method, url, **more)


def _said(raw: bytes) -> str:
    """The message of a ``Status`` object, or the start of whatever came."""
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        return str(answer["message"])
    return raw[:_SAID_LENGTH].decode("utf-8", "replace")


def _is_about_another(path: str, answer: Any, name: str) -> str | None:
    """What *answer* is about, when that is not the object of that *name*, or else at *path*."""
    if not isinstance(answer, dict):
        return type(answer).__name__
    if not path.startswith("/api"):
        return None  # the server itself
    meta = answer.get("metadata")
    found = meta.get("name") if isinstance(meta, dict) else None
    wanted = name or unquote(_whole(path).rsplit("/", 1)[-1])
    return None if found == wanted else str(found)


def _misses_another(path: str, status: int, raw: bytes) -> str:
    """The name of what a 404 is about, when that is nowhere in *path*: it tells nothing of ours."""
    if status != 404:  # noqa: PLR2004 (HTTP's own)
        return ""
    try:
        name = str(json.loads(raw)["details"]["name"])
    except (ValueError, KeyError, TypeError):
        return ""
    return "" if _name(name) in path else name


def _whole(path: str) -> str:
    """The path of the object itself, of which *path* may name a part."""
    return path.partition("?")[0].removesuffix(_SCALE).removesuffix(_STATUS)


def _fits(raw: dict[str, Any], selector: str) -> bool:
    """Whether an object carries the labels that were asked for."""
    labels = (raw.get("metadata") or {}).get("labels") or {}
    wanted = [pair.split("=", 1) for pair in selector.split(",") if pair]
    return all(labels.get(name) == value for name, value in wanted)


def selector_of(deployment: dict[str, Any]) -> str:
    """The labels that every pod of a Deployment carries, as a selector."""
    labels = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{name}={labels[name]}" for name in sorted(labels))


def deployment_path(target: Deployment) -> str:
    """Where the API server keeps the target's Deployment."""
    return f"/apis/apps/v1/namespaces/{_name(target.namespace)}/deployments/{_name(target.name)}"


def replica_sets_path(target: Deployment) -> str:
    """Where the API server keeps the ReplicaSets of the target's namespace."""
    return f"/apis/apps/v1/namespaces/{_name(target.namespace)}/replicasets"


def beside(target: Deployment, group: str, plural: str, name: str = "") -> str:
    """Where the API server keeps an object, or all of a kind, of the target's namespace."""
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    place = f"{root}/namespaces/{_name(target.namespace)}/{plural}"
    return f"{place}/{_name(name)}" if name else place


def object_path(target: KubernetesObject, group: str, plural: str) -> str:
    """Where the API server keeps a target that is an object by itself."""
    place = f"/apis/{group}/namespaces/{_name(target.namespace)}"
    return f"{place}/{plural}/{_name(target.name)}"


def secret_path(target: Deployment, name: str) -> str:
    """Where the API server keeps a Secret beside the target."""
    return f"/api/v1/namespaces/{_name(target.namespace)}/secrets/{_name(name)}"


def _name(text: str) -> str:
    return quote(text, safe="")
