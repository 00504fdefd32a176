"""Load balancers and Secrets Manager: the strict control plane; and one role of a real server."""

import asyncio
import contextlib
import importlib.util
import itertools
import json
import sys
from pathlib import Path

from cases_kubernetes import NAMESPACE
from cases_postgres import CONNECT, DATABASE, NAMES, NO_ECHO, PASSWORD, sql
from fault_matrix import HOST, Case, Op, Site, serving

from drctl.actions.targets import DatabaseRole
from drctl.adapters.postgres.rotate import verifier
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.faults.postgres import PostgresFaultProxy

BENCH = Path(__file__).parents[2] / "contract" / "edge" / "edge_bench.py"
NET = 64
JSON = {
    "application-autoscaling", "ecr", "ecs", "monitoring", "secretsmanager", "servicequotas",
}  # fmt: skip
"""Services whose answers are JSON."""
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"digest": f"sha256:{'1' * 64}", "size": 1},
        "layers": [],
    }
)
_NUMBERS = itertools.count(1)


def _bench():
    """The edge of the contract tests, on a net of our own."""
    spec = importlib.util.spec_from_file_location("faults_edge_bench", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Lab:
    """The control plane alone: nothing is balanced, and who is in use is healthy."""

    async def start(self):
        self.bench = _bench()
        self.edge = await asyncio.to_thread(self.bench.Edge, NET, with_balancers=False)

    async def stop(self):
        await asyncio.to_thread(self.edge.stop)

    def api(self, script):
        host, port = self.edge.plan.aws_address(self.bench.EAST)

        def answer(deed, operation):
            service = operation.partition(":")[0]
            return (answers.aws_json if service in JSON else answers.aws)(deed, operation)

        return HttpFaultProxy(
            Upstream(host=host, port=port), script, name_of=operations.aws, answer_of=answer
        )


async def _never(_key):
    return 0


@contextlib.asynccontextmanager
async def _balancer(lab, scripts, *, listens=True, **more):
    """A load balancer with one target, behind a faulty network; its name and its target."""
    edge, name = lab.edge, f"lb-{next(_NUMBERS)}"
    ports = (8080,) if listens else ()
    await asyncio.to_thread(edge.balancer, name, targets=["127.65.2.9"], ports=ports)
    async with asyncio.timeout(10):
        while (await asyncio.to_thread(edge.found, name))["State"]["Code"] != "active":  # noqa: ASYNC110 (a poll)
            await asyncio.sleep(0.05)
    api = lab.api(scripts["http"])
    scripts["http"].swap = ((name.encode(), b"another"),)
    async with serving(api):
        url = f"http://{HOST}:{await api.start(HOST)}"
        yield api, name, edge.target(name, url, **more)


@contextlib.asynccontextmanager
async def _check(lab, scripts):
    async with _balancer(lab, scripts) as (api, _name, target):

        async def holds(_key, outputs):
            return outputs.get("is_serving") is True and outputs["healthy"] == 1

        yield Site(target=target, params={}, proxies=[api], applied=_never, holds=holds)


@contextlib.asynccontextmanager
async def _rebuild(lab, scripts):
    edge = lab.edge
    async with _balancer(lab, scripts) as (api, name, target):
        await asyncio.to_thread(edge.lose, name)

        def parts():
            """The stand-ins, and whether one of them is whole."""
            elbv2 = edge.client("elbv2")
            made = edge.found(f"{name}-em")
            if made is None:
                return 0, False
            listening = elbv2.describe_listeners(LoadBalancerArn=made["LoadBalancerArn"])
            arns = [
                action["TargetGroupArn"]
                for one in listening["Listeners"]
                for action in one["DefaultActions"]
            ]
            health = [
                each["Target"]["Id"]
                for arn in arns
                for each in elbv2.describe_target_health(TargetGroupArn=arn)[
                    "TargetHealthDescriptions"
                ]
            ]
            named = [one for one in edge.all() if one["LoadBalancerName"] == f"{name}-em"]
            return len(named), health == ["127.65.2.7"]

        async def applied(_key):
            return (await asyncio.to_thread(parts))[0]

        async def holds(_key, _outputs):
            return (await asyncio.to_thread(parts))[1]

        yield Site(
            target=target,
            params={"addresses": ["127.65.2.7"]},
            proxies=[api],
            applied=applied,
            holds=holds,
            resolvers=(edge.resolver,),
        )


@contextlib.asynccontextmanager
async def _delete(lab, scripts):
    edge = lab.edge
    async with _balancer(lab, scripts) as (api, name, target):

        def lay_down():
            elbv2 = edge.client("elbv2")
            tags = [{"Key": "drctl:stands-in-for", "Value": name}]
            arn = elbv2.create_load_balancer(
                Name=f"{name}-em", Subnets=edge.subnets, SecurityGroups=[edge.open], Tags=tags
            )["LoadBalancers"][0]["LoadBalancerArn"]
            group = elbv2.create_target_group(
                Name=f"{name}-em",
                Protocol="HTTP",
                Port=8000,
                VpcId=edge.vpc,
                TargetType="ip",
                Tags=tags,
            )["TargetGroups"][0]["TargetGroupArn"]
            elbv2.create_listener(
                LoadBalancerArn=arn,
                Protocol="HTTP",
                Port=8080,
                DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
            )

        await asyncio.to_thread(lay_down)

        def left():
            groups = edge.client("elbv2").describe_target_groups()["TargetGroups"]
            named = [one for one in groups if one["TargetGroupName"] == f"{name}-em"]
            return len(named) + (edge.found(f"{name}-em") is not None)

        async def applied(_key):
            return int(await asyncio.to_thread(left) == 0)

        async def holds(_key, _outputs):
            return await asyncio.to_thread(left) == 0

        yield Site(target=target, params={}, proxies=[api], applied=applied, holds=holds)


def _door(*, opens):
    @contextlib.asynccontextmanager
    async def opened(lab, scripts):
        edge = lab.edge
        async with _balancer(lab, scripts, emergency_name=None) as (api, name, target):
            arn = (await asyncio.to_thread(edge.found, name))["LoadBalancerArn"]
            scripts["http"].swap += ((edge.shut.encode(), b"sg-0"),)
            if opens:

                def shut():
                    elbv2 = edge.client("elbv2")
                    tag = {"Key": "drctl:before-isolation", "Value": edge.open}
                    elbv2.add_tags(ResourceArns=[arn], Tags=[tag])
                    elbv2.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[edge.shut])
                    address = edge.bridge.lookup(edge.found(name)["DNSName"])
                    edge.pod(address, port=8080)

                await asyncio.to_thread(shut)
            wanted = [edge.open if opens else edge.shut]

            async def holds(_key, _outputs):
                return (await asyncio.to_thread(edge.found, name))["SecurityGroups"] == wanted

            async def applied(key):
                return int(await holds(key, None))

            yield Site(
                target=target,
                params={},
                proxies=[api],
                applied=applied,
                holds=holds,
                resolvers=(edge.resolver,),
            )

    return opened


