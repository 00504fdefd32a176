"""
Writes a DNS record through Route 53's control plane, which lives in us-east-1: the fallback.

Problem: in October 2025 an older plan, delayed between its check and its write, overwrote a newer
one in DynamoDB's DNS, and the clean-up of old plans then left an empty answer. Invariant: a record
is replaced by one batch, DELETE of exactly what was seen and CREATE of what is wanted, which Route
53 applies whole or not at all; what was seen is what the plan saw. So an old plan finds another
record than its own, and stops; and no moment shows an empty answer.
"""

import json
from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Done,
    Effect,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.planes import Ask, control
from drctl.actions.targets import DnsRecord, Part, Text
from drctl.adapters import _resolver
from drctl.adapters.aws.client import Aws

POLL_S = 1.0
ALIAS_TTL_S = 60.0
"""What load balancers' names have at AWS; used when no nameserver tells the TTL."""
TTL_PATIENCE_S = 3.0
KINDS = ("A", "AAAA", "CNAME", "TXT")
IN_SYNC = "INSYNC"
_LEADS = frozenset({"TTL", "ResourceRecords", "AliasTarget", "Name", "Type"})
"""Fields of a record set that say where it leads; the others say when it is chosen."""


class Alias(Part):
    """Another AWS name that the record follows."""

    zone_id: Text
    """The balancer's own hosted zone, not ours."""
    name: Text
    evaluate_health: bool | None = None
    """Left out: as the record has it, or not at all for a new one."""


class UpsertParams(Params):
    """The whole record set as it shall be."""

    type: Literal["A", "AAAA", "CNAME", "TXT"] = "A"
    ttl: int | None = Field(default=None, ge=1, le=86400)
    """Seconds; for values only, an alias has its target's."""
    values: tuple[Text, ...] = ()
    alias: Alias | None = None
    set_identifier: Text | None = None
    """
    One member of a weighted, failover or multivalue set. It must be there: its routing, its health
    check and its place in the set stay as they are, and only where it leads is changed.
    """
    weight: int | None = Field(default=None, ge=0, le=255)
    """Another weight for that member."""
    outlast_caches: bool = False
    """
    Also wait until copies of the old answer have ended: resolvers keep it for *its* TTL, whatever
    the new one's is.
    """

    @model_validator(mode="after")
    def _one_kind(self) -> "UpsertParams":
        if bool(self.values) == (self.alias is not None):
            raise ValueError("give either values or alias")
        if (self.ttl is None) != (self.alias is not None):
            raise ValueError("values need a ttl, and an alias has none")
        if self.weight is not None and self.set_identifier is None:
            raise ValueError("a weight is one of a set: give its set_identifier")
        return self


class Upserted(Outputs):
    """Route 53's own record of the change."""

    change_id: str
    """Empty when the record was already as wanted."""
    previous_alias_name: str = ""
    """Where it led before, for the way back; empty when it was no alias."""
    previous_alias_zone_id: str = ""
    old_ttl_s: float = 0.0
    """How long resolvers may have kept the old answer; 0 when nobody waited for that."""


