"""
Writes a DNS record through Route 53's control plane, which lives in us-east-1: the fallback.

Problem: in October 2025 an older plan, delayed between its check and its write, overwrote a newer
one in DynamoDB's DNS, and the clean-up of old plans then left an empty answer. Invariant: a record
is replaced by one batch, DELETE of exactly what was seen and CREATE of what is wanted, which Route
53 applies whole or not at all; what was seen is what the plan saw. So an old plan finds another
record than its own, and stops; and no moment shows an empty answer.
"""

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
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.actions.targets import DnsRecord, Part, Text
from drctl.adapters.aws.client import Aws

POLL_S = 1.0
KINDS = ("A", "AAAA", "CNAME", "TXT")
IN_SYNC = "INSYNC"


class Alias(Part):
    """Another AWS name that the record follows."""

    zone_id: Text
    """The balancer's own hosted zone, not ours."""
    name: Text
    evaluate_health: bool = False


class UpsertParams(Params):
    """The whole record set as it shall be."""

    type: Literal["A", "AAAA", "CNAME", "TXT"] = "A"
    ttl: int | None = Field(default=None, ge=1, le=86400)
    """Seconds; for values only, an alias has its target's."""
    values: tuple[Text, ...] = ()
    alias: Alias | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "UpsertParams":
        if bool(self.values) == (self.alias is not None):
            raise ValueError("give either values or alias")
        if (self.ttl is None) != (self.alias is not None):
            raise ValueError("values need a ttl, and an alias has none")
        return self


class Upserted(Outputs):
    """Route 53's own record of the change."""

    change_id: str
    """Empty when the record was already as wanted."""


class UpsertRecord(Action[DnsRecord, UpsertParams, Upserted]):
    """Sends one change and waits until Route 53 says that all its nameservers have it."""

    name: ClassVar[str] = "aws.route53.record.upsert"
    summary: ClassVar[str] = "Write a DNS record (needs the us-east-1 control plane)"
    effect: ClassVar[Effect] = Effect.TRAFFIC
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (DnsRecord,)
    params = UpsertParams
    outputs = Upserted

    def planes(self, target: DnsRecord) -> tuple[str, ...]:
        return ("control-plane:us-east-1",)

    async def observe(
        self, ctx: Context, target: DnsRecord, params: UpsertParams | None
    ) -> Observation:
        # Which kind is known with the params only; the one that counts is picked out then.
        kinds = (params.type,) if params else KINDS
        found = await _find(Aws(ctx, target.aws), target, kinds)
        return Observation(facts={"records": [_text(record) for record in found]})

    def preview(
        self, observation: Observation, target: DnsRecord, params: UpsertParams | None
    ) -> Preview:
        records = observation.facts["records"]
        now = "; ".join(str(text) for text in records) if isinstance(records, list) else ""
        if params is None:
            return CannotTell(why=f"now {now or 'no such record'}; the values are known in the run")
        after = _text(_wanted(target, params))
        if now == after:
            return Nothing(why=f"{target.record_name} is {after}")
        return Change(before=now or "no such record", after=after, creates=not now)

    async def perform(self, ctx: Context, target: DnsRecord, params: UpsertParams) -> Upserted:
        """
        Replaces what the plan saw, and waits for INSYNC.

        Safe to repeat: a record that is as wanted already is left alone.

        Raises:
            Conflict: The record is not what the plan saw, was changed between our look and our
                write, or another change of this zone is under way.
            Rejected: The change is not one, or the zone holds the name in another routing policy.
            OutcomeUnknown: No answer, or not in sync by the deadline.

        Changes:
            The record set of the target.
        """
        aws, wanted = Aws(ctx, target.aws), _wanted(target, params)
        found = await _find(aws, target, (params.type,))
        if [_text(record) for record in found] == [_text(wanted)]:
            return Upserted(change_id="")
        _require_as_seen(ctx, target, params, found)
        if len(found) > 1 or any("SetIdentifier" in record for record in found):
            held = "; ".join(_text(record) for record in found)
            raise Rejected(f"{target.record_name} is held in another routing policy: {held}")
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
            now = await _find(aws, target, (params.type,))
            if [_text(record) for record in now] == [_text(record) for record in found]:
                raise
            raise Conflict(f"{target.label} was changed by something else: {error}") from error
        change: dict[str, Any] = answer["ChangeInfo"]
        while change["Status"] != IN_SYNC:
            if ctx.deadline.has_passed(ctx.clock):
                raise OutcomeUnknown(f"{target.label}: change {change['Id']} is {change['Status']}")
            await ctx.clock.sleep(min(POLL_S, ctx.deadline.left_s(ctx.clock)))
            change = await _change(aws, change)
        return Upserted(change_id=change["Id"].rsplit("/", 1)[-1])

    async def settled(
        self, ctx: Context, target: DnsRecord, params: UpsertParams
    ) -> Done[Upserted] | NotDone | CannotTell:
        """`Done` means accepted: Route 53 then brings it to its nameservers, within 60 seconds."""
        try:
            found = await _find(Aws(ctx, target.aws), target, (params.type,))
        except ActionError as error:
            return CannotTell(why=str(error))
        if [_text(record) for record in found] == [_text(_wanted(target, params))]:
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
    then = [text for text in seen if str(text).startswith(f"{params.type} ")]
    now = [_text(record) for record in found]
    if then != now:
        was, is_ = ("; ".join(map(str, texts)) or "not there" for texts in (then, now))
        raise Conflict(f"{target.label} was {was} when the plan was made, and is {is_}")


async def _find(aws: Aws, target: DnsRecord, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    name = target.record_name.rstrip(".") + "."
    answer = await aws.read(
        "route53",
        "list_resource_record_sets",
        HostedZoneId=target.zone_id,
        StartRecordName=name,
        StartRecordType=kinds[0],
        MaxItems="100",
    )
    return [
        record
        for record in answer["ResourceRecordSets"]
        if record["Name"].rstrip(".") + "." == name and record["Type"] in kinds
    ]


def _wanted(target: DnsRecord, params: UpsertParams) -> dict[str, Any]:
    record: dict[str, Any] = {"Name": target.record_name.rstrip(".") + ".", "Type": params.type}
    if params.alias is not None:
        return record | {
            "AliasTarget": {
                "HostedZoneId": params.alias.zone_id,
                "DNSName": params.alias.name,
                "EvaluateTargetHealth": params.alias.evaluate_health,
            }
        }
    values = [{"Value": value} for value in params.values]
    return record | {"TTL": params.ttl, "ResourceRecords": values}


def _text(record: dict[str, Any]) -> str:
    """One line for people, the same for equal records."""
    if alias := record.get("AliasTarget"):
        follows = "with" if alias["EvaluateTargetHealth"] else "without"
        shown = f"alias of {alias['DNSName'].rstrip('.').lower()} {follows} its health"
    else:
        values = sorted(value["Value"] for value in record.get("ResourceRecords", []))
        shown = f"{', '.join(values)} for {record.get('TTL')} s"
    policy = record.get("SetIdentifier")
    return f"{record['Type']} {shown}" + (f" ({policy})" if policy else "")
