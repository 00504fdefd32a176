"""Compares what Cloud DNS has for a record with what the environment's resolvers answer."""

from datetime import timedelta
from typing import ClassVar, Literal

from drctl.actions.contract import Action, Context, Effect, Observation, Outputs, Params, Repeat
from drctl.actions.errors import NotFound
from drctl.actions.targets import CloudDnsRecord
from drctl.adapters import _resolver
from drctl.adapters.gcp.client import Gcp
from drctl.adapters.gcp.record_api import find

ASK = timedelta(seconds=3)


class CheckParams(Params):
    """Which record set of the name."""

    type: Literal["A", "AAAA", "CNAME", "TXT"] = "A"


class CheckOutputs(Outputs):
    """Both sides of it."""

    ttl: int
    """Seconds for which caches may keep it."""
    values: tuple[str, ...]
    """What the zone has, sorted."""
    answers: dict[str, tuple[str, ...]]
    """Addresses by resolver, sorted."""
    errors: dict[str, str]
    """By resolver, those that failed."""
    agree: bool
    """Every resolver answered with the zone's addresses; for a record without addresses (CNAME,
    TXT): every resolver answered, and they agree with each other."""


class CheckRecord(Action[CloudDnsRecord, CheckParams, CheckOutputs]):
    """Reports a resolver that fails instead of raising, so that ``until`` can poll."""

    name: ClassVar[str] = "gcp.dns.record.check"
    summary: ClassVar[str] = "Compare a Cloud DNS record with what resolvers answer"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (CloudDnsRecord,)
    params = CheckParams
    outputs = CheckOutputs

    def planes(self, target: CloudDnsRecord) -> tuple[str, ...]:
        return ("control-plane:global",)

    async def observe(
        self, ctx: Context, target: CloudDnsRecord, params: CheckParams | None
    ) -> Observation:
        seen = await self.perform(ctx, target, params or CheckParams())
        return Observation(readings={"values": list(seen.values), "agree": seen.agree})

    async def perform(
        self, ctx: Context, target: CloudDnsRecord, params: CheckParams
    ) -> CheckOutputs:
        """
        Asks both.

        Raises:
            NotFound: The zone has no such record set.
            ActionError: Cloud DNS could not be read.
        """
        found = await find(Gcp(ctx, target.gcp), target, (params.type,))
        if not found:
            raise NotFound(f"{target.label} has no {params.type}")
        values = tuple(sorted(str(one) for one in found[0].get("rrdatas", [])))
        left_s = ctx.deadline.at_most(ctx.clock, ASK).left_s(ctx.clock)
        asked = await _resolver.resolve_each(
            target.record_name, ctx.resolvers, timeout_s=max(0.1, left_s)
        )
        answers = {one.resolver: tuple(sorted(one.addresses)) for one in asked}
        errors = {one.resolver: str(one.error) for one in asked if one.error}
        wanted = values if params.type in {"A", "AAAA"} else next(iter(answers.values()))
        return CheckOutputs(
            ttl=int(found[0].get("ttl", 0)),
            values=values,
            answers=answers,
            errors=errors,
            agree=not errors and set(answers.values()) == {wanted},
        )