class UpsertRecord(Action[DnsRecord, UpsertParams, Upserted]):
    """Sends one change and waits until Route 53 says that all its nameservers have it."""

    name: ClassVar[str] = "aws.route53.record.upsert"
    summary: ClassVar[str] = "Write a DNS record (needs the us-east-1 control plane)"
    effect: ClassVar[Effect] = Effect.TRAFFIC
    alternative: ClassVar[str] = (
        "a failover pair made in advance, switched by aws.route53.failover_switch.engage or"
        " aws.arc.routing_control.set"
    )
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (DnsRecord,)
    params = UpsertParams
    outputs = Upserted

    def planes(self, target: DnsRecord) -> tuple[str, ...]:
        return ("control-plane:us-east-1",)

    def asks(self, target: DnsRecord, params: UpsertParams | None = None) -> tuple[Ask, ...]:
        return (control("us-east-1", "Route 53 records"),)

    async def observe(
        self, ctx: Context, target: DnsRecord, params: UpsertParams | None
    ) -> Observation:
        found = await _find(Aws(ctx, target.aws), target)
        if params is not None:
            found = _concerned(found, params)
        # Without the params it is not known which one counts; that is picked out then.
        return Observation(
            facts={"records": [_text(record) for record in found]},
            readings={
                "now": [json.dumps(record, sort_keys=True) for record in found],
                "ttl_s": max(_held_s(found), default=None),
            },
        )

    def preview(
        self, observation: Observation, target: DnsRecord, params: UpsertParams | None
    ) -> Preview:
        records = observation.facts["records"]
        now = "; ".join(str(text) for text in records) if isinstance(records, list) else ""
        if params is None:
            return CannotTell(why=f"now {now or 'no such record'}; the values are known in the run")
        held = observation.readings.get("now")
        found = [json.loads(str(text)) for text in held] if isinstance(held, list) else []
        if params.set_identifier is not None and not found:
            return CannotTell(why=f"no record of the set {params.set_identifier}")
        after = _text(_wanted(target, params, found))
        if now == after:
            return Nothing(why=f"{target.record_name} is {after}")
        return Change(before=now or "no such record", after=after, creates=not now)

    async def perform(self, ctx: Context, target: DnsRecord, params: UpsertParams) -> Upserted:
        """
        Replaces what the plan saw, in one batch also when the kind changes, and waits for INSYNC.

        Safe to repeat: a record that is as wanted already is left alone.

        Raises:
            Conflict: The record is not what the plan saw, was changed between our look and our
                write, or another change of this zone is under way.
            NotFound: No such member of the set.
            Rejected: The change is not one, or the zone holds the name in another routing policy.
            OutcomeUnknown: No answer, or not in sync by the deadline, or old answers outlast it.

        Changes:
            The record set of the target, and one of another kind that cannot stand beside it.
        """
        aws = Aws(ctx, target.aws)
        found = _concerned(await _find(aws, target), params)
        wanted = _wanted(target, params, found)
        if [_text(record) for record in found] == [_text(wanted)]:
            return Upserted(change_id="", **_led(wanted))
        _require_as_seen(ctx, target, params, found)
        others = [record for record in found if "SetIdentifier" in record]
        if params.set_identifier is None and others:
            held = "; ".join(_text(record) for record in found)
            raise Rejected(f"{target.record_name} is held in another routing policy: {held}")
        old_ttl_s = await _old_ttl_s(ctx, target, found) if params.outlast_caches else 0.0
        batch = [{"Action": "DELETE", "ResourceRecordSet": record} for record in found]
        batch += [{"Action": "CREATE", "ResourceRecordSet": wanted}]
        try:
            answer = await aws.mutate(
                "route53",
                "change_resource_record_sets",
                HostedZoneId=target.zone_id,
                ChangeBatch={"Comment": f"drctl {ctx.key}"[:256], "Changes": batch},
            )
        except Rejected as error:
            # Nothing happened; the reason may be that the DELETE was not exact any more.
            now = _concerned(await _find(aws, target), params)
            if [_text(record) for record in now] == [_text(record) for record in found]:
                raise
            raise Conflict(f"{target.label} was changed by something else: {error}") from error
        change: dict[str, Any] = answer["ChangeInfo"]
        while change["Status"] != IN_SYNC:
            if ctx.deadline.has_passed(ctx.clock):
                raise OutcomeUnknown(f"{target.label}: change {change['Id']} is {change['Status']}")
            await ctx.clock.sleep(min(POLL_S, ctx.deadline.left_s(ctx.clock)))
            change = await _change(aws, change)
        await self._outlast(ctx, target, old_ttl_s)
        was = _led(found[0]) if found else {}
        return Upserted(change_id=_id(change), old_ttl_s=old_ttl_s, **was)

    @staticmethod
    async def _outlast(ctx: Context, target: DnsRecord, old_ttl_s: float) -> None:
        """From INSYNC on: until then a resolver may have fetched the old answer once more."""
        left_s = ctx.deadline.left_s(ctx.clock)
        if left_s < old_ttl_s:
            raise OutcomeUnknown(
                f"{target.label} is in sync, and resolvers keep the old answer for"
                f" {old_ttl_s:g} s, longer than the {left_s:g} s that are left"
            )
        ctx.say(f"{target.record_name}: in sync; old answers end in {old_ttl_s:g} s")
        await ctx.clock.sleep(old_ttl_s)

    async def settled(
        self, ctx: Context, target: DnsRecord, params: UpsertParams
    ) -> Done[Upserted] | NotDone | CannotTell:
        """`Done` means accepted: Route 53 then brings it to its nameservers, within 60 seconds."""
        try:
            found = _concerned(await _find(Aws(ctx, target.aws), target), params)
            wanted = _wanted(target, params, found)
        except ActionError as error:
            return CannotTell(why=str(error))
        if [_text(record) for record in found] == [_text(wanted)]:
            return Done(outputs=Upserted(change_id=""))
        return NotDone(why=f"{target.record_name} is {'; '.join(map(_text, found)) or 'not there'}")


