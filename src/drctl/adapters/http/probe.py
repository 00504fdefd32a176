"""
One look at a service, as a customer or a colleague in its region would take it.

A health document is understood check by check: ``{"checks": {"database": true}}``, or objects in
the place of the truths, as ``{"status": "ok"}`` or ``{"healthy": false, "error": …}``. A check that
is asked for and not in the document has failed: silence is not health.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import NotFound, Rejected, Unavailable
from drctl.actions.planes import Ask, data
from drctl.actions.targets import CloudDnsRecord, Deployment, DnsRecord, FailoverSwitch, Target
from drctl.adapters import _http
from drctl.kernel.duration import parse_duration
from drctl.kernel.text import sanitize

ServiceTarget: TypeAlias = Deployment | FailoverSwitch | DnsRecord | CloudDnsRecord

_BODY_SHOWN = 2000
_WELL = {"ok", "healthy", "up", "pass", "passing", "true"}


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_duration),
    Field(gt=timedelta(0)),
    WithJsonSchema({"type": "string", "examples": ["5s", "1m30s"]}),
]


Path: TypeAlias = Annotated[str, StringConstraints(pattern=r"^/[^\s#]*$", max_length=2000)]


class ProbeParams(Params):
    """What to ask."""

    path: Path
    """Path and query below the target's URL."""
    method: Literal["GET"] = "GET"
    """A probe only reads."""
    expect_status: Annotated[int, Field(ge=100, le=599)] | None = None
    """Fail unless the answer has this status; leave it out when ``until`` decides."""
    require: tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...] = ()
    """Fail unless the body has each of these checks and it is well, as ``[database, redis]``."""
    max_skew: Duration | None = None
    """Fail when the body's ``timestamp`` is further from our clock, or has no offset."""
    require_tls: bool = False
    """Fail when the target's URL is not https; the certificate is always checked where it is."""
    timeout: Duration = timedelta(seconds=5)
    """For one look; the step has its own."""
    via: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")] | None = None
    """
    Connect to this name or address, a load balancer without traffic yet for one, and ask it for the
    target's own host.
    """


class ProbeOutputs(Outputs):
    """What was seen."""

    status: int
    """0 when there was no answer."""
    latency_s: float
    served_by: str
    """The region that says it answered, when the body says so."""
    checks: dict[str, bool]
    """The body's own checks by name; empty for a body that has none."""
    body: str
    """The first 2,000 characters, made inert."""
    address: str
    """Where it was connected to."""
    error: str
    """Why there was no answer."""
    failed: tuple[str, ...] = ()
    """The body's checks that are not well, each with what it says of that."""
    tls: bool = False
    """True when it was asked over TLS, with its certificate checked."""
    skew_s: float | None = None
    """The body's ``timestamp`` less our clock; ``None`` when there is none, or it has no offset."""


class Probe(Action[ServiceTarget, ProbeParams, ProbeOutputs]):
    """Asks a service how it is."""

    name: ClassVar[str] = "http.probe"
    summary: ClassVar[str] = "Asks a service over HTTP and returns what it said"
    asks_service: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (
        Deployment,
        FailoverSwitch,
        DnsRecord,
        CloudDnsRecord,
    )
    params: ClassVar[type[Params]] = ProbeParams
    outputs: ClassVar[type[Outputs]] = ProbeOutputs

    def planes(self, target: ServiceTarget) -> tuple[str, ...]:
        return planes_of(target)

    def asks(self, target: ServiceTarget, params: ProbeParams | None = None) -> tuple[Ask, ...]:
        """No answer is an output, unless one was asked for."""
        asked = places_of(target)
        if params is None or params.expect_status or params.require or params.max_skew:
            return asked
        return tuple(replace(ask, copes="no answer is its answer: status 0") for ask in asked)

    def without(
        self, target: ServiceTarget, params: ProbeParams | None, lost: tuple[Ask, ...]
    ) -> Mapping[str, Any]:
        return _no_answer(f"{lost[0].plane} does not answer", 0.0).model_dump(exclude={"latency_s"})

    async def perform(
        self, ctx: Context, target: ServiceTarget, params: ProbeParams
    ) -> ProbeOutputs:
        """
        Looks once. No answer is an output (``status`` 0), not an error, unless *expect_status* or
        *require* asks.

        Raises:
            Rejected: The target has no URL, the status is not *expect_status*, a check of *require*
                is not well or not there, or the clock is off; says all of it.
            Unavailable: No answer, and one was asked for.
            NotFound: The name does not exist, and an answer was asked for.
        """
        url = url_of(target)
        if params.require_tls and not url.startswith("https://"):
            raise Rejected(f"{target.label} is not asked over TLS: {url}")
        must_answer = params.expect_status is not None or params.require or params.max_skew
        started_s = ctx.clock.now().boot_s
        try:
            response = await _http.send(
                ctx,
                params.method,
                url + params.path,
                label=target.label,
                timeout=params.timeout,
                via=params.via,
            )
        except (Unavailable, NotFound) as error:
            if must_answer:
                raise
            return _no_answer(str(error), ctx.clock.now().boot_s - started_s)
        seen = _seen(response, ctx.clock.now().wall, is_tls=url.startswith("https://"))
        wrong = _complaints(params, seen)
        if wrong:
            raise Rejected(f"{target.label} answered {seen.status}: {'; '.join(wrong)}")
        return seen


