"""
One HTTP request, with every failure as one of drctl's own words.

The name is resolved through the environment's nameservers and the connection made to the address;
the Host header, SNI and the certificate check keep the name. Nothing ambient is used: no proxy
variables, no .netrc, no redirects (a redirect is an answer, and its target is not in the
environment file). Whether a failure means "nothing happened" is decided by what was seen on the
wire: once the request's first byte may have left, a request that is not a GET is `OutcomeUnknown`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from drctl.actions.contract import Context
from drctl.actions.errors import (
    ActionError,
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.adapters import _resolver
from drctl.adapters._read_only import require_http
from drctl.kernel.canonical import JSON

if TYPE_CHECKING:
    import ssl

    import httpx

Method: TypeAlias = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]
Reason: TypeAlias = Literal["refused", "timeout", "other"]

MAX_BODY_BYTES = 1024 * 1024
DEFAULT_TIMEOUT = timedelta(seconds=10)
_SHORTEST_SECRET = 4  # masking shorter ones would only garble the text
_CONNECT_SHARE = 3  # addresses are tried in turn; a dead one must leave time for the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """At most `MAX_BODY_BYTES`."""
    address: str
    """Where it was connected to."""
    latency_s: float
    """From before the name was resolved until the last byte."""

    def json(self) -> JSON:
        """
        The body as JSON.

        Raises:
            ValueError: It is something else.
        """
        try:
            value: JSON = json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        return value


class _Failure(Exception):
    """A request without an answer."""

    def __init__(self, what: str, *, has_left: bool, reason: Reason) -> None:
        super().__init__(what)
        self.has_left = has_left
        self.reason = reason


async def send(
    ctx: Context,
    method: Method,
    url: str,
    *,
    label: str,
    headers: Mapping[str, str] | None = None,
    body: JSON = None,
    form: Mapping[str, str] | None = None,
    changes: bool | None = None,
    timeout: timedelta = DEFAULT_TIMEOUT,  # noqa: ASYNC109 (a limit besides the context's deadline)
    via: str | None = None,
    ca_file: str | None = None,
) -> Response:
    """
    Sends one request once and returns the answer, of any status.

    Args:
        via: A name or address to connect to instead of the URL's host, which is asked for all the
            same: its ``Host`` and its certificate.
        label: What a person would call the other side. Messages hold this and never the URL, which
            may be a secret.
        body: Sent as JSON when it is not ``None``.
        form: Sent as a form instead.
        changes: Whether it changes something there; ``None``: unless it is a GET. A POST that asks
            for a token changes nothing.
        timeout: For all of it; ``ctx.deadline`` ends it sooner.
        ca_file: Whom to trust instead of the public authorities.

    Raises:
        Unavailable: Nothing was sent; or a GET got no answer.
        OutcomeUnknown: The request may have left and no whole answer came.
        NotFound: The host's name does not exist.
        Rejected: The URL is not one, or the answer is longer than `MAX_BODY_BYTES`.
    """
    import httpx  # noqa: F401 (before the clock starts: the first import takes as long as a request)

    started_s = ctx.clock.now().boot_s
    left_s = ctx.deadline.at_most(ctx.clock, timeout).left_s(ctx.clock)
    if left_s <= 0:
        raise Unavailable(f"{label}: no time left to ask")
    trace = _Trace()
    may_change = method != "GET" if changes is None else changes
    if may_change:
        ctx.permit()
    else:
        require_http(method, asks_token=form is not None and changes is False)
    try:
        async with asyncio.timeout(left_s):
            question = _Question(
                method=method,
                url=url,
                headers=headers or {},
                body=body,
                form=form,
                via=via,
                ca_file=ca_file,
            )
            answer, address = await _exchange(ctx, question, left_s, trace)
    except TimeoutError:
        failure = _Failure(
            f"no answer in {left_s:.1f} s", has_left=trace.has_left, reason="timeout"
        )
        raise _no_answer(failure, label, may_change=may_change) from failure
    except _Failure as failure:
        raise _no_answer(failure, label, may_change=may_change) from failure
    except (NotFound, Unavailable) as error:
        raise type(error)(f"{label}: {error}") from error
    return Response(
        status=answer.status,
        headers=answer.headers,
        body=answer.body,
        address=address,
        latency_s=ctx.clock.now().boot_s - started_s,
    )


async def send_ok(
    ctx: Context,
    method: Method,
    url: str,
    *,
    label: str,
    headers: Mapping[str, str] | None = None,
    body: JSON = None,
    hidden: Sequence[str] = (),
    timeout: timedelta = DEFAULT_TIMEOUT,  # noqa: ASYNC109 (as in `send`)
) -> Response:
    """
    As `send`, and turns every status outside 200 to 299 into its error.

    Args:
        hidden: Secrets that an answer might echo; masked where an error quotes it.

    Raises:
        ActionError: See `status_error` and `send`.
    """
    response = await send(
        ctx, method, url, label=label, headers=headers, body=body, timeout=timeout
    )
    error = status_error(response, method, label, hidden)
    if error is not None:
        raise error
    return response


def status_error(  # noqa: PLR0911 (a table)
    response: Response, method: Method, label: str, hidden: Sequence[str] = ()
) -> ActionError | None:
    """
    Maps a status: 2xx is none; 401 and 403 `AuthRejected`, 404 and 410 `NotFound`, 409 `Conflict`,
    429 `Throttled`, other 3xx and 4xx `Rejected`; 5xx `Unavailable` for a GET and `OutcomeUnknown`
    otherwise.
    """
    status = response.status
    said = masked(response.body.decode("utf-8", "replace"), hidden)[:200].strip()
    message = f"{label} answered {status}" + (f": {said}" if said else "")
    request_id = response.headers.get("x-request-id") or response.headers.get("x-slack-req-id")
    match status:
        case _ if 200 <= status < 300:  # noqa: PLR2004 (HTTP's own classes)
            return None
        case 401 | 403:
            return AuthRejected(message, request_id=request_id)
        case 404 | 410:
            return NotFound(message, request_id=request_id)
        case 409:
            return Conflict(message, request_id=request_id)
        case 420 | 429:  # 420 is Statuspage's
            wish_s = retry_after_s(response.headers.get("retry-after"), response.headers)
            return Throttled(message, request_id=request_id, retry_after_s=wish_s)
        case _ if status >= 500:  # noqa: PLR2004
            word = Unavailable if method == "GET" else OutcomeUnknown
            return word(message, request_id=request_id)
        case _:
            return Rejected(message, request_id=request_id)


def masked(text: str, hidden: Sequence[str]) -> str:
    """Replaces every secret in *text*, and the path of one that is a URL, by ``***``."""
    for secret in hidden:
        path = secret.split("://", 1)[-1].partition("/")[2]
        for part in (secret, path):
            if len(part) >= _SHORTEST_SECRET:
                text = text.replace(part, "***")
    return text


def retry_after_s(value: str | None, headers: Mapping[str, str]) -> float | None:
    """
    Reads ``Retry-After``: seconds, or a date against the answer's own ``Date``; ``None`` when
    unusable.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        wanted, sent = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (wanted - sent).total_seconds())
    except (ValueError, TypeError):
        return None


