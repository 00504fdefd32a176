"""One look at a service, as a customer or a colleague in its region would take it."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import NotFound, Rejected, Unavailable
from drctl.actions.targets import CloudDnsRecord, Deployment, DnsRecord, FailoverSwitch, Target
from drctl.adapters import _http
from drctl.kernel.duration import parse_duration
from drctl.kernel.text import sanitize

ServiceTarget: TypeAlias = Deployment | FailoverSwitch | DnsRecord | CloudDnsRecord

_BODY_SHOWN = 2000


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_duration),
    Field(gt=timedelta(0)),
    WithJsonSchema({"type": "string", "examples": ["5s", "1m30s"]}),
]


class ProbeParams(Params):
    """What to ask."""

    path: Annotated[str, StringConstraints(pattern=r"^/[^\s#]*$", max_length=2000)]
    """Path and query below the target's URL."""
    method: Literal["GET"] = "GET"
    """A probe only reads."""
    expect_status: Annotated[int, Field(ge=100, le=599)] | None = None
    """Fail unless the answer has this status; leave it out when ``until`` decides."""
    timeout: Duration = timedelta(seconds=5)
    """For one look; the step has its own."""


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


class Probe(Action[ServiceTarget, ProbeParams, ProbeOutputs]):
    """Asks a service how it is."""

    name: ClassVar[str] = "http.probe"
    summary: ClassVar[str] = "Asks a service over HTTP and returns what it said"
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
        return (f"data-plane:{_region(target)}",)

    async def perform(
        self, ctx: Context, target: ServiceTarget, params: ProbeParams
    ) -> ProbeOutputs:
        """
        Looks once. No answer is an output (``status`` 0), not an error, unless *expect_status*
        asks.

        Raises:
            Rejected: The target has no URL, or the status is not *expect_status*.
            Unavailable: No answer, and *expect_status* is given.
            NotFound: The name does not exist, and *expect_status* is given.
        """
        if target.url is None:
            raise Rejected(f"{target.label} has no url in the environment")
        started_s = ctx.clock.now().boot_s
        try:
            response = await _http.send(
                ctx,
                params.method,
                target.url.rstrip("/") + params.path,
                label=target.label,
                timeout=params.timeout,
            )
        except (Unavailable, NotFound) as error:
            if params.expect_status is not None:
                raise
            return _no_answer(str(error), ctx.clock.now().boot_s - started_s)
        if params.expect_status not in {None, response.status}:
            raise Rejected(
                f"{target.label} answered {response.status} to {params.path},"
                f" not {params.expect_status}"
            )
        return _seen(response)


def _no_answer(why: str, latency_s: float) -> ProbeOutputs:
    return ProbeOutputs(
        status=0, latency_s=latency_s, served_by="", checks={}, body="", address="", error=why
    )


def _seen(response: _http.Response) -> ProbeOutputs:
    served_by, checks = _health(response)
    text = response.body.decode("utf-8", "replace")
    return ProbeOutputs(
        status=response.status,
        latency_s=response.latency_s,
        served_by=served_by,
        checks=checks,
        body=sanitize(text[:_BODY_SHOWN], keep_lines=True)[:_BODY_SHOWN],
        address=response.address,
        error="",
    )


def _health(response: _http.Response) -> tuple[str, dict[str, bool]]:
    """Reads ``served_by`` and ``checks`` of a health document; nothing from any other body."""
    try:
        document = response.json()
    except ValueError:
        return "", {}
    if not isinstance(document, dict):
        return "", {}
    served_by, checks = document.get("served_by"), document.get("checks")
    named = checks.items() if isinstance(checks, dict) else ()
    return (
        sanitize(served_by, limit=100) if isinstance(served_by, str) else "",
        {sanitize(name, limit=100): is_ok for name, is_ok in named if isinstance(is_ok, bool)},
    )


def _region(target: ServiceTarget) -> str:
    match target:
        case Deployment():
            return target.cluster.region
        case CloudDnsRecord():
            return target.gcp.region
        case FailoverSwitch() | DnsRecord():
            return target.aws.region
