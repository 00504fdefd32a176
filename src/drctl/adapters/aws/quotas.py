"""
Whether a region's quota leaves room for what a recovery is about to start there.

A quota is raised by people, in days: to find out at three in the morning is too late. What is used
comes from CloudWatch, where the quota itself says which metric that is; otherwise somebody who
knows it must say it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import NotFound, Rejected, Unavailable
from drctl.actions.targets import AwsRegion
from drctl.adapters.aws.client import Aws

_PERIOD = timedelta(minutes=5)
"""How often AWS measures what is used."""
_OLDEST = timedelta(hours=1)


class QuotaParams(Params):
    """Which quota, and what will be needed of it."""

    service: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9-]{1,62}$")]
    """Code of the service, as ``ec2``."""
    quota: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z][a-zA-Z0-9-]{1,127}$")]
    """Code of the quota, as ``L-1216C47A``: virtual CPUs of ordinary instances on demand."""
    needs: float = Field(gt=0)
    """What the recovery adds, in the quota's own unit: virtual CPUs, not instances."""
    used: float | None = Field(default=None, ge=0)
    """What is used already; absent: AWS's own measurement, and a refusal where it has none."""


class Quota(Outputs):
    """What there is."""

    limit: float
    used: float
    free: float
    name: str
    is_default: bool
    """True when nobody ever had it raised."""
    measured_at: str
    """When AWS measured what is used; empty when it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    value: float
    at: str = ""


class AssertQuota(Action[AwsRegion, QuotaParams, Quota]):
    """Fails when what is used and what is needed are more than the quota, or are not known."""

    name: ClassVar[str] = "aws.servicequotas.assert"
    summary: ClassVar[str] = "Fail unless a region's service quota leaves room for what is needed"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    is_prerequisite: ClassVar[bool] = True
    targets = (AwsRegion,)
    params = QuotaParams
    outputs = Quota

    def planes(self, target: AwsRegion) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def perform(self, ctx: Context, target: AwsRegion, params: QuotaParams) -> Quota:
        """
        Looks once.

        Raises:
            Rejected: There is no room; says how much is missing. Or it is a rate, not a number.
            NotFound: No such quota.
            Unavailable: It could not be read, or nobody knows what is used.
        """
        aws = Aws(ctx, target.aws)
        quota, is_default = await _quota(aws, params)
        limit, name = float(quota["Value"]), str(quota["QuotaName"])
        if quota.get("Period"):
            raise Rejected(f"{name} is a rate: what is needed of it cannot be added up")
        used = await _used(ctx, aws, quota) if params.used is None else _Used(value=params.used)
        free = limit - used.value
        if free < params.needs:
            raise Rejected(
                f"{name} in {target.aws.region}: {limit:g} less {used.value:g} in use leave"
                f" {max(0.0, free):g}, and {params.needs:g} are needed: {params.needs - free:g}"
                " too few; have it raised"
            )
        return Quota(
            limit=limit, used=used.value, free=free, name=name, is_default=is_default,
            measured_at=used.at,
        )  # fmt: skip


async def _quota(aws: Aws, params: QuotaParams) -> tuple[Mapping[str, Any], bool]:
    """The applied value, else the default: one that was never raised has no other."""
    key: dict[str, Any] = {"ServiceCode": params.service, "QuotaCode": params.quota}
    is_default = False
    try:
        answer = await aws.read("service-quotas", "get_service_quota", **key)
    except NotFound:
        is_default = True
        answer = await aws.read("service-quotas", "get_aws_default_service_quota", **key)
    quota: Mapping[str, Any] = answer.get("Quota", {})
    if (quota.get("ServiceCode"), quota.get("QuotaCode")) != (params.service, params.quota):
        raise Unavailable(f"AWS was asked about {params.quota}, and told of another quota")
    if "Value" not in quota or quota.get("ErrorReason"):
        raise Unavailable(f"AWS does not say what {params.quota} is: {quota.get('ErrorReason')}")
    return quota, is_default


async def _used(ctx: Context, aws: Aws, quota: Mapping[str, Any]) -> _Used:
    """
    The newest measurement.

    Raises:
        Unavailable: AWS measures none, or made none in the last hour.
    """
    metric: Mapping[str, Any] = quota.get("UsageMetric") or {}
    if not metric.get("MetricName"):
        raise Unavailable(
            f"AWS does not measure what is used of {quota['QuotaName']}: give it as `used`"
        )
    statistic = metric.get("MetricStatisticRecommendation") or "Maximum"
    # CloudWatch is asked for a span of its own clock; ours only has to be right within the hour.
    now = ctx.clock.now().wall
    answer = await aws.read(
        "cloudwatch",
        "get_metric_statistics",
        Namespace=metric["MetricNamespace"],
        MetricName=metric["MetricName"],
        Dimensions=[
            {"Name": name, "Value": value} for name, value in metric["MetricDimensions"].items()
        ],
        StartTime=now - _OLDEST,
        EndTime=now + _PERIOD,
        Period=int(_PERIOD.total_seconds()),
        Statistics=[statistic],
    )
    if answer.get("Label") != metric["MetricName"]:
        raise Unavailable(f"CloudWatch was asked about {metric['MetricName']}, and told of another")
    points = answer.get("Datapoints", [])
    if not points:
        raise Unavailable(
            f"AWS measured nothing of {quota['QuotaName']} in the last hour: what is used is not"
            " known; give it as `used`"
        )
    newest = max(points, key=lambda point: point["Timestamp"])
    return _Used(value=float(newest[statistic]), at=newest["Timestamp"].isoformat())
