"""What a recovery needs of a region: copies that are current, room, numbers; on the edge's lab."""

import asyncio
import contextlib

from fault_matrix import HOST, Case, Op, Site, serving

from drctl.actions.targets import (
    AutoScalingGroup,
    AwsRegion,
    EcsService,
    ElastiCacheGlobal,
    RoutingControls,
)
from drctl.lab.arc import control_arn
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.rules import Deed


async def _never(_key):
    return 0


def _proxy(lab, script, region):
    """The API of one region behind the faulty network."""
    east = lab.api(script)
    host, port = lab.edge.plan.aws_address(region)
    return HttpFaultProxy(
        Upstream(host=host, port=port), script, name_of=east._name_of, answer_of=east._answer_of
    )


@contextlib.asynccontextmanager
async def _replication(lab, scripts):
    edge, bench = lab.edge, lab.bench
    name, _copy = await asyncio.to_thread(edge.copied, delay_s=0.0)
    s3 = edge.client("s3")

    def lay_down():
        s3.put_object(Bucket=name, Key="list", Body=b"good")

    def status():
        return s3.head_object(Bucket=name, Key="list").get("ReplicationStatus")

    await asyncio.to_thread(lay_down)
    async with asyncio.timeout(10):
        while await asyncio.to_thread(status) != "COMPLETED":  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.05)
    here, there = (_proxy(lab, scripts["http"], region) for region in (bench.EAST, bench.WEST))
    scripts["http"].swap = ((name.encode(), b"another"),)
    async with serving(here, there):
        urls = [f"http://{HOST}:{await one.start(HOST)}" for one in (here, there)]

        async def holds(_key, outputs):
            return (outputs.get("lag_s"), outputs.get("looked_at")) == (0.0, 1)

        yield Site(
            target=edge.with_copy(name, *urls),
            params={"rpo": "5s", "keys": ["list"]},
            proxies=[here, there],
            applied=_never,
            holds=holds,
        )


def _group(edge, name):
    api = edge.client("autoscaling")
    image = edge.client("ec2").describe_images()["Images"][0]["ImageId"]
    api.create_launch_configuration(
        LaunchConfigurationName=name, ImageId=image, InstanceType="t3.micro"
    )
    api.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName=name,
        MinSize=1,
        MaxSize=6,
        DesiredCapacity=1,
        VPCZoneIdentifier=edge.subnets[0],
    )


def _group_has(edge, name):
    found = edge.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    [group] = found["AutoScalingGroups"]
    running = [one for one in group["Instances"] if one["LifecycleState"] == "InService"]
    return group["DesiredCapacity"], len(running)


def _service(edge, name):
    api = edge.client("ecs")
    api.create_cluster(clusterName="apps")
    container = {"name": "app", "image": "example/app:1", "memory": 64}
    api.register_task_definition(family=name, containerDefinitions=[container])
    api.create_service(cluster="apps", serviceName=name, taskDefinition=name, desiredCount=1)
    edge.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=f"service/apps/{name}",
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=1,
        MaxCapacity=6,
    )


def _service_has(edge, name):
    [service] = edge.client("ecs").describe_services(cluster="apps", services=[name])["services"]
    return service["desiredCount"], service["runningCount"]


def _scaled(lay_down, has, kind, **more):
    @contextlib.asynccontextmanager
    async def opened(lab, scripts):
        edge, name = lab.edge, f"scaled-{next(lab.edge.numbers)}"
        await asyncio.to_thread(lay_down, edge, name)
        async with asyncio.timeout(10):
            while await asyncio.to_thread(has, edge, name) != (1, 1):  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.05)
        api = _proxy(lab, scripts["http"], lab.bench.EAST)
        scripts["http"].swap = ((name.encode(), b"another"),)
        async with serving(api):
            aws = edge.connection(f"http://{HOST}:{await api.start(HOST)}")
            named = {key: value or name for key, value in more.items()}

            async def applied(_key):
                return int((await asyncio.to_thread(has, edge, name))[0] == 2)

            async def holds(_key, _outputs):
                return await asyncio.to_thread(has, edge, name) == (2, 2)

            yield Site(
                target=kind.model_validate({"aws": aws, **named}),
                params={"desired": 2},
                proxies=[api],
                applied=applied,
                holds=holds,
            )

    return opened


