"""
What makes RDS instances and snapshots: the strict control plane, with instances that have no server
behind them. What is tried here is who asked for what, how often, and what is said of it; that the
data is right is for the contract tests, on real servers.
"""

import asyncio
import contextlib
import functools
import itertools
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

from fault_matrix import HOST, Case, Op, Site, serving

from drctl.actions.targets import RdsInstance
from drctl.lab.faults import answers, operations
from drctl.lab.faults.http import HttpFaultProxy, Upstream
from drctl.lab.plan import ACCOUNT_ID, REGIONS, AddressPlan

NET = 36
EAST, WEST = "us-east-1", "us-west-2"
KEY_ID = "AKIALABLABLABLABLAB1"
_NUMBERS = itertools.count(1)
_SOON_S = 0.2


class Parts:
    """Instances that are only described; counts what was made, and makes it available soon."""

    engine_version = "18.6"
    lost_zones: frozenset[str] = frozenset()

    def __init__(self):
        self.made = Counter()

    def _later(self, deed):
        timer = threading.Timer(_SOON_S, deed)
        timer.daemon = True
        timer.start()

    def _becomes(self, described, status="available"):
        self._later(functools.partial(setattr, described, "status", status))

    def create(self, described, _password):
        self.made[described.db_instance_identifier] += 1
        self._becomes(described)

    def replicate(self, described, _source):
        self.create(described, "")

    def restore(self, described, _source, _moment):
        self.create(described, "")

    def restore_snapshot(self, described, _snapshot):
        self.create(described, "")

    def regroup(self, described):
        def end():
            described.enforced_group_ids = tuple(described.vpc_security_group_ids)
            described.end_regrouping()

        self._later(end)

    def back_up(self, _described):
        pass

    def window(self, _described):
        now = datetime.now(UTC)
        return now - timedelta(hours=1), now - timedelta(seconds=3)

    def rename(self, described, identifier):
        def end():
            databases = described.backend.databases
            databases.pop(described.db_instance_identifier)
            described.db_instance_identifier = identifier
            databases[identifier] = described
            described.status = "available"

        self.made[identifier] += 1
        self._later(end)

    def take_snapshot(self, snapshot, _described):
        self.made[snapshot.db_snapshot_identifier] += 1
        self._becomes(snapshot)


class Lab:
    """A control plane of two regions, and one primary that is copied."""

    async def start(self):
        from moto.rds.models import rds_backends

        from drctl.lab.aws.plane import AwsControlPlane
        from drctl.lab.aws.rds_recovery import RecoveringRdsBackend

        self.parts, self.plan = Parts(), AddressPlan(NET)

        def install():
            # Not before: the plane begins with empty state.
            self.backends = rds_backends[ACCOUNT_ID]
            for region in REGIONS:
                self.backends[region] = RecoveringRdsBackend(region, ACCOUNT_ID, self.parts)
            return lambda: [self.backends.pop(region, None) for region in REGIONS]

        self.plane = AwsControlPlane(self.plan, access_keys={KEY_ID}, overlays=[install])
        await asyncio.to_thread(self.plane.start)
        self._clients = {}
        self.groups = await asyncio.to_thread(self._make_groups)
        self.source = await self.instance()

    async def stop(self):
        await asyncio.to_thread(self.plane.stop)

    def client(self, service):
        import boto3

        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                region_name=EAST,
                endpoint_url=self.plan.aws_url(EAST),
                aws_access_key_id=KEY_ID,
                aws_secret_access_key="x",
            )
        return self._clients[service]

    def _make_groups(self):
        ec2 = self.client("ec2")
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.client("rds")
        return [
            ec2.create_security_group(GroupName=name, Description="d", VpcId=vpc)["GroupId"]
            for name in ("door", "fence")
        ]

    async def instance(self, group=0):
        name = f"source-{next(_NUMBERS)}"
        await asyncio.to_thread(
            self.client("rds").create_db_instance,
            DBInstanceIdentifier=name,
            DBInstanceClass="db.t3.medium",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="drctl",
            MasterUserPassword="correct-horse",
            VpcSecurityGroupIds=[self.groups[group]],
            MultiAZ=True,
            DeletionProtection=True,
        )
        await self.until(lambda: self.described(name).status == "available")
        return name

    async def until(self, holds):
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 (a poll)
                await asyncio.sleep(0.02)

    def described(self, name):
        return self.backends[EAST].databases.get(name)

    def api(self, script):
        host, port = self.plan.aws_address(EAST)
        return HttpFaultProxy(
            Upstream(host=host, port=port), script, name_of=operations.aws, answer_of=answers.aws
        )

    def target(self, port, name, **more):
        urls = dict.fromkeys(("rds", "ec2", "sts"), f"http://{HOST}:{port}")
        aws = {
            "region": EAST,
            "account": ACCOUNT_ID,
            "access_key_id": f"env:{KEY_ID}",
            "secret_access_key": "env:x",
            "endpoints": urls,
        }
        return RdsInstance.model_validate({"aws": aws, "instance": name, **more})


