"""
Shuts a load balancer to everybody, and opens it again.

Invariant: where it stood before is written into a tag of the load balancer itself *before* its
groups are changed, so that opening it needs no memory of ours; the isolation group is looked at
first, because a group with one ingress rule isolates nothing; and it counts as isolated when the
API says so and nobody answers here any more. The emergency load balancer, when there is one, is the
same door, and is shut and opened with it.

What is not promised: security groups are asked for new connections only. One that is open stays
until either end closes it or the load balancer's idle time-out does.
"""

from collections.abc import Mapping
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
from drctl.actions.errors import (
    ActionError,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Unavailable,
)
from drctl.actions.planes import Ask, control, data
from drctl.actions.targets import LoadBalancer
from drctl.adapters import _http
from drctl.adapters.aws import elbv2_api as api
from drctl.adapters.aws.client import Aws

TAG = "drctl:before-isolation"
POLL_S = 0.5
LOOK = timedelta(seconds=1)
"""How long a door that is shut is waited for; who is let in is answered sooner."""


class Doors(Outputs):
    """Where the load balancers stand."""

    security_groups: dict[str, tuple[str, ...]]
    """By load balancer: the groups in force now."""
    previous: dict[str, tuple[str, ...]]
    """By load balancer: those before."""
    proof: tuple[str, ...]
    """What was tried from here, and what came of it."""


async def _doors(aws: Aws, target: LoadBalancer) -> list[api.Balancer]:
    """
    Raises:
        NotFound: There is none of either name.
    """
    names = (target.name, *((target.emergency_name,) if target.emergency_name else ()))
    found = [one for name in names if (one := await api.find(aws, name)) is not None]
    if not found:
        raise NotFound(f"ELB in {aws.region} has no {' and no '.join(names)}")
    return found


def _group(target: LoadBalancer) -> str:
    if target.isolation_security_group is None:
        raise Rejected(f"{target.label} has no isolation_security_group in the environment")
    return target.isolation_security_group


async def _set(ctx: Context, aws: Aws, door: api.Balancer, groups: tuple[str, ...]) -> None:
    """
    Raises:
        OutcomeUnknown: Sent, and not seen in force.
    """
    await aws.mutate(
        "elbv2", "set_security_groups", LoadBalancerArn=door.arn, SecurityGroups=list(groups)
    )
    last = ""
    while True:
        try:
            seen = await api.require(aws, door.name, patience=timedelta())
            if set(seen.security_groups) == set(groups):
                return
            last = f"it is in {', '.join(seen.security_groups)}"
        except ActionError as error:
            last = str(error)
        await ctx.clock.sleep(min(POLL_S, ctx.deadline.left_s(ctx.clock)))
        if ctx.deadline.has_passed(ctx.clock):
            raise OutcomeUnknown(f"{door.name}: {', '.join(groups)} was sent, and {last}")


async def _answers(ctx: Context, aws: Aws, door: api.Balancer) -> list[tuple[str, bool]]:
    """Each of its ports as a URL, and whether anything was said there, be it an error page."""
    told = []
    for listener in await api.listeners(aws, door):
        url = f"{listener.protocol.lower()}://{door.dns_name}:{listener.port}/"
        try:
            await _http.send(ctx, "GET", url, label=door.name, timeout=LOOK)
            has_answered = True
        except (Unavailable, NotFound) as error:
            # A certificate that is not for this name is an answer too: somebody is there.
            has_answered = "certificate" in str(error).lower()
        told.append((url, has_answered))
    return told


async def _prove(
    ctx: Context, aws: Aws, doors: list[api.Balancer], *, is_open: bool
) -> tuple[str, ...]:
    """
    Waits until every port of every door is as wanted.

    Raises:
        OutcomeUnknown: Not by the deadline.
    """
    word = {True: "answers", False: "says nothing to new connections"}
    while True:
        told = [one for door in doors for one in await _answers(ctx, aws, door)]
        wrong = [url for url, has_answered in told if has_answered is not is_open]
        if not wrong:
            return tuple(f"{url} {word[is_open]}" for url, _ in told)
        ctx.say(f"{wrong[0]}: not yet as wanted")
        await ctx.clock.sleep(min(POLL_S, ctx.deadline.left_s(ctx.clock)))
        if ctx.deadline.has_passed(ctx.clock):
            raise OutcomeUnknown(
                f"{', '.join(wrong)}: the groups are set, and it {word[not is_open]}"
            )