@contextlib.asynccontextmanager
async def _quota(lab, scripts):
    edge = lab.edge
    dimensions = {"Service": "EC2", "Type": "Resource", "Resource": "vCPU"}
    dimensions["Class"] = "Standard/OnDemand"
    edge.quotas.apply(lab.bench.EAST, "ec2", "L-1216C47A", 64.0)
    point = {
        "MetricName": "ResourceCount",
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        "Value": 16.0,
    }
    await asyncio.to_thread(
        edge.client("cloudwatch").put_metric_data, Namespace="AWS/Usage", MetricData=[point]
    )
    api = _proxy(lab, scripts["http"], lab.bench.EAST)
    scripts["http"].swap = ((b"L-1216C47A", b"L-0000"), (b"ResourceCount", b"AnotherCount0"))
    async with serving(api):
        aws = edge.connection(f"http://{HOST}:{await api.start(HOST)}")

        async def holds(_key, outputs):
            return (outputs.get("limit"), outputs.get("free")) == (64.0, 48.0)

        yield Site(
            target=AwsRegion.model_validate({"aws": aws}),
            params={"service": "ec2", "quota": "L-1216C47A", "needs": 8},
            proxies=[api],
            applied=_never,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _cache(lab, scripts):
    edge, bench, number = lab.edge, lab.bench, next(lab.edge.numbers)
    shared = {"ReplicationGroupDescription": "d", "Engine": "redis"}
    shared |= {"CacheNodeType": "cache.r6g.large", "NumCacheClusters": 2}
    shared["AutomaticFailoverEnabled"] = True

    def lay_down():
        east, west = edge.client("elasticache"), edge.client("elasticache", bench.WEST)
        east.create_replication_group(ReplicationGroupId=f"cache-e{number}", **shared)
        made = east.create_global_replication_group(
            GlobalReplicationGroupIdSuffix=f"cache-{number}",
            PrimaryReplicationGroupId=f"cache-e{number}",
        )
        name = made["GlobalReplicationGroup"]["GlobalReplicationGroupId"]
        west.create_replication_group(
            ReplicationGroupId=f"cache-w{number}", GlobalReplicationGroupId=name, **shared
        )
        return name

    name = await asyncio.to_thread(lay_down)
    api = _proxy(lab, scripts["http"], bench.WEST)
    scripts["http"].swap = ((name.encode(), b"another"), (b"cache-w", b"cache-x"))
    async with serving(api):
        aws = edge.connection(f"http://{HOST}:{await api.start(HOST)}", bench.WEST)

        async def applied(_key):
            return edge.caches.failovers[name]

        def primary():
            [found] = edge.client("elasticache").describe_global_replication_groups(
                GlobalReplicationGroupId=name, ShowMemberInfo=True
            )["GlobalReplicationGroups"]
            roles = {one["Role"]: one["ReplicationGroupId"] for one in found["Members"]}
            return found["Status"], roles["PRIMARY"]

        async def holds(_key, _outputs):
            return await asyncio.to_thread(primary) == ("available", f"cache-w{number}")

        target = {"aws": aws, "datastore": name, "replication_group": f"cache-w{number}"}
        yield Site(
            target=ElastiCacheGlobal.model_validate(target),
            params={},
            proxies=[api],
            applied=applied,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _controls(lab, scripts):
    """Two endpoints: one behind the faulty network, and one of another region, which is well."""
    edge, arc, number = lab.edge, lab.edge.arc, next(lab.edge.numbers)
    arns = {name: control_arn(f"{name}-{number}") for name in ("east", "west")}
    arc.states |= {arns["east"]: "On", arns["west"]: "Off"}
    east, west = (arc.endpoints[region] for region in ("us-east-1", "us-west-2"))
    host, port = edge.plan.arc(1)
    assert east == f"http://{host}:{port}"
    api = HttpFaultProxy(
        Upstream(host=host, port=port),
        scripts["http"],
        name_of=operations.aws,
        answer_of=answers.aws_json,
    )
    scripts["http"].swap = ((f"-{number}".encode(), b"-another"),)
    async with serving(api):
        urls = {"us-east-1": f"http://{HOST}:{await api.start(HOST)}", "us-west-2": west}

        async def applied(_key):
            return sum(arns["west"] in asked for _region, asked in arc.updates)

        async def holds(_key, _outputs):
            return (arc.states[arns["east"]], arc.states[arns["west"]]) == ("Off", "On")

        target = {"aws": edge.connection(), "cluster_endpoints": urls, "controls": arns}
        yield Site(
            target=RoutingControls.model_validate(target),
            params={"states": {"east": "Off", "west": "On"}},
            proxies=[api],
            applied=applied,
            holds=holds,
        )


NO_ECHO = frozenset({Deed.WRONG_OBJECT, Deed.MALFORMED})
"""An answer to HEAD has no body, and nobody's name in it but the version's id."""
LABS = {}
CASES = [
    Case(
        action="aws.s3.replication.assert",
        lab="edge",
        ops=(Op(name="s3:GET"), Op(name="s3:HEAD", skip=NO_ECHO)),
        open=_replication,
    ),
    Case(
        action="aws.autoscaling.group.scale",
        lab="edge",
        ops=(
            Op(name="autoscaling:DescribeAutoScalingGroups"),
            Op(name="autoscaling:SetDesiredCapacity", mutates=True),
        ),
        open=_scaled(_group, _group_has, AutoScalingGroup, name=None),
        timeout_s=5.0,
        # Asked for, and not seen to come true: that is a failure to be told.
        may_be_partial=True,
    ),
    Case(
        action="aws.ecs.service.scale",
        lab="edge",
        ops=(
            Op(name="ecs:*DescribeServices"),
            Op(name="ecs:*UpdateService", mutates=True),
            Op(name="application-autoscaling:*DescribeScalableTargets"),
        ),
        open=_scaled(_service, _service_has, EcsService, cluster_name="apps", service=None),
        timeout_s=5.0,
        may_be_partial=True,
    ),
    Case(
        action="aws.servicequotas.assert",
        lab="edge",
        ops=(
            Op(name="servicequotas:*GetServiceQuota"),
            Op(name="monitoring:*GetMetricStatistics"),
        ),
        open=_quota,
    ),
    Case(
        action="aws.elasticache.global.failover",
        lab="edge",
        ops=(
            Op(name="elasticache:DescribeGlobalReplicationGroups"),
            Op(name="elasticache:FailoverGlobalReplicationGroup", mutates=True),
            Op(name="elasticache:DescribeReplicationGroups"),
        ),
        open=_cache,
        timeout_s=5.0,
        # Moved, and not seen to be the primary: that is a failure to be told.
        may_be_partial=True,
    ),
    Case(
        action="aws.arc.routing_control.set",
        lab="edge",
        ops=(
            # An endpoint that tells of another control is passed over: the other one tells truly.
            Op(
                name="route53-recovery-cluster:*GetRoutingControlState",
                skip=frozenset({Deed.WRONG_OBJECT}),
            ),
            Op(name="route53-recovery-cluster:*UpdateRoutingControlStates", mutates=True),
        ),
        open=_controls,
        timeout_s=9.0,
    ),
]
