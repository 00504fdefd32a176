"""Runs a program in a pod of the present revision, without a terminal."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

from pydantic import Field

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Effect,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import AuthRejected, Conflict, OutcomeUnknown, Rejected, Unavailable
from drctl.actions.targets import Deployment, Text
from drctl.adapters import _blocking, _secret
from drctl.adapters.kubernetes.client import CONNECT_S, Cluster, beside, selector_of
from drctl.adapters.kubernetes.errors import of_status
from drctl.adapters.kubernetes.history import history
from drctl.kernel.text import sanitize

_SHOWN = 2000
_MOST = 256 * 1024
_OUT, _ERR, _END = 1, 2, 3


class ExecParams(Params):
    """What to run, and what that does."""

    command: tuple[Text, ...] = Field(min_length=1)
    """Program and arguments; no shell takes them apart. Shown and journaled: no secrets."""
    does: Text
    """What it changes, in a few words: drctl cannot know."""
    container: Text | None = None
    """Absent: the pod's first."""
    expect_exit: int = Field(default=0, ge=0, le=255)
    """Any other exit code is a failure."""
    keeps_output: bool = True
    """False: what it prints is not journaled."""


class Executed(Outputs):
    """How it ended."""

    pod: str
    revision: int
    exit_code: int
    stdout: str
    """The last 2,000 characters, made inert."""
    stderr: str