class _Door(Action[LoadBalancer, NoParams, Doors]):
    """What both directions share."""

    effect: ClassVar[Effect] = Effect.TRAFFIC
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (LoadBalancer,)
    outputs = Doors
    opens: ClassVar[bool]

    def planes(self, target: LoadBalancer) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}", f"data-plane:{target.aws.region}")

    def asks(self, target: LoadBalancer, params: NoParams | None = None) -> tuple[Ask, ...]:
        return (
            control(target.aws.region, "Elastic Load Balancing"),
            data(target.aws.region, "the load balancer itself"),
        )

    def asks_to_look(self, target: LoadBalancer, params: NoParams | None = None) -> tuple[Ask, ...]:
        return (control(target.aws.region, "Elastic Load Balancing"),)

    async def observe(
        self, ctx: Context, target: LoadBalancer, params: NoParams | None
    ) -> Observation:
        doors = await _doors(Aws(ctx, target.aws), target)
        return Observation(facts={door.name: list(door.security_groups) for door in doors})

    def preview(
        self, observation: Observation, target: LoadBalancer, params: NoParams | None
    ) -> Preview:
        group = target.isolation_security_group
        if group is None:
            return CannotTell(why=f"{target.label} has no isolation_security_group")
        shut = {name: groups == [group] for name, groups in observation.facts.items()}
        if all(is_shut is not self.opens for is_shut in shut.values()):
            return Nothing(why=f"{', '.join(shut)}: {'open' if self.opens else 'isolated'} already")
        now = "; ".join(f"{name} in {groups}" for name, groups in observation.facts.items())
        return Change(
            before=now, after="as before it was isolated" if self.opens else f"in {group}"
        )

    async def settled(
        self, ctx: Context, target: LoadBalancer, params: NoParams
    ) -> Done[Doors] | NotDone | CannotTell:
        try:
            aws, group = Aws(ctx, target.aws), _group(target)
            doors = await _doors(aws, target)
            previous = {door.name: await _remembered(aws, door) for door in doors}
        except ActionError as error:
            return CannotTell(why=str(error))
        wrong = [door.name for door in doors if (door.security_groups == (group,)) is self.opens]
        if wrong:
            return NotDone(
                why=f"{', '.join(wrong)}: {'isolated' if self.opens else 'open'}",
                remains=len(wrong) < len(doors),
            )
        now = {door.name: door.security_groups for door in doors}
        return Done(outputs=Doors(security_groups=now, previous=previous, proof=()))


async def _remembered(aws: Aws, door: api.Balancer) -> tuple[str, ...]:
    return tuple((await api.tags(aws, door.arn)).get(TAG, "").split())


class IsolateBalancer(_Door):
    """Lets nobody in: every new connection is dropped."""

    name: ClassVar[str] = "aws.elbv2.isolate"
    summary: ClassVar[str] = "Swap a load balancer into a security group that lets nobody in"
    opens: ClassVar[bool] = False

    def debts(
        self, target: LoadBalancer, params: NoParams, outputs: Doors
    ) -> tuple[Debt | Cleared, ...]:
        return (
            Debt(
                key=_debt_key(target),
                what=f"{target.name} lets nobody in",
                remedy=f"aws.elbv2.readmit on {target.name}, once it is safe; the groups of before"
                f" are in its tag {TAG}",
            ),
        )

    async def perform(self, ctx: Context, target: LoadBalancer, params: NoParams) -> Doors:
        """
        Shuts the load balancer and its stand-in, and sees that nobody answers.

        Raises:
            NotFound: No such load balancer, or no such group.
            Rejected: The isolation group lets something in.
            OutcomeUnknown: Sent, and not seen to be shut.

        Changes:
            A tag and the security groups of the load balancers.
        """
        aws, group = Aws(ctx, target.aws), _group(target)
        await _require_shut(aws, group)
        doors = await _doors(aws, target)
        previous: dict[str, tuple[str, ...]] = {}
        for door in doors:
            if door.security_groups == (group,):
                previous[door.name] = await _remembered(aws, door)
                continue
            previous[door.name] = door.security_groups
            note = [{"Key": TAG, "Value": " ".join(door.security_groups)}]
            await aws.mutate("elbv2", "add_tags", ResourceArns=[door.arn], Tags=note)
            await _set(ctx, aws, door, (group,))
        proof = await _prove(ctx, aws, doors, is_open=False)
        now: Mapping[str, tuple[str, ...]] = {door.name: (group,) for door in doors}
        return Doors(security_groups=dict(now), previous=previous, proof=proof)


class ReadmitBalancer(_Door):
    """Puts an isolated load balancer back into the groups that it was taken from."""

    name: ClassVar[str] = "aws.elbv2.readmit"
    summary: ClassVar[str] = "Let clients in again to a load balancer that was isolated"
    opens: ClassVar[bool] = True

    def debts(
        self, target: LoadBalancer, params: NoParams, outputs: Doors
    ) -> tuple[Debt | Cleared, ...]:
        return (Cleared(key=_debt_key(target)),)

    async def perform(self, ctx: Context, target: LoadBalancer, params: NoParams) -> Doors:
        """
        Opens the load balancer and its stand-in, and sees that they answer.

        Raises:
            NotFound: No such load balancer.
            Conflict: It is isolated, and its tag does not say where it stood before.
            OutcomeUnknown: Sent, and not seen to be open.

        Changes:
            The security groups of the load balancers.
        """
        aws, group = Aws(ctx, target.aws), _group(target)
        doors, now = await _doors(aws, target), dict[str, tuple[str, ...]]()
        for door in doors:
            now[door.name] = door.security_groups
            if door.security_groups != (group,):
                continue
            before = await _remembered(aws, door)
            if not before:
                raise Conflict(f"{door.name} is isolated, and no tag {TAG} says where it stood")
            await _set(ctx, aws, door, before)
            now[door.name] = before
        serving = [door for door in doors if door.state == api.ACTIVE]
        proof = await _prove(ctx, aws, serving, is_open=True)
        previous = {door.name: door.security_groups for door in doors}
        return Doors(security_groups=now, previous=previous, proof=proof)


def _debt_key(target: LoadBalancer) -> str:
    return f"isolated:{target.identities[0]}"


async def _require_shut(aws: Aws, group: str) -> None:
    answer = await aws.read("ec2", "describe_security_groups", GroupIds=[group])
    found = answer.get("SecurityGroups", [])
    if len(found) != 1 or found[0]["GroupId"] != group:
        raise Unavailable(f"EC2 was asked about {group}, and told of another group")
    if rules := found[0].get("IpPermissions", []):
        raise Rejected(f"{group} has {len(rules)} ingress rule(s): it isolates nothing")
