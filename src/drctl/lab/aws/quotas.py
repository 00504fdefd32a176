"""
Service Quotas made strict over moto, which knows those of one service and none that was raised.

A quota that nobody ever raised has no applied value: `GetServiceQuota` refuses, and
`GetAWSDefaultServiceQuota` says the default. What is used is a metric of CloudWatch, where AWS
keeps one; for other quotas AWS does not say what is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

from drctl.lab.plan import ACCOUNT_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One quota of every region, as AWS sets it for a new account."""

    name: str
    default: float
    usage: Mapping[str, str] | None = None
    """Dimensions of its usage in ``AWS/Usage``; AWS does not measure every quota."""


def _usage(service: str, resource: str, kind: str) -> Mapping[str, str]:
    return {"Service": service, "Type": "Resource", "Resource": resource, "Class": kind}


QUOTAS: Final[Mapping[tuple[str, str], Quota]] = {
    ("ec2", "L-1216C47A"): Quota(
        name="Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        default=5.0,
        usage=_usage("EC2", "vCPU", "Standard/OnDemand"),
    ),
    ("fargate", "L-3032A538"): Quota(
        name="Fargate On-Demand vCPU resource count",
        default=6.0,
        usage=_usage("Fargate", "vCPU", "Standard/OnDemand"),
    ),
    ("elasticloadbalancing", "L-53DA6B97"): Quota(
        name="Application Load Balancers per Region", default=50.0
    ),
}


class Quotas:
    """What was raised, by region; an overlay of `AwsControlPlane`."""

    def __init__(self) -> None:
        self._applied: dict[tuple[str, str, str], float] = {}

    def apply(self, region: str, service: str, code: str, value: float) -> None:
        """Raises a quota, as AWS does when it grants a request."""
        self._applied[region, service, code] = value

    def install(self) -> Callable[[], None]:
        """
        Makes moto's Service Quotas strict in this process.

        Returns:
            What gives moto its own behaviour back.
        """

        def applied(
            backend: ServiceQuotasBackend, service_code: str, quota_code: str
        ) -> dict[str, Any]:
            value = self._applied.get((backend.region_name, service_code, quota_code))
            if value is None:
                raise NoSuchResource
            return _document(backend.region_name, service_code, quota_code, value)

        def default(call: ServiceQuotasResponse) -> str:
            asked = json.loads(call.body)
            key = asked["ServiceCode"], asked["QuotaCode"]
            if key not in QUOTAS:
                raise NoSuchResource
            quota = _document(call.region, *key, QUOTAS[key].default)
            return json.dumps({"Quota": quota})

        missing, lenient = "get_aws_default_service_quota", "get_service_quota"
        original = ServiceQuotasBackend.__dict__[lenient]
        setattr(ServiceQuotasBackend, lenient, applied)
        setattr(ServiceQuotasResponse, missing, default)

        def undo() -> None:
            setattr(ServiceQuotasBackend, lenient, original)
            delattr(ServiceQuotasResponse, missing)

        return undo


def _document(region: str, service: str, code: str, value: float) -> dict[str, Any]:
    quota = QUOTAS.get((service, code))
    if quota is None:
        raise NoSuchResource
    metric = {
        "MetricNamespace": "AWS/Usage",
        "MetricName": "ResourceCount",
        "MetricDimensions": dict(quota.usage or {}),
        "MetricStatisticRecommendation": "Maximum",
    }
    return {
        "ServiceCode": service,
        "ServiceName": service,
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT_ID}:{service}/{code}",
        "QuotaCode": code,
        "QuotaName": quota.name,
        "Value": value,
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        **({"UsageMetric": metric} if quota.usage else {}),
    }