class ExecInPod(Action[Deployment, ExecParams, Executed]):
    """
    Runs it in one Ready pod of the *present* revision; never in one that is ending or of an old
    template, which ``kubectl exec deployment/x`` may choose.
    """

    name: ClassVar[str] = "kubernetes.pod.exec"
    summary: ClassVar[str] = "Run a program in a Ready pod of a Deployment's present revision"
    effect: ClassVar[Effect] = Effect.CHANGE
    runs_anything: ClassVar[bool] = True
    repeat: ClassVar[Repeat] = Repeat.IRREVERSIBLE
    targets = (Deployment,)
    params = ExecParams
    outputs = Executed

    def planes(self, target: Deployment) -> tuple[str, ...]:
        return (f"data-plane:{target.cluster.region}",)

    def preview(
        self, observation: Observation, target: Deployment, params: ExecParams | None
    ) -> Preview:
        if params is None:
            return CannotTell(why="what is run is known during the run")
        return Change(before="as it is", after=f"{params.does} ({' '.join(params.command)})")

    async def perform(self, ctx: Context, target: Deployment, params: ExecParams) -> Executed:
        """
        Runs it once and waits for its end.

        Raises:
            Conflict: No pod of the present revision is ready.
            Rejected: It ended with another exit code.
            OutcomeUnknown: It was to begin, and its end was not seen; it may still run.

        Changes:
            What the program changes.
        """
        cluster = Cluster(ctx, target.cluster)
        seen = await history(cluster, target)
        selector = selector_of(dict(seen.deployment))
        pods = await cluster.items(beside(target, "v1", "pods"), selector=selector)
        ready = sorted(pod["metadata"]["name"] for pod in pods if _serves(pod, seen.current.uid))
        if not ready:
            raise Conflict(f"{target.label}: no pod of {seen.current} is ready")
        ended = await _run(ctx, target, ready[0], params)
        if ended.code != params.expect_exit:
            said = f"{ended.stderr[-300:]}" if params.keeps_output else "(not kept)"
            raise Rejected(f"{params.command[0]} in {ready[0]} ended with {ended.code}: {said}")
        return Executed(
            pod=ready[0],
            revision=seen.current.number,
            exit_code=ended.code,
            stdout=ended.stdout if params.keeps_output else "",
            stderr=ended.stderr if params.keeps_output else "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    code: int
    stdout: str
    stderr: str


def _serves(pod: dict[str, Any], replica_set: str) -> bool:
    meta, status = pod["metadata"], pod.get("status") or {}
    owners = {one["uid"] for one in meta.get("ownerReferences") or [] if one.get("controller")}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    is_ending = bool(meta.get("deletionTimestamp"))
    return replica_set in owners and conditions.get("Ready") == "True" and not is_ending


async def _run(ctx: Context, target: Deployment, pod: str, params: ExecParams) -> _Ended:
    """
    Speaks ``v4.channel.k8s.io``: each message begins with its channel; the last one is a Status.
    """
    asked = [("command", word) for word in params.command]
    asked += [("stdout", "true"), ("stderr", "true")]
    if params.container is not None:
        asked.append(("container", params.container))
    server = target.cluster.server.replace("https://", "wss://", 1).rstrip("/")
    url = f"{server}{beside(target, 'v1', 'pods', pod)}/exec?{urlencode(asked)}"
    token = _secret.reveal(ctx, target.cluster.token)
    ca_file = target.cluster.ca_file
    if not await asyncio.to_thread(Path(ca_file).is_file):
        raise AuthRejected(f"no such ca_file: {ca_file}")
    left_s = ctx.deadline.left_s(ctx.clock)
    what = f"exec in {pod} in {target.cluster.region}"
    if left_s <= 0:
        raise Unavailable(f"{what}: no time left, not sent")
    ctx.permit()
    return await _blocking.run(
        lambda: _talk(url, token, ca_file, what, left_s),
        ctx=ctx,
        late=lambda why: OutcomeUnknown(f"{what}: {why}"),
        limit_s=left_s,
    )


def _talk(url: str, token: str, ca_file: str, what: str, left_s: float) -> _Ended:
    import websocket

    socket: Any
    try:
        socket = websocket.create_connection(
            url,
            timeout=min(CONNECT_S, left_s),
            subprotocols=["v4.channel.k8s.io"],
            header=[f"Authorization: Bearer {token}", "User-Agent: drctl"],
            sslopt={"ca_certs": ca_file, "cert_reqs": ssl.CERT_REQUIRED},
            http_proxy_host=None,
            http_no_proxy=["*"],
            suppress_origin=True,
        )
    except websocket.WebSocketBadStatusException as error:
        said = (error.resp_body or b"").decode("utf-8", "replace")[:_SHOWN]
        # A 5xx to this request came before the program was started, or with it: nobody knows.
        headers = dict(error.resp_headers or {})
        raise of_status(error.status_code, said, headers, what, mutates=True) from error
    except ssl.SSLCertVerificationError as error:
        raise AuthRejected(f"{what}: the server's certificate is not from ca_file") from error
    except (ConnectionRefusedError, websocket.WebSocketAddressException) as error:
        raise Unavailable(f"{what}: {error}") from error
    except (OSError, websocket.WebSocketException, ValueError) as error:
        raise OutcomeUnknown(f"{what}: {type(error).__name__}: {error}") from error
    try:
        socket.settimeout(left_s)
        return _listen(socket, what)
    except (OSError, websocket.WebSocketException, ValueError) as error:
        raise OutcomeUnknown(f"{what}: began, and then {type(error).__name__}: {error}") from error
    finally:
        socket.shutdown()


def _listen(socket: Any, what: str) -> _Ended:
    streams = {_OUT: b"", _ERR: b""}
    while True:
        message = socket.recv()
        if isinstance(message, str):
            message = message.encode()
        if not message:
            raise OutcomeUnknown(f"{what}: began, and the connection ended without its exit code")
        channel, data = message[0], message[1:]
        if channel in streams:
            streams[channel] = (streams[channel] + data)[-_MOST:]
        elif channel == _END:
            stdout, stderr = (_shown(streams[one]) for one in (_OUT, _ERR))
            return _Ended(code=_exit_code(data, what), stdout=stdout, stderr=stderr)


def _exit_code(raw: bytes, what: str) -> int:
    status = json.loads(raw)
    if not isinstance(status, dict) or "status" not in status:
        raise OutcomeUnknown(f"{what}: ended with something that is no Status")
    if status["status"] == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    # No exit code: what ended is the stream, by the kubelet or the runtime, not the program.
    raise OutcomeUnknown(f"{what}: began, and then: {status.get('message', 'no exit code')}")


def _shown(raw: bytes) -> str:
    return sanitize(raw.decode("utf-8", "replace")[-_SHOWN:], keep_lines=True)
