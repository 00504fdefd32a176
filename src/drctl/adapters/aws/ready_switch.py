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
        missing = [role for role in ("PRIMARY", "SECONDARY") if role not in pair]
        if missing:
            why = f"{target.record_name} has no failover record {' and no '.join(missing)}"
            return [broken(label, why, "make the pair: PRIMARY with the health check, SECONDARY")]
        wrong = _wrong_secondary(pair["SECONDARY"], target)
        if wrong:
            return [broken(label, wrong, "let the secondary record lead to the recovery region")]
        check_id = pair["PRIMARY"].get("HealthCheckId")
        if not check_id:
            why = "the primary record has no health check: nothing would make it unhealthy"
            return [broken(label, why, "give it the inverted health check on the switch's object")]
        answer = await aws.read("route53", "get_health_check", HealthCheckId=check_id)
        config: Mapping[str, Any] = answer["HealthCheck"]["HealthCheckConfig"]
        wrong = await _wrong_check(ctx, config, target)
        if wrong:
            do = f"make health check {check_id} watch {_place(target)} in {target.aws.region}, inverted"
            return [broken(label, wrong, do)]
        if _is_unknown(config, target):
            why = f"health check {check_id} watches {config.get('IPAddress')}: nobody says whose"
            return [
                Prerequisite(
                    standing=Standing.CANNOT_TELL, subject=label, why=why,
                    do="let it watch S3 by its regional name",
                )
            ]  # fmt: skip
        try:
            await aws.read("s3", "head_object", Bucket=target.bucket, Key=target.key)
        except NotFound as error:
            if "NoSuchBucket" in str(error):
                return [broken(label, str(error), "make the bucket")]
            return [holds(label, f"health check {check_id} watches {_place(target)}, inverted")]
        why = "the switch is engaged: customers are in the recovery region already"
        return [at_risk(label, why, "bring them back first: drctl failback region")]


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
    watched = f"/{bucket}{path}" if bucket else path
    if watched != f"/{target.bucket}/{target.key}":
        return f"the health check watches {host or config.get('IPAddress')}{path}"
    address, endpoint = config.get("IPAddress"), target.aws.endpoints.get("s3")
    if address and endpoint:
        door = urlsplit(endpoint)
        ours = await _resolver.resolve(door.hostname or "", ctx.resolvers, timeout_s=_RESOLVE_S)
        if address not in ours:
            return (
                f"the health check watches {address}:{config.get('Port')}, and S3 of"
                f" {target.aws.region} is at {', '.join(ours)}"
            )
    return ""


def _is_unknown(config: Mapping[str, Any], target: FailoverSwitch) -> bool:
    is_named = _S3_HOST.fullmatch(str(config.get("FullyQualifiedDomainName", ""))) is not None
    return not is_named and "s3" not in target.aws.endpoints


def _place(target: FailoverSwitch) -> str:
    return f"s3://{target.bucket}/{target.key}"
