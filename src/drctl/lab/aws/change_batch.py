"""
One batch of changes to a hosted zone, checked as Route 53 checks it: all of it or none of it.

The texts of the refusals are AWS's own, because people search for them.
"""

import ipaddress
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from moto.route53.exceptions import Route53ClientError
from moto.route53.models import RecordSet

from drctl.lab.zones import canonical

_ROUTING: Final = ("Weight", "Region", "Failover", "GeoLocation", "MultiValueAnswer")
_NOT_EMULATED: Final = ("Region", "GeoLocation", "GeoProximityLocation", "CidrRoutingConfig")
_Key = tuple[str, str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a batch is judged against."""

    zone: str
    """Name of the hosted zone."""
    zone_id: str
    zone_names: Mapping[str, str]
    """Names of all hosted zones of the account, by id."""
    health_checks: Container[str]


class NoSuchHealthCheck(Route53ClientError):
    """A record set names a health check that does not exist."""

    def __init__(self, health_check_id: str) -> None:
        super().__init__(
            "NoSuchHealthCheck", f"No health check exists with the specified ID {health_check_id}."
        )


class Refused(Exception):
    """One change is not permitted; the batch collects these."""


def changed(
    records: Sequence[RecordSet], changes: Iterable[Mapping[str, Any]], scope: Scope
) -> list[RecordSet]:
    """
    Applies a batch to a copy, change by change.

    Raises:
        Route53ClientError: ``InvalidChangeBatch`` with every refused change, ``InvalidInput`` for
            a record set that is malformed, ``NoSuchHealthCheck``.
    """
    working = {_key_of(record): record for record in records}
    refusals: list[str] = []
    for change in changes:
        action, wanted = str(change["Action"]), dict(change["ResourceRecordSet"])
        wanted["Name"] = canonical(str(wanted["Name"]))
        _check_form(action, wanted)
        try:
            _apply(working, action, wanted, scope)
        except Refused as refused:
            refusals.append(str(refused))
    if refusals:
        raise Route53ClientError("InvalidChangeBatch", f"[{', '.join(refusals)}]")
    return list(working.values())


def _check_form(action: str, wanted: Mapping[str, Any]) -> None:
    where = (
        f"in Change with [Action={action}, Name={wanted['Name']}, Type={wanted['Type']}, "
        f"SetIdentifier={wanted.get('SetIdentifier', 'null')}]"
    )
    if action not in {"CREATE", "UPSERT", "DELETE"}:
        _invalid(f"Invalid XML ; '{action}' is not one of [CREATE, DELETE, UPSERT]")
    has_alias = "AliasTarget" in wanted
    has_values = "TTL" in wanted and bool(wanted.get("ResourceRecords"))
    if has_alias == has_values or (has_alias and "TTL" in wanted):
        found = "found none" if not has_alias else "found more than one"
        _invalid(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and "
            f"ResourceRecords], or TrafficPolicyInstanceId], but {found} {where}"
        )
    if emulated_not := [field for field in _NOT_EMULATED if field in wanted]:
        _invalid(f"The lab does not emulate {emulated_not[0]} {where}")
    routing = [field for field in _ROUTING if field in wanted]
    if len(routing) > 1 or (not routing and wanted.get("SetIdentifier")):
        found = "found more than one" if routing else "found none"
        _invalid(
            f"Invalid request: Expected exactly one of [{', '.join(_ROUTING)}], but {found} {where}"
        )
    if routing and not wanted.get("SetIdentifier"):
        _invalid(f"Invalid request: Missing field 'SetIdentifier' {where}")


def _invalid(message: str) -> None:
    raise Route53ClientError("InvalidInput", message)


def _apply(
    working: dict[_Key, RecordSet], action: str, wanted: dict[str, Any], scope: Scope
) -> None:
    name, type_, id_ = wanted["Name"], wanted["Type"], wanted.get("SetIdentifier")
    zone = canonical(scope.zone)
    if name != zone and not name.endswith(f".{zone}"):
        raise Refused(f"RRSet with DNS name {name} is not permitted in zone {zone}")
    label = f"[name='{name}', type='{type_}'" + (f", set-identifier='{id_}']" if id_ else "]")
    record = _record(wanted)
    key = _key_of(record)
    current = working.get(key)
    if action == "DELETE":
        if current is None:
            raise Refused(f"Tried to delete resource record set {label} but it was not found")
        if _identity(current) != _identity(record):
            raise Refused(
                f"Tried to delete resource record set {label} but the values provided do not match "
                "the current values"
            )
        if name == zone and type_ in {"NS", "SOA"}:
            raise Refused(
                f"A HostedZone must contain exactly one {type_} record for the zone itself."
            )
        del working[key]
        return
    if action == "CREATE" and current is not None:
        raise Refused(f"Tried to create resource record set {label} but it already exists")
    if record.health_check_id and record.health_check_id not in scope.health_checks:
        raise NoSuchHealthCheck(record.health_check_id)
    _check_neighbours(record, [other for k, other in working.items() if k != key], zone)
    _check_values(record)
    if record.alias_target:
        _check_alias(record, working.values(), scope)
    elif record.failover == "PRIMARY" and not record.health_check_id:
        raise Refused("A non-alias primary ResourceRecordSet must have an associated health check.")
    working[key] = record


def _check_neighbours(record: RecordSet, others: Iterable[RecordSet], zone: str) -> None:
    if record.type == "CNAME" and record.name == zone:
        raise Refused(
            f"RRSet of type CNAME with DNS name {record.name} is not permitted at apex "
            f"in zone {zone}"
        )
    for other in others:
        if canonical(other.name) != record.name:
            continue
        if record.type == "CNAME" and other.type != "CNAME":
            raise Refused(
                f"RRSet of type CNAME with DNS name {record.name} is not permitted as it conflicts "
                f"with other records with the same DNS name in zone {zone}"
            )
        if other.type == "CNAME" and record.type != "CNAME":
            raise Refused(
                f"RRSet of type {record.type} with DNS name {record.name} is not permitted because "
                "a conflicting RRSet of type CNAME with the same DNS name already exists in zone "
                f"{zone}"
            )
        if other.type != record.type:
            continue
        if _policy(other) != _policy(record) or (
            record.failover and other.failover == record.failover
        ):
            raise Refused(
                f"RRSet with DNS name {record.name}, type {record.type}, SetIdentifier "
                f"{record.set_identifier} cannot be created as other RRSets exist with the same "
                "name and type."
            )


def _check_values(record: RecordSet) -> None:
    families = {"A": ipaddress.IPv4Address, "AAAA": ipaddress.IPv6Address}
    family = families.get(str(record.type))
    for value in record.records if family else ():
        try:
            (family or str)(value)
        except ValueError:
            version = "4" if record.type == "A" else "6"
            raise Refused(
                f"Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv{version}Address "
                f"(Value is not a valid IPv{version} address) encountered with '{value}''"
            ) from None


def _check_alias(record: RecordSet, others: Iterable[RecordSet], scope: Scope) -> None:
    alias = record.alias_target or {}
    target = canonical(str(alias["DNSName"]))
    zone_id = str(alias["HostedZoneId"]).removeprefix("/hostedzone/")
    tried = (
        f"Tried to create an alias that targets {target}, type {record.type} in zone {zone_id}, "
    )
    zone = scope.zone_names.get(zone_id)
    if zone is None:
        if not target.endswith(".elb.amazonaws.com."):
            raise Refused(f"{tried}but the alias target name does not lie within the target zone")
        return
    if not f".{target}".endswith(f".{canonical(zone)}"):
        raise Refused(f"{tried}but the alias target name does not lie within the target zone")
    if zone_id == scope.zone_id and not any(
        canonical(other.name) == target and other.type == record.type for other in others
    ):
        raise Refused(f"{tried}but that target was not found")


def _record(wanted: Mapping[str, Any]) -> RecordSet:
    values = [line["Value"] for line in wanted.get("ResourceRecords") or ()]
    alias = wanted.get("AliasTarget")
    if alias is not None:
        alias = {**alias, "DNSName": canonical(str(alias["DNSName"]))}
    document = {**wanted, "ResourceRecords": values, "AliasTarget": alias}
    return RecordSet(document)  # type: ignore[abstract]  # moto instantiates it all the same


def _key_of(record: RecordSet) -> _Key:
    return canonical(record.name), str(record.type), record.set_identifier


def _policy(record: RecordSet) -> str:
    if record.failover:
        return "failover"
    if record.weight is not None:
        return "weighted"
    return "multivalue" if record.multi_value_answer else "simple"


def _identity(record: RecordSet) -> tuple[Any, ...]:
    """Everything that a DELETE must repeat; the order of values does not matter to AWS."""
    alias = record.alias_target or {}
    return (
        None if record.ttl is None else int(record.ttl),
        sorted(values_of(record)),
        None if record.weight is None else int(record.weight),
        record.failover,
        record.health_check_id,
        bool(record.multi_value_answer),
        canonical(str(alias.get("DNSName", ""))),
        str(alias.get("HostedZoneId", "")).removeprefix("/hostedzone/"),
        str(alias.get("EvaluateTargetHealth", "")).lower(),
    )


def values_of(record: RecordSet) -> tuple[str, ...]:
    """The values of a record set; moto keeps those of its own SOA as documents."""
    return tuple(
        value["Value"] if isinstance(value, Mapping) else str(value)
        for value in record.records or ()
    )
