"""
Makes certain that an old RDS primary takes no write any more, and proves it.

Problem: once the standby is promoted, a write that the old primary still acknowledges is lost, and
nobody sees it. "We cannot reach it" says nothing about whether its clients can. Invariant:
`perform` returns only when a write was tried from every place where clients are, and each attempt
failed *for a reason that was established*: either the control plane confirmed that the network is
shut and the standing sessions were cut (then even silence is a refusal), or nothing listens any
more (then only a definite refusal counts).

The order is the argument. The administrator's session is opened before the network is shut, because
it could not be opened afterwards. The network is shut before sessions are cut, because clients
reconnect at once. The WAL position is read after the last session ended, so it is behind every
acknowledged write. The proof comes last.

Not promised: that a dead instance stays dead when the region's control plane cannot be asked; the
outputs then say ``durable: false`` and why.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from drctl.actions.contract import (
    Action,
    CannotTell,
    Change,
    Context,
    Debt,
    Done,
    Effect,
    NoParams,
    NotDone,
    Observation,
    Outputs,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Conflict, Rejected, Throttled, Unavailable
from drctl.actions.planes import Ask, control, data
from drctl.actions.targets import RdsInstance
from drctl.adapters._vantage import count, prove_dead, prove_quarantine
from drctl.adapters.aws import fence_control
from drctl.adapters.aws.fence_sessions import AdminSession
from drctl.adapters.aws.rds_debts import owed_fence

STOPPED = "stopped"
_SILENT = (Unavailable, Throttled, Conflict)
"""What the control plane says, or does not, when a dead instance can still be proven dead."""


class Fence(Outputs):
    """How the old primary is kept from writing, and how that is known."""

    method: str
    """``security_group``, ``stopped`` or ``observed_dead``."""
    durable: bool
    """False: it holds because the instance is dead, and nothing keeps it from coming back."""
    final_lsn: str
    """WAL position after the last client's session; empty when it could not be read."""
    previous_security_groups: tuple[str, ...]
    """To be given to ``aws.rds.unfence``; empty when it was in quarantine already."""
    proof: tuple[str, ...]
    """One sentence for each place from which a write was tried."""
    note: str = ""
    """What a person has to know or do."""