def _vault(*, puts):
    @contextlib.asynccontextmanager
    async def opened(lab, scripts):
        edge, name = lab.edge, f"vault-{next(_NUMBERS)}"
        vault = edge.client("secretsmanager")

        def lay_down():
            return vault.create_secret(Name=name, SecretString=json.dumps({"p": "x"}))

        first = (await asyncio.to_thread(lay_down))["VersionId"]
        api = lab.api(scripts["http"])
        scripts["http"].swap = ((name.encode(), b"another"),)
        async with serving(api):
            target = edge.role(name, f"http://{HOST}:{await api.start(HOST)}")

            def versions():
                return vault.describe_secret(SecretId=name)["VersionIdsToStages"]

            async def applied(_key):
                return len(await asyncio.to_thread(versions)) - 1

            async def holds(_key, outputs):
                stages = await asyncio.to_thread(versions)
                [current] = [one for one, names in stages.items() if "AWSCURRENT" in names]
                return current != first if puts else outputs.get("version") == current

            yield Site(target=target, params={}, proxies=[api], applied=applied, holds=holds)

    return opened


@contextlib.asynccontextmanager
async def _restore(lab, scripts):
    edge, name = lab.edge, f"bucket-{next(_NUMBERS)}"
    s3 = edge.client("s3")

    def lay_down():
        s3.create_bucket(Bucket=name)
        kept = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=kept)
        first = s3.put_object(Bucket=name, Key="list", Body=b"good")["VersionId"]
        s3.put_object(Bucket=name, Key="list", Body=b"bad")
        return first

    first = await asyncio.to_thread(lay_down)
    api = lab.api(scripts["http"])
    scripts["http"].swap = ((name.encode(), b"another"),)
    async with serving(api):
        target = edge.bucket(name, f"http://{HOST}:{await api.start(HOST)}")

        def content():
            return s3.get_object(Bucket=name, Key="list")["Body"].read()

        async def holds(_key, _outputs):
            return await asyncio.to_thread(content) == b"good"

        async def applied(key):
            return int(await holds(key, None))

        yield Site(
            target=target,
            params={"key": "list", "version": first},
            proxies=[api],
            applied=applied,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _image(lab, scripts):
    edge, name = lab.edge, f"app-{next(_NUMBERS)}"
    ecr = edge.client("ecr")

    def lay_down():
        ecr.create_repository(repositoryName=name)
        put = ecr.put_image(repositoryName=name, imageManifest=MANIFEST, imageTag="1.0.0")
        return put["image"]["imageId"]["imageDigest"]

    digest = await asyncio.to_thread(lay_down)
    api = lab.api(scripts["http"])
    scripts["http"].swap = ((name.encode(), b"another"),)
    async with serving(api):
        target = edge.repository(name, f"http://{HOST}:{await api.start(HOST)}")

        async def holds(_key, outputs):
            return outputs.get("digest") == digest

        yield Site(
            target=target, params={"tag": "1.0.0"}, proxies=[api], applied=_never, holds=holds
        )


@contextlib.asynccontextmanager
async def _role(lab, scripts, *, rotated):
    """A role of the steady primary that is this cell's own."""
    name, next_ = f"role_{next(_NUMBERS)}", "the-password-of-tomorrow"
    has = next_ if rotated else PASSWORD
    await lab.east.execute_as_superuser(f"CREATE ROLE {name} LOGIN PASSWORD '{has}'")
    proxy = PostgresFaultProxy(lab.east.address, scripts["sql"], names=NAMES)
    try:
        async with serving(proxy):
            access = {
                "host": HOST,
                "port": await proxy.start(HOST),
                "database": DATABASE,
                "user": "drctl",
                "password": f"env:{PASSWORD}",
                "tls": "off",
            }
            target = DatabaseRole.model_validate(
                {
                    "sql": access,
                    "role": name,
                    "password": f"env:{PASSWORD}",
                    "next_password": f"env:{next_}",
                    "region": "us-east-1",
                }
            )

            async def is_new():
                rows = await lab.east.query_as_superuser(
                    "SELECT rolpassword FROM pg_authid WHERE rolname = $1", name
                )
                import base64

                salt = base64.b64decode(rows[0][0].split(":")[1].split("$")[0])
                return rows[0][0] == verifier(next_, salt)

            yield proxy, target, is_new
    finally:
        await lab.east.query_as_superuser(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1", name
        )
        await lab.east.execute_as_superuser(f"DROP ROLE {name}")


@contextlib.asynccontextmanager
async def _rotate(lab, scripts):
    async with _role(lab, scripts, rotated=False) as (proxy, target, is_new):

        async def applied(_key):
            return int(await is_new())

        async def holds(_key, _outputs):
            return await is_new()

        yield Site(target=target, params={}, proxies=[proxy], applied=applied, holds=holds)


@contextlib.asynccontextmanager
async def _assert_rotated(lab, scripts):
    async with _role(lab, scripts, rotated=True) as (proxy, target, is_new):

        async def holds(_key, _outputs):
            return await is_new()

        yield Site(target=target, params={}, proxies=[proxy], applied=_never, holds=holds)


@contextlib.asynccontextmanager
async def _sessions(lab, scripts):
    async with _role(lab, scripts, rotated=True) as (proxy, target, _is_new):

        async def holds(_key, outputs):
            return target.role in outputs.get("roles", ())

        yield Site(target=target, params={}, proxies=[proxy], applied=_never, holds=holds)


@contextlib.asynccontextmanager
async def _pods(lab, scripts):
    async with lab.deployment() as name, lab.behind(scripts["http"], name) as (proxy, target):
        pods = await lab.call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")
        mine = [
            one["status"]["podIP"]
            for one in pods["items"]
            if one["metadata"]["labels"].get("app") == name
        ]

        async def holds(_key, outputs):
            return list(outputs.get("addresses", ())) == mine

        yield Site(target=target, params={}, proxies=[proxy], applied=_never, holds=holds)


@contextlib.asynccontextmanager
async def _deliver(lab, scripts):
    name, secrets = f"given-{next(_NUMBERS)}", f"/api/v1/namespaces/{NAMESPACE}/secrets"
    made = await lab.call("POST", secrets, {"metadata": {"name": name}, "data": {"p": "YQ=="}})
    before = int(made["metadata"]["resourceVersion"])
    async with lab.behind(scripts["http"], name) as (proxy, beside):
        place = {"cluster": beside.cluster, "namespace": NAMESPACE, "secret": name, "key": "p"}
        target = DatabaseRole.model_validate(
            {
                "sql": {"host": HOST, "database": "x", "user": "y", "password": "env:z"},
                "role": "app",
                "password": "env:a",
                "next_password": "env:b",
                "delivered_to": {"here": place},
                "region": "us-west-2",
            }
        )

        async def read():
            return await lab.call("GET", f"{secrets}/{name}")

        async def applied(_key):
            return int(int((await read())["metadata"]["resourceVersion"]) != before)

        async def holds(_key, _outputs):
            return (await read())["data"]["p"] == "Yg=="

        yield Site(target=target, params={}, proxies=[proxy], applied=applied, holds=holds)


def api(name, **more):
    return Op(name=f"elasticloadbalancing:{name}", **more)


BALANCERS = api("DescribeLoadBalancers")
LISTENERS = api("DescribeListeners")
# Nothing in these answers says whose they are.
HEALTH = api("DescribeTargetHealth", skip=NO_ECHO)
ATTRIBUTES = api("DescribeLoadBalancerAttributes", skip=NO_ECHO)
RULES = api("DescribeRules", skip=NO_ECHO)
TAGS, GROUPS = api("DescribeTags"), api("DescribeTargetGroups")
DESCRIBE_SECRET = Op(name="secretsmanager:secretsmanager.DescribeSecret")
LABS = {"edge": Lab}
CASES = [
    *(
        Case(action=name, lab="edge", ops=(BALANCERS, LISTENERS, HEALTH), open=_check)
        for name in ("aws.elbv2.check", "aws.elbv2.assert_serving")
    ),
    Case(
        action="aws.elbv2.rebuild",
        lab="edge",
        ops=(
            *(BALANCERS, LISTENERS, HEALTH, ATTRIBUTES, RULES, TAGS, GROUPS),
            api("CreateLoadBalancer", mutates=True),
            api("CreateTargetGroup", mutates=True),
            api("RegisterTargets", mutates=True, skip=NO_ECHO),
            api("CreateListener", mutates=True),
        ),
        open=_rebuild,
        timeout_s=6.0,
        may_be_partial=True,
    ),
    Case(
        action="aws.elbv2.delete",
        lab="edge",
        ops=(
            *(BALANCERS, GROUPS, TAGS),
            api("DeleteLoadBalancer", mutates=True, skip=NO_ECHO),
            api("DeleteTargetGroup", mutates=True, skip=NO_ECHO),
        ),
        open=_delete,
        timeout_s=4.0,
        may_be_partial=True,
    ),
    Case(
        action="aws.elbv2.isolate",
        lab="edge",
        ops=(
            *(BALANCERS, LISTENERS, TAGS),
            Op(name="ec2:DescribeSecurityGroups"),
            api("AddTags", mutates=True, skip=NO_ECHO),
            # Whoever hears of another group looks at the load balancer itself.
            api("SetSecurityGroups", mutates=True, skip=NO_ECHO),
        ),
        open=_door(opens=False),
        timeout_s=5.0,
        may_be_partial=True,
    ),
    Case(
        action="aws.elbv2.readmit",
        lab="edge",
        ops=(
            *(BALANCERS, LISTENERS, TAGS),
            api("SetSecurityGroups", mutates=True, skip=NO_ECHO),
        ),
        open=_door(opens=True),
        timeout_s=5.0,
        may_be_partial=True,
    ),
    Case(
        action="aws.secretsmanager.secret.check",
        lab="edge",
        ops=(DESCRIBE_SECRET,),
        open=_vault(puts=False),
    ),
    Case(
        action="aws.secretsmanager.secret.put",
        lab="edge",
        ops=(
            DESCRIBE_SECRET,
            # Whoever hears of another secret looks at the right one.
            Op(name="secretsmanager:secretsmanager.PutSecretValue", mutates=True, skip=NO_ECHO),
        ),
        open=_vault(puts=True),
        may_be_partial=True,
    ),
    Case(
        action="aws.s3.object.restore_version",
        lab="edge",
        ops=(Op(name="s3:GET"), Op(name="s3:PUT", mutates=True, skip=NO_ECHO)),
        open=_restore,
    ),
    Case(
        action="aws.ecr.image.check",
        lab="edge",
        ops=(Op(name="ecr:AmazonEC2ContainerRegistry_V20150921.DescribeImages"),),
        open=_image,
    ),
    Case(
        action="postgres.role.rotate",
        lab="postgres",
        ops=(
            CONNECT,
            sql("system", skip=NO_ECHO),
            sql("alter_role", mutates=True, skip=NO_ECHO),
            sql("end_of_before", mutates=True, skip=NO_ECHO),
            *(sql(name, skip=NO_ECHO) for name in ("may_end", "left", "other")),
        ),
        open=_rotate,
        timeout_s=5.0,
        may_be_partial=True,
    ),
    Case(
        action="postgres.role.assert_rotated",
        lab="postgres",
        ops=(CONNECT, sql("other", skip=NO_ECHO)),
        open=_assert_rotated,
    ),
    Case(
        action="postgres.sessions.list",
        lab="postgres",
        ops=(CONNECT, *(sql(name, skip=NO_ECHO) for name in ("sessions", "roles"))),
        open=_sessions,
    ),
    Case(
        action="kubernetes.pods.list_ready",
        lab="kubernetes",
        ops=(Op(name="GET deployments"), Op(name="GET pods")),
        open=_pods,
    ),
    Case(
        action="kubernetes.credential.deliver",
        lab="kubernetes",
        ops=(
            *(Op(name="GET namespaces"), Op(name="GET secrets")),
            Op(name="PATCH secrets", mutates=True),
        ),
        open=_deliver,
    ),
]
