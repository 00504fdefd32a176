"""
Builds a load balancer in the place of one that is lost: a copy of it, under a name of its own.

Problem: a load balancer that was made by hand in an emergency has no listener, takes instances
where pods are to stand, has the default security group, and gets its traffic before a target is
healthy. Invariant: what is built is a copy of what the API still tells of the lost one (subnets,
security groups, scheme, attributes, each port with its certificates); its own target group takes
addresses and checks them often; and it is not reported as built before it is active, every port is
there and enough targets are healthy. Names are unique in an account and region, so whoever builds
it a second time finds the first and only registers anew.

What is not promised: pod addresses change with every rollout, and nobody but this action tells the
new target group. That is the debt it leaves. What one default way cannot say (rules, weights,
several groups, a firewall association) is refused or left to people, never guessed.
"""

from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field, StringConstraints

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
    Params,
    Preview,
    Repeat,
)
from drctl.actions.errors import ActionError, Rejected
from drctl.actions.targets import LoadBalancer
from drctl.adapters.aws import elbv2_api as api
from drctl.adapters.aws.client import Aws
from drctl.adapters.aws.elbv2_build import Build
from drctl.adapters.aws.elbv2_check import look
from drctl.adapters.aws.elbv2_pattern import name_of, pattern_of

Address: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F:.]{2,45}$")]


class RebuildParams(Params):
    """What shall stand behind it."""

    addresses: tuple[Address, ...] = Field(min_length=1, max_length=1000)
    """Of pods that are ready; they become the registered targets, and no others stay."""
    healthy_at_least: int | None = Field(default=None, ge=1, le=1000)
    """Targets that must be healthy before this counts as done; all of *addresses* when left out."""


class Rebuilt(Outputs):
    """The load balancer that stands in."""

    name: str
    dns_name: str
    """From the API; nobody can guess it."""
    zone_id: str
    """The hosted zone of *dns_name*, for an alias record."""
    created: bool
    """False: it was there already, or that was only read back later."""
    healthy: int
    registered: tuple[str, ...]
    """Addresses that this call registered."""
    dropped: tuple[str, ...]
    """Addresses that were registered and are no ready pod's any more."""


class RebuildBalancer(Action[LoadBalancer, RebuildParams, Rebuilt]):
    """Makes the emergency load balancer and waits until it serves; never makes a second one."""

    name: ClassVar[str] = "aws.elbv2.rebuild"
    summary: ClassVar[str] = "Build a copy of a lost load balancer and wait until it serves"
    effect: ClassVar[Effect] = Effect.CHANGE
    alternative: ClassVar[str] = "a second load balancer, made in advance, behind a failover record"
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (LoadBalancer,)
    params = RebuildParams
    outputs = Rebuilt

    def planes(self, target: LoadBalancer) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}", f"data-plane:{target.aws.region}")

    async def observe(
        self, ctx: Context, target: LoadBalancer, params: RebuildParams | None
    ) -> Observation:
        aws = Aws(ctx, target.aws)
        lost, there = await api.find(aws, target.name), await api.find(aws, name_of(target))
        return Observation(
            facts={"exists": there is not None},
            readings={"state": lost.state if lost else "absent"},
        )

    def preview(
        self, observation: Observation, target: LoadBalancer, params: RebuildParams | None
    ) -> Preview:
        state, name = observation.readings["state"], target.emergency_name
        if name is None:
            return CannotTell(why=f"{target.label} has no emergency_name in the environment")
        if observation.facts["exists"]:
            return Change(before=f"{name} is there", after=f"{name} with the ready pods behind it")
        before = f'{target.name} is "{state}", no {name}'
        return Change(before=before, after=f"{name}, a copy of {target.name}", creates=True)

    def debts(
        self, target: LoadBalancer, params: RebuildParams, outputs: Rebuilt
    ) -> tuple[Debt | Cleared, ...]:
        return (
            Debt(
                key=debt_key(target),
                what=f"{outputs.name} stands in for {target.name}, and knows"
                f" {len(params.addresses)} pods by addresses that end with the next rollout",
                remedy=f"after every rollout run this step again; then repair {target.name}, point"
                f" the name back to it and delete {outputs.name} (aws.elbv2.delete)",
            ),
        )

    async def perform(self, ctx: Context, target: LoadBalancer, params: RebuildParams) -> Rebuilt:
        """
        Builds what is missing, registers the addresses, and waits until enough are healthy.

        Safe to repeat: what is there is found by its name and left as it is, except for targets.

        Raises:
            NotFound: The API tells nothing of the lost one, so there is nothing to copy.
            Conflict: The emergency name belongs to something else, or is a copy of other settings;
                or the lost one is isolated, and a copy would be too.
            Rejected: The lost one cannot be copied faithfully, or the new one has failed.
            OutcomeUnknown: Something was sent, and it was not seen to serve by the deadline.

        Changes:
            Load balancers, target groups and listeners of the account; never those of the target's
            own name.
        """
        aws, wanted = Aws(ctx, target.aws), _wanted(params)
        pattern = await pattern_of(aws, target)
        build = Build(ctx, aws, target, pattern)
        balancer = await build.balancer()
        group = await build.group()
        registered = await build.register(group, params.addresses)
        await build.listeners(balancer, group)
        healthy = await build.wait(group, params.addresses, wanted)
        dropped = await build.drop(group, params.addresses)
        return Rebuilt(
            name=balancer.name,
            dns_name=balancer.dns_name,
            zone_id=balancer.zone_id,
            created=build.has_created,
            healthy=healthy,
            registered=registered,
            dropped=dropped,
        )

    async def settled(
        self, ctx: Context, target: LoadBalancer, params: RebuildParams
    ) -> Done[Rebuilt] | NotDone | CannotTell:
        """Whatever is missing is not done: making it again makes no second one."""
        try:
            aws, name = Aws(ctx, target.aws), name_of(target)
            seen = await look(aws, name)
            if seen.balancer is None:
                return NotDone(why=f"there is no {name}")
            wanted = await pattern_of(aws, target)
        except ActionError as error:
            return CannotTell(why=str(error))
        have = {listener.port for listener in seen.listeners}
        if missing := sorted({listener.port for listener in wanted.listeners} - have):
            return NotDone(why=f"{name} does not listen on {', '.join(map(str, missing))}")
        checked = seen.checked(_wanted(params))
        known = {target.id for _port, targets in seen.health for target in targets}
        if strangers := sorted(set(params.addresses) ^ known):
            return NotDone(why=f"{name} differs from the pods in {', '.join(strangers)}")
        if not checked.is_serving:
            return CannotTell(why=f"{name} is built, and {checked.why}")
        return Done(
            outputs=Rebuilt(
                name=name,
                dns_name=checked.dns_name,
                zone_id=checked.zone_id,
                created=False,
                healthy=checked.healthy,
                registered=(),
                dropped=(),
            )
        )


