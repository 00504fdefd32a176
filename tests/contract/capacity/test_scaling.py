"""A number is set inside its bounds, comes true step by step, and is owed until it is set back."""

import dataclasses
import itertools

import pytest
from botocore.exceptions import ClientError
from pydantic import ValidationError

from drctl.actions.contract import CannotTell, Change, Cleared, Debt, Done, NotDone, Nothing
from drctl.actions.errors import Conflict, NotFound, OutcomeUnknown
from drctl.actions.targets import AutoScalingGroup, EcsService
from drctl.adapters.aws.autoscaling import ScaleGroup
from drctl.adapters.aws.ecs import ScaleService
from drctl.adapters.aws.scaled import DesiredParams, until_steady

_NUMBERS = itertools.count(1)
STEP_S = 0.15


class Groups:
    """Auto Scaling groups of two, which may have from one to six."""

    action = ScaleGroup()

    def __init__(self, edge):
        self.edge, self.api = edge, edge.client("autoscaling")
        image = edge.client("ec2").describe_images()["Images"][0]["ImageId"]
        self.name = f"group-{next(_NUMBERS)}"
        self.api.create_launch_configuration(
            LaunchConfigurationName=self.name, ImageId=image, InstanceType="t3.micro"
        )
        self.api.create_auto_scaling_group(
            AutoScalingGroupName=self.name,
            LaunchConfigurationName=self.name,
            MinSize=1,
            MaxSize=6,
            DesiredCapacity=2,
            VPCZoneIdentifier=edge.subnets[0],
        )

    def target(self, name=None, url=None):
        aws = self.edge.connection(url)
        return AutoScalingGroup.model_validate({"aws": aws, "name": name or self.name})

    def has(self):
        [group] = self.api.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])[
            "AutoScalingGroups"
        ]
        states = [one["LifecycleState"] for one in group["Instances"]]
        return group["DesiredCapacity"], states.count("InService"), states.count("Pending")

    def set(self, number):
        self.api.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=number)


class Services:
    """ECS services of two tasks, with an autoscaler from one to six."""

    action = ScaleService()

    def __init__(self, edge):
        self.edge, self.api = edge, edge.client("ecs")
        self.name = f"service-{next(_NUMBERS)}"
        self.api.create_cluster(clusterName="apps")
        container = {"name": "app", "image": "example/app:1", "memory": 64}
        self.api.register_task_definition(family=self.name, containerDefinitions=[container])
        self.api.create_service(
            cluster="apps", serviceName=self.name, taskDefinition=self.name, desiredCount=2
        )
        edge.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/apps/{self.name}",
            ScalableDimension="ecs:service:DesiredCount",
            MinCapacity=1,
            MaxCapacity=6,
        )

    def target(self, name=None, url=None):
        aws = self.edge.connection(url)
        return EcsService.model_validate(
            {"aws": aws, "cluster_name": "apps", "service": name or self.name}
        )

    def has(self):
        [service] = self.api.describe_services(cluster="apps", services=[self.name])["services"]
        return service["desiredCount"], service["runningCount"], service["pendingCount"]

    def set(self, number):
        self.api.update_service(cluster="apps", service=self.name, desiredCount=number)


@pytest.fixture(params=[Groups, Services])
def kind(request, edge):
    edge.scaling.restock()
    yield request.param(edge)
    edge.scaling.restock()


def to(number):
    return DesiredParams(desired=number)


async def test_the_stand_in_takes_its_time_and_refuses(kind):
    kind.edge.scaling.step_s = 60.0
    kind.set(4)
    desired, running, _pending = kind.has()
    kind.edge.scaling.step_s = STEP_S
    assert desired == 4 and running < 4, "every number is true at once"
    kind.edge.scaling.run_out()
    with pytest.raises(ClientError):
        kind.set(7 if isinstance(kind, Groups) else -1)
    missing = type(kind)(kind.edge)
    missing.name = "never-was"
    with pytest.raises(ClientError, match="ot found"):
        missing.set(3)


