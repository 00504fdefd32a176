"""What a public name resolves to."""

from datetime import timedelta
from typing import ClassVar, TypeAlias

from drctl.actions.contract import Action, Context, Effect, Outputs, Params, Repeat
from drctl.actions.errors import Unavailable
from drctl.actions.targets import CloudDnsRecord, DnsRecord, FailoverSwitch, Target, Text
from drctl.adapters import _resolver

NamedTarget: TypeAlias = FailoverSwitch | DnsRecord | CloudDnsRecord

_ASK_FOR = timedelta(seconds=3)


class ResolveParams(Params):
    """Which name; normally the target's own."""

    name: Text | None = None
    """Another name than the target's record."""


class ResolveOutputs(Outputs):
    """What each resolver answered."""

    name: str
    answers: dict[str, tuple[str, ...]]
    """Addresses by resolver, sorted; empty for one that did not answer."""
    errors: dict[str, str]
    """By resolver, those that failed."""
    addresses: tuple[str, ...]
    """All addresses, sorted."""
    agree: bool
    """Every resolver answered, and with the same addresses."""


class ResolveRecord(Action[NamedTarget, ResolveParams, ResolveOutputs]):
    """Asks every resolver of the environment for the addresses of a name."""

    name: ClassVar[str] = "dns.record.resolve"
    summary: ClassVar[str] = "Asks each of the environment's resolvers for a name's addresses"
    effect: ClassVar[Effect] = Effect.READ
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets: ClassVar[tuple[type[Target], ...]] = (FailoverSwitch, DnsRecord, CloudDnsRecord)
    params: ClassVar[type[Params]] = ResolveParams
    outputs: ClassVar[type[Outputs]] = ResolveOutputs

    async def perform(
        self, ctx: Context, target: NamedTarget, params: ResolveParams
    ) -> ResolveOutputs:
        """
        Asks, and reports a resolver that fails instead of raising, so that ``until`` can poll.

        Raises:
            Unavailable: No time was left to ask.
        """
        name = params.name or target.record_name
        left_s = ctx.deadline.at_most(ctx.clock, _ASK_FOR).left_s(ctx.clock)
        if left_s <= 0:
            raise Unavailable(f"{name}: no time left to ask")
        found = await _resolver.resolve_each(name, ctx.resolvers, timeout_s=left_s)
        answers = {answer.resolver: tuple(sorted(answer.addresses)) for answer in found}
        errors = {answer.resolver: str(answer.error) for answer in found if answer.error}
        return ResolveOutputs(
            name=name,
            answers=answers,
            errors=errors,
            addresses=tuple(sorted({address for each in answers.values() for address in each})),
            agree=not errors and len(set(answers.values())) == 1,
        )
