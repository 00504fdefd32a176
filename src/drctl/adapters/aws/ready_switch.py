"""
Whether the failover switch is wired so that it works on the day that it is for.

The one mistake that no drill of the healthy estate shows: a health check that watches the object
through the region that dies. It then fails with that region, is inverted, and holds the dead
primary up as healthy; and the write in the recovery region moves nobody.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

from drctl.actions.check import Asked, Check, Prerequisite, Standing, at_risk, broken, holds
from drctl.actions.contract import Context
from drctl.actions.errors import NotFound
from drctl.actions.targets import FailoverSwitch
from drctl.adapters import _resolver
from drctl.adapters.aws.client import Aws

ROUTE53_LIVES_IN = "us-east-1"
_S3_HOST = re.compile(
    r"(?:(?P<bucket>.+)[.])?s3[.-](?:dualstack[.])?(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9])"
    r"[.]amazonaws[.]com"
)
_RESOLVE_S = 3.0


class SwitchWired(Check[FailoverSwitch]):
    """The failover pair, its health check, and the object that the check watches."""

    name: ClassVar[str] = "aws.route53.switch"
    summary: ClassVar[str] = "The switch's health check watches its object in the recovery region"
    targets = (FailoverSwitch,)
    actions: ClassVar[tuple[str, ...]] = ("aws.route53.failover_switch.engage",)

    def planes(self, target: FailoverSwitch) -> tuple[str, ...]:
        return (f"control-plane:{ROUTE53_LIVES_IN}",)

    async def look(self, ctx: Context, asked: Asked[FailoverSwitch]) -> Sequence[Prerequisite]:
        target = asked.target
        aws, label = Aws(ctx, target.aws), target.label
        pair = await _pair(aws, target)
        wrong = _wrong_pair(pair, target)
        if wrong is not None:
            return [wrong]
        check_id = pair["PRIMARY"]["HealthCheckId"]
        answer = await aws.read("route53", "get_health_check", HealthCheckId=check_id)
        config: Mapping[str, Any] = answer["HealthCheck"]["HealthCheckConfig"]
        why = await _wrong_check(ctx, config, target)
        if why:
            wanted = f"{_place(target)} in {target.aws.region}, inverted"
            return [broken(label, why, f"make health check {check_id} watch {wanted}")]
        if _is_unknown(config, target):
            why = f"health check {check_id} watches {config.get('IPAddress')}: nobody says whose"
            do = "let it watch S3 by its regional name"
            return [Prerequisite(standing=Standing.CANNOT_TELL, subject=label, why=why, do=do)]
        return [await _object(aws, target, check_id)]


def _wrong_pair(
    pair: Mapping[str, Mapping[str, Any]], target: FailoverSwitch
) -> Prerequisite | None:
    missing = [role for role in ("PRIMARY", "SECONDARY") if role not in pair]
    if missing:
        why = f"{target.record_name} has no failover record {' and no '.join(missing)}"
        do = "make the pair: PRIMARY with the health check, SECONDARY"
        return broken(target.label, why, do)
    wrong = _wrong_secondary(pair["SECONDARY"], target)
    if wrong:
        return broken(target.label, wrong, "let the secondary record lead to the recovery region")
    if not pair["PRIMARY"].get("HealthCheckId"):
        why = "the primary record has no health check: nothing would make it unhealthy"
        do = "give it the inverted health check on the switch's object"
        return broken(target.label, why, do)
    return None


async def _object(aws: Aws, target: FailoverSwitch, check_id: str) -> Prerequisite:
    """The object itself: not there while the primary serves."""
    try:
        await aws.read("s3", "head_object", Bucket=target.bucket, Key=target.key)
    except NotFound as error:
        if "NoSuchBucket" in str(error):
            return broken(target.label, str(error), "make the bucket")
        why = f"health check {check_id} watches {_place(target)}, inverted"
        return holds(target.label, why)
    why = "the switch is engaged: customers are in the recovery region already"
    return at_risk(target.label, why, "bring them back first: drctl failback region")


async def _pair(aws: Aws, target: FailoverSwitch) -> dict[str, Mapping[str, Any]]:
    """The failover records of the public name, by their role."""
    name = target.record_name.rstrip(".").lower()
    for zone_name in _parents(name):
        answer = await aws.read(
            "route53", "list_hosted_zones_by_name", DNSName=zone_name, MaxItems="10"
        )
        for zone in answer.get("HostedZones", []):
            is_it = zone["Name"].rstrip(".").lower() == zone_name
            if not is_it or zone.get("Config", {}).get("PrivateZone"):
                continue
            records = await aws.read(
                "route53",
                "list_resource_record_sets",
                HostedZoneId=zone["Id"].rpartition("/")[2],
                StartRecordName=name,
                StartRecordType="A",
            )
            found = {
                one["Failover"]: one
                for one in records.get("ResourceRecordSets", [])
                if one["Name"].rstrip(".").lower() == name and "Failover" in one
            }
            if found:
                return found
    return {}


def _parents(name: str) -> list[str]:
    """The name's zones that there may be, the longest first."""
    labels = name.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]


def _wrong_secondary(record: Mapping[str, Any], target: FailoverSwitch) -> str:
    alias = record.get("AliasTarget")
    if alias is None:
        return ""  # addresses: whether they are the recovery region's, the drill shows
    led = alias["DNSName"].rstrip(".").lower().removeprefix("dualstack.")
    wanted = target.recovery_name.rstrip(".").lower()
    return "" if led == wanted else f"the secondary record leads to {led}, not to {wanted}"


async def _wrong_check(ctx: Context, config: Mapping[str, Any], target: FailoverSwitch) -> str:
    if config.get("Disabled"):
        return "the health check is disabled"
    if not config.get("Inverted"):
        return "the health check is not inverted: the switch would work the wrong way round"
    bucket, path = "", str(config.get("ResourcePath", ""))
    host = str(config.get("FullyQualifiedDomainName", ""))
    named = _S3_HOST.fullmatch(host)
    if named is not None:
        bucket = named["bucket"] or ""
        if named["region"] != target.aws.region:
            return f"the health check watches {host}, and the object is in {target.aws.region}"
    elsewhere = await _other_address(ctx, config, target)
    if elsewhere:
        return elsewhere
    watched = f"/{bucket}{path}" if bucket else path
    if watched != f"/{target.bucket}/{target.key}":
        return f"the health check watches {host or config.get('IPAddress')}{path}"
    return ""


async def _other_address(ctx: Context, config: Mapping[str, Any], target: FailoverSwitch) -> str:
    """Where an address is watched, and S3 of the recovery region is at another one."""
    address, endpoint = config.get("IPAddress"), target.aws.endpoints.get("s3")
    if not address or not endpoint:
        return ""
    door = urlsplit(endpoint)
    ours = await _resolver.resolve(door.hostname or "", ctx.resolvers, timeout_s=_RESOLVE_S)
    if address in ours:
        return ""
    watched = f"{address}:{config.get('Port')}{config.get('ResourcePath', '')}"
    return (
        f"the health check watches {watched}, and S3 of {target.aws.region} is at {', '.join(ours)}"
    )


def _is_unknown(config: Mapping[str, Any], target: FailoverSwitch) -> bool:
    is_named = _S3_HOST.fullmatch(str(config.get("FullyQualifiedDomainName", ""))) is not None
    return not is_named and "s3" not in target.aws.endpoints


def _place(target: FailoverSwitch) -> str:
    return f"s3://{target.bucket}/{target.key}"