def classify(error: BaseException) -> Reason:
    """Why `send` got no answer: ``refused`` is definite, nothing listened."""
    cause = error.__cause__
    return cause.reason if isinstance(cause, _Failure) else "other"


class _Trace:
    """Learns from httpcore whether the request has begun to leave."""

    def __init__(self) -> None:
        self.has_left = False

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        # Set when sending *starts*: from there on nobody can say that nothing left.
        if event.endswith(".send_request_headers.started"):
            self.has_left = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    method: Method
    url: str
    headers: Mapping[str, str]
    body: JSON
    form: Mapping[str, str] | None = None
    via: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def _exchange(
    ctx: Context, question: _Question, left_s: float, trace: _Trace
) -> tuple[_Answer, str]:
    import httpx

    try:
        parsed = httpx.URL(question.url)
    except (httpx.InvalidURL, TypeError):
        raise Rejected("not a URL") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise Rejected("not an http or https URL")
    host = question.via or parsed.host
    addresses = await _resolver.resolve(host, ctx.resolvers, timeout_s=left_s)
    timeouts = httpx.Timeout(left_s, connect=max(0.5, left_s / _CONNECT_SHARE))
    verify = _trusted(question.ca_file) if parsed.scheme == "https" else False
    async with httpx.AsyncClient(
        follow_redirects=False, trust_env=False, timeout=timeouts, verify=verify
    ) as client:
        for position, address in enumerate(addresses, start=1):
            request = client.build_request(
                question.method,
                parsed.copy_with(host=address),
                headers={
                    "user-agent": "drctl",
                    **question.headers,
                    "host": parsed.netloc.decode("ascii"),
                },
                extensions={"trace": trace, "sni_hostname": parsed.host},
                **_content(question),
            )
            try:
                return await _read(client, request), address
            except httpx.HTTPError as error:
                is_last = position == len(addresses)
                if trace.has_left or is_last:
                    raise _failure(error, has_left=trace.has_left) from None
    raise Unavailable("no address")


def _trusted(ca_file: str | None) -> "ssl.SSLContext":
    import ssl

    if ca_file is None:
        return _public()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Rejected(f"the CA file {ca_file} cannot be read: {error.strerror or error}") from None


def _content(question: _Question) -> dict[str, Any]:
    if question.form is not None:
        return {"data": dict(question.form)}
    return {} if question.body is None else {"json": question.body}


@cache
def _public() -> "ssl.SSLContext":
    """The public authorities; reading them takes longer than a request."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


async def _read(client: "httpx.AsyncClient", request: "httpx.Request") -> _Answer:
    response = await client.send(request, stream=True)
    try:
        body = await _capped(response.aiter_bytes())
    finally:
        await response.aclose()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return _Answer(status=response.status_code, headers=headers, body=body)


async def _capped(chunks: AsyncIterator[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _Failure(
                f"answered more than {MAX_BODY_BYTES} bytes", has_left=True, reason="other"
            )
    return bytes(body)


def _failure(error: Exception, *, has_left: bool) -> _Failure:
    import httpx

    if any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error)):
        return _Failure("connection refused", has_left=has_left, reason="refused")
    if isinstance(error, httpx.TimeoutException):
        return _Failure("no answer in time", has_left=has_left, reason="timeout")
    # The library's text can hold the URL only for errors in URLs, which were refused before.
    return _Failure(f"{type(error).__name__}: {error}", has_left=has_left, reason="other")


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _no_answer(failure: _Failure, label: str, *, may_change: bool) -> ActionError:
    if failure.has_left and may_change:
        return OutcomeUnknown(f"{label}: {failure}; the request may have arrived")
    return Unavailable(f"{label}: {failure}")
