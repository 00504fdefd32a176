"""
Writes a record through Cloud DNS.

Problem: an older plan, delayed between its check and its write, overwrites a newer one (see
`drctl.adapters.aws.record`). Invariant: one change deletes exactly what was seen, which is what the
plan saw, and adds what is wanted; Cloud DNS applies both or neither. So an old plan finds another
record than its own, and stops; and no moment shows an empty answer.
"""

from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

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
from drctl.actions.errors import ActionError, Conflict, NotFound, OutcomeUnknown, Rejected
from drctl.actions.targets import CloudDnsRecord, Text
from drctl.adapters import _resolver
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.errors import after_sending
from drctl.adapters.gcp.record_api import find, finish, full_name, text, zone_path

KINDS = ("A", "AAAA", "CNAME", "TXT")
ASK = timedelta(seconds=3)


class SetParams(Params):
    """The whole record set as it shall be."""

    type: Literal["A", "AAAA", "CNAME", "TXT"] = "A"
    ttl: int = Field(ge=1, le=86400)
    """Seconds."""
    values: tuple[Text, ...] = Field(min_length=1)
    """As a zone file has them: a name ends with a dot, a text has its quotes."""


class SetOutputs(Outputs):
    """Google's own record of the change, and what the environment's resolvers said afterwards."""

    change_id: str
    """Empty when the record was already as wanted."""
    answers: dict[str, tuple[str, ...]]
    """Addresses by resolver; a cache may keep the old ones for as long as the old record said."""
    errors: dict[str, str]
    """By resolver, those that failed."""


class SetRecord(Action[CloudDnsRecord, SetParams, SetOutputs]):
    """Sends one change, waits until it is done, and asks the resolvers once."""

    name: ClassVar[str] = "gcp.dns.record.set"
    summary: ClassVar[str] = "Write a Cloud DNS record, compared with what the plan saw"
    effect: ClassVar[Effect] = Effect.TRAFFIC
    alternative: ClassVar[str] = "a failover policy with health checks, made in advance"
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (CloudDnsRecord,)
    params = SetParams
    outputs = SetOutputs

    def planes(self, target: CloudDnsRecord) -> tuple[str, ...]:
        return ("control-plane:global",)

    async def observe(
        self, ctx: Context, target: CloudDnsRecord, params: SetParams | None
    ) -> Observation:
        # Which kind is known with the params only; the one that counts is picked out then.
        kinds = (params.type,) if params else KINDS
        found = await find(Gcp(ctx, target.gcp), target, kinds)
        return Observation(facts={"records": [text(record) for record in found]})

    def preview(
        self, observation: Observation, target: CloudDnsRecord, params: SetParams | None
    ) -> Preview:
        records = observation.facts["records"]
        now = "; ".join(str(one) for one in records) if isinstance(records, list) else ""
        if params is None:
            return CannotTell(why=f"now {now or 'no such record'}; the values are known in the run")
        after = text(_wanted(target, params))
        if now == after:
            return Nothing(why=f"{target.record_name} is {after}")
        return Change(before=now or "no such record", after=after, creates=not now)

    async def perform(self, ctx: Context, target: CloudDnsRecord, params: SetParams) -> SetOutputs:
        """
        Replaces what the plan saw, waits until the change is done, and resolves.

        Safe to repeat: a record that is as wanted already is left alone.

        Raises:
            Conflict: The record is not what the plan saw, or was changed between our look and our
                write.
            Rejected: The change is not one, or the record has a routing policy.
            OutcomeUnknown: No answer, or not done by the deadline.

        Changes:
            The record set of the target.
        """
        gcp, wanted = Gcp(ctx, target.gcp), _wanted(target, params)
        found = await find(gcp, target, (params.type,))
        change_id = ""
        if [text(record) for record in found] != [text(wanted)]:
            _require_as_seen(ctx, target, params, found)
            change_id = await _replace(ctx, gcp, target, found, wanted)
        answers = await _resolver.resolve_each(
            target.record_name,
            ctx.resolvers,
            timeout_s=max(0.1, ctx.deadline.at_most(ctx.clock, ASK).left_s(ctx.clock)),
        )
        return SetOutputs(
            change_id=change_id,
            answers={one.resolver: tuple(sorted(one.addresses)) for one in answers},
            errors={one.resolver: str(one.error) for one in answers if one.error},
        )

    async def settled(
        self, ctx: Context, target: CloudDnsRecord, params: SetParams
    ) -> Done[SetOutputs] | NotDone | CannotTell:
        """`Done` means accepted: Google then brings it to its name servers, within a minute."""
        try:
            found = await find(Gcp(ctx, target.gcp), target, (params.type,))
        except ActionError as error:
            return CannotTell(why=str(error))
        if [text(record) for record in found] == [text(_wanted(target, params))]:
            return Done(outputs=SetOutputs(change_id="", answers={}, errors={}))
        return NotDone(why=f"{target.record_name} is {'; '.join(map(text, found)) or 'not there'}")


async def _replace(
    ctx: Context,
    gcp: Gcp,
    target: CloudDnsRecord,
    found: list[dict[str, Any]],
    wanted: dict[str, Any],
) -> str:
    if any(record.get("routingPolicy") for record in found):
        raise Rejected(f"{target.label} has a routing policy: {'; '.join(map(text, found))}")
    fields = ("name", "type", "ttl", "rrdatas")
    deletions: list[Any] = [{field: record[field] for field in fields} for record in found]
    try:
        answer = await gcp.mutate(
            "POST",
            "dns",
            f"{zone_path(target)}/changes",
            {"additions": [wanted], "deletions": deletions},
        )
    except (Conflict, NotFound) as error:
        # A network that delivers twice gives the answer to the second; who compares, finds.
        with after_sending(target.label):
            now = await find(gcp, target, (wanted["type"],))
        if [text(record) for record in now] == [text(wanted)]:
            raise OutcomeUnknown(f"{target.label} is as wanted, and: {error}") from error
        raise Conflict(f"{target.label} was changed by something else: {error}") from error
    added = answer.get("additions")
    if not isinstance(added, list) or [text(one) for one in added] != [text(wanted)]:
        raise OutcomeUnknown(f"Cloud DNS answered about another change than that of {target.label}")
    return str((await finish(ctx, gcp, target, answer))["id"])


def _require_as_seen(
    ctx: Context, target: CloudDnsRecord, params: SetParams, found: list[dict[str, Any]]
) -> None:
    """
    Raises:
        Conflict: Something else has written the record since the plan was made.
    """
    seen = ctx.seen.get("records") if ctx.seen is not None else None
    if not isinstance(seen, list | tuple):
        return
    then = [one for one in seen if str(one).startswith(f"{params.type} ")]
    now = [text(record) for record in found]
    if then != now:
        was, is_ = ("; ".join(map(str, texts)) or "not there" for texts in (then, now))
        raise Conflict(f"{target.label} was {was} when the plan was made, and is {is_}")


def _wanted(target: CloudDnsRecord, params: SetParams) -> dict[str, Any]:
    return {
        "name": full_name(target),
        "type": params.type,
        "ttl": params.ttl,
        "rrdatas": list(params.values),
    }