async def test_scaling_out_is_over_when_they_run_and_is_owed(kind, context):
    action, target = kind.action, kind.target()
    await action.perform(context(), target, to(2))  # tasks of a new service do not run at once
    assert context.permits == 0, "nothing was to be changed"
    seen = await action.observe(context(), target, to(4))
    assert isinstance(action.preview(seen, target, to(4)), Change)
    assert isinstance(await action.settled(context(), target, to(4)), NotDone)
    done = await action.perform(context(), target, to(4))
    assert (done.previous_desired, done.desired, done.running) == (2, 4, 4)
    assert context.permits == 1
    assert kind.has()[:2] == (4, 4)
    [debt] = action.debts(target, to(4), done)
    assert isinstance(debt, Debt) and debt.key == f"scaled:{target.identities[0]}:2"
    assert "4 instead of 2" in debt.what
    settled = await action.settled(context(), target, to(4))
    assert isinstance(settled, Done) and settled.outputs.previous_desired is None
    assert action.debts(target, to(4), settled.outputs) == ()
    # Found by a read-back, or by an attempt more: what the plan saw is the number before.
    planned = dataclasses.replace(context(), seen={"desired": 2})
    settled = await action.settled(planned, target, to(4))
    assert action.debts(target, to(4), settled.outputs) == (debt,)
    again = await action.perform(planned, target, to(4))
    assert action.debts(target, to(4), again) == (debt,)
    seen = await action.observe(context(), target, to(4))
    assert isinstance(action.preview(seen, target, to(4)), Nothing)
    # Fewer, and still more than before: a run that saw four does not pay what began at two.
    fewer = await action.perform(context(), target, to(3))
    assert debt.key not in {one.key for one in action.debts(target, to(3), fewer)}
    fewer = await action.perform(planned, target, to(3))
    [less] = action.debts(target, to(3), fewer)
    assert isinstance(less, Debt) and less.key == debt.key
    back = await action.perform(context(), target, to(2))
    assert Cleared(key=debt.key) in action.debts(target, to(2), back)
    assert kind.has() == (2, 2, 0)


async def test_what_is_outside_its_bounds_is_refused_with_them(kind, context):
    action, target = kind.action, kind.target()
    seen = await action.observe(context(), target, to(7))
    why = action.preview(seen, target, to(7))
    assert isinstance(why, CannotTell) and "from 1 to 6" in why.why
    with pytest.raises(Conflict, match="from 1 to 6"):
        await action.perform(context(), target, to(7))
    assert context.permits == 0
    assert kind.has()[0] == 2
    for number in (0, 1001):
        with pytest.raises(ValidationError):
            to(number)


async def test_what_is_not_there_is_not_scaled(kind, context):
    with pytest.raises(NotFound):
        await kind.action.perform(context(), kind.target("never-was"), to(3))
    assert context.permits == 0


async def test_a_region_without_capacity_is_no_success(kind, context):
    """The wish was accepted; whether it comes true is not known."""
    action, target = kind.action, kind.target()
    await action.perform(context(), target, to(2))
    kind.edge.scaling.run_out()
    with pytest.raises(OutcomeUnknown, match="2 of 4"):
        await action.perform(context(3.5), target, to(4))
    assert isinstance(await action.settled(context(), target, to(4)), CannotTell)
    kind.edge.scaling.restock()
    done = await action.perform(context(), target, to(4))
    assert (done.previous_desired, done.running) == (4, 4)


async def test_somebody_else_s_number_is_not_waited_for(kind, context):
    import asyncio

    kind.edge.scaling.run_out()
    work = asyncio.create_task(kind.action.perform(context(), kind.target(), to(5)))
    while kind.has()[0] != 5 and not work.done():  # noqa: ASYNC110 (a poll)
        await asyncio.sleep(0.05)
    kind.set(3)
    with pytest.raises(Conflict, match="set to 3 by something else"):
        await work


@dataclasses.dataclass(frozen=True)
class Look:
    """One description."""

    desired: int
    running: int = 0
    is_steady: bool = False


async def test_the_old_number_is_one_that_is_not_seen_yet(context):
    """The API is eventually consistent: what it said before, it may say once more."""

    def looks(*found):
        left = list(found)

        async def look(_patience):
            return left.pop(0) if len(left) > 1 else left[0]

        return look

    def wait(*found, seconds=20.0):
        return until_steady(context(seconds), looks(*found), desired=4, label="apps", old=2)

    steady = Look(4, 4, is_steady=True)
    assert await wait(Look(2, 2, is_steady=True), Look(4), steady) == steady
    with pytest.raises(OutcomeUnknown, match="apps still shall have 2"):
        await wait(Look(2, 2, is_steady=True), seconds=0.5)
    with pytest.raises(Conflict, match="set to 2 by something else"):
        await wait(Look(4), Look(2, 2, is_steady=True))


async def test_a_group_that_may_start_nothing_is_refused(edge, context):
    edge.scaling.restock()
    group = Groups(edge)
    group.api.suspend_processes(AutoScalingGroupName=group.name, ScalingProcesses=["Launch"])
    with pytest.raises(Conflict, match="Launch is suspended"):
        await group.action.perform(context(), group.target(), to(3))
    assert context.permits == 0 and group.has()[0] == 2


async def test_a_daemon_has_no_number(edge, context):
    services = Services(edge)
    services.api.create_service(
        cluster="apps",
        serviceName="daemon",
        taskDefinition=services.name,
        schedulingStrategy="DAEMON",
        desiredCount=1,
    )
    with pytest.raises(Conflict, match="one task on each machine"):
        await services.action.perform(context(), services.target("daemon"), to(3))