def url_of(target: ServiceTarget) -> str:
    """
    The base URL of a service, without a slash at its end.

    Raises:
        Rejected: It has none.
    """
    if target.url is None:
        raise Rejected(f"{target.label} has no url in the environment")
    return target.url.rstrip("/")


def planes_of(target: ServiceTarget) -> tuple[str, ...]:
    """What a look at it depends on."""
    return (f"data-plane:{_region(target)}",)


def places_of(target: ServiceTarget) -> tuple[Ask, ...]:
    """The same, with where customers are led when the environment says it."""
    what = "the application there"
    if not isinstance(target, FailoverSwitch) or target.home_region is None:
        return tuple(Ask(plane=plane, service=what) for plane in planes_of(target))
    return (
        data(target.home_region, f"{what}: the switch is not engaged", once_moved=False),
        data(target.aws.region, f"{what}: the switch is engaged", once_moved=True),
    )


def _region(target: ServiceTarget) -> str:
    match target:
        case Deployment():
            return target.cluster.region
        case CloudDnsRecord():
            return target.gcp.region
        case FailoverSwitch() | DnsRecord():
            return target.aws.region


def _complaints(params: ProbeParams, seen: ProbeOutputs) -> list[str]:
    """What was asked for and is not so, each in words."""
    said = dict(one.partition(":")[::2] for one in seen.failed)
    wrong = []
    for name in params.require:
        if name not in seen.checks:
            wrong.append(f"{name} is not in its answer")
        elif not seen.checks[name]:
            wrong.append(f"{name} is not well{f':{said[name]}' if said.get(name) else ''}")
    if params.expect_status not in {None, seen.status}:
        wrong.append(f"{params.path} must answer {params.expect_status}")
    if params.max_skew is not None:
        limit_s = params.max_skew.total_seconds()
        if seen.skew_s is None:
            wrong.append("it has no timestamp with an offset")
        elif abs(seen.skew_s) > limit_s:
            wrong.append(f"its clock is {seen.skew_s:+.1f} s off, more than {limit_s:g} s")
    return wrong


def _no_answer(why: str, latency_s: float) -> ProbeOutputs:
    return ProbeOutputs(
        status=0, latency_s=latency_s, served_by="", checks={}, body="", address="", error=why
    )


def _seen(response: _http.Response, now: datetime, *, is_tls: bool) -> ProbeOutputs:
    document = _document(response)
    served_by = document.get("served_by")
    checks = document.get("checks")
    named = checks if isinstance(checks, dict) else {}
    found = {
        sanitize(str(name), limit=100): told
        for name, told in ((name, _check(value)) for name, value in named.items())
        if told is not None
    }
    text = response.body.decode("utf-8", "replace")
    return ProbeOutputs(
        status=response.status,
        latency_s=response.latency_s,
        served_by=sanitize(served_by, limit=100) if isinstance(served_by, str) else "",
        checks={name: is_well for name, (is_well, _why) in found.items()},
        body=sanitize(text[:_BODY_SHOWN], keep_lines=True)[:_BODY_SHOWN],
        address=response.address,
        error="",
        failed=tuple(
            f"{name}: {why}" if why else name
            for name, (is_well, why) in sorted(found.items())
            if not is_well
        ),
        tls=is_tls,
        skew_s=_skew_s(document.get("timestamp"), now),
    )


def _document(response: _http.Response) -> Mapping[str, object]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _check(value: object) -> tuple[bool, str] | None:
    """Whether a check is well, and what it says; ``None`` for what is no check."""
    match value:
        case bool():
            return value, ""
        case {"healthy": bool() as is_well, **more} | {"ok": bool() as is_well, **more}:
            return is_well, _why(more)
        case {"status": str() as word, **more}:
            is_well = word.lower() in _WELL
            return is_well, _why(more) or ("" if is_well else sanitize(word, limit=100))
    return None


def _why(more: Mapping[Any, object]) -> str:
    for name in ("error", "message", "detail", "output"):
        if isinstance(more.get(name), str):
            return sanitize(str(more[name]), limit=200)
    return ""


def _skew_s(stamp: object, now: datetime) -> float | None:
    """How far a clock is from ours. A time without an offset names no moment."""
    if not isinstance(stamp, str) or len(stamp) > 40:  # noqa: PLR2004 (the longest ISO 8601 time)
        return None
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return None if at.utcoffset() is None else (at - now).total_seconds()
