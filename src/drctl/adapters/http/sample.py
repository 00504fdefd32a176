"""How fast a service answers: a handful of looks, never a load test."""

import asyncio
import math
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.planes import Ask
from drctl.actions.targets import CloudDnsRecord, Deployment, DnsRecord, FailoverSwitch, Target
from drctl.adapters import _http
from drctl.adapters.http.probe import Duration, Path, ServiceTarget, places_of, planes_of, url_of

_MOST = 200
_MOST_AT_ONCE = 10


class SampleParams(Params):
    """What to ask, how often, and what is slow."""

    path: Path
    """Path and query below the target's URL."""
    count: Annotated[int, Field(ge=5, le=_MOST)] = 20
    """How many looks; fewer than five say nothing of the slow ones."""
    at_once: Annotated[int, Field(ge=1, le=_MOST_AT_ONCE)] = 2
    """How many at a time: this must not be the load that it measures."""
    slow: Duration
    """Of 20 looks at most one may take longer (the 95th percentile)."""
    failures: Annotated[int, Field(ge=0)] = 0
    """So many may fail, or be answered outside 200 to 299."""
    timeout: Duration = timedelta(seconds=5)
    """For one look; one that takes longer has failed."""


class SampleOutputs(Outputs):
    """What was seen."""

    looks: int
    failed: int
    median_s: float
    p95_s: float
    """The 95th percentile, of the looks that were answered."""
    slowest_s: float


class Sample(Action[ServiceTarget, SampleParams, SampleOutputs]):
    """Looks a few times, as a customer would."""

    name: ClassVar[str] = "http.sample"
    summary: ClassVar[str] = "Asserts how fast a service answers, on a handful of looks"
    asks_service: ClassVar[bool] = True
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (
        Deployment,
        FailoverSwitch,
        DnsRecord,
        CloudDnsRecord,
    )
    params: ClassVar[type[Params]] = SampleParams
    outputs: ClassVar[type[Outputs]] = SampleOutputs

    def planes(self, target: ServiceTarget) -> tuple[str, ...]:
        return planes_of(target)

    def asks(self, target: ServiceTarget, params: SampleParams | None = None) -> tuple[Ask, ...]:
        return places_of(target)

    async def perform(
        self, ctx: Context, target: ServiceTarget, params: SampleParams
    ) -> SampleOutputs:
        """
        Looks *count* times.

        Raises:
            Rejected: Too slow, or too many failures; says the numbers.
        """
        url = url_of(target) + params.path
        turns = asyncio.Semaphore(params.at_once)
        errors: list[str] = []

        async def one() -> float | None:
            async with turns:
                try:
                    answer = await _http.send_ok(
                        ctx, "GET", url, label=target.label, timeout=params.timeout
                    )
                except ActionError as error:
                    errors.append(str(error))
                    return None
                return answer.latency_s

        told = await asyncio.gather(*(one() for _ in range(params.count)))
        took = sorted(each for each in told if each is not None)
        failed = params.count - len(took)
        if failed > params.failures:
            raise Rejected(
                f"{failed} of {params.count} looks at {target.label} failed: {errors[0]}"
            )
        if not took:
            raise Rejected(f"no look at {target.label} was answered")
        p95_s = took[math.ceil(0.95 * len(took)) - 1]
        limit_s = params.slow.total_seconds()
        if p95_s > limit_s:
            raise Rejected(
                f"{target.label} is slow: 95 of 100 looks take up to {p95_s:.3f} s,"
                f" and must not take more than {limit_s:g} s"
            )
        return SampleOutputs(
            looks=params.count,
            failed=failed,
            median_s=took[(len(took) - 1) // 2],
            p95_s=p95_s,
            slowest_s=took[-1],
        )