def debt_key(target: LoadBalancer) -> str:
    """What is owed for a stand-in of this load balancer."""
    return f"emergency-lb:{target.identities[0]}"


def _wanted(params: RebuildParams) -> int:
    count = len(set(params.addresses))
    wanted = params.healthy_at_least or count
    if wanted > count:
        raise Rejected(f"{wanted} healthy targets of {count} cannot be")
    return wanted


class Deleted(Outputs):
    """What is gone."""

    name: str
    deleted: bool
    """False: there was nothing."""


class DeleteEmergencyBalancer(Action[LoadBalancer, NoParams, Deleted]):
    """Takes the stand-in away again, when nothing of it is anybody else's."""

    name: ClassVar[str] = "aws.elbv2.delete"
    summary: ClassVar[str] = (
        "Delete the emergency load balancer that drctl built, never another one"
    )
    effect: ClassVar[Effect] = Effect.CHANGE
    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT
    targets = (LoadBalancer,)
    outputs = Deleted

    def planes(self, target: LoadBalancer) -> tuple[str, ...]:
        return (f"control-plane:{target.aws.region}",)

    async def observe(
        self, ctx: Context, target: LoadBalancer, params: NoParams | None
    ) -> Observation:
        found = await api.find(Aws(ctx, target.aws), name_of(target))
        return Observation(facts={"exists": found is not None})

    def preview(
        self, observation: Observation, target: LoadBalancer, params: NoParams | None
    ) -> Preview:
        if not observation.facts["exists"]:
            return Nothing(why=f"there is no {target.emergency_name}")
        return Change(before=f"{target.emergency_name} is there", after="it is gone")

    def debts(
        self, target: LoadBalancer, params: NoParams, outputs: Deleted
    ) -> tuple[Debt | Cleared, ...]:
        return (Cleared(key=debt_key(target)),)

    async def perform(self, ctx: Context, target: LoadBalancer, params: NoParams) -> Deleted:
        """
        Deletes it and its target group. Move its traffic away first: this does not look at names.

        Raises:
            Conflict: What has that name was not made by drctl, or is protected or still in use.
            OutcomeUnknown: Sent, and no answer came.

        Changes:
            The emergency load balancer with its listeners, and its target group.
        """
        aws, name = Aws(ctx, target.aws), name_of(target)
        build = Build(ctx, aws, target, None)
        there = await api.find(aws, name)
        if there is not None:
            await build.require_ours(there.arn, name)
            await aws.mutate("elbv2", "delete_load_balancer", LoadBalancerArn=there.arn)
        group = await api.group_named(aws, name)
        if group is not None:
            await build.require_ours(group["TargetGroupArn"], name)
            await build.delete_group(group["TargetGroupArn"])
        return Deleted(name=name, deleted=there is not None or group is not None)

    async def settled(
        self, ctx: Context, target: LoadBalancer, params: NoParams
    ) -> Done[Deleted] | NotDone | CannotTell:
        try:
            aws, name = Aws(ctx, target.aws), name_of(target)
            left = [await api.find(aws, name), await api.group_named(aws, name)]
        except ActionError as error:
            return CannotTell(why=str(error))
        if any(left):
            return NotDone(why=f"{name} is there")
        return Done(outputs=Deleted(name=name, deleted=True))
