"""How long resolvers would go on sending customers to the old place."""

from collections.abc import Hashable, Sequence
from typing import ClassVar, TypeAlias

from drctl.actions.check import Asked, Check, Prerequisite, Standing, Use, at_risk, broken, holds
from drctl.actions.contract import Context, Effect
from drctl.actions.targets import CloudDnsRecord, DnsRecord, FailoverSwitch, Target
from drctl.adapters import _resolver
from drctl.kernel.duration import format_duration

NamedTarget: TypeAlias = FailoverSwitch | DnsRecord | CloudDnsRecord

_ASK_FOR_S = 3.0
_SHARE = 5
"""A TTL above this part of the RTO leaves too little of it for everything else."""


class TtlWithinBudget(Check[NamedTarget]):
    """The TTL of the public name, as the environment's resolvers give it."""

    name: ClassVar[str] = "dns.ttl"
    summary: ClassVar[str] = "Resolvers forget the old address of the public name within the RTO"
    targets = (FailoverSwitch, DnsRecord, CloudDnsRecord)

    def concerns(self, use: Use, target: Target) -> bool:
        return use.effect is Effect.TRAFFIC and super().concerns(use, target)

    def key(self, asked: Asked[NamedTarget]) -> Hashable:
        return (asked.target.record_name, asked.rto_s)

    async def look(self, ctx: Context, asked: Asked[NamedTarget]) -> Sequence[Prerequisite]:
        name = asked.target.record_name
        told = await _resolver.ttls_s(name, ctx.resolvers, timeout_s=_ASK_FOR_S)
        if not told:
            why = "no resolver of the environment says how long its answer may be kept"
            do = "name the zone's own nameservers under resolvers:"
            return [Prerequisite(standing=Standing.CANNOT_TELL, subject=name, why=why, do=do)]
        ttl_s = max(told)
        rto, ttl = format_duration(asked.rto_s), format_duration(ttl_s)
        why = f"the TTL is {ttl}, of an RTO of {rto}"
        do = "set it to 60 s, and wait until the old one has run out"
        if ttl_s >= asked.rto_s:
            why += ": customers keep the old address longer than the recovery may take"
            return [broken(name, why, do, ttl_s=ttl_s)]
        if ttl_s > asked.rto_s / _SHARE:
            return [at_risk(name, why, do, ttl_s=ttl_s)]
        return [holds(name, why, ttl_s=ttl_s)]
