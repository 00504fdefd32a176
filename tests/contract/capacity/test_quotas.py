"""A quota leaves room, or it is said how much is missing; what nobody knows is refused."""

import pytest
from botocore.exceptions import ClientError

from drctl.actions.errors import NotFound, Rejected, Unavailable
from drctl.actions.targets import AwsRegion
from drctl.adapters.aws.quotas import AssertQuota, QuotaParams

ASSERT = AssertQuota()
EAST, WEST = "us-east-1", "us-west-2"
CPUS, FARGATE = ("ec2", "L-1216C47A"), ("fargate", "L-3032A538")
BALANCERS = ("elasticloadbalancing", "L-53DA6B97")


def wants(quota, needs, **more):
    return QuotaParams(service=quota[0], quota=quota[1], needs=needs, **more)


def region(edge, name=EAST):
    return AwsRegion.model_validate({"aws": edge.connection(region=name)})


def used(edge, value, service="EC2"):
    dimensions = {"Service": service, "Type": "Resource", "Resource": "vCPU"}
    dimensions["Class"] = "Standard/OnDemand"
    point = {
        "MetricName": "ResourceCount",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Value": value,
    }
    edge.client("cloudwatch").put_metric_data(Namespace="AWS/Usage", MetricData=[point])


async def test_what_is_used_is_measured_and_what_is_missing_is_computed(edge, context):
    edge.quotas.apply(EAST, *CPUS, 64.0)
    used(edge, 40.0)
    found = await ASSERT.perform(context(), region(edge), wants(CPUS, 24))
    assert (found.limit, found.used, found.free, found.is_default) == (64.0, 40.0, 24.0, False)
    assert found.measured_at
    with pytest.raises(Rejected, match=r"64 less 40 in use leave 24, and 30 are needed: 6 too few"):
        await ASSERT.perform(context(), region(edge), wants(CPUS, 30))
    assert context.permits == 0


async def test_a_quota_that_was_never_raised_has_its_default(edge, context):
    """AWS says no to the first question, which is easily taken for "no such quota"."""
    with pytest.raises(ClientError, match="NoSuchResource"):
        edge.client("service-quotas", WEST).get_service_quota(
            ServiceCode=CPUS[0], QuotaCode=CPUS[1]
        )
    found = await ASSERT.perform(context(), region(edge, WEST), wants(CPUS, 4, used=0))
    assert (found.limit, found.is_default, found.measured_at) == (5.0, True, "")
    with pytest.raises(Rejected, match="3 too few"):
        await ASSERT.perform(context(), region(edge, WEST), wants(CPUS, 8, used=0))


async def test_what_nobody_measures_must_be_said(edge, context):
    with pytest.raises(Unavailable, match=r"does not measure .* give it as `used`"):
        await ASSERT.perform(context(), region(edge), wants(BALANCERS, 1))
    found = await ASSERT.perform(context(), region(edge), wants(BALANCERS, 1, used=2))
    assert (found.limit, found.free) == (50.0, 48.0)
    with pytest.raises(Unavailable, match=r"measured nothing of Fargate .* in the last hour"):
        await ASSERT.perform(context(), region(edge), wants(FARGATE, 1))


async def test_a_quota_that_is_not_there_is_no_room(edge, context):
    with pytest.raises(NotFound):
        await ASSERT.perform(context(), region(edge), wants(("ec2", "L-00000000"), 1, used=0))
    for wrong in ({"needs": 0}, {"needs": 1, "used": -1}):
        with pytest.raises(ValueError, match="greater than"):
            wants(CPUS, **wrong)