async def _change(aws: Aws, change: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = await aws.read("route53", "get_change", Id=change["Id"], patience=timedelta())
    except (Throttled, Unavailable):
        return change  # looked at again; the deadline ends it
    except ActionError as error:
        raise OutcomeUnknown(f"change {change['Id']} was accepted, then: {error}") from error
    seen: dict[str, Any] = answer["ChangeInfo"]
    # About another change: not seen. It is looked at again; the deadline ends it.
    return seen if _id(seen) == _id(change) else change


def _id(change: dict[str, Any]) -> str:
    """With or without ``/change/``, Route 53 uses both."""
    return str(change["Id"]).rsplit("/", 1)[-1]


def _require_as_seen(
    ctx: Context, target: DnsRecord, params: UpsertParams, found: list[dict[str, Any]]
) -> None:
    """
    Raises:
        Conflict: Something else has written the record since the plan was made.
    """
    seen = ctx.seen.get("records") if ctx.seen is not None else None
    if not isinstance(seen, list | tuple):
        return
    mark = f"({params.set_identifier}" if params.set_identifier else ""
    kinds = tuple(f"{kind} " for kind in _kinds(params))
    then = [text for text in seen if str(text).startswith(kinds) and mark in str(text)]
    now = [_text(record) for record in found]
    if then != now:
        was, is_ = ("; ".join(map(str, texts)) or "not there" for texts in (then, now))
        raise Conflict(f"{target.label} was {was} when the plan was made, and is {is_}")


async def _find(aws: Aws, target: DnsRecord) -> list[dict[str, Any]]:
    """The record sets of the name, of the kinds that are written here."""
    name = target.record_name.rstrip(".") + "."
    answer = await aws.read(
        "route53",
        "list_resource_record_sets",
        HostedZoneId=target.zone_id,
        StartRecordName=name,
        MaxItems="100",
    )
    return [
        record
        for record in answer["ResourceRecordSets"]
        if record["Name"].rstrip(".") + "." == name and record["Type"] in KINDS
    ]


def _kinds(params: UpsertParams) -> tuple[str, ...]:
    """The kinds that a record takes the place of: a CNAME stands alone at its name."""
    return KINDS if params.type == "CNAME" else (params.type, "CNAME")


def _concerned(records: list[dict[str, Any]], params: UpsertParams) -> list[dict[str, Any]]:
    """Of the records of the name, those that the wanted one takes the place of."""
    if params.set_identifier is None:
        return [record for record in records if record["Type"] in _kinds(params)]
    return [
        record
        for record in records
        if record["Type"] == params.type and record.get("SetIdentifier") == params.set_identifier
    ]


def _wanted(target: DnsRecord, params: UpsertParams, found: list[dict[str, Any]]) -> dict[str, Any]:
    """
    Raises:
        NotFound: The set has no such member.
    """
    record: dict[str, Any] = {"Name": target.record_name.rstrip(".") + ".", "Type": params.type}
    if params.set_identifier is not None:
        if not found:
            raise NotFound(f"{target.label} has no {params.type} record {params.set_identifier}")
        record |= {key: value for key, value in found[0].items() if key not in _LEADS}
        record |= {} if params.weight is None else {"Weight": params.weight}
    if params.alias is not None:
        had = found[0].get("AliasTarget", {}) if found else {}
        asked = params.alias.evaluate_health
        return record | {
            "AliasTarget": {
                "HostedZoneId": params.alias.zone_id,
                "DNSName": params.alias.name,
                "EvaluateTargetHealth": had.get("EvaluateTargetHealth", False)
                if asked is None
                else asked,
            }
        }
    values = [{"Value": value} for value in params.values]
    return record | {"TTL": params.ttl, "ResourceRecords": values}


async def _old_ttl_s(ctx: Context, target: DnsRecord, found: list[dict[str, Any]]) -> float:
    """The longest that the nameservers, or the records themselves, give the old answer."""
    limit_s = min(TTL_PATIENCE_S, ctx.deadline.left_s(ctx.clock))
    told = await _resolver.ttls_s(target.record_name, ctx.resolvers, timeout_s=limit_s)
    return max([*told, *_held_s(found)], default=ALIAS_TTL_S if found else 0.0)


def _held_s(found: list[dict[str, Any]]) -> list[float]:
    """The TTLs that the records themselves have; an alias has none."""
    return [float(record["TTL"]) for record in found if record.get("TTL") is not None]


def _led(record: dict[str, Any]) -> dict[str, str]:
    alias = record.get("AliasTarget")
    if not alias:
        return {}
    return {
        "previous_alias_name": alias["DNSName"].rstrip("."),
        "previous_alias_zone_id": alias["HostedZoneId"],
    }


def _text(record: dict[str, Any]) -> str:
    """One line for people, the same for equal records."""
    if alias := record.get("AliasTarget"):
        follows = "with" if alias["EvaluateTargetHealth"] else "without"
        shown = f"alias of {alias['DNSName'].rstrip('.').lower()} {follows} its health"
    else:
        values = sorted(value["Value"] for value in record.get("ResourceRecords", []))
        shown = f"{', '.join(values)} for {record.get('TTL')} s"
    policy = record.get("SetIdentifier")
    if policy and record.get("Weight") is not None:
        policy += f", weight {record['Weight']}"
    return f"{record['Type']} {shown}" + (f" ({policy})" if policy else "")