@contextlib.asynccontextmanager
async def _made(lab, scripts, *, target_name, name, params, holds, **more):
    """A case that counts what was made under a name."""
    api = lab.api(scripts["http"])
    names = {target_name, name, lab.source}
    scripts["http"].swap = tuple((one.encode(), b"another-one") for one in sorted(names))
    async with serving(api):

        async def applied(_key):
            return lab.parts.made[name]

        async def holds_now(_key, _outputs):
            return holds()

        yield Site(
            target=lab.target(await api.start(HOST), target_name, **more),
            params=params,
            proxies=[api],
            applied=applied,
            holds=holds_now,
        )


def _is_like_its_source(lab, name):
    made = lab.described(name)
    return (
        made is not None
        and made.status == "available"
        and (made.multi_az, made.deletion_protection) == (True, True)
        and not made.publicly_accessible
    )


@contextlib.asynccontextmanager
async def _window(lab, scripts):
    api = lab.api(scripts["http"])
    scripts["http"].swap = ((lab.source.encode(), b"another-one"),)
    async with serving(api):

        async def never(_key):
            return 0

        async def holds(_key, outputs):
            return outputs.get("covers") is True and bool(outputs["earliest"])

        yield Site(
            target=lab.target(await api.start(HOST), lab.source),
            params={"time": (datetime.now(UTC) - timedelta(minutes=5)).isoformat()},
            proxies=[api],
            applied=never,
            holds=holds,
        )


@contextlib.asynccontextmanager
async def _restore(lab, scripts):
    name = f"restored-{next(_NUMBERS)}"
    moment = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    params = {"instance": name, "time": moment}
    holds = functools.partial(_is_like_its_source, lab, name)
    async with _made(
        lab, scripts, target_name=lab.source, name=name, params=params, holds=holds
    ) as site:
        yield site


@contextlib.asynccontextmanager
async def _replica(lab, scripts):
    name = f"replica-{next(_NUMBERS)}"
    holds = functools.partial(_is_like_its_source, lab, name)
    params = {"source": lab.source, "like": lab.source}
    groups = {"security_groups": [lab.groups[0]]}
    async with _made(
        lab, scripts, target_name=name, name=name, params=params, holds=holds, **groups
    ) as site:
        yield site


@contextlib.asynccontextmanager
async def _aside(lab, scripts):
    old = await lab.instance(group=1)
    name = f"{old}-aside"

    def holds():
        found = lab.described(name)
        return found is not None and found.status == "available" and lab.described(old) is None

    fence = {"fence_security_group": lab.groups[1]}
    params = {"instance": name}
    async with _made(
        lab, scripts, target_name=old, name=name, params=params, holds=holds, **fence
    ) as site:
        scripts["http"].swap = ((old.encode(), b"another-one"), (lab.groups[1].encode(), b"sg-0"))
        yield site


@contextlib.asynccontextmanager
async def _take(lab, scripts):
    name = f"copy-{next(_NUMBERS)}"

    def holds():
        found = lab.backends[EAST].database_snapshots.get(name)
        return found is not None and found.status == "available"

    params = {"snapshot": name}
    async with _made(
        lab, scripts, target_name=lab.source, name=name, params=params, holds=holds
    ) as site:
        yield site


@contextlib.asynccontextmanager
async def _unpack(lab, scripts):
    copy, name = f"copy-{next(_NUMBERS)}", f"unpacked-{next(_NUMBERS)}"
    await asyncio.to_thread(
        lab.client("rds").create_db_snapshot,
        DBInstanceIdentifier=lab.source,
        DBSnapshotIdentifier=copy,
    )
    snapshots = lab.backends[EAST].database_snapshots
    await lab.until(lambda: snapshots[copy].status == "available")
    holds = functools.partial(_is_like_its_source, lab, name)
    params = {"snapshot": copy, "instance": name}
    async with _made(
        lab, scripts, target_name=lab.source, name=name, params=params, holds=holds
    ) as site:
        yield site


DESCRIBE = Op(name="rds:DescribeDBInstances")
BACKUPS = Op(name="rds:DescribeDBInstanceAutomatedBackups")
SNAPSHOTS = Op(name="rds:DescribeDBSnapshots")


def mutation(name):
    return Op(name=f"rds:{name}", mutates=True)


LABS = {"rds": Lab}
CASES = [
    Case(action="aws.rds.restore_window", lab="rds", ops=(BACKUPS,), open=_window),
    Case(
        action="aws.rds.restore_to_time",
        lab="rds",
        ops=(DESCRIBE, BACKUPS, mutation("RestoreDBInstanceToPointInTime")),
        open=_restore,
        timeout_s=6.0,
    ),
    Case(
        action="aws.rds.create_replica",
        lab="rds",
        ops=(DESCRIBE, mutation("CreateDBInstanceReadReplica")),
        open=_replica,
        timeout_s=6.0,
    ),
    Case(
        action="aws.rds.set_aside",
        lab="rds",
        ops=(DESCRIBE, Op(name="ec2:DescribeSecurityGroups"), mutation("ModifyDBInstance")),
        open=_aside,
        timeout_s=6.0,
    ),
    Case(
        action="aws.rds.snapshot.create",
        lab="rds",
        ops=(SNAPSHOTS, mutation("CreateDBSnapshot")),
        open=_take,
        timeout_s=6.0,
    ),
    Case(
        action="aws.rds.snapshot.restore",
        lab="rds",
        ops=(DESCRIBE, mutation("RestoreDBInstanceFromDBSnapshot")),
        open=_unpack,
        timeout_s=6.0,
    ),
]