class FenceInstance(Action[RdsInstance, NoParams, Fence]):
    """Shuts the network, cuts the sessions, proves it; or proves that nothing is left to fence."""

    name: ClassVar[str] = "aws.rds.fence"
    summary: ClassVar[str] = "Make certain, and prove, that an old RDS primary takes no writes"
    effect: ClassVar[Effect] = Effect.FENCE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (RdsInstance,)
    outputs = Fence

    def planes(self, target: RdsInstance) -> tuple[str, ...]:
        """None: with the region's control plane gone, a dead instance can still be proven dead."""
        return ()

    def asks(self, target: RdsInstance, params: NoParams | None = None) -> tuple[Ask, ...]:
        how = "then each vantage point must refuse definitely; nothing keeps it from coming back"
        return (
            control(target.aws.region, "RDS and EC2", copes=how, only_when_dead=True),
            data(target.aws.region, "PostgreSQL, clients' URLs", copes=how, only_when_dead=True),
        )

    def asks_to_look(self, target: RdsInstance, params: NoParams | None = None) -> tuple[Ask, ...]:
        how = "the look says that the control plane is silent, and what the fence then takes"
        return (control(target.aws.region, "RDS and EC2", copes=how),)

    def without(
        self, target: RdsInstance, params: NoParams | None, lost: tuple[Ask, ...]
    ) -> Mapping[str, Any]:
        return {"method": "observed_dead", "durable": False, "final_lsn": ""}

    async def observe(
        self, ctx: Context, target: RdsInstance, params: NoParams | None
    ) -> Observation:
        readings = {"vantage_points": count(target)}
        try:
            ground = await fence_control.survey(ctx, target)
        except _SILENT as error:
            return Observation(readings={**readings, "control_plane": str(error)})
        return Observation(
            facts={
                "status": ground.instance.status,
                "security_groups": sorted(ground.instance.groups),
                "fence_group": ground.group.id,
                "fence_group_ingress_rules": ground.group.ingress_rules,
            },
            readings=readings,
        )

    def preview(
        self, observation: Observation, target: RdsInstance, params: NoParams | None
    ) -> Preview:
        facts, readings = observation.facts, observation.readings
        if "status" not in facts:
            return CannotTell(
                why=f"{readings['control_plane']}; the fence then takes a definite refusal from"
                f" each of {readings['vantage_points']} place(s), at least two"
            )
        if facts["fence_group_ingress_rules"]:
            return CannotTell(why=f"{facts['fence_group']} lets traffic in: it is no fence")
        groups = facts["security_groups"]
        named = ", ".join(str(group) for group in groups) if isinstance(groups, list) else ""
        return Change(
            before=f"{facts['status']}, in {named or 'no security group'}",
            after=f"in quarantine in {facts['fence_group']}, sessions cut, writes refused",
        )

    async def perform(self, ctx: Context, target: RdsInstance, params: NoParams) -> Fence:
        """
        Fences, and proves it.

        Safe to repeat; ``previous_security_groups`` are then those that the plan saw, and none
        when it was in quarantine before. When it is cancelled half-way the instance may be in
        quarantine with sessions still standing.

        Raises:
            Rejected: A write was accepted, or a place did not answer where only a refusal counts;
                the fence does not hold. Or the environment's group lets traffic in.
            NotFound: No such instance or group.
            OutcomeUnknown: A change was sent and not seen in force.

        Changes:
            The instance's security groups and its sessions; it is restarted when no administrator's
            session can be opened. One write for each of ``client_write_urls``, which is
            meant to fail.
        """
        death = asyncio.create_task(prove_dead(ctx, target))
        admin = AdminSession(ctx, target)
        try:
            try:
                ground = await fence_control.survey(ctx, target)
                if ground.instance.status == STOPPED:
                    return await _stopped(ctx, target)
                # Behind a network that is shut already it would only time out.
                is_shut = ground.instance.is_only_in(ground.group.id)
                has_admin = not is_shut and await admin.opened()
                previous = await fence_control.quarantine(ctx, target, ground)
                previous = previous or _before(ctx, ground.group.id)
            except _SILENT as error:  # nothing was sent
                return await _observed_dead(target, death, error)
            ctx.say(f"{target.instance}: in quarantine; cutting sessions")
            final_lsn = await _cut(ctx, target, admin if has_admin else None, death)
            await admin.close()
            ctx.say(f"{target.instance}: sessions cut; trying to write")
            return Fence(
                method="security_group",
                durable=True,
                final_lsn=final_lsn,
                previous_security_groups=previous,
                proof=await prove_quarantine(ctx, target),
            )
        finally:
            death.cancel()
            await asyncio.gather(death, return_exceptions=True)
            await admin.close()

    async def settled(
        self, ctx: Context, target: RdsInstance, params: NoParams
    ) -> Done[Fence] | NotDone | CannotTell:
        """Never `Done`: sessions that still stand behind a shut network are not seen from here."""
        try:
            ground = await fence_control.survey(ctx, target)
        except ActionError as error:
            return CannotTell(why=str(error), again_tells=isinstance(error, _SILENT))
        seen = ground.instance
        if seen.is_only_in(ground.group.id):
            return NotDone(
                why=f"{target.label} is in quarantine, but nobody knows whether its sessions were"
                " cut; fencing it again is safe",
                remains=True,
                outputs={"previous_security_groups": _before(ctx, ground.group.id)},
            )
        if set(seen.groups.values()) - {"active"} or seen.status == "modifying":
            return CannotTell(why=f'RDS is still changing {target.label} ("{seen.status}")')
        return NotDone(why=f"{target.label} is in {', '.join(sorted(seen.groups))}")

    def debts(self, target: RdsInstance, params: NoParams, outputs: Fence) -> tuple[Debt, ...]:
        return (owed_fence(target, outputs.note, durable=outputs.durable),)


def _before(ctx: Context, fence_group: str) -> tuple[str, ...]:
    """The groups that were seen before this run put it into quarantine, in an earlier attempt."""
    groups = (ctx.seen or {}).get("security_groups")
    names = [str(group) for group in groups] if isinstance(groups, list | tuple) else []
    return tuple(name for name in names if name != fence_group)


async def _stopped(ctx: Context, target: RdsInstance) -> Fence:
    return Fence(
        method=STOPPED,
        durable=True,
        final_lsn="",
        previous_security_groups=(),
        proof=await prove_quarantine(ctx, target),
        note="AWS starts a stopped instance again after seven days",
    )


async def _observed_dead(
    target: RdsInstance, death: "asyncio.Task[tuple[str, ...]]", reason: ActionError
) -> Fence:
    try:
        proof = await death
    except Rejected as error:
        raise Rejected(f"{error}; and its network cannot be shut: {reason}") from error
    place, group = target.aws.region, target.fence_security_group or "a group without ingress"
    return Fence(
        method="observed_dead",
        durable=False,
        final_lsn="",
        previous_security_groups=(),
        proof=proof,
        note=f"nothing keeps {target.label} from coming back: as soon as {place} answers, stop it"
        f" or move it into {group} ({reason})",
    )


async def _cut(
    ctx: Context,
    target: RdsInstance,
    admin: AdminSession | None,
    death: "asyncio.Task[tuple[str, ...]]",
) -> str:
    why = "no administrator's session"
    if admin is not None:
        try:
            return await admin.cut()
        except ActionError as error:
            why = str(error)
    ctx.say(f"{target.instance}: {why}; restarting it to cut its sessions")
    try:
        await fence_control.reboot(ctx, target)
    except Conflict as error:
        # RDS restarts only what runs. What does not run has no sessions, if that was seen.
        try:
            await death
        except Rejected as alive:
            raise Rejected(f"sessions of {target.label} may stand: {error}; {alive}") from alive
    return ""
