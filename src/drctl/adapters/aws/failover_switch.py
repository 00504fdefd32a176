"""
Moves traffic by writing one S3 object in the recovery region.

An inverted Route 53 health check watches the object. While it exists the primary record counts as
unhealthy and the secondary answers. So moving traffic needs S3 in the recovery region and Route
53's data plane, both of which are built to stay; it does not need Route 53's control plane, which
lives in us-east-1.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Cleared,
    Context,
    Debt,
    Done,
    Effect,
    NoParams,
    NotDone,
    Nothing,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, NotFound, OutcomeUnknown
from drctl.actions.targets import FailoverSwitch
from drctl.adapters import _resolver
from drctl.adapters.aws.client import Aws
from drctl.kernel.canonical import JSON, canonical

POLL_S = 0.5
RESOLVE_S = 2.0
LOOK = timedelta(seconds=5)


class Switched(Outputs):
    """Where the public name leads now."""

    engaged: bool
    answers: dict[str, tuple[str, ...]]
    """Nameserver to the addresses that it gives for the public name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One look at the name through every nameserver."""

    record: dict[str, tuple[str, ...]]
    recovery: dict[str, tuple[str, ...]]
    trouble: tuple[str, ...]

    def is_as_wanted(self, *, engaged: bool) -> bool:
        """All nameservers answered, and say the recovery's addresses, or none of them."""
        if self.trouble or not self.record:
            return False
        return all(
            (set(self.record[place]) == set(self.recovery[place]))
            if engaged
            else not set(self.record[place]) & set(self.recovery[place])
            for place in self.record
        )

    def __str__(self) -> str:
        said = (f"{place} says {', '.join(found)}" for place, found in self.record.items())
        return "; ".join((*said, *self.trouble))


async def _look(ctx: Context, target: FailoverSwitch) -> _View:
    limit_s = min(RESOLVE_S, max(0.1, ctx.deadline.left_s(ctx.clock)))
    record, recovery = await asyncio.gather(
        *(
            _resolver.resolve_each(name, ctx.resolvers, timeout_s=limit_s)
            for name in (target.record_name, target.recovery_name)
        )
    )
    return _View(
        record=_found(record),
        recovery=_found(recovery),
        trouble=tuple(str(one.error) for one in (*record, *recovery) if one.error is not None),
    )


def _found(answers: Sequence[_resolver.Answer]) -> dict[str, tuple[str, ...]]:
    return {
        answer.resolver: tuple(sorted(answer.addresses)) for answer in answers if not answer.error
    }


async def _is_engaged(ctx: Context, target: FailoverSwitch) -> bool:
    try:
        await Aws(ctx, target.aws).read(
            "s3", "head_object", Bucket=target.bucket, Key=target.key, patience=LOOK
        )
    except NotFound:
        return False
    return True


class _Switch(Action[FailoverSwitch, NoParams, Switched]):
    """What both directions share: everything but the write."""

    effect: ClassVar[Effect] = Effect.TRAFFIC
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (FailoverSwitch,)
    outputs = Switched
    engages: ClassVar[bool]

    def planes(self, target: FailoverSwitch) -> tuple[str, ...]:
        return (f"data-plane:{target.aws.region}",)

    def debts(
        self, target: FailoverSwitch, params: NoParams, outputs: Switched
    ) -> tuple[Debt | Cleared, ...]:
        key = f"traffic:{target.identities[0]}"
        if not self.engages:
            return (Cleared(key=key),)
        what = f"the switch sends customers of {target.record_name} to {target.aws.region}"
        return (Debt(key=key, what=what, remedy="bring the region back: drctl failback region"),)

    async def observe(
        self, ctx: Context, target: FailoverSwitch, params: NoParams | None
    ) -> Observation:
        engaged = await _is_engaged(ctx, target)
        view = await _look(ctx, target)
        return Observation(
            facts={"engaged": engaged},
            readings={
                "answers": str(view),
                "settled": view.is_as_wanted(engaged=self.engages),
                "recovery": ", ".join(sorted({ip for ips in view.recovery.values() for ip in ips})),
            },
        )

    def preview(
        self, observation: Observation, target: FailoverSwitch, params: NoParams | None
    ) -> Preview:
        engaged, readings = observation.facts["engaged"], observation.readings
        word = {True: "engaged", False: "not engaged"}
        if engaged is self.engages and readings["settled"]:
            return Nothing(why=f"the switch is {word[self.engages]}: {readings['answers']}")
        leads = readings["recovery"] if self.engages else f"elsewhere than {readings['recovery']}"
        return Change(
            before=f"switch {word[engaged is True]}; {readings['answers']}",
            after=f"switch {word[self.engages]}; {target.record_name} leads to {leads}",
        )

    async def perform(self, ctx: Context, target: FailoverSwitch, params: NoParams) -> Switched:
        """
        Writes or removes the object, and waits until every nameserver of the environment has
        followed.

        Safe to repeat. On cancel the switch stays as it was written.

        Raises:
            OutcomeUnknown: The write got no answer, or a nameserver had not followed by the
                deadline.
            ActionError: S3 refused; nothing changed.

        Changes:
            The object in S3; with it, within the health check's interval and the record's TTL,
            where the public name leads.
        """
        await self._write(ctx, target)
        view = None
        while view is None or not ctx.deadline.has_passed(ctx.clock):
            view = await _look(ctx, target)
            if view.is_as_wanted(engaged=self.engages):
                return Switched(engaged=self.engages, answers=view.record)
            ctx.say(f"{target.record_name}: {view}")
            await ctx.clock.sleep(min(POLL_S, ctx.deadline.left_s(ctx.clock)))
        raise OutcomeUnknown(f"{target.label} is written, but {view}")

    @abstractmethod
    async def _write(self, ctx: Context, target: FailoverSwitch) -> None:
        """Puts the object there, or takes it away."""

    async def settled(
        self, ctx: Context, target: FailoverSwitch, params: NoParams
    ) -> Done[Switched] | NotDone | CannotTell:
        try:
            engaged = await _is_engaged(ctx, target)
        except ActionError as error:
            return CannotTell(why=str(error))
        if engaged is not self.engages:
            return NotDone(why=f"{target.label} is {'engaged' if engaged else 'not engaged'}")
        view = await _look(ctx, target)
        if view.is_as_wanted(engaged=self.engages):
            return Done(outputs=Switched(engaged=engaged, answers=view.record))
        return CannotTell(why=f"{target.label} is written, but {view}")


class EngageSwitch(_Switch):
    """Sends traffic to the recovery region."""

    name: ClassVar[str] = "aws.route53.failover_switch.engage"
    summary: ClassVar[str] = "Move traffic to the recovery region with one write to S3 there"
    engages: ClassVar[bool] = True

    async def _write(self, ctx: Context, target: FailoverSwitch) -> None:
        at = ctx.clock.now().wall.isoformat()
        note: dict[str, JSON] = {"version": 1, "engaged_by": ctx.key, "at": at}
        await Aws(ctx, target.aws).mutate(
            "s3",
            "put_object",
            Bucket=target.bucket,
            Key=target.key,
            Body=canonical(note),
            ContentType="application/json",
        )


class DisengageSwitch(_Switch):
    """Gives traffic back to the primary record."""

    name: ClassVar[str] = "aws.route53.failover_switch.disengage"
    summary: ClassVar[str] = "Give traffic back to the primary region by removing the S3 object"
    engages: ClassVar[bool] = False

    async def _write(self, ctx: Context, target: FailoverSwitch) -> None:
        await Aws(ctx, target.aws).mutate(
            "s3", "delete_object", Bucket=target.bucket, Key=target.key
        )
